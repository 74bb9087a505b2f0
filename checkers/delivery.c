/*
 * delivery: once                                       finding: duplicate_delivery
 *
 * log: one attempt at two positions (stage "retry") and two attempts of one message (stage
 * "re-send"), reported apart. Queues are read the same way at the end: what stands in them twice.
 * group or queue: m delivered in an ownership interval whose start was fixed after settle(m) = ok
 * (stage "settled before"). An AMQP ack has no answer: its settle stays unknown until a later
 * synchronous call on that channel returns, and unknown settles nothing here.
 *
 * Counter-example: flags every legal redelivery. A consumer that dies before its settle is answered
 * leaves messages that must come again; an interval that began before the settle completed may have
 * been handed them already.
 * And: an unknown send that shows up once is no duplicate. The same position read twice by the
 * audit is one copy.
 *
 * Memory: two bits per (destination, message) for the log, one per (group, message) for settles;
 * the few messages that are delivered again after a settle get exact times in a second pass.
 */
#include "api/checker.h"
#include "checkers/cells.h"
#include "checkers/duties.h"
#include "checkers/hazards.h"
#include "checkers/inflight.h"
#include "checkers/streams.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUSPECTS_MAX (1u << 20)
#define ATTEMPTS_MAX (1u << 22)

enum log_state { UNSEEN, FIRST_SEEN, RESEND_SEEN, BOTH_SEEN };

struct delivery_args {
    int how; /* once: the only choice */
};

struct delivery_stream {
    struct stream head;
    struct cells *log;     /* per destination: enum log_state */
    struct cells *settled; /* per destination or group: 1 */
};

struct delivery {
    const struct plan_case *plan;
    struct streams streams;
    struct inflight inflight;
    struct hazards hazards;
    struct unit_duties units;
    struct table resends;  /* (message, destination << 8 | attempt): seen in the log */
    struct table suspects; /* (message, group): earliest ok settle, 0 none yet; second pass */
    int64_t *last;         /* per unit: greatest position audited; logs only */
    int64_t redelivered, unknown;
    int64_t open, unanswered; /* sends without an answer; how many there were when a fault ended */
    int64_t handed_on; /* units that got an owner after somebody had settled: where it goes on */
    bool any_settled;
    bool second, too_many;
    int64_t clock_error_ns;
    struct findings found;
};

static int delivery_open(void *self, const struct plan_case *plan, const void *args,
                         const struct results *earlier, struct err *err)
{
    struct delivery *s = self;

    (void)args;
    (void)err;
    *s = (struct delivery){.plan = plan,
                           .streams = {.size = sizeof(struct delivery_stream)},
                           .resends = {.max = ATTEMPTS_MAX},
                           .suspects = {.max = SUSPECTS_MAX},
                           .clock_error_ns = results_clock_error_ns(earlier),
                           .found = {.current = "delivery"}};
    s->last = calloc(plan->n_units + 1, sizeof(*s->last));
    if (!s->last)
        abort();
    for (size_t i = 0; i < plan->n_units; i++)
        s->last[i] = -1;
    hazards_open(&s->hazards, plan);
    duties_open(&s->units, plan);
    return 0;
}

static size_t delivery_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);

    (void)args;
    return sizeof(struct delivery) + bound_cells(&v, v.duties + v.sources) +
           bound_streams(&v, sizeof(struct delivery_stream) +
                                 2 * (plan->n_dests + 2) * sizeof(struct cells)) +
           bound_inflight(&v, plan) + bound_hazards(&v, plan) +
           bound_table(v.resends, ATTEMPTS_MAX) + bound_table(v.messages, SUSPECTS_MAX) +
           plan->n_units * sizeof(int64_t) + duties_bound(plan);
}

static struct delivery_stream *new_stream(const struct delivery *s, struct delivery_stream *stream)
{
    stream->log = calloc(s->plan->n_dests + 1, sizeof(*stream->log));
    stream->settled = calloc(s->plan->n_dests + 1, sizeof(*stream->settled));
    if (!stream->log || !stream->settled)
        abort();
    return stream;
}

static inline struct delivery_stream *stream_of(struct delivery *s, const struct event *e)
{
    struct delivery_stream *stream = streams_of(&s->streams, e);

    return stream->log ? stream : new_stream(s, stream);
}

static void tell(struct delivery *s, const struct event *e, const char *stage, const char *text)
{
    struct finding_sample sample = {.message = {e->seq, e->client, e->incarnation, e->worker},
                                    .unit = e->unit,
                                    .at_ns = e->at_ns,
                                    .node = NO_NODE};

    snprintf(sample.stage, sizeof(sample.stage), "%s", stage);
    snprintf(sample.text, sizeof(sample.text), "%s", text);
    findings_add(&s->found, "duplicate_delivery", 1, &sample);
}

/* ---- the final log or queue */

