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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SENDS_PER_POLL 128
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
    int64_t outstanding, attempts, settle_every;
    double rate_per_s;
    bool poisson;
    int resend, settle;
};

static const char *const resends[] = {"none", "on_unknown", "until_ok", NULL};
static const char *const settle_whens[] = {"after", "before", "never", NULL};

static const struct param queue_client_params[] = {
    {"outstanding", PARAM_INT, offsetof(struct queue_client_args, outstanding), .fallback = "1000",
     .min = 1, .max = 1000000, .unit = "messages",
     .help = "sends without a completion at most, per worker"},
    {"rate", PARAM_RATE, offsetof(struct queue_client_args, rate_per_s),
     .help = "sends from its start on at this rate, over all instances; without it only what the "
             "script asks"},
    {"poisson", PARAM_BOOL, offsetof(struct queue_client_args, poisson), .fallback = "false",
     .help = "arrivals of that rate are drawn, not evenly spaced"},
    {"resend", PARAM_CHOICE, offsetof(struct queue_client_args, resend), .fallback = "none",
     .choices = resends, .help = "what the application sends again, as a further attempt"},
    {"attempts", PARAM_INT, offsetof(struct queue_client_args, attempts), .fallback = "3", .min = 1,
     .max = 255, .help = "attempts per message at most, where it sends again"},
    {"settle", PARAM_CHOICE, offsetof(struct queue_client_args, settle), .fallback = "after",
     .choices = settle_whens, .help = "settle after the work, before it, or never"},
    {"settle_every", PARAM_INT, offsetof(struct queue_client_args, settle_every), .fallback = "1",
     .min = 1, .max = 1000, .unit = "messages", .help = "settle that many at once, cumulatively"},
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
    needs->outstanding = (uint32_t)c->outstanding;
    needs->rate_per_s = c->rate_per_s;
    needs->poisson = c->poisson;
}

/* ---- one worker */

/* Settled together: the last delivery of each unit since the last settle. */
struct pending {
    struct delivery delivery;
    struct msg msg;
    bool there;
};

struct queue {
    struct worker *worker;
    const struct queue_args *args;
    const struct queue_client_args *client;
    struct draw keys;
    uint64_t *key_seq;       /* by key */
    uint32_t *unit_of;       /* by key */
    struct pending *pending; /* by plan unit; the last one for deliveries of no unit */
    size_t n_units;
    int64_t unsettled;
    bool log; /* settling is cumulative by nature: an offset */
};

static uint32_t unit_for(const struct queue *q, const struct plan_dest *dest, uint32_t key)
{
    struct draw spread = draw_stream(0, "queue.unit");

    if (!dest || dest->n_units == 0 || q->args->partitioner == PARTITION_BY_LIBRARY)
        return NO_UNIT;
    return dest->first_unit + (uint32_t)draw_below(&spread, key, dest->n_units);
}

static int queue_open(struct queue *q, struct worker *worker, struct err *err)
{
    const struct plan_case *plan = worker_case(worker);
    struct msg_id me = worker_identity(worker);
    long target = worker_target(worker);
    long source = worker_source(worker);
    char stream[64];

    q->worker = worker;
    q->args = plan->workload_args;
    q->client = worker_client(worker)->role_args;
    q->n_units = plan->n_units;
    q->log = source >= 0 && plan->dests[source].kind == UNIT_LOG;
    q->key_seq = calloc((size_t)q->args->keys, sizeof(*q->key_seq));
    q->unit_of = calloc((size_t)q->args->keys, sizeof(*q->unit_of));
    q->pending = calloc(q->n_units + 1, sizeof(*q->pending));
    if (!q->key_seq || !q->unit_of || !q->pending)
        return err_set(err, "out of memory for %lld keys", (long long)q->args->keys);
    for (uint32_t key = 0; key < q->args->keys; key++)
        q->unit_of[key] = unit_for(q, target < 0 ? NULL : &plan->dests[target], key);
    snprintf(stream, sizeof(stream), "queue.key.%u.%u.%u", me.client, me.incarnation, me.worker);
    q->keys = draw_stream(plan->seed, stream);
    worker_resend_policy(worker, (enum resend)q->client->resend, (unsigned)q->client->attempts);
    return 0;
}

