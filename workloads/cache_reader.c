/*
 * A read: local copy, cache, database, in this order; what was loaded fills the levels above. What
 * the application is served is recorded before the fill: it has its answer by then.
 */
#include "workloads/cache.h"

#include "base/clock.h"

#define WAIT_FOR_FILL_NS (5 * SECOND_NS) /* outlasts the lock of a loader that died */
#define LOOK_AGAIN_NS (2 * MS_NS)
#define LOADER_TTL_NS (2 * SECOND_NS)

/* ---- the level inside the process */

static void drop_local(struct cache_worker *c, uint32_t key, uint64_t version)
{
    if (key < (uint32_t)c->args->keys && c->local[key].until_ns > 0) {
        worker_fill_local(c->worker, key, -1 - (int64_t)version);
        c->local[key].until_ns = 0;
    }
}

static void take_invalidations(struct cache_worker *c)
{
    uint32_t key = 0;
    uint64_t version = 0;
    int told;

    while ((told = c->cache->ops->next(c->cache->self, 0, &key, &version)) != 0) {
        if (told > 0)
            drop_local(c, key, version);
        else if (c->args->on_gap == CACHE_FLUSH)
            for (key = 0; key < (uint32_t)c->args->keys; key++)
                drop_local(c, key, 0);
    }
}

static void keep_local(struct cache_worker *c, uint32_t key, uint64_t version)
{
    if (!c->local)
        return;
    worker_fill_local(c->worker, key, (int64_t)version);
    c->local[key] = (struct local_copy){version, clock_now_ns() + c->args->local_ttl_ns};
}

static bool served_local(struct cache_worker *c, const struct work_order *order, uint32_t key)
{
    if (!c->local)
        return false;
    if (c->args->protocol == CACHE_PUBSUB || c->args->protocol == CACHE_TRACKING)
        take_invalidations(c);
    if (c->local[key].until_ns <= clock_now_ns())
        return false;
    worker_read_complete(c->worker, order, key, c->local[key].version, SOURCE_LOCAL, OUTCOME_OK);
    worker_did(c->worker, order, OUTCOME_OK, true);
    return true;
}

/* ---- the cache */

static bool served_by_cache(struct cache_worker *c, const struct work_order *order, uint32_t key,
                            struct cache_value *value)
{
    enum outcome outcome = c->cache->ops->get(c->cache->self, key, value);

    if (outcome == OUTCOME_OK) {
        worker_read_complete(c->worker, order, key, value->version, SOURCE_CACHE, OUTCOME_OK);
        worker_did(c->worker, order, OUTCOME_OK, true);
        keep_local(c, key, value->version);
    }
    return outcome == OUTCOME_OK;
}

/* ---- the database */

static bool load(struct cache_worker *c, uint32_t key, struct store_item *item)
{
    const struct store *db = c->replica->ops ? c->replica : c->store;
    enum store_answer answer = db->ops->read(db->self, key, false, item);

    return answer == STORE_OK || answer == STORE_NONE;
}

static void load_and_fill(struct cache_worker *c, const struct work_order *order, uint32_t key,
                          const struct cache_value *miss)
{
    struct store_item item = {.key = key};
    enum read_source source = c->replica->ops ? SOURCE_REPLICA : SOURCE_STORE;

    if (!load(c, key, &item)) {
        worker_read_complete(c->worker, order, key, 0, source, OUTCOME_UNKNOWN);
        worker_did(c->worker, order, OUTCOME_UNKNOWN, false);
        return;
    }
    worker_step(c->worker, AFTER_DB_READ, NULL);
    worker_read_complete(c->worker, order, key, item.version, source, OUTCOME_OK);
    worker_did(c->worker, order, OUTCOME_OK, false);
    if (c->args->guard == GUARD_LEASE && miss->lease == 0)
        return; /* somebody else is filling */
    worker_step(c->worker, BEFORE_CACHE_SET, NULL);
    if (cache_fill(c, key, &item, miss->lease) == OUTCOME_OK)
        keep_local(c, key, item.version);
    worker_step(c->worker, AFTER_CACHE_SET, NULL);
}

/* One loader per key: the others look again until it has filled, or load after all. */
static void load_alone(struct cache_worker *c, const struct work_order *order, uint32_t key,
                       struct cache_value *miss)
{
    struct deadline deadline = deadline_in(WAIT_FOR_FILL_NS, NULL);
    uint64_t token = draw_u64(&c->values, c->n_ops);

    do {
        if (c->cache->ops->acquire(c->cache->self, key, token, LOADER_TTL_NS, NULL, NULL) ==
            OUTCOME_OK) {
            if (!served_by_cache(c, order, key, miss)) /* filled while the lock was asked for? */
                load_and_fill(c, order, key, miss);
            c->cache->ops->unlock(c->cache->self, key, token);
            return;
        }
        if (served_by_cache(c, order, key, miss))
            return;
    } while (deadline_sleep(&deadline, LOOK_AGAIN_NS) == 0);
    load_and_fill(c, order, key, miss);
}

void cache_read(struct cache_worker *c, const struct work_order *order, uint32_t key)
{
    struct cache_value value;

    worker_read_invoke(c->worker, order, key);
    if (served_local(c, order, key) || served_by_cache(c, order, key, &value))
        return;
    worker_step(c->worker, AFTER_CACHE_MISS, NULL);
    if (c->args->single_flight || c->args->protocol == CACHE_READ_THROUGH)
        load_alone(c, order, key, &value);
    else
        load_and_fill(c, order, key, &value);
}
