/*
 * Caches that bring back what they had replaced: planted bugs are found, clean histories stay
 * clean, a brute-force oracle agrees.
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

/* ---- planted: read once more, and served less than this cache was known to hold */

static bool is_ok(const struct event *e)
{
    return event_outcome(e) == OUTCOME_OK;
}

static bool served_by_cache(const struct events *clean, size_t i)
{
    const struct event *e = &clean->items[i];

    return e->type == EV_READ_COMPLETE && e->code != SOURCE_STORE && e->value > 0;
}

static bool set(const struct events *clean, size_t i)
{
    const struct event *e = &clean->items[i];

    return e->type == EV_FILL_COMPLETE && is_ok(e) && e->value > 0;
}

static bool invalidated(const struct events *clean, size_t i)
{
    const struct event *e = &clean->items[i];

    if (e->type != EV_FILL_COMPLETE || !is_ok(e) || e->value > -2)
        return false;
    for (size_t k = i; k-- > 0 && k + 5000 > i;) /* the write it was for was seen committed */
        if (clean->items[k].key == e->key && is_ok(&clean->items[k]) &&
            (clean->items[k].type == EV_WRITE_COMPLETE ||
             clean->items[k].type == EV_LOAD_COMPLETE) &&
            clean->items[k].value >= -1 - e->value)
            return true;
    return false;
}

static void bring_back(const struct events *clean, size_t i, struct events *out)
{
    struct event e = clean->items[i];

    events_add(out, e);
    if (e.type == EV_FILL_COMPLETE)
        e.code = SOURCE_CACHE;
    e.value = (e.value < 0 ? -1 - e.value : e.value) - 1;
    e.seq = (UINT64_C(1) << 40) + i;
    e.type = EV_READ_COMPLETE;
    e.at_ns += 400;
    e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
    events_add(out, (struct event){.type = EV_READ_INVOKE,
                                   .at_ns = e.at_ns - 200,
                                   .by = e.by,
                                   .client = e.client,
                                   .incarnation = e.incarnation,
                                   .worker = e.worker,
                                   .seq = e.seq,
                                   .key = e.key});
    events_add(out, e);
}

static void every_planted_bug_is_found(void **state)
{
    static const struct seed seeds[] = {
        {"resurrected", NULL, "cache", NULL, served_by_cache, bring_back},
        {"resurrected", NULL, "cache", NULL, set, bring_back},
        {"resurrected", NULL, "cache", NULL, invalidated, bring_back},
    };
    struct keyed_options options = {.seed = 3, .steps = 200000, .trouble = 1};
    struct events clean = {0};

    (void)state;
    keyed_simulate(&options, &clean);
    for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
        garden(&seeds[i], &clean, i);
    events_release(&clean);
}

/* ---- the oracle */

static bool same_cache(const struct event *a, const struct event *b)
{
    if (a->code == SOURCE_LOCAL || b->code == SOURCE_LOCAL)
        return a->code == b->code && a->client == b->client && a->incarnation == b->incarnation;
    return true;
}

/* What this event says its cache holds at least; 0: nothing. */
static int64_t held(const struct events *list, size_t i)
{
    const struct event *e = &list->items[i];
    int64_t committed = 0;

    if (!is_ok(e))
        return 0;
    if (e->type == EV_READ_COMPLETE)
        return e->code == SOURCE_CACHE || e->code == SOURCE_LOCAL ? e->value : 0;
    if (e->type != EV_FILL_COMPLETE || e->value >= 0)
        return e->type == EV_FILL_COMPLETE ? e->value : 0;
    for (size_t k = 0; k < i; k++) {
        const struct event *c = &list->items[k];

        if (c->key == e->key && is_ok(c) && c->value > committed &&
            (c->type == EV_WRITE_COMPLETE ||
             ((c->type == EV_LOAD_COMPLETE || c->type == EV_READ_COMPLETE) &&
              c->code == SOURCE_STORE)))
            committed = c->value;
    }
    return -1 - e->value < committed ? -1 - e->value : committed;
}

static uint64_t resurrected(const struct events *list, int64_t error_ns)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct event *r = &list->items[i];
        int64_t asked = 0;

        if (r->type != EV_READ_COMPLETE || !is_ok(r) ||
            (r->code != SOURCE_CACHE && r->code != SOURCE_LOCAL))
            continue;
        for (size_t k = 0; k < i; k++)
            if (list->items[k].type == EV_READ_INVOKE && list->items[k].client == r->client &&
                list->items[k].worker == r->worker && list->items[k].seq == r->seq)
                asked = list->items[k].at_ns;
        for (size_t k = 0; k < i; k++)
            if (list->items[k].key == r->key && list->items[k].at_ns + error_ns < asked &&
                same_cache(&list->items[k], r) && held(list, k) > r->value) {
                count++;
                break;
            }
    }
    return count;
}

static void the_oracle_agrees(void **state)
{
    static const struct keyed_shape shape = {
        4, 1, 5, {KEYED_WRITES, KEYED_READS, KEYED_READS, KEYED_FILLS, KEYED_LOADS}};
    struct tally tally = {.kind = "resurrected"};
    struct events list = {0};

    (void)state;
    for (uint64_t i = 0; i < histories_wanted(); i++) {
        int64_t error_ns = (int64_t)(i % 4) * 1000;
        struct world w;

        keyed_make_up(i, &shape, &list);
        tally.counted = resurrected(&list, error_ns);
        world_init(&w, 1);
        world_promise(&w, checker_named("cache"), NULL);
        agree(&w, &list, error_ns, i, &tally, 1);
    }
    enough(&tally, 1);
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