/* Seen before: this very attempt, or another one of its message. */
static void mark_seen(struct delivery *s, struct delivery_stream *stream, const struct event *e,
                      uint32_t dest, bool *attempt, bool *message)
{
    unsigned old =
        cells_add(&stream->log[dest], e->seq, e->attempt == 0 ? FIRST_SEEN : RESEND_SEEN);
    uint64_t *seen;

    *message = old != UNSEEN;
    *attempt = old & FIRST_SEEN;
    if (e->attempt == 0)
        return;
    seen = table_put(&s->resends, message_key(stream->head.number, e->seq),
                     (uint64_t)dest << 8 | e->attempt);
    *attempt = seen && *seen;
    s->too_many |= !seen;
    if (seen)
        *seen = 1;
}

static void audited(struct delivery *s, const struct event *e)
{
    const struct unit_duty *unit = duties_of(&s->units, e->unit);
    uint32_t dest = unit->dest;
    struct delivery_stream *stream;
    bool attempt, message;
    char text[160];

    if (dest == UINT32_MAX || e->flags & EV_MARKER)
        return;
    if (!unit->forgets && e->position >= 0) {
        if (e->position <= s->last[e->unit]) /* the audit read it again */
            return;
        s->last[e->unit] = e->position;
    }
    stream = stream_of(s, e);
    mark_seen(s, stream, e, dest, &attempt, &message);
    if (!message && unit->forgets && cells_get(&stream->settled[dest], e->seq))
        tell(s, e, "settled before", "settled, and still there when the queue was read at the end");
    if (!message)
        return;
    snprintf(text, sizeof(text), "%s again in %s at position %lld",
             attempt ? "the same attempt stands" : "another attempt of it stands",
             duties_unit_name(s->plan, e->unit), (long long)e->position);
    tell(s, e, attempt ? "retry" : "re-send", text);
}

/* ---- groups and queues */

static uint32_t source_of(const struct delivery *s, const struct event *e)
{
    if (e->ref < s->plan->n_dests && s->plan->dests[e->ref].group)
        return e->ref;
    return duties_of(&s->units, e->unit)->dest;
}

struct settle_context {
    struct delivery *s;
    const struct event *e;
    uint32_t source;
};

static inline void settle_one(const struct settle_context *c, struct delivery_stream *stream,
                              uint64_t seq)
{
    uint64_t *at;

    cells_set(&stream->settled[c->source], seq, 1);
    if (!c->s->second)
        return;
    at = table_get(&c->s->suspects, message_key(stream->head.number, seq), c->source);
    if (at && *at == 0)
        *at = (uint64_t)c->e->at_ns;
}

static void settle_item(void *context, uint64_t key, uint32_t label)
{
    const struct settle_context *c = context;

    (void)label;
    settle_one(c, streams_at(&c->s->streams, message_stream(key)), key & MESSAGE_SEQ_MAX);
}

static void settled(struct delivery *s, const struct event *e)
{
    struct settle_context context = {s, e, source_of(s, e)};
    bool ok = event_outcome(e) == OUTCOME_OK && !(e->flags & EV_REQUEUE);
    bool cumulative = e->flags & EV_CUMULATIVE;

    if (context.source == UINT32_MAX || event_outcome(e) == OUTCOME_FAIL)
        return;
    if (event_outcome(e) != OUTCOME_OK && cumulative)
        return; /* a later answer may cover them */
    s->any_settled |= ok;
    inflight_settle(&s->inflight, inflight_of(&s->inflight, e), e->position, cumulative,
                    ok && cumulative, settle_item, &context);
    if (ok && !cumulative)
        settle_one(&context, stream_of(s, e), e->seq & MESSAGE_SEQ_MAX);
}

static void delivered(struct delivery *s, const struct event *e)
{
    uint32_t source = source_of(s, e);
    struct delivery_stream *stream;
    struct interval *interval;
    uint64_t key, *at;

    if (source == UINT32_MAX || e->flags & EV_MARKER)
        return;
    stream = stream_of(s, e);
    key = message_key(stream->head.number, e->seq);
    interval = inflight_of(&s->inflight, e);
    if (!s->second && cells_get(&stream->settled[source], e->seq))
        s->too_many |= !table_put(&s->suspects, key, source);
    if (s->second && (at = table_get(&s->suspects, key, source)) && *at && interval->announced &&
        interval->began_ns - s->clock_error_ns > (int64_t)*at) {
        char text[160];

        snprintf(text, sizeof(text),
                 "settled, and delivered again from %s to an owner that began %.3f s after",
                 duties_unit_name(s->plan, e->unit),
                 (double)(interval->began_ns - (int64_t)*at) / 1e9);
        tell(s, e, "settled before", text);
    }
    inflight_add(&s->inflight, interval, e, key);
}

/* ---- the events */

