/*
 * Drain and audit (JUDGING: Drain, Kafka D1 and D2). Per partition p:
 *
 *   1  every broker that should be up is registered; p has a leader, or nobody can lead it (down)
 *   2  marker, acks=all, acknowledged at offset o under leader epoch e
 *   3  then ISR = replicas ∩ up, and the last stable offset is past o
 *   4  a fresh consumer, assigned by absolute offset, reads from the log start through o, where it
 *      must find that very payload; the epoch is still e, else again from 1
 *   5  D2: every group that reads p committed past o
 *
 * Steps 2 and 4 are audit.c's. The records are kept until 4 is proven and written then: a second
 * try must not double them. Counter-example for "end offset reached, so complete": right after a
 * failover ListOffsets answers (0, 0), and an empty log looks drained.
 */
#include "systems/kafka/drain.h"
#include "systems/kafka/client.h"

#include "history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_NS (50 * MS_NS)
#define STABLE_NS (3 * SECOND_NS) /* nobody can lead it, for so long: it is down */
#define EMPTY_NS (10 * SECOND_NS) /* a group without members for so long will not come back */

/* ---- 1: who serves what */

static bool can_be_led(const struct drain *d, const struct kafka_partition *p)
{
    return p->known && (p->leader >= 1 || (p->isr & d->up) != 0);
}

static int wait_serving(struct drain *d, struct err *err)
{
    struct kafka_state *s = kafka_state(d->cluster);
    int64_t complete_since = 0;

    for (;;) {
        bool leaders = true, hope = false;

        kafka_look(d->cluster, d->deadline);
        for (uint32_t unit = 0; unit < d->plan->n_units; unit++) {
            const struct kafka_partition *p = kafka_partition(d->cluster, unit);

            if (!d->units[unit].ours || (p->known && p->leader >= 1))
                continue;
            leaders = false;
            hope = hope || can_be_led(d, p) || !p->known;
        }
        if ((s->views[0].brokers & d->up) != d->up)
            complete_since = 0;
        else if (leaders)
            return 0;
        else if (hope)
            complete_since = 0;
        else if (complete_since == 0)
            complete_since = clock_now_ns();
        if (complete_since && clock_now_ns() - complete_since > STABLE_NS)
            return 0;
        if (deadline_sleep(&d->deadline, ROUND_NS) < 0)
            return err_set(err, "%s",
                           (s->views[0].brokers & d->up) != d->up
                               ? "not every broker that should be up is registered"
                               : "a partition has no leader though a member of its ISR is up");
    }
}

static void note_down(struct drain *d)
{
    for (uint32_t unit = 0; unit < d->plan->n_units; unit++) {
        struct audited *a = &d->units[unit];
        const struct kafka_partition *p = kafka_partition(d->cluster, unit);

        a->down = a->ours && !a->proven && p->leader < 1;
        if (a->down)
            snprintf(a->why, sizeof(a->why), "no leader: no member of its ISR is up");
    }
}

/* ---- 3: every copy that is alive is complete */

static bool copies_complete(struct drain *d, uint32_t unit)
{
    struct kafka_state *s = kafka_state(d->cluster);
    const struct kafka_partition *p = kafka_partition(d->cluster, unit);
    struct audited *a = &d->units[unit];

    if (!p->known || p->leader < 1 || p->isr != (p->replicas & d->up)) {
        snprintf(a->why, sizeof(a->why), "its ISR is not all replicas that are up");
        return false;
    }
    if (p->epoch != a->epoch) {
        snprintf(a->why, sizeof(a->why), "leader epoch went from %d to %d behind the marker",
                 a->epoch, p->epoch);
        a->marked = false;
        return true; /* nothing to wait for: the next round marks again */
    }
    memset(s->wanted, 0, d->plan->n_units * sizeof(*s->wanted));
    s->wanted[unit] = true;
    s->offsets[unit] = (struct kafka_offsets){.error = -1};
    if (kafka_list_offsets(d->cluster, p->leader, OFFSET_LAST_STABLE, s->wanted, s->offsets,
                           d->deadline, NULL) < 0 ||
        s->offsets[unit].error || s->offsets[unit].offset <= a->marker) {
        snprintf(a->why, sizeof(a->why),
                 "the last stable offset is not past the marker (hanging transaction?)");
        return false;
    }
    if (kafka_list_offsets(d->cluster, p->leader, OFFSET_START, s->wanted, s->offsets, d->deadline,
                           NULL) < 0 ||
        s->offsets[unit].error) {
        snprintf(a->why, sizeof(a->why), "the leader does not tell where the log starts");
        return false;
    }
    a->start = s->offsets[unit].offset;
    return true;
}

