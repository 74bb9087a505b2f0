/*
 * order: {by: partition|key, at: log|delivery|effect}       findings: order, redelivery_order
 *
 * at log: same producer session, a1 submitted before a2, both in the log ⇒ first position of a1 <
 * first position of a2. At delivery, logs: within *one* ownership interval (group, partition,
 * generation, member) positions rise, nothing visible is skipped, the start is the committed or
 * reset position. At delivery, queues: within one channel the first deliveries of a session rise.
 * Owners are never compared by time. At effect: per key, first effects in commit order rise.
 * redelivery_order: x came back after messages that were in flight beside it and are settled; it is
 * `order` only if overtaken by one first delivered by an owner that began after x's return was
 * fenced.
 *
 * Counter-examples: 1,2,3,2,3 with a redelivery is duplication, not disorder; 1,3,2 among first
 * deliveries is disorder; loss alone is none. A fetches 6 and is paused, B delivers 6 7 8, A wakes
 * and records 6: two owners. bigserial is assigned at insert, not at commit: versions are taken
 * under the key's row lock.
 *
 * Memory: a maximum per (session, unit or key), a bit a message. Leaves out: one key on two
 * partitions (positions of two logs have no order).
 */
#include "checkers/order.h"
#include "checkers/order_parts.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_OF_KEYS_MAX (1u << 22)

static int order_open(void *self, const struct plan_case *plan, const void *args,
                      const struct results *earlier, struct err *err)
{
    struct order *s = self;

    (void)earlier;
    (void)err;
    *s = (struct order){.plan = plan,
                        .maxima = {.max = STREAMS_OF_KEYS_MAX},
                        .settled = {.max = STREAMS_OF_KEYS_MAX},
                        .versions = {.max = STREAMS_OF_KEYS_MAX},
                        .found = {.current = "order"}};
    if (args)
        s->args = *(const struct order_args *)args;
    s->inflight.labelled = s->args.by == BY_KEY;
    s->looks_for = s->args.at == AT_DELIVERY ? EV_DELIVER : EV_AUDIT_LOG;
    s->clock_error_ns = earlier ? results_clock_error_ns(earlier) : CLOCK_ERROR_UNKNOWN_NS;
    ranks_open(&s->ranks, plan->n_dests);
    hazards_open(&s->hazards, plan);
    duties_open(&s->units, plan);
    s->last = calloc(plan->n_units + 1, sizeof(*s->last));
    s->returned = calloc(RETURNED_MAX, sizeof(*s->returned));
    if (!s->last || !s->returned)
        abort();
    for (size_t i = 0; i < plan->n_units; i++)
        s->last[i] = -1;
    return 0;
}

static size_t order_bound(const struct plan_case *plan, const void *args)
{
    const struct order_args *a = args;
    struct volume v = volume_of(plan);
    uint64_t in_units = v.sessions * (plan->n_units + 1);
    uint64_t ordered = a && a->by == BY_PARTITION && a->at == AT_LOG ? in_units : v.messages;
    size_t bytes =
        sizeof(struct order) + bound_hazards(&v, plan) + bound_table(2 * v.resends, RESENDS_MAX) +
        bound_streams(&v,
                      sizeof(struct ranked_stream) + (plan->n_dests + 2) * sizeof(struct cells)) +
        bound_table(ordered < v.messages ? ordered : v.messages, STREAMS_OF_KEYS_MAX) +
        plan->n_units * sizeof(int64_t) + duties_bound(plan) +
        RETURNED_MAX * sizeof(struct returned);

    if (a && a->at == AT_EFFECT)
        return bytes + bound_cells(&v, 1) + bound_table(v.messages, STREAMS_OF_KEYS_MAX) +
               (a->producers == ALL_PRODUCERS ? spans_bound(v.sessions, v.messages) : 0);
    if (!a || a->at == AT_LOG)
        return bytes + bound_cells(&v, v.duties);
    return bytes + bound_cells(&v, v.sources) + bound_inflight(&v, plan) +
           bound_table(v.messages, STREAMS_OF_KEYS_MAX) +
           bound_table(plan->n_dests * (plan->n_units + 1), 0) + 2 * GAPS_MAX * sizeof(struct gap);
}

