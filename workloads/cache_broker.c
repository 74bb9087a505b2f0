/*
 * Protocol broker: a committed write is told to a broker, and whoever consumes the message deletes
 * the entry or sets the value it was sent for; a removed row travels as a tombstone where the
 * product has them. The broker's answer is the write's: nobody waits for the cache.
 *
 * Two commits, as with every queue: who dies between them tells nobody. The message carries no
 * value, only the version that stands for one. Left out: several rows in one message.
 */
#include "workloads/cache.h"

#include "base/clock.h"

#define AGAIN_NS (20 * MS_NS)
#define LOOK_NS (100 * MS_NS)

void cache_send(struct cache_worker *c, const struct work_order *order,
                const struct store_item *item)
{
    struct message_body body = {.key = item->key,
                                .key_seq = item->version,
                                .version = (uint32_t)item->version,
                                .removed = item->removed};

    worker_step(c->worker, BEFORE_INVALIDATE, NULL);
    worker_send(c->worker, order, &body, NO_UNIT);
    worker_step(c->worker, AFTER_INVALIDATE, NULL);
    c->sent = true;
}

/* false: asked to stop before it was done. */
static bool carry(struct cache_worker *c, const struct msg *msg)
{
    struct store_item item = {
        .key = msg->key, .version = msg->version, .removed = msg->flags & MSG_REMOVED};

    worker_step(c->worker, BEFORE_INVALIDATE, msg);
    while (cache_carry(c, &item) != OUTCOME_OK) {
        if (worker_stopping(c->worker))
            return false;
        worker_pause(c->worker, AGAIN_NS);
    }
    worker_step(c->worker, AFTER_INVALIDATE, msg);
    return true;
}

static void take(struct cache_worker *c, const struct delivery *d)
{
    bool ours = d->msg && !(d->msg->flags & MSG_MARKER) && d->msg->key < (uint32_t)c->args->keys;

    if (c->args->settles == CACHE_SETTLES_BEFORE)
        worker_settle(c->worker, d, (struct settle_how){0});
    if (ours && !carry(c, d->msg))
        return;
    if (c->args->settles == CACHE_SETTLES_AFTER)
        worker_settle(c->worker, d, (struct settle_how){0});
}

int cache_broker_run(struct cache_worker *c)
{
    while (!worker_stopping(c->worker)) {
        const struct delivery *deliveries;
        size_t n = worker_poll(c->worker, clock_now_ns() + LOOK_NS, &deliveries);

        for (size_t i = 0; i < n && !worker_stopping(c->worker); i++)
            take(c, &deliveries[i]);
    }
    return 0;
}
