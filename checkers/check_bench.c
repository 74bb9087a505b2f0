/*
 * How fast a recorded history (testing/traffic.h) is judged by loss, delivery and order together,
 * decoding and merging included, on one core.
 *
 *     check_bench [log|queue] [MESSAGES [UNITS [RUNS]]] [lost]   default log 10000000 1000 5
 *
 * `lost`: some messages are, so that loss takes its second look. Events a second are those stored,
 * divided by the CPU time of the whole check, all passes. Prints text; with ASSAY_BENCH_JSON=FILE
 * one JSON line is added to that file too (ci/catalogue --report reads it).
 */
#include "base/clock.h"
#include "checkers/check.h"
#include "checkers/testing/traffic.h"
#include "history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void stop(const char *what)
{
    fprintf(stderr, "check_bench: %s\n", what);
    exit(1);
}

static int64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

/* ---- judging */

static double check_once(const struct traffic *t, const char *folder, const struct plan_case *plan,
                         bool tell)
{
    struct err err = {0};
    struct history_reader *r = history_open(folder, BY_TIME, UINT64_MAX, &err);
    struct check_result result;
    int64_t begun_ns = cpu_ns(), wall_ns = clock_now_ns();
    double rate;

    if (!r || check_history(folder, r, plan, NULL, &result, &err) < 0)
        stop(err.text);
    rate = (double)t->events * 1e3 / (double)(cpu_ns() - begun_ns);
    printf("check   %6.1f M events/s of CPU, %.1f of wall time, %u passes\n", rate,
           (double)t->events * 1e3 / (double)(clock_now_ns() - wall_ns), result.passes);
    for (size_t i = 0; tell && i < result.n; i++) {
        const struct findings *f = &result.items[i].findings;

        printf("        %s:%s%s", result.items[i].ops->name,
               f->inconclusive ? " inconclusive: " : "", f->why);
        for (size_t k = 0; k < f->n; k++)
            printf(" %s %llu", f->items[k].kind, (unsigned long long)f->items[k].count);
        printf("%s, exercised %lld\n", f->n || f->inconclusive ? "" : " nothing found",
               (long long)f->exercised);
    }
    check_release(&result);
    history_close(r);
    return rate;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void write_json(const struct traffic *t, const double *sorted, unsigned long runs)
{
    const char *path = getenv("ASSAY_BENCH_JSON");
    FILE *out = path ? fopen(path, "ae") : NULL;

    if (!out)
        return;
    fprintf(out,
            "{\"topic\": \"check\", \"what\": \"%s%s\", \"messages\": %llu, \"events\": %llu, "
            "\"units\": %u, \"runs\": %lu, \"median_events_per_s\": %.0f, \"low\": %.0f, "
            "\"high\": %.0f}\n",
            t->queue ? "queues" : "log", t->lost ? ", some lost" : "", (unsigned long long)t->sent,
            (unsigned long long)t->events, t->n_units, runs, sorted[runs / 2] * 1e6,
            sorted[0] * 1e6, sorted[runs - 1] * 1e6);
    fclose(out);
}

int main(int argc, char **argv)
{
    struct traffic t = {.messages = 10000000, .n_units = 1000};
    unsigned long runs = 5, numbers = 0;
    double rates[99];
    char folder[256], path[300];
    const struct plan_case *plan;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "queue") == 0)
            t.queue = true;
        else if (strcmp(argv[i], "lost") == 0)
            t.lost = true;
        else if (strcmp(argv[i], "log") != 0) {
            unsigned long n = strtoul(argv[i], NULL, 10);

            if (n == 0 || numbers == 3)
                stop("[log|queue] [MESSAGES [UNITS [RUNS]]] [lost]");
            if (numbers == 0)
                t.messages = n;
            else if (numbers == 1)
                t.n_units = (uint32_t)n;
            else
                runs = n < 99 ? n : 99;
            numbers++;
        }
    snprintf(folder, sizeof(folder), "%s/check-bench-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(folder))
        stop("no folder");
    traffic_write(&t, folder);
    plan = traffic_plan(&t);
    printf("%llu messages, %llu events, %u units\n", (unsigned long long)t.sent,
           (unsigned long long)t.events, t.n_units);
    for (unsigned long i = 0; i < runs; i++)
        rates[i] = check_once(&t, folder, plan, i == 0);
    qsort(rates, runs, sizeof(*rates), compare);
    printf("median  %6.1f M events/s, %.1f to %.1f in %lu runs\n", rates[runs / 2], rates[0],
           rates[runs - 1], runs);
    write_json(&t, rates, runs);
    snprintf(path, sizeof(path), "%s/history", folder);
    unlink(path);
    rmdir(folder);
    traffic_release(&t);
    return 0;
}
