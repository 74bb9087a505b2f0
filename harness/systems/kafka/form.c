/*
 * From started processes to a cluster that takes its first operation, and the waits of the same
 * kind: a node that came back, a topic at rest, topics made anew.
 * "Ready" is what the nodes themselves say on every plane (view.c), never an open port.
 */
#include "systems/kafka/kafka.h"

#include <stdio.h>
#include <string.h>

#define ROUND_NS (40 * MS_NS)
#define ANSWER_NS (2 * SECOND_NS) /* then it is asked again */

static uint32_t all_brokers(const struct cluster *cluster)
{
    return ((1u << kafka_brokers(cluster)) - 1) << 1;
}

/* ---- waits: each looks once and says what is missing */

static bool registered(struct cluster *cluster, char *missing, size_t size)
{
    struct kafka_state *s = kafka_state(cluster);
    uint32_t absent = all_brokers(cluster) & ~s->views[0].brokers;

    if (s->controller < 0) {
        snprintf(missing, size, "no active controller");
        return false;
    }
    for (int32_t id = 1; absent && id <= (int32_t)kafka_brokers(cluster); id++)
        if (absent & 1u << id) {
            snprintf(missing, size, "kafka-%d is not registered", id);
            return false;
        }
    return true;
}

/* Every broker knows every partition with a leader and a full ISR, and they agree. */
static bool topics_ready(struct cluster *cluster, char *missing, size_t size)
{
    struct kafka_state *s = kafka_state(cluster);

    for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++) {
        const struct plan_unit *u = &cluster->plan->units[unit];

        if (!kafka_is_topic(cluster, u->dest) ||
            u->index >= kafka_partitions_of(cluster, cluster->plan->dests[u->dest].name))
            continue;
        for (int32_t id = 1; id <= (int32_t)kafka_brokers(cluster); id++) {
            const struct kafka_partition *p = &s->views[id].partitions[unit];

            if (!s->views[id].answered || !p->known || p->leader < 0 || p->isr != p->replicas ||
                p->leader != s->views[0].partitions[unit].leader) {
                snprintf(missing, size, "%s has no leader with a full ISR as kafka-%d sees it",
                         u->name, id);
                return false;
            }
        }
    }
    return true;
}

static bool topics_gone(struct cluster *cluster, char *missing, size_t size)
{
    struct kafka_state *s = kafka_state(cluster);

    for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++)
        for (int32_t id = 1; id <= (int32_t)kafka_brokers(cluster); id++)
            if (!s->views[id].answered || s->views[id].partitions[unit].known) {
                snprintf(missing, size, "kafka-%d still knows %s", id,
                         cluster->plan->units[unit].name);
                return false;
            }
    return true;
}

static int wait_for(struct cluster *cluster, bool (*ready)(struct cluster *, char *, size_t),
                    struct deadline deadline, struct err *err)
{
    char missing[300] = "";

    for (;;) {
        kafka_look(cluster, deadline);
        if (ready(cluster, missing, sizeof(missing)))
            return 0;
        if (deadline_sleep(&deadline, ROUND_NS) < 0)
            return err_set(err, "%s", missing);
    }
}

/* ---- form */

/* The offsets topic is made when the first group asks: here, not inside the case. */
static int warm_groups(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    for (uint32_t d = 0; d < cluster->plan->n_dests; d++) {
        struct kafka_group group;

        if (!kafka_is_group(cluster, d))
            continue;
        while (kafka_group(cluster, d, &group, deadline_within(deadline, ANSWER_NS), err) < 0) {
            if (deadline_sleep(&deadline, ROUND_NS) < 0)
                return -1;
            kafka_look(cluster, deadline);
        }
    }
    return 0;
}

/* A broker hands out producer ids once it got a block of them from the controller. */
static int warm_producer_ids(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    for (unsigned i = 0; i < kafka_brokers(cluster); i++) {
        struct wire_body b = {0};

        put_string(&b, NULL); /* no transactions */
        put_i32(&b, 60000);
        for (;;) {
            struct deadline once = deadline_within(deadline, ANSWER_NS);
            struct wire_view v;
            int16_t code;

            if (kafka_ask(cluster, i, API_INIT_PRODUCER_ID, 1, &b, &v, once, err) == 0) {
                get_i32(&v);
                code = get_i16(&v);
                if (code == 0 && !v.bad)
                    break;
                err_set(err, "%s hands out no producer ids: %s", cluster->nodes[i].plan->name,
                        kafka_error_name(code));
            }
            if (deadline_sleep(&deadline, ROUND_NS) < 0)
                return -1;
        }
    }
    return 0;
}

int kafka_form(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    if (wait_for(cluster, registered, deadline, err) < 0)
        return -1;
    if (kafka_create_topics(cluster, NULL, deadline, err) < 0 ||
        wait_for(cluster, topics_ready, deadline, err) < 0)
        return -1;
    if (warm_producer_ids(cluster, deadline, err) < 0)
        return -1;
    return warm_groups(cluster, deadline, err);
}

/*
 * A broker opens its client port only after the controller took its registration with a new epoch
 * and it has caught up to that; then its own view lists it once it is unfenced. Counter-example for
 * "the others list it": for the length of the session timeout they list the dead incarnation.
 */
