/*
 * Producer sessions (client, incarnation, worker), numbered from 0 as they are first seen, with
 * `size` bytes of the checker's own for each.
 *
 *     struct streams s = {.size = sizeof(struct mine)};
 *     struct mine *m = streams_of(&s, event);      // made, zeroed, when new; stays where it is
 *     for (uint32_t i = 0; i < s.n; i++) … streams_at(&s, i) …
 */
#ifndef ASSAY_CHECKERS_STREAMS_H
#define ASSAY_CHECKERS_STREAMS_H

#include "api/event.h"
#include "checkers/table.h"

/* Every checker's own struct begins with this. */
struct stream {
    uint32_t number;
    uint16_t client, incarnation, worker;
};

#define STREAMS_RECENT 64u
#define STREAMS_MAX                                                                                \
    65535u /* message_key has 16 bits for them; more share the last: never in a real run */
struct streams {
    size_t size;
    struct stream **items;
    uint32_t n;
    struct table index;
    struct stream *recent[STREAMS_RECENT]; /* by a mix of the three numbers */
};

struct stream *streams_find(struct streams *streams, uint16_t client, uint16_t incarnation,
                            uint16_t worker, bool make);

static inline bool stream_is(const struct stream *s, uint16_t client, uint16_t incarnation,
                             uint16_t worker)
{
    return s && s->client == client && s->incarnation == incarnation && s->worker == worker;
}

static inline unsigned stream_slot(uint16_t client, uint16_t incarnation, uint16_t worker)
{
    return (client + incarnation * 5u + worker * 17u) % STREAMS_RECENT;
}

static inline void *streams_of(struct streams *streams, const struct event *e)
{
    struct stream *recent = streams->recent[stream_slot(e->client, e->incarnation, e->worker)];

    if (stream_is(recent, e->client, e->incarnation, e->worker))
        return recent;
    return streams_find(streams, e->client, e->incarnation, e->worker, true);
}

static inline void *streams_at(const struct streams *streams, uint32_t i)
{
    return streams->items[i];
}

static inline struct msg_id stream_message(const struct stream *s, uint64_t seq)
{
    return (struct msg_id){
        .seq = seq, .client = s->client, .incarnation = s->incarnation, .worker = s->worker};
}

/* Frees the sessions; what the checker keeps inside them is its own to free first. */
void streams_release(struct streams *streams);

#endif
