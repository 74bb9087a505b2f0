/*
 * loss: {gaps: allowed | lost}                          finding: lost (of channels)
 *
 * A channel keeps nothing, so a message owes itself to the subscriptions there are: duty = (m,
 * subscription) for every m that was invoked after the server had confirmed the subscription and
 * acknowledged before its end was seen. With `gaps: lost` the times between two subscriptions of
 * one subscriber count as if it had been there. lost: a duty that subscriber was never handed.
 * Needs a horizon: a subscription that lasted to the end was handed the drain's marker, which was
 * published after every sender had left (one connection, one server: what came before is before).
 *
 * Counter-example: PUBLISH answered 0 and the client took it for an ok; nobody was subscribed, so
 * nobody is owed anything: lost only where gaps were promised to count.
 * And: a subscriber that died owes itself what came after its last message: its own death, no loss.
 *
 * Memory: two bits a message and subscriber, what is between invoke and answer in a table. Leaves
 * out: subscribers on replicas (a publish reaches them later than its answer).
 */
#include "api/checker.h"
#include "checkers/cells.h"
#include "checkers/duties.h"
#include "checkers/streams.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum gaps { GAPS_ALLOWED, GAPS_LOST };
enum { HANDED = 1, TOLD = 2 };

struct subscription_args {
    int gaps;
};

struct epoch {
    int64_t began_ns, ended_ns; /* INT64_MAX: lasts */
    bool marked;                /* it was handed the marker */
};

struct subscriber {
    uint16_t by;
    uint32_t unit;
    struct epoch *epochs;
    size_t n;
    int64_t last_ns;        /* its last message */
    bool unproven;          /* it left without the marker */
    struct streams streams; /* of struct handed_stream */
};

struct handed_stream {
    struct stream head;
    struct cells handed; /* HANDED, TOLD */
};

struct subscription {
    const struct plan_case *plan;
    enum gaps gaps;
    int64_t clock_error_ns;
    bool channels; /* the case has one that somebody must be reached by */
    struct subscriber *items;
    size_t n;
    struct streams senders; /* numbers for the table below */
    struct table invoked;   /* message → first invoke */
    int64_t ends;           /* subscriptions that ended before the case did */
    bool second;
    struct findings found;
};

static bool is_channel(const struct subscription *s, uint32_t unit)
{
    return unit < s->plan->n_units &&
           s->plan->dests[s->plan->units[unit].dest].kind == UNIT_CHANNEL;
}

static int subscription_open(void *self, const struct plan_case *plan, const void *args,
                             const struct results *earlier, struct err *err)
{
    struct subscription *s = self;

    (void)err;
    *s = (struct subscription){.plan = plan,
                               .clock_error_ns = results_clock_error_ns(earlier),
                               .senders = {.size = sizeof(struct stream)},
                               .found = {.current = "subscription"}};
    if (args)
        s->gaps = (enum gaps)((const struct subscription_args *)args)->gaps;
    for (size_t i = 0; i < plan->n_clients; i++)
        for (size_t d = 0; d < plan->clients[i].n_duties; d++)
            s->channels |= plan->dests[plan->clients[i].duties[d]].kind == UNIT_CHANNEL;
    return 0;
}

/* ---- first pass: who was subscribed when, and was handed what */

static struct subscriber *subscriber_of(struct subscription *s, uint16_t by, uint32_t unit)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].by == by && s->items[i].unit == unit)
            return &s->items[i];
    s->items = realloc(s->items, (s->n + 1) * sizeof(*s->items));
    if (!s->items)
        abort();
    s->items[s->n] = (struct subscriber){
        .by = by, .unit = unit, .streams = {.size = sizeof(struct handed_stream)}};
    return &s->items[s->n++];
}

static void begin_epoch(struct subscriber *sub, int64_t at_ns)
{
    sub->epochs = realloc(sub->epochs, (sub->n + 1) * sizeof(*sub->epochs));
    if (!sub->epochs)
        abort();
    sub->epochs[sub->n++] = (struct epoch){.began_ns = at_ns, .ended_ns = INT64_MAX};
}

static void end_epoch(struct subscription *s, struct subscriber *sub, int64_t at_ns)
{
    struct epoch *last = sub->n ? &sub->epochs[sub->n - 1] : NULL;

    if (!last || last->ended_ns != INT64_MAX)
        return;
    last->ended_ns = at_ns;
    s->ends++;
}

