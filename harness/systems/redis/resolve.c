/*
 * Which node is the primary, found the way a client library finds it (redis.io: Guidelines for
 * Redis clients with support for Sentinel): the first sentinel that answers names it, the named
 * server must say ROLE master itself. Without sentinels the servers are asked one by one.
 */
#include "systems/redis/client.h"

#include <stdlib.h>
#include <string.h>

static redisReply *ask_once(const struct plan_node *node, int port, int64_t timeout_ns,
                            const char *command)
{
    struct timeval tv = {.tv_sec = timeout_ns / SECOND_NS,
                         .tv_usec = timeout_ns % SECOND_NS / 1000};
    redisContext *c = redisConnectWithTimeout(node->address, port, tv);
    redisReply *reply = NULL;

    if (!c)
        abort(); /* out of memory */
    if (!c->err && redisSetTimeout(c, tv) == REDIS_OK)
        reply = redisCommand(c, command);
    redisFree(c);
    return reply;
}

static bool says_primary(const struct plan_node *node, int64_t timeout_ns)
{
    redisReply *reply = ask_once(node, REDIS_PORT, timeout_ns, "ROLE");
    bool primary = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                   reply->element[0]->str && strcmp(reply->element[0]->str, "master") == 0;

    if (reply)
        freeReplyObject(reply);
    return primary;
}

static const struct plan_node *node_at(const struct plan_case *plan,
                                       const struct plan_cluster *spec, const char *address)
{
    for (unsigned i = 0; i < spec->n_nodes; i++)
        if (strcmp(plan->nodes[spec->first_node + i].address, address) == 0)
            return &plan->nodes[spec->first_node + i];
    return NULL;
}

static const struct plan_node *by_sentinel(const struct plan_case *plan,
                                           const struct plan_cluster *spec, int64_t timeout_ns,
                                           struct err *err)
{
    const struct redis_config *config = spec->config;
    unsigned servers = redis_servers(config);

    for (unsigned i = servers; i < spec->n_nodes; i++) {
        const struct plan_node *found = NULL;
        redisReply *reply = ask_once(&plan->nodes[spec->first_node + i], SENTINEL_PORT, timeout_ns,
                                     "SENTINEL GET-MASTER-ADDR-BY-NAME " REDIS_MASTER);

        if (!reply)
            continue;
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
            found = node_at(plan, spec, reply->element[0]->str);
        freeReplyObject(reply);
        if (found && says_primary(found, timeout_ns))
            return found;
        err_set(err, "%s names %s, which does not say it is primary",
                plan->nodes[spec->first_node + i].name, found ? found->name : "nobody of ours");
        return NULL;
    }
    err_set(err, "no sentinel answers");
    return NULL;
}

static const struct plan_node *slot_owner(const struct plan_case *plan,
                                          const struct plan_cluster *spec,
                                          const struct plan_node *asked, const char *key,
                                          int64_t timeout_ns)
{
    redisReply *reply = ask_once(asked, REDIS_PORT, timeout_ns, "CLUSTER SLOTS");
    const char *address = reply ? redis_slot_address(reply, redis_slot_of(key)) : NULL;
    const struct plan_node *found = address ? node_at(plan, spec, address) : NULL;

    if (reply)
        freeReplyObject(reply);
    return found && says_primary(found, timeout_ns) ? found : NULL;
}

static const struct plan_node *by_slot(const struct plan_case *plan,
                                       const struct plan_cluster *spec, const char *key,
                                       uint16_t stay, int64_t timeout_ns, struct err *err)
{
    const struct plan_node *found =
        stay != NO_NODE ? slot_owner(plan, spec, &plan->nodes[stay], key, timeout_ns) : NULL;

    for (unsigned i = 0; !found && i < redis_servers(spec->config); i++)
        found = slot_owner(plan, spec, &plan->nodes[spec->first_node + i], key, timeout_ns);
    if (!found)
        err_set(err, "nobody names a primary that serves the slot of \"%s\"", key);
    return found;
}

const struct plan_node *redis_resolve(const struct plan_case *plan, unsigned cluster,
                                      const char *key, uint16_t stay, int64_t timeout_ns,
                                      struct err *err)
{
    const struct plan_cluster *spec = &plan->clusters[cluster];
    const struct redis_config *config = spec->config;

    if (redis_is_cluster(config))
        return by_slot(plan, spec, key ? key : "", stay, timeout_ns, err);
    if (redis_sentinels(config) > 0)
        return by_sentinel(plan, spec, timeout_ns, err);
    if (stay != NO_NODE && says_primary(&plan->nodes[stay], timeout_ns))
        return &plan->nodes[stay];
    for (unsigned i = 0; i < redis_servers(config); i++) {
        const struct plan_node *node = &plan->nodes[spec->first_node + i];

        if (node->id != stay && says_primary(node, timeout_ns))
            return node;
    }
    err_set(err, "no server says it is primary");
    return NULL;
}
