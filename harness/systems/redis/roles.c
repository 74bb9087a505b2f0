/*
 * Who is primary, according to whom (JUDGING: Roles). `leader` is what more than half of all
 * sentinels name, dead ones counted; `claims_leader` is each server's own ROLE. Without sentinels
 * nobody arbitrates: the leader is the only server that says so, and with two there is none.
 */
#include "systems/redis/client.h"

#include <stdio.h>
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

static void say_of(const struct cluster *cluster, struct role_table *table, uint32_t unit,
                   unsigned index, uint16_t source, enum role_kind kind, uint32_t epoch)
{
    role_table_fact(table, (struct role_fact){.unit = unit,
                                              .node = cluster->nodes[index].plan->id,
                                              .source = source,
                                              .kind = (uint16_t)kind,
                                              .epoch = epoch,
                                              .seen_ns = clock_now_ns()});
}

static void say(const struct cluster *cluster, struct role_table *table, unsigned index,
                uint16_t source, enum role_kind kind, uint32_t epoch)
{
    say_of(cluster, table, NO_UNIT, index, source, kind, epoch);
}

static void gauge(struct role_table *table, uint32_t unit, enum gauge_kind kind, int64_t value)
{
    role_table_gauge(
        table,
        (struct gauge){.unit = unit, .kind = kind, .value = value, .seen_ns = clock_now_ns()});
}

static redisReply *look_up(struct cluster *cluster, unsigned primary, struct deadline deadline,
                           const char *format, const char *name)
{
    return redis_ask(cluster, primary, deadline_within(deadline, 200 * MS_NS), NULL, format, name);
}

/* How many messages it holds. A stream's groups say how many they have handed out. */
static int gauge_length(struct cluster *cluster, struct role_table *table,
                        const struct plan_dest *dest, unsigned primary, struct deadline deadline)
{
    redisReply *reply = look_up(cluster, primary, deadline,
                                dest->kind == UNIT_STREAM ? "XLEN %s" : "LLEN %s", dest->name);

    if (!reply)
        return -1;
    if (reply->type == REDIS_REPLY_INTEGER)
        gauge(table, dest->first_unit, GAUGE_READY, reply->integer);
    freeReplyObject(reply);
    return 0;
}

static void gauge_pending(struct cluster *cluster, struct role_table *table,
                          const struct plan_dest *dest, unsigned primary, struct deadline deadline)
{
    redisReply *reply = look_up(cluster, primary, deadline, "XINFO GROUPS %s", dest->name);
    int64_t sum = 0;

    if (!reply)
        return;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        const redisReply *group = reply->element[i];

        for (size_t f = 0; f + 1 < group->elements; f += 2)
            if (group->element[f]->str && strcmp(group->element[f]->str, "pending") == 0)
                sum += group->element[f + 1]->integer;
    }
    gauge(table, dest->first_unit, GAUGE_UNACKED, sum);
    freeReplyObject(reply);
}

/* Connections that read each unit, by the names readers give theirs. */
static void gauge_readers(struct cluster *cluster, struct role_table *table, unsigned primary,
                          struct deadline deadline)
{
    const struct plan_case *plan = cluster->plan;
    redisReply *reply = look_up(cluster, primary, deadline, "CLIENT LIST%s", "");

    if (!reply)
        return;
    for (uint32_t unit = 0; unit < plan->n_units; unit++) {
        char name[64];
        int64_t n = 0;

        if (&plan->clusters[plan->dests[plan->units[unit].dest].cluster] != cluster->spec)
            continue;
        snprintf(name, sizeof(name), " name=" READER_NAME_PREFIX "%u ", unit);
        for (const char *at = reply->str; at && (at = strstr(at, name)); at += strlen(name))
            n++;
        gauge(table, unit, GAUGE_OWNED, n);
    }
    freeReplyObject(reply);
}

/* Looking at a key makes it recently used: where that decides what is evicted nobody may look. */
static bool may_look(const struct redis_config *c)
{
    const char *policy = pairs_get(&c->redis_conf, "maxmemory-policy", "noeviction");

    return strcmp(policy, "noeviction") == 0;
}

static void gauge_units(struct cluster *cluster, struct role_table *table, unsigned primary,
                        struct deadline deadline)
{
    const struct plan_case *plan = cluster->plan;

    gauge_readers(cluster, table, primary, deadline);
    for (size_t d = 0; may_look(redis_config(cluster)) && d < plan->n_dests; d++) {
        const struct plan_dest *dest = &plan->dests[d];

        if (&plan->clusters[dest->cluster] != cluster->spec || dest->group ||
            dest->kind == UNIT_KEYS || dest->kind == UNIT_CHANNEL)
            continue;
        if (gauge_length(cluster, table, dest, primary, deadline) < 0)
            return;
        if (dest->kind == UNIT_STREAM)
            gauge_pending(cluster, table, dest, primary, deadline);
    }
}

/* In a cluster every key has a leader of its own, and that one's replicas follow. */
static void say_owners(struct cluster *cluster, struct role_table *table,
                       const struct redis_view *views, struct deadline deadline)
{
    const struct plan_case *plan = cluster->plan;

    for (size_t d = 0; d < plan->n_dests; d++) {
        const struct plan_dest *dest = &plan->dests[d];
        int owner;

        if (&plan->clusters[dest->cluster] != cluster->spec || dest->group ||
            (owner = redis_owner(cluster, dest->name, deadline)) < 0)
            continue;
        say_of(cluster, table, dest->first_unit, (unsigned)owner, NO_NODE, ROLE_LEADER, 0);
        for (unsigned i = 0; i < redis_servers(redis_config(cluster)); i++)
            if (views[i].answered && !views[i].primary && views[i].of == owner)
                say_of(cluster, table, dest->first_unit, i, NO_NODE, ROLE_FOLLOWER, 0);
        if (may_look(redis_config(cluster)) &&
            (dest->kind == UNIT_LIST || dest->kind == UNIT_STREAM))
            (void)gauge_length(cluster, table, dest, (unsigned)owner, deadline);
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
    primary = redis_is_cluster(redis_config(cluster)) ? -1 : redis_primary(cluster, views, &epoch);
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
        if (views[i].linked && (redis_is_cluster(redis_config(cluster)) || views[i].of == primary))
            say(cluster, table, i, self, ROLE_IN_SYNC, 0);
    }
    if (redis_is_cluster(redis_config(cluster)))
        say_owners(cluster, table, views, deadline);
    else if (primary >= 0 && views[primary].answered)
        gauge_units(cluster, table, (unsigned)primary, deadline);
    return 0;
}
