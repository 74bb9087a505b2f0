/*
 * How one node is started: server.properties (ours under the user's), meta.properties written by us
 * instead of by StorageTool, a JVM with capped heap and a class-data archive.
 *
 * Three planes on ports of their own: clients 9092, controllers 9093, replication 9094
 * (inter.broker.listener.name), so that a cut of replication leaves the clients alone.
 * Leaves out: combined mode, TLS, SASL. Source: Kafka's documentation of broker configs;
 * MetaPropertiesVersion.V1 and BootstrapDirectory in apache/kafka 3.9 and 4.1.
 */
#include "base/draw.h"
#include "systems/kafka/kafka.h"

#include <stdio.h>
#include <string.h>

const struct plane kafka_planes[] = {
    {"client", {CLIENT_PORT}},
    {"controller", {CONTROLLER_PORT}},
    {"replication", {REPLICATION_PORT}},
    {0},
};

#define SERVER "server.properties"
#define CLIENT "librdkafka"
const struct config_rule kafka_config_rules[] = {
    {SERVER, "listeners", CONFIG_REPLACED, "the sandbox gives every node its address and ports"},
    {SERVER, "advertised.listeners", CONFIG_REPLACED,
     "the sandbox gives every node its address and ports"},
    {SERVER, "advertised.*", CONFIG_REPLACED, "the sandbox gives every node its address and ports"},
    {SERVER, "host.name", CONFIG_REPLACED, "the sandbox gives every node its address and ports"},
    {SERVER, "port", CONFIG_REPLACED, "the sandbox gives every node its address and ports"},
    {SERVER, "inter.broker.listener.name", CONFIG_REPLACED, "replication has a port of its own"},
    {SERVER, "control.plane.listener.name", CONFIG_REPLACED, "replication has a port of its own"},
    {SERVER, "early.start.listeners", CONFIG_REPLACED, "replication has a port of its own"},
    {SERVER, "listener.security.protocol.map", CONFIG_REPLACED,
     "stripped: the sandbox speaks plaintext"},
    {SERVER, "listener.name.*", CONFIG_REPLACED, "stripped: the sandbox has listeners of its own"},
    {SERVER, "security.inter.broker.protocol", CONFIG_REPLACED,
     "stripped: the sandbox speaks plaintext"},
    {SERVER, "security.*", CONFIG_REPLACED, "stripped: the sandbox speaks plaintext"},
    {SERVER, "ssl.*", CONFIG_REPLACED, "stripped: the sandbox speaks plaintext"},
    {SERVER, "sasl.*", CONFIG_REPLACED, "stripped: the sandbox speaks plaintext"},
    {SERVER, "authorizer.class.name", CONFIG_REPLACED, "stripped: the sandbox has no principals"},
    {SERVER, "super.users", CONFIG_REPLACED, "stripped: the sandbox has no principals"},
    {SERVER, "allow.everyone.if.no.acl.found", CONFIG_REPLACED,
     "stripped: the sandbox has no principals"},
    {SERVER, "log.dir", CONFIG_REPLACED, "data lies in the node's own folder"},
    {SERVER, "log.dirs", CONFIG_REPLACED, "data lies in the node's own folder"},
    {SERVER, "metadata.log.dir", CONFIG_REPLACED, "data lies in the node's own folder"},
    {SERVER, "node.id", CONFIG_REPLACED, "nodes are numbered by the suite"},
    {SERVER, "broker.id", CONFIG_REPLACED, "nodes are numbered by the suite"},
    {SERVER, "broker.id.generation.enable", CONFIG_REPLACED, "nodes are numbered by the suite"},
    {SERVER, "process.roles", CONFIG_REPLACED, "controllers are dedicated"},
    {SERVER, "controller.quorum.voters", CONFIG_REPLACED, "controllers are dedicated"},
    {SERVER, "controller.quorum.bootstrap.servers", CONFIG_REPLACED, "controllers are dedicated"},
    {SERVER, "controller.listener.names", CONFIG_REPLACED, "controllers are dedicated"},
    {SERVER, "zookeeper.*", CONFIG_REFUSED,
     "clusters are KRaft: brokers with ZooKeeper end with 3.9"},
    {SERVER, "broker.rack", CONFIG_REPLACED, "all nodes would lie in one rack"},
    {CLIENT, "bootstrap.servers", CONFIG_REPLACED, "the sandbox's brokers"},
    {CLIENT, "metadata.broker.list", CONFIG_REPLACED, "the sandbox's brokers"},
    {CLIENT, "group.id", CONFIG_REPLACED, "named by `consume: {group: …}`"},
    {CLIENT, "security.protocol", CONFIG_REPLACED, "stripped: the sandbox speaks plaintext"},
    {CLIENT, "ssl.*", CONFIG_REPLACED, "stripped: the sandbox speaks plaintext"},
    {CLIENT, "sasl.*", CONFIG_REPLACED, "stripped: the sandbox speaks plaintext"},
    {CLIENT, "enable.ssl.*", CONFIG_REPLACED, "stripped: the sandbox speaks plaintext"},
    {CLIENT, "plugin.library.paths", CONFIG_REFUSED, "no foreign code inside our clients"},
    {0},
};

