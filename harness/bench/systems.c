/*
 * The systems of the bench: the cluster, how its clients send and receive, and with which arguments
 * the bare loop and the product's own tool do the same: 100-byte messages, the same linger,
 * acknowledgements, idempotence and depth; the same prefetch and settling.
 */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES "100"
/* More than a pass: librdkafka before 2.2 fetches nothing for up to a second when its queue is full
 * (fetch.queue.backoff.ms later), and who takes a little slower then waits a lot longer. */
#define KAFKA_QUEUE_MESSAGES "10000000"
#define KAFKA_QUEUE_KBYTES "2000000"

const char *const leg_names[LEG_KINDS] = {"recorded", "unrecorded", "bare", "tool"};

#define CASE(clusters, workload, clients)                                                          \
    "cases:\n  bench:\n    about: A load to measure.\n    clusters: {" clusters "}\n"              \
    "    workload: {" workload "}\n    clients: {" clients "}\n"                                   \
    "    script:\n      - quiet: {for: 1ms, why: legs instead of a script}\n"                      \
    "    promise: {loss: 0}\n    expect: pass\n"
#define QUEUE_CASE(clients) CASE("it: it", "queue: {payload: 100B}", clients)

static void kafka_words(const struct bench_ask *ask, const char *what, const char **argv,
                        char (*text)[160])
{
    snprintf(text[0], sizeof(text[0]), "%s:9092", ask->plan->nodes[0].address);
    snprintf(text[1], sizeof(text[1]), "%lld", (long long)ask->count);
    argv[1] = what;
    argv[2] = text[0];
    argv[3] = "bench";
    argv[4] = text[1];
    argv[5] = MESSAGE_BYTES;
}

static void kafka_args(const struct bench_ask *ask, const char **argv, char (*text)[160])
{
    kafka_words(ask, "produce", argv, text);
    argv[6] = "acks=all";
    argv[7] = ask->counted ? "linger.ms=1000" : "linger.ms=5";
    argv[8] = ask->counted ? "batch.num.messages=1000" : NULL;
    argv[9] = NULL;
}

static void kafka_consume_args(const struct bench_ask *ask, const char **argv, char (*text)[160])
{
    kafka_words(ask, "consume", argv, text);
    argv[6] = "queued.min.messages=" KAFKA_QUEUE_MESSAGES;
    argv[7] = "queued.max.messages.kbytes=" KAFKA_QUEUE_KBYTES;
    argv[8] = NULL;
}

/* As the bare programs of Redis and RabbitMQ want it: whom, then for how long or how many. */
static size_t words(const struct bench_ask *ask, const char *port, const char **argv)
{
    argv[1] = ask->plan->nodes[0].address;
    argv[2] = port;
    argv[3] = "bench";
    return 4;
}

static void send_words(const struct bench_ask *ask, const char *port, const char *depth,
                       const char **argv, char (*text)[160])
{
    size_t n = words(ask, port, argv);

    snprintf(text[0], sizeof(text[0]), "%g", ask->seconds);
    argv[n++] = MESSAGE_BYTES;
    argv[n++] = depth;
    argv[n++] = text[0];
    argv[n] = NULL;
}

/* prefetch NULL: there is none. */
static void take_words(const struct bench_ask *ask, const char *port, const char *prefetch,
                       const char **argv, char (*text)[160])
{
    size_t n = words(ask, port, argv);

    snprintf(text[0], sizeof(text[0]), "%lld", (long long)ask->count);
    argv[n++] = text[0];
    argv[n++] = prefetch;
    argv[n] = NULL;
}

static void redis_args(const struct bench_ask *ask, const char **argv, char (*text)[160])
{
    send_words(ask, "6379", "16", argv, text);
}

static void redis_consume_args(const struct bench_ask *ask, const char **argv, char (*text)[160])
{
    take_words(ask, "6379", NULL, argv, text);
}

static void rabbitmq_args(const struct bench_ask *ask, const char **argv, char (*text)[160])
{
    send_words(ask, "5672", "1000", argv, text);
}

static void rabbitmq_consume_args(const struct bench_ask *ask, const char **argv, char (*text)[160])
{
    take_words(ask, "5672", "1000", argv, text);
}

/* librdkafka's own example, built from Debian's librdkafka-dev. Its counter prints once a second,
 * its end says what was delivered. */
