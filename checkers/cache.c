/*
 * cache: never_back                                                       finding: resurrected
 *
 * Same cache, e(v') → r(v), v < v': e a cache-served read of v', or an ok set of it, or an ok
 * invalidation asked for by the write of v'; r a read that this cache served. The shared cache is
 * one; the one inside a process is its incarnation's own.
 *
 * Counter-examples: a set whose answer never came may not have happened. An invalidation that goes
 * before its write (delete, then update) forbids nothing yet: it counts for what was known to be
 * committed when it was answered. A restarted process begins with an empty cache.
 *
 * Memory: a floor (floors.h) per cache and key. Leaves out: how old what came back was (`stale`);
 * replicas of a cache are that cache.
 */
#include "api/checker.h"
#include "checkers/duties.h"
#include "checkers/floors.h"
#include "checkers/keys.h"
#include "checkers/open_ops.h"
#include "checkers/races.h"
#include "checkers/streams.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>

#define LOCALS_MAX (1u << 21) /* of a process and a key */

struct cache_args {
    int how; /* never_back: the only choice */
};

struct cached { /* in the shared cache */
    struct floor floor;
    int64_t committed; /* newest version known to be */
};

struct cache_stream { /* of a worker; its process's cache is kept by worker 0's */
    struct stream head;
    struct open_ops reads;        /* notes: the floors of the shared and of its own cache */
    struct cache_stream *process; /* worker 0's */
    struct keys local;            /* struct floor */
};

struct caches {
    const struct plan_case *plan;
    int64_t clock_error_ns;
    struct keys shared;
    struct streams streams;
    struct races races;
    uint32_t locals;
    bool full;
    struct findings found;
};

static int cache_open(void *self, const struct plan_case *plan, const void *args,
                      const struct results *earlier, struct err *err)
{
    struct caches *s = self;

    (void)args;
    (void)err;
    *s = (struct caches){.plan = plan,
                         .clock_error_ns = results_clock_error_ns(earlier),
                         .shared = {.size = sizeof(struct cached)},
                         .streams = {.size = sizeof(struct cache_stream)},
                         .found = {.current = "cache"}};
    races_open(&s->races, plan);
    return 0;
}

static struct floor *shared_of(struct caches *s, const struct event *e)
{
    struct cached *cached = keys_of(&s->shared, e->key);

    return cached ? &cached->floor : NULL;
}

/* The worker that keeps what its process's cache holds: its first. */
static struct cache_stream *process_of(struct caches *s, struct cache_stream *stream,
                                       const struct event *e)
{
    if (!stream->process) {
        stream->process =
            (struct cache_stream *)streams_find(&s->streams, e->client, e->incarnation, 0, true);
        stream->process->local.size = sizeof(struct floor);
    }
    return stream->process;
}

/* NULL: no more can be remembered. */
static struct floor *local_of(struct caches *s, const struct event *e)
{
    struct cache_stream *process = process_of(s, streams_of(&s->streams, e), e);
    struct floor *floor = keys_get(&process->local, e->key);

    if (!floor && s->locals < LOCALS_MAX && (floor = keys_of(&process->local, e->key)))
        s->locals += KEYS_CHUNK;
    return floor;
}

static struct floor *floor_of(struct caches *s, const struct event *e)
{
    return e->code == SOURCE_LOCAL ? local_of(s, e) : shared_of(s, e);
}

static void holds(struct caches *s, const struct event *e, int64_t version)
{
    struct floor *floor = floor_of(s, e);

    if (floor)
        floor_raise(floor, version, e->at_ns, s->clock_error_ns);
    if (!floor || floor->full)
        s->full = true;
}

/* ---- events */

static void committed(struct caches *s, const struct event *e)
{
    struct cached *cached = keys_of(&s->shared, e->key);

    if (cached && event_outcome(e) == OUTCOME_OK && e->value > cached->committed)
        cached->committed = e->value;
}

static void filled(struct caches *s, const struct event *e)
{
    const struct cached *cached = keys_of(&s->shared, e->key);
    int64_t version = e->value;

    if (event_outcome(e) != OUTCOME_OK || !cached)
        return;
    if (version < 0) { /* invalidated */
        version = -1 - version;
        if (version > cached->committed)
            version = cached->committed;
    }
    holds(s, e, version);
}

