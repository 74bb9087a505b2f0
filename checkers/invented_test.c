/*
 * Versions nobody wrote: planted ones are found, clean histories stay clean, a brute-force oracle
 * agrees.
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

/* ---- planted: a read is served what is yet to come */

static bool served(const struct events *clean, size_t i)
{
    return clean->items[i].type == EV_READ_COMPLETE && clean->items[i].value > 0;
}

static void serve_future(const struct events *clean, size_t i, struct events *out)
{
    struct event e = clean->items[i];

    e.value += 1000000;
    events_add(out, e);
}

static void every_planted_bug_is_found(void **state)
{
    static const struct seed seed = {"phantom", NULL, "always", NULL, served, serve_future};
    struct keyed_options options = {.seed = 6, .steps = 200000, .trouble = 2};
    struct events clean = {0};

    (void)state;
    keyed_simulate(&options, &clean);
    garden(&seed, &clean, 1);
    events_release(&clean);
}

/* ---- the oracle */

/* The newest version of this key that is known of when event i is past by more than the error: as
 * the events say one after the other, a refused write taking back what it had raised. */
static int64_t newest(const struct events *list, size_t i, int64_t error_ns)
{
    int64_t now = 0, before = 0, claims = 0;

    for (size_t k = 0; k < list->n; k++) {
        const struct event *e = &list->items[k];
        bool ok = event_outcome(e) == OUTCOME_OK;

        if (e->key != list->items[i].key || e->at_ns > list->items[i].at_ns + error_ns)
            continue;
        if ((e->type == EV_WRITE_INVOKE || (e->type == EV_LOAD_COMPLETE && ok)) &&
            e->value >= now) {
            before = e->value > now ? now : before;
            claims = e->value > now ? 0 : claims;
            claims += e->type == EV_WRITE_INVOKE ? 1 : 1000;
            now = e->value;
        }
        if (e->type == EV_WRITE_COMPLETE && event_outcome(e) == OUTCOME_FAIL && e->value == now &&
            --claims == 0) {
            now = before;
            claims = 1000;
        }
    }
    return now;
}

static uint64_t invented(const struct events *list, int64_t error_ns)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct event *e = &list->items[i];
        int64_t known;

        if (e->type != EV_READ_COMPLETE || event_outcome(e) != OUTCOME_OK)
            continue;
        known = newest(list, i, error_ns);
        count += known > 0 && e->value > known && e->value > newest(list, i, 0);
    }
    return count;
}

static void the_oracle_agrees(void **state)
{
    static const struct keyed_shape shape = {
        4, 1, 4, {KEYED_WRITES, KEYED_READS, KEYED_READS, KEYED_LOADS}};
    struct tally tally = {.kind = "phantom"};
    struct events list = {0};

    (void)state;
    for (uint64_t i = 0; i < histories_wanted(); i++) {
        int64_t error_ns = (int64_t)(i % 3) * 1000;
        struct world w;

        keyed_make_up(i, &shape, &list);
        tally.counted = invented(&list, error_ns);
        world_init(&w, 1);
        world_promise(&w, checker_named("always"), NULL);
        agree(&w, &list, error_ns, i, &tally, 1);
    }
    enough(&tally, 1);
    events_release(&list);
}

/* Counter-example: a refused write's version is free again; what a cache kept of it is invented. */
static void a_refused_write_gives_its_version_back(void **state)
{
    static const struct {
        uint8_t type;
        int64_t value;
        enum outcome outcome;
    } story[] = {{EV_WRITE_INVOKE, 1, OUTCOME_NONE},   {EV_WRITE_COMPLETE, 1, OUTCOME_OK},
                 {EV_WRITE_INVOKE, 2, OUTCOME_NONE},   {EV_READ_COMPLETE, 2, OUTCOME_OK},
                 {EV_WRITE_COMPLETE, 2, OUTCOME_FAIL}, {EV_READ_COMPLETE, 2, OUTCOME_OK},
                 {EV_WRITE_INVOKE, 2, OUTCOME_NONE},   {EV_READ_COMPLETE, 2, OUTCOME_OK}};
    struct events list = {0};
    struct check_result result;
    struct world w;

    (void)state;
    for (size_t i = 0; i < sizeof(story) / sizeof(*story); i++)
        events_add(&list,
                   (struct event){.type = story[i].type,
                                  .value = story[i].value,
                                  .code = SOURCE_CACHE,
                                  .outcome_level = event_result(story[i].outcome, LEVEL_NONE)});
    events_restamp(&list);
    world_init(&w, 1);
    world_promise(&w, checker_named("always"), NULL);
    check_list(&w, &list, 0, &result);
    assert_int_equal(count_kind(&result, "phantom"), 1);
    check_release(&result);
    events_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_planted_bug_is_found),
        cmocka_unit_test(the_oracle_agrees),
        cmocka_unit_test(a_refused_write_gives_its_version_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
