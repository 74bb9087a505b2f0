/*
 * Decorators of a broker handle: the same ops, one layer more. The engine stacks them once at open:
 *
 *     struct broker b = {ops, self};                       // the driver, opened
 *     if (liar_asked(&lies))  b = liar_wrap(b, &lies, …);  // tests only
 *     b = recorder_wrap(b, &options);                      // on top: records what those below answer
 *     b.ops->send(b.self, …);
 *     b.ops->close(b.self, CLOSE_FLUSH);                   // closes and frees every layer
 *
 * The recorder keeps the write-ahead rule: SEND_INVOKE and SETTLE_INVOKE are committed before the
 * call goes down, completions and deliveries before they go up.
 */
#ifndef ASSAY_CLIENT_RECORD_H
#define ASSAY_CLIENT_RECORD_H

#include "api/broker.h"
#include "history/history.h"

#include <stdint.h>

struct broker {
    const struct broker_ops *ops;
    void *self;
};

/* Reading the clock costs as much as recording an event, so a worker reads it once for a few calls.
 * Only invokes use the shared reading: earlier than the truth widens an interval, never narrows it.
 */
struct worker_clock {
    int64_t now_ns;
    unsigned uses; /* since the reading */
};
#define CLOCK_USES_MAX 16
int64_t worker_clock_read(struct worker_clock *clock); /* fresh */
int64_t worker_clock_recent(struct worker_clock *clock);

/* With tens of thousands of sends on their way a slot has left the caches by the time it is needed
 * again: so many slots before, it is asked for. */
#define SLOTS_AHEAD 8

struct recorder_options {
    struct history_writer *log; /* borrowed until close, as is clock */
    struct worker_clock *clock;
    uint64_t run;
    uint32_t slots;  /* slot numbers are below */
    uint32_t source; /* destination (group) of deliveries, settles and ownership: their ref */
};
struct broker recorder_wrap(struct broker inner, const struct recorder_options *options);

#endif
