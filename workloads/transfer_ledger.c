/*
 * One message → one database transaction: both balances, a journal row for each, and what the
 * chosen way to deduplicate adds. Tried again until it is known what became of it: a refused
 * transaction certainly left nothing; of an unknown COMMIT `on_unknown_commit` decides.
 *
 * Both rows are locked in the order of their keys, so that two transfers in opposite directions do
 * not wait for each other.
 */
#include "workloads/transfer.h"

#include "base/clock.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AGAIN_NS (10 * MS_NS)
#define OPEN_TRIES 500

/* What became of one try. */
enum tried { DONE, KNOWN_BEFORE, FENCED_OUT, REFUSED, UNANSWERED };

struct attempt {
    const struct delivery *delivery;
    struct transfer transfer;
    char token[64];
    struct leg {
        uint32_t key;
        int64_t amount;
        struct store_item item;
    } legs[2]; /* by key */
};

/* ---- accounts */

static enum store_answer make_account(const struct store *s, uint32_t key, int64_t initial)
{
    enum store_answer answer = s->ops->put_if(s->self, key, initial, 0, NULL);

    return answer == STORE_NONE ? STORE_OK : answer; /* it is there already */
}

static int make_accounts(const struct ledger *l, struct err *err)
{
    const struct store *s = worker_store(l->worker);
    int16_t code = 0;

    if (s->ops->begin(s->self, err) < 0)
        return -1;
    for (uint32_t key = 0; key < l->args->accounts; key++)
        if (make_account(s, key, l->args->initial) != STORE_OK) {
            s->ops->rollback(s->self);
            return err_set(err, "account %u was refused", key);
        }
    return s->ops->commit(s->self, &code) == OUTCOME_OK
               ? 0
               : err_set(err, "accounts: COMMIT was not answered (code %d)", code);
}

int ledger_open(struct ledger *l, struct worker *worker, struct err *err)
{
    uint32_t last;
    const struct store *s = worker_store(worker);

    *l = (struct ledger){.worker = worker, .args = worker_case(worker)->workload_args};
    last = (uint32_t)l->args->accounts - 1;
    for (int i = 0; i < OPEN_TRIES && !worker_stopping(worker); i++) {
        if (s->ops->read(s->self, last, false, NULL) == STORE_OK || make_accounts(l, err) == 0)
            return 0;
        worker_pause(worker, AGAIN_NS);
    }
    return worker_stopping(worker) ? 0 : err_prefix(err, "opening the accounts");
}

/* ---- one try */

/* Balances as they are now. REFUSED: the store said so. */
static enum tried read_balances(const struct ledger *l, struct attempt *a)
{
    const struct store *s = worker_store(l->worker);

    for (int i = 0; i < 2; i++)
        if (s->ops->read(s->self, a->legs[i].key, false, &a->legs[i].item) != STORE_OK)
            return REFUSED;
    worker_step(l->worker, AFTER_DB_READ, a->delivery->msg);
    return DONE;
}

static enum store_answer change(const struct ledger *l, struct leg *leg)
{
    const struct store *s = worker_store(l->worker);
    int64_t value = leg->item.value + leg->amount;

    if (l->args->dedupe != DEDUPE_VERSION)
        return s->ops->add(s->self, leg->key, leg->amount, &leg->item);
    if (l->args->balance == READ_OUTSIDE)
        return s->ops->put(s->self, leg->key, value, &leg->item);
    return s->ops->put_if(s->self, leg->key, value, leg->item.version, &leg->item);
}

static int append(const struct ledger *l, const struct attempt *a, const struct leg *leg)
{
    const struct store *s = worker_store(l->worker);
    struct journal_row row = {.message = a->delivery->msg->id,
                              .key = leg->key,
                              .key_seq = a->delivery->msg->key_seq,
                              .version = (int64_t)leg->item.version,
                              .amount = leg->amount,
                              .by = (uint16_t)worker_identity(l->worker).client};
    struct err ignored;

    return s->ops->append(s->self, &row, &ignored);
}