static void owned(struct subscription *s, const struct event *e)
{
    struct subscriber *sub;

    if (!is_channel(s, e->unit))
        return;
    sub = subscriber_of(s, e->by, e->unit);
    if (e->flags & EV_GAINED)
        begin_epoch(sub, e->at_ns);
    else if (e->flags & EV_LOST)
        end_epoch(s, sub, e->at_ns);
}

static void delivered(struct subscription *s, const struct event *e)
{
    struct subscriber *sub;
    struct handed_stream *stream;

    if (!is_channel(s, e->unit))
        return;
    sub = subscriber_of(s, e->by, e->unit);
    sub->last_ns = e->at_ns;
    if (e->flags & EV_MARKER) {
        if (sub->n)
            sub->epochs[sub->n - 1].marked = true;
        return;
    }
    stream = streams_of(&sub->streams, e);
    cells_set(&stream->handed, e->seq, HANDED);
}

static void died(struct subscription *s, uint32_t by)
{
    for (size_t i = 0; i < s->n; i++) {
        struct subscriber *sub = &s->items[i];

        if (sub->by == by && sub->n)
            end_epoch(s, sub, sub->last_ns > 0 ? sub->last_ns : sub->epochs[sub->n - 1].began_ns);
    }
}

static void first_pass(struct subscription *s, const struct event *e)
{
    switch (e->type) {
    case EV_OWN:
        owned(s, e);
        break;
    case EV_DELIVER:
        delivered(s, e);
        break;
    case EV_CLIENT_DEATH:
        died(s, e->ref);
        break;
    default:
        break;
    }
}

/* ---- second pass: what each of them was owed */

/* The epoch that contains the whole of an operation; NULL: none. */
static const struct epoch *epoch_around(const struct subscription *s, const struct subscriber *sub,
                                        int64_t from_ns, int64_t to_ns)
{
    for (size_t i = 0; i < sub->n; i++) {
        const struct epoch *e = &sub->epochs[i];

        if (e->began_ns + s->clock_error_ns < from_ns &&
            (e->ended_ns == INT64_MAX || to_ns + s->clock_error_ns < e->ended_ns))
            return e;
    }
    return NULL;
}

/* Between its first subscription and the end of its last. */
static bool between(const struct subscription *s, const struct subscriber *sub, int64_t from_ns,
                    int64_t to_ns)
{
    const struct epoch *last = sub->n ? &sub->epochs[sub->n - 1] : NULL;

    return last && sub->epochs[0].began_ns + s->clock_error_ns < from_ns &&
           (last->ended_ns == INT64_MAX || to_ns + s->clock_error_ns < last->ended_ns);
}

static void lose(struct subscription *s, const struct subscriber *sub, const struct event *e,
                 bool in_gap)
{
    const struct plan_client *client = plan_client_of_id(s->plan, sub->by);
    struct finding_sample sample = {.message = {e->seq, e->client, e->incarnation, e->worker},
                                    .unit = sub->unit,
                                    .at_ns = e->at_ns,
                                    .node = e->node};

    snprintf(sample.stage, sizeof(sample.stage), "%s",
             in_gap ? "between subscriptions" : "while subscribed");
    snprintf(sample.text, sizeof(sample.text),
             "acknowledged by %s %s of %s to %s, never handed to it",
             duties_node_name(s->plan, e->node),
             in_gap ? "between two subscriptions" : "during a subscription",
             client ? client->name : "?", duties_unit_name(s->plan, sub->unit));
    findings_add(&s->found, "lost", 1, &sample);
}

static void judge_for(struct subscription *s, struct subscriber *sub, const struct event *e,
                      int64_t invoked_ns)
{
    const struct epoch *epoch = epoch_around(s, sub, invoked_ns, e->at_ns);
    bool in_gap = !epoch && s->gaps == GAPS_LOST && between(s, sub, invoked_ns, e->at_ns);
    struct handed_stream *stream = streams_of(&sub->streams, e);

    if ((!epoch && !in_gap) || cells_get(&stream->handed, e->seq))
        return;
    if (epoch && epoch->ended_ns == INT64_MAX && !epoch->marked) {
        sub->unproven = true; /* it may have been on its way */
        return;
    }
    cells_set(&stream->handed, e->seq, TOLD);
    lose(s, sub, e, in_gap);
}

