/*
 * loss: 0 | {messages: N, time: T}        findings: lost, lost_intent, rpo
 *
 * lost (over duties). log: {m ok} minus {m in the final audit of the log}; a delivery does *not*
 * clear it. queue, and a stream that one group reads: {m ok} minus (settled ∪ remaining ∪
 * dead-lettered); where the protocol settles by handing over (no_ack, BRPOP) the hand-over clears
 * `lost`, and `missing_effect` judges the rest. Needs D1. lost_intent: the same for messages nobody
 * was asked about (`believed`). rpo: |lost| acknowledged in a window (or last before it), and its
 * span.
 *
 * Counter-example: a fast consumer read the record from the old leader before it was truncated:
 * "delivered, so safe". It is not in the final log: lost.
 * And: a settle that was asked and never answered may have happened; its message is not lost.
 * And: a copy seen at another destination clears nothing.
 *
 * Memory: 2 bits a duty, finished chunks folded (cells.h). Where, when and by whom something lost
 * was acknowledged is not kept: a second pass over the sends looks it up, and only if there is
 * something to look up. What expired by a rule the suite declares (retention.c) is not lost; the
 * stage of a finding tells any other rule, or a dead node.
 */
#include "checkers/loss.h"

#include "api/broker.h"
#include "api/checker.h"
#include "checkers/duties.h"
#include "checkers/loss_parts.h"
#include "checkers/volume.h"

#include <stdlib.h>
#include <string.h>

/* ---- opening */

static void duties_of_clients(struct loss *s)
{
    const struct plan_case *plan = s->plan;

    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct plan_client *c = &plan->clients[i];

        for (unsigned k = 0; k < c->instances; k++) {
            unsigned id = c->first_id + k;

            s->dests_of[id] = calloc(c->n_duties + 1, sizeof(uint32_t));
            if (!s->dests_of[id])
                abort();
            s->n_dests_of[id] = c->n_duties;
            for (size_t d = 0; d < c->n_duties; d++) {
                s->dests_of[id][d] = duties_log_of(plan, c->duties[d]);
                s->used[s->dests_of[id][d]] = true;
            }
            s->hands_over[id] = plan_client_hands_over(c);
        }
    }
}

static int loss_open(void *self, const struct plan_case *plan, const void *args,
                     const struct results *earlier, struct err *err)
{
    struct loss *s = self;

    (void)earlier;
    (void)err;
    *s = (struct loss){
        .plan = plan, .streams = {.size = sizeof(struct loss_stream)}, .open_unit = NO_UNIT};
    if (args)
        s->args = *(const struct loss_args *)args;
    s->dests_of = calloc(plan->n_client_ids + 1u, sizeof(*s->dests_of));
    s->n_dests_of = calloc(plan->n_client_ids + 1u, sizeof(*s->n_dests_of));
    s->hands_over = calloc(plan->n_client_ids + 1u, sizeof(bool));
    s->handed = calloc(plan->n_dests + 1, sizeof(bool));
    s->used = calloc(plan->n_dests + 1, sizeof(bool));
    if (!s->dests_of || !s->n_dests_of || !s->hands_over || !s->handed || !s->used)
        abort();
    duties_of_clients(s);
    for (size_t d = 0; d < plan->n_dests; d++) /* a channel keeps nothing: subscription.c */
        s->handed[d] = plan->dests[d].kind == UNIT_CHANNEL;
    hazards_open(&s->hazards, plan);
    duties_open(&s->units, plan);
    fate_open(&s->fate, plan);
    s->found.current = "loss";
    return 0;
}

static size_t loss_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);

    (void)args;
    return sizeof(struct loss) + bound_cells(&v, 2 * v.duties) +
           bound_streams(&v, sizeof(struct loss_stream) + v.duties * sizeof(struct loss_duty)) +
           bound_inflight(&v, plan) + bound_hazards(&v, plan) + fate_bound(plan) +
           duties_bound(plan) + (size_t)v.windows * sizeof(struct window_loss) +
           plan->n_client_ids * (sizeof(void *) * 2 + (v.duties + 1) * sizeof(uint32_t));
}