static enum tried move(const struct ledger *l, struct attempt *a)
{
    for (int i = 0; i < 2; i++)
        if (change(l, &a->legs[i]) != STORE_OK || append(l, a, &a->legs[i]) < 0)
            return REFUSED;
    return DONE;
}

/* Before anything is changed. */
static enum tried claim_first(const struct ledger *l, const struct attempt *a)
{
    const struct store *s = worker_store(l->worker);
    const struct delivery *d = a->delivery;
    enum store_answer answer = STORE_OK;

    if (l->args->dedupe == DEDUPE_SAME_TRANSACTION)
        answer = s->ops->claim(s->self, a->token);
    if (l->args->dedupe == DEDUPE_FENCING)
        answer = s->ops->fence(s->self, d->unit, d->epoch, &d->msg->id);
    if (answer == STORE_EXISTS)
        return l->args->dedupe == DEDUPE_FENCING ? FENCED_OUT : KNOWN_BEFORE;
    return answer == STORE_OK ? DONE : REFUSED;
}

/* When all is changed: a violation undoes it. */
static enum tried claim_last(const struct ledger *l, const struct attempt *a)
{
    const struct store *s = worker_store(l->worker);
    enum store_answer answer = STORE_OK;

    if (l->args->dedupe == DEDUPE_UNIQUE || l->args->dedupe == DEDUPE_CHECKED_BEFORE)
        answer = s->ops->claim(s->self, a->token);
    if (answer == STORE_EXISTS)
        return l->args->dedupe == DEDUPE_UNIQUE ? KNOWN_BEFORE : DONE;
    return answer == STORE_OK ? DONE : REFUSED;
}

static enum tried inside(const struct ledger *l, struct attempt *a)
{
    bool compare = l->args->dedupe == DEDUPE_VERSION && l->args->balance == READ_INSIDE;
    enum tried tried = claim_first(l, a);

    if (tried == DONE && compare)
        tried = read_balances(l, a);
    if (tried == DONE)
        tried = move(l, a);
    return tried == DONE ? claim_last(l, a) : tried;
}

static enum tried try_once(const struct ledger *l, struct attempt *a)
{
    const struct store *s = worker_store(l->worker);
    bool before = l->args->dedupe == DEDUPE_VERSION && l->args->balance == READ_OUTSIDE;
    enum tried tried;
    struct err ignored;
    int16_t code = 0;

    if (before && read_balances(l, a) != DONE)
        return REFUSED;
    if (s->ops->begin(s->self, &ignored) < 0)
        return REFUSED;
    tried = inside(l, a);
    if (tried != DONE) {
        s->ops->rollback(s->self);
        return tried;
    }
    worker_step(l->worker, BEFORE_DB_COMMIT, a->delivery->msg);
    switch (s->ops->commit(s->self, &code)) {
    case OUTCOME_OK:
        return DONE;
    case OUTCOME_UNKNOWN:
        return UNANSWERED;
    default:
        return REFUSED;
    }
}

/* ---- until it is known */

/* DONE: it is in the ledger; REFUSED: it certainly is not; UNANSWERED: not even that was answered.
 */
static enum tried resolve(const struct ledger *l, const struct attempt *a)
{
    const struct store *s = worker_store(l->worker);

    if (l->args->on_unknown_commit == UNKNOWN_DONE)
        return DONE;
    if (l->args->on_unknown_commit == UNKNOWN_RETRY)
        return REFUSED;
    switch (s->ops->journaled(s->self, &a->delivery->msg->id)) {
    case STORE_OK:
        return DONE;
    case STORE_NONE:
        return REFUSED;
    default:
        return UNANSWERED;
    }
}

static enum applied transact(const struct ledger *l, struct attempt *a)
{
    enum tried tried = REFUSED;

