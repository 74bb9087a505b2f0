/*
 * How long answered sends took, from the history alone. A send counts from its intended start where
 * it had one (a rate): what a full slot table or a slow client delayed is latency as well, or the
 * worst ones would be missing (coordinated omission; send_invoke's value is that lateness).
 *
 *     struct latency l;
 *     latency_open(&l);
 *     latency_invoked(&l, event); … latency_completed(&l, event);
 *     p99_ns = histogram_quantile(&l.took_ns, 0.99);
 *     latency_release(&l);
 */
#ifndef ASSAY_REPORT_LATENCY_H
#define ASSAY_REPORT_LATENCY_H

#include "base/histogram.h"
#include "checkers/streams.h"

struct latency {
    struct histogram took_ns;
    struct streams open; /* sends without a completion */
};

void latency_open(struct latency *l);
/* EV_SEND_INVOKE, EV_SEND_COMPLETE; each writer's in its own order. */
void latency_invoked(struct latency *l, const struct event *e);
void latency_completed(struct latency *l, const struct event *e);
void latency_release(struct latency *l);

#endif
