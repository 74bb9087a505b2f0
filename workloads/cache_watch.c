/*
 * Protocol watch: a value that lives in the cache alone is changed by an optimistic transaction
 * (redis.io/docs/latest/develop/interact/transactions, "check-and-set"). EXEC does nothing when the
 * entry was changed, expired or evicted since WATCH; on_error: retry then reads and tries again.
 * What EXEC cannot see is an entry that was gone before WATCH: the next value is made from the row
 * the database began with, and every change since then is undone.
 *
 * Left out: deletes, several keys in one transaction.
 */
#include "workloads/cache.h"

static enum outcome try_once(struct cache_worker *c, uint32_t key)
{
    struct cache_value value;
    uint64_t version;
    enum outcome outcome = c->cache->ops->watch(c->cache->self, key, &value);

    if (cache_stands_on(c, key, outcome, &value, &version) != OUTCOME_OK)
        return OUTCOME_FAIL; /* nothing was sent */
    value = (struct cache_value){.version = version + 1, .ttl_ns = c->args->ttl_ns};
    worker_step(c->worker, BEFORE_CACHE_SET, NULL);
    worker_write_invoke(c->worker, key, value.version);
    outcome = c->cache->ops->exec(c->cache->self, key, &value);
    worker_write_complete(c->worker, key, value.version, outcome);
    worker_step(c->worker, AFTER_CACHE_SET, NULL);
    return outcome;
}

void cache_write_watched(struct cache_worker *c, const struct work_order *order, uint32_t key)
{
    enum outcome outcome;

    do {
        outcome = try_once(c, key);
    } while (cache_again(c, outcome, false));
    worker_did(c->worker, order, outcome, false);
}
