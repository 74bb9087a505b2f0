/*
 * Quiesce and drain (JUDGING: Drain, Redis). D1 of a unit: writes have stopped · every ROLE and the
 * sentinels' majority agree on one primary, links are up · a marker is written and WAIT says every
 * replica has it · replicas stand at the primary's offset of the same history (replid) · the audit
 * reads everything from the primary, the marker included, and the primary is still the same.
 * D2 where consumers read it: nothing was left before the marker, nothing is pending.
 *
 * Offsets rise by a PING every second even when idle, so "equal" is "has reached what the primary
 * had after the marker".
 */
#include "systems/redis/client.h"

#include "history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRY_EVERY_NS (20 * MS_NS)
#define TRY_WITHIN_NS (5 * SECOND_NS)

struct draining {
    struct cluster *cluster;
    const uint16_t *down;
    size_t n_down;
    unsigned primary, replicas; /* replicas that must have everything */
    uint32_t epoch;
    char replid[64];
    bool served; /* somebody was primary when last looked */
};

static bool is_down(const struct draining *d, unsigned index)
{
    for (size_t i = 0; i < d->n_down; i++)
        if (d->down[i] == d->cluster->nodes[index].plan->id)
            return true;
    return false;
}

static const char *name_of(const struct draining *d, unsigned index)
{
    return d->cluster->nodes[index].plan->name;
}

/* One line of INFO replication: "master_repl_offset", "master_replid". */
static int replication_info(struct cluster *cluster, unsigned index, const char *key, char *out,
                            size_t size, struct deadline deadline, struct err *err)
{
    redisReply *reply = redis_want(cluster, index, deadline, err, "INFO replication");
    const char *at;

    if (!reply)
        return -1;
    at = reply->str ? strstr(reply->str, key) : NULL;
    if (at && at[strlen(key)] == ':')
        snprintf(out, size, "%.*s", (int)strcspn(at + strlen(key) + 1, "\r\n"),
                 at + strlen(key) + 1);
    freeReplyObject(reply);
    return at ? 0 : err_set(err, "INFO replication has no %s", key);
}

/* Everybody who should be up agrees on one primary and is linked to it; else err says who is not.
 */
static int agree(struct draining *d, struct deadline deadline, struct err *err)
{
    struct redis_view views[REDIS_NODES_MAX];
    unsigned servers = redis_servers(redis_config(d->cluster));
    int primary;

    redis_look(d->cluster, views, deadline);
    primary = redis_primary(d->cluster, views, &d->epoch);
    d->served = primary >= 0 && views[primary].primary;
    if (primary < 0)
        return err_set(err, "no primary that the majority agrees on");
    d->primary = (unsigned)primary;
    d->replicas = 0;
    for (unsigned i = 0; i < servers; i++) {
        if (is_down(d, i))
            continue;
        if (!views[i].answered)
            return err_set(err, "%s does not answer", name_of(d, i));
        if ((i == d->primary) != views[i].primary)
            return err_set(err, "%s calls itself %s, %s is primary", name_of(d, i),
                           views[i].primary ? "primary" : "replica", name_of(d, d->primary));
        if (i != d->primary && (views[i].of != primary || !views[i].linked))
            return err_set(err, "%s is not linked to %s", name_of(d, i), name_of(d, d->primary));
        d->replicas += i != d->primary;
    }
    return 0;
}

static int wait_agreed(struct draining *d, struct deadline deadline, struct err *err)
{
    while (agree(d, deadline, err) < 0)
        if (deadline_sleep(&deadline, TRY_EVERY_NS) < 0)
            return -1;
    return replication_info(d->cluster, d->primary, "master_replid", d->replid, sizeof(d->replid),
                            deadline, err);
}

/* Every replica has what the primary had when this was called, of the same history. */
static int wait_level(struct draining *d, struct deadline deadline, struct err *err)
{
    unsigned servers = redis_servers(redis_config(d->cluster));
    char text[64];
    int64_t offset;

    if (replication_info(d->cluster, d->primary, "master_repl_offset", text, sizeof(text), deadline,
                         err) < 0)
        return -1;
    offset = atoll(text);
    for (unsigned i = 0; i < servers; i++) {
        if (i == d->primary || is_down(d, i))
            continue;
        for (;;) {
            if (replication_info(d->cluster, i, "slave_repl_offset", text, sizeof(text), deadline,
                                 err) == 0 &&
                atoll(text) >= offset)
                break;
            if (deadline_sleep(&deadline, TRY_EVERY_NS) < 0)
                return err_set(err, "%s has not reached offset %lld of %s", name_of(d, i),
                               (long long)offset, name_of(d, d->primary));
        }
        if (replication_info(d->cluster, i, "master_replid", text, sizeof(text), deadline, err) < 0)
            return -1;
        if (strcmp(text, d->replid) != 0)
            return err_set(err, "%s follows another history than %s", name_of(d, i),
                           name_of(d, d->primary));
    }
    return 0;
}

