/*
 * What a suite may say of a RabbitMQ cluster: its parameter table, what becomes of each key of the
 * user's own rabbitmq.conf, and which nodes and destinations follow from it.
 *
 *     rabbit3: {rabbitmq: {nodes: 3}, rabbitmq.conf: {cluster_partition_handling: autoheal},
 *               queues: {orders: {arguments: {x-queue-type: quorum}, leader: 1}}}
 *
 * Left out: vhosts other than "/", users (guest is everybody), TLS, plugins that are not installed.
 */
#include "systems/rabbitmq/rabbitmq.h"

#include "suite/nearest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER(member) offsetof(struct rabbit_server, member)
static const struct param server_params[] = {
    {"nodes", PARAM_INT, SERVER(nodes), .fallback = "1", .min = 1, .max = RABBIT_NODES_MAX,
     .help = "how many nodes form the cluster"},
    {"version", PARAM_STRING, SERVER(version),
     .help = "as far as it matters: \"3.10\"; the installed one or a root folder's (ci/roots)"},
    {"plugins", PARAM_STRINGS, SERVER(plugins),
     .help = "plugins that are enabled: rabbitmq_shovel, rabbitmq_stream …"},
    {"home", PARAM_STRING, SERVER(home),
     .help = "folder of the server (with sbin/ and plugins/); default: the installed one"},
    {0}};

#define QUEUE(member) offsetof(struct rabbit_queue, member)
static const struct param queue_params[] = {
    {"durable", PARAM_BOOL, QUEUE(durable), .fallback = "true", .help = "survives a restart"},
    {"auto_delete", PARAM_BOOL, QUEUE(auto_delete), .fallback = "false",
     .help = "goes with its last consumer"},
    {"arguments", PARAM_VERBATIM, QUEUE(arguments),
     .help = "as in queue.declare: x-queue-type, x-max-length, x-overflow …"},
    {"leader", PARAM_INT, QUEUE(leader), .fallback = "0", .max = RABBIT_NODES_MAX,
     .help = "node (1 …) that leads it at the start; 0: the server's choice"},
    {0}};

#define BINDING(member) offsetof(struct rabbit_binding, member)
static const struct param binding_params[] = {
    {"queue", PARAM_STRING, BINDING(queue), .required = true, .help = "where to"},
    {"key", PARAM_STRING, BINDING(key), .fallback = "", .help = "binding key"},
    {"arguments", PARAM_VERBATIM, BINDING(arguments), .help = "as in queue.bind"},
    {0}};

#define EXCHANGE(member) offsetof(struct rabbit_exchange, member)
static const struct param exchange_params[] = {
    {"type", PARAM_STRING, EXCHANGE(type), .fallback = "direct",
     .help = "direct, topic, fanout, headers, or x-… of a plugin"},
    {"durable", PARAM_BOOL, EXCHANGE(durable), .fallback = "true", .help = "survives a restart"},
    {"arguments", PARAM_VERBATIM, EXCHANGE(arguments),
     .help = "as in exchange.declare: alternate-exchange …"},
    {"bindings", PARAM_STRUCTS, EXCHANGE(bindings), .sub = binding_params,
     .sub_size = sizeof(struct rabbit_binding), .help = "queues bound to it"},
    {0}};

#define POLICY(member) offsetof(struct rabbit_policy, member)
static const struct param policy_params[] = {
    {"name", PARAM_STRING, POLICY(name), .required = true, .help = "of the policy"},
    {"pattern", PARAM_STRING, POLICY(pattern), .required = true,
     .help = "regular expression over names"},
    {"apply-to", PARAM_STRING, POLICY(apply_to), .fallback = "all",
     .help = "queues, exchanges or all"},
    {"priority", PARAM_INT, POLICY(priority), .fallback = "0",
     .help = "the highest that matches wins"},
    {"definition", PARAM_TREE, POLICY(definition), .required = true,
     .help = "as in set_policy: ha-mode, max-length …"},
    {0}};

#define PARAMETER(member) offsetof(struct rabbit_parameter, member)
static const struct param parameter_params[] = {
    {"component", PARAM_STRING, PARAMETER(component), .required = true, .help = "shovel …"},
    {"name", PARAM_STRING, PARAMETER(name), .required = true, .help = "of the parameter"},
    {"value", PARAM_TREE, PARAMETER(value), .required = true,
     .help = "as in set_parameter; nodes of other clusters are called ALIAS-1 … in URIs"},
    {0}};