static void kafka_tool_args(const struct bench_ask *ask, const char **argv, char (*text)[160])
{
    static const char *const fixed[] = {
        "-P", "-t", "bench", "-s",          MESSAGE_BYTES, "-a",
        "-1", "-q", "-X",    "linger.ms=5", "-X",          "queue.buffering.max.messages=50000"};
    size_t n = 1;

    snprintf(text[0], sizeof(text[0]), "%s:9092", ask->plan->nodes[0].address);
    snprintf(text[1], sizeof(text[1]), "%lld", (long long)ask->count);
    for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
        argv[n++] = fixed[i];
    argv[n++] = "-b";
    argv[n++] = text[0];
    argv[n++] = "-c";
    argv[n++] = text[1];
    argv[n] = NULL;
}

/* "% 500000 messages produced (…), 500000 delivered (offset …, 0 failed) in 1234ms: …" */
static int kafka_tool_read(const char *text, int64_t count, struct leg *out)
{
    const char *produced = NULL, *in;

    (void)count;
    for (const char *at = text; (at = strstr(at, " messages produced")); at++)
        produced = at;
    in = produced ? strstr(produced, " in ") : NULL;
    produced = produced ? strstr(produced, "), ") : NULL;
    if (!in || !produced)
        return -1;
    out->messages = strtod(produced + 3, NULL);
    out->seconds = strtod(in + 4, NULL) / 1000;
    return out->messages > 0 && out->seconds > 0 ? 0 : -1;
}

static void redis_tool_args(const struct bench_ask *ask, const char **argv, char (*text)[160])
{
    static const char *const fixed[] = {"-p", "6379", "-c", "1", "-P", "16", "-q"};
    size_t n = 1;

    snprintf(text[0], sizeof(text[0]), "%lld", (long long)ask->count);
    memset(text[1], 'x', 100);
    text[1][100] = '\0';
    argv[n++] = "-h";
    argv[n++] = ask->plan->nodes[0].address;
    for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
        argv[n++] = fixed[i];
    argv[n++] = "-n";
    argv[n++] = text[0];
    argv[n++] = "RPUSH";
    argv[n++] = "bench";
    argv[n++] = text[1];
    argv[n] = NULL;
}

/* "RPUSH bench xxx: 123456.78 requests per second, p50=0.5 msec", overwriting itself before */
static int redis_tool_read(const char *text, int64_t count, struct leg *out)
{
    const char *unit = strstr(text, " requests per second"), *at = unit;

    while (at && at > text && (at[-1] == '.' || (at[-1] >= '0' && at[-1] <= '9')))
        at--;
    if (!at || at == unit || strtod(at, NULL) <= 0)
        return -1;
    out->messages = (double)count;
    out->seconds = (double)count / strtod(at, NULL);
    return 0;
}

/* The bare loops: "messages=500000 … seconds=1.2 …", or two numbers; those that consume add a
 * third: CPU seconds from the first message on. */
static int bare_read(const char *text, int64_t count, struct leg *out)
{
    const char *m = strstr(text, "messages="), *s = strstr(text, "seconds=");
    const char *cpu = strstr(text, "cpu_seconds=");

    (void)count;
    if (!m || !s)
        return sscanf(text, "%lf %lf %lf", &out->messages, &out->seconds, &out->cpu_seconds) >= 2
                   ? 0
                   : -1;
    out->messages = strtod(m + strlen("messages="), NULL);
    out->seconds = strtod(s + strlen("seconds="), NULL);
    if (cpu)
        out->cpu_seconds = strtod(cpu + strlen("cpu_seconds="), NULL);
    return 0;
}

#define KAFKA_CLUSTER                                                                              \
    "assay: 1\nclusters:\n  it:\n    kafka: {version: \"3.9.1\", brokers: 3, controllers: 1}\n"
#define KAFKA_TOPIC "replicas: [[1, 2, 3]], config: {min.insync.replicas: \"2\""
#define KAFKA_EVEN                                                                                 \
    "{produce: bench, outstanding: 50000, librdkafka: {acks: all, linger.ms: \"1000\", "           \
    "batch.num.messages: \"1000\"}}"
/* One node: three on two processors run at one speed or at nearly twice that, by who was put where.
 * The log's size: what is in it is in memory, too, and a memory alarm blocks who publishes. */
#define RABBITMQ_CLUSTER                                                                           \
    "assay: 1\nclusters:\n  it:\n    rabbitmq: {nodes: 1}\n"                                       \
    "    rabbitmq.conf: {raft.wal_max_size_bytes: \"16000000\"}\n"                                 \
    "    queues: {bench: {durable: true, arguments: {x-queue-type: quorum}, leader: 1}}\n"
#define RABBITMQ_SENDER                                                                            \
    "app: {publish: {queue: bench, confirm: true, properties: {delivery_mode: \"2\"}}, "           \
    "outstanding: 1000}"
#define REDIS_CLUSTER "assay: 1\nclusters:\n  it: {redis: {topology: standalone}}\n"
#define POSTGRES_CLUSTER "  db: {postgres: {nodes: 1}}\n"

