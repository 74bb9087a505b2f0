/*
 * The statistics of a bench: legs come as A B B A, so that a machine that drifts slows both sides
 * alike; each pair gives one ratio; of the ratios the median and its distribution-free interval.
 */
#ifndef ASSAY_BENCH_STATS_H
#define ASSAY_BENCH_STATS_H

#include <stddef.h>

#define BENCH_PAIRS_MAX 99

struct bench_median {
    double median;
    double low, high;  /* an interval that holds the true median with at least `confidence` */
    double confidence; /* 0: too few values for 95 %, low and high are the extremes */
};

/* Sorts `values`. n in 1 … BENCH_PAIRS_MAX. */
struct bench_median bench_median(double *values, size_t n);
/* For qsort of int64_t. */
int bench_by_size(const void *a, const void *b);
/* Side of leg i in the sequence A B B A A B B A …: 0 or 1. */
int bench_side(size_t leg);

#endif
