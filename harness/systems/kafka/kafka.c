/*
 * Kafka 3.9 and 4.x in KRaft mode: brokers kafka-1 … and dedicated controllers controller-10 ….
 * The table of a cluster entry and the ops; the rest of the folder in the order of use: cache.c and
 * layout.c start nodes, form.c waits for them, view.c and group.c look, observe.c tells the
 * watcher, drain.c proves and audits, admin.c and wire.c ask, command.c and topics.c are the script's
 * verbs, client.c with client_params.c, producer.c and consumer.c is the data plane, outcome.c says
 * what its answers mean. Leaves out: ZooKeeper, combined mode, TLS, SASL, share groups, tiered
 * storage.
 */
#include "systems/kafka/client.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONS_MAX 256 /* of a cluster: what one ListOffsets request and OWNERS_MAX hold */

static const struct param server_params[] = {
    {.key = "version",
     .type = PARAM_STRING,
     .offset = offsetof(struct kafka_server, version),
     .help = "of the jars in the cache (ci/quickstart fetches them); default: KAFKA_HOME's, else "
             "3.9.1"},
    {.key = "home",
     .type = PARAM_STRING,
     .offset = offsetof(struct kafka_server, home),
     .help = "folder of an unpacked distribution whose libs/ is run"},
    {.key = "brokers",
     .type = PARAM_INT,
     .offset = offsetof(struct kafka_server, brokers),
     .fallback = "3",
     .min = 1,
     .max = BROKERS_MAX,
     .help = "kafka-1 …"},
    {.key = "controllers",
     .type = PARAM_INT,
     .offset = offsetof(struct kafka_server, controllers),
     .fallback = "1",
     .min = 1,
     .max = CONTROLLERS_MAX,
     .help = "controller-10 …, dedicated"},
    {0},
};
static const struct param topic_params[] = {
    {.key = "partitions",
     .type = PARAM_INT,
     .offset = offsetof(struct kafka_topic, partitions),
     .min = 0,
     .max = PARTITIONS_MAX,
     .help = "default 1, or as many as `replicas` lists"},
    {.key = "replication.factor",
     .type = PARAM_INT,
     .offset = offsetof(struct kafka_topic, replication_factor),
     .min = 0,
     .max = BROKERS_MAX,
     .help = "default 3, or as many as there are brokers"},
    {.key = "grows_to",
     .type = PARAM_INT,
     .offset = offsetof(struct kafka_topic, grows_to),
     .min = 0,
     .max = PARTITIONS_MAX,
     .help = "partitions it has after add_partitions"},
    {.key = "replicas",
     .type = PARAM_TREE,
     .offset = offsetof(struct kafka_topic, replicas),
     .help = "broker ids per partition, preferred leader first: [[1, 2, 3], [2, 3, 1]]"},
    {.key = "config",
     .type = PARAM_VERBATIM,
     .offset = offsetof(struct kafka_topic, config),
     .help = "the topic's own configuration"},
    {0},
};
static const struct param cluster_params[] = {
    {.key = "kafka",
     .type = PARAM_STRUCT,
     .offset = offsetof(struct kafka_config, kafka),
     .sub = server_params,
     .sub_size = sizeof(struct kafka_server),
     .required = true,
     .help = "brokers and controllers"},
    {.key = "server.properties",
     .type = PARAM_VERBATIM,
     .offset = offsetof(struct kafka_config, server_properties),
     .help = "brokers' and controllers' configuration, kept but for what the sandbox owns"},
    {.key = "topics",
     .type = PARAM_MAP,
     .offset = offsetof(struct kafka_config, topics),
     .sub = topic_params,
     .sub_size = sizeof(struct kafka_topic),
     .help = "made before the case begins"},
    {0},
};

/* ---- topics */

unsigned kafka_topic_partitions(const struct kafka_topic *topic)
{
    if (topic->partitions > 0)
        return (unsigned)topic->partitions;
    return topic->replicas && topic->replicas->kind == TREE_LIST ? (unsigned)topic->replicas->n : 1;
}

unsigned kafka_topic_units(const struct kafka_topic *topic)
{
    unsigned first = kafka_topic_partitions(topic);

    return topic->grows_to > (int64_t)first ? (unsigned)topic->grows_to : first;
}

unsigned kafka_partitions_of(const struct cluster *cluster, const char *topic)
{
    const struct kafka_config *config = cluster->spec->config;
    const struct kafka_topic *topics = config->topics.items;

    for (size_t i = 0; i < config->topics.n; i++)
        if (strcmp(topics[i].name, topic) == 0)
            return kafka_topic_partitions(&topics[i]);
    return 0;
}

