/*
 * Workload `queue`: producers send numbered messages, consumers apply one effect each and settle.
 *
 * Keys are drawn by number, so that a message's key depends on nothing but who sends it and which
 * one it is; sequences count per key and producer worker. Where a destination has several
 * partitions the workload itself chooses by key, so that counts per partition are exact;
 * `partitioner: library` leaves that to the product. What an effect is, and that the journal has no
 * unique key: JUDGING, effect. Left out: transactions (workload txn), accounts (workload transfer).
 */
#include "api/worker.h"
#include "api/workload.h"
#include "base/clock.h"
#include "base/draw.h"
#include "plan/plan.h"
#include "workloads/producing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EFFECT_AGAIN_NS (10 * MS_NS)

/* ---- parameters */

enum structure { STRUCTURE_LIST, STRUCTURE_STREAM, STRUCTURE_KEYS };
enum partitioner { PARTITION_BY_KEY, PARTITION_BY_LIBRARY };
enum settle_when { SETTLE_AFTER, SETTLE_BEFORE, SETTLE_NEVER };

struct queue_args {
    int64_t payload_bytes, keys;
    const char *effect;
    int structure, partitioner;
};

static const char *const structures[] = {"list", "stream", "keys", NULL};
static const char *const partitioners[] = {"key", "library", NULL};

static const struct param queue_params[] = {
    {"payload", PARAM_SIZE, offsetof(struct queue_args, payload_bytes), .fallback = "200B",
     .min = PAYLOAD_MIN, .max = 16 << 20, .unit = "bytes", .help = "size of every message"},
    {"keys", PARAM_INT, offsetof(struct queue_args, keys), .fallback = "1", .min = 1,
     .max = 1000000, .help = "how many different keys messages carry; drawn per message"},
    {"effect", PARAM_STRING, offsetof(struct queue_args, effect),
     .help = "cluster (with a store) whose journal gets one row per message processed"},
    {"structure", PARAM_CHOICE, offsetof(struct queue_args, structure), .fallback = "list",
     .choices = structures, .help = "what messages are kept in, where the product has several"},
    {"partitioner", PARAM_CHOICE, offsetof(struct queue_args, partitioner), .fallback = "key",
     .choices = partitioners,
     .help = "who chooses the partition: the workload by key, or the library"},
    {0}};

struct queue_client_args {
    struct producing_args producing;
    int64_t settle_every, work_ns, work_nth, refuse_nth;
    int settle, refuse;
};

static const char *const settle_whens[] = {"after", "before", "never", NULL};
enum refuse_how { REFUSE_REQUEUE, REFUSE_DROP };
static const char *const refuse_hows[] = {"requeue", "drop", NULL};

static const struct param queue_client_params[] = {
    PRODUCING_PARAMS(struct queue_client_args),
    {"settle", PARAM_CHOICE, offsetof(struct queue_client_args, settle), .fallback = "after",
     .choices = settle_whens, .help = "settle after the work, before it, or never"},
    {"settle_every", PARAM_INT, offsetof(struct queue_client_args, settle_every), .fallback = "1",
     .min = 1, .max = 1000, .unit = "messages", .help = "settle that many at once, cumulatively"},
    {"work", PARAM_DURATION, offsetof(struct queue_client_args, work_ns), .max = 3600 * SECOND_NS,
     .help = "how long the work on a message takes, before its effect; nothing is read meanwhile, "
             "nor are heartbeats kept"},
    {"work_nth", PARAM_INT, offsetof(struct queue_client_args, work_nth), .fallback = "0",
     .max = INT32_MAX, .only = "work",
     .help = "only the nth message takes that long; 0: every one"},
    {"refuse_nth", PARAM_INT, offsetof(struct queue_client_args, refuse_nth), .fallback = "0",
     .max = INT32_MAX, .help = "the nth message is refused instead of worked on; 0: none"},
    {"refuse", PARAM_CHOICE, offsetof(struct queue_client_args, refuse), .fallback = "requeue",
     .choices = refuse_hows, .only = "refuse_nth",
     .help = "the refused message goes back into the queue, or away for good (where the product "
             "dead-letters, it does)"},
    {0}};

/* Steps, in the order a message passes them (settle: after). */
enum queue_step { BEFORE_PROCESS, AFTER_EFFECT, BEFORE_SETTLE, AFTER_SETTLE };
static const char *const queue_steps[] = {"before_process", "after_effect", "before_settle",
                                          "after_settle", NULL};

static void queue_needs(const void *args, const void *role_args, struct worker_needs *needs)
{
    const struct queue_args *a = args;
    const struct queue_client_args *c = role_args;

    needs->payload_bytes = (uint32_t)a->payload_bytes;
    needs->store = a->effect;
    producing_needs(&c->producing, needs);
}

/* ---- one worker */

/* Settled together: the last delivery of each unit since the last settle. */
struct pending {
    struct delivery delivery;
    struct msg msg;
    uint32_t n; /* of them */
};

struct queue {
    struct worker *worker;
    const struct queue_args *args;
    const struct queue_client_args *client;
    struct draw keys;
    struct producing producing;
    int64_t taken;           /* messages so far */
    struct pending *pending; /* by plan unit; the last one for deliveries of no unit */
    size_t n_units;
    int64_t unsettled;
    bool has_store;
    bool log; /* settling is cumulative by nature: an offset */
};

/* Drawn by number: a message's key depends on nothing but who sends it and which one it is. */
static uint32_t key_of(const void *context, const struct msg_id *id)
{
    const struct queue *q = context;

    return (uint32_t)draw_below(&q->keys, id->seq, (uint64_t)q->args->keys);
}

