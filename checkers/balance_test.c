/*
 * Balances: planted bugs are found, clean books stay clean, a brute-force oracle agrees.
 */
#include "api/registry.h"
#include "api/workload.h"
#include "checkers/testing/garden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INITIAL 1000

struct bank_args {
    int64_t accounts, initial;
};
static const struct param params[] = {
    {"accounts", PARAM_INT, offsetof(struct bank_args, accounts), .help = "how many"},
    {"initial", PARAM_INT, offsetof(struct bank_args, initial), .help = "what each begins with"},
    {0}};
static const struct workload_ops bank = {.name = "bank", .params = params};
static const struct bank_args bank_args = {0, INITIAL};

static struct event entry(uint8_t type, uint32_t key, int64_t value)
{
    return (struct event){.type = type, .by = BY_AUDIT, .key = key, .value = value};
}

static void stores_are_quiet(struct events *list)
{
    events_add(list,
               (struct event){.type = EV_DRAIN,
                              .by = BY_AUDIT,
                              .unit = NO_UNIT,
                              .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D3)});
    for (uint32_t u = 0; u < 2; u++) /* the world's units: one partition and the queue */
        events_add(list,
                   (struct event){.type = EV_DRAIN,
                                  .by = BY_AUDIT,
                                  .unit = u,
                                  .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D2)});
    events_restamp(list);
}

static void bank_world(struct world *w)
{
    world_init(w, 1);
    w->plan.workload = &bank;
    w->plan.workload_args = &bank_args;
    world_promise(w, checker_named("effect"), NULL);
}

/* ---- planted: one account in so many is off by something, or gone */

#define ACCOUNTS 20000u

static uint64_t planted_and_found(uint64_t seed, unsigned per_mille)
{
    struct random r = random_stream(seed, "bank");
    int64_t *balances = calloc(ACCOUNTS, sizeof(*balances));
    struct events list = {0};
    struct check_result result;
    uint64_t planted = 0, found;
    struct world w;

    assert_non_null(balances);
    for (size_t i = 0; i < 120000; i++) {
        uint32_t key = (uint32_t)below(&r, ACCOUNTS);
        int64_t amount = (int64_t)below(&r, 19) - 9;

        balances[key] += amount;
        events_add(&list, entry(EV_AUDIT_ENTRY, key, amount));
    }
    for (uint32_t key = 0; key < ACCOUNTS; key++) {
        bool edge = per_mille > 0 && (key == 0 || key == ACCOUNTS - 1);

        if (edge || chance(&r, per_mille)) {
            planted++;
            events_add(&list, entry(EV_AUDIT_ITEM, key,
                                    INITIAL + balances[key] + (below(&r, 2) ? 1 : -7)));
        } else {
            events_add(&list, entry(EV_AUDIT_ITEM, key, INITIAL + balances[key]));
        }
    }
    stores_are_quiet(&list);
    bank_world(&w);
    check_list(&w, &list, 0, &result);
    found = count_kind(&result, "balance");
    assert_int_equal(planted, found);
    check_release(&result);
    events_release(&list);
    free(balances);
    return found;
}

static void every_planted_bug_is_found(void **state)
{
    (void)state;
    assert_int_equal(planted_and_found(1, 0), 0);
    assert_true(planted_and_found(2, 80) >= PLANTED);
}

/* ---- the oracle */

static uint64_t differing(const struct events *list)
{
    uint64_t count = 0;

    for (uint32_t key = 0; key < 8; key++) {
        int64_t should = INITIAL, holds = 0;
        bool there = false, journaled = false;

        for (size_t i = 0; i < list->n; i++) {
            const struct event *e = &list->items[i];

            if (e->type == EV_AUDIT_ENTRY && e->key == key) {
                should += e->value;
                journaled = true;
            }
            if (e->type == EV_AUDIT_ITEM && e->key == key) {
                holds = e->value;
                there = true;
            }
        }
        count += (there || journaled) && (!there || holds != should);
    }
    return count;
}

static void the_oracle_agrees(void **state)
{
    struct tally tally = {.kind = "balance"};
    struct events list = {0};

    (void)state;
    for (uint64_t i = 0; i < histories_wanted(); i++) {
        struct random r = random_stream(i, "small bank");
        int64_t balances[4] = {INITIAL, INITIAL, INITIAL, INITIAL};
        struct world w;

        list.n = 0;
        for (uint64_t n = below(&r, 12); n > 0; n--) {
            uint32_t key = (uint32_t)below(&r, 4);
            int64_t amount = (int64_t)below(&r, 5) - 2;

            balances[key] += chance(&r, 950) ? amount : 0;
            events_add(&list, entry(EV_AUDIT_ENTRY, key, amount));
        }
        for (uint32_t key = 0; key < 4; key++)
            if (chance(&r, 950))
                events_add(&list, entry(EV_AUDIT_ITEM, key, balances[key]));
        stores_are_quiet(&list);
        tally.counted = differing(&list);
        bank_world(&w);
        agree(&w, &list, 0, i, &tally, 1);
    }
    enough(&tally, 1);
    events_release(&list);
}

/* Without proof that the store was quiet nothing is said of accounts. */
static void not_without_quiet(void **state)
{
    struct events list = {0};
    struct check_result result;
    struct world w;

    (void)state;
    events_add(&list, entry(EV_AUDIT_ITEM, 1, INITIAL - 1));
    events_restamp(&list);
    bank_world(&w);
    check_list(&w, &list, 0, &result);
    assert_int_equal(count_kind(&result, "balance"), 0);
    assert_true(result.items[0].findings.inconclusive);
    check_release(&result);
    events_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_planted_bug_is_found),
        cmocka_unit_test(the_oracle_agrees),
        cmocka_unit_test(not_without_quiet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
