/*
 * Always on, whatever was promised           findings: corrupt, phantom, fail_visible,
 * offset_conflict, offset_regress
 *
 * corrupt: a payload failed its checksum. phantom: an attempt was seen (delivered, in the final
 * log, its effect in the journal) that nobody ever invoked, a payload that is not of this run, or a
 * version of a key that nobody had written (invented.h).
 * fail_visible: an attempt that definitely failed was seen. offset_conflict: one (unit, position)
 * bound to two attempts by ack/ack, ack/read or read/read. offset_regress: a group's committed
 * position, ok, is found further back later: at the start of an ownership interval or by the audit.
 *
 * Counter-examples: a delivery recorded before the invoke's own event reached the merge is no
 * phantom (the write-ahead rule puts the invoke on disk first, so only the end of the history
 * decides). An unknown that is seen is no fail_visible. Delivery tags of queues are no positions:
 * they are the channel's, and two channels use the same ones. A consumer that commits backwards
 * itself is not regressed by the broker.
 *
 * Memory: 2 bits a message, 4 bytes a log position (bounded, then inconclusive), what is re-sent
 * in a table. A topic deleted and made again is another log from there on (unit_new).
 */
#include "api/checker.h"
#include "checkers/cells.h"
#include "checkers/duties.h"
#include "checkers/invented.h"
#include "checkers/positions.h"
#include "checkers/streams.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAILED = 1, SEEN = 2, TOLD = 3 };
enum { ATTEMPT_INVOKED = 1, ATTEMPT_FAILED = 2, ATTEMPT_SEEN = 4, ATTEMPT_TOLD = 8 };

#define RESENDS_MAX (1u << 22)
#define STRANGERS_MAX 65536u

struct always_stream {
    struct stream head;
    uint64_t invoked;
    struct cells first; /* first attempts */
};

struct committed {
    int64_t position;
    int64_t at_ns;
    uint32_t unit;
};

struct always {
    const struct plan_case *plan;
    struct streams streams;
    struct table resends; /* (message, attempt) → ATTEMPT_ bits */
    struct positions positions;
    struct table groups; /* (group, unit) → number of a committed, from 1 */
    struct committed *committed;
    size_t n_committed;
    struct event *strangers; /* seen, but not (yet) invoked: the end of the history decides */
    size_t n_strangers;
    bool too_many;
    int64_t clock_error_ns;
    struct invented invented;
    struct findings found;
};

static int always_open(void *self, const struct plan_case *plan, const void *args,
                       const struct results *earlier, struct err *err)
{
    struct always *s = self;

    (void)args;
    (void)err;
    *s = (struct always){.plan = plan,
                         .streams = {.size = sizeof(struct always_stream)},
                         .resends = {.max = RESENDS_MAX},
                         .found = {.current = "always"}};
    s->clock_error_ns = results_clock_error_ns(earlier);
    invented_open(&s->invented, s->clock_error_ns);
    return 0;
}

static size_t always_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);
    uint64_t positions = v.messages + v.resends, strangers = positions;
    uint64_t chunks = 2 * positions / POSITIONS_CHUNK + plan->n_units; /* with gaps: half full */

    (void)args;
    chunks = chunks < POSITIONS_CHUNKS_MAX ? chunks : POSITIONS_CHUNKS_MAX;
    strangers = strangers < STRANGERS_MAX ? strangers : STRANGERS_MAX;
    return sizeof(struct always) + invented_bound(plan) + bound_cells(&v, 1) +
           bound_streams(&v, sizeof(struct always_stream)) + bound_table(v.resends, RESENDS_MAX) +
           (size_t)chunks * (POSITIONS_CHUNK * sizeof(uint32_t) + 5 * sizeof(void *)) +
           bound_table(chunks, 0) + 3 * (size_t)strangers * sizeof(struct event) +
           bound_table(strangers, 0) +
           (plan->n_dests * plan->n_units + 1) * 3 * sizeof(struct committed) +
           bound_table(plan->n_dests * plan->n_units, 0);
}

static void tell(struct always *s, const char *kind, const struct event *e, const char *text)
{
    struct finding_sample sample = {.message = {e->seq, e->client, e->incarnation, e->worker},
                                    .unit = e->unit,
                                    .at_ns = e->at_ns,
                                    .node = NO_NODE};

    if (e->type == EV_CORRUPT || e->type == EV_OWN || e->type == EV_AUDIT_SETTLED)
        sample.message = (struct msg_id){.seq = UINT64_MAX};
    if (e->type == EV_SEND_COMPLETE)
        sample.node = e->node;
    snprintf(sample.text, sizeof(sample.text), "%s", text);
    findings_add(&s->found, kind, 1, &sample);
}

/* ---- fail_visible, phantom */

static void tell_visible(struct always *s, const struct event *e)
{
    tell(s, "fail_visible", e,
         e->type == EV_SEND_COMPLETE
             ? "refused for certain, after a consumer had already been given it"
             : "refused for certain, and yet it is there");
}

