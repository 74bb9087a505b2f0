/*
 * What is gone and why: planted losses get their stage, declared expiry is no loss, a brute-force
 * oracle agrees; and the words of every stage.
 */
#include "api/registry.h"
#include "checkers/expiry.h"
#include "checkers/retention.h"
#include "checkers/table.h"
#include "checkers/testing/garden.h"
#include "checkers/testing/simulate.h"
#include "history/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LOG, JOBS }; /* units of the world with one partition */

/* ---- planted: an acknowledged record is not in the log, and somebody says why, or nobody does */

static struct table acked;

static uint64_t session(const struct event *e)
{
    return (uint64_t)e->client << 32 | (uint64_t)e->incarnation << 16 | e->worker;
}

static void learn(const struct events *clean)
{
    for (size_t i = 0; i < clean->n; i++)
        if (clean->items[i].type == EV_SEND_COMPLETE &&
            event_outcome(&clean->items[i]) == OUTCOME_OK)
            *table_put(&acked, session(&clean->items[i]), clean->items[i].seq) = 1;
}

static bool acked_in_log(const struct events *clean, size_t i)
{
    const struct event *e = &clean->items[i];

    return e->type == EV_AUDIT_LOG && e->unit == LOG && table_get(&acked, session(e), e->seq);
}

static void leave_out(const struct events *clean, size_t i, struct events *out)
{
    (void)clean;
    (void)i;
    (void)out;
}

static void expire(const struct events *clean, size_t i, struct events *out)
{
    struct event e = clean->items[i];

    e.type = EV_EXPIRED;
    e.position = -1;
    e.value = 0;
    e.code = EXPIRY_EVICTED;
    events_add(out, e);
}

static void every_planted_loss_has_its_stage(void **state)
{
    static const struct seed seeds[] = {
        {"lost", "acknowledged but not in the log", "loss", NULL, acked_in_log, leave_out},
        {"lost", "expired(evicted)", "loss", NULL, acked_in_log, expire},
    };
    struct simulate_options options = {.seed = 5, .steps = 160000, .trouble = 2, .resends = 500};
    struct events clean = {0};
    struct world w;

    (void)state;
    world_init(&w, 1);
    simulate(&w, &options, &clean);
    learn(&clean);
    for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
        garden(&seeds[i], &clean, i);
    events_release(&clean);
    table_release(&acked);
}

/* ---- the oracle: messages 0 … n-1 at positions 0 … n-1 of one log */

#define MESSAGES 12
#define KEYS 3

struct small {
    unsigned n;
    bool there[MESSAGES];
    uint32_t key[MESSAGES];
    bool declared[EXPIRIES];
    int named[MESSAGES]; /* enum expiry said of this message */
    int64_t start, left[EXPIRIES];
    int start_why;
};

static struct small draw_small(uint64_t seed)
{
    struct random r = random_stream(seed, "expiry");
    struct small s = {.n = 4 + (unsigned)below(&r, MESSAGES - 4)};

    for (unsigned i = 0; i < s.n; i++) {
        s.there[i] = below(&r, 3) > 0;
        s.key[i] = (uint32_t)below(&r, KEYS);
        s.named[i] = !s.there[i] && below(&r, 6) == 0 ? 1 + (int)below(&r, EXPIRIES - 1) : 0;
    }
    for (int why = 1; why < EXPIRIES; why++)
        s.declared[why] = below(&r, 4) == 0;
    if (below(&r, 3) == 0) {
        s.start = 1 + (int64_t)below(&r, 4);
        s.start_why = EXPIRY_RETENTION;
        s.left[EXPIRY_RETENTION] = s.start;
    }
    if (below(&r, 2)) {
        s.left[EXPIRY_COMPACTED] = (int64_t)below(&r, 3);
        s.left[EXPIRY_MAX_LENGTH] = (int64_t)below(&r, 3);
        s.left[EXPIRY_TTL] = (int64_t)below(&r, 3);
    }
    return s;
}

static void record(const struct small *s, struct events *list)
{
    list->n = 0;
    for (unsigned i = 0; i < s->n; i++) {
        struct event e = {.type = EV_SEND_INVOKE,
                          .by = APP,
                          .client = APP,
                          .seq = i,
                          .key = s->key[i],
                          .node = NO_NODE};

        events_add(list, e);
        e.type = EV_SEND_COMPLETE;
        e.position = i;
        e.outcome_level = event_result(OUTCOME_OK, LEVEL_LEADER);
        events_add(list, e);
    }
    for (unsigned i = 0; i < s->n; i++) {
        struct event e = {.type = EV_AUDIT_LOG,
                          .by = BY_AUDIT,
                          .client = APP,
                          .seq = i,
                          .key = s->key[i],
                          .position = i};

        if (s->there[i])
            events_add(list, e);
        e.type = EV_EXPIRED;
        e.code = (int16_t)s->named[i];
        if (s->named[i])
            events_add(list, e);
    }
    for (int why = 1; why < EXPIRIES; why++)
        if (s->left[why] > 0)
            events_add(list, (struct event){.type = EV_EXPIRED,
                                            .by = BY_AUDIT,
                                            .code = (int16_t)why,
                                            .value = s->left[why],
                                            .position = why == s->start_why ? s->start : -1});
    for (uint32_t u = LOG; u <= JOBS; u++)
        events_add(list,
                   (struct event){.type = EV_DRAIN,
                                  .by = BY_AUDIT,
                                  .unit = u,
                                  .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D2)});
    events_restamp(list);
}

