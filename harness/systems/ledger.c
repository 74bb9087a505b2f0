/* Queries of the audit and their rows (ledger.h). */
#include "systems/ledger.h"

static struct msg_id message_at(const int64_t *values)
{
    return (struct msg_id){.client = (uint16_t)values[0],
                           .incarnation = (uint16_t)values[1],
                           .worker = (uint16_t)values[2],
                           .seq = (uint64_t)values[3]};
}

struct journal_call {
    int (*row)(void *context, const struct journal_row *row);
    void *context;
};

static int hand_row(void *call, const int64_t *v)
{
    const struct journal_call *c = call;
    struct journal_row row = {.row = v[0],
                              .message = message_at(&v[1]),
                              .key = (uint32_t)v[5],
                              .key_seq = (uint64_t)v[6],
                              .version = v[7],
                              .amount = v[8],
                              .by = (uint16_t)v[9]};

    return c->row(c->context, &row);
}

/* A version of 0: the store has one write lock, its row numbers cover every key's. */
int ledger_journal(const struct store_ops *store, void *session,
                   int (*row)(void *context, const struct journal_row *row), void *context,
                   struct err *err)
{
    struct journal_call call = {row, context};

    return store->query(session,
                        "SELECT n, client, incarnation, worker, seq, k, key_seq,"
                        " CASE version WHEN 0 THEN n ELSE version END, amount, by_client"
                        " FROM journal ORDER BY n",
                        10, hand_row, &call, err);
}

struct item_call {
    int (*item)(void *context, const struct store_item *item);
    void *context;
};

static int hand_item(void *call, const int64_t *v)
{
    const struct item_call *c = call;
    struct store_item item = {
        .key = (uint32_t)v[0], .value = v[1], .version = (uint64_t)v[2], .removed = v[3] != 0};

    return c->item(c->context, &item);
}

int ledger_items(const struct store_ops *store, void *session,
                 int (*item)(void *context, const struct store_item *item), void *context,
                 struct err *err)
{
    struct item_call call = {item, context};

    return store->query(session, "SELECT k, value, version, removed FROM items ORDER BY k", 4,
                        hand_item, &call, err);
}

struct fence_call {
    int (*row)(void *context, const struct fence_row *row);
    void *context;
};

static int hand_fence(void *call, const int64_t *v)
{
    const struct fence_call *c = call;
    struct fence_row row = {
        .row = v[0], .key = (uint32_t)v[1], .token = (uint64_t)v[2], .message = message_at(&v[3])};

    return c->row(c->context, &row);
}

int ledger_fences(const struct store_ops *store, void *session,
                  int (*row)(void *context, const struct fence_row *row), void *context,
                  struct err *err)
{
    struct fence_call call = {row, context};

    return store->query(session,
                        "SELECT n, k, token, client, incarnation, worker, seq FROM taken"
                        " ORDER BY n",
                        7, hand_fence, &call, err);
}
