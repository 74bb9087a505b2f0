/* See measure.h. */
#include "checkers/testing/measure.h"

#include "base/clock.h"
#include "checkers/check.h"
#include "checkers/testing/watched.h"
#include "history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static int64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

static void check(const char *folder, const struct plan_case *plan,
                  const struct check_observer *observer, struct check_result *result)
{
    struct err err = {0};
    struct history_reader *r = history_open(folder, BY_TIME, UINT64_MAX, &err);

    if (!r || check_history(folder, r, plan, observer, result, &err) < 0) {
        fprintf(stderr, "measure: %s\n", err.text);
        exit(1);
    }
    history_close(r);
}

static void look_once(struct measure *m, const char *folder, const struct plan_case *plan)
{
    struct watched watched = watched_begin();
    struct check_observer observer = {&watched, 0, watched_look};
    struct check_result result;

    for (size_t i = 0; i < plan->n_promises; i++)
        observer.wants |= plan->promises[i].checker->wants;
    check(folder, plan, &observer, &result);
    m->bytes = watched.most - watched.before;
    for (size_t i = 0; i < result.n; i++) {
        const struct findings *f = &result.items[i].findings;

        printf("        %s:%s%s", result.items[i].ops->name,
               f->inconclusive ? " inconclusive: " : "", f->why);
        for (size_t k = 0; k < f->n; k++)
            printf(" %s %llu", f->items[k].kind, (unsigned long long)f->items[k].count);
        printf("%s, exercised %lld\n", f->n || f->inconclusive ? "" : " nothing found",
               (long long)f->exercised);
    }
    check_release(&result);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void measure_check(struct measure *m, const char *folder, const struct plan_case *plan)
{
    look_once(m, folder, plan);
    for (unsigned i = 0; i < m->runs; i++) {
        struct check_result result;
        int64_t begun_ns = cpu_ns(), wall_ns = clock_now_ns();

        check(folder, plan, NULL, &result);
        m->rates[i] = (double)m->events * 1e3 / (double)(cpu_ns() - begun_ns);
        printf("check   %6.1f M events/s of CPU, %.1f of wall time, %u passes\n", m->rates[i],
               (double)m->events * 1e3 / (double)(clock_now_ns() - wall_ns), result.passes);
        check_release(&result);
    }
    qsort(m->rates, m->runs, sizeof(*m->rates), compare);
}

static void write_json(const struct measure *m, uint64_t peak)
{
    const char *path = getenv("ASSAY_BENCH_JSON");
    FILE *out = path ? fopen(path, "ae") : NULL;

    if (!out)
        return;
    fprintf(out,
            "{\"topic\": \"check\", \"what\": \"%s\", \"messages\": %llu, \"events\": %llu, "
            "\"units\": %u, \"runs\": %u, \"median_events_per_s\": %.0f, \"low\": %.0f, "
            "\"high\": %.0f, \"bytes\": %zu, \"peak_bytes\": %llu}\n",
            m->what, (unsigned long long)m->messages, (unsigned long long)m->events, m->units,
            m->runs, m->rates[m->runs / 2] * 1e6, m->rates[0] * 1e6, m->rates[m->runs - 1] * 1e6,
            m->bytes, (unsigned long long)peak);
    fclose(out);
}

void measure_tell(const struct measure *m)
{
    struct rusage usage;
    uint64_t peak = 0;

    if (m->alone && getrusage(RUSAGE_SELF, &usage) == 0)
        peak = (uint64_t)usage.ru_maxrss * 1024;
    printf("%-20s median %6.1f M events/s, %.1f to %.1f in %u runs, %.1f MiB", m->what,
           m->rates[m->runs / 2], m->rates[0], m->rates[m->runs - 1], m->runs,
           (double)m->bytes / 1048576);
    if (peak)
        printf(", the process %.1f MiB at most", (double)peak / 1048576);
    printf("\n");
    fflush(stdout);
    write_json(m, peak);
}
