/*
 * Quiesce and drain (JUDGING: Drain, Redis). D1 of a unit: writes have stopped · every ROLE and the
 * sentinels' majority agree on one primary, links are up · a marker is written and WAIT says every
 * replica has it · replicas stand at the primary's offset of the same history (replid) · the audit
 * reads everything from the primary, the marker included, and the primary is still the same.
 * D2 where consumers read it: nothing was left before the marker that a consumer may still take
 * (rest.c). A channel holds nothing: its horizon is the marker its living subscribers were handed
 * before they left (redis_mark), which the history shows.
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
/* A primary that hung for a moment may have lost its office since: it is asked for again. */
#define LEVEL_WITHIN_NS (3 * SECOND_NS)
#define TRY_WITHIN_NS (5 * SECOND_NS)

struct draining {
    struct cluster *cluster;
    const uint16_t *down;
    size_t n_down;
    const struct plan_dest *dest; /* in a cluster: whose primary is meant; NULL: anybody's */
    unsigned primary, replicas;   /* replicas that must have everything */
    bool follows[REDIS_NODES_MAX];
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
    bool there;

    if (!reply)
        return -1;
    there = redis_info_field(reply->str, key, out, size);
    freeReplyObject(reply);
    return there ? 0 : err_set(err, "INFO replication has no %s", key);
}

/* Everybody who should be up agrees on one primary and is linked to it; else err says who is not.
 */
static int agreed_primary(struct draining *d, const struct redis_view *views,
                          struct deadline deadline)
{
    if (!redis_is_cluster(redis_config(d->cluster)))
        return redis_primary(d->cluster, views, &d->epoch);
    return redis_owner(d->cluster, d->dest ? d->dest->name : "", deadline);
}

