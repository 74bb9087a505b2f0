/*
 * Script verbs of Redis alone: the operator's and the sentinels' ways to move the primary.
 *
 *     - failover: {}                      SENTINEL FAILOVER; without sentinels FAILOVER of the primary
 *     - promote: $replica                 REPLICAOF NO ONE there, the others that answer follow it
 *     - follow: {node: $old, of: $new}    REPLICAOF
 *     - kill_clients: {node: primary, type: pubsub}   CLIENT KILL TYPE
 */
#include "systems/redis/redis.h"

#include <stdlib.h>
#include <string.h>

#define TRY_EVERY_NS (10 * MS_NS)
#define ASK_AGAIN_NS (3 * SECOND_NS) /* a failover takes under a second with fast timing */

struct node_args {
    const struct expr *node; /* resolved by run/ into the target */
    bool alone;
};
static const struct param failover_params[] = {{0}};
static const struct param promote_params[] = {
    {"node", PARAM_EXPR, offsetof(struct node_args, node), .required = true,
     .help = "the replica that becomes primary"},
    {"alone", PARAM_BOOL, offsetof(struct node_args, alone), .fallback = "false",
     .help = "leave the other servers as they are"},
    {0}};
static const struct param follow_params[] = {
    {"node", PARAM_EXPR, offsetof(struct node_args, node), .required = true,
     .help = "the server that becomes a replica of the present primary"},
    {0}};

static const char *const client_types[] = {"normal", "pubsub", "replica", NULL};
struct kill_args {
    const struct expr *node;
    int type;
};
static const struct param kill_params[] = {
    {"node", PARAM_EXPR, offsetof(struct kill_args, node), .required = true,
     .help = "the server that closes connections"},
    {"type", PARAM_CHOICE, offsetof(struct kill_args, type), .fallback = "normal",
     .choices = client_types, .help = "whose: ordinary clients, subscribers, replicas"},
    {0}};

static int order(struct cluster *cluster, unsigned index, struct deadline deadline, struct err *err,
                 const char *format, const char *address)
{
    redisReply *reply = address
                            ? redis_want(cluster, index, deadline, err, format, address, REDIS_PORT)
                            : redis_want(cluster, index, deadline, err, format);

    if (!reply)
        return -1;
    freeReplyObject(reply);
    return 0;
}

/* Until somebody else than `old` is primary for the majority and says so itself. */
static int wait_primary_other_than(struct cluster *cluster, int old, struct deadline deadline,
                                   struct err *err)
{
    struct redis_view views[REDIS_NODES_MAX];

    for (;;) {
        int now;

        redis_look(cluster, views, deadline);
        now = redis_primary(cluster, views, NULL);
        if (now >= 0 && now != old && views[now].primary)
            return 0;
        if (deadline_sleep(&deadline, TRY_EVERY_NS) < 0)
            return err_set(err, "no other primary in time");
    }
}

/* A sentinel may give up ("failover-abort-no-good-slave" when it heard of no replica just now):
 * asked again. */
static int sentinel_failover(struct cluster *cluster, unsigned sentinel, int old,
                             struct deadline deadline, struct err *err)
{
    for (;;) {
        struct err refused = {0};
        int asked =
            order(cluster, sentinel, deadline, &refused, "SENTINEL FAILOVER " REDIS_MASTER, NULL);
        struct deadline patience = deadline_within(deadline, ASK_AGAIN_NS);

        if (wait_primary_other_than(cluster, old, patience, err) == 0)
            return 0;
        if (deadline_passed(&deadline)) {
            if (asked < 0)
                *err = refused;
            return err_prefix(err, "failover");
        }
    }
}

static int failover(struct cluster *cluster, const void *args, uint16_t target,
                    struct deadline deadline, struct err *err)
{
    const struct redis_config *c = redis_config(cluster);
    struct redis_view views[REDIS_NODES_MAX];
    unsigned servers = redis_servers(c), sentinels = redis_sentinels(c);
    int old;

    (void)args;
    (void)target;
    redis_look(cluster, views, deadline);
    old = redis_primary(cluster, views, NULL);
    if (old < 0)
        return err_set(err, "failover: nobody is primary");
    if (sentinels == 0) {
        if (order(cluster, (unsigned)old, deadline, err, "FAILOVER", NULL) < 0)
            return -1;
        return wait_primary_other_than(cluster, old, deadline, err);
    }
    for (unsigned i = servers; i < servers + sentinels; i++)
        if (views[i].answered)
            return sentinel_failover(cluster, i, old, deadline, err);
    return err_set(err, "failover: no sentinel answers");
}

static int index_of(const struct cluster *cluster, uint16_t target, const char *verb,
                    struct err *err)
{
    for (unsigned i = 0; i < redis_servers(redis_config(cluster)); i++)
        if (cluster->nodes[i].plan->id == target)
            return (int)i;
    return err_set(err, "%s: needs one server of this cluster", verb);
}

static int promote(struct cluster *cluster, const void *args, uint16_t target,
                   struct deadline deadline, struct err *err)
{
    const struct node_args *a = args;
    int index = index_of(cluster, target, "promote", err);
    struct redis_view views[REDIS_NODES_MAX];

    if (index < 0 || order(cluster, (unsigned)index, deadline, err, "REPLICAOF NO ONE", NULL) < 0)
        return -1;
    redis_look(cluster, views, deadline);
    for (unsigned i = 0; !a->alone && i < redis_servers(redis_config(cluster)); i++)
        if ((int)i != index && views[i].answered &&
            order(cluster, i, deadline, err, "REPLICAOF %s %d",
                  cluster->nodes[index].plan->address) < 0)
            return -1;
    return 0;
}

static int follow(struct cluster *cluster, const void *args, uint16_t target,
                  struct deadline deadline, struct err *err)
{
    int index = index_of(cluster, target, "follow", err);
    struct redis_view views[REDIS_NODES_MAX];
    int primary = -1;

    (void)args;
    if (index < 0)
        return -1;
    redis_look(cluster, views, deadline);
    views[index].primary = false; /* its own claim is what ends here */
    primary = redis_primary(cluster, views, NULL);
    if (primary < 0 || primary == index)
        return err_set(err, "follow: no other primary to follow");
    return order(cluster, (unsigned)index, deadline, err, "REPLICAOF %s %d",
                 cluster->nodes[primary].plan->address);
}

/* The harness's own connections are ordinary ones and are made again when needed. */
static int kill_clients(struct cluster *cluster, const void *args, uint16_t target,
                        struct deadline deadline, struct err *err)
{
    const struct kill_args *a = args;
    int index = index_of(cluster, target, "kill_clients", err);
    redisReply *reply;

    if (index < 0)
        return -1;
    reply = redis_want(cluster, (unsigned)index, deadline, err, "CLIENT KILL TYPE %s SKIPME yes",
                       client_types[a->type]);
    if (!reply)
        return -1;
    freeReplyObject(reply);
    return 0;
}

const struct system_command redis_commands[] = {
    {"failover", failover_params, sizeof(struct node_args),
     "ask a sentinel to fail over (SENTINEL FAILOVER); without sentinels FAILOVER of the primary",
     failover},
    {"promote", promote_params, sizeof(struct node_args),
     "make a replica the primary by hand (REPLICAOF NO ONE) and point the others to it", promote},
    {"follow", follow_params, sizeof(struct node_args),
     "make a server a replica of the present primary (REPLICAOF)", follow},
    {"kill_clients", kill_params, sizeof(struct kill_args),
     "close a server's connections of one kind (CLIENT KILL TYPE)", kill_clients},
    {0}};