static void wait_copies(struct drain *d)
{
    for (;;) {
        bool all = true;

        kafka_look(d->cluster, d->deadline);
        for (uint32_t unit = 0; unit < d->plan->n_units; unit++)
            if (kafka_audit_pending(&d->units[unit]) && d->units[unit].marked)
                all = copies_complete(d, unit) && all;
        if (all || deadline_sleep(&d->deadline, ROUND_NS) < 0)
            return;
    }
}

/* ---- 4: is it the same leader still */

/* The epoch that acknowledged the marker is still the quorum's. */
static void prove(struct drain *d)
{
    kafka_look(d->cluster, d->deadline);
    for (uint32_t unit = 0; unit < d->plan->n_units; unit++) {
        struct audited *a = &d->units[unit];
        const struct kafka_partition *p = kafka_partition(d->cluster, unit);

        if (!kafka_audit_pending(a) || !a->marked)
            continue;
        if (!a->complete)
            snprintf(a->why, sizeof(a->why), "the audit did not reach the marker at %lld",
                     (long long)a->marker);
        else if (p->epoch != a->epoch)
            snprintf(a->why, sizeof(a->why), "leader epoch went from %d to %d during the audit",
                     a->epoch, p->epoch);
        else
            a->proven = true;
    }
}

static bool all_done(const struct drain *d)
{
    for (uint32_t unit = 0; unit < d->plan->n_units; unit++)
        if (kafka_audit_pending(&d->units[unit]))
            return false;
    return true;
}

static int drain_logs(struct drain *d, struct err *err)
{
    if (kafka_audit_open(d, err) < 0)
        return -1;
    do {
        if (wait_serving(d, err) < 0) {
            for (uint32_t unit = 0; unit < d->plan->n_units; unit++)
                if (kafka_audit_pending(&d->units[unit]))
                    snprintf(d->units[unit].why, sizeof(d->units[unit].why), "%.199s", err->text);
            return 0; /* not proven; that is no fault of ours */
        }
        note_down(d);
        kafka_audit_mark(d);
        wait_copies(d);
        if (kafka_audit_read(d, err) < 0)
            return -1;
        prove(d);
    } while (!all_done(d) && deadline_sleep(&d->deadline, ROUND_NS) == 0);
    return 0;
}

/* ---- 5: groups */

/* What this group commits once the marker is done: the offset behind it, or (`offset: last`) its
 * own. */
static bool names_the_last(const struct drain *d, uint32_t group)
{
    for (size_t i = 0; i < d->plan->n_clients; i++) {
        const struct plan_client *c = &d->plan->clients[i];
        const struct kafka_args *args = c->broker_args;

        if (c->broker == &kafka_broker_ops && args->consume.group &&
            args->consume.offset == COMMIT_LAST &&
            strcmp(args->consume.group, d->plan->dests[group].name) == 0)
            return true;
    }
    return false;
}

static bool group_past(struct drain *d, uint32_t group, const int64_t *committed, char *why,
                       size_t size)
{
    const struct plan_dest *topic = &d->plan->dests[d->plan->dests[group].of];
    int64_t behind = names_the_last(d, group) ? 0 : 1;

    for (uint32_t i = 0; i < topic->n_units; i++) {
        const struct audited *a = &d->units[topic->first_unit + i];

        if (a->proven && committed[topic->first_unit + i] < a->marker + behind) {
            snprintf(why, size, "committed %lld of partition %u, marker at %lld",
                     (long long)committed[topic->first_unit + i], i, (long long)a->marker);
            return false;
        }
    }
    return true;
}

