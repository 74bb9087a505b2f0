/*
 * librdkafka's admin API, made blocking: topics, groups, DescribeConfigs. One admin client a
 * cluster, made when it is first needed. Source: rdkafka.h 2.0.2 "Admin API".
 */
#include "systems/kafka/kafka.h"

#include "suite/nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPICS_MAX 64
#define SLICE_MS 50

void kafka_bootstrap(const struct plan_case *plan, const struct plan_cluster *cluster, char *out,
                     size_t size)
{
    const struct kafka_config *config = cluster->config;
    size_t n = 0;

    out[0] = '\0';
    for (int64_t i = 0; i < config->kafka.brokers && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s:%d", i > 0 ? "," : "",
                              plan->nodes[cluster->first_node + (unsigned)i].address, CLIENT_PORT);
}

static void drop_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility,
        (void)text; /* connection errors while brokers start are no news */
}

rd_kafka_t *kafka_admin(struct cluster *cluster, struct err *err)
{
    struct kafka_state *s = kafka_state(cluster);
    rd_kafka_conf_t *conf;
    char brokers[512], why[300];

    if (s->admin)
        return s->admin;
    kafka_bootstrap(cluster->plan, cluster->spec, brokers, sizeof(brokers));
    conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, drop_log);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)) !=
            RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "client.id", "assay-admin", why, sizeof(why)) != RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "reconnect.backoff.ms", "20", why, sizeof(why)) !=
            RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "200", why, sizeof(why)) !=
            RD_KAFKA_CONF_OK ||
        !(s->admin = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why)))) {
        rd_kafka_conf_destroy(conf);
        err_set(err, "admin client: %s", why);
        return NULL;
    }
    return s->admin;
}

/* The result event of the one request that is under way on `queue`. */
static rd_kafka_event_t *await(rd_kafka_queue_t *queue, struct deadline deadline, struct err *err)
{
    while (!deadline_passed(&deadline)) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, SLICE_MS);

        if (!event)
            continue;
        if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_ERROR) {
            if (rd_kafka_event_error(event)) {
                err_set(err, "%s", rd_kafka_event_error_string(event));
                rd_kafka_event_destroy(event);
                return NULL;
            }
            return event;
        }
        rd_kafka_event_destroy(event);
    }
    err_set(err, "no answer in time");
    return NULL;
}

static rd_kafka_AdminOptions_t *options(rd_kafka_t *admin, rd_kafka_admin_op_t op,
                                        struct deadline deadline)
{
    rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(admin, op);
    int left = deadline_left_ms(&deadline);
    char why[200];

    rd_kafka_AdminOptions_set_request_timeout(o, left > 1 ? left : 1, why, sizeof(why));
    return o;
}

/* ---- topics */

static int put_replicas(rd_kafka_NewTopic_t *new_topic, const struct kafka_topic *topic,
                        struct err *err)
{
    char why[300];

    for (unsigned p = 0; p < kafka_topic_partitions(topic); p++) {
        int32_t ids[BROKERS_MAX];
        size_t n = kafka_topic_replicas(topic, p, ids, BROKERS_MAX);

        if (rd_kafka_NewTopic_set_replica_assignment(new_topic, (int32_t)p, ids, n, why,
                                                     sizeof(why)))
            return err_set(err, "topic %s: replicas: %s", topic->name, why);
    }
    return 0;
}

static rd_kafka_NewTopic_t *new_topic(const struct kafka_config *config,
                                      const struct kafka_topic *topic, struct err *err)
{
    int64_t factor = topic->replication_factor;
    char why[300];
    rd_kafka_NewTopic_t *t;

    if (factor <= 0)
        factor = config->kafka.brokers < 3 ? config->kafka.brokers : 3;
    t = rd_kafka_NewTopic_new(topic->name, (int)kafka_topic_partitions(topic),
                              topic->replicas ? -1 : (int)factor, why, sizeof(why));
    if (!t) {
        err_set(err, "topic %s: %s", topic->name, why);
        return NULL;
    }
    if (topic->replicas && put_replicas(t, topic, err) < 0) {
        rd_kafka_NewTopic_destroy(t);
        return NULL;
    }
    for (size_t i = 0; i < topic->config.n; i++)
        rd_kafka_NewTopic_set_config(t, topic->config.items[i].key, topic->config.items[i].value);
    return t;
}

