/* Which sends have a latency, and from when on it counts. */
#include "report/latency.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void invoke(struct latency *l, uint64_t seq, int64_t at_ns, int64_t late_ns, uint8_t flags)
{
    const struct event e = {
        .type = EV_SEND_INVOKE, .at_ns = at_ns, .seq = seq, .value = late_ns, .flags = flags};

    latency_invoked(l, &e);
}

static void complete(struct latency *l, uint64_t seq, int64_t at_ns, enum outcome outcome)
{
    const struct event e = {.type = EV_SEND_COMPLETE,
                            .at_ns = at_ns,
                            .seq = seq,
                            .outcome_level = event_result(outcome, LEVEL_NONE)};

    latency_completed(l, &e);
}

/* Counter-example: a client that stood still for a second and then had its answer in a millisecond
 * did not wait for a millisecond. */
static void it_counts_from_the_intended_start(void **state)
{
    struct latency l;

    (void)state;
    latency_open(&l);
    invoke(&l, 0, 5 * SECOND_NS, SECOND_NS, 0);
    complete(&l, 0, 5 * SECOND_NS + MS_NS, OUTCOME_OK);
    assert_int_equal(l.took_ns.n, 1);
    assert_int_equal(l.took_ns.max, SECOND_NS + MS_NS);
    latency_release(&l);
}

static void only_answers_have_one(void **state)
{
    struct latency l;

    (void)state;
    latency_open(&l);
    for (uint64_t seq = 0; seq < 6; seq++)
        invoke(&l, seq, SECOND_NS, 0, seq == 5 ? EV_MARKER : 0);
    complete(&l, 0, SECOND_NS + 10, OUTCOME_OK);
    complete(&l, 1, SECOND_NS + 20, OUTCOME_FAIL);
    complete(&l, 2, SECOND_NS + 30, OUTCOME_UNKNOWN);
    complete(&l, 3, SECOND_NS + 40, OUTCOME_BELIEVED);
    complete(&l, 5, SECOND_NS + 50, OUTCOME_OK); /* a marker; 4 was never answered */
    assert_int_equal(l.took_ns.n, 2);
    assert_int_equal(l.took_ns.max, 20);
    latency_release(&l);
}

static void another_attempt_is_a_send_of_its_own(void **state)
{
    struct latency l;

    (void)state;
    latency_open(&l);
    invoke(&l, 7, 1 * SECOND_NS, 0, 0);
    complete(&l, 7, 2 * SECOND_NS, OUTCOME_UNKNOWN);
    invoke(&l, 7, 3 * SECOND_NS, 0, 0);
    complete(&l, 7, 3 * SECOND_NS + 8, OUTCOME_OK);
    assert_int_equal(l.took_ns.n, 1);
    assert_int_equal(l.took_ns.max, 8);
    latency_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts_from_the_intended_start),
        cmocka_unit_test(only_answers_have_one),
        cmocka_unit_test(another_attempt_is_a_send_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
