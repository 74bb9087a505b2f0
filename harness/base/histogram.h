/*
 * How many values were how large, in memory that does not grow: 32 steps to each doubling, so that
 * a quantile is at most 1/32 above the value that stood there (HdrHistogram's layout).
 *
 *     struct histogram h = {0};
 *     histogram_add(&h, took_ns);
 *     p99_ns = histogram_quantile(&h, 0.99);
 */
#ifndef ASSAY_BASE_HISTOGRAM_H
#define ASSAY_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 5
/* Values below twice the steps have a place each; every further doubling up to 2^63 has 32. */
#define HISTOGRAM_PLACES ((63 - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS)

struct histogram {
    uint64_t n;
    int64_t max; /* exact */
    uint64_t places[HISTOGRAM_PLACES];
};

/* A negative value counts as 0. */
void histogram_add(struct histogram *h, int64_t value);
/* The smallest value that a share `q` in (0, 1] of them does not exceed, by at most 1/32 too large
 * and never above max; 0 when there are none. */
int64_t histogram_quantile(const struct histogram *h, double q);

#endif
