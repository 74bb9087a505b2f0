/*
 * Counts of one run. A message's outcome is ok if any attempt is ok, else unknown if any is
 * unknown, else fail; what was sent and never completed is unknown (the invoke is on disk before
 * the bytes leave). Leaves out: judging.
 */
#include "report/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct message_stream {
    struct stream head;
    struct cells outcome; /* enum outcome, NONE … UNKNOWN */
};

struct delivered_stream {
    struct stream head;
    struct cells seen;
};

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

void counters_open(struct counters *c, const struct plan_case *plan,
                   const char *(*text)(void *context, uint16_t by, uint32_t ref), void *context)
{
    *c = (struct counters){.plan = plan,
                           .text = text,
                           .text_context = context,
                           .streams = {.size = sizeof(struct message_stream)}};
    latency_open(&c->latency);
    c->bursts = must(calloc(plan->n_bursts + 1, sizeof(*c->bursts)));
    c->clients = must(calloc(plan->n_client_ids + 1u, sizeof(*c->clients)));
    c->deliveries = must(calloc(plan->n_dests + 1, sizeof(*c->deliveries)));
    c->delivered = must(calloc(plan->n_dests + 1, sizeof(int64_t)));
    c->redelivered = must(calloc(plan->n_dests + 1, sizeof(int64_t)));
    for (size_t d = 0; d <= plan->n_dests; d++)
        c->deliveries[d].size = sizeof(struct delivered_stream);
}

static void text_of(const struct counters *c, const struct event *e, char *out, size_t size)
{
    const char *text = c->text && e->ref != NO_REF ? c->text(c->text_context, e->by, e->ref) : "";

    snprintf(out, size, "%s", text ? text : "");
}

static struct client_counts *client_of(struct counters *c, uint32_t id)
{
    return id < c->plan->n_client_ids ? &c->clients[id] : NULL;
}

/* ---- sending */

static int64_t *outcome_count(struct send_counts *counts, unsigned outcome)
{
    switch (outcome) {
    case OUTCOME_OK:
        return &counts->ok;
    case OUTCOME_FAIL:
        return &counts->fail;
    case OUTCOME_UNKNOWN:
        return &counts->unknown;
    default:
        return &counts->believed;
    }
}

static void count_send(struct counters *c, const struct event *e, unsigned outcome, int64_t change)
{
    struct client_counts *client = client_of(c, e->client);
    size_t burst = e->ref <= c->plan->n_bursts ? e->ref : 0;

    *outcome_count(&c->all, outcome) += change;
    *outcome_count(&c->bursts[burst], outcome) += change;
    if (client)
        *outcome_count(&client->sends, outcome) += change;
}

static void count_attempt(struct send_counts *counts, const struct event *e)
{
    if (e->attempt == 0)
        counts->sent++;
    else
        counts->resent++;
}

static void invoked(struct counters *c, const struct event *e)
{
    struct client_counts *client = client_of(c, e->client);

    latency_invoked(&c->latency, e);
    if (e->flags & EV_MARKER)
        return;
    count_attempt(&c->all, e);
    count_attempt(&c->bursts[e->ref <= c->plan->n_bursts ? e->ref : 0], e);
    if (client)
        count_attempt(&client->sends, e);
}

/* Of two outcomes of one message: ok over unknown over fail. */
static unsigned stronger(unsigned a, unsigned b)
{
    static const unsigned char weight[] = {0, 3, 1, 2, 3};

    return weight[b] > weight[a] ? b : a;
}

