/*
 * What consumers hold: messages delivered and not yet settled, per ownership interval (by, unit,
 * epoch). It turns a cumulative settle ("all up to position 40") into messages, and knows when each
 * interval began.
 *
 *     struct interval *i = inflight_of(&f, event);             // made when new
 *     inflight_add(&f, i, event, key);
 *     inflight_settle(&f, i, position, cumulative, true, each, context);
 */
#ifndef ASSAY_CHECKERS_INFLIGHT_H
#define ASSAY_CHECKERS_INFLIGHT_H

#include "api/event.h"
#include "checkers/table.h"

/* Room for so many in all rings: consumers that hold more without settling make the checker
 * inconclusive. */
#define INFLIGHT_MAX (UINT64_C(1) << 22)
#define INFLIGHT_FIRST 16u  /* of a ring */
#define INFLIGHT_KEPT 1024u /* a larger one goes when it is empty */

struct inflight_item {
    int64_t position;
    uint64_t key; /* message_key */
};
/* Most consumers hold a few: these stay beside the interval. */
#define INFLIGHT_INSIDE 4u
struct interval {
    uint16_t by;
    bool announced; /* by an EV_OWN */
    bool reset;     /* start is not the committed position */
    uint32_t unit, epoch, group;
    int64_t began_ns; /* EV_OWN, or the first delivery where none was recorded */
    int64_t start;    /* -1 unknown */
    int64_t last;     /* greatest position delivered, -1 none */
    struct inflight_item *items;
    uint32_t first, n, size; /* ring; labels, if there are any, behind its items */
    struct inflight_item inside[INFLIGHT_INSIDE];
};
_Static_assert(sizeof(struct interval) == 128, "two cache lines that are fetched together");
/* Consumers go round their units: what comes next was here before. */
#define INFLIGHT_RECENT_BITS 11
struct inflight {
    struct interval **intervals;
    size_t n;
    struct table index;
    struct recent_intervals {
        struct interval *last, *before;
    } recent[1u << INFLIGHT_RECENT_BITS]; /* by a mix of (by, unit, epoch) */
    uint64_t room;                        /* in all rings but those inside */
    bool labelled; /* set once, before the first: labels are kept, for order by key */
    bool full;
};

struct interval *inflight_find(struct inflight *f, const struct event *e); /* the slow way */

static inline unsigned inflight_slot(const struct event *e)
{
    uint32_t mix = e->unit ^ e->epoch << 12 ^ (uint32_t)e->by << 24;

    return mix * UINT32_C(0x9e3779b1) >> (32 - INFLIGHT_RECENT_BITS);
}

static inline bool inflight_is(const struct interval *i, const struct event *e)
{
    return i && i->unit == e->unit && i->epoch == e->epoch && i->by == e->by;
}

static inline struct interval *inflight_of(struct inflight *f, const struct event *e)
{
    struct interval *i = f->recent[inflight_slot(e)].last;

    return __builtin_expect(inflight_is(i, e), 1) ? i : inflight_find(f, e);
}

/* For those who know what they will ask for next. Inlined, see CELLS_AHEAD. */
static inline __attribute__((always_inline)) void inflight_prefetch(const struct inflight *f,
                                                                    const struct event *e)
{
    const struct interval *i = f->recent[inflight_slot(e)].last;

    __builtin_prefetch(i, 1); /* NULL does no harm */
    __builtin_prefetch((const void *)((uintptr_t)i + 64), 1);
}
/* EV_OWN: begins (or begins again) or ends an interval; EV_CLIENT_DEATH: its client holds nothing
 * any more. */
void inflight_event(struct inflight *f, const struct event *e);

typedef void inflight_each(void *context, uint64_t key, uint32_t label);

bool inflight_grow(struct inflight *f, struct interval *i); /* false: no room in all rings */
void inflight_drop(struct inflight *f, struct interval *i); /* all it holds, and the room for it */
/* Out of line: not the oldest. */
void inflight_settle_some(struct inflight *f, struct interval *i, int64_t position, bool cumulative,
                          inflight_each *each, void *context);

static inline uint32_t *inflight_labels(const struct interval *i)
{
    return (uint32_t *)(void *)(i->items + i->size);
}

static inline void inflight_add(struct inflight *f, struct interval *i, const struct event *e,
                                uint64_t key)
{
    uint32_t at;

    if (__builtin_expect(i->n == i->size, 0) && !inflight_grow(f, i)) {
        f->full = true;
        return;
    }
    at = (i->first + i->n) & (i->size - 1);
    i->items[at] = (struct inflight_item){e->position, key};
    if (f->labelled)
        inflight_labels(i)[at] = e->key;
    i->n++;
}

/* The oldest goes. An empty ring begins at its start again: consumers that hold one message stay in
 * one cache line. */
static inline void inflight_pop(struct inflight *f, struct interval *i)
{
    i->n--;
    i->first = i->n ? (i->first + 1) & (i->size - 1) : 0;
    if (__builtin_expect(i->n == 0 && i->size > INFLIGHT_KEPT, 0))
        inflight_drop(f, i);
}

/* Takes out what this settle covers, the oldest first, and if `tells` calls `each` for it. Mostly
 * it is the oldest; `each` is a constant to whoever calls this, and inlined with it. */
static inline __attribute__((always_inline)) void
inflight_settle(struct inflight *f, struct interval *i, int64_t position, bool cumulative,
                bool tells, inflight_each *each, void *context)
{
    while (i->n) {
        struct inflight_item item = i->items[i->first];
        uint32_t label = f->labelled ? inflight_labels(i)[i->first] : 0;

        if (item.position != position && !(cumulative && item.position < position))
            break;
        inflight_pop(f, i);
        if (tells)
            each(context, item.key, label);
        if (!cumulative)
            return;
    }
    if (i->n)
        inflight_settle_some(f, i, position, cumulative, tells ? each : NULL, context);
}
void inflight_release(struct inflight *f);

#endif
