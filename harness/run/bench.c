/*
 * The verb: `assay bench [SYSTEM…] [--pairs N] [--seconds S] [--instructions]` (bench.h).
 *
 * What is compared is stated with every number: who was A, who was B, seconds of a leg, pairs. On a
 * machine shared with the brokers throughput is mostly theirs, so CPU per message of the client is
 * printed beside it, and instructions per message when asked for.
 */
#include "run/bench.h"

#include "api/registry.h"
#include "run/bench_stats.h"
#include "run/verbs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGE_BYTES "100"

static const char *const leg_names[LEG_KINDS] = {"recorded", "unrecorded", "bare"};

/* ---- systems */

#define CASE(workload, client)                                                                     \
    "cases:\n  bench:\n    about: What recording costs.\n    clusters: {it: it}\n"                 \
    "    workload: {queue: {" workload "}}\n    clients: {app: {" client "}}\n"                    \
    "    script:\n      - quiet: {for: 1ms, why: legs instead of a script}\n"                      \
    "    promise: {loss: 0}\n    expect: pass\n"

static void kafka_args(const struct plan_case *plan, int64_t count, double seconds,
                       const char **argv, char (*text)[64])
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
                       const char **argv, char (*text)[64])
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
                          const char **argv, char (*text)[64])
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

static const struct bench_system systems[] = {
    {"kafka",
     "assay: 1\nclusters:\n  it:\n    kafka: {version: \"3.9.1\", brokers: 3, controllers: 1}\n"
     "    server.properties: {log.retention.check.interval.ms: \"500\", "
     "log.segment.delete.delay.ms: \"100\"}\n"
     "    topics: {bench: {replicas: [[1, 2, 3]], config: {min.insync.replicas: \"2\", "
     "retention.bytes: "
     "\"100000000\", segment.bytes: \"50000000\"}}}\n" CASE(
         "payload: 100B",
         "produce: bench, outstanding: 50000, librdkafka: {acks: all, linger.ms: \"5\"}"),
     "kafka_bare", kafka_args},
    {"rabbitmq",
     "assay: 1\nclusters:\n  it:\n    rabbitmq: {nodes: 3}\n"
     "    queues: {bench: {durable: true, arguments: {x-queue-type: quorum}, leader: 1}}\n" CASE(
         "payload: 100B", "publish: {queue: bench, confirm: true, properties: {delivery_mode: "
                          "\"2\"}}, outstanding: 1000"),
     "rabbitmq_bare", rabbitmq_args},
    {"redis",
     "assay: 1\nclusters:\n  it: {redis: {topology: standalone}}\n" CASE(
         "payload: 100B", "push: bench, outstanding: 16"),
     "redis_bare", redis_args},
};

/* ---- comparing */

struct pairs_of {
    double throughput[BENCH_PAIRS_MAX], cpu[BENCH_PAIRS_MAX];
    size_t n;
};

/* Ratios are A ÷ B for throughput (1: recording costs nothing) and for CPU per message too. */
static void add_pair(struct pairs_of *p, const struct leg *a, const struct leg *b)
{
    p->throughput[p->n] = (a->messages / a->seconds) / (b->messages / b->seconds);
    p->cpu[p->n] = (a->cpu_seconds / a->messages) / (b->cpu_seconds / b->messages);
    p->n++;
}

static void print_ratio(const char *what, double *values, size_t n)
{
    struct bench_median m = bench_median(values, n);

    printf("    %-22s %.3f  [%.3f, %.3f]", what, m.median, m.low, m.high);
    printf(m.confidence > 0 ? "  (%.1f %% interval of the median)\n"
                            : "  (too few pairs: extremes)\n",
           m.confidence * 100);
}

static int compare(struct bench *b, enum leg_kind other, struct err *err)
{
    struct pairs_of p = {.n = 0};
    struct leg sides[2];

    printf("  %s, recorded ÷ %s: %u pairs of %.0f s\n", b->system->name, leg_names[other], b->pairs,
           b->leg_seconds);
    for (unsigned i = 0; i < 2 * b->pairs; i++) {
        int side = bench_side(i);
        enum leg_kind kind = side == 0 ? LEG_RECORDED : other;
        struct leg *leg = &sides[side];

        if (bench_leg(b, kind, leg, err) < 0)
            return err_prefix(err, "%s leg of %s", leg_names[kind], b->system->name);
        fprintf(stderr, "    %-10s %9.0f /s, %6.0f ns of client CPU a message\n", leg_names[kind],
                leg->messages / leg->seconds, leg->cpu_seconds * 1e9 / leg->messages);
        if (i % 2 == 1)
            add_pair(&p, &sides[0], &sides[1]);
    }
    print_ratio("throughput", p.throughput, p.n);
    print_ratio("client CPU a message", p.cpu, p.n);
    fflush(stdout);
    return 0;
}