static void completed(struct counters *c, const struct event *e)
{
    struct message_stream *stream = streams_of(&c->streams, e);
    unsigned now = event_outcome(e);
    unsigned old = cells_get(&stream->outcome, e->seq), next;

    latency_completed(&c->latency, e);
    for (size_t i = 0; i < c->stamps.n; i++)
        if (window_contains(&c->stamps.items[i], e->at_ns)) {
            c->windows[i].completed++;
            c->windows[i].acked += now == OUTCOME_OK;
        }
    if (now == OUTCOME_NONE || now > OUTCOME_BELIEVED)
        return;
    if (now == OUTCOME_BELIEVED) { /* one per message: the application has moved on */
        count_send(c, e, now, 1);
        return;
    }
    next = stronger(old, now);
    if (next == old)
        return;
    if (old)
        count_send(c, e, old, -1);
    count_send(c, e, next, 1);
    cells_set(&stream->outcome, e->seq, next);
}

static void count_read(struct send_counts *counts, const struct event *e)
{
    counts->reads++;
    counts->hits += e->code == SOURCE_CACHE || e->code == SOURCE_LOCAL;
}

static void answered(struct counters *c, const struct event *e)
{
    struct client_counts *client = client_of(c, e->by);

    if (event_outcome(e) != OUTCOME_OK)
        return;
    count_read(&c->all, e);
    count_read(&c->bursts[e->ref <= c->plan->n_bursts ? e->ref : 0], e);
    if (client)
        count_read(&client->sends, e);
}

/* ---- receiving */

static uint32_t source_of(const struct counters *c, const struct event *e)
{
    if (e->unit >= c->plan->n_units)
        return (uint32_t)c->plan->n_dests;
    if (e->ref < c->plan->n_dests && c->plan->dests[e->ref].group)
        return e->ref;
    return c->plan->units[e->unit].dest;
}

static void delivered(struct counters *c, const struct event *e)
{
    uint32_t source = source_of(c, e);
    struct delivered_stream *stream = streams_of(&c->deliveries[source], e);
    struct client_counts *client = client_of(c, e->by);
    bool again = cells_get(&stream->seen, e->seq) || e->flags & EV_REDELIVERED;

    if (e->flags & EV_MARKER)
        return;
    cells_set(&stream->seen, e->seq, 1);
    c->delivered[source]++;
    c->redelivered[source] += again;
    if (client) {
        client->delivered++;
        client->redelivered += again;
    }
}

/* ---- the script */

static struct named_count *add_named(struct named_count **items, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp((*items)[i].name, name) == 0)
            return &(*items)[i];
    *items = must(realloc(*items, (*n + 1) * sizeof(**items)));
    (*items)[*n] = (struct named_count){0};
    snprintf((*items)[*n].name, sizeof((*items)[*n].name), "%s", name);
    return &(*items)[(*n)++];
}

static void waited(struct counters *c, const struct event *e)
{
    char text[900], name[sizeof(c->waits->name)];
    bool timed_out = event_outcome(e) == OUTCOME_UNKNOWN;

    text_of(c, e, text, sizeof(text));
    if (timed_out && !c->stopped[0])
        snprintf(c->stopped, sizeof(c->stopped), "%s%s",
                 strncmp(text, SCRIPT_STOPPED, strlen(SCRIPT_STOPPED)) == 0 ? "" : "timed out: ",
                 text[0] ? text : "a wait");
    if (timed_out)
        text[strcspn(text, ";")] = '\0'; /* what was seen instead is no part of its name */
    snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, text);
    add_named(&c->waits, &c->n_waits, name)->value = event_outcome(e) == OUTCOME_OK;
}

static void trigger(struct counters *c, const struct event *e)
{
    c->triggers = must(realloc(c->triggers, (c->n_triggers + 1) * sizeof(*c->triggers)));
    c->triggers[c->n_triggers].fired = event_outcome(e) == OUTCOME_OK;
    text_of(c, e, c->triggers[c->n_triggers].text, sizeof(c->triggers[0].text));
    c->interleaved += strcmp(c->triggers[c->n_triggers].text, "interleave") == 0;
    c->n_triggers++;
}

static void fault(struct counters *c, const struct event *e)
{
    size_t before = c->stamps.n;

    windows_event(&c->stamps, e);
    if (c->stamps.n > before) {
        c->windows = must(realloc(c->windows, c->stamps.n * sizeof(*c->windows)));
        c->windows[before] = (struct window_counts){0};
    }
}

