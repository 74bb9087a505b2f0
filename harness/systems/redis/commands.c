/*
 * Script verbs of Redis alone: the operator's and the sentinels' ways to move the primary.
 *
 *     - failover: {}                      SENTINEL FAILOVER; without sentinels FAILOVER of the primary
 *     - cluster_failover: {to: $replica, how: force}   CLUSTER FAILOVER of Redis Cluster
 *     - promote: $replica                 REPLICAOF NO ONE there, the others that answer follow it
 *     - follow: $old                      REPLICAOF the present primary
 *     - kill_clients: {node: primary, type: pubsub}   CLIENT KILL TYPE
 */
#include "systems/redis/redis.h"

#include <stdlib.h>
#include <string.h>

#define TRY_EVERY_NS (10 * MS_NS)
#define ASK_AGAIN_NS (3 * SECOND_NS) /* a failover takes under a second with fast timing */
/* cluster.h CLUSTER_MF_TIMEOUT: what is not done after 5 s is given up by both without a word */
#define ASK_CLUSTER_AGAIN_NS (6 * SECOND_NS)

struct node_args {
    const struct expr *node; /* resolved by run/ into the target */
    bool alone;
};
static const struct param failover_params[] = {{0}};

static const char *const cluster_ways[] = {"default", "force", "takeover", NULL};
static const char *const cluster_orders[] = {"CLUSTER FAILOVER", "CLUSTER FAILOVER FORCE",
                                             "CLUSTER FAILOVER TAKEOVER"};
struct cluster_failover_args {
    const struct expr *to;
    int how;
};
static const struct param cluster_failover_params[] = {
    {"to", PARAM_EXPR, offsetof(struct cluster_failover_args, to), .required = true,
     .help = "the replica that takes its primary's place"},
    {"how", PARAM_CHOICE, offsetof(struct cluster_failover_args, how), .fallback = "default",
     .choices = cluster_ways,
     .help = "default: the primary stops and the replica catches up first; force: without the "
             "primary, by vote; takeover: without a vote"},
    {0}};
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

/* Index of the primary, whatever `except` claims (-1: everybody counts). On a slow machine one look
 * may end before everybody answered: looked again. */
static int find_primary(struct cluster *cluster, int except, struct deadline deadline)
{
    struct redis_view views[REDIS_NODES_MAX];

    deadline = deadline_within(deadline, ASK_AGAIN_NS);
    for (;;) {
        int primary;

        redis_look(cluster, views, deadline);
        if (except >= 0)
            views[except].primary = false;
        primary = redis_primary(cluster, views, NULL);
        if (primary >= 0 && primary != except)
            return primary;
        if (deadline_sleep(&deadline, TRY_EVERY_NS) < 0)
            return -1;
    }
}

/* What a move is for, by one look at all. */
typedef bool goal_test(struct cluster *cluster, const struct redis_view *views, int node);

/* Somebody else than `old` is primary for the majority and says so itself. */
static bool replaced(struct cluster *cluster, const struct redis_view *views, int old)
{
    int now = redis_primary(cluster, views, NULL);

    return now >= 0 && now != old && views[now].primary;
}

static bool leads(struct cluster *cluster, const struct redis_view *views, int node)
{
    (void)cluster;
    return views[node].primary;
}

static int wait_goal(struct cluster *cluster, goal_test *reached, int node,
                     struct deadline deadline, struct err *err)
{
    struct redis_view views[REDIS_NODES_MAX];

    for (;;) {
        redis_look(cluster, views, deadline);
        if (reached(cluster, views, node))
            return 0;
        if (deadline_sleep(&deadline, TRY_EVERY_NS) < 0)
            return err_set(err, "no other primary in time");
    }
}

/* A move that whoever was asked may give up later without a word: asked again. */
struct move {
    unsigned asked;
    const char *command;
    goal_test *reached;
    int node;
    int64_t again_ns;
};

