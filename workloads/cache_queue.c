/*
 * What goes through a queue beside the cache: invalidations of writes that are committed (queue),
 * and writes the database does not have yet (write_behind). The relay at its other end deletes the
 * entry, or writes the row; it settles what it took behind that, or before it, which a death in
 * between leaves undone.
 *
 * Left out: two writers of one key under write_behind (their versions come from the cache,
 * unlocked), rows removed under it.
 */
#include "workloads/cache.h"

#include "base/clock.h"

#define LOOK_NS (50 * MS_NS)
#define AGAIN_NS (50 * MS_NS)

/* ---- the writer's end */

void cache_enqueue(struct cache_worker *c, uint32_t key, uint64_t version)
{
    enum outcome outcome;

    worker_step(c->worker, BEFORE_INVALIDATE, NULL);
    do {
        outcome = c->cache->ops->enqueue(c->cache->self, key, version);
    } while (cache_again(c, outcome, false));
    worker_step(c->worker, AFTER_INVALIDATE, NULL);
}

enum outcome cache_stands_on(struct cache_worker *c, uint32_t key, enum outcome cached,
                             const struct cache_value *value, uint64_t *version)
{
    struct store_item item = {.key = key};
    enum store_answer answer;

    *version = value->version;
    if (cached != OUTCOME_FAIL)
        return cached;
    answer = c->store->ops->read(c->store->self, key, false, &item);
    *version = item.version;
    return answer == STORE_OK || answer == STORE_NONE ? OUTCOME_OK : OUTCOME_UNKNOWN;
}

void cache_write_behind(struct cache_worker *c, const struct work_order *order, uint32_t key)
{
    struct store_item item = {.key = key};
    struct cache_value value;
    enum outcome outcome = c->cache->ops->get(c->cache->self, key, &value);

    outcome = cache_stands_on(c, key, outcome, &value, &item.version);
    if (outcome != OUTCOME_OK) {
        worker_did(c->worker, order, OUTCOME_FAIL, false);
        return;
    }
    item.version++;
    worker_write_invoke(c->worker, key, item.version);
    worker_step(c->worker, BEFORE_CACHE_SET, NULL);
    outcome = cache_fill(c, key, &item, 0);
    worker_step(c->worker, AFTER_CACHE_SET, NULL);
    if (outcome == OUTCOME_OK &&
        c->cache->ops->enqueue(c->cache->self, key, item.version) != OUTCOME_OK)
        outcome = OUTCOME_UNKNOWN; /* it is served, and may never be written */
    worker_write_complete(c->worker, key, item.version, outcome);
    worker_did(c->worker, order, outcome, false);
}

/* ---- the relay's end */

/* Until the row is as new as what was acknowledged: a put raises its version by one. */
static bool flush(struct cache_worker *c, uint32_t key, uint64_t version)
{
    const struct store *db = c->store;
    struct store_item item = {.key = key};
    enum store_answer answer = db->ops->read(db->self, key, false, &item);
    int16_t code;

    while (answer == STORE_OK && item.version < version) {
        if (db->ops->begin(db->self, NULL) < 0)
            return false;
        answer =
            db->ops->put(db->self, key, (int64_t)(draw_u64(&c->values, c->n_ops++) >> 1), &item);
        if (answer != STORE_OK)
            db->ops->rollback(db->self);
        else if (db->ops->commit(db->self, &code) != OUTCOME_OK)
            return false; /* read again: it may be there */
    }
    return answer == STORE_OK;
}

static bool carried(struct cache_worker *c, uint32_t key, uint64_t version)
{
    if (c->args->protocol == CACHE_WRITE_BEHIND)
        return flush(c, key, version);
    return c->cache->ops->remove(c->cache->self, key, version) == OUTCOME_OK;
}

static void carry(struct cache_worker *c, uint32_t key, uint64_t version)
{
    if (c->args->settles == CACHE_SETTLES_BEFORE)
        (void)c->cache->ops->settle(c->cache->self);
    worker_step(c->worker, BEFORE_INVALIDATE, NULL);
    while (!carried(c, key, version)) {
        if (worker_stopping(c->worker))
            return; /* nor settled */
        worker_pause(c->worker, AGAIN_NS);
    }
    worker_step(c->worker, AFTER_INVALIDATE, NULL);
    if (c->args->settles == CACHE_SETTLES_AFTER)
        (void)c->cache->ops->settle(c->cache->self);
}

int cache_queue_run(struct cache_worker *c)
{
    while (!worker_stopping(c->worker)) {
        uint64_t version;
        uint32_t key;
        int got = c->cache->ops->dequeue(c->cache->self, clock_now_ns() + LOOK_NS, &key, &version);

        if (got > 0 && key < (uint32_t)c->args->keys)
            carry(c, key, version);
        else if (got < 0)
            worker_pause(c->worker, AGAIN_NS);
    }
    return 0;
}
