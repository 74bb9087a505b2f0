/*
 * What consumers have left to do at the end, by the primary's own word: in the list, in processing
 * lists, under a visibility timeout, pending in a group or behind its last delivery.
 *
 * Open is what somebody may still take; stuck is what is held for consumers that are dead for good
 * while no reaper and no claim looks after it: consumers are as done then as they will ever be.
 * Counter-example: a slow consumer's pending messages are open, whatever the time that has passed.
 */
#include "systems/redis/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct look {
    struct cluster *cluster;
    unsigned primary;
    const struct plan_dest *dest;
    struct deadline deadline;
    struct redis_rest rest;
};

static bool same(const char *name, const struct look *l)
{
    return name && strcmp(name, l->dest->name) == 0;
}

/* The arguments of client i where it speaks Redis; NULL. */
static const struct redis_client_args *args_of(const struct plan_case *plan, size_t i)
{
    return plan->clients[i].broker == &redis_broker ? plan->clients[i].broker_args : NULL;
}

static bool is_dead(const struct look *l, unsigned client_id)
{
    const struct cluster *c = l->cluster;

    return c->dead_clients && client_id < c->plan->n_client_ids && c->dead_clients[client_id];
}

static void count(struct look *l, int64_t n, bool stuck)
{
    if (n < 0)
        l->rest.open = -1; /* not known */
    else if (stuck)
        l->rest.stuck += n;
    else if (l->rest.open >= 0)
        l->rest.open += n;
}

static int64_t ask_number(struct look *l, const char *format, const char *name)
{
    redisReply *reply = redis_ask(l->cluster, l->primary, l->deadline, NULL, format, name);
    int64_t n = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;

    if (reply)
        freeReplyObject(reply);
    return n;
}

/* ---- lists */

static bool reaped(const struct look *l)
{
    const struct plan_case *plan = l->cluster->plan;

    for (size_t i = 0; i < plan->n_clients; i++)
        if (args_of(plan, i) && same(args_of(plan, i)->reap.list, l))
            return true;
    return false;
}

static void look_at_list_reader(struct look *l, const struct plan_client *client,
                                const struct redis_client_args *args, bool reaper, bool *unacked)
{
    char name[128];
    bool all_dead = true;

    for (uint16_t k = 0; k < client->instances; k++) {
        unsigned id = (unsigned)client->first_id + k;

        all_dead &= is_dead(l, id);
        if (args->consume.mode != TAKE_BLMOVE)
            continue;
        redis_processing_name(args, (uint16_t)id, name, sizeof(name));
        count(l, ask_number(l, "LLEN %s", name), is_dead(l, id) && !reaper);
    }
    if (args->consume.mode == TAKE_VISIBILITY)
        *unacked &= all_dead && !reaper;
}

static void look_at_list(struct look *l)
{
    const struct plan_case *plan = l->cluster->plan;
    bool reaper = reaped(l), unacked_is_stuck = true;
    char name[128];

    count(l, ask_number(l, "LLEN %s", l->dest->name), false);
    for (size_t i = 0; i < plan->n_clients; i++)
        if (args_of(plan, i) && same(args_of(plan, i)->consume.list, l))
            look_at_list_reader(l, &plan->clients[i], args_of(plan, i), reaper, &unacked_is_stuck);
    redis_unacked_name(l->dest->name, name, sizeof(name));
    count(l, ask_number(l, "ZCARD %s", name), unacked_is_stuck);
}

/* ---- streams */

static const redisReply *map_value(const redisReply *flat, const char *key)
{
    for (size_t i = 0; i + 1 < flat->elements; i += 2)
        if (flat->element[i]->str && strcmp(flat->element[i]->str, key) == 0)
            return flat->element[i + 1];
    return NULL;
}

static bool claimed(const struct look *l, const char *group)
{
    const struct plan_case *plan = l->cluster->plan;

    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct redis_client_args *a = args_of(plan, i);

        if (a && same(a->consume.stream, l) && strcmp(a->consume.group, group) == 0 &&
            a->consume.claim_ns > 0)
            return true;
    }
    return false;
}

/* Consumers are called after their client: "c3.0" is client 3, worker 0 (redis_reader_open). */
static void look_at_pending(struct look *l, const char *group)
{
    redisReply *consumers = redis_ask(l->cluster, l->primary, l->deadline, NULL,
                                      "XINFO CONSUMERS %s %s", l->dest->name, group);
    bool claims = claimed(l, group);

    if (!consumers || consumers->type != REDIS_REPLY_ARRAY)
        count(l, -1, false);
    for (size_t i = 0; consumers && consumers->type == REDIS_REPLY_ARRAY && i < consumers->elements;
         i++) {
        const redisReply *name = map_value(consumers->element[i], "name");
        const redisReply *pending = map_value(consumers->element[i], "pending");
        unsigned id = UINT32_MAX;

        if (name && name->str)
            (void)sscanf(name->str, "c%u.", &id);
        count(l, pending ? pending->integer : -1, is_dead(l, id) && !claims);
    }
    if (consumers)
        freeReplyObject(consumers);
}

static void look_at_group(struct look *l, const redisReply *group, const char *last)
{
    const redisReply *name = map_value(group, "name");
    const redisReply *delivered = map_value(group, "last-delivered-id");

    if (!name || !name->str || !delivered || !delivered->str) {
        count(l, -1, false);
        return;
    }
    count(l, redis_stream_position(delivered->str) < redis_stream_position(last), false);
    look_at_pending(l, name->str);
}

static void look_at_stream(struct look *l)
{
    redisReply *info =
        redis_ask(l->cluster, l->primary, l->deadline, NULL, "XINFO STREAM %s", l->dest->name);
    redisReply *groups =
        redis_ask(l->cluster, l->primary, l->deadline, NULL, "XINFO GROUPS %s", l->dest->name);
    const redisReply *last =
        info && info->type == REDIS_REPLY_ARRAY ? map_value(info, "last-generated-id") : NULL;

    if (!groups || groups->type != REDIS_REPLY_ARRAY || !last || !last->str)
        count(l, -1, false);
    else
        for (size_t i = 0; i < groups->elements; i++)
            look_at_group(l, groups->element[i], last->str);
    if (info)
        freeReplyObject(info);
    if (groups)
        freeReplyObject(groups);
}

/* ---- */

static bool is_read(const struct look *l)
{
    const struct plan_case *plan = l->cluster->plan;

    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct redis_client_args *a = args_of(plan, i);

        if (a && (same(a->consume.list, l) || same(a->consume.stream, l)))
            return true;
    }
    return false;
}

struct redis_rest redis_rest(struct cluster *cluster, unsigned primary,
                             const struct plan_dest *dest, struct deadline deadline)
{
    struct look l = {.cluster = cluster, .primary = primary, .dest = dest, .deadline = deadline};

    l.rest.read = is_read(&l);
    if (l.rest.read && dest->kind == UNIT_STREAM)
        look_at_stream(&l);
    else if (l.rest.read && dest->kind == UNIT_LIST)
        look_at_list(&l);
    return l.rest;
}