static void queue_release(struct queue *q)
{
    free(q->key_seq);
    free(q->unit_of);
    free(q->pending);
}

/* ---- producing */

static void send_one(struct queue *q, const struct work_order *order, uint64_t seq)
{
    struct message_body body = {0};

    if (q->args->keys > 1)
        body.key = (uint32_t)draw_below(&q->keys, seq, (uint64_t)q->args->keys);
    body.key_seq = q->key_seq[body.key]++;
    worker_send(q->worker, order, &body, q->unit_of[body.key]);
}

/* Sends what is due; returns until when a poll may wait. */
static int64_t produce(struct queue *q)
{
    struct work_order order;
    int64_t until_ns = 0;
    uint32_t sent = 0;

    while (sent < SENDS_PER_POLL) {
        uint64_t seq = worker_identity(q->worker).seq;

        if (!worker_next_send(q->worker, &order, SENDS_PER_POLL - sent, &until_ns))
            return sent == 0 ? until_ns : 0;
        for (uint32_t i = 0; i < order.n; i++)
            send_one(q, &order, seq + i);
        sent += order.n;
    }
    return 0;
}

/* ---- consuming */

static void settle_pending(struct queue *q)
{
    for (size_t i = 0; q->unsettled > 0 && i <= q->n_units; i++) {
        struct pending *p = &q->pending[i];

        if (p->there)
            worker_settle(q->worker, &p->delivery, (struct settle_how){.cumulative = true});
        p->there = false;
    }
    q->unsettled = 0;
}

static void settle(struct queue *q, const struct delivery *d)
{
    struct pending *p = &q->pending[d->unit < q->n_units ? d->unit : q->n_units];

    if (q->client->settle == SETTLE_NEVER)
        return;
    if (q->client->settle_every == 1) {
        worker_settle(q->worker, d, (struct settle_how){.cumulative = q->log});
        return;
    }
    p->delivery = *d;
    p->delivery.payload = NULL;
    if (d->msg) {
        p->msg = *d->msg;
        p->delivery.msg = &p->msg;
    }
    p->there = true;
    if (++q->unsettled >= q->client->settle_every)
        settle_pending(q);
}

/* True when the message may be settled: its effect is there, or there is none to be made. */
static bool apply(struct queue *q, const struct delivery *d)
{
    enum outcome outcome;

    if (!worker_has_store(q->worker))
        return true;
    while ((outcome = worker_effect(q->worker, d)) == OUTCOME_FAIL && !worker_stopping(q->worker)) {
        struct deadline pause = deadline_in(SECOND_NS, NULL);

        (void)deadline_sleep(&pause, EFFECT_AGAIN_NS);
    }
    return outcome == OUTCOME_OK;
}

static void settle_passing_steps(struct queue *q, const struct delivery *d)
{
    worker_step(q->worker, BEFORE_SETTLE, d->msg);
    settle(q, d);
    worker_step(q->worker, AFTER_SETTLE, d->msg);
}

static void consume(struct queue *q, const struct delivery *d)
{
    bool applied;

    if (!d->msg || d->msg->flags & MSG_MARKER) { /* no work in it, but it is taken */
        settle(q, d);
        return;
    }
    if (q->client->settle == SETTLE_BEFORE)
        settle_passing_steps(q, d);
    worker_step(q->worker, BEFORE_PROCESS, d->msg);
    applied = apply(q, d);
    worker_step(q->worker, AFTER_EFFECT, d->msg);
    if (applied && q->client->settle != SETTLE_BEFORE)
        settle_passing_steps(q, d);
}

static int queue_run(struct worker *worker, struct err *err)
{
    struct queue q = {0};
    int result = queue_open(&q, worker, err);

    while (result == 0 && !worker_stopping(worker)) {
        const struct delivery *deliveries;
        size_t n = worker_poll(worker, produce(&q), &deliveries);

        for (size_t i = 0; i < n && !worker_stopping(worker); i++)
            consume(&q, &deliveries[i]);
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
