/*
 * Order-statistic interval of a median: of n independent values the k-th smallest and the k-th
 * largest enclose it unless fewer than k fall on one side, which is a fair coin's binomial
 * (David, Nagaraja: Order Statistics, 7.1). Nothing is assumed about their distribution.
 */
#include "bench/stats.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* P(fewer than k of n fair coins show heads). */
static double tail(size_t n, size_t k)
{
    double term = pow(0.5, (double)n);
    double sum = 0;

    for (size_t i = 0; i < k; i++) {
        sum += term;
        term = term * (double)(n - i) / (double)(i + 1);
    }
    return sum;
}

struct bench_median bench_median(double *values, size_t n)
{
    struct bench_median m;
    size_t k = 1;

    assert(n > 0 && n <= BENCH_PAIRS_MAX);
    qsort(values, n, sizeof(*values), compare);
    m.median = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
    while (k < (n + 1) / 2 && 2 * tail(n, k + 1) <= 0.05)
        k++;
    m.confidence = 1 - 2 * tail(n, k);
    if (m.confidence < 0.95)
        m.confidence = 0;
    m.low = values[k - 1];
    m.high = values[n - k];
    return m;
}

int bench_side(size_t leg)
{
    return leg % 4 == 1 || leg % 4 == 2;
}

int bench_by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}
