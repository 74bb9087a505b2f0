/*
 * Script verbs of Kafka only: elections and reassignments, asked of the active controller; those of
 * topics are topics.c's.
 *
 *     - elect: {partition: orders/0}                         preferred
 *     - elect: {partition: orders/0, type: unclean}
 *     - reassign: {partition: orders/0, replicas: [2, 3, 1]}
 *
 * Source: KIP-460 (ElectLeaders), KIP-455 (AlterPartitionReassignments).
 */
#include "systems/kafka/kafka.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_NS (50 * MS_NS)

struct elect_args {
    const char *partition;
    int type;
};
struct reassign_args {
    const char *partition;
    struct strings replicas;
};

static int unit_named(const struct cluster *cluster, const char *name, uint32_t *unit,
                      struct err *err)
{
    long found = plan_unit_named(cluster->plan, name);

    if (found < 0 || !kafka_is_topic(cluster, cluster->plan->units[found].dest))
        return err_input(err, "%s is not a partition of this cluster (write topic/number)", name);
    *unit = (uint32_t)found;
    return 0;
}

/* Index of the active controller's node, once there is one. */
static int find_controller(struct cluster *cluster, unsigned *index, struct deadline deadline,
                           struct err *err)
{
    for (;;) {
        uint16_t node;

        kafka_look(cluster, deadline);
        node = kafka_node_of(cluster, kafka_state(cluster)->controller);
        if (node != NO_NODE) {
            *index = cluster->plan->nodes[node].index;
            return 0;
        }
        if (deadline_sleep(&deadline, ROUND_NS) < 0)
            return err_set(err, "no active controller");
    }
}

static int read_election(struct wire_view *v, struct err *err)
{
    char text[300] = "";
    int16_t code;

    get_i32(v);
    code = get_i16(v);
    if (code == 0 && get_array(v) == 1) {
        get_string(v, text, sizeof(text));
        if (get_array(v) == 1) {
            get_i32(v);
            code = get_i16(v);
            get_string(v, text, sizeof(text));
        }
    }
    if (v->bad)
        return err_set(err, "an answer to ElectLeaders that ends early");
    /* ELECTION_NOT_NEEDED: it leads already */
    if (code != 0 && code != RD_KAFKA_RESP_ERR_ELECTION_NOT_NEEDED)
        return err_set(err, "%s%s%s", kafka_error_name(code), text[0] ? ": " : "", text);
    return 0;
}

static int elect(struct cluster *cluster, const void *opaque, uint16_t target,
                 struct deadline deadline, struct err *err)
{
    const struct elect_args *args = opaque;
    struct wire_body b = {0};
    struct wire_view v;
    unsigned controller;
    uint32_t unit;

    (void)target;
    if (unit_named(cluster, args->partition, &unit, err) < 0 ||
        find_controller(cluster, &controller, deadline, err) < 0)
        return -1;
    put_i8(&b, (int8_t)args->type); /* 0 preferred, 1 unclean */
    put_i32(&b, 1);
    put_string(&b, cluster->plan->dests[cluster->plan->units[unit].dest].name);
    put_i32(&b, 1);
    put_i32(&b, (int32_t)cluster->plan->units[unit].index);
    put_i32(&b, deadline_left_ms(&deadline));
    if (kafka_ask(cluster, controller, API_ELECT_LEADERS, 1, &b, &v, deadline, err) < 0 ||
        read_election(&v, err) < 0)
        return err_prefix(err, "elect %s", args->partition);
    return 0;
}

static void ask_reassignment(const struct cluster *cluster, uint32_t unit,
                             const struct strings *replicas, struct wire_body *b,
                             struct deadline deadline)
{
    put_i32(b, deadline_left_ms(&deadline));
    put_compact_array(b, 1);
    put_compact_string(b, cluster->plan->dests[cluster->plan->units[unit].dest].name);
    put_compact_array(b, 1);
    put_i32(b, (int32_t)cluster->plan->units[unit].index);
    put_compact_array(b, replicas->n);
    for (size_t i = 0; i < replicas->n; i++)
        put_i32(b, (int32_t)strtol(replicas->items[i], NULL, 10));
    put_tags(b);
    put_tags(b);
    put_tags(b);
}