/* As of when it was asked: a group that is still at work settles on while it is answered. */
static void record_settled(struct drain *d, struct history_writer *audit, uint32_t group,
                           const int64_t *committed, int64_t asked_ns)
{
    const struct plan_dest *topic = &d->plan->dests[d->plan->dests[group].of];

    for (uint32_t i = 0; i < topic->n_units; i++) {
        uint32_t unit = topic->first_unit + i;
        struct event e = {.type = EV_AUDIT_SETTLED,
                          .by = BY_AUDIT,
                          .at_ns = asked_ns,
                          .position = committed[unit],
                          .unit = unit,
                          .epoch = (uint32_t)d->units[unit].epoch,
                          .ref = group};

        history_record(audit, &e);
    }
}

/* True: past every marker. False at the deadline, or when the group has no members any more. */
static bool drain_group(struct drain *d, struct history_writer *audit, uint32_t dest, char *why,
                        size_t size)
{
    int64_t *committed = calloc(d->plan->n_units + 1, sizeof(*committed));
    int64_t empty_since = 0, known_ns = 0;
    bool past = false;

    if (!committed)
        abort();
    for (;;) {
        int64_t asked_ns = clock_now_ns();
        struct kafka_group group;
        struct err err;

        if (kafka_committed(d->cluster, dest, committed, d->deadline, &err) == 0) {
            known_ns = asked_ns;
            past = group_past(d, dest, committed, why, size);
        } else {
            snprintf(why, size, "%.150s", err.text);
            kafka_look(d->cluster, d->deadline);
        }
        if (past)
            break;
        if (kafka_group(d->cluster, dest, &group, d->deadline, NULL) < 0 || group.members > 0)
            empty_since = 0;
        else if (empty_since == 0)
            empty_since = clock_now_ns();
        if ((empty_since && clock_now_ns() - empty_since > EMPTY_NS) ||
            deadline_sleep(&d->deadline, ROUND_NS) < 0)
            break;
    }
    if (known_ns)
        record_settled(d, audit, dest, committed, known_ns);
    free(committed);
    return past;
}

/* Consumers without a group tell nobody how far they are. */
static bool read_without_group(const struct drain *d, uint32_t dest)
{
    for (size_t i = 0; i < d->plan->n_clients; i++) {
        const struct plan_client *c = &d->plan->clients[i];
        const char *sends = NULL, *reads = NULL, *group = NULL;

        if (c->broker != &kafka_broker_ops || c->cluster != kafka_cluster_index(d->cluster))
            continue;
        if (c->broker->names(c->broker_args, &sends, &reads, &group) == 0 && reads && !group &&
            strcmp(reads, d->plan->dests[dest].name) == 0)
            return true;
    }
    return false;
}

static void raise_level(struct drain *d, struct drain_proof *proofs, uint32_t topic, bool done,
                        const char *why)
{
    const struct plan_dest *t = &d->plan->dests[topic];

    for (uint32_t unit = t->first_unit; unit < t->first_unit + t->n_units; unit++) {
        if (!proofs[unit].proven || proofs[unit].level < DRAIN_D1)
            continue;
        if (!done) {
            proofs[unit].level = DRAIN_D1;
            snprintf(proofs[unit].why, sizeof(proofs[unit].why), "%s", why);
        } else if (proofs[unit].why[0] == '\0') {
            proofs[unit].level = DRAIN_D2;
        }
    }
}

static void drain_groups(struct drain *d, struct history_writer *audit, struct drain_proof *proofs)
{
    for (uint32_t dest = 0; dest < d->plan->n_dests; dest++)
        if (kafka_is_topic(d->cluster, dest))
            raise_level(d, proofs, dest, !read_without_group(d, dest), "consumers without a group");
    for (uint32_t dest = 0; dest < d->plan->n_dests; dest++) {
        char why[160] = "", text[200];
        bool done;

        if (!kafka_is_group(d->cluster, dest))
            continue;
        done = drain_group(d, audit, dest, why, sizeof(why));
        snprintf(text, sizeof(text), "group %.30s: %.150s", d->plan->dests[dest].name, why);
        raise_level(d, proofs, d->plan->dests[dest].of, done, text);
    }
}

/* ---- the whole */

/* A log that was cut off at its front by retention, or thinned out by the cleaner: the owner's word
 * is where the log starts, and which offsets it no longer has (transactions leave such holes too,
 * so holes are told of compacted topics only). */
