/*
 * The reaper: every so often gives back to a list what stands in processing lists whose consumer's
 * lease has ended, and what is out longer than its visibility timeout. One script, so that it is
 * given back once. Finding processing lists by KEYS is what small installations do; a registry of
 * consumers would be the same to what is judged here.
 */
#include "systems/redis/client.h"

#include <stdio.h>

/* Newest first to the end that is taken from: the oldest comes out first again. */
static const char give_back[] =
    "local n,t=0,redis.call('TIME') local now=t[1]*1000+math.floor(t[2]/1000) "
    "for _,m in ipairs(redis.call('ZREVRANGEBYSCORE',KEYS[2],now,'-inf')) do "
    "redis.call('ZREM',KEYS[2],m) redis.call('LPUSH',KEYS[1],m) n=n+1 end "
    "for _,p in ipairs(redis.call('KEYS',ARGV[1]..'*')) do "
    "if redis.call('EXISTS',ARGV[2]..string.sub(p,#ARGV[1]+1))==0 then "
    "while redis.call('LMOVE',p,KEYS[1],'RIGHT','LEFT') do n=n+1 end end end return n";

static void begin(struct redis_client *h)
{
    const struct redis_client_args *a = h->args;

    if (a->reap.processing)
        snprintf(h->processing, sizeof(h->processing), "%s:", a->reap.processing);
    else
        snprintf(h->processing, sizeof(h->processing), "{%s}:processing:", a->reap.list);
    snprintf(h->alive, sizeof(h->alive), "{%s}:alive:", a->reap.list);
    redis_unacked_name(a->reap.list, h->unacked, sizeof(h->unacked));
    h->began = true;
}

static void tend(struct redis_client *h)
{
    struct lane *lane = h->current >= 0 ? h->lanes[h->current] : NULL;

    h->next_ns = clock_now_ns() + h->args->reap.every_ns;
    if (!lane || !lane->c || lane->answered != lane->tail)
        return;
    redis_lane_command(lane, "EVAL %s 2 %s %s %s %s", give_back, h->args->reap.list, h->unacked,
                       h->processing, h->alive);
    redis_lane_expect(lane, FLIGHT_CLAIM, 0, h->args->hiredis.timeout_ns);
}

/* How many it gave back; that they come again is seen by who takes them. */
static void take(struct redis_client *h, enum flight_kind kind, redisReply *reply)
{
    (void)h;
    (void)kind;
    (void)reply;
}

const struct redis_source redis_reaper_source = {.begin = begin, .tend = tend, .take = take};
