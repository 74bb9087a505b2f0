/*
 * What loss does once it knows what nothing has cleared: looks up when, where and by whom it was
 * acknowledged, what became of it, and what follows for the promise. Definitions: loss.c.
 */
#include "checkers/duties.h"
#include "checkers/loss_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- second pass: when, where and by whom was it acknowledged */

static struct window_loss *window_loss_of(struct loss *s, int64_t at_ns)
{
    const struct fault_window *in = windows_around(&s->hazards.windows, at_ns);

    if (!in)
        in = windows_next(&s->hazards.windows, at_ns);
    for (size_t i = 0; i < s->n_windows; i++)
        if (s->windows[i].window == (in ? in->id : 0))
            return &s->windows[i];
    s->windows = realloc(s->windows, (s->n_windows + 1) * sizeof(*s->windows));
    if (!s->windows)
        abort();
    s->windows[s->n_windows] = (struct window_loss){.window = in ? in->id : 0, .first_ns = at_ns};
    return &s->windows[s->n_windows++];
}

static void describe(const struct loss *s, const struct event *e, uint32_t dest, uint32_t unit,
                     struct finding_sample *sample)
{
    const struct plan_case *plan = s->plan;
    const struct fault_window *w = windows_around(&s->hazards.windows, e->at_ns);
    char where[80] = "";

    if (e->position >= 0 && !duties_forgets(plan, dest))
        snprintf(where, sizeof(where), " at position %lld", (long long)e->position);
    *sample = (struct finding_sample){.message = {e->seq, e->client, e->incarnation, e->worker},
                                      .unit = unit,
                                      .at_ns = e->at_ns,
                                      .window = w ? w->id : 0,
                                      .node = e->node};
    snprintf(sample->text, sizeof(sample->text), "%s by %s%s%s, %s %s",
             event_outcome(e) == OUTCOME_OK ? "acknowledged"
                                            : "believed sent, no answer asked for,",
             duties_node_name(plan, e->node), where, w ? " while the fault was on" : "",
             duties_settled_is_done(plan, dest) ? "neither settled nor left in"
                                                : "absent from the final log of",
             unit != NO_UNIT ? duties_unit_name(plan, unit) : plan->dests[dest].name);
}

static void lose(struct loss *s, const struct event *e, uint32_t dest, uint32_t unit,
                 const char *stage)
{
    struct finding_sample sample;
    struct window_loss *w;

    describe(s, e, dest, unit, &sample);
    snprintf(sample.stage, sizeof(sample.stage), "%s", stage);
    if (event_outcome(e) == OUTCOME_BELIEVED) {
        findings_add(&s->found, "lost_intent", 1, &sample);
        return;
    }
    w = window_loss_of(s, e->at_ns);
    if (!w->count)
        w->sample = sample;
    w->count++;
    if (e->at_ns < w->first_ns)
        w->first_ns = e->at_ns;
    if (e->at_ns > w->last_ns)
        w->last_ns = e->at_ns;
    if ((s->args.messages == 0 && s->args.time_ns == 0) || w->window == 0)
        findings_add(&s->found, "lost", 1, &sample);
}

/* A message with no unit of its own is judged by the worst of its destination's units. */
static enum judged_state judge_unit(struct loss *s, uint32_t dest, uint32_t unit, bool *open)
{
    const struct plan_dest *d = &s->plan->dests[dest];
    uint32_t first = unit != NO_UNIT ? unit : d->first_unit;
    uint32_t n = unit != NO_UNIT ? 1 : d->n_units;

    *open = false;
    for (uint32_t u = first; u < first + n; u++) {
        if (s->proofs[u].down)
            return UNDECIDED;
        if (!s->proofs[u].proven || s->proofs[u].level < DRAIN_D1) {
            *open = true;
            return UNDECIDED;
        }
    }
    return LOST;
}

