/* What a bench found, as text and as JSON. See bench.h. */
#include "bench/bench.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- ratios: recorded ÷ other, one a round */

enum measure { THROUGHPUT, CPU, MEASURES };
static const char *const measure_names[MEASURES] = {"throughput", "client CPU a message"};
static const char *const measure_keys[MEASURES] = {"throughput", "cpu"};

static double value_of(const struct leg *leg, enum measure m)
{
    return m == THROUGHPUT ? leg->messages / leg->seconds : leg->cpu_seconds / leg->messages;
}

static struct bench_median ratio_of(const struct bench *b, enum leg_kind other, enum measure m)
{
    double ratios[BENCH_PAIRS_MAX];

    for (unsigned i = 0; i < b->rounds; i++)
        ratios[i] = value_of(&b->done[LEG_RECORDED][i], m) / value_of(&b->done[other][i], m);
    return bench_median(ratios, b->rounds);
}

static struct bench_median median_of(const struct bench *b, enum leg_kind kind, enum measure m)
{
    double values[BENCH_PAIRS_MAX];

    for (unsigned i = 0; i < b->rounds; i++)
        values[i] = value_of(&b->done[kind][i], m);
    return bench_median(values, b->rounds);
}

static const char *name_of(const struct bench *b, enum leg_kind kind)
{
    const struct bench_program *program = bench_program_of(b, kind);

    return program && program->name ? program->name : leg_names[kind];
}

/* ---- text */

static void tell_leg(const struct bench *b, enum leg_kind kind)
{
    if (b->rounds > 0)
        printf("  %-20s %9.0f messages/s, %6.0f ns of client CPU a message", name_of(b, kind),
               median_of(b, kind, THROUGHPUT).median, 1e9 * median_of(b, kind, CPU).median);
    else
        printf("  %-20s", name_of(b, kind));
    if (b->per_message[kind] > 0)
        printf(", %6.0f instructions a message", b->per_message[kind]);
    printf("\n");
}

static void tell_ratios(const struct bench *b, enum leg_kind other)
{
    printf("  recorded ÷ %s\n", name_of(b, other));
    for (int m = 0; m < MEASURES && b->rounds > 0; m++) {
        struct bench_median r = ratio_of(b, other, (enum measure)m);

        printf("    %-22s %.3f  [%.3f, %.3f]", measure_names[m], r.median, r.low, r.high);
        printf(r.confidence > 0 ? "  (%.1f %% interval of the median)\n"
                                : "  (too few rounds: extremes)\n",
               r.confidence * 100);
    }
    if (b->per_message[LEG_RECORDED] > 0 && b->per_message[other] > 0)
        printf("    %-22s %.3f\n", "instructions a message",
               b->per_message[LEG_RECORDED] / b->per_message[other]);
}

void bench_tell_system(const struct bench *b)
{
    printf("%s: %s; %u rounds of %.0f s a leg\n", b->system->name, b->system->setup, b->rounds,
           b->leg_seconds);
    for (int kind = 0; kind < LEG_KINDS; kind++)
        if (b->offered[kind])
            tell_leg(b, (enum leg_kind)kind);
    for (int kind = LEG_UNRECORDED; kind < LEG_KINDS; kind++)
        if (b->offered[kind])
            tell_ratios(b, (enum leg_kind)kind);
    fflush(stdout);
}

void bench_tell_probes(const struct bench *b, const struct bench_probes *probes)
{
    printf("%s: %s; %zu reads in %.0f s, %d a second asked for; later than due: p50 %.3f ms, p99 "
           "%.3f ms, at most %.3f ms\n",
           b->system->name, b->system->setup, probes->reads, probes->seconds, BENCH_PROBES_PER_S,
           (double)probes->p50_ns / 1e6, (double)probes->p99_ns / 1e6,
           (double)probes->most_ns / 1e6);
    fflush(stdout);
}