static void one_event(void *self, const struct event *e)
{
    struct delivery *s = self;

    switch (e->type) {
    case EV_DELIVER:
        s->redelivered += !s->second && e->flags & EV_REDELIVERED;
        delivered(s, e);
        break;
    case EV_SETTLE_COMPLETE:
        settled(s, e);
        break;
    case EV_SETTLE_INVOKE: /* wanted only because runs without a gap are handed over at once */
        break;
    case EV_AUDIT_LOG:
        if (!s->second)
            audited(s, e);
        break;
    case EV_FAULT: /* what the library sends again now, or its application */
        s->unanswered += !s->second && e->code == STAMP_HEAL_ASKED ? s->open : 0;
        if (!s->second)
            hazards_event(&s->hazards, e);
        break;
    case EV_SEND_COMPLETE:
        s->open -= s->open > 0;
        s->unknown += !s->second && event_outcome(e) == OUTCOME_UNKNOWN;
        break;
    case EV_OWN:
        s->handed_on += !s->second && s->any_settled && e->flags & EV_GAINED;
        inflight_event(&s->inflight, e);
        break;
    case EV_SEND_INVOKE:
        s->open++;
        s->unknown += !s->second && e->attempt > 0; /* a re-send: the first may have arrived */
        break;
    default:
        inflight_event(&s->inflight, e);
        if (!s->second)
            hazards_event(&s->hazards, e);
        break;
    }
}

CELLS_AHEAD void look_ahead(const void *self, const struct event *e)
{
    const struct delivery *s = self;
    const struct delivery_stream *stream;
    uint32_t dest;

    if (e->type == EV_DELIVER)
        inflight_prefetch(&s->inflight, e);
    if (e->type != EV_AUDIT_LOG)
        return;
    dest = duties_of(&s->units, e->unit)->dest;
    stream = streams_recent(&s->streams, e);
    if (dest != UINT32_MAX && stream)
        cells_prefetch(&stream->log[dest], e->seq);
}

static void delivery_events(void *self, const struct event *events, size_t n)
{
    streams_walk(self, events, n, look_ahead, one_event);
}

static bool delivery_again(void *self, const struct drain_proof *proofs)
{
    struct delivery *s = self;

    (void)proofs;
    if (s->second || s->suspects.n == 0)
        return false;
    s->second = true;
    inflight_release(&s->inflight);
    return true;
}

static void delivery_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct delivery *s = self;

    findings_move(out, &s->found);
    for (uint32_t u = 0; u < s->plan->n_units; u++)
        if (!proofs[u].proven || proofs[u].level < DRAIN_D1)
            findings_inconclusive(out, "%s was not proven complete (D1)%s%.120s",
                                  s->plan->units[u].name, proofs[u].why[0] ? ": " : "",
                                  proofs[u].why);
    if (s->too_many || s->inflight.full)
        findings_inconclusive(out, "too many re-sent or unsettled messages to remember");
    out->exercised = s->redelivered + s->unknown + s->unanswered + s->handed_on +
                     s->hazards.outstanding + s->hazards.told + s->hazards.unsettled_log;
}

static void delivery_close(void *self)
{
    struct delivery *s = self;

    for (uint32_t i = 0; i < s->streams.n; i++) {
        struct delivery_stream *stream = streams_at(&s->streams, i);

        for (size_t d = 0; stream->log && d <= s->plan->n_dests; d++) {
            cells_release(&stream->log[d]);
            cells_release(&stream->settled[d]);
        }
        free(stream->log);
        free(stream->settled);
    }
    streams_release(&s->streams);
    inflight_release(&s->inflight);
    hazards_release(&s->hazards);
    duties_release(&s->units);
    table_release(&s->resends);
    table_release(&s->suspects);
    free(s->last);
    findings_release(&s->found);
}

static const struct param params[] = {
    {"how", PARAM_CHOICE, offsetof(struct delivery_args, how), .fallback = "once",
     .choices = (const char *const[]){"once", NULL}, .help = "once: nothing stands or comes twice"},
    {0}};

const struct checker_ops delivery_checker = {
    .name = "delivery",
    .property = "delivery",
    .kinds = (const char *const[]){"duplicate_delivery", NULL},
    .about = "Nothing stands twice in the log, and nothing settled is delivered again",
    .params = params,
    .shorthand = "how",
    .args_size = sizeof(struct delivery_args),
    .size = sizeof(struct delivery),
    .wants = WANTS(DELIVER) | WANTS(SETTLE_COMPLETE) | WANTS(SETTLE_INVOKE) | WANTS(AUDIT_LOG) |
             WANTS(OWN) | WANTS(CLIENT_DEATH) | WANTS(SEND_COMPLETE) | WANTS(SEND_INVOKE) |
             HAZARD_EVENTS,
    .needs = DRAIN_D1,
    .order = BY_TIME,
    .bound = delivery_bound,
    .open = delivery_open,
    .events = delivery_events,
    .again = delivery_again,
    .finish = delivery_finish,
    .close = delivery_close,
};
