/*
 * stale: 500ms                                                                finding: stale
 *
 * Versions per key, "absent" is one (deletes carry one). T(v) = min(complete of the ok write of v,
 * complete of an authoritative read that returned ≥ v); K(v) = min of T over all newer versions.
 * Age of read r ∈ [invoke(r) − K(v), complete(r) − invoke(first write of a newer one)]: lower end >
 * bound, by more than the clock error ⇒ stale; upper end ≤ bound ⇒ proven fresh; else undecided.
 * Told besides: the share of reads whose upper end lies within 10 ms, 100 ms, 1 s, 10 s.
 *
 * Counter-example: the writer of v+1 died and never completed, so v is never stale though v+2
 * committed 10 s ago: K looks at all newer versions.
 * And: a read that was under way while the write was is not ordered with it: its age is 0 at least.
 *
 * Memory: the last RISES_MAX versions of each key, VERSIONS_MAX in all; where what was dropped is
 * needed the answer is inconclusive. Leaves out: versions that were never committed (`always`).
 */
#include "api/checker.h"
#include "base/clock.h"
#include "checkers/duties.h"
#include "checkers/open_ops.h"
#include "checkers/races.h"
#include "checkers/rises.h"
#include "checkers/streams.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>

#define SHARES 4
#define VERSIONS_MAX (UINT64_C(1) << 22)

struct stale_args {
    int64_t within_ns;
};

struct history_of_key {
    struct rises known; /* T: committed for certain by then */
    struct rises begun; /* invoke of the first write of it */
};

struct stale_stream {
    struct stream head;
    struct open_ops reads;
};

struct stale {
    const struct plan_case *plan;
    int64_t within_ns, clock_error_ns;
    struct streams streams;
    struct keys keys; /* struct history_of_key */
    struct races races;
    uint64_t room; /* versions that may still be kept */
    uint64_t n_reads, undecided, forgotten;
    uint64_t inside[SHARES]; /* 10 ms, 100 ms, 1 s, 10 s: upper end */
    bool full;
    struct findings found;
};

static int stale_open(void *self, const struct plan_case *plan, const void *args,
                      const struct results *earlier, struct err *err)
{
    struct stale *s = self;

    (void)err;
    *s = (struct stale){.plan = plan,
                        .within_ns = args ? ((const struct stale_args *)args)->within_ns : 0,
                        .clock_error_ns = results_clock_error_ns(earlier),
                        .streams = {.size = sizeof(struct stale_stream)},
                        .keys = {.size = sizeof(struct history_of_key)},
                        .room = VERSIONS_MAX,
                        .found = {.current = "stale"}};
    races_open(&s->races, plan);
    return 0;
}

/* ---- versions */

static void begins(struct stale *s, const struct event *e)
{
    struct history_of_key *key = keys_of(&s->keys, e->key);

    if (key)
        rises_add(&key->begun, e->value, e->at_ns, &s->room);
}

static void ends(struct stale *s, const struct event *e)
{
    struct history_of_key *key = keys_of(&s->keys, e->key);

    if (!key)
        return;
    if (event_outcome(e) == OUTCOME_OK)
        rises_add(&key->known, e->value, e->at_ns, &s->room);
    else if (event_outcome(e) == OUTCOME_FAIL)
        rises_undo(&key->begun, e->value); /* if another took its version since, reads are undecided */
}

static void seen_in_store(struct stale *s, const struct event *e)
{
    struct history_of_key *key;

    if (event_outcome(e) == OUTCOME_OK && e->code == SOURCE_STORE &&
        (key = keys_of(&s->keys, e->key)))
        rises_add(&key->known, e->value, e->at_ns, &s->room);
}

/* ---- reads */

static void tell(struct stale *s, const struct event *e, int64_t low_ns, int64_t high_ns)
{
    struct finding_sample sample = {
        .message = {.seq = UINT64_MAX}, .unit = NO_UNIT, .at_ns = e->at_ns, .node = NO_NODE};
    struct msg_id id = {e->seq, e->client, e->incarnation, e->worker};
    char reader[80], most[40] = "";

    message_name(s->plan, &id, reader, sizeof(reader));
    if (high_ns < INT64_MAX)
        snprintf(most, sizeof(most), " (%.6f s at most)", (double)high_ns / 1e9);
    snprintf(sample.text, sizeof(sample.text),
             "read %s was served version %lld of key %u by %s when a newer one had been committed "
             "for %.6f s%s",
             reader, (long long)e->value, e->key, source_name(e->code), (double)low_ns / 1e9, most);
    findings_add(&s->found, "stale", 1, &sample);
}

static void count_shares(struct stale *s, int64_t high_ns)
{
    int64_t limit_ns = 10 * MS_NS;

    for (size_t i = 0; i < SHARES; i++, limit_ns *= 10)
        s->inside[i] += high_ns <= limit_ns;
}