static bool somebody_says(const struct small *s)
{
    int64_t all = 0;

    for (int why = 1; why < EXPIRIES; why++)
        all += s->left[why];
    for (unsigned i = 0; i < s->n; i++)
        all += s->named[i];
    return all > 0;
}

static int cause(struct small *s, unsigned i)
{
    if (s->named[i])
        return s->named[i];
    for (unsigned k = i + 1; k < s->n && s->declared[EXPIRY_COMPACTED]; k++)
        if (s->there[k] && s->key[k] == s->key[i])
            return EXPIRY_COMPACTED;
    if (!somebody_says(s))
        return 0;
    if (i < s->start) {
        s->left[s->start_why] -= s->left[s->start_why] > 0;
        return s->start_why;
    }
    for (int why = 1; why < EXPIRIES; why++) {
        if (s->left[why] == 0 || (s->start && why == s->start_why) ||
            (why == EXPIRY_COMPACTED && s->declared[why]))
            continue;
        s->left[why]--;
        return why;
    }
    return 0;
}

static void the_oracle_agrees(void **state)
{
    struct tally tally = {.kind = "lost"};
    struct events list = {0};
    uint64_t excused = 0;

    (void)state;
    for (uint64_t n = 0; n < histories_wanted(); n++) {
        struct small s = draw_small(n);
        struct pair declared[EXPIRIES];
        struct retention_args args = {{declared, 0}};
        struct world w;

        record(&s, &list);
        for (int why = 1; why < EXPIRIES; why++)
            if (s.declared[why])
                declared[args.declared.n++] =
                    (struct pair){.key = "orders", .value = expiry_name(why)};
        tally.counted = 0;
        for (unsigned i = 0; i < s.n; i++) {
            int why = s.there[i] ? 0 : cause(&s, i);

            tally.counted += !s.there[i] && !(why && s.declared[why]);
            excused += why && s.declared[why];
        }
        world_init(&w, 1);
        world_promise(&w, checker_named("loss"), NULL);
        world_promise(&w, checker_named("retention"), &args);
        agree(&w, &list, 0, n, &tally, 1);
    }
    enough(&tally, 1);
    assert_true(excused * 5 >= histories_wanted());
    events_release(&list);
}

/* Every unit was read to its end. */
static void drained(struct events *list)
{
    for (uint32_t u = LOG; u <= JOBS; u++)
        events_add(list,
                   (struct event){.type = EV_DRAIN,
                                  .unit = u,
                                  .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D2)});
}

/* What expired as declared is what retention was put to; a record whose node is dead may be there.
 */
static void stages_by_hand(void **state)
{
    struct pair declared[] = {{.key = "orders", .value = "retention"}};
    struct retention_args args = {{declared, 1}};
    struct events list = {0};
    struct check_result result;
    struct world w;

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct event e = {.type = EV_SEND_INVOKE, .by = APP, .client = APP, .seq = i};

        events_add(&list, e);
        e.type = EV_SEND_COMPLETE;
        e.position = i;
        e.node = i == 5 ? 2 : 0;
        e.outcome_level = event_result(OUTCOME_OK, LEVEL_LEADER);
        events_add(&list, e);
    }
    events_add(&list, (struct event){.type = EV_NODE_STATE, .node = 2, .code = NODE_DEAD});
    events_add(&list, (struct event){
                          .type = EV_EXPIRED, .code = EXPIRY_RETENTION, .value = 3, .position = 3});
    drained(&list);
    events_restamp(&list);
    world_init(&w, 1);
    world_promise(&w, checker_named("loss"), NULL);
    world_promise(&w, checker_named("retention"), &args);
    check_list(&w, &list, 0, &result);
    assert_int_equal(count_kind(&result, "lost"), 3);
    assert_int_equal(count_stage(&result, "lost", "acknowledged but not in the log"), 2);
    assert_int_equal(count_stage(&result, "lost", "on a dead node's disk"), 1);
    assert_int_equal(result.items[1].findings.exercised, 3);
    check_release(&result);
    events_release(&list);
}

/* A list that went whole took what was acknowledged; what was only believed may never have been in
 * it, what came later is there, and the log beside it is another unit. */
