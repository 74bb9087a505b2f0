/*
 * What consumers hold: messages delivered and not yet settled, per ownership interval (by, unit,
 * epoch). It turns a cumulative settle ("all up to position 40") into messages, and knows when each
 * interval began.
 *
 *     struct interval *i = inflight_of(&f, event);             // made when new
 *     inflight_add(&f, i, event, key);
 *     inflight_settle(&f, i, position, cumulative, each, context);
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
    uint64_t key;   /* message_key */
    uint32_t label; /* the message's own key, for order by key */
};
struct interval {
    uint16_t by;
    bool announced; /* by an EV_OWN */
    bool reset;     /* start is not the committed position */
    uint32_t unit, epoch, group;
    int64_t began_ns; /* EV_OWN, or the first delivery where none was recorded */
    int64_t start;    /* -1 unknown */
    int64_t last;     /* greatest position delivered, -1 none */
    struct inflight_item *items;
    uint32_t first, n, size; /* ring */
};
_Static_assert(sizeof(struct interval) == 64, "one cache line");
/* Consumers go round their units: what comes next was here before. */
#define INFLIGHT_RECENT 4096u
struct inflight {
    struct interval **intervals;
    size_t n;
    struct table index;
    struct interval *recent[INFLIGHT_RECENT]; /* by a mix of (by, unit, epoch) */
    uint64_t room;                            /* in all rings */
    bool full;
};

struct interval *inflight_find(struct inflight *f, const struct event *e); /* the slow way */

static inline struct interval **inflight_slot(struct inflight *f, const struct event *e)
{
    return &f->recent[(e->unit + e->by * 61u + e->epoch * 7u) % INFLIGHT_RECENT];
}

static inline struct interval *inflight_of(struct inflight *f, const struct event *e)
{
    struct interval *i = *inflight_slot(f, e);

    if (i && i->by == e->by && i->unit == e->unit && i->epoch == e->epoch)
        return i;
    return inflight_find(f, e);
}
/* EV_OWN: begins (or begins again) or ends an interval; EV_CLIENT_DEATH: its client holds nothing
 * any more. */
void inflight_event(struct inflight *f, const struct event *e);

typedef void inflight_each(void *context, const struct inflight_item *item);

bool inflight_grow(struct inflight *f, struct interval *i); /* false: no room in all rings */
void inflight_drop(struct inflight *f, struct interval *i); /* all it holds, and the room for it */
/* Out of line: not the oldest, or more than one. */
void inflight_settle_some(struct inflight *f, struct interval *i, int64_t position, bool cumulative,
                          inflight_each *each, void *context);

static inline void inflight_add(struct inflight *f, struct interval *i, const struct event *e,
                                uint64_t key)
{
    if (__builtin_expect(i->n == i->size, 0) && !inflight_grow(f, i)) {
        f->full = true;
        return;
    }
    i->items[(i->first + i->n) & (i->size - 1)] =
        (struct inflight_item){e->position, key, e->key};
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

/* Takes out what this settle covers, and calls `each` (may be NULL) for it. Mostly the oldest. */
static inline void inflight_settle(struct inflight *f, struct interval *i, int64_t position,
                                   bool cumulative, inflight_each *each, void *context)
{
    if (!cumulative && i->n && i->items[i->first].position == position) {
        struct inflight_item item = i->items[i->first];

        inflight_pop(f, i);
        if (each)
            each(context, &item);
    } else if (i->n) {
        inflight_settle_some(f, i, position, cumulative, each, context);
    }
}
void inflight_release(struct inflight *f);

#endif