/* A topic that is there already is one whose creation we asked for and whose answer got lost. */
static int judge_topics(const rd_kafka_topic_result_t **results, size_t n, rd_kafka_resp_err_t fine,
                        struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);

        if (code && code != fine)
            return err_set(err, "topic %s: %s", rd_kafka_topic_result_name(results[i]),
                           rd_kafka_topic_result_error_string(results[i])
                               ? rd_kafka_topic_result_error_string(results[i])
                               : rd_kafka_err2str(code));
    }
    return 0;
}

int kafka_create_topics(struct cluster *cluster, const char *only, struct deadline deadline,
                        struct err *err)
{
    const struct kafka_config *config = cluster->spec->config;
    const struct kafka_topic *topics = config->topics.items;
    rd_kafka_NewTopic_t *items[TOPICS_MAX];
    rd_kafka_t *admin = kafka_admin(cluster, err);
    rd_kafka_AdminOptions_t *o;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    size_t n = 0, count;
    int result = -1;

    if (!admin || config->topics.n == 0)
        return admin ? 0 : -1;
    for (size_t i = 0; i < config->topics.n && n < TOPICS_MAX; i++) {
        if (only && strcmp(topics[i].name, only) != 0)
            continue;
        if (!(items[n] = new_topic(config, &topics[i], err)))
            goto out;
        n++;
    }
    queue = rd_kafka_queue_new(admin);
    o = options(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS, deadline);
    rd_kafka_CreateTopics(admin, items, n, o, queue);
    event = await(queue, deadline, err);
    if (event) {
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);

        result = judge_topics(results, count, RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(queue);
out:
    rd_kafka_NewTopic_destroy_array(items, n);
    return result < 0 ? err_prefix(err, "create topics") : 0;
}

int kafka_delete_topics(struct cluster *cluster, const char *only, struct deadline deadline,
                        struct err *err)
{
    const struct kafka_config *config = cluster->spec->config;
    const struct kafka_topic *topics = config->topics.items;
    rd_kafka_DeleteTopic_t *items[TOPICS_MAX];
    rd_kafka_t *admin = kafka_admin(cluster, err);
    rd_kafka_AdminOptions_t *o;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    size_t n = 0, count;
    int result = -1;

    if (!admin || config->topics.n == 0)
        return admin ? 0 : -1;
    for (size_t i = 0; i < config->topics.n && n < TOPICS_MAX; i++)
        if (!only || strcmp(topics[i].name, only) == 0)
            items[n++] = rd_kafka_DeleteTopic_new(topics[i].name);
    queue = rd_kafka_queue_new(admin);
    o = options(admin, RD_KAFKA_ADMIN_OP_DELETETOPICS, deadline);
    rd_kafka_DeleteTopics(admin, items, n, o, queue);
    event = await(queue, deadline, err);
    if (event) {
        const rd_kafka_topic_result_t **results =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);

        result = judge_topics(results, count, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy_array(items, n);
    return result < 0 ? err_prefix(err, "delete topics") : 0;
}

/* ---- groups */

int kafka_delete_group(struct cluster *cluster, const char *group, struct deadline deadline,
                       struct err *err)
{
    rd_kafka_t *admin = kafka_admin(cluster, err);
    rd_kafka_AdminOptions_t *o;
    rd_kafka_DeleteGroup_t *item;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    int result = -1;

    if (!admin)
        return -1;
    item = rd_kafka_DeleteGroup_new(group);
    queue = rd_kafka_queue_new(admin);
    o = options(admin, RD_KAFKA_ADMIN_OP_DELETEGROUPS, deadline);
    rd_kafka_DeleteGroups(admin, &item, 1, o, queue);
    event = await(queue, deadline, err);
    if (event) {
        size_t n;
        const rd_kafka_group_result_t **results =
            rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &n);
        const rd_kafka_error_t *error = n == 1 ? rd_kafka_group_result_error(results[0]) : NULL;

