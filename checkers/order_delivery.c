/*
 * Order at delivery: what one owner is handed, from a log and from a queue. The rules and their
 * counter-examples stand at the head of order.c.
 */
#include "checkers/order.h"
#include "checkers/order_parts.h"

#include <stdio.h>

/* ---- logs */

static void delivered_from_log(struct order *s, const struct event *e)
{
    struct interval *i = inflight_of(&s->inflight, e);
    int64_t before = i->last >= 0 ? i->last : i->start - 1;
    bool known = i->last >= 0 || i->start >= 0;

    if (i->last >= 0 && e->position <= i->last) {
        char text[160];

        snprintf(text, sizeof(text),
                 "position %lld of %s was delivered behind %lld to the same owner",
                 (long long)e->position, duties_unit_name(s->plan, e->unit), (long long)i->last);
        order_tell(s, "order", "delivery", e, text);
        return;
    }
    if (known && e->position > before + 1) {
        gaps_add(&s->gaps, e->unit, before, e->position);
        s->late_gaps |= s->audit_began;
    }
    i->last = e->position;
}

/* The start of an interval is the committed position, unless it was reset. */
void order_gained(struct order *s, const struct event *e)
{
    const uint64_t *max = table_get(&s->committed, e->ref, e->unit);
    uint32_t dest = duties_of(&s->units, e->unit)->dest;
    char text[200];

    s->owners++;
    if (dest == UINT32_MAX || duties_forgets(s->plan, dest) || !max || e->position < 0 ||
        e->flags & EV_RESET || e->position <= (int64_t)*max)
        return;
    snprintf(text, sizeof(text),
             "an owner of %s starts at position %lld, though no settle went beyond %lld",
             duties_unit_name(s->plan, e->unit), (long long)e->position, (long long)*max - 1);
    order_tell(s, "order", "start", e, text);
}

/* ---- queues */

static void comes_back(struct order *s, const struct event *e, uint64_t stream, uint64_t key,
                       uint64_t rank, bool is_settled)
{
    const uint64_t *max = table_get(&s->settled, stream, e->unit);

    s->again++;
    for (size_t i = 0; i < s->n_returned; i++)
        if (s->returned[i].key == key)
            s->returned[i--] = s->returned[--s->n_returned];
    if (max && rank != RANK_UNKNOWN && rank + 1 < *max && !is_settled)
        order_tell(s, "redelivery_order", "", e,
                   "came back after messages that were in flight beside it were settled");
}

static void delivered_from_queue(struct order *s, const struct event *e, uint32_t dest)
{
    struct interval *i = inflight_of(&s->inflight, e);
    struct ranked_stream *session = ranks_stream(&s->ranks, e);
    unsigned seen = cells_add(&session->seen[dest], e->seq, DELIVERED);
    uint64_t stream = order_stream_key(s, session, e),
             key = message_key(session->head.number, e->seq);
    uint64_t rank = ranks_of(&s->ranks, session, e);
    bool again = seen || e->flags & EV_REDELIVERED;

    inflight_add(&s->inflight, i, e, key);
    if (again) {
        comes_back(s, e, stream, key, rank, seen & SETTLED);
        return;
    }
    if (s->args.at != AT_DELIVERY || rank == RANK_UNKNOWN)
        return;
    if (order_overtaken(s, session, stream, order_owner_key(e), rank))
        order_tell(s, "order", "delivery", e,
                   "first delivered behind one that was submitted after it, to the same owner");
    for (size_t k = 0; k < s->n_returned; k++) {
        const struct returned *r = &s->returned[k];

        if (r->stream == stream && r->rank < rank && i->announced && i->began_ns > r->fenced_ns) {
            order_tell(s, "order", "overtaken", e,
                       "first delivered while an earlier one was back in the queue");
            break;
        }
    }
}

void order_delivered(struct order *s, const struct event *e)
{
    const struct unit_duty *unit = duties_of(&s->units, e->unit);

    if (unit->dest == UINT32_MAX || e->flags & EV_MARKER)
        return;
    if (unit->forgets) {
        delivered_from_queue(s, e, unit->dest);
        return;
    }
    s->again += (e->flags & EV_REDELIVERED) != 0;
    if (s->args.at == AT_DELIVERY)
        delivered_from_log(s, e);
}

struct settle_context {
    struct order *s;
    uint32_t unit, dest;
};

static void settle_item(void *context, uint64_t key, uint32_t label)
{
    struct settle_context *c = context;
    struct ranked_stream *session = streams_at(&c->s->ranks.streams, message_stream(key));
    uint64_t seq = key & MESSAGE_SEQ_MAX, rank = rank_of_message(seq);
    uint64_t stream = (uint64_t)session->head.number << 32 | label;
    uint64_t *max = seq < session->end
                        ? table_put_at(&c->s->settled, &session->settled, stream, c->unit)
                        : NULL;

    if (max && *max < rank + 1)
        *max = rank + 1;
    cells_add(&session->seen[c->dest], seq, SETTLED);
}

void order_settles(struct order *s, const struct event *e)
{
    const struct unit_duty *unit = duties_of(&s->units, e->unit);
    struct settle_context context = {s, e->unit, unit->dest};

    if (unit->dest == UINT32_MAX)
        return;
    if (!unit->forgets) {
        uint64_t *max = table_put(&s->committed, e->ref, e->unit);

        if (e->position + 1 > (int64_t)*max)
            *max = (uint64_t)(e->position + 1);
        return;
    }
    inflight_settle(&s->inflight, inflight_of(&s->inflight, e), e->position,
                    e->flags & EV_CUMULATIVE, !(e->flags & EV_REQUEUE), settle_item, &context);
}

/* A requeue that was answered: x is back for certain. */
void order_settle_answered(struct order *s, const struct event *e)
{
    const struct ranked_stream *session;

    if (!(e->flags & EV_REQUEUE) || s->args.at != AT_DELIVERY ||
        !duties_of(&s->units, e->unit)->forgets || e->flags & EV_CUMULATIVE ||
        event_outcome(e) != OUTCOME_OK || s->n_returned == RETURNED_MAX)
        return;
    session = ranks_stream(&s->ranks, e);
    s->returned[s->n_returned++] =
        (struct returned){.key = message_key(session->head.number, e->seq),
                          .rank = rank_of_message(e->seq),
                          .stream = order_stream_key(s, session, e),
                          .fenced_ns = e->at_ns};
}