int redis_quiesce(struct cluster *cluster, uint32_t dest, struct deadline deadline, struct err *err)
{
    struct draining d = {.cluster = cluster};

    (void)dest; /* replication is one stream for all keys */
    if (wait_agreed(&d, deadline, err) < 0 || wait_level(&d, deadline, err) < 0)
        return err_prefix(err, "quiesce");
    return 0;
}

/* ---- one unit */

static int write_marker(struct draining *d, const struct plan_dest *dest, struct msg_id *id,
                        struct deadline deadline, struct err *err)
{
    struct msg msg = {.flags = MSG_MARKER};
    char payload[PAYLOAD_MIN];
    redisReply *reply;
    long long acked;

    msg.id = (struct msg_id){.client = BY_AUDIT, .seq = (uint64_t)clock_now_ns() & MESSAGE_SEQ_MAX};
    payload_write(payload, sizeof(payload), d->cluster->plan->run, &msg);
    if (dest->kind == UNIT_STREAM)
        reply = redis_want(d->cluster, d->primary, deadline, err, "XADD %s * m %b", dest->name,
                           payload, sizeof(payload));
    else if (dest->kind == UNIT_KEYS)
        reply = redis_want(d->cluster, d->primary, deadline, err, "SET %s:marker.%llu %b",
                           dest->name, (unsigned long long)msg.id.seq, payload, sizeof(payload));
    else
        reply = redis_want(d->cluster, d->primary, deadline, err, "RPUSH %s %b", dest->name,
                           payload, sizeof(payload));
    if (!reply)
        return err_prefix(err, "marker");
    freeReplyObject(reply);
    *id = msg.id;
    if (d->replicas == 0)
        return 0;
    reply = redis_want(d->cluster, d->primary, deadline, err, "WAIT %u 1500", d->replicas);
    if (!reply)
        return err_prefix(err, "WAIT of the marker");
    acked = reply->integer;
    freeReplyObject(reply);
    if (acked < d->replicas)
        return err_set(err, "WAIT of the marker: %lld of %u replicas", acked, d->replicas);
    return 0;
}

/* Agreement, a marker that every replica has, replicas level with it: tried until the deadline,
 * each try with a marker of its own. Nothing has been audited yet. */
static int prove_horizon(struct draining *d, const struct plan_dest *dest, struct msg_id *marker,
                         struct deadline deadline, struct err *err)
{
    for (;;) {
        struct deadline try = deadline_within(deadline, TRY_WITHIN_NS);

        if (wait_agreed(d, try, err) == 0 && write_marker(d, dest, marker, try, err) == 0 &&
            wait_level(d, try, err) == 0)
            return 0;
        if (deadline_sleep(&deadline, TRY_EVERY_NS) < 0)
            return -1;
    }
}

static int64_t ask_number(struct draining *d, struct deadline deadline, const char *format,
                          const char *name)
{
    redisReply *reply = redis_ask(d->cluster, d->primary, deadline, NULL, format, name);
    int64_t n = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;

    if (reply)
        freeReplyObject(reply);
    return n;
}

static const redisReply *map_value(const redisReply *flat, const char *key)
{
    for (size_t i = 0; i + 1 < flat->elements; i += 2)
        if (flat->element[i]->str && strcmp(flat->element[i]->str, key) == 0)
            return flat->element[i + 1];
    return NULL;
}

/* Messages of the stream that some group has not settled: pending ones, or behind its last
 * delivery. */
static int64_t stream_rest(struct draining *d, const char *name, struct deadline deadline)
{
    redisReply *info = redis_ask(d->cluster, d->primary, deadline, NULL, "XINFO STREAM %s", name);
    redisReply *groups = redis_ask(d->cluster, d->primary, deadline, NULL, "XINFO GROUPS %s", name);
    const redisReply *last = NULL;
    int64_t rest = -1;

    if (info && info->type == REDIS_REPLY_ARRAY)
        last = map_value(info, "last-generated-id");
    if (groups && groups->type == REDIS_REPLY_ARRAY && last && last->str) {
        rest = 0;
        for (size_t i = 0; i < groups->elements; i++) {
            const redisReply *pending = map_value(groups->element[i], "pending");
            const redisReply *delivered = map_value(groups->element[i], "last-delivered-id");

            rest += pending ? pending->integer : 1;
            rest += !delivered ||
                    redis_stream_position(delivered->str) < redis_stream_position(last->str);
        }
    }
    if (info)
        freeReplyObject(info);
    if (groups)
        freeReplyObject(groups);
    return rest;
}