struct loss_stream *loss_new_stream(const struct loss *s, struct loss_stream *stream)
{
    uint16_t client = stream->head.client;
    size_t n = client < s->plan->n_client_ids ? s->n_dests_of[client] : 0;

    stream->dests = n ? s->dests_of[client] : NULL;
    stream->n_duties = n;
    stream->duties = calloc(n + 1, sizeof(*stream->duties));
    if (!stream->duties)
        abort();
    return stream;
}

/* ---- first pass */

static void completed(struct loss *s, const struct event *e)
{
    enum outcome outcome = event_outcome(e);
    struct loss_stream *stream;

    if (outcome == OUTCOME_FAIL)
        hazards_refused(&s->hazards, e);
    if (outcome != OUTCOME_OK && outcome != OUTCOME_BELIEVED)
        return;
    stream = loss_stream_of(s, e);
    for (size_t d = 0; d < stream->n_duties; d++) {
        struct cells *state = &stream->duties[d].state;
        unsigned old = cells_raise(state, e->seq, outcome == OUTCOME_OK ? ACKED : BELIEVED);

        if (old == NOTHING && outcome == OUTCOME_OK)
            hazards_present(&s->hazards, duties_unit(s->plan, stream->dests[d], e->unit), 1);
    }
}

/* The compiler counts its callers, not how often they run. */
static inline __attribute__((always_inline)) void clear(struct loss *s, struct loss_stream *stream,
                                                        uint32_t dest, uint64_t seq,
                                                        uint32_t settled_unit)
{
    for (size_t d = 0; d < stream->n_duties; d++)
        if (stream->dests[d] == dest) {
            unsigned old = cells_raise(&stream->duties[d].state, seq, CLEARED);

            if (settled_unit != NO_UNIT && old == ACKED)
                hazards_present(&s->hazards, settled_unit, -1);
        }
}

static void audited(struct loss *s, const struct event *e)
{
    struct loss_stream *stream;
    uint32_t dest = duties_of(&s->units, e->unit)->dest;

    if (e->flags & EV_MARKER || dest == UINT32_MAX)
        return;
    stream = loss_stream_of(s, e);
    clear(s, stream, dest, e->seq, NO_UNIT);
    if (e->flags & EV_REJECT)
        for (size_t d = 0; d < stream->n_duties; d++)
            if (duties_forgets(s->plan, stream->dests[d]))
                clear(s, stream, stream->dests[d], e->seq, NO_UNIT);
}

struct clear_context {
    struct loss *s;
    uint32_t dest, unit;
};

static void clear_item(void *context, uint64_t key, uint32_t label)
{
    struct clear_context *c = context;

    (void)label;
    clear(c->s, streams_at(&c->s->streams, message_stream(key)), c->dest, key & MESSAGE_SEQ_MAX,
          c->unit);
}

static void delivered(struct loss *s, const struct event *e)
{
    const struct unit_duty *unit = duties_of(&s->units, e->unit);
    struct loss_stream *stream;

    if (!unit->settled_is_done || e->flags & EV_MARKER)
        return;
    stream = loss_stream_of(s, e);
    if (e->by < s->plan->n_client_ids && s->hands_over[e->by])
        clear(s, stream, unit->dest, e->seq, e->unit);
    else
        inflight_add(&s->inflight, inflight_of(&s->inflight, e), e,
                     message_key(stream->head.number, e->seq));
}

