/*
 * One look for the watcher's table. Leader, ISR and registered brokers are the best view's
 * (view.c says whose word that is); claims are ListOffsets answered by the claimant itself.
 */
#include "systems/kafka/kafka.h"

#include <string.h>

#define GROUP_FLAG (UINT32_C(1) << 31)
#define ASK_NS (1000 * MS_NS)

static void fact(struct cluster *cluster, struct role_table *table, uint32_t unit, int32_t id,
                 uint16_t source, enum role_kind kind, int32_t epoch)
{
    role_table_fact(table, (struct role_fact){.unit = unit,
                                              .node = kafka_node_of(cluster, id),
                                              .source = source,
                                              .kind = (uint16_t)kind,
                                              .epoch = epoch > 0 ? (uint32_t)epoch : 0,
                                              .seen_ns = clock_now_ns()});
}

static void gauge(struct role_table *table, uint32_t unit, enum gauge_kind kind, int64_t value)
{
    role_table_gauge(
        table,
        (struct gauge){.unit = unit, .kind = kind, .value = value, .seen_ns = clock_now_ns()});
}

static void partition_facts(struct cluster *cluster, struct role_table *table, uint32_t unit)
{
    const struct kafka_partition *p = kafka_partition(cluster, unit);

    if (!p->known)
        return;
    if (p->leader >= 1)
        fact(cluster, table, unit, p->leader, NO_NODE, ROLE_LEADER, p->epoch);
    for (int32_t id = 1; id <= BROKERS_MAX; id++) {
        if (p->replicas & 1u << id && id != p->leader)
            fact(cluster, table, unit, id, NO_NODE, ROLE_FOLLOWER, p->epoch);
        if (p->isr & 1u << id)
            fact(cluster, table, unit, id, NO_NODE, ROLE_IN_SYNC, p->epoch);
    }
}

/* Every broker is asked for the end of every partition: only one that acts as leader answers. */
static void claims(struct cluster *cluster, struct role_table *table, struct deadline deadline)
{
    struct kafka_state *s = kafka_state(cluster);

    for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++)
        s->wanted[unit] = kafka_is_topic(cluster, cluster->plan->units[unit].dest);
    for (int32_t id = 1; id <= (int32_t)kafka_brokers(cluster); id++) {
        uint16_t self = cluster->nodes[id - 1].plan->id;

        for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++)
            s->offsets[unit] = (struct kafka_offsets){.error = -1};
        if (!s->views[id].answered ||
            kafka_list_offsets(cluster, id, OFFSET_HIGH_WATERMARK, s->wanted, s->offsets,
                               deadline_within(deadline, ASK_NS), NULL) < 0)
            continue;
        for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++) {
            /* a new leader that has no high watermark yet says so: it acts as leader all the same
             */
            bool leads = s->wanted[unit] &&
                         (s->offsets[unit].error == 0 ||
                          s->offsets[unit].error == RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE);

            if (!leads)
                continue;
            fact(cluster, table, unit, id, self, ROLE_CLAIMS_LEADER, s->offsets[unit].epoch);
            if (s->offsets[unit].error || kafka_partition(cluster, unit)->leader != id)
                continue;
            s->ends[unit] = s->offsets[unit].offset;
            gauge(table, unit, GAUGE_END_OFFSET, s->offsets[unit].offset);
        }
    }
}

static void group_facts(struct cluster *cluster, struct role_table *table, uint32_t dest,
                        struct deadline deadline)
{
    const struct plan_dest *d = &cluster->plan->dests[dest];
    const struct plan_dest *topic = &cluster->plan->dests[d->of];
    struct kafka_group group;
    int64_t committed[ROLE_FACTS_MAX];
    int64_t sum = 0, lag = 0;

    if (cluster->plan->n_units > ROLE_FACTS_MAX ||
        kafka_group(cluster, dest, &group, deadline_within(deadline, ASK_NS), NULL) < 0)
        return;
    fact(cluster, table, dest | GROUP_FLAG, group.coordinator, NO_NODE, ROLE_COORDINATOR, 0);
    gauge(table, dest | GROUP_FLAG, GAUGE_OWNED, group.owned);
    if (kafka_committed(cluster, dest, committed, deadline_within(deadline, ASK_NS), NULL) < 0)
        return;
    for (uint32_t i = 0; i < topic->n_units; i++) {
        int64_t there = committed[topic->first_unit + i] > 0 ? committed[topic->first_unit + i] : 0;
        int64_t end = kafka_state(cluster)->ends[topic->first_unit + i];

        sum += there;
        lag += end > there ? end - there : 0;
    }
    gauge(table, dest | GROUP_FLAG, GAUGE_COMMITTED, sum);
    gauge(table, dest | GROUP_FLAG, GAUGE_LAG, lag); /* by the last end a leader told */
}

int kafka_observe(struct cluster *cluster, struct role_table *table, struct deadline deadline,
                  struct err *err)
{
    struct kafka_state *s = kafka_state(cluster);

    (void)err; /* a node that does not answer is what there is to see */
    kafka_look(cluster, deadline);
    if (s->controller >= 0)
        fact(cluster, table, NO_UNIT, s->controller, NO_NODE, ROLE_CONTROLLER, 0);
    for (int32_t id = 1; id <= BROKERS_MAX; id++)
        if (s->views[0].brokers & 1u << id)
            fact(cluster, table, NO_UNIT, id, NO_NODE, ROLE_REGISTERED, 0);
    for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++)
        if (kafka_is_topic(cluster, cluster->plan->units[unit].dest))
            partition_facts(cluster, table, unit);
    claims(cluster, table, deadline);
    for (uint32_t dest = 0; dest < cluster->plan->n_dests; dest++)
        if (kafka_is_group(cluster, dest))
            group_facts(cluster, table, dest, deadline);
    return 0;
}