static bool consumed(const struct plan_case *plan, const struct plan_dest *dest)
{
    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct redis_client_args *args = plan->clients[i].broker_args;

        if (plan->clients[i].broker == &redis_broker && args &&
            ((args->consume.list && strcmp(args->consume.list, dest->name) == 0) ||
             (args->consume.stream && strcmp(args->consume.stream, dest->name) == 0)))
            return true;
    }
    return false;
}

/* What consumers have still to do, before the marker is written; -1: not known. */
static int64_t unsettled(struct draining *d, const struct plan_dest *dest, struct deadline deadline)
{
    const struct plan_case *plan = d->cluster->plan;
    int64_t rest;

    if (dest->kind == UNIT_STREAM)
        return stream_rest(d, dest->name, deadline);
    if (dest->kind != UNIT_LIST)
        return 0;
    rest = ask_number(d, deadline, "LLEN %s", dest->name);
    for (size_t i = 0; i < plan->n_clients && rest >= 0; i++) {
        const struct redis_client_args *args = plan->clients[i].broker_args;

        if (plan->clients[i].broker != &redis_broker || !args || !args->consume.list ||
            args->consume.mode != TAKE_BLMOVE || strcmp(args->consume.list, dest->name) != 0)
            continue;
        for (uint16_t k = 0; k < plan->clients[i].instances; k++) {
            char name[128];
            int64_t n;

            redis_processing_name(args, (uint16_t)(plan->clients[i].first_id + k), name,
                                  sizeof(name));
            n = ask_number(d, deadline, "LLEN %s", name);
            rest = n < 0 ? -1 : rest + n;
        }
    }
    return rest;
}

static int drain_unit(struct draining *d, uint32_t unit, struct history_writer *log,
                      struct drain_proof *proof, struct deadline deadline, struct err *err)
{
    const struct plan_case *plan = d->cluster->plan;
    const struct plan_dest *dest = &plan->dests[plan->units[unit].dest];
    bool read = consumed(plan, dest);
    int64_t rest = read ? unsettled(d, dest, deadline) : 0;
    struct redis_audit audit = {.cluster = d->cluster, .log = log};
    char replid[64];

    if (prove_horizon(d, dest, &audit.marker, deadline, err) < 0)
        return -1;
    audit.primary = d->primary;
    if (redis_audit_unit(&audit, unit, deadline, err) < 0)
        return -1;
    if (!audit.saw_marker)
        return err_set(err, "the marker is not among the %lld records of %s",
                       (long long)audit.records, dest->name);
    if (agree(d, deadline, err) < 0 || replication_info(d->cluster, d->primary, "master_replid",
                                                        replid, sizeof(replid), deadline, err) < 0)
        return -1;
    if (d->primary != audit.primary || strcmp(replid, d->replid) != 0)
        return err_set(err, "the primary changed while %s was read", dest->name);
    *proof = (struct drain_proof){.unit = unit,
                                  .level = read && rest == 0 ? DRAIN_D2 : DRAIN_D1,
                                  .proven = true,
                                  .position = -1,
                                  .epoch = d->epoch,
                                  .counted = audit.records};
    if (read && rest != 0)
        snprintf(proof->why, sizeof(proof->why),
                 "consumers have not finished: %lld left or pending", (long long)rest);
    return 0;
}

static bool ours(const struct cluster *cluster, uint32_t unit)
{
    const struct plan_dest *dest = &cluster->plan->dests[cluster->plan->units[unit].dest];

    return dest->cluster == (unsigned)(cluster->spec - cluster->plan->clusters) && !dest->group;
}

int redis_drain(struct cluster *cluster, struct history_writer *audit, struct drain_proof *proofs,
                const uint16_t *down_nodes, size_t n_down, struct deadline deadline,
                struct err *err)
{
    struct draining d = {.cluster = cluster, .down = down_nodes, .n_down = n_down};
    struct err why = {0};
    bool agreed;

    (void)err; /* a horizon that cannot be proven is a result, not an error */
    agreed = wait_agreed(&d, deadline, &why) == 0;
    for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++) {
        if (!ours(cluster, unit))
            continue;
        proofs[unit] = (struct drain_proof){.unit = unit, .position = -1, .counted = -1};
        if (agreed && drain_unit(&d, unit, audit, &proofs[unit], deadline, &why) == 0)
            continue;
        proofs[unit].down = !d.served;
        snprintf(proofs[unit].why, sizeof(proofs[unit].why), "%.190s", why.text);
    }
    return 0;
}
