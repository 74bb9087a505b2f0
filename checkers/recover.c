/*
 * recover: {within: 15s, per: partition}                        finding: unavailable
 *
 * Per unit: effective → invoke of the first operation after it that is ok, not lost, and followed
 * by 5 s without a refusal: nothing is refused from its invoke until it is answered, nor for 5 s
 * from then on. An operation is a send to that unit; one whose unit nobody said is counted for its
 * destination's only unit. Second pass, after loss. An answer that took longer than the time
 * promised is a refusal: somebody waited.
 *
 * A driver that was short of CPU itself (EV_DRIVER) proves nothing about when a server was back: its
 * outages are inconclusive. What nobody served at the end needs no clock and stays a finding.
 *
 * Counter-example: a publisher hangs for a minute on a stopped server and is answered well when it
 * wakes: its first operation after the fault was ok, and nobody could work.
 * And: one send is asked just after the fault and answered ten seconds later, while all others were
 * refused: it is ok, and the unit was not back when it was asked.
 * And: a zombie leader's acknowledgement gives recovery 0: what it acknowledged is
 * lost, so it does not count.
 *
 * Judged only where somebody went on sending: a unit with no operation after the fault is neither
 * recovered nor unavailable (exercised 0). The distance between operations before the recovery is
 * the resolution and is told. Memory: a few numbers per (window, unit).
 */
#include "api/checker.h"
#include "checkers/duties.h"
#include "checkers/loss.h"
#include "checkers/open_ops.h"
#include "checkers/streams.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_NS INT64_C(5000000000) /* "followed by 5 s without a refusal" */
#define CANDIDATES_MAX 16 /* asked in the opposite order of their answers; more are inconclusive */

struct recover_args {
    int64_t within_ns;
    int per;
};

/* A good operation after the last refusal. */
struct candidate {
    int64_t asked_ns, answered_ns;
};

struct outage {
    uint32_t window, unit;
    int64_t effective_ns;
    int64_t last_ns;    /* last operation looked at */
    int64_t refused_ns; /* last refusal; 0 none */
    bool recovered;     /* settled: the last candidate held 5 s */
    unsigned n_candidates;
    struct candidate candidates[CANDIDATES_MAX];
    uint64_t operations;
};

struct recover {
    const struct plan_case *plan;
    struct recover_args args;
    const void *loss;
    struct streams streams;
    struct outage *outages;
    size_t n_outages;
    int64_t end_ns;
    struct event driver; /* type 0: not recorded */
    bool full;
};

struct recover_stream {
    struct stream head;
    struct open_ops open;
};

static int recover_open(void *self, const struct plan_case *plan, const void *args,
                        const struct results *earlier, struct err *err)
{
    struct recover *s = self;

    (void)err;
    *s = (struct recover){.plan = plan,
                          .loss = results_self(earlier, "loss"),
                          .streams = {.size = sizeof(struct recover_stream)}};
    if (args)
        s->args = *(const struct recover_args *)args;
    return 0;
}

static size_t recover_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);
    uint64_t most = v.sessions * OPEN_MAX, open = 2 * v.messages + 16 * v.sessions;

    (void)args;
    open = open < most ? open : most;
    return sizeof(struct recover) + bound_streams(&v, sizeof(struct recover_stream)) +
           (size_t)(open + open / 2) * sizeof(struct open_op) +
           (size_t)(2 * v.windows + 1) * plan->n_units * sizeof(struct outage);
}

static void begin_outages(struct recover *s, const struct event *e)
{
    s->outages = realloc(s->outages, (s->n_outages + s->plan->n_units) * sizeof(*s->outages));
    if (!s->outages)
        abort();
    for (uint32_t u = 0; u < s->plan->n_units; u++)
        s->outages[s->n_outages++] =
            (struct outage){.window = e->epoch, .unit = u, .effective_ns = e->at_ns};
}

/* Answers overtake each other: what is answered later may have been asked earlier, and only then
 * does it matter. So the candidates are in the order of their answers, each asked before the last. */
static bool good(struct outage *o, int64_t invoked_ns, int64_t answered_ns)
{
    if (invoked_ns <= o->refused_ns ||
        (o->n_candidates > 0 && invoked_ns >= o->candidates[o->n_candidates - 1].asked_ns))
        return true;
    if (o->n_candidates == CANDIDATES_MAX)
        return false;
    o->candidates[o->n_candidates++] = (struct candidate){invoked_ns, answered_ns};
    return true;
}

/* Those that were answered 5 s ago have held; of the others none has. */
static void refused(struct outage *o, int64_t now_ns)
{
    unsigned held = 0;

    o->refused_ns = now_ns;
    while (held < o->n_candidates && now_ns - o->candidates[held].answered_ns >= QUIET_NS)
        held++;
    o->n_candidates = held;
    o->recovered = held > 0;
}

/* When it was asked; 0: it was not back. */
static int64_t back_at(const struct outage *o)
{
    return o->n_candidates > 0 ? o->candidates[o->n_candidates - 1].asked_ns : 0;
}

static void operation(struct recover *s, const struct event *e, uint32_t unit, int64_t invoked_ns,
                      bool ok)
{
    for (size_t i = 0; i < s->n_outages; i++) {
        struct outage *o = &s->outages[i];

        if (o->unit != unit || o->recovered || invoked_ns < o->effective_ns)
            continue;
        o->operations++;
        o->last_ns = e->at_ns;
        if (ok)
            s->full |= !good(o, invoked_ns, e->at_ns);
        else
            refused(o, e->at_ns);
    }
}

static void invoked(struct recover *s, const struct event *e)
{
    struct recover_stream *stream = streams_of(&s->streams, e);
    struct open_op *op = open_begin(&stream->open, e->seq);

    if (op)
        op->at_ns = e->at_ns;
    else
        s->full = true;
}

