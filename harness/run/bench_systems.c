/*
 * The systems of the bench: the cluster, how its client sends, and with which arguments the bare
 * loop and the product's own tool do the same: 100-byte messages, the same linger,
 * acknowledgements, idempotence and depth.
 */
#include "run/bench.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES "100"

const char *const leg_names[LEG_KINDS] = {"recorded", "unrecorded", "bare", "tool"};

#define CASE(workload, client)                                                                     \
    "cases:\n  bench:\n    about: What recording costs.\n    clusters: {it: it}\n"                 \
    "    workload: {queue: {" workload "}}\n    clients: {app: {" client "}}\n"                    \
    "    script:\n      - quiet: {for: 1ms, why: legs instead of a script}\n"                      \
    "    promise: {loss: 0}\n    expect: pass\n"

static void kafka_args(const struct plan_case *plan, int64_t count, double seconds,
                       const char **argv, char (*text)[160])
{
    (void)seconds;
    snprintf(text[0], sizeof(text[0]), "%s:9092", plan->nodes[0].address);
    snprintf(text[1], sizeof(text[1]), "%lld", (long long)count);
    argv[1] = "produce";
    argv[2] = text[0];
    argv[3] = "bench";
    argv[4] = text[1];
    argv[5] = MESSAGE_BYTES;
    argv[6] = "acks=all";
    argv[7] = "linger.ms=5";
    argv[8] = NULL;
}

static void redis_args(const struct plan_case *plan, int64_t count, double seconds,
                       const char **argv, char (*text)[160])
{
    (void)count;
    snprintf(text[0], sizeof(text[0]), "%g", seconds);
    argv[1] = plan->nodes[0].address;
    argv[2] = "6379";
    argv[3] = "bench";
    argv[4] = MESSAGE_BYTES;
    argv[5] = "16";
    argv[6] = text[0];
    argv[7] = NULL;
}

static void rabbitmq_args(const struct plan_case *plan, int64_t count, double seconds,
                          const char **argv, char (*text)[160])
{
    (void)count;
    snprintf(text[0], sizeof(text[0]), "%g", seconds);
    argv[1] = plan->nodes[0].address;
    argv[2] = "5672";
    argv[3] = "bench";
    argv[4] = MESSAGE_BYTES;
    argv[5] = "1000";
    argv[6] = text[0];
    argv[7] = NULL;
}

/* librdkafka's own example, built from Debian's librdkafka-dev. Its counter prints once a second,
 * its end says what was delivered. */
static void kafka_tool_args(const struct plan_case *plan, int64_t count, double seconds,
                            const char **argv, char (*text)[160])
{
    static const char *const fixed[] = {
        "-P", "-t", "bench", "-s",          MESSAGE_BYTES, "-a",
        "-1", "-q", "-X",    "linger.ms=5", "-X",          "queue.buffering.max.messages=50000"};
    size_t n = 1;

    (void)seconds;
    snprintf(text[0], sizeof(text[0]), "%s:9092", plan->nodes[0].address);
    snprintf(text[1], sizeof(text[1]), "%lld", (long long)count);
    for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
        argv[n++] = fixed[i];
    argv[n++] = "-b";
    argv[n++] = text[0];
    argv[n++] = "-c";
    argv[n++] = text[1];
    argv[n] = NULL;
}

/* "% 500000 messages produced (…), 500000 delivered (offset …, 0 failed) in 1234ms: …" */
static int kafka_tool_read(const char *text, int64_t count, double *messages, double *seconds)
{
    const char *produced = NULL, *in;

    (void)count;
    for (const char *at = text; (at = strstr(at, " messages produced")); at++)
        produced = at;
    in = produced ? strstr(produced, " in ") : NULL;
    produced = produced ? strstr(produced, "), ") : NULL;
    if (!in || !produced)
        return -1;
    *messages = strtod(produced + 3, NULL);
    *seconds = strtod(in + 4, NULL) / 1000;
    return *messages > 0 && *seconds > 0 ? 0 : -1;
}

static void redis_tool_args(const struct plan_case *plan, int64_t count, double seconds,
                            const char **argv, char (*text)[160])
{
    static const char *const fixed[] = {"-p", "6379", "-c", "1", "-P", "16", "-q"};
    size_t n = 1;

    (void)seconds;
    snprintf(text[0], sizeof(text[0]), "%lld", (long long)count);
    memset(text[1], 'x', 100);
    text[1][100] = '\0';
    argv[n++] = "-h";
    argv[n++] = plan->nodes[0].address;
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
static int redis_tool_read(const char *text, int64_t count, double *messages, double *seconds)
{
    const char *unit = strstr(text, " requests per second"), *at = unit;

    while (at && at > text && (at[-1] == '.' || (at[-1] >= '0' && at[-1] <= '9')))
        at--;
    if (!at || at == unit || strtod(at, NULL) <= 0)
        return -1;
    *messages = (double)count;
    *seconds = (double)count / strtod(at, NULL);
    return 0;
}

/* The bare loops: "messages=500000 … seconds=1.2", or two numbers. */
static int bare_read(const char *text, int64_t count, double *messages, double *seconds)
{
    const char *m = strstr(text, "messages="), *s = strstr(text, "seconds=");

    (void)count;
    if (!m || !s)
        return sscanf(text, "%lf %lf", messages, seconds) == 2 ? 0 : -1;
    *messages = strtod(m + strlen("messages="), NULL);
    *seconds = strtod(s + strlen("seconds="), NULL);
    return 0;
}

const struct bench_system bench_systems[] = {
    {"kafka",
     "assay: 1\nclusters:\n  it:\n    kafka: {version: \"3.9.1\", brokers: 3, controllers: 1}\n"
     "    server.properties: {log.retention.check.interval.ms: \"500\", "
     "log.segment.delete.delay.ms: \"100\"}\n"
     "    topics: {bench: {replicas: [[1, 2, 3]], config: {min.insync.replicas: \"2\", "
     "retention.bytes: "
     "\"100000000\", segment.bytes: \"50000000\"}}}\n" CASE(
         "payload: 100B",
         "produce: bench, outstanding: 50000, librdkafka: {acks: all, linger.ms: \"5\"}"),
     "3 brokers, replication 3, min.insync.replicas 2, acks=all, linger.ms 5, one partition, 100 "
     "bytes",
     {{"kafka_bare", "librdkafka alone", kafka_args, bare_read},
      {"rdkafka_performance", "rdkafka_performance", kafka_tool_args, kafka_tool_read}}},
    {"rabbitmq",
     "assay: 1\nclusters:\n  it:\n    rabbitmq: {nodes: 3}\n"
     "    queues: {bench: {durable: true, arguments: {x-queue-type: quorum}, leader: 1}}\n" CASE(
         "payload: 100B", "publish: {queue: bench, confirm: true, properties: {delivery_mode: "
                          "\"2\"}}, outstanding: 1000"),
     "3 nodes, quorum queue, persistent, 1000 confirms outstanding, 100 bytes",
     {{"rabbitmq_bare", "rabbitmq-c alone", rabbitmq_args, bare_read}, {0}}},
    {"redis",
     "assay: 1\nclusters:\n  it: {redis: {topology: standalone}}\n" CASE(
         "payload: 100B", "push: bench, outstanding: 16"),
     "standalone, RPUSH, pipeline 16, one connection, 100 bytes",
     {{"redis_bare", "hiredis alone", redis_args, bare_read},
      {"/usr/bin/redis-benchmark", "redis-benchmark", redis_tool_args, redis_tool_read}}},
    {0}};
