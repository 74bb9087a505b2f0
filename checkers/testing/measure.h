/*
 * How fast and in how much memory recorded histories are judged, for benches. One look tells the
 * findings and the bytes; then so many are timed: stored events divided by the CPU time of the
 * whole check, all passes, decoding and merging included.
 *
 *     struct measure m = {.what = "log", .events = n, .runs = 5};
 *     measure_check(&m, folder, plan);
 *     measure_tell(&m);      // text; with ASSAY_BENCH_JSON=FILE one JSON line is added to that
 *                            // file too, which ci/catalogue --report reads
 */
#ifndef ASSAY_CHECKERS_TESTING_MEASURE_H
#define ASSAY_CHECKERS_TESTING_MEASURE_H

#include "plan/plan.h"

#define MEASURE_RUNS_MAX 99u

struct measure {
    const char *what;
    uint64_t messages, events; /* messages 0: not of messages */
    uint32_t units;
    unsigned runs; /* at most MEASURE_RUNS_MAX */
    bool alone;    /* the process does nothing else: its peak is told too */

    double rates[MEASURE_RUNS_MAX]; /* M events/s, sorted */
    size_t bytes;                   /* in use by the check at most, its reader's included */
};

void measure_check(struct measure *m, const char *folder, const struct plan_case *plan);
void measure_tell(const struct measure *m);

#endif
