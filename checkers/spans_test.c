/* Sessions one after the other, beside each other, and one that never ended. */
#include "checkers/spans.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { OLD, NEW, BESIDE, OPEN };
#define CLOCK_ERROR_NS 5

static void send(struct spans *s, uint32_t session, int64_t from_ns, int64_t to_ns)
{
    spans_invoke(s, session, from_ns);
    spans_complete(s, session, to_ns);
}

static void test_one_after_the_other(void **state)
{
    struct spans s = {0};

    (void)state;
    send(&s, OLD, 100, 200);
    send(&s, NEW, 300, 400);
    assert_false(spans_meet(&s, OLD, 1, CLOCK_ERROR_NS));
    assert_false(spans_meet(&s, NEW, 1, CLOCK_ERROR_NS));
    assert_true(spans_meet(&s, OLD, 1, CLOCK_ERROR_NS));  /* behind the new one */
    assert_false(spans_meet(&s, OLD, 2, CLOCK_ERROR_NS)); /* another key */
    assert_false(spans_meet(&s, NEW, 1, CLOCK_ERROR_NS));
    spans_release(&s);
}

static void test_what_has_no_order(void **state)
{
    struct spans s = {0};

    (void)state;
    send(&s, OLD, 100, 300);
    send(&s, BESIDE, 200, 400);
    spans_invoke(&s, OPEN, 50);
    send(&s, NEW, 304, 500); /* within the clocks' error of OLD's end */
    assert_false(spans_meet(&s, NEW, 1, CLOCK_ERROR_NS));
    assert_false(spans_meet(&s, BESIDE, 1, CLOCK_ERROR_NS));
    assert_false(spans_meet(&s, OPEN, 1, CLOCK_ERROR_NS));
    assert_false(spans_meet(&s, OLD, 1, CLOCK_ERROR_NS));
    assert_true(spans_meet(&s, OLD, 1, 0));
    spans_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_what_has_no_order),
    };

    return cmocka_run_group_tests_name("spans", tests, NULL, NULL);
}
