/*
 * Lists. BLPOP and BRPOP settle by handing over. BLMOVE keeps the message in this consumer's
 * processing list until LREM; a key with a time to live says that the consumer lives, so that a
 * reaper knows whose leftovers are nobody's (redis.io/commands/lmove, "Pattern: Reliable queue").
 * `visibility` keeps it in a sorted set scored by the time it is to be given back, as Celery's
 * Redis transport does (kombu: unacked_index); taking and noting are one script here.
 */
#include "systems/redis/client.h"

#define EMPTY_LOOK_NS (10 * MS_NS) /* visibility: a script cannot block */

static const char take_visibly[] =
    "local m=redis.call('LPOP',KEYS[1]) if not m then return false end "
    "local t=redis.call('TIME') "
    "redis.call('ZADD',KEYS[2],t[1]*1000+math.floor(t[2]/1000)+ARGV[1],m) return m";
static const char give_visibly_back[] =
    "if redis.call('ZREM',KEYS[2],ARGV[1])==1 then redis.call('LPUSH',KEYS[1],ARGV[1]) end";

/* What asks for the next message: the same every time. */
static void make_asking(struct redis_client *h)
{
    const struct redis_client_args *a = h->args;

    switch ((enum redis_take)a->consume.mode) {
    case TAKE_BLPOP:
    case TAKE_BRPOP:
        redis_command_make(&h->asking, "%s %s %.1f",
                           a->consume.mode == TAKE_BRPOP ? "BRPOP" : "BLPOP", a->consume.list,
                           READER_BLOCK_MS / 1000.0);
        break;
    case TAKE_BLMOVE:
        redis_command_make(&h->asking, "BLMOVE %s %s LEFT RIGHT %.1f", a->consume.list,
                           h->processing, READER_BLOCK_MS / 1000.0);
        break;
    case TAKE_VISIBILITY:
        redis_command_make(&h->asking, "EVAL %s 2 %s %s %lld", take_visibly, a->consume.list,
                           h->unacked, (long long)(a->consume.visibility_ns / MS_NS));
        break;
    }
}

static void begin(struct redis_client *h)
{
    const struct redis_client_args *a = h->args;

    redis_processing_name(a, h->client_id, h->processing, sizeof(h->processing));
    redis_alive_name(a->consume.list, h->client_id, h->alive, sizeof(h->alive));
    redis_unacked_name(a->consume.list, h->unacked, sizeof(h->unacked));
    make_asking(h);
    if (a->consume.mode == TAKE_BLPOP || a->consume.mode == TAKE_BRPOP)
        h->next_ns = NEVER_NS; /* nothing is lent */
    h->began = true;
}

/* The lease is renewed on the ordinary connection: the other may be blocked. */
static void tend(struct redis_client *h)
{
    const struct redis_client_args *a = h->args;
    struct lane *lane = h->current >= 0 ? h->lanes[h->current] : NULL;

    if (a->consume.mode != TAKE_BLMOVE || !lane || !lane->c)
        return;
    redis_lane_command(lane, "SET %s %u PX %lld", h->alive, h->incarnation,
                       (long long)(a->consume.lease_ns / MS_NS));
    redis_lane_expect(lane, FLIGHT_OTHER, 0, a->hiredis.timeout_ns);
    h->next_ns = clock_now_ns() + a->consume.lease_ns / 3;
}

static bool ask_old(struct redis_client *h)
{
    if (h->args->consume.mode != TAKE_BLMOVE || h->worker != 0)
        return false;
    redis_lane_command(h->take, "LRANGE %s 0 %d", h->processing, READER_OLD_MAX - 1);
    return true;
}

static bool ask(struct redis_client *h)
{
    if (h->args->consume.mode == TAKE_VISIBILITY && clock_now_ns() < h->next_ns)
        return false;
    redis_lane_append(h->take, h->asking.bytes, h->asking.size);
    return true;
}

static void take(struct redis_client *h, enum flight_kind kind, redisReply *reply)
{
    if (kind == FLIGHT_OLD) {
        for (size_t i = 0; i < reply->elements; i++)
            redis_reader_take(h, reply->element[i], "", true);
        h->took_old = true;
    } else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        redis_reader_take(h, reply->element[1], "", false);
    } else if (reply->type == REDIS_REPLY_STRING) {
        redis_reader_take(h, reply, "", false);
        if (h->args->consume.mode == TAKE_VISIBILITY)
            h->next_ns = 0;
    } else if (h->args->consume.mode == TAKE_VISIBILITY) {
        h->next_ns = clock_now_ns() + EMPTY_LOOK_NS;
    }
}

static void settle(struct redis_client *h, struct lane *lane, const struct taken *t)
{
    if (h->args->consume.mode == TAKE_VISIBILITY)
        redis_lane_command(lane, "ZREM %s %b", h->unacked, t->bytes, t->size);
    else
        redis_lane_command(lane, "LREM %s 1 %b", h->processing, t->bytes, t->size);
}

static void put_back(struct redis_client *h, const struct taken *t)
{
    const struct redis_client_args *a = h->args;

    switch ((enum redis_take)a->consume.mode) {
    case TAKE_BLPOP:
        redis_lane_command(h->take, "LPUSH %s %b", a->consume.list, t->bytes, t->size);
        break;
    case TAKE_BRPOP:
        redis_lane_command(h->take, "RPUSH %s %b", a->consume.list, t->bytes, t->size);
        break;
    case TAKE_BLMOVE: /* LREM and LPUSH would be two commands: the processing list is its place */
        redis_lane_command(h->take, "PING");
        break;
    case TAKE_VISIBILITY:
        redis_lane_command(h->take, "EVAL %s 2 %s %s %b", give_visibly_back, a->consume.list,
                           h->unacked, t->bytes, t->size);
        break;
    }
}

static uint32_t batch(const struct redis_client *h)
{
    (void)h;
    return 1;
}

const struct redis_source redis_list_source = {
    .begin = begin,
    .tend = tend,
    .ask_old = ask_old,
    .ask = ask,
    .take = take,
    .settle = settle,
    .put_back = put_back,
    .batch = batch,
};
