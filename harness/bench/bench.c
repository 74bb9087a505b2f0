/*
 * The verb: `assay bench [TOPIC …] [--pairs N] [--seconds S] [--instructions [--profiles
 * FOLDER]] [--json FILE]` (bench.h); a topic is a system, one half of it (kafka-produce,
 * kafka-consume …), transfer, cache-probes or cut.
 *
 * What is compared is stated with every number. On a machine shared with the brokers throughput is
 * mostly theirs, so CPU per message of the client is printed beside it, and instructions per
 * message when asked for, which no other load disturbs.
 */
#include "bench/bench.h"

#include "api/registry.h"
#include "base/file.h"
#include "systems/server.h"
#include "verbs/options.h"
#include "verbs/verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* ---- rounds */

static int one_leg(struct bench *b, enum leg_kind kind, unsigned round, struct err *err)
{
    struct leg *leg = &b->done[kind][round];

    if (bench_leg(b, kind, leg, err) < 0)
        return err_prefix(err, "%s leg of %s", leg_names[kind], b->system->name);
    fprintf(stderr, "    %2u %-10s %9.0f /s, %6.0f ns of client CPU a message\n", round + 1,
            leg_names[kind], leg->messages / leg->seconds, leg->cpu_seconds * 1e9 / leg->messages);
    return 0;
}

/* All legs once; every second round backwards. */
static int one_round(struct bench *b, unsigned round, struct err *err)
{
    for (int i = 0; i < LEG_KINDS; i++) {
        enum leg_kind kind = (enum leg_kind)(round % 2 ? LEG_KINDS - 1 - i : i);

        if (b->offered[kind] && one_leg(b, kind, round, err) < 0)
            return -1;
    }
    return 0;
}

static int count(struct bench *b, struct err *err)
{
    for (int kind = 0; kind < LEG_TOOL; kind++)
        if (b->offered[kind] && b->per_message[kind] <= 0 &&
            bench_instructions(b, (enum leg_kind)kind, &b->per_message[kind], err) < 0)
            return err_prefix(err, "instructions of %s", b->system->name);
    return 0;
}

static void find_programs(struct bench *b)
{
    char path[600];

    b->offered[LEG_RECORDED] = b->offered[LEG_UNRECORDED] = true;
    for (int kind = LEG_BARE; kind < LEG_KINDS; kind++) {
        const struct bench_program *program = bench_program_of(b, (enum leg_kind)kind);

        b->offered[kind] = bench_program_path(b, (enum leg_kind)kind, path, sizeof(path));
        if (program->file && !b->offered[kind])
            printf("%s: %s is not there: not compared with it\n", b->system->name, program->file);
    }
}

/* ---- in the sandbox */

/* Binaries whose rounds may stand side by side. */
static void identify(struct bench *b)
{
    XXH64_state_t *state = XXH64_createState();
    static unsigned char bytes[1 << 16];
    char path[600];

    if (!state)
        abort();
    XXH64_reset(state, 0);
    for (int kind = LEG_RECORDED; kind < LEG_KINDS; kind++) {
        FILE *file;
        size_t n;

        if (!b->offered[kind] || kind == LEG_UNRECORDED)
            continue;
        if (kind == LEG_RECORDED)
            snprintf(path, sizeof(path), "%s/assay", b->programs);
        else
            (void)bench_program_path(b, (enum leg_kind)kind, path, sizeof(path));
        file = fopen(path, "re");
        while (file && (n = fread(bytes, 1, sizeof(bytes), file)) > 0)
            XXH64_update(state, bytes, n);
        if (file)
            fclose(file);
    }
    snprintf(b->build, sizeof(b->build), "%016llx", (unsigned long long)XXH64_digest(state));
    XXH64_freeState(state);
}

static int keep(const struct bench *b, struct err *err)
{
    return b->json ? bench_write_system(b, err) : 0;
}

