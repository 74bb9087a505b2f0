/*
 * The audit of a store, whatever database it is: the same tables everywhere, so one set of queries
 * and one way to read their rows. Rows come in commit order; the callback borrows its row, non-zero
 * stops and is an error.
 *
 *     journal (n, client, incarnation, worker, seq, k, key_seq, version, amount, by_client)
 *     items   (k, value, version, removed)
 *     taken   (n, k, token, client, incarnation, worker, seq)
 */
#ifndef ASSAY_SYSTEMS_LEDGER_H
#define ASSAY_SYSTEMS_LEDGER_H

#include "api/store.h"

#define LEDGER_COLUMNS_MAX 10

int ledger_journal(const struct store_ops *store, void *session,
                   int (*row)(void *context, const struct journal_row *row), void *context,
                   struct err *err);
int ledger_items(const struct store_ops *store, void *session,
                 int (*item)(void *context, const struct store_item *item), void *context,
                 struct err *err);
int ledger_fences(const struct store_ops *store, void *session,
                  int (*row)(void *context, const struct fence_row *row), void *context,
                  struct err *err);

#endif
