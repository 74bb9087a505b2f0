/*
 * Workload `txn`: transactions of the broker. A client that produces sends `batch` messages a
 * transaction and aborts one in so many. A client that consumes and produces passes on what it
 * reads, a poll's worth a transaction: consume-transform-produce, with its offsets inside the
 * transaction or committed behind it. What is passed on keeps its identity, so that the final audit
 * of the output sees what is there twice, and `meant_for: [in, out]` what is missing. A client that
 * only consumes reads (read_committed or not is the library's key) and settles.
 *
 * Left out: effects (queue, transfer), messages made of several.
 */
#include "api/worker.h"
#include "api/workload.h"
#include "base/clock.h"
#include "base/draw.h"
#include "plan/plan.h"
#include "workloads/producing.h"

#include <stdio.h>
#include <stdlib.h>

#define LINGER_NS (20 * MS_NS) /* a transaction that is not full ends after that */

/* ---- parameters */

struct txn_args {
    int64_t payload_bytes, keys;
};

static const struct param txn_params[] = {
    {"payload", PARAM_SIZE, offsetof(struct txn_args, payload_bytes), .fallback = "200B",
     .min = PAYLOAD_MIN, .max = 1 << 20, .unit = "bytes", .help = "size of every message"},
    {"keys", PARAM_INT, offsetof(struct txn_args, keys), .fallback = "1", .min = 1, .max = 1000000,
     .help = "how many different keys messages carry; drawn per message"},
    {0}};

enum offsets { OFFSETS_INSIDE, OFFSETS_BEHIND };
static const char *const offsets_where[] = {"inside", "behind", NULL};

struct txn_client_args {
    struct producing_args producing;
    int64_t batch, abort_every;
    int offsets;
};

static const struct param txn_client_params[] = {
    PRODUCING_PARAMS(struct txn_client_args),
    {"batch", PARAM_INT, offsetof(struct txn_client_args, batch), .fallback = "10", .min = 1,
     .max = 1000, .unit = "messages", .help = "messages a transaction of one that produces"},
    {"abort_every", PARAM_INT, offsetof(struct txn_client_args, abort_every), .fallback = "0",
     .min = 0, .max = 1000000, .unit = "transactions",
     .help = "one in so many transactions is aborted; 0: none"},
    {"offsets", PARAM_CHOICE, offsetof(struct txn_client_args, offsets), .fallback = "inside",
     .choices = offsets_where,
     .help = "of one that consumes and produces: sent with the transaction, or committed behind it "
             "(which a death in between leaves out)"},
    {0}};

/* Steps of one that consumes and produces, in the order a transaction passes them. */
enum txn_step { BEFORE_COMMIT, AFTER_COMMIT, AFTER_SETTLE };
static const char *const txn_steps[] = {"before_commit", "after_commit", "after_settle", NULL};

static void txn_needs(const void *args, const void *role_args, struct worker_needs *needs)
{
    const struct txn_args *a = args;
    const struct txn_client_args *c = role_args;

    needs->payload_bytes = (uint32_t)a->payload_bytes;
    producing_needs(&c->producing, needs);
    if (needs->outstanding < 2 * HARVEST_MAX) /* what a transaction holds completes at its end */
        needs->outstanding = 2 * HARVEST_MAX;
}

/* ---- one worker */

/* The last delivery of each unit of the transaction. */
struct last {
    struct delivery delivery;
    struct msg msg;
    uint32_t n; /* of them */
};

struct txn {
    struct worker *worker;
    const struct txn_args *args;
    const struct txn_client_args *client;
    struct draw keys;
    struct producing producing;
    struct last *last; /* by plan unit */
    size_t n_units;
    int64_t n;                  /* transactions ended */
    int64_t messages, began_ns; /* of the open one */
    bool open, begun, refused;
};

static uint32_t key_of(const void *context, const struct msg_id *id)
{
    const struct txn *t = context;

    return t->args->keys > 1 ? (uint32_t)draw_below(&t->keys, id->seq, (uint64_t)t->args->keys) : 0;
}

static int txn_open(struct txn *t, struct worker *worker, struct err *err)
{
    const struct plan_case *plan = worker_case(worker);
    struct msg_id me = worker_identity(worker);
    char stream[64];

    t->worker = worker;
    t->args = plan->workload_args;
    t->client = worker_client(worker)->role_args;
    t->n_units = plan->n_units;
    t->last = calloc(t->n_units + 1, sizeof(*t->last));
    if (!t->last)
        return err_set(err, "out of memory");
    if (worker_sends(worker) && !worker_has_txn(worker))
        return err_set(err, "this system's client has no transactions");
    if (producing_open(&t->producing, worker, &t->client->producing, t->args->keys, false, err) < 0)
        return -1;
    t->producing.key_of = key_of;
    t->producing.context = t;
    snprintf(stream, sizeof(stream), "txn.key.%u.%u.%u", me.client, me.incarnation, me.worker);
    t->keys = draw_stream(plan->seed, stream);
    return 0;
}

