/* See store_layer.h: one line a call. */
#include "client/store_layer.h"

#include <stdlib.h>

static const struct store *below(const void *layer)
{
    return layer;
}

int store_layer_begin(void *self, struct err *err)
{
    return below(self)->ops->begin(below(self)->self, err);
}

int store_layer_append(void *self, const struct journal_row *row, struct err *err)
{
    return below(self)->ops->append(below(self)->self, row, err);
}

enum outcome store_layer_commit(void *self, int16_t *code)
{
    return below(self)->ops->commit(below(self)->self, code);
}

void store_layer_rollback(void *self)
{
    below(self)->ops->rollback(below(self)->self);
}

enum store_answer store_layer_read(void *self, uint32_t key, bool for_update,
                                   struct store_item *out)
{
    return below(self)->ops->read(below(self)->self, key, for_update, out);
}

enum store_answer store_layer_add(void *self, uint32_t key, int64_t amount, struct store_item *out)
{
    return below(self)->ops->add(below(self)->self, key, amount, out);
}

enum store_answer store_layer_put(void *self, uint32_t key, int64_t value, struct store_item *out)
{
    return below(self)->ops->put(below(self)->self, key, value, out);
}

enum store_answer store_layer_put_if(void *self, uint32_t key, int64_t value, uint64_t version,
                                     struct store_item *out)
{
    return below(self)->ops->put_if(below(self)->self, key, value, version, out);
}

enum store_answer store_layer_remove(void *self, uint32_t key, struct store_item *out)
{
    return below(self)->ops->remove(below(self)->self, key, out);
}

enum store_answer store_layer_claim(void *self, const char *token)
{
    return below(self)->ops->claim(below(self)->self, token);
}

enum store_answer store_layer_claimed(void *self, const char *token)
{
    return below(self)->ops->claimed(below(self)->self, token);
}

enum store_answer store_layer_outbox_put(void *self, uint32_t key, uint64_t version)
{
    return below(self)->ops->outbox_put(below(self)->self, key, version);
}

enum store_answer store_layer_outbox_next(void *self, struct store_item *out)
{
    return below(self)->ops->outbox_next(below(self)->self, out);
}

enum store_answer store_layer_outbox_done(void *self, uint32_t key, uint64_t version)
{
    return below(self)->ops->outbox_done(below(self)->self, key, version);
}

enum store_answer store_layer_fence(void *self, uint32_t key, uint64_t token,
                                    const struct msg_id *by)
{
    return below(self)->ops->fence(below(self)->self, key, token, by);
}

enum store_answer store_layer_take(void *self, uint32_t key, uint64_t token,
                                   const struct msg_id *by)
{
    return below(self)->ops->take(below(self)->self, key, token, by);
}

enum store_answer store_layer_journaled(void *self, const struct msg_id *message)
{
    return below(self)->ops->journaled(below(self)->self, message);
}

void store_layer_close(void *self)
{
    struct store *inner = self;

    inner->ops->close(inner->self);
    free(inner->self);
    inner->self = NULL;
}
