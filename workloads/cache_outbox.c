/*
 * The relay of protocol outbox: what a transaction has left in the database's outbox is deleted
 * from the cache, and then from the outbox
 * (microservices.io/patterns/data/transactional-outbox.html, polling publisher). Nothing is lost
 * between two commits, since there is one; killed in between, the relay deletes an entry again.
 *
 * Rows are taken out one by one, never by "greater than the last number": numbers are given at the
 * insert, not at the commit, and a reader with such a cursor skips who commits late.
 */
#include "workloads/cache.h"

#include "base/clock.h"

#define AGAIN_NS (20 * MS_NS)

/* false: nothing was there, or somebody did not answer. */
static bool carry_one(struct cache_worker *c)
{
    const struct store *db = c->store;
    struct store_item item = {0};

    if (db->ops->outbox_next(db->self, &item) != STORE_OK)
        return false;
    worker_step(c->worker, BEFORE_INVALIDATE, NULL);
    if (c->cache->ops->remove(c->cache->self, item.key, item.version) != OUTCOME_OK)
        return false;
    worker_step(c->worker, AFTER_INVALIDATE, NULL);
    return db->ops->outbox_done(db->self, item.key, item.version) != STORE_ERROR;
}

int cache_outbox_run(struct cache_worker *c)
{
    while (!worker_stopping(c->worker))
        if (!carry_one(c))
            worker_pause(c->worker, AGAIN_NS);
    return 0;
}
