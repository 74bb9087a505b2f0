/* recover and rpo: what a fault may cost, on histories of a few events. */
#include "api/registry.h"
#include "base/clock.h"
#include "checkers/testing/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define S SECOND_NS

struct recover_choice {
    int64_t within_ns;
    int per;
};
struct loss_choice {
    int64_t messages, time_ns;
};

struct small {
    struct world world;
    struct events events;
    uint64_t seq;
};

static void fault_of(struct small *s, uint32_t window, int64_t at_ns, enum fault_stamp stamp)
{
    events_add(&s->events, (struct event){.type = EV_FAULT,
                                          .at_ns = at_ns,
                                          .by = BY_COORDINATOR,
                                          .epoch = window,
                                          .code = (int16_t)stamp,
                                          .node = NO_NODE,
                                          .outcome_level = event_result(OUTCOME_OK, LEVEL_NONE)});
}

static void fault(struct small *s, int64_t at_ns, enum fault_stamp stamp)
{
    fault_of(s, 1, at_ns, stamp);
}

/* One send; what is not kept is acknowledged and lost. */
static void send_taking(struct small *s, int64_t takes_ns, int64_t at_ns, enum outcome outcome,
                        bool kept)
{
    struct event e = {
        .type = EV_SEND_INVOKE, .at_ns = at_ns, .client = APP, .seq = s->seq++, .unit = NO_UNIT};

    events_add(&s->events, e);
    e.type = EV_SEND_COMPLETE;
    e.at_ns += takes_ns;
    e.unit = 0;
    e.position = -1;
    e.outcome_level = event_result(outcome, outcome == OUTCOME_OK ? LEVEL_LEADER : LEVEL_NONE);
    events_add(&s->events, e);
    if (outcome == OUTCOME_OK && kept) {
        e.type = EV_AUDIT_LOG;
        e.at_ns = 1000 * S + (int64_t)s->seq;
        e.by = BY_AUDIT;
        e.position = (int64_t)s->seq;
        e.outcome_level = 0;
        events_add(&s->events, e); /* sorted below */
    }
}

static void send(struct small *s, int64_t at_ns, enum outcome outcome, bool kept)
{
    send_taking(s, 10 * MS_NS, at_ns, outcome, kept);
}

static int by_time(const void *a, const void *b)
{
    const struct event *x = a, *y = b;

    return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

static struct check_result check(struct small *s)
{
    struct check_result result;
    struct event_source source;
    struct err err = {0};

    for (uint32_t u = 0; u < s->world.plan.n_units; u++)
        events_add(&s->events,
                   (struct event){.type = EV_DRAIN,
                                  .at_ns = 2000 * S,
                                  .by = BY_COORDINATOR,
                                  .unit = u,
                                  .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D1)});
    qsort(s->events.items, s->events.n, sizeof(*s->events.items), by_time);
    source = events_source(&s->events);
    if (check_source(&source, &s->world.plan, NULL, &result, &err) < 0)
        fail_msg("%s", err.text);
    events_release(&s->events);
    return result;
}

static void open_recover(struct small *s)
{
    static const struct recover_choice within = {15 * S, 0};

    *s = (struct small){0};
    world_init(&s->world, 1);
    world_promise(&s->world, checker_named("recover"), &within);
    send(s, 1 * S, OUTCOME_OK, true);
    fault(s, 10 * S, STAMP_EFFECTIVE);
}

static void expect(struct check_result *result, const char *kind, uint64_t count, bool inconclusive)
{
    assert_int_equal(count_kind(result, kind), count);
    assert_int_equal(result->items[0].findings.inconclusive, inconclusive);
    check_release(result);
}

static void back_in_time(void **state)
{
    struct small s;
    struct check_result r;

    (void)state;
    open_recover(&s);
    for (int64_t at = 11; at < 20; at++)
        send(&s, at * S, OUTCOME_FAIL, false);
    for (int64_t at = 20; at < 40; at++)
        send(&s, at * S, OUTCOME_OK, true);
    r = check(&s);
    assert_true(r.items[0].findings.exercised > 0);
    expect(&r, "unavailable", 0, false);
}

static void back_too_late(void **state)
{
    struct small s;
    struct check_result r;

    (void)state;
    open_recover(&s);
    for (int64_t at = 11; at < 30; at++)
        send(&s, at * S, OUTCOME_UNKNOWN, false);
    for (int64_t at = 30; at < 40; at++)
        send(&s, at * S, OUTCOME_OK, true);
    r = check(&s);
    expect(&r, "unavailable", 1, false);
}