static int count(struct bench *b, const bool *offered, struct err *err)
{
    double per_message[LEG_KINDS] = {0};

    for (int kind = 0; kind < LEG_KINDS; kind++) {
        if (!offered[kind])
            continue;
        if (bench_instructions(b, (enum leg_kind)kind, &per_message[kind], err) < 0)
            return err_prefix(err, "instructions of %s", b->system->name);
        printf("  %s, %-10s %7.0f instructions a message", b->system->name, leg_names[kind],
               per_message[kind]);
        if (kind > 0)
            printf("; recorded ÷ it: %.3f", per_message[LEG_RECORDED] / per_message[kind]);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}

/* ---- in the sandbox */

static int bench_run(struct bench *b, struct err *err)
{
    bool offered[LEG_KINDS] = {true, true, false};
    char program[600];

    snprintf(program, sizeof(program), "%s/%s", b->programs, b->system->bare);
    offered[LEG_BARE] = access(program, X_OK) == 0;
    if (!offered[LEG_BARE])
        printf("  %s: no %s beside the binary: not compared with a bare loop\n", b->system->name,
               b->system->bare);
    for (int kind = LEG_UNRECORDED; b->pairs > 0 && kind < LEG_KINDS; kind++)
        if (offered[kind] && compare(b, (enum leg_kind)kind, err) < 0)
            return -1;
    return b->instructions ? count(b, offered, err) : 0;
}

static int coordinate(void *argument)
{
    struct bench *b = argument;
    struct err err = {0};
    char nodes[300], cache[400];
    int result = -1;

    b->box = sandbox_here();
    cache_folder(cache, sizeof(cache));
    mkdir(cache, 0755);
    snprintf(nodes, sizeof(nodes), "%s/nodes", b->folder);
    b->slot = cluster_bring_up(b->box, b->plan, &b->plan->clusters[0], nodes, cache, stderr,
                               deadline_in(120 * SECOND_NS, NULL), &err);
    if (b->slot)
        result = bench_run(b, &err);
    if (result < 0)
        fprintf(stderr, "assay: %s\n", err.text);
    cluster_close(b->slot);
    return result < 0 ? 3 : 0;
}

static int in_sandbox(struct bench *b, struct err *err)
{
    struct sandbox_options box = {.run_folder = b->folder};
    const char *suites[1];
    struct plan_options options = {.suites = suites, .n_suites = 1, .seed = 1, .repeats = 1};
    char path[300];
    struct plan *plan;
    FILE *file;
    int died = 0, status;

    snprintf(path, sizeof(path), "%s/bench.yaml", b->folder);
    file = fopen(path, "we");
    if (!file || fputs(b->system->suite, file) < 0 || fclose(file) != 0)
        return err_errno(err, "%s", path);
    suites[0] = path;
    plan = plan_load(&options, NULL, err);
    if (!plan)
        return -1;
    b->plan = plan->cases[0];
    status = sandbox_run(coordinate, b, &box, &died, err);
    plan_free(plan);
    return died ? 128 + died : status;
}

static int bench_system(struct bench *b, const struct bench_system *system)
{
    struct err err = {0};
    int status;

    b->system = system;
    snprintf(b->folder, sizeof(b->folder), "/tmp/assay-bench-XXXXXX");
    if (!mkdtemp(b->folder)) {
        perror("assay: /tmp");
        return 3;
    }
    status = in_sandbox(b, &err);
    if (status < 0)
        fprintf(stderr, "assay: %s\n", err.text);
    remove_tree(b->folder);
    return status < 0 ? err.status == ERR_INPUT ? 2 : 3 : status;
}

/* ---- command line */

static int usage(void)
{
    fprintf(
        stderr,
        "usage: assay bench [kafka|rabbitmq|redis …] [--pairs N] [--seconds S] [--instructions]\n");
    return 2;
}

static const struct bench_system *find(const char *name)
{
    for (size_t i = 0; i < sizeof(systems) / sizeof(systems[0]); i++)
        if (strcmp(systems[i].name, name) == 0)
            return &systems[i];
    return NULL;
}

static void own_folder(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);

    out[n > 0 ? n : 0] = '\0';
    if (strrchr(out, '/'))
        *strrchr(out, '/') = '\0';
}

/* Options; returns how many systems were named, -1 when it cannot be read. */
static int read_options(struct bench *b, int argc, char **argv, const struct bench_system **named)
{
    int n = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--instructions") == 0)
            b->instructions = true;
        else if (strcmp(argv[i], "--pairs") == 0 && i + 1 < argc)
            b->pairs = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            b->leg_seconds = strtod(argv[++i], NULL);
        else if (n < 8 && find(argv[i]))
            named[n++] = find(argv[i]);
        else
            return -1;
    }
    return b->pairs <= BENCH_PAIRS_MAX && b->leg_seconds > 0 ? n : -1;
}

int verb_bench(int argc, char **argv)
{
    static struct bench b;
    const struct bench_system *named[8];
    int n, status = 0;

    b = (struct bench){.leg_seconds = 20, .pairs = 11};
    own_folder(b.programs, sizeof(b.programs));
    n = read_options(&b, argc, argv, named);
    if (n < 0)
        return usage();
    if (n == 0)
        for (size_t i = 0; i < sizeof(systems) / sizeof(systems[0]); i++)
            named[n++] = &systems[i];
    b.warm_seconds = b.leg_seconds / 5 < 2 ? b.leg_seconds / 5 : 2;
    for (int i = 0; i < n && status == 0; i++)
        status = bench_system(&b, named[i]);
    return status;
}
