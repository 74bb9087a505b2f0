/*
 * A running cluster as its nodes describe it. According to whom:
 *
 *   Metadata of broker b      b's own cached replay of the quorum's log: may be stale, cut off, wrong
 *   the best view (views[0])  per partition the row with the highest leader epoch, equal epochs
 *                             decided by who has read furthest in the quorum's log (DescribeQuorum's
 *                             observers): the quorum alone raises leader epochs, so this is its
 *                             latest word that reached any broker. Brokers: the list of who has read
 *                             furthest
 *   ListOffsets at broker b   answered only by a broker that itself acts as leader: claims_leader
 *
 * Counter-example for "any broker's Metadata is the quorum's word": a leader cut off from the
 * controller lists itself as leader for as long as the cut lasts.
 *
 * Source: KIP-595 (DescribeQuorum), KIP-320 (leader epochs), message schemas of apache/kafka 3.9.
 */
#include "systems/kafka/kafka.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One node's answer; less for one that did not answer last time: it must not slow the others' look.
 */
#define LIMIT_NS SECOND_NS
#define LIMIT_ASLEEP_NS (200 * MS_NS)

/* ---- the plan's side */

unsigned kafka_brokers(const struct cluster *cluster)
{
    return (unsigned)((const struct kafka_config *)cluster->spec->config)->kafka.brokers;
}

unsigned kafka_cluster_index(const struct cluster *cluster)
{
    return (unsigned)(cluster->spec - cluster->plan->clusters);
}

bool kafka_is_topic(const struct cluster *cluster, uint32_t dest)
{
    const struct plan_dest *d = &cluster->plan->dests[dest];

    return !d->group && d->kind == UNIT_LOG && d->cluster == kafka_cluster_index(cluster);
}

bool kafka_is_group(const struct cluster *cluster, uint32_t dest)
{
    const struct plan_dest *d = &cluster->plan->dests[dest];

    return d->group && d->of < cluster->plan->n_dests && kafka_is_topic(cluster, d->of);
}

uint32_t kafka_unit(const struct plan_case *plan, unsigned cluster, const char *topic,
                    int32_t partition)
{
    for (size_t i = 0; i < plan->n_dests; i++) {
        const struct plan_dest *d = &plan->dests[i];

        if (!d->group && d->cluster == cluster && strcmp(d->name, topic) == 0)
            return partition >= 0 && (uint32_t)partition < d->n_units
                       ? d->first_unit + (uint32_t)partition
                       : NO_UNIT;
    }
    return NO_UNIT;
}

uint16_t kafka_node_of(const struct cluster *cluster, int32_t id)
{
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++)
        if (kafka_broker_id(cluster, cluster->nodes[i].plan) == id)
            return cluster->nodes[i].plan->id;
    return NO_NODE;
}

struct node *kafka_broker(struct cluster *cluster, int32_t id)
{
    return id >= 1 && id <= (int32_t)kafka_brokers(cluster) ? &cluster->nodes[id - 1] : NULL;
}

/* ---- state */

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);

    if (!p)
        abort();
    return p;
}

struct kafka_state *kafka_state(struct cluster *cluster)
{
    struct kafka_state *s = cluster->state;

    if (s && s->plan == cluster->plan)
        return s;
    kafka_release(cluster); /* a reused cluster got another plan: other units */
    s = zeroed(1, sizeof(*s));
    s->plan = cluster->plan;
    s->controller = -1;
    for (size_t i = 0; i < BROKERS_MAX + CONTROLLERS_MAX; i++)
        s->wires[i].fd = -1;
    for (size_t i = 0; i <= BROKERS_MAX; i++)
        s->views[i].partitions = zeroed(cluster->plan->n_units, sizeof(struct kafka_partition));
    s->offsets = zeroed(cluster->plan->n_units, sizeof(*s->offsets));
    s->ends = zeroed(cluster->plan->n_units, sizeof(*s->ends));
    s->wanted = zeroed(cluster->plan->n_units, sizeof(*s->wanted));
    cluster->state = s;
    return s;
}

