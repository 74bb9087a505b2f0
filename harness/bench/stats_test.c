/* Medians, their intervals against the published table for n = 11 and 20, the order of legs. */
#include "bench/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void count_up(double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = (double)(n - i);
}

/* n = 11: 2nd and 10th, 98.8 %; n = 20: 6th and 15th, 95.9 % (David, Nagaraja). */
static void intervals_are_the_tables(void **state)
{
    double values[20];
    struct bench_median m;

    (void)state;
    count_up(values, 11);
    m = bench_median(values, 11);
    assert_true(m.median == 6 && m.low == 2 && m.high == 10);
    assert_true(m.confidence > 0.988 && m.confidence < 0.9885);
    count_up(values, 20);
    m = bench_median(values, 20);
    assert_true(m.median == 10.5 && m.low == 6 && m.high == 15);
    assert_true(m.confidence > 0.958 && m.confidence < 0.96);
}

static void few_values_promise_nothing(void **state)
{
    double values[5];
    struct bench_median m;

    (void)state;
    count_up(values, 5);
    m = bench_median(values, 5);
    assert_true(m.confidence == 0 && m.low == 1 && m.high == 5 && m.median == 3);
    m = bench_median(values, 1);
    assert_true(m.low == 1 && m.high == 1);
}

static void legs_go_abba(void **state)
{
    static const int sides[] = {0, 1, 1, 0, 0, 1, 1, 0};

    (void)state;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(bench_side(i), sides[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_are_the_tables),
        cmocka_unit_test(few_values_promise_nothing),
        cmocka_unit_test(legs_go_abba),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
