/*
 * effect: exactly_once | at_least_once | at_most_once       findings: missing_effect,
 * duplicate_effect, balance
 *
 * c(m) = rows of an append-only journal *without* a unique key, written in the same database
 * transaction as the business change, read when the store is quiet (D3). duplicate: c ≥ 2. missing:
 * c = 0 and (m ok or m in the final log) and D2.
 *
 * Counter-examples: a journal keyed by m dedupes the evidence. A "processed" event in the client is
 * lost when it dies between COMMIT and the event: the journal is asked, not the client. An unknown
 * send that is not in the log owes no effect. What still stands in a queue owes it later: not D2.
 *
 * And per account: balance = initial + its journal (balance.h).
 *
 * Memory: 5 bits a message, 48 bytes an account. Leaves out: more than one journal (rows are not
 * told apart by who wrote them).
 */
#include "api/broker.h"
#include "api/checker.h"
#include "checkers/balance.h"
#include "checkers/cells.h"
#include "checkers/duties.h"
#include "checkers/fate.h"
#include "checkers/streams.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum promise { EXACTLY_ONCE, AT_LEAST_ONCE, AT_MOST_ONCE };
enum { ROWS_NONE, ROWS_ONE, ROWS_MANY };
enum { MET_LOGGED = 1, MET_DELIVERED = 2 };

struct effect_args {
    int how;
};

struct effect_stream {
    struct stream head;
    struct cells rows; /* ROWS_ */
    struct cells owed; /* 1: acknowledged or in the final log */
    struct cells told; /* second pass: 1 */
    struct cells met;  /* MET_ bits: how far it came without an effect */
    uint64_t end;      /* sequence numbers below may be owed */
};

struct effect {
    const struct plan_case *plan;
    enum promise how;
    bool *read;   /* per destination: a client of the plan consumes it */
    bool *owes;   /* per client number: it sends to such a destination */
    bool *judged; /* per client number: those consumers were proven done; second pass */
    struct streams streams;
    int64_t kills, again, moves, unanswered;
    bool *owned; /* per destination or group and unit: it had an owner before */
    bool owing;  /* something was acknowledged already */
    bool second;
    const struct drain_proof *proofs;
    struct balance balance;
    struct fate fate;
    struct findings found;
};

/* ---- who owes effects: what is sent to destinations that clients read */

static void find_readers(struct effect *s)
{
    const struct plan_case *plan = s->plan;

    for (size_t i = 0; i < plan->n_clients; i++) {
        long dest = plan_client_reads(plan, &plan->clients[i]);

        if (dest >= 0)
            s->read[dest] = true;
    }
    for (size_t i = 0; i < plan->n_clients; i++)
        for (size_t d = 0; d < plan->clients[i].n_duties; d++)
            if (s->read[duties_log_of(plan, plan->clients[i].duties[d])])
                for (unsigned k = 0; k < plan->clients[i].instances; k++)
                    s->owes[plan->clients[i].first_id + k] = true;
}

static size_t effect_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);

    (void)args;
    return sizeof(struct effect) + bound_cells(&v, 4) + fate_bound(plan) +
           bound_streams(&v, sizeof(struct effect_stream)) +
           (plan->n_dests + 1) * (plan->n_units + 2) + 2 * plan->n_client_ids;
}

static int effect_open(void *self, const struct plan_case *plan, const void *args,
                       const struct results *earlier, struct err *err)
{
    struct effect *s = self;

    (void)earlier;
    (void)err;
    *s = (struct effect){.plan = plan,
                         .how = args ? (enum promise)((const struct effect_args *)args)->how
                                     : EXACTLY_ONCE,
                         .streams = {.size = sizeof(struct effect_stream)},
                         .found = {.current = "effect"}};
    s->read = calloc(plan->n_dests + 1, sizeof(bool));
    s->owes = calloc(plan->n_client_ids + 1u, sizeof(bool));
    s->judged = calloc(plan->n_client_ids + 1u, sizeof(bool));
    s->owned = calloc((plan->n_dests + 1) * (plan->n_units + 1), sizeof(bool));
    if (!s->read || !s->owes || !s->judged || !s->owned)
        abort();
    find_readers(s);
    balance_open(&s->balance, plan);
    fate_open(&s->fate, plan);
    return 0;
}

/* ---- first pass */

static void owe(struct effect *s, const struct event *e)
{
    struct effect_stream *stream;

    if (e->client >= s->plan->n_client_ids || !s->owes[e->client])
        return;
    stream = streams_of(&s->streams, e);
    if (e->seq >= stream->end)
        stream->end = e->seq + 1;
    cells_set(&stream->owed, e->seq, 1);
    s->owing = true;
}

/* Where effects are left out or done again though nobody died: an owner after another one, and one
 * that found no committed position though messages were waiting. */
static void gained(struct effect *s, const struct event *e)
{
    size_t group = e->ref < s->plan->n_dests ? e->ref : s->plan->n_dests;
    bool *owned;

    if (!(e->flags & EV_GAINED) || e->unit >= s->plan->n_units)
        return;
    owned = &s->owned[group * (s->plan->n_units + 1) + e->unit];
    s->moves += *owned || (e->flags & EV_RESET && s->owing);
    *owned = true;
}

