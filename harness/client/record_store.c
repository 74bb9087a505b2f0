/*
 * Store transactions, recorded write-ahead: the invokes are committed to the log before COMMIT can
 * take effect, the completions before the workload goes on. What a killed client had applied is
 * asked from the journal by the audit, never taken from here (JUDGING: effect).
 *
 * A version is known when its row is locked, inside the transaction; so a single changing statement
 * is made a transaction of its own here when versions are recorded, else its invoke could only be
 * written afterwards. Reads inside a transaction are not recorded: a version seen there may never
 * have been committed. Rolled back transactions leave no event.
 */
#include "client/record_store.h"

#include "client/store_layer.h"

#include <stdlib.h>

#define ROWS_MAX 1024 /* journal rows, and changed items, of one transaction */

struct change {
    uint32_t key;
    uint64_t version, seq;
};

struct store_recorder {
    struct store inner; /* first: store_layer.h */
    struct store_recorder_options with;
    bool inside; /* between begin and its end */
    size_t n_rows, n_changes;
    struct journal_row rows[ROWS_MAX];
    struct change changes[ROWS_MAX];
};

static void end(struct store_recorder *r)
{
    r->inside = false;
    r->n_rows = r->n_changes = 0;
}

/* ---- events */

static void record(struct store_recorder *r, struct event e)
{
    history_record(r->with.log, &e);
}

static struct event of_message(const struct store_recorder *r, const struct journal_row *row,
                               uint8_t type)
{
    return (struct event){.type = type,
                          .at_ns = worker_clock_read(r->with.clock),
                          .seq = row->message.seq,
                          .client = row->message.client,
                          .incarnation = row->message.incarnation,
                          .worker = row->message.worker,
                          .key = row->key,
                          .position = row->version,
                          .unit = NO_UNIT,
                          .ref = r->with.source};
}

static struct event of_item(const struct store_recorder *r, uint32_t key, uint64_t seq,
                            uint8_t type)
{
    return (struct event){.type = type,
                          .at_ns = worker_clock_read(r->with.clock),
                          .seq = seq,
                          .client = r->with.me.client,
                          .incarnation = r->with.me.incarnation,
                          .worker = r->with.me.worker,
                          .key = key,
                          .ref = r->with.cluster};
}

static void record_invokes(struct store_recorder *r)
{
    for (size_t i = 0; i < r->n_rows; i++)
        record(r, of_message(r, &r->rows[i], EV_EFFECT_INVOKE));
    for (size_t i = 0; i < r->n_changes; i++) {
        struct event e;

        r->changes[i].seq = (*r->with.writes)++;
        e = of_item(r, r->changes[i].key, r->changes[i].seq, EV_WRITE_INVOKE);
        e.value = (int64_t)r->changes[i].version;
        record(r, e);
    }
}

static void record_completions(struct store_recorder *r, enum outcome outcome, int16_t code)
{
    for (size_t i = 0; i < r->n_rows; i++) {
        struct event e = of_message(r, &r->rows[i], EV_EFFECT_COMPLETE);

        e.code = code;
        e.outcome_level = event_result(outcome, LEVEL_NONE);
        record(r, e);
    }
    for (size_t i = 0; i < r->n_changes; i++) {
        struct event e = of_item(r, r->changes[i].key, r->changes[i].seq, EV_WRITE_COMPLETE);

        e.value = (int64_t)r->changes[i].version;
        e.code = code;
        e.outcome_level = event_result(outcome, LEVEL_NONE);
        record(r, e);
    }
    *r->with.effects += outcome == OUTCOME_OK ? (int64_t)r->n_rows : 0;
    *r->with.unknown_commits += outcome == OUTCOME_UNKNOWN ? (int64_t)r->n_rows : 0;
}

/* ---- transactions */

static int recorder_begin(void *self, struct err *err)
{
    struct store_recorder *r = self;

    end(r);
    if (store_layer_begin(r, err) < 0)
        return -1;
    r->inside = true;
    return 0;
}