/* A zombie leader's acknowledgement gives recovery 0: what it acknowledged is lost. */
static void a_zombie_is_no_recovery(void **state)
{
    struct small s;
    struct check_result r;

    (void)state;
    open_recover(&s);
    for (int64_t at = 11; at < 30; at++)
        send(&s, at * S, OUTCOME_OK, false);
    for (int64_t at = 30; at < 40; at++)
        send(&s, at * S, OUTCOME_OK, true);
    r = check(&s);
    expect(&r, "unavailable", 1, false);
}

/* A publisher hangs on a stopped server and is answered well when it wakes. */
static void a_long_wait_is_no_recovery(void **state)
{
    struct small s;
    struct check_result r;

    (void)state;
    open_recover(&s);
    for (int64_t at = 11; at < 40; at++)
        send_taking(&s, (60 - at) * S, at * S, OUTCOME_OK, true);
    for (int64_t at = 60; at < 70; at++)
        send(&s, at * S, OUTCOME_OK, true);
    r = check(&s);
    expect(&r, "unavailable", 1, false);
}

/* One success between refusals is none: five seconds without a refusal must follow. */
static void flapping_is_no_recovery(void **state)
{
    struct small s;
    struct check_result r;

    (void)state;
    open_recover(&s);
    for (int64_t at = 11; at < 40; at++)
        send(&s, at * S, at % 3 ? OUTCOME_OK : OUTCOME_FAIL, true);
    r = check(&s);
    expect(&r, "unavailable", 1, false);
}

/* One hangs after the fault and is answered well at last; meanwhile all others were refused. */
static void one_slow_answer_among_refusals_is_no_recovery(void **state)
{
    struct small s;
    struct check_result r;

    (void)state;
    open_recover(&s);
    send_taking(&s, 14 * S, 11 * S, OUTCOME_OK, true);
    for (int64_t at = 12; at < 30; at++)
        send(&s, at * S, OUTCOME_FAIL, false);
    for (int64_t at = 30; at < 40; at++)
        send(&s, at * S, OUTCOME_OK, true);
    r = check(&s);
    expect(&r, "unavailable", 1, false);
}

/* The five seconds count from its answer: while it was waited for, nobody else had one. */
static void a_slow_answer_before_refusals_is_no_recovery(void **state)
{
    struct small s;
    struct check_result r;

    (void)state;
    open_recover(&s);
    send_taking(&s, 6 * S, 11 * S, OUTCOME_OK, true);
    for (int64_t at = 18; at < 40; at++)
        send(&s, at * S, OUTCOME_FAIL, false);
    for (int64_t at = 40; at < 50; at++)
        send(&s, at * S, OUTCOME_OK, true);
    r = check(&s);
    expect(&r, "unavailable", 1, false);
}

/* Answers overtake each other: what is answered second was asked in time. */
static void the_first_is_the_one_asked_first(void **state)
{
    struct small s;
    struct check_result r;

    (void)state;
    open_recover(&s);
    send_taking(&s, 5 * S, 25 * S, OUTCOME_OK, true);
    send(&s, 26 * S, OUTCOME_OK, true);
    r = check(&s);
    expect(&r, "unavailable", 0, false);
}

static void nobody_asked_long_enough(void **state)
{
    struct small s;
    struct check_result r;

    (void)state;
    open_recover(&s);
    for (int64_t at = 11; at < 14; at++)
        send(&s, at * S, OUTCOME_FAIL, false);
    r = check(&s);
    expect(&r, "unavailable", 0, true);
}

/* ---- a driver that had no CPU left */

static void driver(struct small *s, int64_t percent)
{
    events_add(&s->events, (struct event){.type = EV_DRIVER,
                                          .at_ns = 100 * S,
                                          .by = BY_COORDINATOR,
                                          .position = 50 * S,
                                          .code = 2,
                                          .value = percent * S});
}

/* Back 20 s after the fault, promised within 15 s; or 2 s after it. */
static struct check_result back_after(int64_t seconds, int64_t percent)
{
    struct small s;

    open_recover(&s);
    for (int64_t at = 11; at < 10 + seconds; at++)
        send(&s, at * S, OUTCOME_FAIL, false);
    for (int64_t at = 10 + seconds; at < 50; at++)
        send(&s, at * S, OUTCOME_OK, true);
    driver(&s, percent);
    return check(&s);
}

