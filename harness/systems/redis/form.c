/*
 * Bring-up: from started processes to a cluster that serves: every server answers, replicas are
 * linked, every sentinel knows them, the other sentinels and the same primary. And its relatives:
 * a node that came back, a cluster emptied for the next case, the configuration read back.
 *
 * timing: fast shortens the sentinels' periods through SENTINEL DEBUG right after their start (and
 * again after each restart: they are not kept in sentinel.conf).
 */
#include "systems/redis/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRY_EVERY_NS (5 * MS_NS)

static const char *name_of(const struct cluster *cluster, unsigned index)
{
    return cluster->nodes[index].plan->name;
}

/* PING until it says PONG (a server that loads its dataset says LOADING). */
static int wait_answers(struct cluster *cluster, unsigned index, struct deadline deadline,
                        struct err *err)
{
    for (;;) {
        struct err last = {0};
        redisReply *reply = redis_ask(cluster, index, deadline, &last, "PING");
        bool pong = reply && reply->type == REDIS_REPLY_STATUS;

        if (reply && !pong)
            err_set(&last, "%s: PING answers %.200s", name_of(cluster, index),
                    reply->str ? reply->str : "nothing");
        if (reply)
            freeReplyObject(reply);
        if (pong)
            return 0;
        if (deadline_sleep(&deadline, TRY_EVERY_NS) < 0)
            return err_set(err, "node %s: does not answer PING: %s", name_of(cluster, index),
                           last.text);
    }
}

static int quicken_sentinel(struct cluster *cluster, unsigned index, struct deadline deadline,
                            struct err *err)
{
    redisReply *reply;

    if (redis_config(cluster)->redis.timing != TIMING_FAST)
        return 0;
    reply = redis_want(cluster, index, deadline, err,
                       "SENTINEL DEBUG info-period 200 ping-period 100 ask-period 100 "
                       "publish-period 200 min-link-reconnect-period 200 "
                       "slave-reconf-timeout 1000 election-timeout 1000");
    if (!reply)
        return -1;
    freeReplyObject(reply);
    return 0;
}

/* A replica that started before its primary tries again only a second later: point it there anew.
 * Both commands in one transaction, so that nobody sees it as a primary in between. */
static void kick_replica(struct cluster *cluster, unsigned index, unsigned primary,
                         struct deadline deadline)
{
    static const char *const commands[] = {"MULTI", "REPLICAOF NO ONE", NULL, "EXEC"};

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        redisReply *reply = commands[i]
                                ? redis_ask(cluster, index, deadline, NULL, commands[i])
                                : redis_ask(cluster, index, deadline, NULL, "REPLICAOF %s %d",
                                            cluster->nodes[primary].plan->address, REDIS_PORT);

        if (!reply)
            return;
        freeReplyObject(reply);
    }
}

/* Why the servers are not yet one primary with linked replicas; false: they are. */
static bool servers_apart(struct cluster *cluster, const struct redis_view *views, unsigned primary,
                          char *why, size_t size)
{
    unsigned servers = redis_servers(redis_config(cluster));

    for (unsigned i = 0; i < servers; i++) {
        const struct redis_view *v = &views[i];

        if (!v->answered)
            snprintf(why, size, "%s does not answer", name_of(cluster, i));
        else if (i == primary && !v->primary)
            snprintf(why, size, "%s is not primary", name_of(cluster, i));
        else if (i == primary && v->replicas != servers - 1)
            snprintf(why, size, "%s sees %u of %u replicas", name_of(cluster, i), v->replicas,
                     servers - 1);
        else if (i != primary && (v->of != (int)primary || !v->linked))
            snprintf(why, size, "%s is not linked to %s", name_of(cluster, i),
                     name_of(cluster, primary));
        else
            continue;
        return true;
    }
    return false;
}

static bool sentinels_apart(struct cluster *cluster, const struct redis_view *views,
                            unsigned primary, char *why, size_t size)
{
    const struct redis_config *c = redis_config(cluster);
    unsigned servers = redis_servers(c), sentinels = redis_sentinels(c);

    for (unsigned i = servers; i < servers + sentinels; i++) {
        const struct redis_view *v = &views[i];

        if (!v->answered)
            snprintf(why, size, "%s does not answer", name_of(cluster, i));
        else if (v->names != (int)primary || !v->steady)
            snprintf(why, size, "%s does not see %s as a healthy primary", name_of(cluster, i),
                     name_of(cluster, primary));
        else if (v->knows_replicas != servers - 1 || v->knows_sentinels != sentinels - 1)
            snprintf(why, size, "%s knows %lld replicas and %lld sentinels", name_of(cluster, i),
                     (long long)v->knows_replicas, (long long)v->knows_sentinels);
        else
            continue;
        return true;
    }
    return false;
}