void order_tell(struct order *s, const char *kind, const char *stage, const struct event *e,
                const char *text)
{
    struct finding_sample sample = {.message = {e->seq, e->client, e->incarnation, e->worker},
                                    .unit = e->type == EV_AUDIT_EFFECT ? NO_UNIT : e->unit,
                                    .at_ns = e->at_ns,
                                    .node = NO_NODE};

    if (e->type == EV_OWN)
        sample.message = (struct msg_id){.seq = UINT64_MAX};
    snprintf(sample.stage, sizeof(sample.stage), "%s", stage);
    snprintf(sample.text, sizeof(sample.text), "%s", text);
    findings_add(&s->found, kind, 1, &sample);
}

/* The same for a session in a unit of the log. An audit reads unit after unit: what it stands at is
 * kept beside the session, and the table asked where that changes. */
static bool overtaken_in_unit(struct order *s, struct ranked_stream *session, uint64_t unit,
                              uint64_t rank)
{
    uint64_t stream = (uint64_t)session->head.number << 32, *max;

    if (session->unit != unit) {
        if (session->unit != UINT64_MAX && (max = table_put(&s->maxima, stream, session->unit)))
            *max = session->max;
        max = table_get(&s->maxima, stream, unit);
        session->unit = unit;
        session->max = max ? *max : 0;
    }
    if (rank + 1 <= session->max)
        return true;
    session->max = rank + 1;
    return false;
}

/* ---- at log */

static bool read_again(struct order *s, const struct event *e, uint32_t dest)
{
    if (duties_forgets(s->plan, dest) || e->position < 0)
        return false;
    if (e->position <= s->last[e->unit])
        return true;
    s->last[e->unit] = e->position;
    return false;
}

static void skipped(void *context, const struct gap *gap, const struct event *e)
{
    char text[200];

    snprintf(text, sizeof(text), "an owner of %s went from position %lld to %lld and skipped it",
             duties_unit_name(((struct order *)context)->plan, gap->unit), (long long)gap->from,
             (long long)gap->to);
    order_tell(context, "order", "skipped", e, text);
}

static void audited(struct order *s, const struct event *e)
{
    uint32_t dest = duties_of(&s->units, e->unit)->dest;
    struct ranked_stream *session;
    uint64_t rank;

    if (dest == UINT32_MAX || e->flags & EV_MARKER)
        return;
    s->audit_began = true;
    if (s->args.at == AT_DELIVERY && !duties_forgets(s->plan, dest))
        gaps_found(&s->gaps, e, skipped, s);
    if (s->args.at != AT_LOG || read_again(s, e, dest) || e->flags & (EV_REDELIVERED | EV_REJECT))
        return;
    session = ranks_stream(&s->ranks, e);
    rank = ranks_meet(&s->ranks, session, e, dest);
    if (rank != RANK_UNKNOWN &&
        (s->args.by == BY_KEY
             ? order_overtaken(s, session, order_stream_key(s, session, e), e->unit, rank)
             : overtaken_in_unit(s, session, e->unit, rank))) {
        char text[160];

        snprintf(text, sizeof(text), "stands in %s behind one that was submitted after it",
                 duties_unit_name(s->plan, e->unit));
        order_tell(s, "order", "log", e, text);
    }
}

/* ---- at effect */