static int agree(struct draining *d, struct deadline deadline, struct err *err)
{
    struct redis_view views[REDIS_NODES_MAX];
    unsigned servers = redis_servers(redis_config(d->cluster));
    int primary;

    redis_look(d->cluster, views, deadline);
    primary = agreed_primary(d, views, deadline);
    d->served = primary >= 0 && views[primary].primary;
    if (primary < 0)
        return err_set(err, "no primary that the majority agrees on");
    d->primary = (unsigned)primary;
    d->replicas = 0;
    memset(d->follows, 0, sizeof(d->follows));
    for (unsigned i = 0; i < servers; i++) {
        if (is_down(d, i))
            continue;
        if (!views[i].answered)
            return err_set(err, "%s does not answer", name_of(d, i));
        if (redis_is_cluster(redis_config(d->cluster)) && i != d->primary &&
            (views[i].primary || views[i].of != primary))
            continue; /* of another shard */
        if ((i == d->primary) != views[i].primary)
            return err_set(err, "%s calls itself %s, %s is primary", name_of(d, i),
                           views[i].primary ? "primary" : "replica", name_of(d, d->primary));
        if (i != d->primary && (views[i].of != primary || !views[i].linked))
            return err_set(err, "%s is not linked to %s", name_of(d, i), name_of(d, d->primary));
        d->follows[i] = i != d->primary;
        d->replicas += d->follows[i];
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
        if (!d->follows[i])
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
    /* replication is one stream for all keys, in a cluster for those of a shard */
    struct draining d = {.cluster = cluster, .dest = &cluster->plan->dests[dest]};

    for (;;) {
        if (wait_agreed(&d, deadline, err) < 0)
            return err_prefix(err, "quiesce");
        if (wait_level(&d, deadline_within(deadline, LEVEL_WITHIN_NS), err) == 0)
            return 0;
        if (deadline_passed(&deadline))
            return err_prefix(err, "quiesce");
    }
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
    else if (dest->kind == UNIT_CHANNEL)
        reply = redis_want(d->cluster, d->primary, deadline, err, "PUBLISH %s %b", dest->name,
                           payload, sizeof(payload));
    else
        reply = redis_want(d->cluster, d->primary, deadline, err, "RPUSH %s %b", dest->name,
                           payload, sizeof(payload));
    if (!reply)
        return err_prefix(err, "marker");
    freeReplyObject(reply);
    *id = msg.id;
    if (d->replicas == 0 || dest->kind == UNIT_CHANNEL)
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

/* What consumers have to do is looked at before the marker is written. */
static int audit_below_marker(struct draining *d, uint32_t unit, struct redis_audit *audit,
                              struct deadline deadline, struct err *err)
{
    const struct plan_dest *dest = &d->cluster->plan->dests[d->cluster->plan->units[unit].dest];
    char replid[64];

    if (prove_horizon(d, dest, &audit->marker, deadline, err) < 0)
        return -1;
    audit->primary = d->primary;
    if (redis_audit_unit(audit, unit, deadline, err) < 0)
        return -1;
    if (!audit->saw_marker)
        return err_set(err, "the marker is not among the %lld records of %s",
                       (long long)audit->records, dest->name);
    if (agree(d, deadline, err) < 0 || replication_info(d->cluster, d->primary, "master_replid",
                                                        replid, sizeof(replid), deadline, err) < 0)
        return -1;
    if (d->primary != audit->primary || strcmp(replid, d->replid) != 0)
        return err_set(err, "the primary changed while %s was read", dest->name);
    return 0;
}

static int drain_unit(struct draining *d, uint32_t unit, struct history_writer *log,
                      struct drain_proof *proof, struct deadline deadline, struct err *err)
{
    const struct plan_dest *dest = &d->cluster->plan->dests[d->cluster->plan->units[unit].dest];
    struct redis_rest rest = redis_rest(d->cluster, d->primary, dest, deadline);
    struct redis_audit audit = {.cluster = d->cluster, .log = log};

    *proof = (struct drain_proof){.unit = unit, .position = -1, .counted = -1};
    if (dest->kind != UNIT_CHANNEL && audit_below_marker(d, unit, &audit, deadline, err) < 0)
        return -1;
    proof->level = rest.read && rest.open == 0 ? DRAIN_D2 : DRAIN_D1;
    proof->proven = true;
    proof->epoch = d->epoch;
    proof->counted = audit.records;
    if (dest->kind != UNIT_CHANNEL)
        redis_counts_end(&audit, unit, deadline);
    if (rest.read && rest.open != 0)
        snprintf(proof->why, sizeof(proof->why),
                 "consumers have not finished: %lld left or pending", (long long)rest.open);
    else if (rest.stuck > 0)
        snprintf(proof->why, sizeof(proof->why),
                 "%lld are held for consumers that are dead, and nobody takes over",
                 (long long)rest.stuck);
    return 0;
}

/* At the end of a case a limit must neither refuse the marker nor evict what is about to be read;
 * before the next one on the same servers it is as the suite has it again. */
void redis_limits(struct cluster *cluster, bool on, struct deadline deadline)
{
    static const char *const limits[] = {"maxmemory", "min-replicas-to-write"};
    const struct pairs *user = &redis_config(cluster)->redis_conf;

    for (size_t k = 0; k < sizeof(limits) / sizeof(*limits); k++) {
        const char *value = pairs_get(user, limits[k], NULL);

        for (unsigned i = 0; value && i < redis_servers(redis_config(cluster)); i++) {
            redisReply *reply = redis_ask(cluster, i, deadline_within(deadline, SECOND_NS), NULL,
                                          "CONFIG SET %s %s", limits[k], on ? value : "0");

            if (reply)
                freeReplyObject(reply);
        }
    }
}

/* Before consumers leave: what a living subscription must still be handed. */
int redis_mark(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    struct draining d = {.cluster = cluster};

    for (size_t i = 0; i < cluster->plan->n_dests; i++) {
        const struct plan_dest *dest = &cluster->plan->dests[i];
        struct msg_id id;

        if (dest->kind != UNIT_CHANNEL || &cluster->plan->clusters[dest->cluster] != cluster->spec)
            continue;
        d.dest = dest;
        if (wait_agreed(&d, deadline, err) < 0 || write_marker(&d, dest, &id, deadline, err) < 0)
            return err_prefix(err, "marker of %s", dest->name);
    }
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
    redis_limits(cluster, false, deadline);
    agreed = wait_agreed(&d, deadline, &why) == 0;
    for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++) {
        if (!ours(cluster, unit))
            continue;
        proofs[unit] = (struct drain_proof){.unit = unit, .position = -1, .counted = -1};
        d.dest = &cluster->plan->dests[cluster->plan->units[unit].dest];
        agreed = agreed && wait_agreed(&d, deadline, &why) == 0;
        if (agreed && drain_unit(&d, unit, audit, &proofs[unit], deadline, &why) == 0)
            continue;
        proofs[unit].down = !d.served;
        snprintf(proofs[unit].why, sizeof(proofs[unit].why), "%.190s", why.text);
    }
    return 0;
}
