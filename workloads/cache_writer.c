/*
 * A write: one transaction that changes the row, and around it what the protocol does to the cache.
 * A COMMIT nobody answered may have happened: the cache is invalidated then too.
 */
#include "workloads/cache.h"

#include "base/clock.h"

#define AGAIN_NS (20 * MS_NS)

bool cache_again(const struct cache_worker *c, enum outcome outcome, bool guarded)
{
    if (outcome == OUTCOME_OK || (outcome == OUTCOME_FAIL && guarded) ||
        c->args->on_error != CACHE_RETRY || worker_stopping(c->worker))
        return false;
    worker_pause(c->worker, AGAIN_NS);
    return true;
}

static void tell(struct cache_worker *c, uint32_t key, uint64_t version, int when)
{
    if (c->args->protocol == CACHE_PUBSUB && c->args->tells == when)
        c->cache->ops->publish(c->cache->self, key, version);
}

void cache_invalidate(struct cache_worker *c, uint32_t key, uint64_t version)
{
    enum outcome outcome;

    tell(c, key, version, CACHE_TELLS_BEFORE);
    worker_step(c->worker, BEFORE_CACHE_DELETE, NULL);
    do {
        outcome = c->cache->ops->remove(c->cache->self, key, version);
    } while (cache_again(c, outcome, false)); /* no guard refuses a delete */
    tell(c, key, version, CACHE_TELLS_AFTER);
    worker_step(c->worker, AFTER_CACHE_DELETE, NULL);
}

static void set_value(struct cache_worker *c, uint32_t key, const struct store_item *item)
{
    enum outcome outcome;

    worker_step(c->worker, BEFORE_CACHE_SET, NULL);
    do {
        outcome = cache_fill(c, key, item, 0);
    } while (cache_again(c, outcome, c->args->guard != GUARD_NONE));
    worker_step(c->worker, AFTER_CACHE_SET, NULL);
}

static bool every(int64_t n, uint64_t op)
{
    return n > 0 && (op + 1) % (uint64_t)n == 0;
}

/* The transaction alone; *item is the row as it leaves it. */
static enum outcome change(struct cache_worker *c, uint32_t key, struct store_item *item)
{
    const struct store *db = c->store;
    uint64_t n = c->n_ops;
    enum store_answer answer;
    int16_t code;

    if (db->ops->begin(db->self, NULL) < 0)
        return OUTCOME_FAIL;
    answer = every(c->args->remove_every, n)
                 ? db->ops->remove(db->self, key, item)
                 : db->ops->put(db->self, key, (int64_t)(draw_u64(&c->values, n) >> 1), item);
    if (answer != STORE_OK) {
        db->ops->rollback(db->self);
        return OUTCOME_FAIL;
    }
    if (c->args->protocol == CACHE_OUTBOX &&
        db->ops->outbox_put(db->self, key, item->version) != STORE_OK) {
        db->ops->rollback(db->self);
        return OUTCOME_FAIL;
    }
    if (c->args->protocol == CACHE_WRITE_THROUGH)
        set_value(c, key, item);
    worker_step(c->worker, BEFORE_DB_COMMIT, NULL);
    if (every(c->args->abort_every, n)) {
        db->ops->rollback(db->self);
        return OUTCOME_FAIL;
    }
    return db->ops->commit(db->self, &code);
}

static void after_commit(struct cache_worker *c, const struct work_order *order, uint32_t key,
                         const struct store_item *item)
{
    switch ((enum cache_protocol)c->args->protocol) {
    case CACHE_DOUBLE_DELETE:
        worker_pause(c->worker, c->args->delay_ns);
        cache_invalidate(c, key, item->version);
        break;
    case CACHE_ASIDE:
    case CACHE_READ_THROUGH:
    case CACHE_PUBSUB:
    case CACHE_TRACKING:
        cache_invalidate(c, key, item->version);
        break;
    case CACHE_DOUBLE_WRITE:
        set_value(c, key, item);
        break;
    case CACHE_QUEUE:
        cache_enqueue(c, key, item->version);
        break;
    case CACHE_BROKER:
        cache_send(c, order, item);
        break;
    case CACHE_WRITE_BEHIND: /* these two commit nothing */
    case CACHE_WATCH:
    case CACHE_DELETE_FIRST:
    case CACHE_WRITE_THROUGH:
    case CACHE_CHANGE_STREAM:
    case CACHE_OUTBOX: /* told in the transaction */
        break;
    }
}

void cache_write(struct cache_worker *c, const struct work_order *order, uint32_t key)
{
    struct store_item item = {.key = key};
    enum outcome outcome;

    if (c->args->protocol == CACHE_WRITE_BEHIND) {
        cache_write_behind(c, order, key);
        return;
    }
    if (c->args->protocol == CACHE_WATCH) {
        cache_write_watched(c, order, key);
        return;
    }
    if (c->args->protocol == CACHE_DELETE_FIRST || c->args->protocol == CACHE_DOUBLE_DELETE)
        cache_invalidate(c, key, 0);
    outcome = change(c, key, &item);
    worker_step(c->worker, AFTER_DB_COMMIT, NULL);
    c->sent = false;
    if (outcome != OUTCOME_FAIL)
        after_commit(c, order, key, &item);
    if (!c->sent)
        worker_did(c->worker, order, outcome, false);
}
