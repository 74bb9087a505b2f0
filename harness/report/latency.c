/*
 * Latency of sends: an answer is ok or fail. What nobody answered (unknown, believed) has none, and
 * an attempt made again is a send of its own that begins when it is made. Markers are not counted.
 * Memory: a histogram, and what is open at one time (checkers/open_ops.h; beyond its bound a send
 * is not measured, which the number of answers measured tells).
 */
#include "report/latency.h"

#include "checkers/open_ops.h"

struct latency_stream {
    struct stream head;
    struct open_ops open;
};

void latency_open(struct latency *l)
{
    *l = (struct latency){.open = {.size = sizeof(struct latency_stream)}};
}

void latency_invoked(struct latency *l, const struct event *e)
{
    struct latency_stream *stream = streams_of(&l->open, e);
    struct open_op *op = e->flags & EV_MARKER ? NULL : open_begin(&stream->open, e->seq);

    if (op)
        op->at_ns = e->at_ns - e->value;
}

void latency_completed(struct latency *l, const struct event *e)
{
    struct latency_stream *stream = streams_of(&l->open, e);
    const struct open_op *op = open_end(&stream->open, e->seq);
    enum outcome outcome = event_outcome(e);

    if (op && (outcome == OUTCOME_OK || outcome == OUTCOME_FAIL))
        histogram_add(&l->took_ns, e->at_ns - op->at_ns);
}

void latency_release(struct latency *l)
{
    for (uint32_t i = 0; i < l->open.n; i++)
        open_release(&((struct latency_stream *)streams_at(&l->open, i))->open);
    streams_release(&l->open);
}