static int bench_run(struct bench *b, struct err *err)
{
    while (b->rounds < b->pairs) {
        if (one_round(b, b->rounds, err) < 0)
            return -1;
        b->rounds++;
        if (keep(b, err) < 0)
            return -1;
    }
    if (b->instructions && count(b, err) < 0)
        return -1;
    bench_tell_system(b);
    return keep(b, err);
}

static int run_cuts(struct bench *b, struct err *err)
{
    static int64_t cut_ns[BENCH_CUTS], heal_ns[BENCH_CUTS];

    if (bench_cuts(b->box, cut_ns, heal_ns, err) < 0)
        return -1;
    bench_tell_cuts(cut_ns, heal_ns);
    return b->json ? bench_write_cuts(b->json, cut_ns, heal_ns, err) : 0;
}

static int bring_up(struct bench *b, struct err *err)
{
    char nodes[300], cache[400];

    cache_folder(cache, sizeof(cache));
    for (size_t i = 0; i < b->plan->n_clusters; i++) {
        const struct plan_cluster *spec = &b->plan->clusters[i];

        snprintf(nodes, sizeof(nodes), "%s/nodes-%s", b->folder, spec->alias);
        b->slots[i] = cluster_bring_up(b->box, b->plan, spec, nodes, cache, stderr,
                                       deadline_in(120 * SECOND_NS, NULL), err);
        if (!b->slots[i])
            return -1;
    }
    return 0;
}

static int run_system(struct bench *b, struct err *err)
{
    int result = bring_up(b, err);

    if (result == 0) {
        result = b->system->measure ? b->system->measure(b, err) : bench_run(b, err);
        for (size_t i = 0; i < b->plan->n_clusters && result < 0; i++)
            cluster_blame(b->slots[i], err);
    }
    for (size_t i = 0; i < b->plan->n_clusters; i++)
        cluster_close(b->slots[i]);
    return result;
}

static int coordinate(void *argument)
{
    struct bench *b = argument;
    struct err err = {0};

    b->box = sandbox_here();
    if ((b->system ? run_system(b, &err) : run_cuts(b, &err)) == 0)
        return 0;
    fprintf(stderr, "assay: %s\n", err.text);
    return 3;
}

/* The case of a system, as a suite file: the plan's own reader types it. */
static struct plan *read_plan(const struct bench *b, struct err *err)
{
    const char *suites[1];
    struct plan_options options = {.suites = suites, .n_suites = 1, .seed = 1, .repeats = 1};
    char path[300];
    FILE *file;

    snprintf(path, sizeof(path), "%s/bench.yaml", b->folder);
    file = fopen(path, "we");
    if (!file || fputs(b->system->suite, file) < 0 || fclose(file) != 0) {
        err_errno(err, "%s", path);
        return NULL;
    }
    suites[0] = path;
    return plan_load(&options, NULL, err);
}

static int in_sandbox(struct bench *b, struct err *err)
{
    struct sandbox_options box = {.run_folder = b->folder};
    struct plan *plan = b->system ? read_plan(b, err) : NULL;
    int died = 0, status;

    if (b->system && !plan)
        return -1;
    b->plan = plan ? plan->cases[0] : NULL;
    status = sandbox_run(coordinate, b, &box, &died, err);
    plan_free(plan);
    return died ? 128 + died : status;
}

/* Whether an earlier run left nothing to be done. */
static bool go_on(struct bench *b)
{
    b->rounds = 0;
    b->count = b->filled = 0;
    b->rate_per_s = 0;
    memset(b->per_message, 0, sizeof(b->per_message));
    find_programs(b);
    identify(b);
    if (b->json)
        bench_read_system(b);
    if (b->rounds == 0)
        return false;
    fprintf(stderr, "assay: %s: %u rounds are there\n", b->system->name, b->rounds);
    return b->rounds >= b->pairs && (!b->instructions || b->per_message[LEG_RECORDED] > 0);
}