/* "kill_clients: {node: primary}", not what it was resolved to ("→ redis-1", "$old = redis-1"). */
static void script(struct counters *c, const struct event *e)
{
    char verb[200];

    text_of(c, e, verb, sizeof(verb));
    verb[strcspn(verb, ": ")] = '\0';
    if (verb[0] >= 'a' && verb[0] <= 'z')
        add_named(&c->verbs, &c->n_verbs, verb)->value++;
}

static void died(struct counters *c, const struct event *e)
{
    struct client_counts *client = client_of(c, e->ref);

    if (!client)
        return;
    client->deaths++;
    client->kills += e->code == 9; /* SIGKILL */
    client->dead = true;
}

static void broken(struct counters *c, const struct event *e)
{
    c->full |= e->type == EV_FULL;
    if (c->broken[0])
        return;
    text_of(c, e, c->broken, sizeof(c->broken));
    if (e->type == EV_FULL || !c->broken[0])
        snprintf(c->broken, sizeof(c->broken), "%s",
                 e->type == EV_FULL ? "the history is full" : "the harness could not go on");
}

static void effect(struct counters *c, const struct event *e)
{
    struct client_counts *client = client_of(c, e->by);

    if (!client)
        return;
    if (e->type == EV_EFFECT_INVOKE) {
        client->effect_open++;
        return;
    }
    client->effect_open--;
    client->effects += event_outcome(e) == OUTCOME_OK;
    client->effect_unknown += event_outcome(e) == OUTCOME_UNKNOWN;
}

static void audited(struct counters *c, const struct event *e)
{
    uint32_t dest = e->unit < c->plan->n_units ? c->plan->units[e->unit].dest : UINT32_MAX;

    if (dest != UINT32_MAX && !(e->flags & EV_MARKER) &&
        (c->plan->dests[dest].kind == UNIT_QUEUE || c->plan->dests[dest].kind == UNIT_LIST))
        c->remaining++;
}

static void started(struct counters *c, const struct event *e)
{
    struct client_counts *client = client_of(c, e->by);
    char library[200];

    if (client)
        client->dead = false;
    text_of(c, e, library, sizeof(library));
    client_libraries_told(&c->libraries, library);
}

static void rare_event(struct counters *c, const struct event *e)
{
    char name[200];

    switch (e->type) {
    case EV_NOTE:
        text_of(c, e, name, sizeof(name));
        add_named(&c->notes, &c->n_notes, name)->value = e->value;
        break;
    case EV_WAITED:
        waited(c, e);
        break;
    case EV_TRIGGER:
        trigger(c, e);
        break;
    case EV_FAULT:
        fault(c, e);
        break;
    case EV_SCRIPT:
        script(c, e);
        break;
    case EV_CLIENT_DEATH:
        died(c, e);
        break;
    case EV_CLIENT_START:
        started(c, e);
        break;
    case EV_BROKEN:
    case EV_FULL:
        broken(c, e);
        break;
    case EV_STALL:
        c->stalls++;
        if (e->value > c->longest_stall_ns)
            c->longest_stall_ns = e->value;
        break;
    case EV_DRIVER:
        c->driver = *e;
        break;
    case EV_HAZARD:
        if (e->code == HAZARD_OUTSTANDING && e->value > c->outstanding_at_kill)
            c->outstanding_at_kill = e->value;
        break;
    default:
        break;
    }
}