/* Nothing is sent outside of a transaction: false when none can be begun now. */
static bool begin(struct txn *t)
{
    if (t->open)
        return true;
    t->open = worker_txn(t->worker, TXN_BEGIN) == OUTCOME_OK;
    t->begun |= t->open;
    t->refused |= !t->open;
    t->messages = 0;
    t->began_ns = clock_now_ns();
    return t->open;
}

/* ---- producing */

static void end(struct txn *t)
{
    bool aborts = t->client->abort_every > 0 && ++t->n % t->client->abort_every == 0;

    if (t->open)
        (void)worker_txn(t->worker, aborts ? TXN_ABORT : TXN_COMMIT);
    t->open = false;
}

/* Sends what is due; returns until when a poll may wait. */
static int64_t produce(struct txn *t)
{
    int64_t until_ns;

    if (!begin(t))
        return clock_now_ns() + LINGER_NS;
    t->producing.at_most = (uint32_t)(t->client->batch - t->messages);
    until_ns = producing_send(&t->producing);
    if (t->messages == 0 && t->producing.sent > 0)
        t->began_ns = clock_now_ns();
    t->messages += t->producing.sent;
    if (t->messages == 0)
        return until_ns;
    if (t->messages < t->client->batch && clock_now_ns() - t->began_ns < LINGER_NS)
        return until_ns < t->began_ns + LINGER_NS ? until_ns : t->began_ns + LINGER_NS;
    end(t);
    return 0;
}

/* ---- passing on */

static void remember(struct txn *t, const struct delivery *d)
{
    struct last *last;

    if (d->unit >= t->n_units)
        return;
    last = &t->last[d->unit];
    last->delivery = *d;
    last->delivery.payload = NULL;
    if (d->msg)
        last->msg = *d->msg;
    last->delivery.msg = d->msg ? &last->msg : NULL;
    last->n++;
}

static void settle(struct txn *t)
{
    for (size_t i = 0; i < t->n_units; i++)
        if (t->last[i].n > 0) {
            worker_settle(t->worker, &t->last[i].delivery,
                          (struct settle_how){.cumulative = true, .also = t->last[i].n - 1});
            t->last[i].n = 0;
        }
}

static void pass_on(struct txn *t, const struct delivery *deliveries, size_t n)
{
    const struct msg *one = NULL;

    if (!begin(t))
        return; /* they come again: their offsets are nobody's */
    for (size_t i = 0; i < n; i++) {
        if (deliveries[i].msg && !(deliveries[i].msg->flags & MSG_MARKER)) {
            worker_forward(t->worker, &deliveries[i]);
            one = deliveries[i].msg;
        }
        remember(t, &deliveries[i]);
    }
    if (t->client->offsets == OFFSETS_INSIDE) {
        settle(t);
        (void)worker_txn(t->worker, TXN_SEND_OFFSETS);
    }
    if (one)
        worker_step(t->worker, BEFORE_COMMIT, one);
    t->open = false;
    if (worker_txn(t->worker, TXN_COMMIT) != OUTCOME_OK) {
        for (size_t i = 0; i < t->n_units; i++)
            t->last[i].n = 0;
        return; /* the handle begins again at the committed offsets */
    }
    if (one)
        worker_step(t->worker, AFTER_COMMIT, one);
    if (t->client->offsets == OFFSETS_BEHIND)
        settle(t);
    if (one)
        worker_step(t->worker, AFTER_SETTLE, one);
}

static void read_only(struct txn *t, const struct delivery *deliveries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        remember(t, &deliveries[i]);
    settle(t);
}

static int txn_run(struct worker *worker, struct err *err)
{
    struct txn t = {0};
    int result = txn_open(&t, worker, err);

    while (result == 0 && !worker_stopping(worker)) {
        bool sends = worker_sends(worker), receives = worker_receives(worker);
        int64_t until_ns = sends && !receives ? produce(&t) : clock_now_ns() + 100 * MS_NS;
        const struct delivery *deliveries;
        size_t n = worker_poll(worker, until_ns, &deliveries);

        if (n > 0 && sends)
            pass_on(&t, deliveries, n);
        else if (n > 0)
            read_only(&t, deliveries, n);
        if (t.refused && !t.begun)
            result = err_set(err, "no transaction can be begun: is the client a transactional one "
                                  "(kafka: produce: {transactions: stable})?");
    }
    if (result == 0 && t.open)
        end(&t);
    producing_release(&t.producing);
    free(t.last);
    return result;
}

const struct workload_ops txn_workload = {
    .name = "txn",
    .about = "transactions of the broker: committed and aborted ones, consume-transform-produce",
    .params = txn_params,
    .args_size = sizeof(struct txn_args),
    .client_params = txn_client_params,
    .client_args_size = sizeof(struct txn_client_args),
    .steps = txn_steps,
    .needs = txn_needs,
    .run = txn_run,
};
