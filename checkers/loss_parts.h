/*
 * Inside of loss: its state, and the second look at what nothing has cleared (loss_judge.c).
 */
#ifndef ASSAY_CHECKERS_LOSS_PARTS_H
#define ASSAY_CHECKERS_LOSS_PARTS_H

#include "api/checker.h"
#include "checkers/cells.h"
#include "checkers/duties.h"
#include "checkers/fate.h"
#include "checkers/hazards.h"
#include "checkers/inflight.h"
#include "checkers/open_ops.h"
#include "checkers/streams.h"

enum duty_state { NOTHING, BELIEVED, ACKED, CLEARED }; /* it only ever rises */
enum judged_state { NOT_JUDGED, LOST, UNDECIDED, EXPIRED };

struct loss_args {
    int64_t messages, time_ns;
};

struct loss_duty {
    struct cells state;  /* enum duty_state */
    struct cells judged; /* enum judged_state, second pass */
};

struct loss_stream {
    struct stream head;
    uint64_t invoked;     /* sequence numbers below were attempted */
    struct open_ops keys; /* second pass, where a compaction is declared: notes: a message's key */
    const uint32_t *dests;
    size_t n_duties;
    struct loss_duty *duties;
};

/* Lost messages by the window that holds their acknowledgement, or the next one after it. */
struct window_loss {
    uint32_t window;
    uint64_t count;
    int64_t first_ns, last_ns;
    struct finding_sample sample;
};

struct loss {
    const struct plan_case *plan;
    struct loss_args args;
    struct streams streams;
    struct inflight inflight;
    struct hazards hazards;
    struct unit_duties units;
    const struct drain_proof *proofs;
    uint32_t **dests_of; /* per client number: its duties with groups resolved */
    size_t *n_dests_of;
    bool *hands_over; /* per client number */
    bool *handed;     /* per destination: such a client read from it */
    bool *used;       /* per destination: somebody's duty */
    struct fate fate;
    int64_t expired; /* as declared */
    bool second;
    uint64_t undecided, open;
    uint32_t open_unit;
    struct window_loss *windows;
    size_t n_windows;
    struct findings found; /* samples wait here for finish */
};

/* Out of line: the stream is new. */
struct loss_stream *loss_new_stream(const struct loss *s, struct loss_stream *stream);

static inline struct loss_stream *loss_stream_of(struct loss *s, const struct event *e)
{
    struct loss_stream *stream = streams_of(&s->streams, e);

    return stream->duties ? stream : loss_new_stream(s, stream);
}

/* ---- second pass: when, where and by whom was it acknowledged */
void loss_judge(struct loss *s, const struct event *e);     /* SEND_COMPLETE */
void loss_attempted(struct loss *s, const struct event *e); /* SEND_INVOKE */
/* The end: what is beyond a recovery point, and where nothing could be proven. */
void loss_conclude(struct loss *s, struct findings *out);

#endif