static void record_gone(struct history_writer *audit, uint32_t unit, enum expiry why, int64_t n,
                        int64_t start, const char *text)
{
    struct event e = {.by = BY_AUDIT,
                      .at_ns = clock_now_ns(),
                      .position = start,
                      .unit = unit,
                      .value = n,
                      .ref = history_text(audit, text)};

    e.type = EV_EXPIRED;
    e.code = (int16_t)why;
    history_record(audit, &e);
    e.type = EV_HAZARD;
    e.code = HAZARD_LIMIT;
    e.node = NO_NODE;
    history_record(audit, &e);
}

static bool is_compacted(const struct drain *d, uint32_t unit)
{
    const struct kafka_config *config = d->cluster->spec->config;
    const struct kafka_topic *topics = config->topics.items;
    const char *name = d->plan->dests[d->plan->units[unit].dest].name;
    const char *policy = pairs_get(&config->server_properties, "log.cleanup.policy", "delete");

    for (size_t i = 0; i < config->topics.n; i++)
        if (strcmp(topics[i].name, name) == 0)
            policy = pairs_get(&topics[i].config, "cleanup.policy", policy);
    return strstr(policy, "compact") != NULL;
}

static void write_gone(struct drain *d, struct history_writer *audit, uint32_t unit)
{
    const struct audited *a = &d->units[unit];
    int64_t holes = a->marker + 1 - a->start - (int64_t)a->n;
    char text[120];

    if (a->start > 0) {
        snprintf(text, sizeof(text), "ListOffsets: the log starts at %lld", (long long)a->start);
        record_gone(audit, unit, EXPIRY_RETENTION, a->start, a->start, text);
    }
    if (holes > 0 && is_compacted(d, unit)) {
        snprintf(text, sizeof(text), "%lld offsets from %lld to %lld are no longer in the log",
                 (long long)holes, (long long)a->start, (long long)a->marker);
        record_gone(audit, unit, EXPIRY_COMPACTED, holes, a->start, text);
    }
}

static void write_logs(struct drain *d, struct history_writer *audit, struct drain_proof *proofs)
{
    for (uint32_t unit = 0; unit < d->plan->n_units; unit++) {
        struct audited *a = &d->units[unit];

        if (!a->ours)
            continue;
        proofs[unit] = (struct drain_proof){.unit = unit,
                                            .level = a->proven ? DRAIN_D1 : DRAIN_NONE,
                                            .proven = a->proven,
                                            .down = a->down,
                                            .position = a->proven ? a->marker : -1,
                                            .epoch = (uint32_t)a->epoch,
                                            .counted = a->proven ? a->marker + 1 - a->start : -1};
        if (!a->proven)
            snprintf(proofs[unit].why, sizeof(proofs[unit].why), "%s", a->why);
        for (size_t i = 0; a->proven && i < a->n; i++) {
            a->events[i].at_ns = clock_now_ns();
            history_record(audit, &a->events[i]);
        }
        if (a->proven)
            write_gone(d, audit, unit);
    }
}

int kafka_drain(struct cluster *cluster, struct history_writer *audit, struct drain_proof *proofs,
                const uint16_t *down_nodes, size_t n_down, struct deadline deadline,
                struct err *err)
{
    struct drain d = {.cluster = cluster, .plan = cluster->plan, .deadline = deadline};
    int result;

    d.units = calloc(cluster->plan->n_units + 1, sizeof(*d.units));
    if (!d.units)
        abort();
    for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++)
        d.units[unit].ours = kafka_is_topic(cluster, cluster->plan->units[unit].dest);
    for (unsigned i = 0; i < kafka_brokers(cluster); i++) {
        bool down = false;

        for (size_t k = 0; k < n_down; k++)
            down = down || down_nodes[k] == cluster->nodes[i].plan->id;
        if (!down)
            d.up |= 1u << (i + 1);
    }
    result = drain_logs(&d, err);
    if (result == 0) {
        write_logs(&d, audit, proofs);
        drain_groups(&d, audit, proofs);
    }
    kafka_audit_close(&d);
    for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++)
        free(d.units[unit].events);
    free(d.units);
    return result;
}