#define CONFIG(member) offsetof(struct rabbit_config, member)
const struct param rabbit_params[] = {
    {"rabbitmq", PARAM_STRUCT, CONFIG(server), .sub = server_params,
     .sub_size = sizeof(struct rabbit_server), .required = true, .help = "nodes and version"},
    {"rabbitmq.conf", PARAM_VERBATIM, CONFIG(conf), .help = "your rabbitmq.conf, key by key"},
    {"advanced.config", PARAM_STRING, CONFIG(advanced),
     .help =
         "your advanced.config, as {file: NAME} or its text: what rabbitmq.conf has no key for"},
    {"definitions.json", PARAM_STRING, CONFIG(definitions),
     .help = "your exported definitions, as {file: NAME}: queues, exchanges, bindings and policies "
             "of vhost /"},
    {"policies", PARAM_STRUCTS, CONFIG(policies), .sub = policy_params,
     .sub_size = sizeof(struct rabbit_policy), .help = "policies, set before the queues are made"},
    {"parameters", PARAM_STRUCTS, CONFIG(parameters), .sub = parameter_params,
     .sub_size = sizeof(struct rabbit_parameter),
     .help = "runtime parameters, set when queues and exchanges are made: dynamic shovels"},
    {"queues", PARAM_MAP, CONFIG(queues), .sub = queue_params,
     .sub_size = sizeof(struct rabbit_queue), .help = "queues, made before the case"},
    {"exchanges", PARAM_MAP, CONFIG(exchanges), .sub = exchange_params,
     .sub_size = sizeof(struct rabbit_exchange), .help = "exchanges and their bindings"},
    {0}};

#define OURS "the sandbox owns it"
#define CONF "rabbitmq.conf"
const struct config_rule rabbit_config_rules[] = {
    {CONF, "listeners.*", CONFIG_REPLACED, OURS},
    {CONF, "ssl_*", CONFIG_REPLACED, "no TLS inside the sandbox"},
    {CONF, "loopback_users*", CONFIG_REPLACED, "guest is everybody inside the sandbox"},
    {CONF, "default_user", CONFIG_REPLACED, "guest is everybody inside the sandbox"},
    {CONF, "default_pass", CONFIG_REPLACED, "guest is everybody inside the sandbox"},
    {CONF, "default_vhost", CONFIG_REPLACED, "vhost / is what is judged"},
    {CONF, "auth_*", CONFIG_REPLACED, "guest is everybody inside the sandbox"},
    {CONF, "cluster_formation.*", CONFIG_REPLACED, OURS},
    {CONF, "cluster_name", CONFIG_REPLACED, OURS},
    {CONF, "log.*", CONFIG_REPLACED, "each node's output is its log"},
    {CONF, "management.*", CONFIG_REPLACED, "the management plugin is not started"},
    {CONF, "prometheus.*", CONFIG_REPLACED, "the prometheus plugin is not started"},
    {CONF, "load_definitions", CONFIG_REPLACED,
     "give definitions.json: {file: …} beside rabbitmq.conf"},
    {CONF, "definitions.*", CONFIG_REPLACED,
     "give definitions.json: {file: …} beside rabbitmq.conf"},
    {CONF, "raft.data_dir", CONFIG_REPLACED, OURS},
    {CONF, "mqtt.*", CONFIG_REFUSED, "the plugin is not started"},
    {CONF, "stomp.*", CONFIG_REFUSED, "the plugin is not started"},
    {CONF, "stream.*", CONFIG_REFUSED,
     "where a client publishes over: stream the plugin runs with its own defaults at an address of "
     "ours"},
    {0}};

/* ---- JSON */

static json_t *json_of(const struct tree *tree)
{
    json_t *value;
    char *end;
    long long number;

    if (tree->kind == TREE_MAP) {
        value = json_object();
        for (size_t i = 0; i < tree->n; i++)
            json_object_set_new(value, tree->keys[i], json_of(tree->items[i]));
        return value;
    }
    if (tree->kind == TREE_LIST) {
        value = json_array();
        for (size_t i = 0; i < tree->n; i++)
            json_array_append_new(value, json_of(tree->items[i]));
        return value;
    }
    if (strcmp(tree->text, "true") == 0 || strcmp(tree->text, "false") == 0)
        return json_boolean(tree->text[0] == 't');
    number = strtoll(tree->text, &end, 10);
    return *tree->text && !*end ? json_integer(number) : json_string(tree->text);
}

char *rabbit_json(const struct tree *tree)
{
    json_t *value = json_of(tree);
    char *text = json_dumps(value, JSON_COMPACT);

    json_decref(value);
    return text;
}

/* ---- what follows from a config */

static const char *queue_type(const struct rabbit_queue *queue)
{
    return pairs_get(&queue->arguments, "x-queue-type", "classic");
}

static int check_queue(const struct rabbit_config *config, const struct rabbit_queue *queue,
                       struct err *err)
{
    const char *type = queue_type(queue);