/* One topic: half a system, or the cuts (NULL). */
static int bench_topic(struct bench *b, const struct bench_system *system)
{
    struct err err = {0};
    int status;

    b->system = system;
    if (system && !system->measure && go_on(b)) {
        bench_tell_system(b);
        return 0;
    }
    snprintf(b->folder, sizeof(b->folder), "/tmp/assay-bench-XXXXXX");
    if (!mkdtemp(b->folder)) {
        perror("assay: /tmp");
        return 3;
    }
    status = in_sandbox(b, &err);
    if (status < 0)
        status = verb_failed(&err);
    file_remove_tree(b->folder);
    return status;
}

/* ---- command line */

#define TOPICS_MAX 16

struct topics {
    const struct bench_system *systems[TOPICS_MAX];
    size_t n;
    bool cut;
};

static int usage(void)
{
    fprintf(stderr,
            "usage: assay bench "
            "[kafka|rabbitmq|redis|…-produce|…-consume|transfer|cache-probes|cut …] [--pairs N] "
            "[--seconds S] [--instructions [--profiles FOLDER]] [--json FILE]\n");
    return 2;
}

/* A system is both its halves. */
static bool named(const char *system, const char *name)
{
    size_t n = strlen(name);

    return strncmp(system, name, n) == 0 && (system[n] == '\0' || system[n] == '-');
}

static bool add_topic(struct topics *t, const char *name)
{
    size_t before = t->n;

    if (strcmp(name, "cut") == 0)
        return t->cut = true;
    for (size_t i = 0; bench_systems[i].name && t->n < TOPICS_MAX; i++)
        if (named(bench_systems[i].name, name))
            t->systems[t->n++] = &bench_systems[i];
    return t->n > before;
}

static void own_folder(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);

    out[n > 0 ? n : 0] = '\0';
    if (strrchr(out, '/'))
        *strrchr(out, '/') = '\0';
}

static int read_options(struct bench *b, int argc, char **argv, struct topics *t)
{
    static const struct option flags[] = {
        {"instructions", no_argument, NULL, 'i'},   {"pairs", required_argument, NULL, 'p'},
        {"seconds", required_argument, NULL, 's'},  {"json", required_argument, NULL, 'j'},
        {"profiles", required_argument, NULL, 'f'}, {0}};
    char none[] = "", *end = none;
    int option;

    optind = 1;
    while ((option = option_next(argc, argv, flags)) != -1) {
        if (option == 'i')
            b->instructions = true;
        else if (option == 'p')
            b->pairs = (unsigned)strtoul(optarg, &end, 10);
        else if (option == 's')
            b->leg_seconds = strtod(optarg, &end);
        else if (option == 'j')
            b->json = optarg;
        else if (option == 'f')
            b->profiles = optarg;
        else
            return -1;
        if (*end)
            return -1;
    }
    for (; optind < argc; optind++)
        if (!add_topic(t, argv[optind]))
            return -1;
    return b->pairs <= BENCH_PAIRS_MAX && b->leg_seconds > 0 ? 0 : -1;
}

int verb_bench(int argc, char **argv)
{
    static struct bench b;
    struct topics topics = {.n = 0};
    int status = 0;

    b = (struct bench){.leg_seconds = 20, .pairs = 11};
    own_folder(b.programs, sizeof(b.programs));
    if (read_options(&b, argc, argv, &topics) < 0)
        return usage();
    if (topics.n == 0 && !topics.cut) {
        topics.cut = true;
        while (bench_systems[topics.n].name) {
            topics.systems[topics.n] = &bench_systems[topics.n];
            topics.n++;
        }
    }
    if (b.profiles && file_make_folders(b.profiles) < 0) {
        fprintf(stderr, "assay: %s: %s\n", b.profiles, strerror(errno));
        return 2;
    }
    b.warm_seconds = b.leg_seconds / 5 < 2 ? b.leg_seconds / 5 : 2;
    if (topics.cut)
        status = bench_topic(&b, NULL);
    for (size_t i = 0; i < topics.n && status == 0; i++)
        status = bench_topic(&b, topics.systems[i]);
    return status;
}