static int read_reassignment(struct wire_view *v, struct err *err)
{
    char text[300] = "";
    int16_t code;

    get_i32(v);
    code = get_i16(v);
    get_compact_string(v, text, sizeof(text));
    if (code == 0 && get_compact_array(v) == 1) {
        get_compact_string(v, text, sizeof(text));
        if (get_compact_array(v) == 1) {
            get_i32(v);
            code = get_i16(v);
            get_compact_string(v, text, sizeof(text));
        }
    }
    if (v->bad)
        return err_set(err, "an answer to AlterPartitionReassignments that ends early");
    return code ? err_set(err, "%s%s%s", kafka_error_name(code), text[0] ? ": " : "", text) : 0;
}

/* Returns once the partition has just these replicas and all of them are in sync. */
static int reassign(struct cluster *cluster, const void *opaque, uint16_t target,
                    struct deadline deadline, struct err *err)
{
    const struct reassign_args *args = opaque;
    struct wire_body b = {0};
    struct wire_view v;
    unsigned controller;
    uint32_t unit, wanted = 0;

    (void)target;
    for (size_t i = 0; i < args->replicas.n; i++) {
        long id = strtol(args->replicas.items[i], NULL, 10);

        if (!kafka_broker(cluster, (int32_t)id))
            return err_input(err, "reassign: %s is not a broker of this cluster",
                             args->replicas.items[i]);
        wanted |= 1u << id;
    }
    if (unit_named(cluster, args->partition, &unit, err) < 0 ||
        find_controller(cluster, &controller, deadline, err) < 0)
        return -1;
    ask_reassignment(cluster, unit, &args->replicas, &b, deadline);
    if (kafka_ask(cluster, controller, API_ALTER_PARTITION_REASSIGNMENTS, 0, &b, &v, deadline,
                  err) < 0 ||
        read_reassignment(&v, err) < 0)
        return err_prefix(err, "reassign %s", args->partition);
    for (;;) {
        const struct kafka_partition *p;

        kafka_look(cluster, deadline);
        p = kafka_partition(cluster, unit);
        if (p->replicas == wanted && p->isr == wanted)
            return 0;
        if (deadline_sleep(&deadline, ROUND_NS) < 0)
            return err_set(err, "reassign %s: the new replicas are not in sync in time",
                           args->partition);
    }
}

static const char *const election_types[] = {"preferred", "unclean", NULL};
static const struct param elect_params[] = {
    {.key = "partition",
     .type = PARAM_STRING,
     .offset = offsetof(struct elect_args, partition),
     .required = true,
     .help = "topic/number"},
    {.key = "type",
     .type = PARAM_CHOICE,
     .offset = offsetof(struct elect_args, type),
     .fallback = "preferred",
     .choices = election_types,
     .help = "unclean takes a leader from outside of the ISR"},
    {0},
};
static const struct param reassign_params[] = {
    {.key = "partition",
     .type = PARAM_STRING,
     .offset = offsetof(struct reassign_args, partition),
     .required = true,
     .help = "topic/number"},
    {.key = "replicas",
     .type = PARAM_STRINGS,
     .offset = offsetof(struct reassign_args, replicas),
     .required = true,
     .help = "broker ids, preferred leader first"},
    {0},
};

const struct system_command kafka_commands[] = {
    {.name = "elect",
     .params = elect_params,
     .size = sizeof(struct elect_args),
     .run = elect,
     .help = "asks the controller for a preferred or unclean leader election"},
    {.name = "reassign",
     .params = reassign_params,
     .size = sizeof(struct reassign_args),
     .run = reassign,
     .help = "moves a partition to other brokers and waits until they are in sync"},
    {.name = "alter",
     .params = kafka_alter_params,
     .size = sizeof(struct kafka_topic_args),
     .run = kafka_alter,
     .help = "changes a topic's configuration at run time"},
    {.name = "add_partitions",
     .params = kafka_topic_params,
     .size = sizeof(struct kafka_topic_args),
     .run = kafka_add_partitions,
     .help = "gives a topic the partitions it is declared to grow to (grows_to)"},
    {.name = "recreate",
     .params = kafka_topic_params,
     .size = sizeof(struct kafka_topic_args),
     .run = kafka_recreate,
     .help = "deletes a topic and makes it again under the same name"},
    {0},
};