static void settled(struct loss *s, const struct event *e)
{
    const struct unit_duty *unit = duties_of(&s->units, e->unit);
    struct clear_context context = {s, unit->dest, e->unit};
    bool requeued = e->flags & EV_REQUEUE, cumulative = e->flags & EV_CUMULATIVE;

    if (!unit->settled_is_done)
        return;
    inflight_settle(&s->inflight, inflight_of(&s->inflight, e), e->position, cumulative,
                    cumulative && !requeued, clear_item, &context);
    if (!requeued && !cumulative)
        clear(s, loss_stream_of(s, e), unit->dest, e->seq, e->unit);
}

/* A client whose broker settles by handing over may have been handed all there was, seen or not. */
static void started(struct loss *s, const struct event *e)
{
    const struct plan_client *c = plan_client_of_id(s->plan, e->by);
    long dest;

    if (e->by >= s->plan->n_client_ids || !s->hands_over[e->by])
        return;
    dest = plan_client_reads(s->plan, c);
    /* a stream keeps what it handed over */
    if (dest >= 0 && duties_forgets(s->plan, (uint32_t)dest))
        s->handed[dest] = true;
}

static void first_pass(void *self, const struct event *e)
{
    struct loss *s = self;

    switch (e->type) {
    case EV_SEND_INVOKE: {
        struct loss_stream *stream = loss_stream_of(s, e);

        if (e->seq >= stream->invoked && !(e->flags & EV_MARKER))
            stream->invoked = e->seq + 1;
        break;
    }
    case EV_SEND_COMPLETE:
        completed(s, e);
        break;
    case EV_AUDIT_LOG:
        audited(s, e);
        if (s->fate.expiry.compacts)
            fate_event(&s->fate, e);
        break;
    case EV_EXPIRED:
        fate_event(&s->fate, e);
        break;
    case EV_DELIVER:
        delivered(s, e);
        break;
    case EV_SETTLE_INVOKE:
        settled(s, e);
        break;
    case EV_CLIENT_START:
        started(s, e);
        break;
    case EV_SETTLE_COMPLETE: /* wanted only because runs without a gap are handed over at once */
        break;
    default:
        if (e->type == EV_NODE_STATE)
            fate_event(&s->fate, e);
        inflight_event(&s->inflight, e);
        hazards_event(&s->hazards, e);
        break;
    }
}

static unsigned worth_a_look(const struct loss *s)
{
    unsigned states = 1u << ACKED | 1u << BELIEVED;

    for (size_t d = 0; d < s->plan->n_dests; d++)
        if (s->hazards.takeover_ns[d])
            states |= 1u << NOTHING;
    return states;
}

static bool loss_again(void *self, const struct drain_proof *proofs)
{
    struct loss *s = self;
    unsigned states;

    if (s->second)
        return false;
    s->second = true;
    s->proofs = proofs;
    states = worth_a_look(s);
    for (uint32_t i = 0; i < s->streams.n; i++) {
        const struct loss_stream *stream = streams_at(&s->streams, i);

        for (size_t d = 0; d < stream->n_duties; d++)
            if (cells_next(&stream->duties[d].state, 0, stream->invoked, states) < stream->invoked)
                return true;
    }
    return false;
}

CELLS_AHEAD void look_ahead(const void *self, const struct event *e)
{
    const struct loss *s = self;
    const struct loss_stream *stream;

    if (e->type == EV_DELIVER && duties_of(&s->units, e->unit)->settled_is_done)
        inflight_prefetch(&s->inflight, e);
    if (e->type != EV_AUDIT_LOG)
        return;
    stream = streams_recent(&s->streams, e);
    for (size_t d = 0; stream && d < stream->n_duties; d++)
        cells_prefetch(&stream->duties[d].state, e->seq);
}

static void second_pass(struct loss *s, const struct event *events, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (events[i].type == EV_SEND_COMPLETE)
            loss_judge(s, &events[i]);
        else if (events[i].type == EV_SEND_INVOKE)
            loss_attempted(s, &events[i]);
}

static void loss_events(void *self, const struct event *events, size_t n)
{
    struct loss *s = self;

    if (s->second)
        second_pass(s, events, n);
    else
        streams_walk(s, events, n, look_ahead, first_pass);
}

