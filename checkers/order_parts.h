/*
 * Inside of order: its state, and what happens at delivery (order_delivery.c).
 */
#ifndef ASSAY_CHECKERS_ORDER_PARTS_H
#define ASSAY_CHECKERS_ORDER_PARTS_H

#include "api/checker.h"
#include "checkers/duties.h"
#include "checkers/gaps.h"
#include "checkers/hazards.h"
#include "checkers/inflight.h"
#include "checkers/order.h"
#include "checkers/ranks.h"
#include "checkers/spans.h"

#define RETURNED_MAX 1024

enum { DELIVERED = 1, SETTLED = 2 }; /* bits of ranked_stream.seen, queues */

/* Back in the queue for certain since `fenced_ns`, and not delivered again yet. */
struct returned {
    uint64_t key, rank, stream;
    int64_t fenced_ns;
};

struct order {
    const struct plan_case *plan;
    struct order_args args;
    struct ranks ranks;
    struct table maxima;   /* stream → greatest rank met, plus one */
    struct table settled;  /* stream → greatest rank settled, plus one */
    struct table versions; /* key → last version in the journal */
    struct table committed; /* (group, unit) → greatest position a settle was asked for, plus one */
    struct inflight inflight;
    struct gaps gaps;
    struct hazards hazards;
    struct unit_duties units;
    struct spans spans; /* producers: all */
    int64_t clock_error_ns;
    struct returned *returned;
    size_t n_returned;
    int64_t *last; /* per unit: greatest position audited */
    int64_t before, after, again, owners;
    uint8_t looks_for; /* events that touch what no cache foresees */
    bool disturbed, unsorted;
    bool audit_began, late_gaps,
        second; /* gaps met behind the audit wait for a second look at it */
    struct findings found;
};

void order_tell(struct order *s, const char *kind, const char *stage, const struct event *e,
                const char *text);

/* ---- at delivery (or effect): not called at log */
void order_delivered(struct order *s, const struct event *e);       /* DELIVER */
void order_gained(struct order *s, const struct event *e);          /* OWN, of a new owner */
void order_settles(struct order *s, const struct event *e);         /* SETTLE_INVOKE */
void order_settle_answered(struct order *s, const struct event *e); /* SETTLE_COMPLETE */

/* What is ordered against each other: a session's messages in one unit, or of one key in it. */
static inline uint64_t order_stream_key(const struct order *s, const struct ranked_stream *session,
                                        const struct event *e)
{
    return (uint64_t)session->head.number << 32 | (s->args.by == BY_KEY ? e->key : 0);
}

/* An ownership interval, as `maxima` knows it. */
static inline uint64_t order_owner_key(const struct event *e)
{
    return (uint64_t)e->by << 48 ^ (uint64_t)e->epoch << 16 ^ e->unit;
}

/* True when it was met behind one that was submitted after it; `slot` names what is ordered. */
static inline bool order_overtaken(struct order *s, struct ranked_stream *session, uint64_t stream,
                                   uint64_t slot, uint64_t rank)
{
    uint64_t *max = table_put_at(&s->maxima, &session->met, stream, slot);

    if (!max)
        return false;
    if (rank + 1 <= *max)
        return true;
    *max = rank + 1;
    return false;
}

#endif
