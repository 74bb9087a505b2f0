/*
 * Fault squeeze on Redis: maxmemory is lowered to a little less than the server uses, by a part of
 * it that a few hundred small keys make up: more would leave it nothing to evict, since most of
 * what a small server uses is no data. What it does then is its maxmemory-policy's affair: it
 * evicts until it fits, or refuses writes (redis.io, "Key eviction"). Healing puts back what the
 * suite has.
 */
#include "systems/redis/redis.h"

#include <stdlib.h>
#include <string.h>

#define PART 32

static long long used_memory(struct cluster *cluster, unsigned index, struct deadline deadline,
                             struct err *err)
{
    redisReply *reply = redis_want(cluster, index, deadline, err, "INFO memory");
    char text[32];
    long long used =
        reply && redis_info_field(reply->str, "used_memory", text, sizeof(text)) ? atoll(text) : -1;

    if (reply)
        freeReplyObject(reply);
    if (reply && used < 0)
        return err_set(err, "INFO memory does not say used_memory");
    return used;
}

int redis_squeeze(struct cluster *cluster, struct node *node, bool on, struct deadline deadline,
                  struct err *err)
{
    const char *user = pairs_get(&redis_config(cluster)->redis_conf, "maxmemory", "0");
    unsigned index = node->plan->index;
    long long used = on ? used_memory(cluster, index, deadline, err) : 0;
    redisReply *reply;

    if (used < 0)
        return -1;
    reply = on ? redis_want(cluster, index, deadline, err, "CONFIG SET maxmemory %lld",
                            used - used / PART)
               : redis_want(cluster, index, deadline, err, "CONFIG SET maxmemory %s", user);
    if (!reply)
        return -1;
    freeReplyObject(reply);
    return 0;
}