/* Both legs of a transfer are rows of one message: one effect. */
static bool is_new(const struct store_recorder *r, const struct msg_id *message)
{
    for (size_t i = r->n_rows; i-- > 0;) {
        const struct msg_id *known = &r->rows[i].message;

        if (known->seq == message->seq && known->client == message->client &&
            known->incarnation == message->incarnation && known->worker == message->worker)
            return false;
    }
    return true;
}

static int recorder_append(void *self, const struct journal_row *row, struct err *err)
{
    struct store_recorder *r = self;

    if (r->n_rows == ROWS_MAX)
        return err_set(err, "more than %d messages in one store transaction", ROWS_MAX);
    if (store_layer_append(r, row, err) < 0)
        return -1;
    if (is_new(r, &row->message))
        r->rows[r->n_rows++] = *row;
    return 0;
}

static enum outcome recorder_commit(void *self, int16_t *code)
{
    struct store_recorder *r = self;
    enum outcome outcome;

    record_invokes(r);
    outcome = store_layer_commit(r, code);
    record_completions(r, outcome, *code);
    end(r);
    return outcome;
}

static void recorder_rollback(void *self)
{
    store_layer_rollback(self);
    end(self);
}

/* After these two the transaction is gone (api/store.h). */
static enum store_answer seen(struct store_recorder *r, enum store_answer answer)
{
    if (answer == STORE_CONFLICT || answer == STORE_ERROR)
        end(r);
    return answer;
}

/* ---- items */

static bool note_change(struct store_recorder *r, const struct store_item *item)
{
    for (size_t i = 0; i < r->n_changes; i++)
        if (r->changes[i].key == item->key) {
            r->changes[i].version = item->version; /* only the last one becomes visible */
            return true;
        }
    if (r->n_changes == ROWS_MAX)
        return false;
    r->changes[r->n_changes++] = (struct change){item->key, item->version, 0};
    return true;
}

struct change_call {
    uint32_t key;
    int64_t value;
    uint64_t version;
    enum store_answer (*make)(struct store_recorder *r, const struct change_call *call,
                              struct store_item *out);
};

static enum store_answer make_noted(struct store_recorder *r, const struct change_call *call,
                                    struct store_item *out)
{
    enum store_answer answer = seen(r, call->make(r, call, out));

    if (answer == STORE_OK && r->with.versions && !note_change(r, out)) {
        recorder_rollback(r);
        return STORE_ERROR;
    }
    return answer;
}

/* A single statement as a transaction: its version must be known before it can take effect. An
 * unknown COMMIT is STORE_ERROR with its events saying unknown. */
static enum store_answer make_alone(struct store_recorder *r, const struct change_call *call,
                                    struct store_item *out)
{
    struct err ignored;
    enum store_answer answer;
    int16_t code = 0;

    if (recorder_begin(r, &ignored) < 0)
        return STORE_ERROR;
    answer = make_noted(r, call, out);
    if (answer == STORE_OK)
        return recorder_commit(r, &code) == OUTCOME_OK ? STORE_OK : STORE_ERROR;
    if (r->inside)
        recorder_rollback(r);
    return answer;
}

static enum store_answer change(struct store_recorder *r, const struct change_call *call,
                                struct store_item *out)
{
    struct store_item item = {.key = call->key};
    enum store_answer answer;

    if (r->inside || !r->with.versions)
        answer = make_noted(r, call, &item);
    else
        answer = make_alone(r, call, &item);
    if (out)
        *out = item;
    return answer;
}

static enum store_answer make_add(struct store_recorder *r, const struct change_call *call,
                                  struct store_item *out)
{
    return store_layer_add(r, call->key, call->value, out);
}

static enum store_answer make_put(struct store_recorder *r, const struct change_call *call,
                                  struct store_item *out)
{
    return store_layer_put(r, call->key, call->value, out);
}

static enum store_answer make_put_if(struct store_recorder *r, const struct change_call *call,
                                     struct store_item *out)
{
    return store_layer_put_if(r, call->key, call->value, call->version, out);
}

static enum store_answer make_remove(struct store_recorder *r, const struct change_call *call,
                                     struct store_item *out)
{
    return store_layer_remove(r, call->key, out);
}

