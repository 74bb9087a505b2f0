/*
 * Who is told that a key has changed: local copies, by PUBLISH or by client-side tracking, and a
 * relay, by a stream with one group that keeps what is not settled.
 */
#include "systems/redis/cache.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL "invalidate"
#define TRACKING_CHANNEL "__redis__:invalidate"
#define TAKE_AGAIN_NS (10 * MS_NS)

/* ---- invalidations */

enum outcome redis_cache_publish(void *self, uint32_t key, uint64_t version)
{
    struct redis_cache *s = self;

    return redis_cache_done(s, redis_cache_ask(s, "PUBLISH " CHANNEL " %u:%" PRIu64, key, version));
}

/* The connection that reads tells the one that listens what it has read and lost. */
int redis_cache_track(struct redis_cache *s, struct err *err)
{
    redisReply *on = redisCommand(s->link, "CLIENT TRACKING ON REDIRECT %lld", s->channel_id);
    int result = on && on->type != REDIS_REPLY_ERROR ? 0 : -1;

    if (result < 0)
        err_set(err, "CLIENT TRACKING: %s", on ? on->str : "no answer");
    if (on)
        freeReplyObject(on);
    return result;
}

/* Asked before it subscribes: then it answers nothing else any more. */
static int name_channel(struct redis_cache *s)
{
    redisReply *id = redisCommand(s->channel, "CLIENT ID");
    int result = id && id->type == REDIS_REPLY_INTEGER ? 0 : -1;

    s->channel_id = result == 0 ? id->integer : 0;
    if (id)
        freeReplyObject(id);
    return result;
}

static int listen_to(struct redis_cache *s, struct err *err)
{
    redisReply *reply = NULL;

    redis_cache_drop(&s->channel);
    if (redis_cache_reach(s, err) < 0)
        return -1;
    s->channel = redis_cache_connect(&s->plan->nodes[s->node], err);
    if (s->channel && s->tracking && (name_channel(s) < 0 || redis_cache_track(s, err) < 0)) {
        redis_cache_drop(&s->link); /* it may be as dead as the channel was */
        redis_cache_drop(&s->channel);
    }
    if (s->channel)
        reply = redisCommand(s->channel, "SUBSCRIBE %s", s->tracking ? TRACKING_CHANNEL : CHANNEL);
    if (reply) {
        freeReplyObject(reply);
        return 0;
    }
    redis_cache_drop(&s->channel);
    return err_set(err, "no subscription");
}

int redis_cache_subscribe(void *self, bool tracking, struct err *err)
{
    struct redis_cache *s = self;

    s->tracking = tracking;
    return listen_to(s, err);
}

/* ["message", channel, "KEY:VERSION"], or of tracking ["message", channel, ["cache:KEY"]]. */
static bool read_message(const redisReply *reply, uint32_t *key, uint64_t *version)
{
    const redisReply *what =
        reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 ? reply->element[2] : NULL;

    *version = 0;
    if (what && what->type == REDIS_REPLY_ARRAY && what->elements > 0)
        return sscanf(what->element[0]->str, "cache:%" SCNu32, key) == 1;
    return what && what->type == REDIS_REPLY_STRING &&
           sscanf(what->str, "%" SCNu32 ":%" SCNu64, key, version) == 2;
}

int redis_cache_next(void *self, int64_t until_ns, uint32_t *key, uint64_t *version)
{
    struct redis_cache *s = self;

    for (;;) {
        struct deadline deadline = {.at_ns = until_ns};
        redisReply *reply = NULL;
        struct pollfd p;

        if (s->gap) {
            s->gap = false;
            return -1;
        }
        if (!s->channel)
            return listen_to(s, NULL) == 0 ? -1 : (deadline_sleep(&deadline, 10 * MS_NS), 0);
        if (redisGetReplyFromReader(s->channel, (void **)&reply) != REDIS_OK) {
            redis_cache_drop(&s->channel);
            continue;
        }
        if (reply) {
            bool told = read_message(reply, key, version);

            freeReplyObject(reply);
            if (told)
                return 1;
            continue;
        }
        p = (struct pollfd){.fd = s->channel->fd, .events = POLLIN};
        if (poll(&p, 1, deadline_left_ms(&deadline)) <= 0)
            return 0;
        if (redisBufferRead(s->channel) != REDIS_OK)
            redis_cache_drop(&s->channel);
    }
}

/* ---- the queue */

enum outcome redis_cache_enqueue(void *self, uint32_t key, uint64_t version)
{
    struct redis_cache *s = self;

    return redis_cache_done(
        s, redis_cache_ask(s, "XADD changes * key %u version %" PRIu64, key, version));
}

/* [["changes", [[id, ["key", KEY, "version", VERSION]]]]] */
static bool read_entry(struct redis_cache *s, const redisReply *reply, uint32_t *key,
                       uint64_t *version)
{
    const redisReply *entries = reply->type == REDIS_REPLY_ARRAY && reply->elements == 1
                                    ? reply->element[0]->element[1]
                                    : NULL;
    const redisReply *entry = entries && entries->elements == 1 ? entries->element[0] : NULL;
    const redisReply *fields = entry ? entry->element[1] : NULL;

    if (!fields || fields->type != REDIS_REPLY_ARRAY || fields->elements != 4)
        return false;
    snprintf(s->taken, sizeof(s->taken), "%s", entry->element[0]->str);
    return sscanf(fields->element[1]->str, "%" SCNu32, key) == 1 &&
           sscanf(fields->element[3]->str, "%" SCNu64, version) == 1;
}

/* `from` 0: given out before and not settled; >: never given out. 1, 0 none, -1 unreachable. */
static int take_from(struct redis_cache *s, const char *from, uint32_t *key, uint64_t *version)
{
    redisReply *reply =
        redis_cache_ask(s, "XREADGROUP GROUP relay relay COUNT 1 STREAMS changes %s", from);
    int result = reply ? 0 : -1;

    if (reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOGROUP", 7) == 0)
        (void)redis_cache_done(s, redis_cache_ask(s, "XGROUP CREATE changes relay 0 MKSTREAM"));
    else if (reply && reply->type == REDIS_REPLY_ERROR)
        result = redis_cache_outcome(s, reply) == OUTCOME_OK ? 0 : -1;
    else if (reply)
        result = read_entry(s, reply, key, version);
    if (reply)
        freeReplyObject(reply);
    return result;
}

int redis_cache_dequeue(void *self, int64_t until_ns, uint32_t *key, uint64_t *version)
{
    struct redis_cache *s = self;
    struct deadline deadline = {.at_ns = until_ns};

    do {
        int got = take_from(s, "0", key, version);

        if (got == 0)
            got = take_from(s, ">", key, version);
        if (got != 0)
            return got;
    } while (deadline_sleep(&deadline, TAKE_AGAIN_NS) == 0);
    return 0;
}

enum outcome redis_cache_settle(void *self)
{
    struct redis_cache *s = self;

    return redis_cache_done(s, redis_cache_ask(s, "XACK changes relay %s", s->taken));
}
