/*
 * Consumer groups as their coordinator describes them: FindCoordinator, OffsetFetch,
 * DescribeGroups. Source: message schemas of apache/kafka 3.9; assignment: ConsumerProtocol v0.
 */
#include "systems/kafka/kafka.h"

#include <string.h>

static int find_coordinator(struct cluster *cluster, const char *group, int32_t *id,
                            struct deadline deadline, struct err *err)
{
    struct kafka_state *s = kafka_state(cluster);
    struct err why = {.text = "no broker answered"};

    for (unsigned i = 0; i < kafka_brokers(cluster); i++) {
        struct wire_body b = {0};
        struct wire_view v;
        char text[300];
        int16_t code;

        if (!s->views[i + 1].answered)
            continue;
        put_string(&b, group);
        put_i8(&b, 0); /* a group */
        if (kafka_ask(cluster, i, API_FIND_COORDINATOR, 2, &b, &v, deadline, &why) < 0)
            continue;
        get_i32(&v);
        code = get_i16(&v);
        get_string(&v, text, sizeof(text));
        *id = get_i32(&v);
        if (code == 0 && !v.bad && kafka_broker(cluster, *id))
            return 0;
        err_set(&why, "%s", kafka_error_name(code));
    }
    return err_set(err, "coordinator of group %s: %s", group, why.text);
}

static void ask_committed(struct cluster *cluster, const struct plan_dest *group,
                          struct wire_body *b)
{
    const struct plan_dest *topic = &cluster->plan->dests[group->of];

    put_string(b, group->name);
    put_i32(b, 1);
    put_string(b, topic->name);
    put_i32(b, (int32_t)topic->n_units);
    for (uint32_t i = 0; i < topic->n_units; i++)
        put_i32(b, (int32_t)i);
}

static int read_committed(const struct plan_dest *topic, struct wire_view *v, int64_t *out,
                          struct err *err)
{
    char text[300];
    int32_t topics;
    int16_t code;

    get_i32(v);
    topics = get_array(v);
    for (int32_t t = 0; t < topics; t++) {
        int32_t partitions;

        get_string(v, text, sizeof(text));
        partitions = get_array(v);
        for (int32_t i = 0; i < partitions; i++) {
            int32_t index = get_i32(v);
            int64_t offset = get_i64(v);

            get_i32(v);
            get_string(v, text, sizeof(text));
            code = get_i16(v);
            if (code != 0)
                return err_set(err, "partition %d: %s", index, kafka_error_name(code));
            if (index >= 0 && (uint32_t)index < topic->n_units && !v->bad)
                out[topic->first_unit + (uint32_t)index] = offset;
        }
    }
    code = get_i16(v);
    if (code != 0 || v->bad)
        return err_set(err, "%s", v->bad ? "an answer that ends early" : kafka_error_name(code));
    return 0;
}

int kafka_committed(struct cluster *cluster, uint32_t group, int64_t *out, struct deadline deadline,
                    struct err *err)
{
    const struct plan_dest *dest = &cluster->plan->dests[group];
    const struct plan_dest *topic = &cluster->plan->dests[dest->of];
    struct wire_body b = {0};
    struct wire_view v;
    int32_t id;

    if (find_coordinator(cluster, dest->name, &id, deadline, err) < 0)
        return -1;
    ask_committed(cluster, dest, &b);
    if (kafka_ask(cluster, (unsigned)id - 1, API_OFFSET_FETCH, 5, &b, &v, deadline, err) < 0 ||
        read_committed(topic, &v, out, err) < 0)
        return err_prefix(err, "committed offsets of group %s", dest->name);
    return 0;
}

/* version i16, [topic, [partition]], user data: counts partitions of `topic`. */
static unsigned count_assigned(struct wire_view part, const char *topic)
{
    char name[256];
    unsigned owned = 0;
    int32_t topics;

    get_i16(&part);
    topics = get_array(&part);
    for (int32_t t = 0; t < topics; t++) {
        int32_t n;

        get_string(&part, name, sizeof(name));
        n = get_array(&part);
        get_skip(&part, 4 * (size_t)n);
        if (strcmp(name, topic) == 0 && !part.bad)
            owned += (unsigned)n;
    }
    return owned;
}

static void read_members(struct wire_view *v, const char *topic, struct kafka_group *out)
{
    char text[300];
    int32_t n = get_array(v);

    out->members = (unsigned)n;
    for (int32_t i = 0; i < n; i++) {
        int32_t bytes;

        for (int field = 0; field < 4; field++) /* member, instance, client id, host */
            get_string(v, text, sizeof(text));
        bytes = get_i32(v);
        get_skip(v, bytes > 0 ? (size_t)bytes : 0); /* its metadata */
        bytes = get_i32(v);
        if (bytes > 0)
            out->owned += count_assigned(get_part(v, (size_t)bytes), topic);
    }
}

int kafka_group(struct cluster *cluster, uint32_t group, struct kafka_group *out,
                struct deadline deadline, struct err *err)
{
    const struct plan_dest *dest = &cluster->plan->dests[group];
    struct wire_body b = {0};
    struct wire_view v;
    char text[300];
    int16_t code;

    *out = (struct kafka_group){.coordinator = -1};
    if (find_coordinator(cluster, dest->name, &out->coordinator, deadline, err) < 0)
        return -1;
    put_i32(&b, 1);
    put_string(&b, dest->name);
    put_i8(&b, 0);
    if (kafka_ask(cluster, (unsigned)out->coordinator - 1, API_DESCRIBE_GROUPS, 4, &b, &v, deadline,
                  err) < 0)
        return -1;
    get_i32(&v);
    if (get_array(&v) != 1)
        return err_set(err, "no description of group %s", dest->name);
    code = get_i16(&v);
    get_string(&v, text, sizeof(text));
    get_string(&v, out->state, sizeof(out->state));
    get_string(&v, text, sizeof(text)); /* protocol type */
    get_string(&v, text, sizeof(text)); /* protocol */
    read_members(&v, cluster->plan->dests[dest->of].name, out);
    if (code != 0 || v.bad)
        return err_set(err, "group %s: %s", dest->name,
                       v.bad ? "an answer that ends early" : kafka_error_name(code));
    return 0;
}