static void completed(struct recover *s, const struct event *e)
{
    struct recover_stream *stream = streams_of(&s->streams, e);
    const struct plan_client *c = plan_client_of_id(s->plan, e->client);
    struct msg_id m = {e->seq, e->client, e->incarnation, e->worker};
    bool ok = event_outcome(e) == OUTCOME_OK && !loss_has_lost(s->loss, &m);
    const struct open_op *open = open_end(&stream->open, e->seq);

    ok = ok && open && e->at_ns - open->at_ns <= s->args.within_ns;
    for (size_t d = 0; open && c && d < c->n_duties; d++)
        operation(s, e, duties_unit(s->plan, duties_log_of(s->plan, c->duties[d]), e->unit),
                  open->at_ns, ok);
}

static void recover_events(void *self, const struct event *events, size_t n)
{
    struct recover *s = self;

    for (size_t i = 0; i < n; i++) {
        const struct event *e = &events[i];

        if (e->type == EV_FAULT && e->code == STAMP_EFFECTIVE && event_outcome(e) != OUTCOME_FAIL)
            begin_outages(s, e);
        else if (e->type == EV_SEND_INVOKE && s->n_outages > 0)
            invoked(s, e);
        else if (e->type == EV_SEND_COMPLETE && s->n_outages > 0)
            completed(s, e);
        else if (e->type == EV_DRIVER)
            s->driver = *e;
        if (e->type == EV_SEND_INVOKE || e->type == EV_SEND_COMPLETE)
            s->end_ns = e->at_ns;
    }
}

static bool driver_was_busy(const struct recover *s)
{
    return event_driver_percent(&s->driver) > DRIVER_BUSY_PERCENT;
}

static void judge(struct recover *s, const struct outage *o, struct findings *out)
{
    int64_t back_ns = back_at(o);
    struct finding_sample sample = {.message = {.seq = UINT64_MAX},
                                    .unit = o->unit,
                                    .at_ns = o->effective_ns,
                                    .window = o->window,
                                    .node = NO_NODE};

    if (o->operations == 0)
        return;
    out->exercised += o->refused_ns || (back_ns && back_ns - o->effective_ns > 0);
    if (driver_was_busy(s)) {
        findings_inconclusive(out, "the driver used %.1f %% of its %d cores, more than %d %%",
                              event_driver_percent(&s->driver), s->driver.code,
                              DRIVER_BUSY_PERCENT);
        return;
    }
    if (back_ns && back_ns - o->effective_ns <= s->args.within_ns)
        return;
    if (!back_ns && o->last_ns - o->effective_ns <= s->args.within_ns) {
        findings_inconclusive(
            out, "sends to %s ended %.1f s after the fault, before it had recovered",
            duties_unit_name(s->plan, o->unit), (double)(o->last_ns - o->effective_ns) / 1e9);
        return;
    }
    if (back_ns)
        snprintf(sample.text, sizeof(sample.text),
                 "%s was back %.3f s after the fault, promised within %.3f s",
                 duties_unit_name(s->plan, o->unit), (double)(back_ns - o->effective_ns) / 1e9,
                 (double)s->args.within_ns / 1e9);
    else
        snprintf(sample.text, sizeof(sample.text),
                 "%s did not come back in the %.3f s it was asked after the fault",
                 duties_unit_name(s->plan, o->unit), (double)(o->last_ns - o->effective_ns) / 1e9);
    findings_add(out, "unavailable", 1, &sample);
}

static void recover_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct recover *s = self;

    out->exercised = 0;
    for (size_t i = 0; i < s->n_outages; i++)
        judge(s, &s->outages[i], out);
    for (uint32_t u = 0; u < s->plan->n_units; u++)
        if (proofs[u].down && s->n_outages > 0) {
            struct finding_sample sample = {
                .message = {.seq = UINT64_MAX}, .unit = u, .at_ns = s->end_ns, .node = NO_NODE};

            snprintf(sample.text, sizeof(sample.text), "nobody served %s at the end",
                     s->plan->units[u].name);
            findings_add(out, "unavailable", 1, &sample);
        }
    if (s->full)
        findings_inconclusive(out, "more operations open than can be remembered");
}

static void recover_close(void *self)
{
    struct recover *s = self;

    for (uint32_t i = 0; i < s->streams.n; i++)
        open_release(&((struct recover_stream *)streams_at(&s->streams, i))->open);
    streams_release(&s->streams);
    free(s->outages);
}

static const struct param params[] = {
    {"within", PARAM_DURATION, offsetof(struct recover_args, within_ns), .required = true, .min = 1,
     .max = INT64_MAX, .help = "longest time from a fault to the first operation that lasts"},
    {"per", PARAM_CHOICE, offsetof(struct recover_args, per), .fallback = "partition",
     .choices = (const char *const[]){"partition", NULL},
     .help = "judged for each partition, queue or list"},
    {0}};

const struct checker_ops recover_checker = {
    .name = "recover",
    .property = "recover",
    .kinds = (const char *const[]){"unavailable", NULL},
    .about = "After a fault every unit takes writes again within the time promised",
    .params = params,
    .shorthand = "within",
    .args_size = sizeof(struct recover_args),
    .size = sizeof(struct recover),
    .wants = WANTS(SEND_INVOKE) | WANTS(SEND_COMPLETE) | WANTS(FAULT) | WANTS(DRIVER),
    .needs = DRAIN_D1,
    .after = (const char *const[]){"loss", NULL},
    .order = BY_TIME,
    .bound = recover_bound,
    .open = recover_open,
    .events = recover_events,
    .finish = recover_finish,
    .close = recover_close,
};