void kafka_release(struct cluster *cluster)
{
    struct kafka_state *s = cluster->state;

    if (!s)
        return;
    for (size_t i = 0; i < BROKERS_MAX + CONTROLLERS_MAX; i++)
        kafka_wire_close(&s->wires[i]);
    for (size_t i = 0; i <= BROKERS_MAX; i++)
        free(s->views[i].partitions);
    free(s->offsets);
    free(s->ends);
    free(s->wanted);
    if (s->admin)
        rd_kafka_destroy_flags(s->admin, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(s);
    cluster->state = NULL;
}

/* ---- asking one node */

static struct deadline limit(struct kafka_state *s, unsigned node_index, struct deadline deadline)
{
    return deadline_within(deadline, s->asleep & 1u << node_index ? LIMIT_ASLEEP_NS : LIMIT_NS);
}

static int ask(struct cluster *cluster, unsigned i, enum wire_api api, int16_t version,
               const struct wire_body *body, struct deadline deadline, struct err *err)
{
    uint16_t port = i < kafka_brokers(cluster) ? CLIENT_PORT : CONTROLLER_PORT;

    return kafka_wire_send(&kafka_state(cluster)->wires[i], cluster->nodes[i].plan->address, port,
                           api, version, body, deadline, err);
}

static int answer(struct cluster *cluster, unsigned i, struct wire_view *view,
                  struct deadline deadline, struct err *err)
{
    struct kafka_state *s = kafka_state(cluster);
    int result = kafka_wire_receive(&s->wires[i], view, deadline, err);

    if (result < 0)
        s->asleep |= 1u << i;
    else
        s->asleep &= ~(1u << i);
    return result;
}

int kafka_ask(struct cluster *cluster, unsigned i, enum wire_api api, int16_t version,
              const struct wire_body *body, struct wire_view *view, struct deadline deadline,
              struct err *err)
{
    if (ask(cluster, i, api, version, body, deadline, err) < 0 ||
        answer(cluster, i, view, deadline, err) < 0)
        return err_prefix(err, "%s", cluster->nodes[i].plan->name);
    return 0;
}

/* ---- Metadata v8 */

static void ask_metadata(struct cluster *cluster, struct wire_body *b)
{
    uint32_t n = 0;

    for (uint32_t d = 0; d < cluster->plan->n_dests; d++)
        n += kafka_is_topic(cluster, d);
    put_i32(b, (int32_t)n);
    for (uint32_t d = 0; d < cluster->plan->n_dests; d++)
        if (kafka_is_topic(cluster, d))
            put_string(b, cluster->plan->dests[d].name);
    put_i8(b, 0); /* create nothing */
    put_i8(b, 0);
    put_i8(b, 0);
}

static uint32_t get_ids(struct wire_view *v, int32_t *first)
{
    int32_t n = get_array(v);
    uint32_t bits = 0;

    for (int32_t i = 0; i < n; i++) {
        int32_t id = get_i32(v);

        if (i == 0)
            *first = id;
        if (id >= 0 && id <= BROKERS_MAX)
            bits |= 1u << id;
    }
    return bits;
}

static void read_partition(struct cluster *cluster, struct kafka_view *view, const char *topic,
                           struct wire_view *v)
{
    struct kafka_partition p = {.known = true, .preferred = -1};
    int32_t index, unused;
    uint32_t unit;

    p.error = get_i16(v);
    index = get_i32(v);
    p.leader = get_i32(v);
    p.epoch = get_i32(v);
    p.replicas = get_ids(v, &p.preferred);
    p.isr = get_ids(v, &unused);
    get_ids(v, &unused); /* offline replicas */
    unit = kafka_unit(cluster->plan, kafka_cluster_index(cluster), topic, index);
    if (unit != NO_UNIT && !v->bad)
        view->partitions[unit] = p;
}

static void read_metadata(struct cluster *cluster, struct kafka_view *view, struct wire_view *v)
{
    char name[256];
    int32_t n;

    get_i32(v); /* throttle */
    n = get_array(v);
    view->brokers = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t id = get_i32(v);

        get_string(v, name, sizeof(name)); /* host */
        get_i32(v);
        get_string(v, name, sizeof(name)); /* rack */
        if (id >= 0 && id <= BROKERS_MAX)
            view->brokers |= 1u << id;
    }
    get_string(v, name, sizeof(name)); /* cluster id */
    get_i32(v); /* a random broker where a controller is meant: KRaft brokers do not tell */
    memset(view->partitions, 0, cluster->plan->n_units * sizeof(*view->partitions));
    n = get_array(v);
    for (int32_t i = 0; i < n; i++) {
        int32_t partitions;

        get_i16(v);
        get_string(v, name, sizeof(name));
        get_i8(v);
        partitions = get_array(v);
        for (int32_t j = 0; j < partitions; j++)
            read_partition(cluster, view, name, v);
        get_i32(v); /* authorized operations */
    }
    view->answered = !v->bad;
}

