/*
 * session: [read_your_writes, monotonic_read]      findings: read_your_writes, monotonic_read
 *
 * Per session and key, over `→`: a read is served no version older than one the session wrote (ok;
 * unknown writes are not counted) or read before. A session is one worker; `across: client` makes
 * all workers and instances of a client one, `across: all` everybody: a user who goes from process
 * to process. Within a worker its own order counts, between workers the clocks' error stands
 * between.
 *
 * Counter-example: completion order of pipelined calls: a read invoked before the write completed
 * may be served the old version, whichever completes first.
 * And: a write whose COMMIT nobody answered may not have happened; the next read owes it nothing.
 *
 * Memory: three numbers per worker and key it touched, and floors (floors.h) where sessions are
 * wider. Leaves out: several keys as one snapshot.
 */
#include "api/checker.h"
#include "checkers/duties.h"
#include "checkers/floors.h"
#include "checkers/keys.h"
#include "checkers/open_ops.h"
#include "checkers/streams.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX (1u << 22) /* of a worker and a key */

enum across { ACROSS_WORKER, ACROSS_CLIENT, ACROSS_ALL };

struct session_args {
    struct strings promises;
    int across;
};

struct own { /* of one worker and key */
    int64_t wrote, read, first_read;
};

struct shared { /* of one wider session and key */
    struct floor wrote, read;
};

struct session_stream {
    struct stream head;
    struct open_ops reads; /* notes: what it wrote, and read, before */
    struct keys own;
};

struct sessions {
    const struct plan_case *plan;
    bool writes, monotonic; /* what is promised */
    enum across across;
    int64_t clock_error_ns;
    struct streams streams;
    struct keys *shared; /* per entry of plan->clients, or one for all */
    size_t n_shared;
    int64_t after_writes, after_reads; /* reads that something could have been violated by */
    uint32_t pairs;
    bool full;
    struct findings found;
};

static bool names_promise(const char *text, const char **expected)
{
    *expected = "read_your_writes or monotonic_read";
    return strcmp(text, "read_your_writes") == 0 || strcmp(text, "monotonic_read") == 0;
}

static bool promises(const struct session_args *args, const char *what)
{
    for (size_t i = 0; i < args->promises.n; i++)
        if (strcmp(args->promises.items[i], what) == 0)
            return true;
    return args->promises.n == 0;
}

static int session_open(void *self, const struct plan_case *plan, const void *args,
                        const struct results *earlier, struct err *err)
{
    static const struct session_args both = {.across = ACROSS_WORKER};
    const struct session_args *a = args ? args : &both;
    struct sessions *s = self;

    (void)err;
    *s = (struct sessions){.plan = plan,
                           .writes = promises(a, "read_your_writes"),
                           .monotonic = promises(a, "monotonic_read"),
                           .across = (enum across)a->across,
                           .clock_error_ns = results_clock_error_ns(earlier),
                           .streams = {.size = sizeof(struct session_stream)},
                           .n_shared = a->across == ACROSS_CLIENT ? plan->n_clients : 1,
                           .found = {.current = "session"}};
    s->shared = calloc(s->n_shared + 1, sizeof(*s->shared));
    if (!s->shared)
        abort();
    for (size_t i = 0; i < s->n_shared; i++)
        s->shared[i].size = sizeof(struct shared);
    return 0;
}

/* ---- what a session has seen of a key */

static struct session_stream *stream_of(struct sessions *s, const struct event *e)
{
    struct session_stream *stream = streams_of(&s->streams, e);

    stream->own.size = sizeof(struct own);
    return stream;
}

static struct own *own_of(struct sessions *s, const struct event *e)
{
    struct keys *keys = &stream_of(s, e)->own;
    struct own *own = keys_get(keys, e->key);

    if (own)
        return own;
    if (s->pairs < PAIRS_MAX && (own = keys_of(keys, e->key)))
        s->pairs += KEYS_CHUNK;
    s->full |= !own;
    return own;
}

/* NULL: sessions are not wider than a worker, or it belongs to none. */
static struct shared *shared_of(struct sessions *s, const struct event *e)
{
    const struct plan_client *c;

    if (s->across == ACROSS_WORKER)
        return NULL;
    if (s->across == ACROSS_ALL)
        return keys_of(&s->shared[0], e->key);
    c = plan_client_of_id(s->plan, e->client);
    return c ? keys_of(&s->shared[c - s->plan->clients], e->key) : NULL;
}

static void wrote(struct sessions *s, const struct event *e)
{
    struct own *own = own_of(s, e);
    struct shared *shared = shared_of(s, e);

    if (event_outcome(e) != OUTCOME_OK)
        return;
    if (own && e->value > own->wrote)
        own->wrote = e->value;
    if (shared)
        floor_raise(&shared->wrote, e->value, e->at_ns, s->clock_error_ns);
}

