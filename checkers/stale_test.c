/*
 * Staleness: planted bugs are found, clean histories stay clean, a brute-force oracle agrees.
 */
#include "api/registry.h"
#include "checkers/testing/garden.h"
#include "checkers/testing/keyed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    int64_t within_ns;
} within_20us = {20000}, within_3us = {3000};

/* ---- planted: a read from a cache is served what was replaced long before it was asked */

#define VERSIONS 200000

/* When each version of each key was known to be committed, and when the read that completes with
 * event i was invoked. */
static int64_t (*known)[VERSIONS];
static int64_t *invoked;

static void learn(const struct events *clean)
{
    int64_t open[2 * KEYED_CLIENTS] = {0};

    known = calloc(KEYED_KEYS, sizeof(*known));
    invoked = calloc(clean->n, sizeof(*invoked));
    assert_true(known && invoked);
    for (size_t i = 0; i < clean->n; i++) {
        const struct event *e = &clean->items[i];

        if (e->type == EV_READ_INVOKE)
            open[e->client * 2 + e->worker] = e->at_ns;
        if (e->type == EV_READ_COMPLETE)
            invoked[i] = open[e->client * 2 + e->worker];
        if (((e->type == EV_LOAD_COMPLETE || e->type == EV_READ_COMPLETE) &&
             e->code == SOURCE_STORE) ||
            (e->type == EV_WRITE_COMPLETE && event_outcome(e) == OUTCOME_OK))
            for (int64_t v = e->value; v > 0 && !known[e->key][v]; v--)
                known[e->key][v] = e->at_ns;
    }
}

static bool could_be_old(const struct events *clean, size_t i)
{
    const struct event *e = &clean->items[i];

    return e->type == EV_READ_COMPLETE && e->code == SOURCE_CACHE && e->value > 0 &&
           known[e->key][e->value] &&
           invoked[i] - known[e->key][e->value] > within_20us.within_ns + 100;
}

static void serve_older(const struct events *clean, size_t i, struct events *out)
{
    struct event e = clean->items[i];

    e.value--;
    events_add(out, e);
}

static void every_planted_bug_is_found(void **state)
{
    static const struct seed seed = {"stale",      NULL,         "stale",
                                     &within_20us, could_be_old, serve_older};
    struct keyed_options options = {.seed = 1, .steps = 200000, .trouble = 2};
    struct events clean = {0};

    (void)state;
    keyed_simulate(&options, &clean);
    learn(&clean);
    garden(&seed, &clean, 1);
    events_release(&clean);
    free(known);
    free(invoked);
}

/* ---- the oracle */

static bool ok(const struct event *e)
{
    return event_outcome(e) == OUTCOME_OK;
}

static bool proves_newer(const struct event *e, const struct event *than)
{
    if (e->key != than->key || e->value <= than->value || !ok(e))
        return false;
    return e->type == EV_WRITE_COMPLETE ||
           ((e->type == EV_LOAD_COMPLETE || e->type == EV_READ_COMPLETE) &&
            e->code == SOURCE_STORE);
}

static uint64_t stale_reads(const struct events *list, int64_t within_ns, int64_t error_ns)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct event *r = &list->items[i];
        int64_t asked = 0, since = INT64_MAX;

        if (r->type != EV_READ_COMPLETE || !ok(r))
            continue;
        for (size_t k = 0; k < list->n; k++) {
            const struct event *e = &list->items[k];

            if (e->type == EV_READ_INVOKE && e->client == r->client && e->worker == r->worker &&
                e->seq == r->seq)
                asked = e->at_ns;
            if (proves_newer(e, r) && e->at_ns < since)
                since = e->at_ns;
        }
        count += since < INT64_MAX && asked - since > within_ns + error_ns;
    }
    return count;
}

static void the_oracle_agrees(void **state)
{
    static const struct keyed_shape shape = {
        3, 2, 4, {KEYED_WRITES, KEYED_READS, KEYED_LOADS, KEYED_FILLS}};
    struct tally tally = {.kind = "stale"};
    struct events list = {0};

    (void)state;
    for (uint64_t i = 0; i < histories_wanted(); i++) {
        int64_t error_ns = (int64_t)(i % 3) * 1000;
        struct world w;

        keyed_make_up(i, &shape, &list);
        tally.counted = stale_reads(&list, within_3us.within_ns, error_ns);
        world_init(&w, 1);
        world_promise(&w, checker_named("stale"), &within_3us);
        agree(&w, &list, error_ns, i, &tally, 1);
    }
    enough(&tally, 1);
    events_release(&list);
}

