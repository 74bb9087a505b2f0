/*
 * Workload `transfer`: consume → change balances → settle. Every message moves an amount from one
 * account to another, in one database transaction with a journal row for each of the two; a message
 * applied twice is two pairs of rows, one never applied is none.
 *
 * The defaults are right but for `dedupe`: settle after the work, an unknown COMMIT asked from the
 * ledger. Every other value is a deviation somebody deployed. Who is paid what follows from the
 * message's identity, so that a redelivery asks for the same and a re-send by another number does
 * not. Left out: transactions over broker and database (workload txn).
 */
#include "workloads/transfer.h"

#include "api/workload.h"
#include "base/clock.h"
#include "plan/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- parameters */

static const char *const dedupes[] = {"none",        "unique",         "same_transaction",
                                      "version",     "checked_before", "redis_before",
                                      "redis_after", "fencing",        NULL};
static const char *const settle_modes[] = {"after_work", "before_work",       "periodic",
                                           "automatic",  "lowest_contiguous", "highest_done",
                                           NULL};
static const char *const unknown_commits[] = {"retry", "done", "ask", NULL};
static const char *const balance_reads[] = {"inside", "outside", NULL};

static const struct param transfer_params[] = {
    {"payload", PARAM_SIZE, offsetof(struct transfer_args, payload_bytes), .fallback = "200B",
     .min = PAYLOAD_MIN, .max = 16 << 20, .unit = "bytes", .help = "size of every message"},
    {"db", PARAM_STRING, offsetof(struct transfer_args, db), .fallback = "db",
     .help = "cluster (with a store) that holds the accounts"},
    {"accounts", PARAM_INT, offsetof(struct transfer_args, accounts), .fallback = "100", .min = 2,
     .max = 100000, .help = "accounts 0, 1, …; the one that pays is the message's key"},
    {"initial", PARAM_INT, offsetof(struct transfer_args, initial), .fallback = "1000",
     .min = -(INT64_C(1) << 50), .max = INT64_C(1) << 50,
     .help = "balance of every account before the first transfer"},
    {"amount", PARAM_INT, offsetof(struct transfer_args, amount), .fallback = "10", .min = 1,
     .max = INT64_C(1) << 40, .help = "the most one transfer moves; drawn from 1 on"},
    {"dedupe", PARAM_CHOICE, offsetof(struct transfer_args, dedupe), .fallback = "none",
     .choices = dedupes,
     .help = "what keeps a message from being applied twice. unique: its token violates a "
             "constraint at "
             "the end of the transaction; same_transaction: its token is inserted first in the "
             "transaction; checked_before: its token is looked for before the transaction and "
             "inserted in it, nothing prevents two; redis_before, redis_after: SETNX in `marks` "
             "before or after the effect; fencing: the generation of its owner is checked in the "
             "transaction, "
             "an older one writes nothing; version: nothing, but a balance is only replaced in the "
             "version it was read in"},
    {"balance", PARAM_CHOICE, offsetof(struct transfer_args, balance), .fallback = "inside",
     .choices = balance_reads, .only = "dedupe: version",
     .help = "balances are read inside the transaction and replaced where the version is still "
             "the same (0 rows: again); outside: read before it and replaced whatever they are by "
             "then"},
    {"marks", PARAM_STRING, offsetof(struct transfer_args, marks),
     .help = "cluster (with a cache) that keeps the marks of redis_before and redis_after"},
    {"mark_ttl", PARAM_DURATION, offsetof(struct transfer_args, mark_ttl_ns), .fallback = "1h",
     .min = 1000000, .max = INT64_C(86400000000000) * 30, .help = "when a mark expires"},
    {"settle", PARAM_CHOICE, offsetof(struct transfer_args, settle), .fallback = "after_work",
     .choices = settle_modes,
     .help = "when a message is settled. periodic: what is done, every settle_every; automatic: "
             "left to the library; lowest_contiguous, highest_done: with several tasks in flight, "
             "up to the first that is not done, or up to the last that is"},
    {"settle_every", PARAM_DURATION, offsetof(struct transfer_args, settle_every_ns),
     .fallback = "1s", .min = 1000000, .max = INT64_C(3600000000000), .only = "settle: periodic",
     .help = "how often what is done is settled"},
    {"tasks", PARAM_INT, offsetof(struct transfer_args, tasks), .fallback = "1", .min = 1,
     .max = 256, .help = "messages in flight at once inside each worker; their turns are drawn"},
    {"work", PARAM_DURATION, offsetof(struct transfer_args, work_ns), .fallback = "0s", .min = 0,
     .max = INT64_C(3600000000000), .help = "how long processing takes before it writes"},
    {"on_unknown_commit", PARAM_CHOICE, offsetof(struct transfer_args, on_unknown_commit),
     .fallback = "ask", .choices = unknown_commits,
     .help = "a COMMIT without an answer is taken for a failure and redone, taken for done, or "
             "asked from the ledger by the message's key"},
    {0}};