    if (strcmp(type, "classic") != 0 && strcmp(type, "quorum") != 0 && strcmp(type, "stream") != 0)
        return err_input(err, "queue %s: x-queue-type \"%s\" (classic, quorum or stream)",
                         queue->name, type);
    if (queue->leader > config->server.nodes)
        return err_input(err, "queue %s: leader %lld, but the cluster has %lld nodes", queue->name,
                         (long long)queue->leader, (long long)config->server.nodes);
    return 0;
}

/* A plugin's exchange is called x-…; whether it is there is the server's to say. */
static int check_type(const struct rabbit_exchange *exchange, struct err *err)
{
    static const char *const types[] = {"direct", "topic", "fanout", "headers", NULL};
    struct nearest near = nearest_to(exchange->type);

    if (strncmp(exchange->type, "x-", 2) == 0)
        return 0;
    for (const char *const *type = types; *type; type++) {
        if (strcmp(exchange->type, *type) == 0)
            return 0;
        nearest_offer(&near, *type);
    }
    return err_input(err, "exchange %s: type \"%s\" (direct, topic, fanout, headers or x-…)%s",
                     exchange->name, exchange->type, nearest_hint(&near));
}

static int check_exchange(const struct rabbit_config *config,
                          const struct rabbit_exchange *exchange, struct err *err)
{
    const struct rabbit_binding *bindings = exchange->bindings.items;
    const struct rabbit_queue *queues = config->queues.items;

    if (check_type(exchange, err) < 0)
        return -1;
    for (size_t i = 0; i < exchange->bindings.n; i++) {
        struct nearest near = nearest_to(bindings[i].queue);

        if (config->definitions || rabbit_queue_named(config, bindings[i].queue))
            continue;
        for (size_t k = 0; k < config->queues.n; k++)
            nearest_offer(&near, queues[k].name);
        return err_input(err, "exchange %s: bound to \"%s\", which is no queue here%s",
                         exchange->name, bindings[i].queue, nearest_hint(&near));
    }
    return 0;
}

const struct rabbit_queue *rabbit_queue_named(const struct rabbit_config *config, const char *name)
{
    const struct rabbit_queue *queues = config->queues.items;

    for (size_t i = 0; i < config->queues.n; i++)
        if (strcmp(queues[i].name, name) == 0)
            return &queues[i];
    return NULL;
}

/* A stream keeps what was read. NULL: the default type, classic. */
static enum unit_kind unit_kind_of(const char *type)
{
    return type && strcmp(type, "stream") == 0 ? UNIT_STREAM : UNIT_QUEUE;
}

/* Queues of definitions.json that `queues:` does not name. */
static int describe_definitions(const struct rabbit_config *config, const struct layout_sink *sink,
                                struct err *err)
{
    json_error_t why;
    json_t *root = json_loads(config->definitions, 0, &why);
    json_t *queue;
    size_t i;

    if (!root)
        return err_input(err, "definitions.json:%d:%d: %s", why.line, why.column, why.text);
    json_array_foreach(json_object_get(root, "queues"), i, queue)
    {
        const char *name = json_string_value(json_object_get(queue, "name"));
        const char *vhost = json_string_value(json_object_get(queue, "vhost"));
        const json_t *type = json_object_get(json_object_get(queue, "arguments"), "x-queue-type");

        if (name && (!vhost || strcmp(vhost, "/") == 0) && !rabbit_queue_named(config, name))
            sink->dest(sink->context, name, (int)unit_kind_of(json_string_value(type)), 1);
    }
    json_decref(root);
    return 0;
}

int rabbit_describe(const void *self, const struct layout_sink *sink, struct err *err)
{
    const struct rabbit_config *config = self;
    const struct rabbit_queue *queues = config->queues.items;
    const struct rabbit_exchange *exchanges = config->exchanges.items;
    char name[32];

    if (rabbit_version_known(config, err) < 0)
        return -1;
    for (size_t i = 0; i < config->queues.n; i++)
        if (check_queue(config, &queues[i], err) < 0)
            return -1;
    for (size_t i = 0; i < config->exchanges.n; i++)
        if (check_exchange(config, &exchanges[i], err) < 0)
            return -1;
    for (int64_t i = 1; i <= config->server.nodes; i++) {
        snprintf(name, sizeof(name), "rabbit-%lld", (long long)i);
        sink->node(sink->context, name, "server");
    }
    for (size_t i = 0; i < config->queues.n; i++)
        sink->dest(sink->context, queues[i].name, (int)unit_kind_of(queue_type(&queues[i])), 1);
    return config->definitions ? describe_definitions(config, sink, err) : 0;
}
