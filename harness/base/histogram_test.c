/* Quantiles of a histogram beside those of the sorted values. */
#include "base/histogram.h"

#include "base/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void nothing_is_zero(void **state)
{
    struct histogram h = {0};

    (void)state;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
}

static void small_values_are_exact(void **state)
{
    struct histogram h = {0};

    (void)state;
    for (int64_t v = 1; v <= 50; v++)
        histogram_add(&h, v);
    histogram_add(&h, -3); /* a clock that seemed to go back: none at all */
    assert_int_equal(h.n, 51);
    assert_int_equal(histogram_quantile(&h, 1.0 / 51), 0);
    assert_int_equal(histogram_quantile(&h, 26.0 / 51), 25);
    assert_int_equal(histogram_quantile(&h, 1), 50);
}

/* Sizes from 1 to 2^63 - 1, as many of each doubling. */
static void a_quantile_is_near_and_never_below(void **state)
{
    enum { N = 5000 };
    static const double shares[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    struct draw draw = draw_stream(3, "sizes");
    struct histogram h = {0};
    int64_t values[N];

    (void)state;
    for (unsigned i = 0; i < N; i++) {
        values[i] = (int64_t)(draw_u64(&draw, i) >> (1 + i % 63));
        histogram_add(&h, values[i]);
    }
    qsort(values, N, sizeof(*values), by_size);
    for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
        size_t rank = (size_t)(shares[i] * N + 0.5);
        int64_t right = values[rank - 1], told = histogram_quantile(&h, shares[i]);

        assert_true(told >= right);
        assert_true(told - right <= right / 32);
    }
}

static void the_largest_is_exact(void **state)
{
    struct histogram h = {0};

    (void)state;
    histogram_add(&h, 1000001);
    assert_int_equal(histogram_quantile(&h, 0.5), 1000001);
    histogram_add(&h, INT64_MAX);
    assert_int_equal(histogram_quantile(&h, 0.99), INT64_MAX);
    assert_int_equal(h.max, INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_zero),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(a_quantile_is_near_and_never_below),
        cmocka_unit_test(the_largest_is_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
