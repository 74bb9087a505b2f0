/*
 * Cache operations, recorded write-ahead. A holder stops being one at its LOCK_EXIT: written before
 * the release leaves, or when a renewal is told that the lock is lost. A release of something never
 * certainly held (its acquire stayed unknown) has no exit.
 */
#include "client/record_cache.h"

#include "client/cache_layer.h"

#include <assert.h>
#include <stdlib.h>

#define HELD_MAX 64 /* locks of one worker at a time */

struct held {
    uint32_t key;
    uint64_t seq; /* of the attempt that got it */
};

struct cache_recorder {
    struct cache inner; /* first: cache_layer.h */
    struct cache_recorder_options with;
    struct held held[HELD_MAX];
    size_t n_held;
};

static struct event event_of(const struct cache_recorder *r, uint8_t type, uint32_t key,
                             uint64_t seq)
{
    return (struct event){.type = type,
                          .at_ns = worker_clock_read(r->with.clock),
                          .seq = seq,
                          .client = r->with.me.client,
                          .incarnation = r->with.me.incarnation,
                          .worker = r->with.me.worker,
                          .key = key,
                          .node = NO_NODE};
}

/* ---- fills */

struct fill {
    struct cache_recorder *by;
    uint32_t key;
    int64_t version; /* -1 - version: invalidated */
    uint64_t seq;
};

static void record_fill(const struct fill *fill, uint8_t type, enum outcome outcome)
{
    struct event e = event_of(fill->by, type, fill->key, fill->seq);

    e.value = fill->version;
    e.code = SOURCE_CACHE;
    if (type == EV_FILL_COMPLETE)
        e.outcome_level = event_result(outcome, LEVEL_NONE);
    history_record(fill->by->with.log, &e);
}

static struct fill begin_fill(struct cache_recorder *r, uint32_t key, int64_t version)
{
    struct fill fill = {r, key, version, (*r->with.fills)++};

    record_fill(&fill, EV_FILL_INVOKE, OUTCOME_NONE);
    return fill;
}

static enum outcome end_fill(const struct fill *fill, enum outcome outcome)
{
    record_fill(fill, EV_FILL_COMPLETE, outcome);
    return outcome;
}

static enum outcome recorder_set(void *self, uint32_t key, const struct cache_value *value)
{
    struct cache_recorder *r = self;
    struct fill fill = begin_fill(r, key, (int64_t)value->version);

    return end_fill(&fill, r->inner.ops->set(r->inner.self, key, value));
}

static enum outcome recorder_remove(void *self, uint32_t key, uint64_t version)
{
    struct cache_recorder *r = self;
    struct fill fill = begin_fill(r, key, -1 - (int64_t)version);

    return end_fill(&fill, r->inner.ops->remove(r->inner.self, key, version));
}

/* ---- locks */

static void exits(struct cache_recorder *r, uint32_t key)
{
    for (size_t i = 0; i < r->n_held; i++) {
        struct event e = event_of(r, EV_LOCK_EXIT, key, r->held[i].seq);

        if (r->held[i].key != key)
            continue;
        history_record(r->with.log, &e);
        r->held[i] = r->held[--r->n_held];
        return;
    }
}

static enum outcome recorder_acquire(void *self, uint32_t key, uint64_t token, int64_t ttl_ns,
                                     uint64_t *fence, uint16_t *node)
{
    struct cache_recorder *r = self;
    uint64_t seq = (*r->with.locks)++;
    struct event e = event_of(r, EV_LOCK_INVOKE, key, seq);
    enum outcome outcome;
    uint64_t number = 0;
    uint16_t who = NO_NODE;

    assert(r->n_held < HELD_MAX);
    exits(r, key); /* asked for again by who holds it: the earlier hold is over */
    history_record(r->with.log, &e);
    outcome = r->inner.ops->acquire(r->inner.self, key, token, ttl_ns, &number, &who);
    e = event_of(r, EV_LOCK_COMPLETE, key, seq);
    e.value = (int64_t)number;
    e.node = who;
    e.outcome_level = event_result(outcome, LEVEL_NONE);
    history_record(r->with.log, &e);
    if (outcome == OUTCOME_OK)
        r->held[r->n_held++] = (struct held){key, seq};
    if (fence)
        *fence = number;
    if (node)
        *node = who;
    return outcome;
}

static enum outcome recorder_renew(void *self, uint32_t key, uint64_t token, int64_t ttl_ns)
{
    struct cache_recorder *r = self;
    enum outcome outcome = r->inner.ops->renew(r->inner.self, key, token, ttl_ns);

    if (outcome == OUTCOME_FAIL)
        exits(r, key);
    return outcome;
}

static enum outcome recorder_unlock(void *self, uint32_t key, uint64_t token)
{
    struct cache_recorder *r = self;

    exits(r, key);
    return r->inner.ops->unlock(r->inner.self, key, token);
}

/* ---- optimistic transactions: what EXEC sets is a fill */

static enum outcome recorder_exec(void *self, uint32_t key, const struct cache_value *value)
{
    struct cache_recorder *r = self;
    struct fill fill = begin_fill(r, key, (int64_t)value->version);

    return end_fill(&fill, r->inner.ops->exec(r->inner.self, key, value));
}

static void recorder_close(void *self)
{
    struct cache_recorder *r = self;

    while (r->n_held > 0) /* who leaves in order stops acting now, released or not */
        exits(r, r->held[0].key);
    cache_layer_close(r);
}

static const struct cache_ops recorder_ops = {
    .name = "recorder",
    .size = sizeof(struct cache_recorder),
    .get = cache_layer_get,
    .set = recorder_set,
    .remove = recorder_remove,
    .watch = cache_layer_watch,
    .exec = recorder_exec,
    .acquire = recorder_acquire,
    .renew = recorder_renew,
    .unlock = recorder_unlock,
    .mark = cache_layer_mark,
    .marked = cache_layer_marked,
    .publish = cache_layer_publish,
    .subscribe = cache_layer_subscribe,
    .next = cache_layer_next,
    .enqueue = cache_layer_enqueue,
    .dequeue = cache_layer_dequeue,
    .settle = cache_layer_settle,
    .close = recorder_close,
};

struct cache cache_recorder_wrap(struct cache inner, const struct cache_recorder_options *options)
{
    struct cache_recorder *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->inner = inner;
    r->with = *options;
    return (struct cache){.ops = &recorder_ops, .self = r};
}
