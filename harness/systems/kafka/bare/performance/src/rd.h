/*
 * What librdkafka's example rdkafka_performance.c wants of librdkafka's private headers, so that it
 * can be built from the copy in Debian's librdkafka-dev: the load tool `assay bench kafka` compares
 * with. Nothing of ours includes this.
 */
#ifndef ASSAY_PERFORMANCE_RD_H
#define ASSAY_PERFORMANCE_RD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define RD_MAX(a, b) ((a) > (b) ? (a) : (b))
#define RD_MIN(a, b) ((a) < (b) ? (a) : (b))
#define rd_snprintf snprintf

typedef int64_t rd_ts_t; /* microseconds */

static inline rd_ts_t rd_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (rd_ts_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#endif