void bench_tell_cuts(const int64_t *cut_ns, const int64_t *heal_ns)
{
    printf("cut: %d cuts of %d directed links: p50 %.3f ms, p99 %.3f ms; heals: p50 %.3f ms, "
           "p99 %.3f ms\n",
           BENCH_CUTS, BENCH_CUT_LINKS, (double)cut_ns[BENCH_CUTS / 2] / 1e6,
           (double)cut_ns[BENCH_CUTS * 99 / 100] / 1e6, (double)heal_ns[BENCH_CUTS / 2] / 1e6,
           (double)heal_ns[BENCH_CUTS * 99 / 100] / 1e6);
}

/* ---- JSON */

static json_t *median_json(const struct bench_median *m)
{
    return json_pack("{sf sf sf sf}", "median", m->median, "low", m->low, "high", m->high,
                     "confidence", m->confidence);
}

static json_t *leg_json(const struct bench *b, enum leg_kind kind)
{
    json_t *leg = json_pack("{ss}", "name", name_of(b, kind));
    json_t *runs = json_array();

    for (unsigned i = 0; i < b->rounds; i++) {
        const struct leg *l = &b->done[kind][i];

        json_array_append_new(runs, json_pack("{sf sf sf}", "messages", l->messages, "seconds",
                                              l->seconds, "cpu_seconds", l->cpu_seconds));
    }
    json_object_set_new(leg, "runs", runs);
    if (b->rounds > 0) {
        struct bench_median rate = median_of(b, kind, THROUGHPUT), cpu = median_of(b, kind, CPU);

        json_object_set_new(leg, "per_s", median_json(&rate));
        json_object_set_new(leg, "cpu_s_per_message", median_json(&cpu));
    }
    if (b->per_message[kind] > 0)
        json_object_set_new(leg, "instructions_per_message", json_real(b->per_message[kind]));
    return leg;
}

static json_t *ratio_json(const struct bench *b, enum leg_kind other)
{
    json_t *out = json_object();

    for (int m = 0; m < MEASURES && b->rounds > 0; m++) {
        struct bench_median r = ratio_of(b, other, (enum measure)m);

        json_object_set_new(out, measure_keys[m], median_json(&r));
    }
    if (b->per_message[LEG_RECORDED] > 0 && b->per_message[other] > 0)
        json_object_set_new(out, "instructions",
                            json_real(b->per_message[LEG_RECORDED] / b->per_message[other]));
    return out;
}