/* Quick failures and small footprints; a user's own values win. FACTS of a two-core machine. */
static const struct pair defaults[] = {
    {.key = "broker.session.timeout.ms", .value = "6000"},
    {.key = "broker.heartbeat.interval.ms", .value = "500"},
    {.key = "controller.quorum.election.timeout.ms", .value = "300"},
    {.key = "controller.quorum.fetch.timeout.ms", .value = "1000"},
    {.key = "group.initial.rebalance.delay.ms", .value = "0"},
    {.key = "offsets.topic.num.partitions", .value = "1"},
    {.key = "transaction.state.log.num.partitions", .value = "1"},
    {.key = "auto.leader.rebalance.enable", .value = "false"},
    {.key = "auto.create.topics.enable", .value = "false"},
    {.key = "num.network.threads", .value = "1"},
    {.key = "num.io.threads", .value = "2"},
    {.key = "num.recovery.threads.per.data.dir", .value = "1"},
    {.key = "log.cleaner.dedupe.buffer.size", .value = "2097152"},
    {.key = "log.segment.bytes", .value = "67108864"},
    {.key = "log.index.size.max.bytes", .value = "1048576"},
};

/* ---- text */

struct text {
    char *bytes;
    size_t n, size;
};

static void text_add(struct text *t, struct arena *arena, const char *line)
{
    size_t n = strlen(line);

    if (t->n + n + 1 > t->size) {
        size_t size = 2 * (t->n + n + 1) + 1024;
        char *more = arena_alloc(arena, size);

        if (t->n > 0)
            memcpy(more, t->bytes, t->n);
        t->bytes = more;
        t->size = size;
    }
    memcpy(t->bytes + t->n, line, n + 1);
    t->n += n;
}

static void text_pair(struct text *t, struct arena *arena, const char *key, const char *value)
{
    text_add(t, arena, arena_printf(arena, "%s=%s\n", key, value));
}

/* ---- server.properties */

int kafka_broker_id(const struct cluster *cluster, const struct plan_node *node)
{
    const struct kafka_config *config = cluster->spec->config;
    unsigned brokers = (unsigned)config->kafka.brokers;

    if (node->index < brokers)
        return (int)node->index + 1;
    return (int)(FIRST_CONTROLLER_ID + node->index - brokers);
}

static const char *voters(const struct cluster *cluster)
{
    const struct kafka_config *config = cluster->spec->config;
    struct text t = {0};

    for (int64_t i = 0; i < config->kafka.controllers; i++) {
        const struct plan_node *node =
            &cluster->plan
                 ->nodes[cluster->spec->first_node + (unsigned)(config->kafka.brokers + i)];

        text_add(&t, cluster->arena,
                 arena_printf(cluster->arena, "%s%d@%s:%d", i > 0 ? "," : "",
                              kafka_broker_id(cluster, node), node->address, CONTROLLER_PORT));
    }
    return t.bytes;
}

static const char *at_most(int64_t n, int64_t most, struct arena *arena)
{
    return arena_printf(arena, "%lld", (long long)(n < most ? n : most));
}