const struct bench_system bench_systems[] = {
    {.name = "kafka-produce",
     .suite = KAFKA_CLUSTER
     /* the task delay: else nothing is deleted in a broker's first 30 s, and its disk is full */
     "    server.properties: {log.retention.check.interval.ms: \"500\", "
     "log.initial.task.delay.ms: \"500\", log.segment.delete.delay.ms: \"100\"}\n"
     "    topics: {bench: {" KAFKA_TOPIC ", retention.bytes: \"100000000\", "
     "segment.bytes: \"50000000\"}}}\n" QUEUE_CASE(
         "app: {produce: bench, outstanding: 50000, librdkafka: {acks: all, linger.ms: \"5\"}}, "
         "even: " KAFKA_EVEN),
     .setup = "3 brokers, replication 3, min.insync.replicas 2, acks=all, linger.ms 5, one "
              "partition, 100 bytes; instructions: every batch full with 1000 messages",
     .programs = {{"kafka_bare", "librdkafka alone", kafka_args, bare_read},
                  {"rdkafka_performance", "rdkafka_performance", kafka_tool_args, kafka_tool_read}},
     .even = 1},
    {.name = "kafka-consume",
     .suite = KAFKA_CLUSTER "    topics: {bench: {" KAFKA_TOPIC "}}}\n" QUEUE_CASE(
         "app: " KAFKA_EVEN ", reader: {consume: {topic: bench, partitions: "
         "[\"0\"], from: beginning}, settle: never, librdkafka: "
         "{queued.min.messages: \"" KAFKA_QUEUE_MESSAGES "\", "
         "queued.max.messages.kbytes: \"" KAFKA_QUEUE_KBYTES "\"}}"),
     .setup = "3 brokers, one partition assigned by hand and read from its beginning, nothing "
              "committed, batches of 1000, queues of librdkafka that never fill, 100 bytes",
     .programs = {{"kafka_bare", "librdkafka alone", kafka_consume_args, bare_read}, {0}},
     .consumes = true,
     .keeps = true,
     .trial = 1000000,
     .room = 4000000},
    {.name = "rabbitmq-produce",
     .suite = RABBITMQ_CLUSTER QUEUE_CASE(RABBITMQ_SENDER),
     .setup = "1 node, quorum queue, persistent, 1000 confirms outstanding, 100 bytes",
     .programs = {{"rabbitmq_bare", "rabbitmq-c alone", rabbitmq_args, bare_read}, {0}}},
    {.name = "rabbitmq-consume",
     .suite = RABBITMQ_CLUSTER QUEUE_CASE(RABBITMQ_SENDER
                                          ", reader: {consume: {queue: bench, prefetch: 1000}}"),
     .setup = "1 node, quorum queue, prefetch 1000, one ack a message, 100 bytes",
     .programs = {{"rabbitmq_consume_bare", "rabbitmq-c alone", rabbitmq_consume_args, bare_read},
                  {0}},
     .consumes = true,
     .trial = 20000},
    {.name = "redis-produce",
     .suite = REDIS_CLUSTER QUEUE_CASE("app: {push: bench, outstanding: 16}"),
     .setup = "standalone, RPUSH, pipeline 16, one connection, 100 bytes",
     .programs = {{"redis_bare", "hiredis alone", redis_args, bare_read},
                  {"/usr/bin/redis-benchmark", "redis-benchmark", redis_tool_args,
                   redis_tool_read}}},
    {.name = "redis-consume",
     .suite =
         REDIS_CLUSTER QUEUE_CASE("app: {push: bench, outstanding: 16}, reader: {consume: bench}"),
     .setup = "standalone, BLPOP, one at a time, one connection, 100 bytes",
     .programs = {{"redis_consume_bare", "hiredis alone", redis_consume_args, bare_read}, {0}},
     .consumes = true,
     .trial = 50000},
    {.name = "transfer",
     .suite = REDIS_CLUSTER POSTGRES_CLUSTER CASE(
         "it: it, db: db", "transfer: {accounts: 100, initial: 1000}",
         "app: {push: bench, outstanding: 16}, teller: {consume: bench}"),
     .setup = "BLPOP from a standalone Redis, each message a transaction of two accounts and the "
              "journal in PostgreSQL, one worker",
     .consumes = true,
     .trial = 2000},
    {.name = "cache-probes",
     .suite = REDIS_CLUSTER POSTGRES_CLUSTER CASE("db: db, cache: it",
                                                  "cache: {protocol: cache_aside, keys: 16}",
                                                  "probe: {reader: {rate: 5k/s}}"),
     .setup = "one reader of 16 keys, cache-aside, standalone Redis before PostgreSQL",
     .measure = bench_probe},
    {0}};