static void judge(struct stale *s, const struct event *e, int64_t invoked_ns)
{
    const struct history_of_key *key = keys_of(&s->keys, e->key);
    const struct rise *known, *begun;
    int64_t low_ns = 0, high_ns = 0;
    bool whole_known, whole_begun;

    if (!key)
        return;
    known = rises_after(&key->known, e->value, &whole_known);
    begun = rises_after(&key->begun, e->value, &whole_begun);
    if (known)
        low_ns = invoked_ns - known->at_ns;
    if (begun)
        high_ns = e->at_ns - begun->at_ns;
    if ((known && !begun) || !whole_begun)
        high_ns = INT64_MAX; /* nobody saw it begin */
    s->n_reads++;
    count_shares(s, high_ns);
    if (low_ns - s->clock_error_ns > s->within_ns) {
        tell(s, e, low_ns, high_ns);
    } else if (high_ns > s->within_ns - s->clock_error_ns) {
        s->undecided += high_ns > 0;
        s->forgotten += !whole_known;
    }
}

static void invoked(struct stale *s, const struct event *e)
{
    struct stale_stream *stream = streams_of(&s->streams, e);
    struct open_op *op = open_begin(&stream->reads, e->seq);

    if (op)
        op->at_ns = e->at_ns;
    else
        s->full = true;
}

static void completed(struct stale *s, const struct event *e)
{
    struct stale_stream *stream = streams_of(&s->streams, e);
    const struct open_op *op = open_end(&stream->reads, e->seq);

    if (op && event_outcome(e) == OUTCOME_OK)
        judge(s, e, op->at_ns);
    seen_in_store(s, e);
}

static void stale_events(void *self, const struct event *events, size_t n)
{
    struct stale *s = self;

    for (size_t i = 0; i < n; i++) {
        const struct event *e = &events[i];

        switch (e->type) {
        case EV_WRITE_INVOKE:
            begins(s, e);
            break;
        case EV_WRITE_COMPLETE:
            ends(s, e);
            break;
        case EV_LOAD_COMPLETE:
            seen_in_store(s, e);
            break;
        case EV_READ_INVOKE:
            invoked(s, e);
            break;
        case EV_READ_COMPLETE:
            completed(s, e);
            break;
        default:
            break;
        }
        races_event(&s->races, e);
    }
}

/* ---- the end */

static void tell_shares(const struct stale *s, struct findings *out)
{
    double of = s->n_reads ? 100.0 / (double)s->n_reads : 0;

    snprintf(out->told, sizeof(out->told),
             "%llu reads: %.2f %% inside 10 ms, %.2f %% 100 ms, %.2f %% 1 s, %.2f %% 10 s; "
             "%llu undecided",
             (unsigned long long)s->n_reads, (double)s->inside[0] * of, (double)s->inside[1] * of,
             (double)s->inside[2] * of, (double)s->inside[3] * of,
             (unsigned long long)s->undecided);
}

static void stale_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct stale *s = self;

    (void)proofs;
    findings_move(out, &s->found);
    tell_shares(s, out);
    out->undecided += s->undecided;
    out->exercised = s->races.reads;
    if (s->keys.full || s->full)
        findings_inconclusive(out, "more keys or open reads than can be remembered");
    if (s->forgotten > 0)
        findings_inconclusive(out,
                              "%llu reads were served a version so old that its successor is "
                              "forgotten: the last %u are kept",
                              (unsigned long long)s->forgotten, RISES_MAX);
}

static void stale_close(void *self)
{
    struct stale *s = self;

    for (uint32_t i = 0; i < s->streams.n; i++)
        open_release(&((struct stale_stream *)streams_at(&s->streams, i))->reads);
    for (uint32_t k = 0; k < keys_end(&s->keys); k++) {
        struct history_of_key *key = keys_get(&s->keys, k);

        if (key) {
            rises_release(&key->known);
            rises_release(&key->begun);
        }
    }
    streams_release(&s->streams);
    keys_release(&s->keys);
    races_release(&s->races);
    findings_release(&s->found);
}

static size_t stale_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);
    size_t grown =
        v.keys < VERSIONS_MAX / RISES_MAX ? v.keys * 3 * RISES_MAX : VERSIONS_MAX + 3 * RISES_MAX;

    (void)args;
    v.sessions = v.everybody;
    return sizeof(struct stale) + bound_streams(&v, sizeof(struct stale_stream)) +
           (size_t)v.everybody * OPEN_FIRST * sizeof(struct open_op) +
           bound_keys(&v, sizeof(struct history_of_key), 2 * RISES_FIRST * sizeof(struct rise)) +
           grown * sizeof(struct rise) + races_bound(plan);
}

static const struct param params[] = {
    {"within", PARAM_DURATION, offsetof(struct stale_args, within_ns), .required = true,
     .max = INT64_MAX, .help = "what is read was the newest this long ago, or still is"},
    {0}};

const struct checker_ops stale_checker = {
    .name = "stale",
    .property = "stale",
    .kinds = (const char *const[]){"stale", NULL},
    .about = "Nobody is served a value that was replaced longer ago than promised",
    .params = params,
    .shorthand = "within",
    .args_size = sizeof(struct stale_args),
    .size = sizeof(struct stale),
    .wants = WANTS(WRITE_INVOKE) | WANTS(READ_INVOKE) | RACE_EVENTS,
    .needs = DRAIN_NONE,
    .order = BY_TIME,
    .bound = stale_bound,
    .open = stale_open,
    .events = stale_events,
    .finish = stale_finish,
    .close = stale_close,
};