static bool owes(const struct subscription *s, uint16_t client, uint32_t unit)
{
    const struct plan_client *c = plan_client_of_id(s->plan, client);

    for (size_t d = 0; c && d < c->n_duties; d++)
        if (c->duties[d] == s->plan->units[unit].dest)
            return true;
    return false;
}

static void second_pass(struct subscription *s, const struct event *e)
{
    const struct stream *sender = streams_of(&s->senders, e);
    uint64_t key = message_key(sender->number, e->seq);
    uint64_t *at_ns;

    if (e->type == EV_SEND_INVOKE) {
        at_ns = table_put(&s->invoked, key, 0);
        if (*at_ns == 0)
            *at_ns = (uint64_t)e->at_ns;
        return;
    }
    at_ns = table_get(&s->invoked, key, 0);
    if (!at_ns || event_outcome(e) != OUTCOME_OK)
        return;
    for (size_t i = 0; i < s->n; i++)
        if (owes(s, e->client, s->items[i].unit))
            judge_for(s, &s->items[i], e, (int64_t)*at_ns);
}

static void subscription_events(void *self, const struct event *events, size_t n)
{
    struct subscription *s = self;

    for (size_t i = 0; s->channels && i < n; i++)
        if (!s->second)
            first_pass(s, &events[i]);
        else if (events[i].type == EV_SEND_INVOKE || events[i].type == EV_SEND_COMPLETE)
            second_pass(s, &events[i]);
}

static bool subscription_again(void *self, const struct drain_proof *proofs)
{
    struct subscription *s = self;
    bool again = !s->second && s->n > 0;

    (void)proofs;
    s->second = true;
    return again;
}

static void subscription_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct subscription *s = self;

    (void)proofs;
    findings_move(out, &s->found);
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].unproven)
            findings_inconclusive(out, "a subscriber of %s left before the marker reached it",
                                  duties_unit_name(s->plan, s->items[i].unit));
    out->exercised = s->channels ? s->ends : -1;
}

static void subscription_close(void *self)
{
    struct subscription *s = self;

    for (size_t i = 0; i < s->n; i++) {
        struct subscriber *sub = &s->items[i];

        for (uint32_t k = 0; k < sub->streams.n; k++)
            cells_release(&((struct handed_stream *)streams_at(&sub->streams, k))->handed);
        streams_release(&sub->streams);
        free(sub->epochs);
    }
    free(s->items);
    streams_release(&s->senders);
    table_release(&s->invoked);
    findings_release(&s->found);
}

/* Client processes that a channel may have as subscribers: all of them. */
static size_t subscription_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);
    bool channels = false;

    (void)args;
    for (size_t d = 0; d < plan->n_dests; d++)
        channels |= plan->dests[d].kind == UNIT_CHANNEL;
    if (!channels)
        return sizeof(struct subscription);
    return sizeof(struct subscription) + bound_table(v.messages, 0) +
           plan->n_client_ids *
               (bound_cells(&v, 1) + bound_streams(&v, sizeof(struct handed_stream)) +
                (size_t)(v.windows + 2) * sizeof(struct epoch));
}

static const struct param params[] = {
    {"gaps", PARAM_CHOICE, offsetof(struct subscription_args, gaps), .fallback = "allowed",
     .choices = (const char *const[]){"allowed", "lost", NULL},
     .help =
         "channels: what was published between two subscriptions of one subscriber is nobody's, or "
         "lost"},
    {0}};

const struct checker_ops subscription_checker = {
    .name = "subscription",
    .property = "loss",
    .kinds = (const char *const[]){"lost", NULL},
    .about = "What was published while somebody was subscribed was handed to it",
    .params = params,
    .args_size = sizeof(struct subscription_args),
    .size = sizeof(struct subscription),
    .wants = WANTS(SEND_INVOKE) | WANTS(SEND_COMPLETE) | WANTS(DELIVER) | WANTS(OWN) |
             WANTS(CLIENT_DEATH),
    .needs = DRAIN_D1,
    .order = BY_TIME,
    .bound = subscription_bound,
    .open = subscription_open,
    .events = subscription_events,
    .again = subscription_again,
    .finish = subscription_finish,
    .close = subscription_close,
};
