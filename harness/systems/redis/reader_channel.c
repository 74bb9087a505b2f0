/*
 * Channels: messages come unasked while a subscription lasts, and nothing is kept for who is not
 * there (redis.io/docs/latest/develop/interact/pubsub, "at-most-once"). A subscription is an
 * ownership interval: it begins when the server has confirmed it, it ends when the connection does.
 */
#include "systems/redis/client.h"

#include <string.h>

static void begin(struct redis_client *h)
{
    redis_lane_command(h->take, "SUBSCRIBE %s", h->args->consume.channel);
    redis_lane_expect(h->take, FLIGHT_BEGIN, 0, h->args->hiredis.timeout_ns);
    h->take->pushed = true;
    h->took_old = true;
}

/* [subscribe, channel, how many] */
static void begun(struct redis_client *h, const redisReply *reply)
{
    h->began = reply->type == REDIS_REPLY_ARRAY;
    h->misled |= !h->began;
}

bool redis_channel_message(struct redis_client *h, redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || !reply->element[0]->str ||
        strcmp(reply->element[0]->str, "message") != 0)
        return false;
    redis_reader_take(h, reply->element[2], "", false);
    redis_lane_free(h->take, reply);
    return true;
}

const struct redis_source redis_channel_source = {.begin = begin, .begun = begun};
