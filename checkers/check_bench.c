/*
 * How fast a recorded history (testing/traffic.h) is judged by loss, delivery and order together,
 * on one core, and in how much memory (testing/measure.h).
 *
 *     check_bench [log|queue] [MESSAGES [UNITS [RUNS]]] [lost] [only CHECKER] [at FOLDER]
 *                                                                 default log 10000000 1000 5
 *
 * `lost`: some messages are, so that loss takes its second look. `only`: one checker alone. `at`:
 * what was recorded stays in that folder and is judged again by the next who names it with the same
 * numbers: two builds, turn by turn, a profile of the judging alone, or the peak of its memory.
 */
#include "api/registry.h"
#include "checkers/testing/measure.h"
#include "checkers/testing/traffic.h"
#include "history/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void stop(const char *what)
{
    fprintf(stderr, "check_bench: %s\n", what);
    exit(1);
}

struct options {
    struct traffic traffic;
    unsigned runs;
    const struct checker_ops *only;
    char folder[256];
    bool keeps, recorded; /* by this process */
};

static void take_number(struct options *o, unsigned *taken, const char *word)
{
    unsigned long n = strtoul(word, NULL, 10);

    if (n == 0 || *taken == 3)
        stop("[log|queue] [MESSAGES [UNITS [RUNS]]] [lost] [only CHECKER] [at FOLDER]");
    if (*taken == 0)
        o->traffic.messages = n;
    else if (*taken == 1)
        o->traffic.n_units = (uint32_t)n;
    else
        o->runs = n < MEASURE_RUNS_MAX ? (unsigned)n : MEASURE_RUNS_MAX;
    (*taken)++;
}

static void take_words(struct options *o, int argc, char **argv)
{
    unsigned numbers = 0;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "queue") == 0) {
            o->traffic.queue = true;
        } else if (strcmp(argv[i], "lost") == 0) {
            o->traffic.lost = true;
        } else if (strcmp(argv[i], "only") == 0 && i + 1 < argc) {
            o->only = checker_named(argv[++i]);
            if (!o->only)
                stop("no such checker");
        } else if (strcmp(argv[i], "at") == 0 && i + 1 < argc) {
            snprintf(o->folder, sizeof(o->folder), "%s", argv[++i]);
            o->keeps = true;
        } else if (strcmp(argv[i], "log") != 0) {
            take_number(o, &numbers, argv[i]);
        }
}

/* Records, unless the folder holds a history. */
static void record(struct options *o)
{
    struct history_reader *r = NULL;
    struct history_info info;
    struct err err = {0};

    if (!o->keeps)
        snprintf(o->folder, sizeof(o->folder), "%s/check-bench-XXXXXX",
                 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (o->keeps ? mkdir(o->folder, 0777) < 0 && errno != EEXIST : !mkdtemp(o->folder))
        stop("no folder");
    r = history_open(o->folder, BY_TIME, 0, &err);
    if (!r) {
        o->recorded = true;
        traffic_write(&o->traffic, o->folder);
        return;
    }
    history_info(r, &info);
    if (!info.complete)
        stop("that folder holds a history that was cut short");
    o->traffic.sent = o->traffic.messages;
    o->traffic.events = info.events;
    history_close(r);
}

/* The bench's plan, or the one promise of it; the arguments stay where there are any. */
static struct plan_case promised(const struct options *o, struct plan_case plan)
{
    static struct plan_promise only;

    if (!o->only)
        return plan;
    only = (struct plan_promise){.checker = o->only, .always = !o->only->property};
    for (size_t i = 0; i < plan.n_promises; i++)
        if (plan.promises[i].checker == o->only)
            only = plan.promises[i];
    plan.promises = &only;
    plan.n_promises = 1;
    return plan;
}

int main(int argc, char **argv)
{
    struct options o = {.traffic = {.messages = 10000000, .n_units = 1000}, .runs = 5};
    struct traffic *t = &o.traffic;
    struct measure m;
    struct plan_case plan;
    char path[300], what[100];

    take_words(&o, argc, argv);
    record(&o);
    plan = promised(&o, *traffic_plan(t));
    snprintf(what, sizeof(what), "%s%s%s%s", t->queue ? "queues" : "log",
             t->lost ? ", some lost" : "", o.only ? ", only " : "", o.only ? o.only->name : "");
    m = (struct measure){.what = what,
                         .messages = t->sent,
                         .events = t->events,
                         .units = t->n_units,
                         .runs = o.runs,
                         .alone = !o.recorded};
    printf("%llu messages, %llu events, %u units\n", (unsigned long long)t->sent,
           (unsigned long long)t->events, t->n_units);
    measure_check(&m, o.folder, &plan);
    measure_tell(&m);
    snprintf(path, sizeof(path), "%s/history", o.folder);
    if (!o.keeps) {
        unlink(path);
        rmdir(o.folder);
    }
    traffic_release(t);
    return 0;
}