/* ---- by hand: shares, what cannot be decided, and the writer that died */

static struct event at(int64_t us, uint8_t type, uint64_t seq, int64_t value)
{
    return (struct event){.at_ns = us * 1000,
                          .type = type,
                          .seq = seq,
                          .value = value,
                          .code = SOURCE_CACHE,
                          .outcome_level = event_result(OUTCOME_OK, LEVEL_NONE)};
}

static void shares_and_undecided_reads(void **state)
{
    static const struct {
        int64_t within_ns;
    } half_a_second = {500000000};
    const struct event story[] = {
        at(10, EV_WRITE_INVOKE, 0, 1),      at(20, EV_WRITE_COMPLETE, 0, 1),
        at(30, EV_WRITE_INVOKE, 1, 2), /* never answered: its writer died */
        at(5000, EV_READ_INVOKE, 0, 0),     at(5100, EV_READ_COMPLETE, 0, 1),
        at(700000, EV_READ_INVOKE, 1, 0),   at(700100, EV_READ_COMPLETE, 1, 1), /* undecided */
        at(2000000, EV_WRITE_INVOKE, 2, 3), at(2000100, EV_WRITE_COMPLETE, 2, 3),
        at(2050000, EV_READ_INVOKE, 2, 0),  at(2050100, EV_READ_COMPLETE, 2, 2),
        at(3000000, EV_READ_INVOKE, 3, 0),  at(3000100, EV_READ_COMPLETE, 3, 1), /* stale */
        at(3000200, EV_READ_INVOKE, 4, 0),  at(3000300, EV_READ_COMPLETE, 4, 3)};
    struct events list = {0};
    struct check_result result;
    struct world w;

    (void)state;
    for (size_t i = 0; i < sizeof(story) / sizeof(*story); i++)
        events_add(&list, story[i]);
    world_init(&w, 1);
    world_promise(&w, checker_named("stale"), &half_a_second);
    check_list(&w, &list, 0, &result);
    assert_int_equal(count_kind(&result, "stale"), 1);
    assert_int_equal(result.items[0].findings.undecided, 1);
    assert_string_equal(result.items[0].findings.told,
                        "5 reads: 40.00 % inside 10 ms, 60.00 % 100 ms, 80.00 % 1 s, 100.00 % "
                        "10 s; 1 undecided");
    check_release(&result);
    events_release(&list);
}

static void what_is_forgotten_is_said(void **state)
{
    static const struct {
        int64_t within_ns;
    } a_second = {1000000000};
    struct events list = {0};
    struct check_result result;
    struct world w;

    (void)state;
    for (int64_t v = 1; v <= 3000; v++) {
        events_add(&list, at(v * 10, EV_WRITE_INVOKE, (uint64_t)v, v));
        events_add(&list, at(v * 10 + 5, EV_WRITE_COMPLETE, (uint64_t)v, v));
    }
    events_add(&list, at(40000, EV_READ_INVOKE, 0, 0));
    events_add(&list, at(40001, EV_READ_COMPLETE, 0, 7));
    world_init(&w, 1);
    world_promise(&w, checker_named("stale"), &a_second);
    check_list(&w, &list, 0, &result);
    assert_int_equal(count_kind(&result, "stale"), 0);
    assert_true(result.items[0].findings.inconclusive);
    check_release(&result);
    list.items[list.n - 2].at_ns = list.items[list.n - 1].at_ns = INT64_C(2000000000);
    check_list(&w, &list, 0, &result); /* old enough whatever is forgotten */
    assert_int_equal(count_kind(&result, "stale"), 1);
    check_release(&result);
    events_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_planted_bug_is_found),
        cmocka_unit_test(the_oracle_agrees),
        cmocka_unit_test(shares_and_undecided_reads),
        cmocka_unit_test(what_is_forgotten_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