static void a_unit_that_went_whole(void **state)
{
    struct events list = {0};
    struct check_result result;
    struct world w;

    (void)state;
    world_init(&w, 1);
    for (unsigned i = 0; i < 6; i++) {
        uint16_t by = i == 5 ? APP : FEEDER;
        struct event e = {.type = EV_SEND_INVOKE,
                          .by = by,
                          .client = by,
                          .seq = i,
                          .unit = i == 5 ? LOG : w.queue_unit};

        events_add(&list, e);
        e.type = EV_SEND_COMPLETE;
        e.outcome_level = event_result(i == 3 ? OUTCOME_BELIEVED : OUTCOME_OK, LEVEL_LEADER);
        events_add(&list, e);
        e.type = EV_AUDIT_LOG;
        e.by = BY_AUDIT;
        if (i == 4)
            events_add(&list, e);
    }
    events_add(&list, (struct event){.type = EV_EXPIRED,
                                     .unit = w.queue_unit,
                                     .code = EXPIRY_EVICTED,
                                     .value = EXPIRED_WHOLE});
    drained(&list);
    events_restamp(&list);
    world_promise(&w, checker_named("loss"), NULL);
    check_list(&w, &list, 0, &result);
    assert_int_equal(count_kind(&result, "lost"), 4);
    assert_int_equal(count_stage(&result, "lost", "expired(evicted)"), 3);
    assert_int_equal(count_stage(&result, "lost", "acknowledged but not in the log"), 1);
    assert_int_equal(count_stage(&result, "lost_intent", "believed sent, not in the log"), 1);
    check_release(&result);
    events_release(&list);
}

/* One message each that was never delivered, not applied, and expired before; one that was. */
static void missing_effects_by_hand(void **state)
{
    struct events list = {0};
    struct check_result result;
    struct world w;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct event e = {.type = EV_SEND_COMPLETE,
                          .by = APP,
                          .client = APP,
                          .seq = i,
                          .position = i,
                          .outcome_level = event_result(OUTCOME_OK, LEVEL_LEADER)};

        events_add(&list, e);
        e.outcome_level = 0;
        e.type = EV_DELIVER;
        e.by = READER_1;
        e.ref = GROUP_1;
        if (i == 1 || i == 3)
            events_add(&list, e);
        e.type = EV_AUDIT_LOG;
        e.by = BY_AUDIT;
        if (i > 0)
            events_add(&list, e);
        e.type = EV_AUDIT_EFFECT;
        if (i == 3)
            events_add(&list, e);
    }
    events_add(&list, (struct event){
                          .type = EV_EXPIRED, .code = EXPIRY_RETENTION, .value = 1, .position = 1});
    drained(&list);
    events_add(&list,
               (struct event){.type = EV_DRAIN,
                              .unit = NO_UNIT,
                              .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D3)});
    events_restamp(&list);
    world_init(&w, 1);
    world_promise(&w, checker_named("effect"), NULL);
    check_list(&w, &list, 0, &result);
    assert_int_equal(count_kind(&result, "missing_effect"), 3);
    assert_int_equal(count_stage(&result, "missing_effect", "expired(retention)"), 1);
    assert_int_equal(count_stage(&result, "missing_effect", "delivered but not applied"), 1);
    assert_int_equal(count_stage(&result, "missing_effect", "in the log but not delivered"), 1);
    check_release(&result);
    events_release(&list);
}

static void expect_stage(struct stage_facts facts, const char *expected)
{
    char text[40];

    stage_of(&facts, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void every_stage_has_its_words(void **state)
{
    (void)state;
    expect_stage((struct stage_facts){0}, "never sent");
    expect_stage((struct stage_facts){.invoked = true, .refused = true}, "refused");
    expect_stage((struct stage_facts){.invoked = true}, "unknown, not in the log");
    expect_stage((struct stage_facts){.invoked = true, .believed = true},
                 "believed sent, not in the log");
    expect_stage((struct stage_facts){.invoked = true, .believed = true, .kept_back = true},
                 "never sent");
    expect_stage((struct stage_facts){.invoked = true, .ok = true},
                 "acknowledged but not in the log");
    expect_stage((struct stage_facts){.invoked = true, .ok = true, .node_down = true},
                 "on a dead node's disk");
    expect_stage((struct stage_facts){.invoked = true, .ok = true, .expired = EXPIRY_TTL},
                 "expired(ttl)");
    expect_stage((struct stage_facts){.invoked = true, .in_log = true},
                 "in the log but not delivered");
    expect_stage((struct stage_facts){.invoked = true, .in_log = true, .delivered = true},
                 "delivered but not applied");
    expect_stage((struct stage_facts){.invoked = true, .delivered = true, .applied = true},
                 "applied");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_planted_loss_has_its_stage),
        cmocka_unit_test(the_oracle_agrees),
        cmocka_unit_test(stages_by_hand),
        cmocka_unit_test(a_unit_that_went_whole),
        cmocka_unit_test(missing_effects_by_hand),
        cmocka_unit_test(every_stage_has_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
