/*
 * The store capability: a transactional database. A business table of items (accounts with a
 * balance, rows a cache stands before), an append-only journal without a unique key (a key would
 * dedupe the evidence, JUDGING: effect), tokens for deduplication, fences, and a change stream.
 *
 *     item  (key, value, version)     version: assigned under the row's lock, rises by one with every change
 *     journal (message, key, amount, version, by)   no unique key
 *     token (id)                      unique
 *     fence (key, token)              the highest token seen, and an append-only list of those taken
 *
 * Blocking, one handle (one session) per worker thread. Between begin and commit every call belongs
 * to the transaction; outside of one it is a statement of its own. After STORE_CONFLICT and
 * STORE_ERROR the transaction is rolled back already. A handle whose connection is gone connects
 * again at the next begin or single statement.
 */
#ifndef ASSAY_API_STORE_H
#define ASSAY_API_STORE_H

#include "api/event.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct plan_case;
struct plan_cluster;

struct journal_row {
    struct msg_id message;
    uint32_t key;
    uint64_t key_seq;
    int64_t row, version;
    int64_t amount;       /* transfers: what was added to item `key`; 0 else */
    uint16_t by;          /* client instance that wrote it */
};

struct store_item {
    uint32_t key;
    int64_t value;
    uint64_t version;     /* 0: absent, never written */
    bool removed;         /* a deleted row keeps counting versions */
};

struct fence_row {
    uint32_t key;
    uint64_t token;
    int64_t row;
    struct msg_id message;
};

enum store_answer {
    STORE_OK,
    STORE_NONE,     /* no such row, or a precondition matched none */
    STORE_EXISTS,   /* the token was there; the fence has seen a higher one. The transaction goes on */
    STORE_CONFLICT, /* deadlock or serialisation failure: rolled back, may be tried again */
    STORE_ERROR,    /* connection lost or statement refused; before COMMIT this is certainly not applied */
};

enum store_where { STORE_PRIMARY, STORE_REPLICA };

/* One change out of the binlog or the logical decoding. */
struct store_change {
    struct store_item item;
    uint64_t position;    /* what feed_open resumes from */
};

struct store_ops {
    const char *name;
    size_t size;
    /* `folder`: run folder of the store's data, for embedded ones. Makes the tables when they are not there. */
    int (*open)(void *self, const struct plan_case *plan, const struct plan_cluster *cluster, const char *folder,
                enum store_where where, struct err *err);
    int (*begin)(void *self, struct err *err);
    int (*append)(void *self, const struct journal_row *row, struct err *err);
    enum outcome (*commit)(void *self, int16_t *code);   /* unknown stays unknown */
    void (*rollback)(void *self);
    void (*close)(void *self);

    /* ---- items; `out` (may be NULL) as it is after the call */
    enum store_answer (*read)(void *self, uint32_t key, bool for_update, struct store_item *out);
    enum store_answer (*add)(void *self, uint32_t key, int64_t amount, struct store_item *out);     /* value += amount */
    enum store_answer (*put)(void *self, uint32_t key, int64_t value, struct store_item *out);      /* inserts or replaces */
    enum store_answer (*put_if)(void *self, uint32_t key, int64_t value, uint64_t version, struct store_item *out); /* NONE: other version */
    enum store_answer (*remove)(void *self, uint32_t key, struct store_item *out);

    /* ---- deduplication and fencing */
    enum store_answer (*claim)(void *self, const char *token);   /* insert: EXISTS when it was there */
    enum store_answer (*claimed)(void *self, const char *token); /* OK there, NONE not */
    enum store_answer (*fence)(void *self, uint32_t key, uint64_t token, const struct msg_id *by); /* EXISTS: a higher one was seen */
    enum store_answer (*take)(void *self, uint32_t key, uint64_t token, const struct msg_id *by);  /* recorded, not checked */

    /* ---- an outbox: what a commit leaves to be told to somebody else, in the same transaction (put). It stays until it is done;
     * next: the oldest there is, its key and version; NONE: nothing. One reader */
    enum store_answer (*outbox_put)(void *self, uint32_t key, uint64_t version);
    enum store_answer (*outbox_next)(void *self, struct store_item *out);
    enum store_answer (*outbox_done)(void *self, uint32_t key, uint64_t version);

    /* ---- the outcome of an unknown COMMIT, asked from the ledger: OK applied, NONE certainly not (no
     * transaction of ours is open that could still commit) */
    enum store_answer (*journaled)(void *self, const struct msg_id *message);

    /* ---- D3, when our sessions are closed: waits until none of their transactions is open at the server (an embedded
     * store has nobody to wait for), then every row of a query whose columns are numbers, LEDGER_COLUMNS_MAX at most, in
     * order; the callback borrows them, non-zero stops, which is an error. What is asked: systems/ledger.h */
    int (*query)(void *self, const char *sql, int columns, int (*row)(void *call, const int64_t *values), void *call,
                 struct err *err);

    /* ---- change stream; NULL: none. A handle of its own size, a thread of its own */
    size_t feed_size;
    int (*feed_open)(void *feed, const struct plan_case *plan, const struct plan_cluster *cluster, uint64_t position, struct err *err);
    /* 1: a change; 0: none until until_ns; -1: lost, open again from the last position */
    int (*feed_next)(void *feed, int64_t until_ns, struct store_change *out, struct err *err);
    uint64_t (*feed_position)(const void *feed); /* where to resume; 0: the server keeps it */
    void (*feed_close)(void *feed);
};

#endif