void counters_events(void *counters, const struct event *events, size_t n)
{
    struct counters *c = counters;

    c->events += (int64_t)n;
    for (size_t i = 0; i < n; i++) {
        const struct event *e = &events[i];

        if (!c->first_ns || e->at_ns < c->first_ns)
            c->first_ns = e->at_ns;
        if (e->at_ns > c->last_ns)
            c->last_ns = e->at_ns;
        switch (e->type) {
        case EV_SEND_INVOKE:
            invoked(c, e);
            break;
        case EV_SEND_COMPLETE:
            completed(c, e);
            break;
        case EV_DELIVER:
            delivered(c, e);
            break;
        case EV_SETTLE_COMPLETE:
            if (e->by < c->plan->n_client_ids && event_outcome(e) == OUTCOME_OK)
                c->clients[e->by].settled++;
            break;
        case EV_EFFECT_INVOKE:
        case EV_EFFECT_COMPLETE:
            effect(c, e);
            break;
        case EV_READ_COMPLETE:
            answered(c, e);
            break;
        case EV_WRITE_INVOKE:
            c->keyed.writes++;
            break;
        case EV_WRITE_COMPLETE:
            c->keyed.writes_ok += event_outcome(e) == OUTCOME_OK;
            c->keyed.writes_fail += event_outcome(e) == OUTCOME_FAIL;
            break;
        case EV_LOCK_COMPLETE:
            c->keyed.locks += event_outcome(e) == OUTCOME_OK;
            break;
        case EV_AUDIT_EFFECT:
            c->journal++;
            break;
        case EV_AUDIT_LOG:
            audited(c, e);
            break;
        default:
            rare_event(c, e);
            break;
        }
    }
}

static void never_answered(struct send_counts *s)
{
    int64_t open = s->sent - s->ok - s->fail - s->unknown - s->believed;

    s->unknown += open > 0 ? open : 0;
}

/* "cut|lag|kafka-1,kafka-2" */
static void name_window(const struct counters *c, struct window_counts *w)
{
    const char *text = c->text && w->stamps.text
                           ? c->text(c->text_context, w->stamps.text_by, w->stamps.text)
                           : "";
    const char *name = text ? strchr(text, '|') : NULL,
               *targets = name ? strchr(name + 1, '|') : NULL;

    if (!targets) {
        snprintf(w->kind, sizeof(w->kind), "%.30s", text && text[0] ? text : "fault");
        return;
    }
    snprintf(w->kind, sizeof(w->kind), "%.*s", (int)(name - text), text);
    snprintf(w->name, sizeof(w->name), "%.*s", (int)(targets - name - 1), name + 1);
    snprintf(w->targets, sizeof(w->targets), "%s", targets + 1);
}

void counters_finish(struct counters *c)
{
    never_answered(&c->all);
    for (size_t b = 0; b <= c->plan->n_bursts; b++)
        never_answered(&c->bursts[b]);
    for (size_t i = 0; i < c->plan->n_client_ids; i++) {
        never_answered(&c->clients[i].sends);
        c->clients[i].effect_unknown +=
            c->clients[i].effect_open > 0 ? c->clients[i].effect_open : 0;
        c->clients[i].effect_open = 0;
    }
    c->n_windows = c->stamps.n;
    for (size_t i = 0; i < c->n_windows; i++) {
        c->windows[i].stamps = c->stamps.items[i];
        name_window(c, &c->windows[i]);
    }
}

void counters_release(struct counters *c)
{
    for (uint32_t i = 0; i < c->streams.n; i++)
        cells_release(&((struct message_stream *)streams_at(&c->streams, i))->outcome);
    streams_release(&c->streams);
    for (size_t d = 0; c->plan && d <= c->plan->n_dests; d++) {
        for (uint32_t i = 0; i < c->deliveries[d].n; i++)
            cells_release(&((struct delivered_stream *)streams_at(&c->deliveries[d], i))->seen);
        streams_release(&c->deliveries[d]);
    }
    windows_release(&c->stamps);
    latency_release(&c->latency);
    free(c->bursts);
    free(c->clients);
    free(c->deliveries);
    free(c->delivered);
    free(c->redelivered);
    free(c->windows);
    free(c->notes);
    free(c->waits);
    free(c->verbs);
    free(c->triggers);
    *c = (struct counters){0};
}