static void asked(struct caches *s, const struct event *e)
{
    struct cache_stream *stream = streams_of(&s->streams, e);
    struct open_op *op = open_begin(&stream->reads, e->seq);
    const struct floor *shared = shared_of(s, e);
    const struct floor *local = keys_get(&process_of(s, stream, e)->local, e->key);

    if (!op || !shared) {
        s->full = true;
        return;
    }
    op->notes[0] = floor_at(shared, e->at_ns, s->clock_error_ns);
    op->notes[1] = local ? floor_at(local, e->at_ns, s->clock_error_ns) : 0;
}

static void tell(struct caches *s, const struct event *e, int64_t before)
{
    struct finding_sample sample = {
        .message = {.seq = UINT64_MAX}, .unit = NO_UNIT, .at_ns = e->at_ns, .node = NO_NODE};
    struct msg_id id = {e->seq, e->client, e->incarnation, e->worker};
    char reader[80];

    message_name(s->plan, &id, reader, sizeof(reader));
    snprintf(sample.text, sizeof(sample.text),
             "read %s was served version %lld of key %u by %s, which had held version %lld or was "
             "told to forget all before it",
             reader, (long long)e->value, e->key, source_name(e->code), (long long)before);
    findings_add(&s->found, "resurrected", 1, &sample);
}

static void served(struct caches *s, const struct event *e)
{
    struct cache_stream *stream = streams_of(&s->streams, e);
    const struct open_op *op = open_end(&stream->reads, e->seq);
    int64_t before;

    if (!op || event_outcome(e) != OUTCOME_OK)
        return;
    if (e->code != SOURCE_CACHE && e->code != SOURCE_LOCAL) {
        if (e->code == SOURCE_STORE)
            committed(s, e);
        return;
    }
    before = op->notes[e->code == SOURCE_LOCAL];
    if (e->value < before)
        tell(s, e, before);
    holds(s, e, e->value);
}

static void cache_events(void *self, const struct event *events, size_t n)
{
    struct caches *s = self;

    for (size_t i = 0; i < n; i++) {
        const struct event *e = &events[i];

        switch (e->type) {
        case EV_WRITE_COMPLETE:
            committed(s, e);
            break;
        case EV_LOAD_COMPLETE:
            if (e->code == SOURCE_STORE)
                committed(s, e);
            break;
        case EV_FILL_COMPLETE:
            filled(s, e);
            break;
        case EV_READ_INVOKE:
            asked(s, e);
            continue; /* no race yet */
        case EV_READ_COMPLETE:
            served(s, e);
            break;
        default:
            break;
        }
        races_event(&s->races, e);
    }
}

/* ---- the end */

static void cache_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct caches *s = self;

    (void)proofs;
    findings_move(out, &s->found);
    out->exercised = s->races.cached;
    if (s->full || s->shared.full)
        findings_inconclusive(out, "more keys, open reads or versions at once than can be "
                                   "remembered");
}

static void cache_close(void *self)
{
    struct caches *s = self;

    for (uint32_t i = 0; i < s->streams.n; i++) {
        struct cache_stream *stream = streams_at(&s->streams, i);

        open_release(&stream->reads);
        keys_release(&stream->local);
    }
    streams_release(&s->streams);
    keys_release(&s->shared);
    races_release(&s->races);
    findings_release(&s->found);
}

static size_t cache_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);
    uint64_t locals = v.everybody * (v.keys + KEYS_CHUNK);

    (void)args;
    v.sessions = v.everybody;
    locals = locals < LOCALS_MAX ? locals : LOCALS_MAX + KEYS_CHUNK;
    return sizeof(struct caches) + bound_streams(&v, sizeof(struct cache_stream)) +
           (size_t)v.everybody * (OPEN_FIRST * sizeof(struct open_op) + v.keys / 2) +
           (size_t)locals * (sizeof(struct floor) + 1) + bound_keys(&v, sizeof(struct cached), 0) +
           races_bound(plan);
}

static const struct param params[] = {
    {"how", PARAM_CHOICE, offsetof(struct cache_args, how), .fallback = "never_back",
     .choices = (const char *const[]){"never_back", NULL},
     .help = "never_back: a cache that has moved on serves nothing older again"},
    {0}};

const struct checker_ops cache_checker = {
    .name = "cache",
    .property = "cache",
    .kinds = (const char *const[]){"resurrected", NULL},
    .about = "What a cache has replaced or dropped does not come back",
    .params = params,
    .shorthand = "how",
    .args_size = sizeof(struct cache_args),
    .size = sizeof(struct caches),
    .wants = WANTS(READ_INVOKE) | RACE_EVENTS,
    .needs = DRAIN_NONE,
    .order = BY_TIME,
    .bound = cache_bound,
    .open = cache_open,
    .events = cache_events,
    .finish = cache_finish,
    .close = cache_close,
};
