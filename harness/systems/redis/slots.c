/*
 * Redis Cluster: which slot a key is in, who serves it according to whom, and the nodes.conf a node
 * starts with, so that all know each other before they first meet.
 *
 * A slot's owner is what more than half of all servers name (CLUSTER SLOTS), dead ones counted: a
 * primary that was cut off goes on naming itself until its node timeout is over. Source:
 * redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec.
 */
#include "systems/redis/redis.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 16384u

/* CRC16 of the XMODEM kind, as the specification's appendix has it. */
static unsigned crc16(const char *bytes, size_t n)
{
    unsigned crc = 0;

    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned)(unsigned char)bytes[i] << 8;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ (crc & 0x8000u ? 0x1021u : 0)) & 0xffffu;
    }
    return crc;
}

/* Only what stands between the first { and the next } counts, where there is something. */
unsigned redis_slot_of(const char *key)
{
    const char *open = strchr(key, '{');
    const char *close = open ? strchr(open, '}') : NULL;

    if (close && close > open + 1)
        return crc16(open + 1, (size_t)(close - open - 1)) % SLOTS;
    return crc16(key, strlen(key)) % SLOTS;
}

/* [[first, last, [ip, port, id], …] …] */
const char *redis_slot_address(const redisReply *slots, unsigned slot)
{
    for (size_t i = 0; slots->type == REDIS_REPLY_ARRAY && i < slots->elements; i++) {
        const redisReply *range = slots->element[i];

        if (range->elements >= 3 && range->element[0]->integer <= (long long)slot &&
            range->element[1]->integer >= (long long)slot && range->element[2]->elements >= 2)
            return range->element[2]->element[0]->str;
    }
    return NULL;
}

int redis_owner(struct cluster *cluster, const char *key, struct deadline deadline)
{
    unsigned servers = redis_servers(redis_config(cluster)), votes[REDIS_NODES_MAX] = {0};

    for (unsigned i = 0; i < servers; i++) {
        redisReply *reply =
            redis_ask(cluster, i, deadline_within(deadline, 200 * MS_NS), NULL, "CLUSTER SLOTS");
        const char *address = reply ? redis_slot_address(reply, redis_slot_of(key)) : NULL;
        int node = address ? redis_node_at(cluster, address) : -1;

        if (node >= 0)
            votes[node]++;
        if (reply)
            freeReplyObject(reply);
    }
    for (unsigned i = 0; i < servers; i++)
        if (votes[i] * 2 > servers)
            return (int)i;
    return -1;
}

/* ---- nodes.conf */

static const char *node_id(struct arena *arena, unsigned index)
{
    return arena_printf(arena, "a55b%036x", index + 1);
}

unsigned redis_cluster_primary_of(const struct redis_config *c, unsigned index)
{
    return index % (unsigned)c->redis.primaries;
}

static const char *node_line(const struct cluster *cluster, unsigned index, unsigned self)
{
    const struct redis_config *c = redis_config(cluster);
    unsigned primaries = (unsigned)c->redis.primaries, of = redis_cluster_primary_of(c, index);
    const char *address = cluster->plan->nodes[cluster->spec->first_node + index].address;
    const char *me = index == self ? "myself," : "";

    if (index >= primaries)
        return arena_printf(cluster->arena, "%s %s:%d@%d %sslave %s 0 0 %u connected\n",
                            node_id(cluster->arena, index), address, REDIS_PORT, REDIS_BUS_PORT, me,
                            node_id(cluster->arena, of), of + 1);
    return arena_printf(cluster->arena, "%s %s:%d@%d %smaster - 0 0 %u connected %u-%u\n",
                        node_id(cluster->arena, index), address, REDIS_PORT, REDIS_BUS_PORT, me,
                        index + 1, SLOTS * index / primaries, SLOTS * (index + 1) / primaries - 1);
}

const char *redis_nodes_conf(const struct cluster *cluster, unsigned self)
{
    const struct redis_config *c = redis_config(cluster);
    const char *text = "";

    for (unsigned i = 0; i < redis_servers(c); i++)
        text = arena_printf(cluster->arena, "%s%s", text, node_line(cluster, i, self));
    return arena_printf(cluster->arena, "%svars currentEpoch %u lastVoteEpoch 0\n", text,
                        (unsigned)c->redis.primaries);
}