/* ---- DescribeQuorum v1 */

static void read_quorum(struct kafka_state *s, struct wire_view *v)
{
    char name[64];

    get_i16(v);
    if (get_compact_array(v) != 1)
        return;
    get_compact_string(v, name, sizeof(name));
    if (get_compact_array(v) != 1)
        return;
    get_i32(v);
    if (get_i16(v) != 0)
        return; /* not the leader */
    s->controller = get_i32(v);
    get_i32(v);
    get_i64(v);
    for (int part = 0; part < 2; part++) { /* voters, observers */
        int32_t n = get_compact_array(v);

        for (int32_t i = 0; i < n; i++) {
            int32_t id = get_i32(v);
            int64_t end = get_i64(v);

            get_i64(v);
            get_i64(v);
            get_tags(v);
            if (part == 1 && id >= 1 && id <= BROKERS_MAX && !v->bad)
                s->views[id].log_end = end;
        }
    }
}

static void ask_quorum(struct wire_body *b)
{
    put_compact_array(b, 1);
    put_compact_string(b, "__cluster_metadata");
    put_compact_array(b, 1);
    put_i32(b, 0);
    put_tags(b);
    put_tags(b);
    put_tags(b);
}

/* ---- one look */

static bool better(const struct kafka_state *s, int32_t id, const struct kafka_partition *p,
                   int32_t best)
{
    const struct kafka_partition *b;

    if (best == 0)
        return true;
    b = &s->views[best].partitions[p - s->views[id].partitions];
    if (p->epoch != b->epoch)
        return p->epoch > b->epoch;
    return s->views[id].log_end > s->views[best].log_end;
}

static void choose_best(struct cluster *cluster, struct kafka_state *s)
{
    int32_t furthest = 0;

    for (uint32_t unit = 0; unit < cluster->plan->n_units; unit++) {
        int32_t best = 0;

        for (int32_t id = 1; id <= (int32_t)kafka_brokers(cluster); id++)
            if (s->views[id].answered && s->views[id].partitions[unit].known &&
                better(s, id, &s->views[id].partitions[unit], best))
                best = id;
        s->views[0].partitions[unit] =
            best ? s->views[best].partitions[unit] : (struct kafka_partition){.leader = -1};
    }
    for (int32_t id = 1; id <= (int32_t)kafka_brokers(cluster); id++)
        if (s->views[id].answered &&
            (!furthest || s->views[id].log_end > s->views[furthest].log_end))
            furthest = id;
    s->views[0].answered = furthest != 0;
    s->views[0].brokers = furthest ? s->views[furthest].brokers : 0;
}

