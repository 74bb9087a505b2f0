/*
 * When an attempt was submitted, as a number that rises within its session: the sequence number for
 * first attempts; a re-send ranks behind the last message submitted before it.
 */
#ifndef ASSAY_CHECKERS_RANKS_H
#define ASSAY_CHECKERS_RANKS_H

#include "checkers/cells.h"
#include "checkers/streams.h"

#define RANK_RESENDS 12 /* bits for the re-sends between two messages */
#define RANK_UNKNOWN UINT64_MAX
#define RESENDS_MAX (1u << 22) /* remembered */

struct ranked_stream {
    struct stream head;
    uint64_t last;      /* message submitted last */
    uint64_t end;       /* all below were submitted; what nobody submitted has no rank */
    uint64_t resends;   /* since then */
    uint64_t unit, max; /* `order`: greatest rank met, plus one, in the unit looked at last */
    struct table_spot met, settled; /* `order`: the same of queues, and of what was settled */
    struct cells *seen; /* per destination, one more for the journal: first attempts met, bits of
                           the checker's own */
};

struct ranks {
    struct streams streams;
    struct table resends; /* (message, attempt) → rank; (message, dest + 1 and attempt) → met */
    size_t n_dests;
    bool full;
};

void ranks_open(struct ranks *r, size_t n_dests);
struct ranked_stream *ranks_new_stream(struct ranks *r, struct ranked_stream *stream);
static inline struct ranked_stream *ranks_stream(struct ranks *r, const struct event *e)
{
    struct ranked_stream *stream = streams_of(&r->streams, e);

    return stream->seen ? stream : ranks_new_stream(r, stream);
}
void ranks_invoke(struct ranks *r, const struct event *e);
/* Its rank if it is met for the first time at this destination, RANK_UNKNOWN if not (or never
 * submitted). */
uint64_t ranks_meet(struct ranks *r, struct ranked_stream *stream, const struct event *e,
                    uint32_t dest);
/* Its rank, met or not; RANK_UNKNOWN when it was never submitted. */
uint64_t ranks_of(const struct ranks *r, const struct ranked_stream *stream, const struct event *e);
static inline uint64_t rank_of_message(uint64_t seq)
{
    return seq << RANK_RESENDS;
}
void ranks_release(struct ranks *r);

#endif