    while (!worker_stopping(l->worker)) {
        if (tried != UNANSWERED)
            tried = try_once(l, a);
        if (tried == UNANSWERED)
            tried = resolve(l, a);
        if (tried == DONE)
            return APPLIED;
        if (tried == KNOWN_BEFORE)
            return DUPLICATE;
        if (tried == FENCED_OUT)
            return FENCED;
        worker_pause(l->worker, AGAIN_NS);
    }
    return GIVEN_UP;
}

/* ---- what is done around the transaction */

/* DUPLICATE: do not begin. */
static enum applied look_before(const struct ledger *l, const struct attempt *a)
{
    const struct store *s = worker_store(l->worker);
    const struct cache *marks = worker_cache(l->worker);
    enum store_answer answer = STORE_NONE;
    enum outcome outcome = OUTCOME_UNKNOWN;

    while (l->args->dedupe == DEDUPE_CHECKED_BEFORE && !worker_stopping(l->worker) &&
           (answer = s->ops->claimed(s->self, a->token)) != STORE_OK && answer != STORE_NONE)
        worker_pause(l->worker, AGAIN_NS);
    if (answer == STORE_OK)
        return DUPLICATE;
    if (l->args->dedupe != DEDUPE_REDIS_BEFORE && l->args->dedupe != DEDUPE_REDIS_AFTER)
        return APPLIED;
    while (!worker_stopping(l->worker) && outcome == OUTCOME_UNKNOWN) {
        outcome = l->args->dedupe == DEDUPE_REDIS_BEFORE
                      ? marks->ops->mark(marks->self, a->token, l->args->mark_ttl_ns)
                      : marks->ops->marked(marks->self, a->token);
        if (outcome == OUTCOME_UNKNOWN)
            worker_pause(l->worker, AGAIN_NS);
    }
    if (outcome == OUTCOME_UNKNOWN)
        return GIVEN_UP;
    return (outcome == OUTCOME_OK) == (l->args->dedupe == DEDUPE_REDIS_BEFORE) ? APPLIED
                                                                               : DUPLICATE;
}

static void mark_after(const struct ledger *l, const struct attempt *a)
{
    const struct cache *marks = worker_cache(l->worker);

    while (!worker_stopping(l->worker) &&
           marks->ops->mark(marks->self, a->token, l->args->mark_ttl_ns) == OUTCOME_UNKNOWN)
        worker_pause(l->worker, AGAIN_NS);
}

static struct attempt attempt_of(const struct ledger *l, const struct delivery *d)
{
    struct transfer t = transfer_of(l->args, &d->msg->id);
    struct attempt a = {.delivery = d, .transfer = t};
    bool pays_first = t.from < t.to;

    a.legs[pays_first ? 0 : 1] = (struct leg){.key = t.from, .amount = -t.amount};
    a.legs[pays_first ? 1 : 0] = (struct leg){.key = t.to, .amount = t.amount};
    snprintf(a.token, sizeof(a.token), "%u.%u.%u.%" PRIu64, d->msg->id.client,
             d->msg->id.incarnation, d->msg->id.worker, d->msg->id.seq);
    return a;
}

enum applied ledger_apply(struct ledger *l, const struct delivery *d)
{
    struct attempt a = attempt_of(l, d);
    enum applied applied = look_before(l, &a);

    if (applied != APPLIED)
        return applied;
    worker_step(l->worker, AFTER_CHECK, d->msg); /* all do: a step is a place both twins pass */
    if (l->args->dedupe == DEDUPE_REDIS_BEFORE)
        worker_step(l->worker, AFTER_MARK, d->msg);
    applied = transact(l, &a);
    if (applied != APPLIED)
        return applied;
    worker_step(l->worker, AFTER_EFFECT, d->msg);
    if (l->args->dedupe == DEDUPE_REDIS_AFTER) {
        mark_after(l, &a);
        worker_step(l->worker, AFTER_MARK, d->msg);
    }
    return APPLIED;
}