static uint64_t *resend_of(struct always *s, const struct always_stream *stream,
                           const struct event *e)
{
    uint64_t *bits = table_put(&s->resends, message_key(stream->head.number, e->seq), e->attempt);

    s->too_many |= !bits;
    return bits;
}

/* `mine` was just learnt of this attempt; together with `other` it is fail_visible, told once. */
static void learn(struct always *s, struct always_stream *stream, const struct event *e,
                  unsigned mine)
{
    if (e->attempt == 0) {
        unsigned old = cells_get(&stream->first, e->seq);

        if (old == TOLD || old == mine)
            return;
        cells_set(&stream->first, e->seq, old ? TOLD : mine);
        if (old)
            tell_visible(s, e);
    } else {
        uint64_t *bits = resend_of(s, stream, e);

        if (!bits)
            return;
        *bits |= mine == FAILED ? ATTEMPT_FAILED : ATTEMPT_SEEN;
        if (~*bits & (ATTEMPT_FAILED | ATTEMPT_SEEN) || *bits & ATTEMPT_TOLD)
            return;
        *bits |= ATTEMPT_TOLD;
        tell_visible(s, e);
    }
}

static void invoked(struct always *s, const struct event *e)
{
    struct always_stream *stream = streams_of(&s->streams, e);
    uint64_t *bits;

    if (e->seq >= stream->invoked)
        stream->invoked = e->seq + 1;
    if (e->attempt > 0 && (bits = resend_of(s, stream, e)))
        *bits |= ATTEMPT_INVOKED;
}

static bool was_invoked(struct always *s, const struct always_stream *stream, const struct event *e)
{
    const uint64_t *bits;

    if (e->seq >= stream->invoked)
        return false;
    if (e->attempt == 0 || s->resends.n >= s->resends.max)
        return true;
    bits = table_get(&s->resends, message_key(stream->head.number, e->seq), e->attempt);
    return bits && *bits & ATTEMPT_INVOKED;
}

static void seen(struct always *s, const struct event *e)
{
    struct always_stream *stream = streams_of(&s->streams, e);

    if (!was_invoked(s, stream, e)) {
        if (s->n_strangers == STRANGERS_MAX) {
            s->too_many = true;
            return;
        }
        if ((s->n_strangers & (s->n_strangers - 1)) == 0)
            s->strangers = realloc(s->strangers, (s->n_strangers ? s->n_strangers * 2 : 1) *
                                                     sizeof(*s->strangers));
        if (!s->strangers)
            abort();
        s->strangers[s->n_strangers++] = *e;
    }
    if (e->type != EV_AUDIT_EFFECT)
        learn(s, stream, e, SEEN);
}

/* ---- offset_conflict */

static bool has_positions(const struct always *s, const struct event *e)
{
    uint32_t dest = duties_dest_of_unit(s->plan, e->unit);

    return dest != UINT32_MAX && e->position >= 0 &&
           (s->plan->dests[dest].kind == UNIT_LOG || s->plan->dests[dest].kind == UNIT_STREAM);
}

static void bind(struct always *s, const struct event *e)
{
    char text[200];

    if (!has_positions(s, e) || !positions_bind(&s->positions, e))
        return;
    snprintf(text, sizeof(text), "%s at position %lld of %s, where another one was before",
             e->type == EV_SEND_COMPLETE ? "acknowledged" : "read", (long long)e->position,
             duties_unit_name(s->plan, e->unit));
    tell(s, "offset_conflict", e, text);
}

/* ---- offset_regress */

static struct committed *committed_of(struct always *s, const struct event *e, bool make)
{
    uint64_t *number =
        make ? table_put(&s->groups, e->ref, e->unit) : table_get(&s->groups, e->ref, e->unit);

    if (!number)
        return NULL;
    if (!*number) {
        if ((s->n_committed & (s->n_committed - 1)) == 0)
            s->committed = realloc(s->committed, (s->n_committed ? s->n_committed * 2 : 1) *
                                                     sizeof(*s->committed));
        if (!s->committed)
            abort();
        s->committed[s->n_committed++] = (struct committed){.position = -1, .unit = e->unit};
        *number = s->n_committed;
    }
    return &s->committed[*number - 1];
}

/* Asked or answered: what may have become the committed position. */
static void settles(struct always *s, const struct event *e)
{
    struct committed *c;

    if (!has_positions(s, e) || !(e->flags & EV_CUMULATIVE))
        return;
    c = committed_of(s, e, true);
    if (e->type == EV_SETTLE_COMPLETE && event_outcome(e) == OUTCOME_OK)
        *c = (struct committed){e->position, e->at_ns, e->unit};
    else if (e->type == EV_SETTLE_INVOKE && e->position < c->position)
        c->position = e->position;
}

static void found_at(struct always *s, const struct event *e)
{
    const struct committed *c = committed_of(s, e, false);
    char text[200];

    if (!c || !has_positions(s, e) || e->position >= c->position)
        return;
    if (e->type == EV_OWN && !(e->flags & EV_GAINED))
        return;
    if (e->at_ns - s->clock_error_ns <= c->at_ns)
        return; /* asked beside the settle, for all the clocks can tell */
    snprintf(text, sizeof(text), "%s was settled up to position %lld, and later found at %lld",
             duties_unit_name(s->plan, e->unit), (long long)c->position, (long long)e->position);
    tell(s, "offset_regress", e, text);
}