static const struct param transfer_client_params[] = {PRODUCING_PARAMS(struct transfer_client_args),
                                                      {0}};

static const char *const transfer_steps[] = {"before_process",   "after_check",  "after_db_read",
                                             "before_db_commit", "after_effect", "after_mark",
                                             "before_settle",    "after_settle", NULL};

static bool marks(const struct transfer_args *a)
{
    return a->dedupe == DEDUPE_REDIS_BEFORE || a->dedupe == DEDUPE_REDIS_AFTER;
}

static bool by_tasks(const struct transfer_args *a)
{
    return a->settle == SETTLE_LOWEST_CONTIGUOUS || a->settle == SETTLE_HIGHEST_DONE;
}

static const char *transfer_senseless(const void *args, const void *role_args)
{
    const struct transfer_args *a = args;

    (void)role_args;
    if (marks(a) && !a->marks)
        return "dedupe: redis_before and redis_after need marks: the cluster that keeps them";
    if (a->tasks > 1 && !by_tasks(a))
        return "tasks: several in flight need settle: lowest_contiguous or highest_done";
    return NULL;
}

static void transfer_needs(const void *args, const void *role_args, struct worker_needs *needs)
{
    const struct transfer_args *a = args;
    const struct transfer_client_args *c = role_args;

    needs->payload_bytes = (uint32_t)a->payload_bytes;
    needs->store = a->db;
    needs->cache = marks(a) ? a->marks : NULL;
    producing_needs(&c->producing, needs);
}

/* ---- what a message means */

static uint64_t number_of(const struct msg_id *id)
{
    return id->seq ^ (uint64_t)id->client << 48 ^ (uint64_t)id->incarnation << 40 ^
           (uint64_t)id->worker << 32;
}

struct transfer transfer_of(const struct transfer_args *args, const struct msg_id *id)
{
    struct draw from = draw_stream(0, "transfer.from");
    struct draw to = draw_stream(0, "transfer.to");
    struct draw amount = draw_stream(0, "transfer.amount");
    uint64_t number = number_of(id);
    uint64_t accounts = (uint64_t)args->accounts;
    struct transfer t = {.from = (uint32_t)draw_below(&from, number, accounts)};

    t.to = (uint32_t)((t.from + 1 + draw_below(&to, number, accounts - 1)) % accounts);
    t.amount = draw_range(&amount, number, 1, args->amount);
    return t;
}

/* Transfers of one account keep their order, where the product keeps that of a key. */
static uint32_t key_of(const void *context, const struct msg_id *id)
{
    return transfer_of(context, id).from;
}

/* ---- one worker */

struct teller {
    struct worker *worker;
    const struct transfer_args *args;
    struct producing producing;
    struct ledger ledger;
    struct settling settling;
    struct tasks tasks;
};