static const char *field_of(const redisReply *flat, const char *name)
{
    for (size_t f = 0; f + 1 < flat->elements; f += 2)
        if (flat->element[f]->str && strcmp(flat->element[f]->str, name) == 0)
            return flat->element[f + 1]->str;
    return "";
}

/* Every sentinel has heard from every replica whose replica it is ("?" before its first INFO): such
 * a one can be promoted. Their link is not asked for here: where the first INFO came before the
 * link was up, the next is a fixed second away (sentinel.c sentinelSendPeriodicCommands). */
static bool replicas_unseen(struct cluster *cluster, unsigned leader, struct deadline deadline,
                            char *why, size_t size)
{
    const struct redis_config *c = redis_config(cluster);
    const char *primary = cluster->nodes[leader].plan->address;
    unsigned servers = redis_servers(c), sentinels = redis_sentinels(c);

    for (unsigned i = servers; i < servers + sentinels; i++) {
        redisReply *reply =
            redis_ask(cluster, i, deadline, NULL, "SENTINEL REPLICAS %s", REDIS_MASTER);
        unsigned heard = 0;

        for (size_t r = 0; reply && reply->type == REDIS_REPLY_ARRAY && r < reply->elements; r++)
            heard += strcmp(field_of(reply->element[r], "master-host"), primary) == 0 &&
                     strcmp(field_of(reply->element[r], "flags"), "slave") == 0;
        if (reply)
            freeReplyObject(reply);
        if (heard == servers - 1)
            continue;
        snprintf(why, size, "%s has heard from %u of %u replicas", name_of(cluster, i), heard,
                 servers - 1);
        return true;
    }
    return false;
}

/* Whom all must follow: on a machine that stands still for half a second the sentinels may have
 * moved the primary before the first look. It is where they say. */
/* Every server calls the cluster whole, every replica is linked to its primary. */
static bool cluster_apart(struct cluster *cluster, const struct redis_view *views,
                          struct deadline deadline, char *why, size_t size)
{
    const struct redis_config *c = redis_config(cluster);

    for (unsigned i = 0; i < redis_servers(c); i++) {
        redisReply *reply = redis_ask(cluster, i, deadline, NULL, "CLUSTER INFO");
        bool whole = reply && reply->str && strstr(reply->str, "cluster_state:ok");
        unsigned of = redis_cluster_primary_of(c, i);

        if (reply)
            freeReplyObject(reply);
        if (!whole)
            snprintf(why, size, "%s does not call the cluster ok", name_of(cluster, i));
        else if (i >= (unsigned)c->redis.primaries && (views[i].of != (int)of || !views[i].linked))
            snprintf(why, size, "%s is not linked to %s", name_of(cluster, i),
                     name_of(cluster, of));
        else
            continue;
        return true;
    }
    return false;
}

static int wait_cluster(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    struct redis_view views[REDIS_NODES_MAX];
    char why[200] = "";

    do {
        redis_look(cluster, views, deadline);
        if (!cluster_apart(cluster, views, deadline, why, sizeof(why)))
            return 0;
    } while (deadline_sleep(&deadline, 10 * TRY_EVERY_NS) == 0);
    return err_set(err, "not formed: %s", why);
}

static int wait_formed(struct cluster *cluster, unsigned *leader, struct deadline deadline,
                       struct err *err)
{
    struct redis_view views[REDIS_NODES_MAX];
    unsigned servers = redis_servers(redis_config(cluster));
    char why[200] = "";

    for (;;) {
        int named;

        redis_look(cluster, views, deadline);
        named = redis_primary(cluster, views, NULL);
        *leader = named > 0 ? (unsigned)named : 0;
        for (unsigned i = 0; i < servers; i++)
            if (i != *leader && views[i].connecting &&
                redis_config(cluster)->redis.timing == TIMING_FAST)
                kick_replica(cluster, i, *leader, deadline);
        if (!servers_apart(cluster, views, *leader, why, sizeof(why)) &&
            !sentinels_apart(cluster, views, *leader, why, sizeof(why)) &&
            !replicas_unseen(cluster, *leader, deadline, why, sizeof(why)))
            return 0;
        if (deadline_sleep(&deadline, TRY_EVERY_NS) < 0)
            return err_set(err, "not formed: %s", why);
    }
}

/* After a diskless sync a replica counts as linked before the stream flows (it starts with the next
 * ACK): a PUBLISH moves the offset without touching a key, WAIT says who followed it. */
