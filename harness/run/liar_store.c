/*
 * Lies about effects (liar.h): a transaction that says ok and left no row, or left two. Told only
 * about single-row transactions, when COMMIT has answered.
 */
#include "run/liar.h"
#include "run/store_layer.h"

#include <stdlib.h>
#include <unistd.h>

struct store_liar {
    struct store inner; /* first: store_layer.h */
    struct lies lies;
    uint64_t n_rows;
    struct msg_id row;
    bool forgets, repeats; /* this transaction */
};

static int liar_begin(void *self, struct err *err)
{
    struct store_liar *l = self;

    l->forgets = l->repeats = false;
    return l->inner.ops->begin(l->inner.self, err);
}

static int liar_append(void *self, const struct journal_row *row, struct err *err)
{
    struct store_liar *l = self;
    uint64_t index = l->n_rows++;

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
    return outcome;
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
    .add = store_layer_add,
    .put = store_layer_put,
    .put_if = store_layer_put_if,
    .remove = store_layer_remove,
    .claim = store_layer_claim,
    .claimed = store_layer_claimed,
    .fence = store_layer_fence,
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
    lies_open(&l->lies, options, spec);
    return (struct store){.ops = &liar_store_ops, .self = l};
}
