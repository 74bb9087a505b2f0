/*
 * Lies about effects (liar.h): a transaction that says ok and left no row, or left two; that did
 * not add what it was to add; that says its row is in the version before; that takes an older
 * fencing token beside the one it was asked to check. Told only about transactions of a single such
 * call, when COMMIT has answered. Of one key an amount is held back once, and a version told again
 * only where the one before was true: else two lies could hide each other.
 */
#include "client/liar.h"
#include "client/store_layer.h"

#include <stdlib.h>
#include <unistd.h>

#define KEYS_KEPT 4096u

struct store_liar {
    struct store inner; /* first: store_layer.h */
    struct lies lies;
    uint64_t n_rows, n_changes;
    struct msg_id row;
    bool forgets, repeats; /* this transaction */
    enum lie other;        /* and this one, of `row`; LIES: none */
    bool skewed[KEYS_KEPT], lied_of[KEYS_KEPT];
};

/* One lie a transaction; key and kind are what the test counts by. */
static bool begins(struct store_liar *l, enum lie lie, uint32_t key)
{
    if (l->other != LIES || key >= KEYS_KEPT || !lies_tempt(&l->lies, lie, l->n_changes++))
        return false;
    l->other = lie;
    l->row = (struct msg_id){.seq = key};
    return true;
}

static int liar_begin(void *self, struct err *err)
{
    struct store_liar *l = self;

    l->forgets = l->repeats = false;
    l->other = LIES;
    return l->inner.ops->begin(l->inner.self, err);
}

static int liar_append(void *self, const struct journal_row *row, struct err *err)
{
    struct store_liar *l = self;
    uint64_t index = l->n_rows++;

    if (l->other != LIES)
        return l->inner.ops->append(l->inner.self, row, err);
    l->row = row->message;
    l->forgets = lies_tempt(&l->lies, LIE_FORGET, index);
    l->repeats = !l->forgets && lies_tempt(&l->lies, LIE_REPEAT, index);
    if (l->repeats && l->inner.ops->append(l->inner.self, row, err) < 0)
        return -1;
    return l->inner.ops->append(l->inner.self, row, err);
}

static enum outcome liar_commit(void *self, int16_t *code)
{
    struct store_liar *l = self;
    enum outcome outcome;

    if (l->forgets) {
        l->inner.ops->rollback(l->inner.self);
        lies_confess(&l->lies, LIE_FORGET, &l->row, NULL);
        *code = 0;
        return OUTCOME_OK;
    }
    outcome = l->inner.ops->commit(l->inner.self, code);
    if (l->repeats && outcome == OUTCOME_OK)
        lies_confess(&l->lies, LIE_REPEAT, &l->row, NULL);
    if (l->other != LIES && outcome == OUTCOME_OK)
        lies_confess(&l->lies, l->other, &l->row, NULL);
    return outcome;
}

static enum store_answer liar_add(void *self, uint32_t key, int64_t amount, struct store_item *out)
{
    struct store_liar *l = self;
    enum store_answer answer;
    struct store_item item;

    if (amount == 0 || key >= KEYS_KEPT || l->skewed[key] || !begins(l, LIE_SKEW, key))
        return l->inner.ops->add(l->inner.self, key, amount, out);
    l->skewed[key] = true;
    answer = l->inner.ops->add(l->inner.self, key, 0, &item); /* its version rises all the same */
    item.value += amount;
    if (out)
        *out = item;
    return answer;
}

static enum store_answer liar_put(void *self, uint32_t key, int64_t value, struct store_item *out)
{
    struct store_liar *l = self;
    enum store_answer answer = l->inner.ops->put(l->inner.self, key, value, out);
    bool lied = key < KEYS_KEPT && l->lied_of[key];

    if (key < KEYS_KEPT)
        l->lied_of[key] = false;
    if (answer != STORE_OK || !out || lied || out->version < 3 || !begins(l, LIE_AGAIN, key))
        return answer;
    l->lied_of[key] = true;
    out->version--;
    return answer;
}

static enum store_answer liar_fence(void *self, uint32_t key, uint64_t token,
                                    const struct msg_id *by)
{
    struct store_liar *l = self;
    enum store_answer answer = l->inner.ops->fence(l->inner.self, key, token, by);

    if (answer != STORE_OK || token < 2 || !begins(l, LIE_BYPASS, key))
        return answer;
    return l->inner.ops->take(l->inner.self, key, token - 1, by);
}

static void liar_close(void *self)
{
    struct store_liar *l = self;

    store_layer_close(l);
    close(l->lies.fd);
}

static const struct store_ops liar_store_ops = {
    .name = "liar",
    .size = sizeof(struct store_liar),
    .begin = liar_begin,
    .append = liar_append,
    .commit = liar_commit,
    .rollback = store_layer_rollback,
    .close = liar_close,
    .read = store_layer_read,
    .add = liar_add,
    .put = liar_put,
    .put_if = store_layer_put_if,
    .remove = store_layer_remove,
    .claim = store_layer_claim,
    .claimed = store_layer_claimed,
    .outbox_put = store_layer_outbox_put,
    .outbox_next = store_layer_outbox_next,
    .outbox_done = store_layer_outbox_done,
    .fence = liar_fence,
    .take = store_layer_take,
    .journaled = store_layer_journaled,
};

struct store liar_wrap_store(struct store inner, const struct liar_options *options,
                             const struct client_spec *spec)
{
    struct store_liar *l = calloc(1, sizeof(*l));

    if (!l)
        abort();
    l->inner = inner;
    l->other = LIES;
    lies_open(&l->lies, options, spec);
    return (struct store){.ops = &liar_store_ops, .self = l};
}