static void renewed(struct always *s, uint32_t unit)
{
    positions_renew(&s->positions, unit);
    for (size_t i = 0; i < s->n_committed; i++)
        if (s->committed[i].unit == unit)
            s->committed[i].position = -1;
}

/* ---- phantom: a version nobody wrote */

static void tell_invented(void *context, const struct event *read)
{
    struct always *s = context;
    struct finding_sample sample = {
        .message = {.seq = UINT64_MAX}, .unit = NO_UNIT, .at_ns = read->at_ns, .node = NO_NODE};
    struct msg_id id = {read->seq, read->client, read->incarnation, read->worker};
    char reader[80];

    message_name(s->plan, &id, reader, sizeof(reader));
    snprintf(sample.text, sizeof(sample.text),
             "read %s was served version %lld of key %u by %s, which nobody had begun to write",
             reader, (long long)read->value, read->key, source_name(read->code));
    findings_add(&s->found, "phantom", 1, &sample);
}

/* ---- the events */

static void one_event(struct always *s, const struct event *e)
{
    switch (e->type) {
    case EV_SEND_INVOKE:
        invoked(s, e);
        break;
    case EV_SEND_COMPLETE:
        if (event_outcome(e) == OUTCOME_FAIL)
            learn(s, streams_of(&s->streams, e), e, FAILED);
        else if (event_outcome(e) == OUTCOME_OK && event_level(e) > LEVEL_SENT)
            bind(s, e);
        break;
    case EV_DELIVER:
    case EV_AUDIT_LOG:
        if (!(e->flags & EV_MARKER))
            seen(s, e);
        bind(s, e);
        break;
    case EV_AUDIT_EFFECT:
        seen(s, e);
        break;
    case EV_CORRUPT:
        tell(s, e->code == 2 ? "phantom" : "corrupt", e,
             e->code == 2 ? "a payload that is not of this run" : "a payload failed its checksum");
        break;
    case EV_SETTLE_INVOKE:
    case EV_SETTLE_COMPLETE:
        settles(s, e);
        break;
    case EV_WRITE_INVOKE:
    case EV_WRITE_COMPLETE:
    case EV_LOAD_COMPLETE:
    case EV_READ_COMPLETE:
        invented_event(&s->invented, e, tell_invented, s);
        break;
    case EV_UNIT_NEW:
        renewed(s, e->unit);
        break;
    default:
        found_at(s, e);
        break;
    }
}

static void always_events(void *self, const struct event *events, size_t n)
{
    for (size_t i = 0; i < n; i++)
        one_event(self, &events[i]);
}

static void judge_strangers(struct always *s)
{
    struct table told = {0};

    for (size_t i = 0; i < s->n_strangers; i++) {
        const struct event *e = &s->strangers[i];
        const struct always_stream *stream = streams_of(&s->streams, e);
        uint64_t *mark;

        if (was_invoked(s, stream, e))
            continue;
        mark = table_put(&told, message_key(stream->head.number, e->seq), e->attempt);
        if ((*mark)++ == 0)
            tell(s, "phantom", e, "seen, though nobody ever sent it");
    }
    table_release(&told);
}

static void always_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct always *s = self;

    (void)proofs;
    judge_strangers(s);
    invented_finish(&s->invented, tell_invented, s);
    findings_move(out, &s->found);
    if (s->too_many)
        findings_inconclusive(out, "too many re-sent or unknown attempts to remember");
    if (s->positions.full)
        findings_inconclusive(out, "more log positions than can be remembered");
}

static void always_close(void *self)
{
    struct always *s = self;

    for (uint32_t i = 0; i < s->streams.n; i++)
        cells_release(&((struct always_stream *)streams_at(&s->streams, i))->first);
    streams_release(&s->streams);
    table_release(&s->resends);
    table_release(&s->groups);
    positions_release(&s->positions);
    invented_release(&s->invented);
    free(s->committed);
    free(s->strangers);
    findings_release(&s->found);
}

const struct checker_ops always_checker = {
    .name = "always",
    .property = NULL,
    .kinds = (const char *const[]){"corrupt", "phantom", "fail_visible", "offset_conflict",
                                   "offset_regress", NULL},
    .about = "Always on: nothing corrupt, nothing nobody sent, nothing refused and yet there, no "
             "position twice",
    .size = sizeof(struct always),
    .wants = WANTS(SEND_INVOKE) | WANTS(SEND_COMPLETE) | WANTS(DELIVER) | WANTS(AUDIT_LOG) |
             WANTS(AUDIT_EFFECT) | WANTS(CORRUPT) | WANTS(SETTLE_INVOKE) | WANTS(SETTLE_COMPLETE) |
             WANTS(OWN) | WANTS(AUDIT_SETTLED) | WANTS(UNIT_NEW) | INVENTED_EVENTS,
    .order = BY_TIME,
    .bound = always_bound,
    .open = always_open,
    .events = always_events,
    .finish = always_finish,
    .close = always_close,
};