static void journal_row(struct order *s, const struct event *e)
{
    struct ranked_stream *session;

    if (s->args.at != AT_EFFECT)
        return;
    if (e->value > 0) {
        uint64_t *version = table_put(&s->versions, e->key, 0);

        s->unsorted |= version && (int64_t)*version > e->value;
        if (version)
            *version = (uint64_t)e->value;
    }
    session = ranks_stream(&s->ranks, e);
    if (e->seq >= session->end || cells_get(&session->seen[s->plan->n_dests], e->seq))
        return;
    cells_set(&session->seen[s->plan->n_dests], e->seq, 1);
    if (order_overtaken(s, session, (uint64_t)session->head.number << 32 | e->key, UINT64_MAX,
                        rank_of_message(e->seq)))
        order_tell(s, "order", "effect", e,
                   "took effect behind one of its key that was submitted after it");
    else if (s->args.producers == ALL_PRODUCERS &&
             spans_meet(&s->spans, session->head.number, e->key, s->clock_error_ns))
        order_tell(
            s, "order", "effect", e,
            "took effect behind one of its key by a producer that began after this one had ended");
}

/* ---- the events */

static void disturbance(struct order *s, const struct event *e)
{
    int64_t takeovers = 0;

    hazards_event(&s->hazards, e);
    for (size_t d = 0; d < s->plan->n_dests; d++)
        takeovers |= s->hazards.takeover_ns[d];
    s->disturbed |= takeovers != 0 || (e->type == EV_FAULT && e->code == STAMP_EFFECTIVE) ||
                    (e->type == EV_NODE_STATE && e->code == NODE_DEAD);
}

static void completed(struct order *s, const struct event *e)
{
    if (event_outcome(e) != OUTCOME_OK)
        s->after += s->before > 0 && event_outcome(e) == OUTCOME_UNKNOWN;
    else if (!s->disturbed)
        s->before++;
    else
        s->after += s->before > 0;
}

static void one_event(void *self, const struct event *e)
{
    struct order *s = self;

    switch (e->type) {
    case EV_SEND_INVOKE:
        ranks_invoke(&s->ranks, e);
        if (s->args.producers == ALL_PRODUCERS)
            spans_invoke(&s->spans, ranks_stream(&s->ranks, e)->head.number, e->at_ns);
        break;
    case EV_SEND_COMPLETE:
        completed(s, e);
        if (s->args.producers == ALL_PRODUCERS)
            spans_complete(&s->spans, ranks_stream(&s->ranks, e)->head.number, e->at_ns);
        break;
    case EV_AUDIT_LOG:
        audited(s, e);
        break;
    case EV_DELIVER:
        if (s->args.at != AT_LOG)
            order_delivered(s, e);
        break;
    case EV_SETTLE_INVOKE:
        if (s->args.at != AT_LOG)
            order_settles(s, e);
        break;
    case EV_SETTLE_COMPLETE:
        order_settle_answered(s, e);
        break;
    case EV_AUDIT_EFFECT:
        journal_row(s, e);
        break;
    case EV_OWN:
        if (e->flags & EV_GAINED && s->args.at == AT_DELIVERY)
            order_gained(s, e);
        inflight_event(&s->inflight, e);
        break;
    case EV_CLIENT_DEATH:
        s->again += e->code == 9;
        inflight_event(&s->inflight, e);
        break;
    default:
        disturbance(s, e);
        break;
    }
}

CELLS_AHEAD void look_ahead(const void *self, const struct event *e)
{
    const struct order *s = self;
    const struct ranked_stream *session;
    const struct unit_duty *unit;

    if (e->type != s->looks_for)
        return;
    unit = duties_of(&s->units, e->unit);
    session = streams_recent(&s->ranks.streams, e);
    if (unit->dest == UINT32_MAX || !session || !session->seen)
        return;
    cells_prefetch(&session->seen[unit->dest], e->seq);
    if (s->args.at == AT_DELIVERY && unit->forgets) {
        uint64_t stream = order_stream_key(s, session, e);

        inflight_prefetch(&s->inflight, e);
        if (!table_spot_is(&s->settled, &session->settled, stream, e->unit)) {
            table_prefetch(&s->maxima, stream, order_owner_key(e));
            table_prefetch(&s->settled, stream, e->unit);
        }
    }
}