static void stamp(json_t *object)
{
    char text[32];
    time_t now = time(NULL);
    struct tm tm;

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    json_object_set_new(object, "utc", json_string(text));
    json_object_set_new(object, "assay", json_string(ASSAY_VERSION));
    json_object_set_new(object, "processors", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
}

/* Puts it under its keys into the file; what else is there stays. Takes `value`. */
static int put(const char *path, const char *group, const char *key, json_t *value, struct err *err)
{
    json_error_t problem;
    json_t *root = access(path, F_OK) == 0 ? json_load_file(path, 0, &problem) : json_object();
    json_t *into = root;
    char beside[PATH_MAX];
    int result = 0;

    stamp(value);
    if (!json_is_object(root)) {
        json_decref(value);
        json_decref(root);
        return err_set(err, "%s: not a file of bench results", path);
    }
    json_object_set_new(root, "format", json_integer(1));
    if (group) {
        if (!json_is_object(json_object_get(root, group)))
            json_object_set_new(root, group, json_object());
        into = json_object_get(root, group);
    }
    json_object_set_new(into, key, value);
    snprintf(beside, sizeof(beside), "%s.new", path); /* killed in the midst, the old one stays */
    if (json_dump_file(root, beside, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) < 0 ||
        rename(beside, path) < 0)
        result = err_errno(err, "%s", path);
    json_decref(root);
    return result;
}

int bench_write_system(const struct bench *b, struct err *err)
{
    json_t *legs = json_object(), *ratios = json_object();
    json_t *system = json_pack("{ss ss si sf}", "setup", b->system->setup, "build", b->build,
                               "rounds", (int)b->rounds, "leg_seconds", b->leg_seconds);

    for (int kind = 0; kind < LEG_KINDS; kind++) {
        if (!b->offered[kind])
            continue;
        json_object_set_new(legs, leg_names[kind], leg_json(b, (enum leg_kind)kind));
        if (kind != LEG_RECORDED)
            json_object_set_new(ratios, leg_names[kind], ratio_json(b, (enum leg_kind)kind));
    }
    json_object_set_new(system, "legs", legs);
    json_object_set_new(system, "recorded_against", ratios);
    return put(b->json, "systems", b->system->name, system, err);
}

static bool same(const struct bench *b, const json_t *system)
{
    const char *setup = json_string_value(json_object_get(system, "setup"));
    const char *build = json_string_value(json_object_get(system, "build"));
    double seconds = json_number_value(json_object_get(system, "leg_seconds"));

    return setup && build && strcmp(setup, b->system->setup) == 0 && strcmp(build, b->build) == 0 &&
           seconds > b->leg_seconds - 1e-6 && seconds < b->leg_seconds + 1e-6;
}

static unsigned read_runs(const json_t *runs, struct leg *out)
{
    unsigned n = 0;

    for (; n < json_array_size(runs) && n < BENCH_PAIRS_MAX; n++) {
        const json_t *run = json_array_get(runs, n);

        out[n] = (struct leg){json_number_value(json_object_get(run, "messages")),
                              json_number_value(json_object_get(run, "seconds")),
                              json_number_value(json_object_get(run, "cpu_seconds"))};
    }
    return n;
}

void bench_read_system(struct bench *b)
{
    json_t *root = json_load_file(b->json, 0, NULL);
    const json_t *system = json_object_get(json_object_get(root, "systems"), b->system->name);
    unsigned rounds = BENCH_PAIRS_MAX;

    if (same(b, system)) {
        for (int kind = 0; kind < LEG_KINDS; kind++) {
            const json_t *leg = json_object_get(json_object_get(system, "legs"), leg_names[kind]);
            unsigned n = b->offered[kind] ? read_runs(json_object_get(leg, "runs"), b->done[kind])
                                          : BENCH_PAIRS_MAX;

            rounds = n < rounds ? n : rounds;
            b->per_message[kind] =
                json_number_value(json_object_get(leg, "instructions_per_message"));
        }
        b->rounds = rounds;
        if (rounds > 0)
            b->rate_per_s = value_of(&b->done[LEG_RECORDED][rounds - 1], THROUGHPUT);
    }
    json_decref(root);
}

int bench_write_probes(const struct bench *b, const struct bench_probes *probes, struct err *err)
{
    json_t *value =
        json_pack("{ss si si sf sf sf sf}", "setup", b->system->setup, "asked_per_s",
                  BENCH_PROBES_PER_S, "reads", (int)probes->reads, "seconds", probes->seconds,
                  "p50_ms", (double)probes->p50_ns / 1e6, "p99_ms", (double)probes->p99_ns / 1e6,
                  "most_ms", (double)probes->most_ns / 1e6);

    return put(b->json, NULL, "probes", value, err);
}

int bench_write_cuts(const char *json, const int64_t *cut_ns, const int64_t *heal_ns,
                     struct err *err)
{
    json_t *cuts = json_pack("{si si sf sf sf sf}", "times", BENCH_CUTS, "links", BENCH_CUT_LINKS,
                             "cut_p50_ms", (double)cut_ns[BENCH_CUTS / 2] / 1e6, "cut_p99_ms",
                             (double)cut_ns[BENCH_CUTS * 99 / 100] / 1e6, "heal_p50_ms",
                             (double)heal_ns[BENCH_CUTS / 2] / 1e6, "heal_p99_ms",
                             (double)heal_ns[BENCH_CUTS * 99 / 100] / 1e6);

    return put(json, NULL, "cut", cuts, err);
}