static int queue_open(struct queue *q, struct worker *worker, struct err *err)
{
    const struct plan_case *plan = worker_case(worker);
    struct msg_id me = worker_identity(worker);
    long source = worker_source(worker);
    char stream[64];

    q->worker = worker;
    q->args = plan->workload_args;
    q->client = worker_client(worker)->role_args;
    q->n_units = plan->n_units;
    q->has_store = worker_has_store(worker);
    q->log = source >= 0 && plan->dests[source].kind == UNIT_LOG;
    q->pending = calloc(q->n_units + 1, sizeof(*q->pending));
    if (!q->pending)
        return err_set(err, "out of memory");
    if (producing_open(&q->producing, worker, &q->client->producing, q->args->keys,
                       q->args->partitioner == PARTITION_BY_LIBRARY, err) < 0)
        return -1;
    q->producing.key_of = q->args->keys > 1 ? key_of : NULL;
    q->producing.context = q;
    snprintf(stream, sizeof(stream), "queue.key.%u.%u.%u", me.client, me.incarnation, me.worker);
    q->keys = draw_stream(plan->seed, stream);
    return 0;
}

static void queue_release(struct queue *q)
{
    producing_release(&q->producing);
    free(q->pending);
}

/* ---- consuming */

static void settle_pending(struct queue *q)
{
    for (size_t i = 0; q->unsettled > 0 && i <= q->n_units; i++) {
        struct pending *p = &q->pending[i];

        if (p->n > 0)
            worker_settle(q->worker, &p->delivery,
                          (struct settle_how){.cumulative = true, .also = p->n - 1});
        p->n = 0;
    }
    q->unsettled = 0;
}

static void settle_later(struct queue *q, const struct delivery *d)
{
    struct pending *p = &q->pending[d->unit < q->n_units ? d->unit : q->n_units];

    p->delivery = *d;
    p->delivery.payload = NULL;
    if (d->msg) {
        p->msg = *d->msg;
        p->delivery.msg = &p->msg;
    }
    p->n++;
    if (++q->unsettled >= q->client->settle_every)
        settle_pending(q);
}

static inline void settle(struct queue *q, const struct queue_client_args *how,
                          const struct delivery *d)
{
    if (how->settle == SETTLE_NEVER)
        return;
    if (how->settle_every == 1)
        worker_settle(q->worker, d, (struct settle_how){.cumulative = q->log});
    else
        settle_later(q, d);
}

/* True when the message may be settled: its effect is there, or there is none to be made. */
static bool apply(struct queue *q, const struct delivery *d)
{
    enum outcome outcome;

    if (!q->has_store)
        return true;
    while ((outcome = worker_effect(q->worker, d)) == OUTCOME_FAIL && !worker_stopping(q->worker))
        worker_pause(q->worker, EFFECT_AGAIN_NS);
    return outcome == OUTCOME_OK;
}

static void refuse(struct queue *q, const struct delivery *d)
{
    worker_settle(
        q->worker, d,
        (struct settle_how){.reject = true, .requeue = q->client->refuse == REFUSE_REQUEUE});
}

static inline void settle_passing_steps(struct queue *q, struct worker *worker,
                                        const struct queue_client_args *how,
                                        const struct delivery *d)
{
    const struct msg *msg = d->msg;

    worker_step(worker, BEFORE_SETTLE, msg);
    settle(q, how, d);
    worker_step(worker, AFTER_SETTLE, msg);
}

/* What every message needs is at hand, not behind q: a look at a gate makes the compiler forget. */
static inline void consume(struct queue *q, struct worker *worker,
                           const struct queue_client_args *how, const struct delivery *d)
{
    const struct msg *msg = d->msg;
    bool applied;
    int64_t nth;

    if (!msg || msg->flags & MSG_MARKER) { /* no work in it, but it is taken */
        settle(q, how, d);
        return;
    }
    nth = ++q->taken;
    if (nth == how->refuse_nth) {
        worker_step(worker, BEFORE_PROCESS, msg);
        refuse(q, d);
        return;
    }
    if (how->settle == SETTLE_BEFORE)
        settle_passing_steps(q, worker, how, d);
    worker_step(worker, BEFORE_PROCESS, msg);
    if (how->work_ns > 0 && (how->work_nth == 0 || nth == how->work_nth))
        worker_pause(worker, how->work_ns);
    applied = apply(q, d);
    worker_step(worker, AFTER_EFFECT, msg);
    if (applied && how->settle != SETTLE_BEFORE)
        settle_passing_steps(q, worker, how, d);
}

static int queue_run(struct worker *worker, struct err *err)
{
    struct queue q = {0};
    int result = queue_open(&q, worker, err);
    const struct queue_client_args *how = q.client;

    while (result == 0 && !worker_stopping(worker)) {
        const struct delivery *deliveries;
        size_t n = worker_poll(worker, producing_send(&q.producing), &deliveries);
        const struct delivery *d = n > 0 ? deliveries : NULL; /* a copy: in a register */

        for (size_t left = n; left > 0 && !worker_stopping(worker); left--, d++)
            consume(&q, worker, how, d);
        if (n == 0)
            settle_pending(&q);
    }
    if (result == 0)
        settle_pending(&q);
    queue_release(&q);
    return result;
}

const struct workload_ops queue_workload = {
    .name = "queue",
    .about = "producers send numbered messages, consumers apply one effect each and settle",
    .params = queue_params,
    .args_size = sizeof(struct queue_args),
    .client_params = queue_client_params,
    .client_args_size = sizeof(struct queue_client_args),
    .steps = queue_steps,
    .needs = queue_needs,
    .run = queue_run,
};