static void order_events(void *self, const struct event *events, size_t n)
{
    struct order *s = self;

    if (!s->second)
        streams_walk(s, events, n, look_ahead, one_event);
    for (size_t i = 0; i < n && s->second; i++)
        if (events[i].type == EV_AUDIT_LOG && !(events[i].flags & EV_MARKER) &&
            events[i].unit < s->plan->n_units)
            gaps_found(&s->gaps, &events[i], skipped, s);
}

static bool order_again(void *self, const struct drain_proof *proofs)
{
    struct order *s = self;

    (void)proofs;
    if (s->second || !s->late_gaps)
        return false;
    return s->second = true;
}

static void order_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct order *s = self;

    findings_move(out, &s->found);
    for (uint32_t u = 0; u < s->plan->n_units && s->args.at != AT_EFFECT; u++)
        if (!proofs[u].proven || proofs[u].level < DRAIN_D1)
            findings_inconclusive(out, "%s was not proven complete (D1)%s%.120s",
                                  s->plan->units[u].name, proofs[u].why[0] ? ": " : "",
                                  proofs[u].why);
    if (s->args.at == AT_EFFECT && !proofs[s->plan->n_units].proven)
        findings_inconclusive(out, "the stores were not proven quiet (D3)");
    if (s->unsorted)
        findings_inconclusive(out, "the journal was not read in the order of its versions");
    if (s->maxima.n >= s->maxima.max || s->ranks.full || s->gaps.full || s->inflight.full ||
        s->n_returned == RETURNED_MAX)
        findings_inconclusive(out,
                              "more re-sent, skipped or unsettled messages than can be remembered");
    out->exercised = s->args.at == AT_LOG
                         ? s->after + s->hazards.outstanding
                         : s->again + (s->owners > 1 ? s->owners - 1 : 0) + s->after;
}

static void order_close(void *self)
{
    struct order *s = self;

    ranks_release(&s->ranks);
    table_release(&s->maxima);
    table_release(&s->settled);
    table_release(&s->versions);
    table_release(&s->committed);
    inflight_release(&s->inflight);
    gaps_release(&s->gaps);
    hazards_release(&s->hazards);
    duties_release(&s->units);
    spans_release(&s->spans);
    free(s->returned);
    free(s->last);
    findings_release(&s->found);
}

static const struct param params[] = {
    {"by", PARAM_CHOICE, offsetof(struct order_args, by), .fallback = "partition",
     .choices = (const char *const[]){"partition", "key", NULL},
     .help = "what is ordered against each other"},
    {"at", PARAM_CHOICE, offsetof(struct order_args, at), .fallback = "log",
     .choices = (const char *const[]){"log", "delivery", "effect", NULL},
     .help = "where the order must be seen"},
    {"producers", PARAM_CHOICE, offsetof(struct order_args, producers), .fallback = "each",
     .choices = (const char *const[]){"each", "all", NULL},
     .help =
         "each: messages of one producer among themselves; all: (by key, at effect) also behind "
         "those of a producer that had ended before this one began"},
    {0}};

const struct checker_ops order_checker = {
    .name = "order",
    .property = "order",
    .kinds = (const char *const[]){"order", "redelivery_order", NULL},
    .about =
        "What one producer sent first comes first, in the log, to one owner, or in its effects",
    .params = params,
    .shorthand = "by",
    .args_size = sizeof(struct order_args),
    .size = sizeof(struct order),
    .wants = WANTS(SEND_INVOKE) | WANTS(SEND_COMPLETE) | WANTS(AUDIT_LOG) | WANTS(DELIVER) |
             WANTS(SETTLE_INVOKE) | WANTS(SETTLE_COMPLETE) | WANTS(AUDIT_EFFECT) | WANTS(OWN) |
             WANTS(CLIENT_DEATH) | HAZARD_EVENTS,
    .needs = DRAIN_D1,
    .order = BY_TIME,
    .bound = order_bound,
    .open = order_open,
    .events = order_events,
    .again = order_again,
    .finish = order_finish,
    .close = order_close,
};