static void meet(struct effect *s, const struct event *e, unsigned bit)
{
    struct effect_stream *stream;

    if (e->client >= s->plan->n_client_ids || !s->owes[e->client] || e->flags & EV_MARKER)
        return;
    stream = streams_of(&s->streams, e);
    cells_set(&stream->met, e->seq, cells_get(&stream->met, e->seq) | bit);
}

static void row(struct effect *s, const struct event *e)
{
    struct effect_stream *stream = streams_of(&s->streams, e);
    struct finding_sample sample = {.message = {e->seq, e->client, e->incarnation, e->worker},
                                    .unit = NO_UNIT,
                                    .at_ns = e->at_ns,
                                    .node = NO_NODE};
    unsigned old = cells_get(&stream->rows, e->seq);

    if (old == ROWS_MANY)
        return;
    cells_set(&stream->rows, e->seq, old + 1);
    if (old == ROWS_NONE || s->how == AT_LEAST_ONCE)
        return;
    snprintf(sample.text, sizeof(sample.text),
             "its effect is in the journal more than once, again as row %lld",
             (long long)e->position);
    findings_add(&s->found, "duplicate_effect", 1, &sample);
}

static void first_pass(struct effect *s, const struct event *e)
{
    uint32_t dest;

    if (FATE_EVENTS >> e->type & 1)
        fate_event(&s->fate, e);
    switch (e->type) {
    case EV_SEND_COMPLETE:
        s->again += e->attempt > 0; /* sent again: there may be two of it */
        if (event_outcome(e) == OUTCOME_OK)
            owe(s, e);
        break;
    case EV_AUDIT_LOG:
        dest = duties_dest_of_unit(s->plan, e->unit);
        if (dest != UINT32_MAX && s->read[dest] && !(e->flags & EV_MARKER))
            owe(s, e);
        meet(s, e, MET_LOGGED);
        break;
    case EV_AUDIT_EFFECT:
        row(s, e);
        break;
    case EV_AUDIT_ENTRY:
    case EV_AUDIT_ITEM:
        balance_event(&s->balance, e);
        break;
    case EV_DELIVER:
        meet(s, e, MET_DELIVERED);
        s->again += (e->flags & EV_REDELIVERED) != 0;
        break;
    case EV_OWN:
        gained(s, e);
        break;
    case EV_CLIENT_DEATH:
        s->kills += e->code == 9;
        break;
    case EV_EFFECT_COMPLETE: /* a COMMIT nobody answered: redone, or taken for done */
        s->unanswered += event_outcome(e) == OUTCOME_UNKNOWN;
        break;
    default:
        break;
    }
}

/* ---- second pass: who acknowledged what has no effect */

static bool is_missing(const struct effect_stream *stream, uint64_t seq)
{
    return cells_get(&stream->owed, seq) && cells_get(&stream->rows, seq) == ROWS_NONE;
}

/* Consumers are done with what this destination holds. */
static bool done(const struct effect *s, uint32_t dest)
{
    const struct plan_dest *d = &s->plan->dests[dest];

    for (uint32_t u = d->first_unit; u < d->first_unit + d->n_units; u++)
        if (!s->proofs[u].proven || s->proofs[u].level < DRAIN_D2)
            return false;
    return s->proofs[s->plan->n_units].proven;
}

static bool can_judge(const struct effect *s, uint16_t client)
{
    const struct plan_client *c = plan_client_of_id(s->plan, client);

    for (size_t d = 0; c && d < c->n_duties; d++) {
        uint32_t dest = duties_log_of(s->plan, c->duties[d]);

        if (s->read[dest] && !done(s, dest))
            return false;
    }
    return c != NULL;
}

/* Where it got to: as far as its consumers, the log, or what became of it before. */
static void tell_stage(struct effect *s, const struct effect_stream *stream, const struct event *e,
                       struct finding_sample *sample)
{
    const struct plan_client *c = plan_client_of_id(s->plan, e->client);
    unsigned met = cells_get(&stream->met, e->seq);
    uint32_t dest = UINT32_MAX;

    for (size_t d = 0; c && d < c->n_duties; d++)
        if (s->read[duties_log_of(s->plan, c->duties[d])])
            dest = duties_log_of(s->plan, c->duties[d]);
    if (!met && dest != UINT32_MAX && e->type == EV_SEND_COMPLETE)
        fate_of(&s->fate, e, dest, duties_unit(s->plan, dest, e->unit), -1, sample->stage,
                sizeof(sample->stage));
    else
        stage_of(&(struct stage_facts){.invoked = true,
                                       .ok = true,
                                       .in_log = met & MET_LOGGED,
                                       .delivered = met & MET_DELIVERED},
                 sample->stage, sizeof(sample->stage));
}

