/*
 * Where effects go: transactions and an append-only journal without a unique key (a key would
 * dedupe the evidence, JUDGING: effect).
 */
#ifndef ASSAY_API_STORE_H
#define ASSAY_API_STORE_H

#include "api/event.h"
#include "base/err.h"

struct plan_case;
struct plan_cluster;

struct journal_row {
    struct msg_id message;
    uint32_t key;
    uint64_t key_seq;
    int64_t row, version;
    uint16_t by;          /* client instance that wrote it */
};

struct store_ops {
    const char *name;
    size_t size;
    /* `folder`: run folder of the store's data, for embedded ones */
    int (*open)(void *self, const struct plan_case *plan, const struct plan_cluster *cluster, const char *folder, struct err *err);
    int (*begin)(void *self, struct err *err);
    int (*append)(void *self, const struct journal_row *row, struct err *err);
    enum outcome (*commit)(void *self, int16_t *code);   /* unknown stays unknown */
    void (*rollback)(void *self);
    /* D3: when our sessions are closed; rows in commit order; callback borrows the row */
    int (*audit)(void *self, int (*row)(void *context, const struct journal_row *row), void *context, struct err *err);
    void (*close)(void *self);
};

#endif
