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

#include <string.h>

/* Every checker's own struct begins with this. */
struct stream {
    uint32_t number;
    uint16_t client, incarnation, worker;
    uint64_t id; /* the three as they stand in an event */
};

#define STREAMS_RECENT_BITS 6
#define STREAMS_RECENT (1u << STREAMS_RECENT_BITS)
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

/* Client, incarnation and worker stand side by side in an event: one number says all three. */
_Static_assert(offsetof(struct event, incarnation) == offsetof(struct event, client) + 2 &&
                   offsetof(struct event, worker) == offsetof(struct event, client) + 4 &&
                   offsetof(struct event, by) == offsetof(struct event, client) + 6,
               "stream_id");
static inline uint64_t stream_id(const struct event *e)
{
    uint64_t id;

    memcpy(&id, &e->client, sizeof(id));
    return id & UINT64_C(0xffffffffffff);
}

static inline unsigned stream_slot(uint64_t id)
{
    return (unsigned)(id * UINT64_C(0x9e3779b97f4a7c15) >> (64 - STREAMS_RECENT_BITS));
}

static inline void *streams_of(struct streams *streams, const struct event *e)
{
    uint64_t id = stream_id(e);
    struct stream *recent = streams->recent[stream_slot(id)];

    if (__builtin_expect(recent && recent->id == id, 1))
        return recent;
    return streams_find(streams, e->client, e->incarnation, e->worker, true);
}

/* Its session, if that is cheap to say; NULL otherwise. */
static inline void *streams_recent(const struct streams *streams, const struct event *e)
{
    uint64_t id = stream_id(e);
    struct stream *recent = streams->recent[stream_slot(id)];

    return recent && recent->id == id ? recent : NULL;
}

/* An audit meets messages in an order that no cache foresees, and a consumer that goes round its
 * queues comes back to what was put out of the cache meanwhile: so many events ahead `ahead` is
 * called for what `take` is called for in turn. Runs that are shorter are only taken. Both are
 * constants to whoever calls this, and inlined with it. */
#define STREAMS_AHEAD 12u
static inline __attribute__((always_inline)) void
streams_walk(void *self, const struct event *events, size_t n,
             void (*ahead)(const void *self, const struct event *e),
             void (*take)(void *self, const struct event *e))
{
    size_t look = n > STREAMS_AHEAD ? n - STREAMS_AHEAD : 0;

    for (size_t i = 0; look && i < STREAMS_AHEAD; i++)
        ahead(self, &events[i]);
    for (size_t i = 0; i < n; i++) {
        if (i < look)
            ahead(self, &events[i + STREAMS_AHEAD]);
        take(self, &events[i]);
    }
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
