/*
 * Who is primary, according to whom (JUDGING: Roles). `leader` is what more than half of all
 * sentinels name, dead ones counted; `claims_leader` is each server's own ROLE. Without sentinels
 * nobody arbitrates: the leader is the only server that says so, and with two there is none.
 */
#include "systems/redis/redis.h"

#include <string.h>

static int only_claimant(const struct redis_view *views, unsigned servers)
{
    int found = -1;

    for (unsigned i = 0; i < servers; i++) {
        if (!views[i].answered || !views[i].primary)
            continue;
        if (found >= 0)
            return -1;
        found = (int)i;
    }
    return found;
}

int redis_primary(const struct cluster *cluster, const struct redis_view *views, uint32_t *epoch)
{
    const struct redis_config *c = redis_config(cluster);
    unsigned servers = redis_servers(c), sentinels = redis_sentinels(c);
    unsigned votes[REDIS_NODES_MAX] = {0};

    if (epoch)
        *epoch = 0;
    if (sentinels == 0)
        return only_claimant(views, servers);
    for (unsigned i = servers; i < servers + sentinels; i++)
        if (views[i].answered && views[i].names >= 0)
            votes[views[i].names]++;
    for (unsigned i = 0; i < servers; i++) {
        if (votes[i] * 2 <= sentinels)
            continue;
        for (unsigned s = servers; epoch && s < servers + sentinels; s++)
            if (views[s].names == (int)i && views[s].epoch > *epoch)
                *epoch = views[s].epoch;
        return (int)i;
    }
    return -1;
}

static void say(const struct cluster *cluster, struct role_table *table, unsigned index,
                uint16_t source, enum role_kind kind, uint32_t epoch)
{
    role_table_fact(table, (struct role_fact){.unit = NO_UNIT,
                                              .node = cluster->nodes[index].plan->id,
                                              .source = source,
                                              .kind = (uint16_t)kind,
                                              .epoch = epoch,
                                              .seen_ns = clock_now_ns()});
}

/* How many messages each list and stream of ours holds, by the primary's word. */
static void gauge_units(struct cluster *cluster, struct role_table *table, unsigned primary,
                        struct deadline deadline)
{
    const struct plan_case *plan = cluster->plan;
    unsigned self = (unsigned)(cluster->spec - plan->clusters);

    for (size_t d = 0; d < plan->n_dests; d++) {
        const struct plan_dest *dest = &plan->dests[d];
        redisReply *reply;

        if (dest->cluster != self || dest->group || dest->kind == UNIT_KEYS)
            continue;
        reply = redis_ask(cluster, primary, deadline_within(deadline, 200 * MS_NS), NULL,
                          dest->kind == UNIT_STREAM ? "XLEN %s" : "LLEN %s", dest->name);
        if (!reply)
            return;
        if (reply->type == REDIS_REPLY_INTEGER)
            role_table_gauge(table, (struct gauge){.unit = dest->first_unit,
                                                   .kind = GAUGE_READY,
                                                   .value = reply->integer,
                                                   .seen_ns = clock_now_ns()});
        freeReplyObject(reply);
    }
}

int redis_observe(struct cluster *cluster, struct role_table *table, struct deadline deadline,
                  struct err *err)
{
    struct redis_view views[REDIS_NODES_MAX];
    uint32_t epoch;
    int primary;

    (void)err; /* a node that does not answer has no role: that is what there is to see */
    redis_look(cluster, views, deadline);
    primary = redis_primary(cluster, views, &epoch);
    if (primary >= 0)
        say(cluster, table, (unsigned)primary, NO_NODE, ROLE_LEADER, epoch);
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        uint16_t self = cluster->nodes[i].plan->id;

        if (!views[i].answered)
            continue;
        say(cluster, table, i, NO_NODE, ROLE_REGISTERED, 0);
        if (views[i].sentinel)
            continue;
        say(cluster, table, i, self, views[i].primary ? ROLE_CLAIMS_LEADER : ROLE_FOLLOWER, 0);
        if (views[i].linked)
            say(cluster, table, i, self, ROLE_IN_SYNC, 0);
    }
    if (primary >= 0 && views[primary].answered)
        gauge_units(cluster, table, (unsigned)primary, deadline);
    return 0;
}