static int move_until(struct cluster *cluster, const struct move *move, struct deadline deadline,
                      struct err *err)
{
    for (;;) {
        struct err refused = {0};
        int asked = order(cluster, move->asked, deadline, &refused, move->command, NULL);
        struct deadline patience = deadline_within(deadline, move->again_ns);

        if (wait_goal(cluster, move->reached, move->node, patience, err) == 0)
            return 0;
        if (deadline_passed(&deadline)) {
            if (asked < 0)
                *err = refused;
            return -1;
        }
    }
}

static int sentinel_failover(struct cluster *cluster, int old, struct deadline deadline,
                             struct err *err)
{
    /* it gives up when it heard of no replica just now: "failover-abort-no-good-slave" */
    struct move move = {0, "SENTINEL FAILOVER " REDIS_MASTER, replaced, old, ASK_AGAIN_NS};
    struct redis_view views[REDIS_NODES_MAX];

    redis_look(cluster, views, deadline);
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        if (!views[i].sentinel || !views[i].answered)
            continue;
        move.asked = i;
        return move_until(cluster, &move, deadline, err) < 0 ? err_prefix(err, "failover") : 0;
    }
    return err_set(err, "failover: no sentinel answers");
}

static int failover(struct cluster *cluster, const void *args, uint16_t target,
                    struct deadline deadline, struct err *err)
{
    int old;

    (void)args;
    (void)target;
    if (redis_is_cluster(redis_config(cluster)))
        return err_set(err, "failover: a Redis Cluster takes cluster_failover: {to: …}");
    old = find_primary(cluster, -1, deadline);
    if (old < 0)
        return err_set(err, "failover: nobody is primary");
    if (redis_sentinels(redis_config(cluster)) > 0)
        return sentinel_failover(cluster, old, deadline, err);
    if (order(cluster, (unsigned)old, deadline, err, "FAILOVER", NULL) < 0 ||
        wait_goal(cluster, replaced, old, deadline, err) < 0)
        return err_prefix(err, "failover");
    return 0;
}

static int index_of(const struct cluster *cluster, uint16_t target, const char *verb,
                    struct err *err)
{
    for (unsigned i = 0; i < redis_servers(redis_config(cluster)); i++)
        if (cluster->nodes[i].plan->id == target)
            return (int)i;
    return err_set(err, "%s: needs one server of this cluster", verb);
}

/* Returns once the replica itself says it is primary; the others learn it over the bus. */
static int cluster_failover(struct cluster *cluster, const void *args, uint16_t target,
                            struct deadline deadline, struct err *err)
{
    const struct cluster_failover_args *a = args;
    int index = index_of(cluster, target, "cluster_failover", err);
    struct redis_view views[REDIS_NODES_MAX];
    struct move move;

    if (index < 0)
        return -1;
    if (!redis_is_cluster(redis_config(cluster)))
        return err_set(err, "cluster_failover: this is no Redis Cluster: failover, or promote");
    redis_look(cluster, views, deadline);
    if (views[index].primary)
        return err_set(err, "cluster_failover: %s is a primary already",
                       cluster->nodes[index].plan->name);
    move =
        (struct move){(unsigned)index, cluster_orders[a->how], leads, index, ASK_CLUSTER_AGAIN_NS};
    if (move_until(cluster, &move, deadline, err) < 0)
        return err_prefix(err, "cluster_failover to %s", cluster->nodes[index].plan->name);
    return 0;
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
    int index = index_of(cluster, target, "follow", err), primary;

    (void)args;
    if (index < 0)
        return -1;
    primary = find_primary(cluster, index, deadline); /* its own claim is what ends here */
    if (primary < 0)
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
    {"cluster_failover", cluster_failover_params, sizeof(struct cluster_failover_args),
     "a replica of a Redis Cluster takes its primary's place (CLUSTER FAILOVER)", cluster_failover},
    {"promote", promote_params, sizeof(struct node_args),
     "make a replica the primary by hand (REPLICAOF NO ONE) and point the others to it", promote},
    {"follow", follow_params, sizeof(struct node_args),
     "make a server a replica of the present primary (REPLICAOF)", follow},
    {"kill_clients", kill_params, sizeof(struct kill_args),
     "close a server's connections of one kind (CLIENT KILL TYPE)", kill_clients},
    {0}};
