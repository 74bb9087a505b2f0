/*
 * The audit of a store, whatever database it is: the same tables everywhere, so one set of queries
 * and one way to read their rows. A store brings a way to run a query whose columns are numbers.
 *
 *     journal (n, client, incarnation, worker, seq, k, key_seq, version, amount, by_client)
 *     items   (k, value, version, removed)
 *     taken   (n, k, token, client, incarnation, worker, seq)
 */
#ifndef ASSAY_SYSTEMS_LEDGER_H
#define ASSAY_SYSTEMS_LEDGER_H

#include "api/store.h"

#define LEDGER_COLUMNS_MAX 10
struct ledger {
    void *session;
    /* Every row of a query, in order; row() other than 0 stops it, which is an error. */
    int (*query)(void *session, const char *sql, int columns,
                 int (*row)(void *call, const int64_t *values), void *call, struct err *err);
};

int ledger_journal(struct ledger ledger, int (*row)(void *context, const struct journal_row *row),
                   void *context, struct err *err);
int ledger_items(struct ledger ledger, int (*item)(void *context, const struct store_item *item),
                 void *context, struct err *err);
int ledger_fences(struct ledger ledger, int (*row)(void *context, const struct fence_row *row),
                  void *context, struct err *err);

#endif