/* What belongs to the sandbox; the user's lines for these keys are replaced. */
static void own_lines(struct text *t, const struct cluster *cluster, const struct node *node)
{
    struct arena *arena = cluster->arena;
    bool broker = strcmp(node->plan->kind, "broker") == 0;
    const char *address = node->plan->address;

    text_pair(t, arena, "process.roles", node->plan->kind);
    text_pair(t, arena, "node.id", arena_printf(arena, "%d", kafka_broker_id(cluster, node->plan)));
    text_pair(t, arena, "controller.quorum.voters", voters(cluster));
    text_pair(t, arena, "controller.listener.names", "CONTROLLER");
    text_pair(t, arena, "listener.security.protocol.map",
              "CLIENT:PLAINTEXT,REPLICATION:PLAINTEXT,CONTROLLER:PLAINTEXT");
    text_pair(t, arena, "log.dirs", arena_printf(arena, "%s/log", node->data));
    if (broker) {
        const char *both = arena_printf(arena, "CLIENT://%s:%d,REPLICATION://%s:%d", address,
                                        CLIENT_PORT, address, REPLICATION_PORT);

        text_pair(t, arena, "listeners", both);
        text_pair(t, arena, "advertised.listeners", both);
        text_pair(t, arena, "inter.broker.listener.name", "REPLICATION");
    } else {
        text_pair(t, arena, "listeners",
                  arena_printf(arena, "CONTROLLER://%s:%d", address, CONTROLLER_PORT));
    }
}

static const char *server_properties(const struct cluster *cluster, const struct node *node)
{
    const struct kafka_config *config = cluster->spec->config;
    const struct pairs *users = &config->server_properties;
    struct arena *arena = cluster->arena;
    struct text t = {0};
    const struct pair replication[] = {
        {.key = "default.replication.factor", .value = at_most(config->kafka.brokers, 3, arena)},
        {.key = "offsets.topic.replication.factor",
         .value = at_most(config->kafka.brokers, 3, arena)},
        {.key = "transaction.state.log.replication.factor",
         .value = at_most(config->kafka.brokers, 3, arena)},
        {.key = "transaction.state.log.min.isr", .value = at_most(config->kafka.brokers, 2, arena)},
    };

    own_lines(&t, cluster, node);
    for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++)
        if (!pairs_get(users, defaults[i].key, NULL))
            text_pair(&t, arena, defaults[i].key, defaults[i].value);
    for (size_t i = 0; i < sizeof(replication) / sizeof(*replication); i++)
        if (!pairs_get(users, replication[i].key, NULL))
            text_pair(&t, arena, replication[i].key, replication[i].value);
    for (size_t i = 0; i < users->n; i++)
        if (config_is_kept(&kafka_system, SERVER, users->items[i].key))
            text_pair(&t, arena, users->items[i].key, users->items[i].value);
    return t.bytes;
}

/* ---- meta.properties: what StorageTool would have written */

/* 22 letters of base64url, as Kafka prints its Uuids; no leading '-', last letter without spare
 * bits. */
static const char *uuid(struct arena *arena, uint64_t run, const char *what, uint64_t index)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct draw d = draw_stream(run, what);
    char text[23];

    for (unsigned i = 0; i < 22; i++)
        text[i] = letters[draw_below(&d, index * 32 + i, 64)];
    text[0] = 'K';
    text[21] = 'A';
    text[22] = '\0';
    return arena_strdup(arena, text);
}

static const char *meta_properties(const struct cluster *cluster, const struct node *node)
{
    struct arena *arena = cluster->arena;
    uint64_t run = cluster->plan->run;
    unsigned index = kafka_cluster_index(cluster);
    int id = kafka_broker_id(cluster, node->plan);

    return arena_printf(arena, "version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n",
                        uuid(arena, run, "kafka.cluster", index), id,
                        uuid(arena, run, "kafka.directory", index * 64 + (unsigned)id));
}

/* ---- the JVM */

const char kafka_log4j1[] =
    "log4j.rootLogger=INFO, out\n"
    "log4j.appender.out=org.apache.log4j.ConsoleAppender\n"
    "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
    "log4j.appender.out.layout.ConversionPattern=[%d{ISO8601}] %p %m (%c)%n\n"
    "log4j.logger.kafka.server.KafkaConfig=WARN\n"
    "log4j.logger.org.apache.kafka.common.utils.AppInfoParser=WARN\n";