static void missing(struct effect *s, const struct event *e)
{
    struct effect_stream *stream;
    struct finding_sample sample = {.message = {e->seq, e->client, e->incarnation, e->worker},
                                    .unit = e->unit,
                                    .at_ns = e->at_ns,
                                    .node = NO_NODE};

    if (e->flags & EV_MARKER || e->client >= s->plan->n_client_ids || !s->owes[e->client] ||
        (e->type == EV_SEND_COMPLETE && event_outcome(e) != OUTCOME_OK))
        return;
    stream = streams_of(&s->streams, e);
    if (!is_missing(stream, e->seq) || cells_get(&stream->told, e->seq) || !s->judged[e->client])
        return;
    cells_set(&stream->told, e->seq, 1);
    if (e->type == EV_SEND_COMPLETE)
        sample.node = e->node;
    snprintf(sample.text, sizeof(sample.text), "%s%s, and the journal has no row of it",
             e->type == EV_SEND_COMPLETE ? "acknowledged by " : "in the final log of ",
             e->type == EV_SEND_COMPLETE ? duties_node_name(s->plan, e->node)
                                         : duties_unit_name(s->plan, e->unit));
    tell_stage(s, stream, e, &sample);
    findings_add(&s->found, "missing_effect", 1, &sample);
}

static void effect_events(void *self, const struct event *events, size_t n)
{
    struct effect *s = self;

    for (size_t i = 0; i < n; i++)
        if (!s->second)
            first_pass(s, &events[i]);
        else if (events[i].type == EV_SEND_COMPLETE || events[i].type == EV_AUDIT_LOG)
            missing(s, &events[i]);
}

static bool effect_again(void *self, const struct drain_proof *proofs)
{
    struct effect *s = self;

    if (s->second || s->how == AT_MOST_ONCE)
        return false;
    s->second = true;
    s->proofs = proofs;
    for (uint16_t id = 0; id < s->plan->n_client_ids; id++)
        s->judged[id] = can_judge(s, id);
    for (uint32_t i = 0; i < s->streams.n; i++) {
        const struct effect_stream *stream = streams_at(&s->streams, i);

        for (uint64_t seq = cells_next(&stream->rows, 0, stream->end, 1u << ROWS_NONE);
             seq < stream->end;
             seq = cells_next(&stream->rows, seq + 1, stream->end, 1u << ROWS_NONE))
            if (is_missing(stream, seq))
                return true;
    }
    return false;
}

static void effect_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct effect *s = self;

    s->proofs = proofs;
    findings_move(out, &s->found);
    if (proofs[s->plan->n_units].proven)
        balance_finish(&s->balance, out);
    if (!proofs[s->plan->n_units].proven)
        findings_inconclusive(out, "the stores were not proven quiet (D3)%s%.140s",
                              proofs[s->plan->n_units].why[0] ? ": " : "",
                              proofs[s->plan->n_units].why);
    for (uint32_t d = 0; d < s->plan->n_dests && s->how != AT_MOST_ONCE; d++)
        if (s->read[d] && !s->plan->dests[d].group && !done(s, d))
            findings_inconclusive(out, "consumers of %s were not proven done (D2)",
                                  s->plan->dests[d].name);
    out->exercised = s->kills + s->again + s->moves + s->unanswered;
}

static void effect_close(void *self)
{
    struct effect *s = self;

    for (uint32_t i = 0; i < s->streams.n; i++) {
        struct effect_stream *stream = streams_at(&s->streams, i);

        cells_release(&stream->rows);
        cells_release(&stream->owed);
        cells_release(&stream->told);
        cells_release(&stream->met);
    }
    streams_release(&s->streams);
    balance_release(&s->balance);
    fate_release(&s->fate);
    free(s->read);
    free(s->owes);
    free(s->judged);
    free(s->owned);
    findings_release(&s->found);
}

static const struct param params[] = {
    {"how", PARAM_CHOICE, offsetof(struct effect_args, how), .fallback = "exactly_once",
     .choices = (const char *const[]){"exactly_once", "at_least_once", "at_most_once", NULL},
     .help = "how often the journal may hold the effect of one message"},
    {0}};

const struct checker_ops effect_checker = {
    .name = "effect",
    .property = "effect",
    .kinds = (const char *const[]){"missing_effect", "duplicate_effect", "balance", NULL},
    .about = "What was acknowledged had its effect in the store, as often as promised",
    .params = params,
    .shorthand = "how",
    .args_size = sizeof(struct effect_args),
    .size = sizeof(struct effect),
    .wants = WANTS(SEND_COMPLETE) | WANTS(AUDIT_LOG) | WANTS(AUDIT_EFFECT) | WANTS(DELIVER) |
             WANTS(EFFECT_COMPLETE) | WANTS(CLIENT_DEATH) | WANTS(OWN) | BALANCE_EVENTS |
             FATE_EVENTS,
    .needs = DRAIN_D2,
    .order = BY_TIME,
    .bound = effect_bound,
    .open = effect_open,
    .events = effect_events,
    .again = effect_again,
    .finish = effect_finish,
    .close = effect_close,
};