static enum store_answer recorder_add(void *self, uint32_t key, int64_t amount,
                                      struct store_item *out)
{
    return change(self, &(struct change_call){.key = key, .value = amount, .make = make_add}, out);
}

static enum store_answer recorder_put(void *self, uint32_t key, int64_t value,
                                      struct store_item *out)
{
    return change(self, &(struct change_call){.key = key, .value = value, .make = make_put}, out);
}

static enum store_answer recorder_put_if(void *self, uint32_t key, int64_t value, uint64_t version,
                                         struct store_item *out)
{
    return change(
        self,
        &(struct change_call){.key = key, .value = value, .version = version, .make = make_put_if},
        out);
}

static enum store_answer recorder_remove(void *self, uint32_t key, struct store_item *out)
{
    return change(self, &(struct change_call){.key = key, .make = make_remove}, out);
}

/* ---- loads */

static enum outcome load_outcome(enum store_answer answer)
{
    return answer == STORE_OK || answer == STORE_NONE ? OUTCOME_OK : OUTCOME_FAIL;
}

static enum store_answer recorder_read(void *self, uint32_t key, bool for_update,
                                       struct store_item *out)
{
    struct store_recorder *r = self;
    struct store_item item = {.key = key};
    enum store_answer answer;
    struct event e;
    uint64_t seq;

    if (r->inside || !r->with.versions)
        return seen(r, store_layer_read(r, key, for_update, out));
    seq = (*r->with.loads)++;
    record(r, of_item(r, key, seq, EV_LOAD_INVOKE));
    answer = store_layer_read(r, key, for_update, &item);
    e = of_item(r, key, seq, EV_LOAD_COMPLETE);
    e.value = (int64_t)item.version;
    e.code = (int16_t)r->with.where;
    e.outcome_level = event_result(load_outcome(answer), LEVEL_NONE);
    record(r, e);
    if (out)
        *out = item;
    return answer;
}

/* ---- the rest only ends transactions */

static enum store_answer recorder_claim(void *self, const char *token)
{
    return seen(self, store_layer_claim(self, token));
}

static enum store_answer recorder_claimed(void *self, const char *token)
{
    return seen(self, store_layer_claimed(self, token));
}

static enum store_answer recorder_outbox_put(void *self, uint32_t key, uint64_t version)
{
    return seen(self, store_layer_outbox_put(self, key, version));
}

static enum store_answer recorder_outbox_next(void *self, struct store_item *out)
{
    return seen(self, store_layer_outbox_next(self, out));
}

static enum store_answer recorder_outbox_done(void *self, uint32_t key, uint64_t version)
{
    return seen(self, store_layer_outbox_done(self, key, version));
}

static enum store_answer recorder_fence(void *self, uint32_t key, uint64_t token,
                                        const struct msg_id *by)
{
    return seen(self, store_layer_fence(self, key, token, by));
}

static enum store_answer recorder_take(void *self, uint32_t key, uint64_t token,
                                       const struct msg_id *by)
{
    return seen(self, store_layer_take(self, key, token, by));
}

static enum store_answer recorder_journaled(void *self, const struct msg_id *message)
{
    return seen(self, store_layer_journaled(self, message));
}

static const struct store_ops recorder_ops = {
    .name = "recorder",
    .size = sizeof(struct store_recorder),
    .begin = recorder_begin,
    .append = recorder_append,
    .commit = recorder_commit,
    .rollback = recorder_rollback,
    .close = store_layer_close,
    .read = recorder_read,
    .add = recorder_add,
    .put = recorder_put,
    .put_if = recorder_put_if,
    .remove = recorder_remove,
    .claim = recorder_claim,
    .claimed = recorder_claimed,
    .outbox_put = recorder_outbox_put,
    .outbox_next = recorder_outbox_next,
    .outbox_done = recorder_outbox_done,
    .fence = recorder_fence,
    .take = recorder_take,
    .journaled = recorder_journaled,
};

struct store store_recorder_wrap(struct store inner, const struct store_recorder_options *options)
{
    struct store_recorder *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->inner = inner;
    r->with = *options;
    return (struct store){.ops = &recorder_ops, .self = r};
}