/* One duty of an acknowledged (or believed) message that nothing has cleared. */
static void judge_duty(struct loss *s, struct loss_stream *stream, size_t d, const struct event *e)
{
    uint32_t dest = stream->dests[d], unit = duties_unit(s->plan, dest, e->unit);
    const struct open_op *sent = open_find(&stream->keys, e->seq);
    enum judged_state state;
    enum expiry why;
    char stage[40];
    bool open;

    state = judge_unit(s, dest, unit, &open);
    if (state == LOST) {
        why = fate_of(&s->fate, e, dest, unit, sent ? sent->notes[0] : -1, stage, sizeof(stage));
        if (why != EXPIRY_NONE && expiry_declared(&s->fate.expiry, dest, why))
            state = EXPIRED;
    }
    cells_set(&stream->duties[d].judged, e->seq, state);
    if (state == LOST)
        lose(s, e, dest, unit, stage);
    else if (state == EXPIRED)
        s->expired++;
    else if (open)
        s->open++;
    else
        s->undecided++;
}

void loss_judge(struct loss *s, const struct event *e)
{
    enum outcome outcome = event_outcome(e);
    unsigned suspect = outcome == OUTCOME_OK ? ACKED : BELIEVED;
    struct loss_stream *stream;

    if (outcome != OUTCOME_OK && outcome != OUTCOME_BELIEVED)
        return;
    stream = loss_stream_of(s, e);
    for (size_t d = 0; d < stream->n_duties; d++)
        if (cells_get(&stream->duties[d].state, e->seq) == suspect &&
            !s->handed[stream->dests[d]] &&
            cells_get(&stream->duties[d].judged, e->seq) == NOT_JUDGED)
            judge_duty(s, stream, d, e);
    open_end(&stream->keys, e->seq);
}

/* A compaction may only take a message that another of its key follows. */
static void remember_key(struct loss *s, struct loss_stream *stream, const struct event *e)
{
    struct open_op *sent = s->fate.expiry.compacts ? open_begin(&stream->keys, e->seq) : NULL;

    if (sent)
        sent->notes[0] = e->key;
}

void loss_attempted(struct loss *s, const struct event *e)
{
    struct loss_stream *stream;

    if (e->flags & EV_MARKER)
        return;
    stream = loss_stream_of(s, e);
    remember_key(s, stream, e);
    if (e->attempt > 0)
        return;
    for (size_t d = 0; d < stream->n_duties; d++)
        if (cells_get(&stream->duties[d].state, e->seq) != CLEARED &&
            !s->handed[stream->dests[d]]) {
            hazards_absent(&s->hazards, stream->dests[d], e->at_ns);
            break; /* one message, one hazard */
        }
}

/* A second look is worth it for what may be lost; for what was merely never acknowledged only where
 * it may be the hazard of a takeover. */
/* ---- the end */

static void report_rpo(const struct loss *s, struct findings *out)
{
    for (size_t i = 0; i < s->n_windows; i++) {
        struct window_loss *w = &s->windows[i];
        int64_t span_ns = w->last_ns - w->first_ns;
        bool many = s->args.messages > 0 && w->count > (uint64_t)s->args.messages;
        bool long_ago = s->args.time_ns > 0 && span_ns > s->args.time_ns;
        char rest[180];

        if (w->window == 0 || (!many && !long_ago))
            continue;
        snprintf(rest, sizeof(rest), "%.170s", w->sample.text);
        snprintf(w->sample.text, sizeof(w->sample.text), "%llu lost over %.3f s; first: %.170s",
                 (unsigned long long)w->count, (double)span_ns / 1e9, rest);
        w->sample.window = w->window;
        findings_add(out, "rpo", w->count, &w->sample);
    }
}

static void say_unproven(const struct loss *s, struct findings *out)
{
    for (uint32_t u = 0; u < s->plan->n_units; u++) {
        const struct drain_proof *p = &s->proofs[u];

        if (!s->used[s->plan->units[u].dest] || (p->proven && p->level >= DRAIN_D1))
            continue;
        if (p->down)
            findings_inconclusive(
                out, "nobody served %s at the end: %llu acknowledged messages are undecided",
                s->plan->units[u].name, (unsigned long long)s->undecided);
        else
            findings_inconclusive(out, "%s was not proven complete (D1)%s%.120s",
                                  s->plan->units[u].name, p->why[0] ? ": " : "", p->why);
    }
    if (s->inflight.full)
        findings_inconclusive(out, "a consumer held more than %llu unsettled messages",
                              (unsigned long long)INFLIGHT_MAX);
}

void loss_conclude(struct loss *s, struct findings *out)
{
    if (s->args.messages || s->args.time_ns)
        report_rpo(s, out);
    say_unproven(s, out);
    if (s->fate.expiry.full)
        findings_inconclusive(out, "more expired messages than can be remembered");
}