int kafka_rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                   struct err *err)
{
    int id = kafka_broker_id(cluster, node->plan);
    struct kafka_state *s = kafka_state(cluster);
    unsigned index = node->plan->index;

    kafka_wire_close(&s->wires[index]);
    s->asleep &= ~(1u << index);
    for (;;) {
        kafka_look(cluster, deadline);
        if (index < kafka_brokers(cluster)) {
            if (s->views[id].answered && s->views[id].brokers & 1u << id &&
                s->views[0].brokers & 1u << id)
                return 0;
        } else if (s->controller >= 0 && s->wires[index].fd >= 0) {
            return 0; /* it answers, and somebody leads */
        }
        if (deadline_sleep(&deadline, ROUND_NS) < 0)
            return err_set(err, "%s is not registered again", node->plan->name);
    }
}

/* ---- quiesce: nothing on its way between replicas */

static bool same_ends(struct cluster *cluster, uint32_t unit, char *missing, size_t size,
                      struct deadline deadline)
{
    struct kafka_state *s = kafka_state(cluster);
    const struct kafka_partition *p = kafka_partition(cluster, unit);
    const char *name = cluster->plan->units[unit].name;
    struct kafka_offsets *ends = s->offsets;
    int64_t high;

    memset(s->wanted, 0, cluster->plan->n_units * sizeof(*s->wanted));
    s->wanted[unit] = true;
    ends[unit] = (struct kafka_offsets){.error = -1};
    if (kafka_list_offsets(cluster, p->leader, OFFSET_HIGH_WATERMARK, s->wanted, ends, deadline,
                           NULL) < 0 ||
        ends[unit].error) {
        snprintf(missing, size, "%s: its leader kafka-%d does not tell the high watermark", name,
                 p->leader);
        return false;
    }
    high = ends[unit].offset;
    for (int32_t id = 1; id <= (int32_t)kafka_brokers(cluster); id++) {
        if (!(p->replicas & 1u << id))
            continue;
        ends[unit] = (struct kafka_offsets){.error = -1};
        if (kafka_list_offsets(cluster, id, OFFSET_LOG_END, s->wanted, ends, deadline, NULL) < 0 ||
            ends[unit].error || ends[unit].offset != high) {
            snprintf(missing, size, "%s: log of kafka-%d ends at %lld, high watermark %lld (%s)",
                     name, id, (long long)ends[unit].offset, (long long)high,
                     kafka_error_name(ends[unit].error));
            return false;
        }
    }
    return true;
}

static bool at_rest(struct cluster *cluster, uint32_t unit, char *missing, size_t size,
                    struct deadline deadline)
{
    const struct kafka_partition *p = kafka_partition(cluster, unit);
    const char *name = cluster->plan->units[unit].name;

    if (!p->known || p->leader < 1 || p->isr != p->replicas) {
        snprintf(missing, size, "%s: its ISR is not all its replicas", name);
        return false;
    }
    return same_ends(cluster, unit, missing, size, deadline);
}

/* A partition the topic is still to grow to. */
static bool not_made_yet(struct cluster *cluster, uint32_t unit)
{
    const struct plan_unit *u = &cluster->plan->units[unit];

    return !kafka_partition(cluster, unit)->known &&
           u->index >= kafka_partitions_of(cluster, cluster->plan->dests[u->dest].name);
}

int kafka_quiesce(struct cluster *cluster, uint32_t dest, struct deadline deadline, struct err *err)
{
    const struct plan_dest *d = &cluster->plan->dests[dest];
    uint32_t n = d->group ? cluster->plan->dests[d->of].n_units : d->n_units;
    uint32_t first = d->group ? cluster->plan->dests[d->of].first_unit : d->first_unit;

    for (;;) {
        char missing[300] = "";
        uint32_t i = 0;

        kafka_look(cluster, deadline);
        while (i < n && (not_made_yet(cluster, first + i) ||
                         at_rest(cluster, first + i, missing, sizeof(missing), deadline)))
            i++;
        if (i == n)
            return 0;
        if (deadline_sleep(&deadline, ROUND_NS) < 0)
            return err_set(err, "%s: not at rest: %s", d->name, missing);
    }
}

/* ---- reset */

static int verify_empty(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    for (uint32_t d = 0; d < cluster->plan->n_dests; d++)
        if (kafka_is_topic(cluster, d) && kafka_quiesce(cluster, d, deadline, err) < 0)
            return -1;
    for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++) {
        struct kafka_state *s = kafka_state(cluster);
        const struct kafka_partition *p = kafka_partition(cluster, unit);

        if (!kafka_is_topic(cluster, cluster->plan->units[unit].dest) || !p->known)
            continue;
        memset(s->wanted, 0, cluster->plan->n_units * sizeof(*s->wanted));
        s->wanted[unit] = true;
        if (kafka_list_offsets(cluster, p->leader, OFFSET_HIGH_WATERMARK, s->wanted, s->offsets,
                               deadline, err) < 0)
            return -1;
        if (s->offsets[unit].error || s->offsets[unit].offset != 0)
            return err_set(err, "%s is not empty after it was made anew",
                           cluster->plan->units[unit].name);
    }
    return 0;
}

int kafka_reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                struct err *err)
{
    cluster->plan = next;
    for (uint32_t d = 0; d < next->n_dests; d++)
        if (kafka_is_group(cluster, d) &&
            kafka_delete_group(cluster, next->dests[d].name, deadline, err) < 0)
            return -1;
    if (wait_for(cluster, registered, deadline, err) < 0 ||
        kafka_delete_topics(cluster, NULL, deadline, err) < 0 ||
        wait_for(cluster, topics_gone, deadline, err) < 0)
        return -1;
    if (kafka_create_topics(cluster, NULL, deadline, err) < 0 ||
        wait_for(cluster, topics_ready, deadline, err) < 0)
        return -1;
    return verify_empty(cluster, deadline, err);
}