static int64_t higher(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void asked(struct sessions *s, const struct event *e)
{
    struct session_stream *stream = stream_of(s, e);
    const struct own *own = own_of(s, e);
    const struct shared *shared = shared_of(s, e);
    struct open_op *op = open_begin(&stream->reads, e->seq);

    if (!op || !own) {
        s->full = true;
        return;
    }
    op->notes[0] = own->wrote;
    op->notes[1] = own->read;
    if (shared) {
        op->notes[0] = higher(op->notes[0], floor_at(&shared->wrote, e->at_ns, s->clock_error_ns));
        op->notes[1] = higher(op->notes[1], floor_at(&shared->read, e->at_ns, s->clock_error_ns));
    }
}

/* ---- judging */

static void tell(struct sessions *s, const char *kind, const struct event *e, const char *did,
                 int64_t before)
{
    struct finding_sample sample = {
        .message = {.seq = UINT64_MAX}, .unit = NO_UNIT, .at_ns = e->at_ns, .node = NO_NODE};
    struct msg_id id = {e->seq, e->client, e->incarnation, e->worker};
    char reader[80];

    message_name(s->plan, &id, reader, sizeof(reader));
    snprintf(sample.text, sizeof(sample.text),
             "read %s was served version %lld of key %u by %s, after its session had %s version "
             "%lld",
             reader, (long long)e->value, e->key, source_name(e->code), did, (long long)before);
    findings_add(&s->found, kind, 1, &sample);
}

static void served(struct sessions *s, const struct event *e)
{
    const struct open_op *op = open_end(&stream_of(s, e)->reads, e->seq);
    struct own *own = own_of(s, e);
    struct shared *shared = shared_of(s, e);

    if (!op || !own || event_outcome(e) != OUTCOME_OK)
        return;
    if (s->writes && e->value < op->notes[0])
        tell(s, "read_your_writes", e, "written", op->notes[0]);
    if (s->monotonic && e->value < op->notes[1])
        tell(s, "monotonic_read", e, "read", op->notes[1]);
    s->after_writes += op->notes[0] > 0;
    s->after_reads += op->notes[1] > (shared ? shared->read.first : own->first_read);
    if (!own->first_read)
        own->first_read = e->value;
    own->read = higher(own->read, e->value);
    if (shared)
        floor_raise(&shared->read, e->value, e->at_ns, s->clock_error_ns);
}

static void session_events(void *self, const struct event *events, size_t n)
{
    for (size_t i = 0; i < n; i++)
        switch (events[i].type) {
        case EV_WRITE_COMPLETE:
            wrote(self, &events[i]);
            break;
        case EV_READ_INVOKE:
            asked(self, &events[i]);
            break;
        case EV_READ_COMPLETE:
            served(self, &events[i]);
            break;
        default:
            break;
        }
}

/* ---- the end */

static bool floors_full(const struct sessions *s)
{
    for (size_t i = 0; i < s->n_shared; i++)
        for (uint32_t k = 0; k < keys_end(&s->shared[i]); k++) {
            const struct shared *shared = keys_get(&s->shared[i], k);

            if (shared && (shared->wrote.full || shared->read.full))
                return true;
        }
    return false;
}

static void session_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct sessions *s = self;

    (void)proofs;
    findings_move(out, &s->found);
    out->exercised = s->writes && s->monotonic
                         ? (s->after_writes < s->after_reads ? s->after_writes : s->after_reads)
                     : s->writes ? s->after_writes
                                 : s->after_reads;
    if (s->full || floors_full(s))
        findings_inconclusive(out, "more keys, open reads or versions at once than can be "
                                   "remembered");
}

static void session_close(void *self)
{
    struct sessions *s = self;

    for (uint32_t i = 0; i < s->streams.n; i++) {
        struct session_stream *stream = streams_at(&s->streams, i);

        open_release(&stream->reads);
        keys_release(&stream->own);
    }
    for (size_t i = 0; i < s->n_shared; i++)
        keys_release(&s->shared[i]);
    free(s->shared);
    streams_release(&s->streams);
    findings_release(&s->found);
}

static size_t session_bound(const struct plan_case *plan, const void *args)
{
    const struct session_args *a = args;
    struct volume v = volume_of(plan);
    uint64_t pairs = v.everybody * (v.keys + KEYS_CHUNK);
    size_t shared = a->across == ACROSS_CLIENT ? plan->n_clients : 1;

    v.sessions = v.everybody;
    pairs = pairs < PAIRS_MAX ? pairs : PAIRS_MAX + KEYS_CHUNK;
    return sizeof(struct sessions) + bound_streams(&v, sizeof(struct session_stream)) +
           (size_t)v.everybody * (OPEN_FIRST * sizeof(struct open_op) + v.keys / 2) +
           (size_t)pairs * (sizeof(struct own) + 1) +
           (a->across == ACROSS_WORKER ? 0 : shared * bound_keys(&v, sizeof(struct shared), 0));
}

static const struct param params[] = {
    {"promises", PARAM_STRINGS, offsetof(struct session_args, promises), .check = names_promise,
     .help = "read_your_writes, monotonic_read; both when none is named"},
    {"across", PARAM_CHOICE, offsetof(struct session_args, across), .fallback = "worker",
     .choices = (const char *const[]){"worker", "client", "all", NULL},
     .help = "what one session is: a worker, a client with all its instances, everybody"},
    {0}};

const struct checker_ops session_checker = {
    .name = "session",
    .property = "session",
    .kinds = (const char *const[]){"read_your_writes", "monotonic_read", NULL},
    .about = "Who wrote or read a version is never served an older one",
    .params = params,
    .shorthand = "promises",
    .args_size = sizeof(struct session_args),
    .size = sizeof(struct sessions),
    .wants = WANTS(WRITE_COMPLETE) | WANTS(READ_INVOKE) | WANTS(READ_COMPLETE),
    .needs = DRAIN_NONE,
    .order = BY_TIME,
    .bound = session_bound,
    .open = session_open,
    .events = session_events,
    .finish = session_finish,
    .close = session_close,
};
