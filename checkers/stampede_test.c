/*
 * Stampedes: planted bugs are found, clean histories stay clean, a brute-force oracle agrees.
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
    int64_t loads;
} one = {1}, two = {2};

/* ---- planted: somebody else asks for the key while it is being loaded */

static bool load_begins(const struct events *clean, size_t i)
{
    return clean->items[i].type == EV_LOAD_INVOKE;
}

static void ask_too(const struct events *clean, size_t i, struct events *out)
{
    struct event e = clean->items[i];

    events_add(out, e);
    e.by = e.client = KEYED_CLIENTS;
    e.seq = i;
    e.at_ns += 200;
    events_add(out, e);
    e.type = EV_LOAD_COMPLETE;
    e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
    e.at_ns += 200;
    events_add(out, e);
}

static void every_planted_bug_is_found(void **state)
{
    static const struct seed seed = {"stampede", NULL, "stampede", &one, load_begins, ask_too};
    struct keyed_options options = {.seed = 4, .steps = 200000, .one_load = true, .trouble = 2};
    struct events clean = {0};

    (void)state;
    keyed_simulate(&options, &clean);
    garden(&seed, &clean, 1);
    events_release(&clean);
}

/* ---- the oracle */

static int64_t end_of(const struct events *list, size_t i)
{
    const struct event *a = &list->items[i];

    for (size_t k = i + 1; k < list->n; k++) {
        const struct event *e = &list->items[k];

        if (e->type == EV_LOAD_COMPLETE && e->client == a->client && e->worker == a->worker &&
            e->seq == a->seq)
            return e->at_ns;
        if (e->type == EV_CLIENT_DEATH && e->ref == a->client)
            return e->at_ns;
    }
    return INT64_MAX;
}

static uint64_t too_many(const struct events *list, int64_t most, int64_t error_ns)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->n; i++) {
        int64_t others = 0;

        for (size_t k = 0; k < i; k++)
            others += load_begins(list, i) && load_begins(list, k) &&
                      list->items[k].key == list->items[i].key &&
                      end_of(list, k) > list->items[i].at_ns &&
                      end_of(list, k) - error_ns > list->items[i].at_ns;
        count += load_begins(list, i) && others >= most;
    }
    return count;
}

static void the_oracle_agrees(void **state)
{
    static const struct keyed_shape shape = {
        4, 2, 5, {KEYED_LOADS, KEYED_LOADS, KEYED_LOADS, KEYED_LOADS, KEYED_READS}};
    struct tally tallies[2] = {{.kind = "stampede"}, {.kind = "stampede"}};
    struct events list = {0};

    (void)state;
    for (uint64_t i = 0; i < histories_wanted(); i++) {
        int64_t error_ns = (int64_t)(i % 4) * 1000;

        keyed_make_up(i, &shape, &list);
        for (size_t k = 0; k < 2; k++) {
            struct world w;

            tallies[k].counted = too_many(&list, k ? two.loads : one.loads, error_ns);
            world_init(&w, 1);
            world_promise(&w, checker_named("stampede"), k ? &two : &one);
            agree(&w, &list, error_ns, i, &tallies[k], 1);
        }
    }
    enough(tallies, 2);
    events_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_planted_bug_is_found),
        cmocka_unit_test(the_oracle_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