/* Only a group of a log has generations that rise from owner to owner. */
static int check_fencing(const struct teller *t, struct err *err)
{
    const struct plan_case *plan = worker_case(t->worker);
    long source = worker_source(t->worker);

    if (t->args->dedupe != DEDUPE_FENCING || (source >= 0 && plan->dests[source].group))
        return 0;
    return err_input(err, "dedupe: fencing needs a consumer group: others have no generations");
}

static int open_consumer(struct teller *t, struct err *err)
{
    if (check_fencing(t, err) < 0 || ledger_open(&t->ledger, t->worker, err) < 0 ||
        settling_open(&t->settling, t->worker, t->args, err) < 0)
        return -1;
    return by_tasks(t->args) ? tasks_open(&t->tasks, &t->ledger, &t->settling, err) : 0;
}

static int teller_open(struct teller *t, struct worker *worker, struct err *err)
{
    const struct transfer_client_args *client = worker_client(worker)->role_args;

    *t = (struct teller){.worker = worker, .args = worker_case(worker)->workload_args};
    if (producing_open(&t->producing, worker, &client->producing, t->args->accounts, false, err) <
        0)
        return -1;
    t->producing.key_of = key_of;
    t->producing.context = t->args;
    return worker_receives(worker) ? open_consumer(t, err) : 0;
}

static void teller_release(struct teller *t)
{
    producing_release(&t->producing);
    settling_release(&t->settling);
    tasks_release(&t->tasks);
}

static void consume(struct teller *t, const struct delivery *d)
{
    enum applied applied;

    if (!d->msg || d->msg->flags & MSG_MARKER) { /* no work in it, but it is taken */
        settling_done(&t->settling, d);
        return;
    }
    if (t->args->settle == SETTLE_BEFORE_WORK)
        settling_now(&t->settling, d, false);
    worker_step(t->worker, BEFORE_PROCESS, d->msg);
    worker_pause(t->worker, t->args->work_ns);
    applied = ledger_apply(&t->ledger, d);
    if ((applied == APPLIED || applied == DUPLICATE) && t->args->settle != SETTLE_BEFORE_WORK)
        settling_done(&t->settling, d);
}

static void one_by_one(struct teller *t)
{
    while (!worker_stopping(t->worker)) {
        const struct delivery *deliveries;
        size_t n = worker_poll(t->worker, producing_send(&t->producing), &deliveries);

        for (size_t i = 0; i < n && !worker_stopping(t->worker); i++) {
            consume(t, &deliveries[i]);
            settling_tick(&t->settling, false);
        }
        settling_tick(&t->settling, false);
    }
    settling_tick(&t->settling, true);
}

static void several_at_once(struct teller *t)
{
    while (!worker_stopping(t->worker)) {
        const struct delivery *deliveries;
        int64_t until_ns = clock_now_ns() + (t->tasks.n > 0 ? MS_NS : 100 * MS_NS);
        size_t n = 0;

        if (tasks_room(&t->tasks))
            n = worker_poll(t->worker, until_ns, &deliveries);
        else
            worker_pause(t->worker, MS_NS);
        for (size_t i = 0; i < n; i++)
            tasks_add(&t->tasks, &deliveries[i]);
        while (!worker_stopping(t->worker) && tasks_step(&t->tasks))
            ;
    }
}

static int transfer_run(struct worker *worker, struct err *err)
{
    struct teller t;
    int result = teller_open(&t, worker, err);

    if (result == 0 && worker_receives(worker) && by_tasks(t.args))
        several_at_once(&t);
    else if (result == 0)
        one_by_one(&t);
    teller_release(&t);
    return result;
}

const struct workload_ops transfer_workload = {
    .name = "transfer",
    .about = "consumers move money between accounts of a database, as messages ask",
    .params = transfer_params,
    .args_size = sizeof(struct transfer_args),
    .client_params = transfer_client_params,
    .client_args_size = sizeof(struct transfer_client_args),
    .steps = transfer_steps,
    .senseless = transfer_senseless,
    .needs = transfer_needs,
    .run = transfer_run,
};
