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
    uint32_t unit, epoch, group;
    int64_t began_ns; /* EV_OWN, or the first delivery where none was recorded */
    bool announced;   /* by an EV_OWN */
    bool reset;       /* start is not the committed position */
    int64_t start;    /* -1 unknown */
    int64_t last;     /* greatest position delivered, -1 none */
    struct inflight_item *items;
    size_t first, n, size; /* ring */
};
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
void inflight_add(struct inflight *f, struct interval *i, const struct event *e, uint64_t key);
/* Takes out what this settle covers, and calls `each` (may be NULL) for it. */
void inflight_settle(struct inflight *f, struct interval *i, int64_t position, bool cumulative,
                     void (*each)(void *context, const struct inflight_item *item), void *context);
void inflight_release(struct inflight *f);

#endif
