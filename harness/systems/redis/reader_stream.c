/*
 * Streams: XREADGROUP keeps a message pending until XACK, unless NOACK. What others left pending
 * for longer than `claim` is taken over by XAUTOCLAIM, on the ordinary connection, because the
 * other may be blocked (redis.io/commands/xautoclaim).
 */
#include "systems/redis/client.h"

#include <stdio.h>

static void begin(struct redis_client *h)
{
    const struct redis_client_args *a = h->args;

    redis_lane_command(h->take, "XGROUP CREATE %s %s %s MKSTREAM", a->consume.stream,
                       a->consume.group, a->consume.from);
    redis_lane_expect(h->take, FLIGHT_BEGIN, 0, a->hiredis.timeout_ns);
    redis_command_make(&h->asking,
                       a->consume.noack
                           ? "XREADGROUP GROUP %s %s COUNT %lld BLOCK %d NOACK STREAMS %s >"
                           : "XREADGROUP GROUP %s %s COUNT %lld BLOCK %d STREAMS %s >",
                       a->consume.group, h->consumer, (long long)a->consume.count, READER_BLOCK_MS,
                       a->consume.stream);
}

/* -BUSYGROUP: it was there. Another error comes back at the first XREADGROUP. */
static void begun(struct redis_client *h, const redisReply *reply)
{
    h->made_group = reply->type == REDIS_REPLY_STATUS;
    h->began = true;
}

static uint32_t batch(const struct redis_client *h)
{
    return (uint32_t)h->args->consume.count;
}

static void tend(struct redis_client *h)
{
    const struct redis_client_args *a = h->args;
    struct lane *lane = h->current >= 0 ? h->lanes[h->current] : NULL;

    if (a->consume.claim_ns == 0)
        return;
    h->next_ns = clock_now_ns() + a->consume.claim_every_ns;
    if (!h->took_old || !lane || !lane->c || h->queue_head != h->queue_tail ||
        h->n_spare < 2 * batch(h))
        return;
    redis_lane_command(lane, "XAUTOCLAIM %s %s %s %lld %s COUNT %lld", a->consume.stream,
                       a->consume.group, h->consumer, (long long)(a->consume.claim_ns / MS_NS),
                       h->claim_from, (long long)a->consume.count);
    redis_lane_expect(lane, FLIGHT_CLAIM, 0, a->hiredis.timeout_ns);
}

static bool ask_old(struct redis_client *h)
{
    const struct redis_client_args *a = h->args;

    if (a->consume.noack)
        return false;
    redis_lane_command(h->take, "XREADGROUP GROUP %s %s COUNT %d STREAMS %s %s", a->consume.group,
                       h->consumer, READER_OLD_MAX, a->consume.stream, h->old_from);
    return true;
}

static bool ask(struct redis_client *h)
{
    redis_lane_append(h->take, h->asking.bytes, h->asking.size);
    return true;
}

/* [[id, [field, value …]] …] */
static size_t take_entries(struct redis_client *h, const redisReply *entries, bool old)
{
    for (size_t i = 0; i < entries->elements; i++) {
        redisReply *entry = entries->element[i];
        redisReply *fields = entry->elements == 2 ? entry->element[1] : NULL;

        if (old)
            snprintf(h->old_from, sizeof(h->old_from), "%s", entry->element[0]->str);
        if (fields && fields->type == REDIS_REPLY_ARRAY && fields->elements >= 2)
            redis_reader_take(h, fields->element[1], entry->element[0]->str, old);
    }
    return entries->elements;
}

/* XAUTOCLAIM: [next id, [[id, [field, value …]] …], [deleted ids]] */
static void take_claimed(struct redis_client *h, const redisReply *reply)
{
    const redisReply *entries = reply->elements >= 2 ? reply->element[1] : NULL;

    if (!entries || entries->type != REDIS_REPLY_ARRAY)
        return;
    snprintf(h->claim_from, sizeof(h->claim_from), "%s", reply->element[0]->str);
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];

        if (entry->elements == 2 && entry->element[1]->elements >= 2)
            redis_reader_take(h, entry->element[1]->element[1], entry->element[0]->str, true);
    }
}

static void take(struct redis_client *h, enum flight_kind kind, redisReply *reply)
{
    bool old = kind == FLIGHT_OLD;
    size_t n = 0;

    if (kind == FLIGHT_CLAIM) {
        take_claimed(h, reply);
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && reply->element[0]->elements == 2)
        n = take_entries(h, reply->element[0]->element[1], old); /* [[stream, entries]] */
    if (old)
        h->took_old = n < READER_OLD_MAX;
}

static void settle(struct redis_client *h, struct lane *lane, const struct taken *t)
{
    const struct redis_client_args *a = h->args;

    redis_lane_command(lane, "XACK %s %s %s", a->consume.stream, a->consume.group, t->id);
}

const struct redis_source redis_stream_source = {
    .begin = begin,
    .begun = begun,
    .tend = tend,
    .ask_old = ask_old,
    .ask = ask,
    .take = take,
    .settle = settle,
    .batch = batch,
};
