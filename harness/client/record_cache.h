/*
 * The recorder of a cache handle: sets and invalidations are FILL events, acquisitions LOCK events;
 * what is read from a cache the workload says itself (worker_read_complete), it knows what the
 * application was served. Stacked like the others (record.h).
 */
#ifndef ASSAY_CLIENT_RECORD_CACHE_H
#define ASSAY_CLIENT_RECORD_CACHE_H

#include "api/worker.h"
#include "client/record.h"
#include "history/history.h"

struct cache_recorder_options {
    struct history_writer *log; /* borrowed until close, as is clock */
    struct worker_clock *clock;
    struct msg_id me;        /* whose operations: its seq is not used */
    uint64_t *fills, *locks; /* operations so far of this worker: their seq */
};
struct cache cache_recorder_wrap(struct cache inner, const struct cache_recorder_options *options);

#endif
