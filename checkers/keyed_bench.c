/*
 * How fast the checkers of keys, locks and transactions judge a recorded history, each alone,
 * decoding and merging included, on one core.
 *
 *     keyed_bench [EVENTS [RUNS]]                                    default 5000000 3
 *
 * stale, session, cache, stampede: what testing/keyed.h makes up, on 4096 keys. lock: 1000 locks
 * asked for, got and left. isolation: transactions of five messages each, read and audited; effect:
 * a journal of 4096 accounts. How it is measured and told: testing/measure.h.
 */
#include "api/registry.h"
#include "checkers/testing/keyed.h"
#include "checkers/testing/measure.h"
#include "history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stop(const char *what)
{
    fprintf(stderr, "keyed_bench: %s\n", what);
    exit(1);
}

/* ---- histories */

static void of_keys(size_t n, struct events *out)
{
    struct keyed_options options = {.seed = 1, .keys = KEYED_KEYS_MAX, .steps = n + n / 2};

    keyed_simulate(&options, out);
}

static void record(const char *folder, struct events *list)
{
    struct history_writer *writers[CLIENT_IDS + 2] = {NULL};
    struct err err = {0};
    struct sealer *s = sealer_open(folder, &err);

    if (!s)
        stop(err.text);
    events_restamp(list);
    for (size_t i = 0; i < list->n; i++) {
        uint16_t by = list->items[i].by;
        size_t at = by < CLIENT_IDS ? by : by == BY_AUDIT ? CLIENT_IDS : CLIENT_IDS + 1;
        char name[32];

        snprintf(name, sizeof(name), "writer-%zu", at);
        if (!writers[at] && !(writers[at] = history_writer_open(folder, name, by, &err)))
            stop(err.text);
        history_record(writers[at], &list->items[i]);
        if (i % 100000 == 0 && sealer_step(s, &err) < 0)
            stop(err.text);
    }
    for (size_t i = 0; i < CLIENT_IDS + 2; i++)
        history_writer_close(writers[i]);
    if (sealer_finish(s, &err) < 0)
        stop(err.text);
    sealer_close(s);
}

/* ---- judging */

static void judge(const char *folder, const char *checker, size_t events, unsigned runs)
{
    static const struct {
        int64_t number;
    } args = {1000000}; /* stale: 1 ms; stampede: as many loads */
    bool numbered = strcmp(checker, "stale") == 0 || strcmp(checker, "stampede") == 0;
    struct measure m = {.what = checker, .events = events, .runs = runs};
    struct world w;

    world_init(&w, 1);
    world_promise(&w, checker_named(checker), numbered ? &args : NULL);
    measure_check(&m, folder, &w.plan);
    measure_tell(&m);
}

int main(int argc, char **argv)
{
    static const struct {
        void (*make)(size_t n, struct events *out);
        const char *checkers[5];
    } sets[] = {{of_keys, {"stale", "session", "cache", "stampede", NULL}},
                {keyed_locks, {"lock", NULL}},
                {keyed_transactions, {"isolation", NULL}},
                {keyed_accounts, {"effect", NULL}}};
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 5000000;
    unsigned runs = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 3;

    if (n == 0 || runs == 0 || runs > MEASURE_RUNS_MAX)
        stop("[EVENTS [RUNS]]");
    for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
        char folder[256], path[300];
        struct events list = {0};

        snprintf(folder, sizeof(folder), "%s/keyed-bench-XXXXXX",
                 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
        if (!mkdtemp(folder))
            stop("no folder");
        sets[i].make(n, &list);
        record(folder, &list);
        n = list.n;
        events_release(&list);
        for (size_t k = 0; sets[i].checkers[k]; k++)
            judge(folder, sets[i].checkers[k], n, runs);
        snprintf(path, sizeof(path), "%s/history", folder);
        unlink(path);
        rmdir(folder);
    }
    return 0;
}