/* ---- the end */

/* Channels are judged elsewhere: where there is nothing else this promise is not ours. */
static bool judges_any(const struct loss *s)
{
    bool channels = false, others = false;

    for (size_t d = 0; d < s->plan->n_dests; d++) {
        channels |= s->used[d] && s->plan->dests[d].kind == UNIT_CHANNEL;
        others |= s->used[d] && s->plan->dests[d].kind != UNIT_CHANNEL;
    }
    return others || !channels;
}

static void loss_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct loss *s = self;

    s->proofs = proofs;
    findings_move(out, &s->found);
    loss_conclude(s, out);
    out->undecided += s->undecided + s->open;
    out->exercised = judges_any(s) ? hazards_total(&s->hazards) + s->expired : -1;
}

int64_t loss_expired(const void *loss)
{
    return loss ? ((const struct loss *)loss)->expired : 0;
}

bool loss_has_lost(const void *loss, const struct msg_id *m)
{
    struct loss *s =
        (struct loss *)(uintptr_t)loss; /* streams_find only moves its memory of the last look-up */
    const struct loss_stream *stream;

    if (!s)
        return false;
    stream = (const struct loss_stream *)streams_find(&s->streams, m->client, m->incarnation,
                                                      m->worker, false);
    for (size_t d = 0; stream && d < stream->n_duties; d++)
        if (cells_get(&stream->duties[d].judged, m->seq) == LOST)
            return true;
    return false;
}

static void loss_close(void *self)
{
    struct loss *s = self;

    for (uint32_t i = 0; i < s->streams.n; i++) {
        struct loss_stream *stream = streams_at(&s->streams, i);

        for (size_t d = 0; d < stream->n_duties; d++) {
            cells_release(&stream->duties[d].state);
            cells_release(&stream->duties[d].judged);
        }
        free(stream->duties);
        open_release(&stream->keys);
    }
    streams_release(&s->streams);
    inflight_release(&s->inflight);
    hazards_release(&s->hazards);
    duties_release(&s->units);
    fate_release(&s->fate);
    for (size_t i = 0; s->dests_of && i < s->plan->n_client_ids; i++)
        free(s->dests_of[i]);
    free(s->dests_of);
    free(s->n_dests_of);
    free(s->hands_over);
    free(s->handed);
    free(s->used);
    free(s->windows);
    findings_release(&s->found);
    memset(s, 0, sizeof(*s));
}

static const struct param params[] = {
    {"messages", PARAM_INT, offsetof(struct loss_args, messages), .fallback = "0",
     .unit = "messages", .max = INT64_MAX,
     .help = "acknowledged messages that may be lost per fault"},
    {"time", PARAM_DURATION, offsetof(struct loss_args, time_ns),
     .help = "span of acknowledgements that may be lost per fault (recovery point)"},
    {0}};

const struct checker_ops loss_checker = {
    .name = "loss",
    .property = "loss",
    .kinds = (const char *const[]){"lost", "lost_intent", "rpo", NULL},
    .about =
        "What was acknowledged is still there: in the final log, or settled, or left in the queue",
    .params = params,
    .shorthand = "messages",
    .args_size = sizeof(struct loss_args),
    .size = sizeof(struct loss),
    .wants = WANTS(SEND_INVOKE) | WANTS(SEND_COMPLETE) | WANTS(DELIVER) | WANTS(SETTLE_INVOKE) |
             WANTS(SETTLE_COMPLETE) | FATE_EVENTS | WANTS(CLIENT_START) | WANTS(CLIENT_DEATH) |
             WANTS(OWN) | HAZARD_EVENTS,
    .needs = DRAIN_D1,
    .order = BY_TIME,
    .bound = loss_bound,
    .open = loss_open,
    .events = loss_events,
    .again = loss_again,
    .finish = loss_finish,
    .close = loss_close,
};