static void a_busy_driver_proves_nothing(void **state)
{
    struct check_result r = back_after(20, 81);

    (void)state;
    assert_string_equal(r.items[0].findings.why,
                        "the driver used 81.0 % of its 2 cores, more than 80 %");
    assert_true(r.items[0].findings.exercised > 0);
    expect(&r, "unavailable", 0, true);
    r = back_after(2, 81);
    expect(&r, "unavailable", 0, true);
}

static void a_driver_with_room_is_judged_by(void **state)
{
    struct check_result r = back_after(20, 79);

    (void)state;
    expect(&r, "unavailable", 1, false);
    r = back_after(2, 79);
    expect(&r, "unavailable", 0, false);
    r = back_after(20, 80);
    expect(&r, "unavailable", 1, false);
}

/* ---- rpo: ten lost messages, one a second, inside the window */

static struct check_result lose_ten(int64_t messages, int64_t time_ns, int64_t from_s)
{
    struct loss_choice choice = {messages, time_ns};
    struct small s = {0};

    world_init(&s.world, 1);
    world_promise(&s.world, checker_named("loss"), &choice);
    fault(&s, 10 * S, STAMP_EFFECTIVE);
    fault(&s, 40 * S, STAMP_HEAL_ASKED);
    for (int64_t i = 0; i < 10; i++)
        send(&s, (from_s + i) * S, OUTCOME_OK, false);
    return check(&s);
}

static void a_bound_may_be_used_up(void **state)
{
    struct check_result r = lose_ten(10, 0, 15);

    (void)state;
    assert_int_equal(count_kind(&r, "lost"), 0);
    expect(&r, "rpo", 0, false);
    r = lose_ten(0, 9 * S, 15);
    expect(&r, "rpo", 0, false);
}

static void a_bound_is_a_bound(void **state)
{
    struct check_result r = lose_ten(9, 0, 15);

    (void)state;
    assert_int_equal(count_kind(&r, "lost"), 0);
    expect(&r, "rpo", 10, false);
    r = lose_ten(100, 8 * S, 15);
    expect(&r, "rpo", 10, false);
    r = lose_ten(0, 0, 15);
    expect(&r, "lost", 10, false);
}

/* What no fault explains is lost whatever the bound; what went just before one belongs to it. */
static void only_faults_have_a_budget(void **state)
{
    struct check_result r = lose_ten(100, 0, 50);

    (void)state;
    expect(&r, "lost", 10, false);
    r = lose_ten(100, 0, 1);
    expect(&r, "lost", 0, false);
}

/* What was lost before two faults belongs to the one that took effect first, not to the one decided
 * first. */
static void the_next_fault_is_the_next_in_time(void **state)
{
    struct loss_choice one = {1, 0};
    struct small s = {0};
    struct check_result r;

    (void)state;
    world_init(&s.world, 1);
    world_promise(&s.world, checker_named("loss"), &one);
    fault_of(&s, 1, 1 * S, STAMP_DECIDED);
    fault_of(&s, 2, 2 * S, STAMP_DECIDED);
    fault_of(&s, 2, 20 * S, STAMP_EFFECTIVE);
    fault_of(&s, 1, 30 * S, STAMP_EFFECTIVE);
    fault_of(&s, 2, 31 * S, STAMP_HEAL_ASKED);
    fault_of(&s, 1, 40 * S, STAMP_HEAL_ASKED);
    send(&s, 10 * S, OUTCOME_OK, false);
    send(&s, 35 * S, OUTCOME_OK, false);
    r = check(&s);
    expect(&r, "rpo", 0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(back_in_time),
        cmocka_unit_test(back_too_late),
        cmocka_unit_test(a_zombie_is_no_recovery),
        cmocka_unit_test(a_long_wait_is_no_recovery),
        cmocka_unit_test(flapping_is_no_recovery),
        cmocka_unit_test(one_slow_answer_among_refusals_is_no_recovery),
        cmocka_unit_test(a_slow_answer_before_refusals_is_no_recovery),
        cmocka_unit_test(the_first_is_the_one_asked_first),
        cmocka_unit_test(nobody_asked_long_enough),
        cmocka_unit_test(a_busy_driver_proves_nothing),
        cmocka_unit_test(a_driver_with_room_is_judged_by),
        cmocka_unit_test(a_bound_may_be_used_up),
        cmocka_unit_test(a_bound_is_a_bound),
        cmocka_unit_test(only_faults_have_a_budget),
        cmocka_unit_test(the_next_fault_is_the_next_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