const char kafka_log4j2[] =
    "rootLogger.level=info\nrootLogger.appenderRef.out.ref=out\n"
    "appender.out.type=Console\nappender.out.name=out\nappender.out.layout.type=PatternLayout\n"
    "appender.out.layout.pattern=[%d] %p %m (%c)%n\n"
    "logger.config.name=kafka.server.KafkaConfig\nlogger.config.level=warn\n";

/* One argument a line, as java(1)'s @argfiles take them; quoted because paths may hold blanks. */
static const char *jvm_arguments(const struct kafka_places *places, const struct node *node,
                                 struct arena *arena)
{
    struct text t = {0};

    text_add(&t, arena,
             "-Xms96m\n-Xmx256m\n-XX:+UseSerialGC\n-XX:TieredStopAtLevel=1\n-XX:-UsePerfData\n"
             "-XX:+ExitOnOutOfMemoryError\n-Djava.awt.headless=true\n");
    if (places->archive[0])
        text_add(
            &t, arena,
            arena_printf(arena, "-Xshare:auto\n-XX:SharedArchiveFile=\"%s\"\n", places->archive));
    text_add(
        &t, arena,
        arena_printf(arena, "-Dlog4j.configuration=\"file:%s/log4j.properties\"\n", node->data));
    text_add(
        &t, arena,
        arena_printf(arena, "-Dlog4j2.configurationFile=\"%s/log4j2.properties\"\n", node->data));
    text_add(&t, arena, arena_printf(arena, "-cp\n\"%s\"\n", places->class_path));
    text_add(&t, arena, "kafka.Kafka\n");
    text_add(&t, arena, arena_printf(arena, "\"%s/server.properties\"\n", node->data));
    return t.bytes;
}

static void add_file(struct node_spec *spec, const char *path, const char *text, size_t size)
{
    spec->files[spec->n_files++] =
        (struct file_spec){.path = path, .text = text, .mode = 0644, .size = size};
}

static void fill_spec(struct cluster *cluster, struct node *node, const struct kafka_places *places)
{
    struct arena *arena = cluster->arena;
    struct node_spec *spec = &node->spec;
    const char **argv = arena_alloc(arena, 3 * sizeof(*argv));
    const char **env = arena_alloc(arena, 3 * sizeof(*env));

    argv[0] = arena_strdup(arena, places->java);
    argv[1] = arena_printf(arena, "@%s/jvm.args", node->data);
    env[0] = "PATH=/usr/local/bin:/usr/bin:/bin";
    env[1] = "LC_ALL=C.UTF-8";
    spec->argv = argv;
    spec->env = env;
    spec->files = arena_alloc(arena, 6 * sizeof(*spec->files));
    spec->n_files = 0;
    add_file(spec, "server.properties", server_properties(cluster, node), 0);
    add_file(spec, "log4j.properties", kafka_log4j1, 0);
    add_file(spec, "log4j2.properties", kafka_log4j2, 0);
    add_file(spec, "jvm.args", jvm_arguments(places, node, arena), 0);
    spec->files[spec->n_files - 1].of_version = true; /* the jars' path */
    add_file(spec, "log/meta.properties", meta_properties(cluster, node), 0);
    if (places->checkpoint) {
        char *bytes = arena_alloc(arena, places->checkpoint_size + 1);

        memcpy(bytes, places->checkpoint_bytes, places->checkpoint_size);
        add_file(spec, "log/bootstrap.checkpoint", bytes, places->checkpoint_size);
    }
    /* > 20 s where the controller is gone, > 30 s seen on a loaded machine */
    spec->stop_within_ns = 60 * SECOND_NS;
    spec->cpu = -1;
}

int kafka_layout(struct cluster *cluster, struct node *node, struct err *err)
{
    struct kafka_places places;

    if (kafka_places_find(&places, cluster->spec->config, cluster->cache, true, err) < 0)
        return -1;
    fill_spec(cluster, node, &places);
    kafka_places_release(&places);
    return 0;
}
