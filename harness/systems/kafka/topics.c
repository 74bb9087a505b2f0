/*
 * Script verbs that change topics while clients work on them.
 *
 *     - alter: {topic: orders, config: {min.insync.replicas: "1"}}
 *     - add_partitions: {topic: orders}             up to the `grows_to` it is declared with
 *     - recreate: orders                            deleted and made again under the same name
 *
 * Source: KIP-339 (IncrementalAlterConfigs), KIP-195 (CreatePartitions), CreatePartitionsRequest
 * and IncrementalAlterConfigsRequest of apache/kafka 3.9.
 */
#include "systems/kafka/kafka.h"

#include <stddef.h>
#include <string.h>

#define ROUND_NS (40 * MS_NS)
#define RESOURCE_TOPIC 2
#define OP_SET 0

static const struct kafka_topic *topic_named(const struct cluster *cluster, const char *name,
                                             struct err *err)
{
    const struct kafka_config *config = cluster->spec->config;
    const struct kafka_topic *topics = config->topics.items;

    for (size_t i = 0; i < config->topics.n; i++)
        if (strcmp(topics[i].name, name) == 0)
            return &topics[i];
    err_input(err, "%s is not a topic of this cluster", name);
    return NULL;
}

/* Error code and message at the end of an answer's only element. */
static int judge(struct wire_view *v, int16_t code, struct err *err)
{
    char text[300];

    get_string(v, text, sizeof(text));
    if (v->bad)
        return err_set(err, "an answer that ends early");
    return code ? err_set(err, "%s%s%s", kafka_error_name(code), text[0] ? ": " : "", text) : 0;
}

int kafka_alter(struct cluster *cluster, const void *opaque, uint16_t target,
                struct deadline deadline, struct err *err)
{
    const struct kafka_topic_args *args = opaque;
    struct wire_body b = {0};
    struct wire_view v;

    (void)target;
    if (!topic_named(cluster, args->topic, err))
        return -1;
    put_i32(&b, 1);
    put_i8(&b, RESOURCE_TOPIC);
    put_string(&b, args->topic);
    put_i32(&b, (int32_t)args->config.n);
    for (size_t i = 0; i < args->config.n; i++) {
        put_string(&b, args->config.items[i].key);
        put_i8(&b, OP_SET);
        put_string(&b, args->config.items[i].value);
    }
    put_i8(&b, 0); /* not only validated */
    if (kafka_ask(cluster, 0, API_INCREMENTAL_ALTER_CONFIGS, 0, &b, &v, deadline, err) < 0)
        return err_prefix(err, "alter %s", args->topic);
    get_i32(&v); /* throttle */
    if (get_array(&v) != 1)
        return err_set(err, "alter %s: no answer about it", args->topic);
    return judge(&v, get_i16(&v), err) < 0 ? err_prefix(err, "alter %s", args->topic) : 0;
}

/* Every partition the plan knows of has a leader, as every broker sees it. */
static int wait_led(struct cluster *cluster, const char *topic, struct deadline deadline,
                    struct err *err)
{
    long dest = plan_dest_named(cluster->plan, topic);
    const struct plan_dest *d = &cluster->plan->dests[dest];

    for (;;) {
        struct kafka_state *s = kafka_state(cluster);
        bool led = true;

        kafka_look(cluster, deadline);
        for (uint32_t i = 0; i < d->n_units; i++)
            for (int32_t id = 1; id <= (int32_t)kafka_brokers(cluster); id++)
                led = led && s->views[id].answered &&
                      s->views[id].partitions[d->first_unit + i].known &&
                      s->views[id].partitions[d->first_unit + i].leader > 0;
        if (led)
            return 0;
        if (deadline_sleep(&deadline, ROUND_NS) < 0)
            return err_set(err, "%s: not all of its partitions have a leader", topic);
    }
}

int kafka_add_partitions(struct cluster *cluster, const void *opaque, uint16_t target,
                         struct deadline deadline, struct err *err)
{
    const struct kafka_topic_args *args = opaque;
    const struct kafka_topic *topic = topic_named(cluster, args->topic, err);
    struct wire_body b = {0};
    struct wire_view v;
    char name[300];

    (void)target;
    if (!topic)
        return -1;
    if (topic->grows_to == 0)
        return err_input(err, "add_partitions: %s is not declared with grows_to", args->topic);
    if (topic->grows_to <= (int64_t)kafka_topic_partitions(topic))
        return 0; /* it has had them from the beginning */
    put_i32(&b, 1);
    put_string(&b, args->topic);
    put_i32(&b, (int32_t)topic->grows_to);
    put_i32(&b, -1); /* the controller places them */
    put_i32(&b, deadline_left_ms(&deadline));
    put_i8(&b, 0);
    if (kafka_ask(cluster, 0, API_CREATE_PARTITIONS, 0, &b, &v, deadline, err) < 0)
        return err_prefix(err, "add_partitions %s", args->topic);
    get_i32(&v);
    if (get_array(&v) != 1)
        return err_set(err, "add_partitions %s: no answer about it", args->topic);
    get_string(&v, name, sizeof(name));
    if (judge(&v, get_i16(&v), err) < 0)
        return err_prefix(err, "add_partitions %s", args->topic);
    return wait_led(cluster, args->topic, deadline, err);
}

static bool anybody_knows(struct cluster *cluster, const char *topic)
{
    const struct plan_dest *d = &cluster->plan->dests[plan_dest_named(cluster->plan, topic)];
    struct kafka_state *s = kafka_state(cluster);

    for (uint32_t i = 0; i < d->n_units; i++)
        for (int32_t id = 1; id <= (int32_t)kafka_brokers(cluster); id++)
            if (!s->views[id].answered || s->views[id].partitions[d->first_unit + i].known)
                return true;
    return false;
}

const char *kafka_renews(const struct system_command *command, const void *args)
{
    return command->run == kafka_recreate ? ((const struct kafka_topic_args *)args)->topic : NULL;
}

int kafka_recreate(struct cluster *cluster, const void *opaque, uint16_t target,
                   struct deadline deadline, struct err *err)
{
    const struct kafka_topic_args *args = opaque;

    (void)target;
    if (!topic_named(cluster, args->topic, err) ||
        kafka_delete_topics(cluster, args->topic, deadline, err) < 0)
        return -1;
    do {
        kafka_look(cluster, deadline);
        if (deadline_sleep(&deadline, ROUND_NS) < 0)
            return err_set(err, "recreate %s: it is still there", args->topic);
    } while (anybody_knows(cluster, args->topic));
    if (kafka_create_topics(cluster, args->topic, deadline, err) < 0)
        return -1;
    return wait_led(cluster, args->topic, deadline, err);
}

#define TOPIC                                                                                      \
    {                                                                                              \
        .key = "topic", .type = PARAM_STRING, .offset = offsetof(struct kafka_topic_args, topic),  \
        .required = true, .help = "one of the cluster's topics"                                    \
    }
const struct param kafka_alter_params[] = {
    TOPIC,
    {.key = "config",
     .type = PARAM_VERBATIM,
     .offset = offsetof(struct kafka_topic_args, config),
     .required = true,
     .help = "keys of the topic's configuration and their new values"},
    {0},
};
const struct param kafka_topic_params[] = {TOPIC, {0}};