static int wait_stream(struct cluster *cluster, unsigned leader, struct deadline deadline,
                       struct err *err)
{
    unsigned replicas = redis_servers(redis_config(cluster)) - 1;
    redisReply *reply = redis_want(cluster, leader, deadline, err, "PUBLISH assay formed");
    long long following;

    if (!reply)
        return -1;
    freeReplyObject(reply);
    do {
        reply = redis_want(cluster, leader, deadline, err, "WAIT %u 100", replicas);
        if (!reply)
            return -1;
        following = reply->integer;
        freeReplyObject(reply);
        if (following >= replicas)
            return 0;
    } while (!deadline_passed(&deadline));
    return err_set(err, "not formed: %lld of %u replicas follow the primary", following, replicas);
}

int redis_form(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    unsigned servers = redis_servers(redis_config(cluster)), leader;

    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        if (wait_answers(cluster, i, deadline, err) < 0)
            return -1;
        if (i >= servers && quicken_sentinel(cluster, i, deadline, err) < 0)
            return -1;
    }
    if (redis_is_cluster(redis_config(cluster))) {
        if (wait_cluster(cluster, deadline, err) < 0)
            return -1;
    } else {
        if (wait_formed(cluster, &leader, deadline, err) < 0)
            return -1;
        if (servers > 1 && wait_stream(cluster, leader, deadline, err) < 0)
            return -1;
    }
    redis_counts_begin(cluster, deadline);
    return 0;
}

/* The server itself answers again with a role; a sentinel names a primary. */
int redis_rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                   struct err *err)
{
    unsigned index = node->plan->index;
    struct redis_view views[REDIS_NODES_MAX];

    if (wait_answers(cluster, index, deadline, err) < 0)
        return -1;
    if (index >= redis_servers(redis_config(cluster)) &&
        quicken_sentinel(cluster, index, deadline, err) < 0)
        return -1;
    for (;;) {
        redis_look(cluster, views, deadline);
        if (views[index].answered && (!views[index].sentinel || views[index].names >= 0))
            return 0;
        if (deadline_sleep(&deadline, TRY_EVERY_NS) < 0)
            return err_set(err, "node %s: answers PING but has no role", node->plan->name);
    }
}

static int wait_empty(struct cluster *cluster, unsigned index, struct deadline deadline,
                      struct err *err)
{
    for (;;) {
        redisReply *reply = redis_want(cluster, index, deadline, err, "DBSIZE");
        long long left = reply ? reply->integer : -1;

        if (!reply)
            return -1;
        freeReplyObject(reply);
        if (left == 0)
            return 0;
        if (deadline_sleep(&deadline, TRY_EVERY_NS) < 0)
            return err_set(err, "%s still holds %lld keys after FLUSHALL", name_of(cluster, index),
                           left);
    }
}

/* Roles as at the start, nothing stored anywhere; a cluster that failed over is made anew instead.
 */
int redis_reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                struct err *err)
{
    struct redis_view views[REDIS_NODES_MAX];
    unsigned servers = redis_servers(redis_config(cluster));
    redisReply *reply;
    char why[200];

    (void)next; /* keys need no making */
    if (redis_is_cluster(redis_config(cluster)))
        return err_set(err, "a Redis Cluster is made anew for every case");
    redis_look(cluster, views, deadline);
    if (servers_apart(cluster, views, 0, why, sizeof(why)) ||
        sentinels_apart(cluster, views, 0, why, sizeof(why)))
        return err_set(err, "roles are not as at the start: %s", why);
    reply = redis_want(cluster, 0, deadline, err, "FLUSHALL SYNC");
    if (!reply)
        return -1;
    freeReplyObject(reply);
    for (unsigned i = 0; i < servers; i++)
        if (wait_empty(cluster, i, deadline, err) < 0)
            return -1;
    redis_limits(cluster, true, deadline);
    redis_counts_begin(cluster, deadline);
    return 0;
}

static void put_flat(const redisReply *flat, const struct kv_sink *sink, const char *node)
{
    for (size_t i = 0; i + 1 < flat->elements; i += 2)
        if (flat->element[i]->str && flat->element[i + 1]->str)
            sink->put(sink->context, node, flat->element[i]->str, flat->element[i + 1]->str);
}

int redis_effective(struct cluster *cluster, const struct kv_sink *sink, struct deadline deadline,
                    struct err *err)
{
    unsigned servers = redis_servers(redis_config(cluster));

    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        redisReply *reply =
            i < servers ? redis_want(cluster, i, deadline, err, "CONFIG GET *")
                        : redis_want(cluster, i, deadline, err, "SENTINEL MASTER %s", REDIS_MASTER);

        if (!reply)
            return -1;
        put_flat(reply, sink, name_of(cluster, i));
        freeReplyObject(reply);
    }
    return 0;
}