size_t kafka_topic_replicas(const struct kafka_topic *topic, unsigned partition, int32_t *ids,
                            size_t max)
{
    const struct tree *list;
    size_t n = 0;

    if (!topic->replicas || partition >= topic->replicas->n)
        return 0;
    list = topic->replicas->items[partition];
    for (size_t i = 0; i < list->n && n < max; i++)
        ids[n++] = (int32_t)strtol(list->items[i]->text, NULL, 10);
    return n;
}

static int check_replicas(const struct kafka_config *config, const struct kafka_topic *topic,
                          struct err *err)
{
    const struct tree *lists = topic->replicas;

    if (!lists)
        return 0;
    if (lists->kind != TREE_LIST || lists->n != kafka_topic_partitions(topic))
        return err_input(err, "%s:%d:%d: topic %s: replicas: one list of broker ids per partition",
                         lists->mark.file, lists->mark.line, lists->mark.column, topic->name);
    for (size_t p = 0; p < lists->n; p++) {
        const struct tree *list = lists->items[p];

        if (list->kind != TREE_LIST || list->n == 0 || list->n > BROKERS_MAX)
            return err_input(err,
                             "%s:%d:%d: topic %s: replicas: a list of broker ids per partition",
                             list->mark.file, list->mark.line, list->mark.column, topic->name);
        for (size_t i = 0; i < list->n; i++) {
            char *end = NULL;
            long id =
                list->items[i]->kind == TREE_SCALAR ? strtol(list->items[i]->text, &end, 10) : 0;

            if (!end || *end || id < 1 || id > config->kafka.brokers)
                return err_input(
                    err, "%s:%d:%d: topic %s: replicas: no broker \"%s\" among 1 … %lld",
                    list->items[i]->mark.file, list->items[i]->mark.line,
                    list->items[i]->mark.column, topic->name, end ? list->items[i]->text : "list",
                    (long long)config->kafka.brokers);
        }
    }
    return 0;
}

static int check_topics(const struct kafka_config *config, struct err *err)
{
    const struct kafka_topic *topics = config->topics.items;
    unsigned sum = 0;

    for (size_t i = 0; i < config->topics.n; i++) {
        if (check_replicas(config, &topics[i], err) < 0)
            return -1;
        if (topics[i].replication_factor > config->kafka.brokers)
            return err_input(err, "topic %s: replication.factor %lld with %lld brokers",
                             topics[i].name, (long long)topics[i].replication_factor,
                             (long long)config->kafka.brokers);
        sum += kafka_topic_units(&topics[i]);
    }
    if (sum > PARTITIONS_MAX)
        return err_input(err, "%u partitions; a cluster may have %d", sum, PARTITIONS_MAX);
    return 0;
}

static int describe(const void *opaque, const struct layout_sink *sink, struct err *err)
{
    const struct kafka_config *config = opaque;
    const struct kafka_topic *topics = config->topics.items;
    char name[32];

    if (kafka_version_known(config, err) < 0 || check_topics(config, err) < 0)
        return -1;
    for (int64_t i = 0; i < config->kafka.brokers; i++) {
        snprintf(name, sizeof(name), "kafka-%lld", (long long)i + 1);
        sink->node(sink->context, name, "broker");
    }
    for (int64_t i = 0; i < config->kafka.controllers; i++) {
        snprintf(name, sizeof(name), "controller-%lld", FIRST_CONTROLLER_ID + (long long)i);
        sink->node(sink->context, name, "controller");
    }
    for (size_t i = 0; i < config->topics.n; i++)
        sink->dest(sink->context, topics[i].name, UNIT_LOG, kafka_topic_units(&topics[i]));
    return 0;
}

/* "coordinator" is of groups; "others" and "role" need no system. */
static const char *const roles[] = {"leader",     "followers",  "claims_leader", "isr",
                                    "controller", "registered", "coordinator",   NULL};

const struct system_ops kafka_system = {
    .name = "kafka",
    .about = "Kafka 3.9 and 4.x (KRaft): brokers and dedicated controllers",
    .params = cluster_params,
    .config_size = sizeof(struct kafka_config),
    .planes = kafka_planes,
    .outcomes = kafka_outcomes,
    .config_rules = kafka_config_rules,
    .commands = kafka_commands,
    .renews = kafka_renews,
    .broker = &kafka_broker_ops,
    .describe = describe,
    .layout = kafka_layout,
    .form = kafka_form,
    .rejoined = kafka_rejoined,
    .observe = kafka_observe,
    .quiesce = kafka_quiesce,
    .drain = kafka_drain,
    .reset = kafka_reset,
    .effective = kafka_effective,
    .version = kafka_version,
    .with_version = kafka_with_version,
    .installed = kafka_installed,
    .offers = kafka_offers,
    .release = kafka_release,
    .roles = roles,
    .drain_beside_consumers = true,
};
