/*
 * Memory of the checkers of keys, locks, transactions and accounts: within what checker_ops.bound
 * says from the plan alone, and no more for a history three times as long, but for what JUDGING
 * gives each version, transaction or message. ASSAY_MEMORY_EVENTS sets how long.
 */
#include "api/registry.h"
#include "api/workload.h"
#include "checkers/check.h"
#include "checkers/testing/keyed.h"
#include "checkers/testing/watched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct keyed_args {
    int64_t keys;
};
static const struct param keyed_params[] = {
    {"keys", PARAM_INT, offsetof(struct keyed_args, keys), .help = "how many"}, {0}};
static const struct workload_ops keyed_load = {.name = "keyed", .params = keyed_params};
static const struct keyed_args keyed_args = {KEYED_KEYS_MAX};

/* The world's clients, of two workers each, send so many messages and touch so many keys. */
static void keyed_world(struct world *w, struct send_args *send, struct step *step)
{
    world_init(w, 1);
    *step = (struct step){.kind = STEP_SEND, .args = send};
    w->plan.script = (struct step_list){step, 1};
    w->plan.workload = &keyed_load;
    w->plan.workload_args = &keyed_args;
    for (size_t i = 0; i < w->plan.n_clients; i++)
        w->clients[i].workers = 2;
}

static size_t held(const struct world *w, struct events *list)
{
    struct event_source source = events_source(list);
    struct watched watched = watched_begin();
    struct check_observer observer = {&watched, UINT64_MAX, watched_look};
    struct check_result result;
    struct err err = {0};

    if (check_source(&source, &w->plan, &observer, &result, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < result.n; i++)
        if (result.items[i].findings.n > 0)
            fail_msg("%s: %s in a clean history", result.items[i].ops->name,
                     result.items[i].findings.items[0].kind);
    check_release(&result);
    return watched.most - watched.before;
}

static void of_values(size_t n, struct events *out)
{
    struct keyed_options options = {
        .seed = 1, .keys = KEYED_KEYS_MAX, .steps = n + n / 2, .one_load = true};

    keyed_simulate(&options, out);
}

/* More versions of each than are kept. */
static void of_few_values(size_t n, struct events *out)
{
    struct keyed_options options = {.seed = 1, .keys = KEYED_KEYS, .steps = n + n / 2};

    keyed_simulate(&options, out);
}

struct kept {
    const char *checker;
    const void *args;
    void (*make)(size_t n, struct events *out);
    double bytes_each; /* may be kept of each event */
};

static size_t kept_of(const struct kept *k, size_t n)
{
    struct send_args send = {.from = "app", .count = (int64_t)n};
    struct events list = {0};
    struct step step;
    struct world w;
    size_t without, bytes, bound;

    k->make(n, &list);
    events_restamp(&list);
    keyed_world(&w, &send, &step);
    without = held(&w, &list);
    world_promise(&w, checker_named(k->checker), k->args);
    bytes = held(&w, &list);
    bytes -= bytes < without ? bytes : without;
    bound = w.plan.promises[0].checker->bound(&w.plan, k->args);
    printf("# %zu events, %s: %zu KiB, at most %zu\n", list.n, k->checker, bytes >> 10,
           bound >> 10);
    assert_true(bytes <= bound);
    events_release(&list);
    return bytes;
}

static void of_keys(void **state)
{
    static const struct {
        int64_t number;
    } long_ago = {1000000000}, one = {1};
    static const struct {
        struct strings promises;
        int across;
    } worker = {{0}, 0}, client = {{0}, 1}, everybody = {{0}, 2};
    static const struct {
        struct strings promises;
    } isolation = {{0}};
    static const struct {
        int how;
    } first = {0}, second = {1};
    const struct kept all[] = {
        {"stale", &long_ago, of_few_values, 0},
        {"stale", &long_ago, of_values, 8}, /* 32 a version, and one event in four is a write */
        {"session", &worker, of_values, 0},
        {"session", &client, of_values, 0},
        {"session", &everybody, of_values, 0},
        {"cache", &first, of_values, 0},
        {"stampede", &one, of_values, 0},
        {"lock", &first, keyed_locks, 0},
        {"lock", &second, keyed_locks, 0},
        {"effect", NULL, keyed_accounts, 0.5},             /* 2 bits a message and journal row */
        {"isolation", &isolation, keyed_transactions, 12}, /* 12 events a transaction */
    };
    const char *set = getenv("ASSAY_MEMORY_EVENTS");
    size_t n = set ? strtoul(set, NULL, 10) : 500000;

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        size_t few = kept_of(&all[i], n), many = kept_of(&all[i], 3 * n);
        size_t more = many < few ? 0 : many - few;

        if (few == 0 && many == 0)
            skip(); /* a sanitizer's malloc tells nothing */
        if ((double)more > all[i].bytes_each * 2 * (double)n + 0.05 * (double)few)
            fail_msg("%s: %zu bytes more for %zu more events", all[i].checker, more, 2 * n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_keys)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
