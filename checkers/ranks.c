/* Order of submission. */
#include "checkers/ranks.h"

#include <stdlib.h>

void ranks_open(struct ranks *r, size_t n_dests)
{
    *r = (struct ranks){.streams = {.size = sizeof(struct ranked_stream)},
                        .resends = {.max = RESENDS_MAX},
                        .n_dests = n_dests};
}

struct ranked_stream *ranks_new_stream(struct ranks *r, struct ranked_stream *stream)
{
    stream->seen = calloc(r->n_dests + 1, sizeof(*stream->seen));
    if (!stream->seen)
        abort();
    stream->unit = UINT64_MAX;
    return stream;
}

void ranks_invoke(struct ranks *r, const struct event *e)
{
    struct ranked_stream *stream = ranks_stream(r, e);
    uint64_t *rank;

    if (e->attempt == 0) {
        stream->last = e->seq;
        stream->end = e->seq + 1;
        stream->resends = 0;
        return;
    }
    rank = table_put(&r->resends, message_key(stream->head.number, e->seq), e->attempt);
    r->full |= !rank;
    if (stream->resends + 1 < 1u << RANK_RESENDS)
        stream->resends++;
    if (rank)
        *rank = rank_of_message(stream->last) + stream->resends;
}

uint64_t ranks_of(const struct ranks *r, const struct ranked_stream *stream, const struct event *e)
{
    const uint64_t *rank;

    if (e->attempt == 0)
        return e->seq < stream->end ? rank_of_message(e->seq) : RANK_UNKNOWN;
    rank = table_get(&r->resends, message_key(stream->head.number, e->seq), e->attempt);
    return rank ? *rank : RANK_UNKNOWN;
}

uint64_t ranks_meet(struct ranks *r, struct ranked_stream *stream, const struct event *e,
                    uint32_t dest)
{
    uint64_t key = message_key(stream->head.number, e->seq), rank, *met;

    if (e->attempt == 0) {
        if (e->seq >= stream->end || cells_add(&stream->seen[dest], e->seq, 1))
            return RANK_UNKNOWN;
        return rank_of_message(e->seq);
    }
    met = table_get(&r->resends, key, e->attempt);
    if (!met)
        return RANK_UNKNOWN;
    rank = *met;
    met = table_put(&r->resends, key, (uint64_t)(dest + 1) << 8 | e->attempt);
    r->full |= !met;
    if (!met || *met)
        return RANK_UNKNOWN;
    *met = 1;
    return rank;
}

void ranks_release(struct ranks *r)
{
    for (uint32_t i = 0; i < r->streams.n; i++) {
        struct ranked_stream *stream = streams_at(&r->streams, i);

        for (size_t d = 0; stream->seen && d <= r->n_dests; d++)
            cells_release(&stream->seen[d]);
        free(stream->seen);
    }
    streams_release(&r->streams);
    table_release(&r->resends);
}