        result = !error || rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND
                     ? 0
                     : err_set(err, "%s", rd_kafka_error_string(error));
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteGroup_destroy(item);
    return result < 0 ? err_prefix(err, "delete group %s", group) : 0;
}

/* ---- what is in force */

/* The broker lists keys it does not know as secrets without a value. */
static bool is_unknown(const rd_kafka_ConfigEntry_t *entry)
{
    const char *name = rd_kafka_ConfigEntry_name(entry);

    return rd_kafka_ConfigEntry_is_sensitive(entry) && !strstr(name, "password") &&
           !strstr(name, "secret") && !strstr(name, "jaas") && !strstr(name, "ssl.") &&
           !strstr(name, "sasl.");
}

static bool reported(const rd_kafka_ConfigEntry_t **entries, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), key) == 0)
            return !is_unknown(entries[i]);
    return false;
}

static struct nearest nearest_entry(const rd_kafka_ConfigEntry_t **entries, size_t n,
                                    const char *key)
{
    struct nearest near = nearest_to(key);

    for (size_t i = 0; i < n; i++)
        if (!is_unknown(entries[i]))
            nearest_offer(&near, rd_kafka_ConfigEntry_name(entries[i]));
    nearest_hint(&near);
    return near;
}

static int read_back(const rd_kafka_ConfigResource_t *resource, const char *name, const char *file,
                     const struct pairs *asked, const struct kv_sink *sink, struct err *err)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &n);

    if (rd_kafka_ConfigResource_error(resource))
        return err_set(err, "config of %s: %s", name,
                       rd_kafka_err2str(rd_kafka_ConfigResource_error(resource)));
    for (size_t i = 0; i < n; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);

        if (!rd_kafka_ConfigEntry_is_sensitive(entries[i])) /* secrets reach no report */
            sink->put(sink->context, name, rd_kafka_ConfigEntry_name(entries[i]),
                      value ? value : "");
    }
    for (size_t i = 0; i < asked->n; i++) {
        const struct pair *pair = &asked->items[i];

        if (config_is_kept(&kafka_system, file, pair->key) && !reported(entries, n, pair->key))
            return err_input(err, "%s:%d:%d: %s: %s does not know the key \"%s\"%s",
                             pair->mark.file ? pair->mark.file : "suite", pair->mark.line,
                             pair->mark.column, file, name, pair->key,
                             nearest_entry(entries, n, pair->key).hint);
    }
    return 0;
}

static int describe(struct cluster *cluster, rd_kafka_ResourceType_t type,
                    const char *resource_name, const char *name, const char *file,
                    const struct pairs *asked, const struct kv_sink *sink, struct deadline deadline,
                    struct err *err)
{
    rd_kafka_t *admin = kafka_admin(cluster, err);
    rd_kafka_AdminOptions_t *o;
    rd_kafka_ConfigResource_t *item;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    int result = -1;

    if (!admin)
        return -1;
    item = rd_kafka_ConfigResource_new(type, resource_name);
    queue = rd_kafka_queue_new(admin);
    o = options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, deadline);
    rd_kafka_DescribeConfigs(admin, &item, 1, o, queue);
    event = await(queue, deadline, err);
    if (event) {
        size_t n;
        const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &n);

        result = n == 1 ? read_back(resources[0], name, file, asked, sink, err)
                        : err_set(err, "config of %s: no answer", name);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(item);
    return result;
}

int kafka_effective(struct cluster *cluster, const struct kv_sink *sink, struct deadline deadline,
                    struct err *err)
{
    const struct kafka_config *config = cluster->spec->config;
    const struct kafka_topic *topics = config->topics.items;

    for (unsigned i = 0; i < kafka_brokers(cluster); i++) {
        char id[12];

        snprintf(id, sizeof(id), "%u", i + 1);
        if (describe(cluster, RD_KAFKA_RESOURCE_BROKER, id, cluster->nodes[i].plan->name,
                     "server.properties", &config->server_properties, sink, deadline, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < config->topics.n; i++) {
        char name[300];

        snprintf(name, sizeof(name), "topic %s", topics[i].name);
        if (describe(cluster, RD_KAFKA_RESOURCE_TOPIC, topics[i].name, name, "topics",
                     &topics[i].config, sink, deadline, err) < 0)
            return -1;
    }
    return 0;
}