void kafka_look(struct cluster *cluster, struct deadline deadline)
{
    struct kafka_state *s = kafka_state(cluster);
    unsigned brokers = kafka_brokers(cluster);
    struct wire_body metadata = {0}, quorum = {0};
    uint32_t asked = 0;

    ask_metadata(cluster, &metadata);
    ask_quorum(&quorum);
    s->controller = -1;
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        bool broker = i < brokers;

        if (ask(cluster, i, broker ? API_METADATA : API_DESCRIBE_QUORUM, broker ? 8 : 1,
                broker ? &metadata : &quorum, limit(s, i, deadline), NULL) == 0)
            asked |= 1u << i;
    }
    for (unsigned i = 0; i <= BROKERS_MAX; i++) {
        s->views[i].answered = false;
        s->views[i].log_end = -1;
    }
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        struct wire_view v;

        if (!(asked & 1u << i) || answer(cluster, i, &v, limit(s, i, deadline), NULL) < 0)
            continue;
        if (i < brokers)
            read_metadata(cluster, &s->views[i + 1], &v);
        else
            read_quorum(s, &v);
    }
    choose_best(cluster, s);
}

const struct kafka_partition *kafka_partition(struct cluster *cluster, uint32_t unit)
{
    return &kafka_state(cluster)->views[0].partitions[unit];
}

/* ---- ListOffsets v5 */

#define ASK_CONSUMER (-1) /* replica_id of clients: the leader answers, up to what they may see */
#define ASK_DEBUGGING                                                                              \
    (-2) /* Request.DebuggingConsumerId: any replica answers about its own log                     \
          */

static void ask_offsets(struct cluster *cluster, enum kafka_offset what, const bool *wanted,
                        struct wire_body *b)
{
    const struct plan_case *plan = cluster->plan;
    uint32_t n = 0;

    put_i32(b, what == OFFSET_LOG_END ? ASK_DEBUGGING : ASK_CONSUMER);
    put_i8(b, what == OFFSET_LAST_STABLE); /* isolation level */
    for (uint32_t d = 0; d < plan->n_dests; d++)
        n += kafka_is_topic(cluster, d);
    put_i32(b, (int32_t)n);
    for (uint32_t d = 0; d < plan->n_dests; d++) {
        const struct plan_dest *dest = &plan->dests[d];
        int32_t count = 0;

        if (!kafka_is_topic(cluster, d))
            continue;
        for (uint32_t i = 0; i < dest->n_units; i++)
            count += wanted[dest->first_unit + i];
        put_string(b, dest->name);
        put_i32(b, count);
        for (uint32_t i = 0; i < dest->n_units; i++)
            if (wanted[dest->first_unit + i]) {
                put_i32(b, (int32_t)i);
                put_i32(b, -1); /* no leader epoch to check */
                put_i64(b, what == OFFSET_START ? -2 : -1);
            }
    }
}

int kafka_list_offsets(struct cluster *cluster, int32_t broker, enum kafka_offset what,
                       const bool *wanted, struct kafka_offsets *out, struct deadline deadline,
                       struct err *err)
{
    struct wire_body b = {0};
    struct wire_view v;
    char topic[256];
    int32_t topics;

    ask_offsets(cluster, what, wanted, &b);
    if (kafka_ask(cluster, (unsigned)broker - 1, API_LIST_OFFSETS, 5, &b, &v, deadline, err) < 0)
        return -1;
    get_i32(&v);
    topics = get_array(&v);
    for (int32_t i = 0; i < topics; i++) {
        int32_t partitions;

        get_string(&v, topic, sizeof(topic));
        partitions = get_array(&v);
        for (int32_t j = 0; j < partitions; j++) {
            int32_t index = get_i32(&v);
            struct kafka_offsets o = {.error = get_i16(&v)};
            uint32_t unit = kafka_unit(cluster->plan, kafka_cluster_index(cluster), topic, index);

            get_i64(&v); /* timestamp */
            o.offset = get_i64(&v);
            o.epoch = get_i32(&v);
            if (unit != NO_UNIT && !v.bad)
                out[unit] = o;
        }
    }
    return v.bad ? err_set(err, "an answer to ListOffsets that ends early") : 0;
}
