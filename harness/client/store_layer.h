/*
 * What decorators of a store have in common: the handle below as their first member, and calls they
 * are not interested in handed down unchanged.
 *
 *     struct my_layer { struct store inner; … };
 *     static const struct store_ops my_ops = {.begin = store_layer_begin, .commit = my_commit, …};
 *
 * Left out of the forwarding: open (a layer is put on an open handle), the audits and the change
 * stream (they belong to other handles).
 */
#ifndef ASSAY_CLIENT_STORE_LAYER_H
#define ASSAY_CLIENT_STORE_LAYER_H

#include "api/worker.h"

int store_layer_begin(void *self, struct err *err);
int store_layer_append(void *self, const struct journal_row *row, struct err *err);
enum outcome store_layer_commit(void *self, int16_t *code);
void store_layer_rollback(void *self);
enum store_answer store_layer_read(void *self, uint32_t key, bool for_update,
                                   struct store_item *out);
enum store_answer store_layer_add(void *self, uint32_t key, int64_t amount, struct store_item *out);
enum store_answer store_layer_put(void *self, uint32_t key, int64_t value, struct store_item *out);
enum store_answer store_layer_put_if(void *self, uint32_t key, int64_t value, uint64_t version,
                                     struct store_item *out);
enum store_answer store_layer_remove(void *self, uint32_t key, struct store_item *out);
enum store_answer store_layer_claim(void *self, const char *token);
enum store_answer store_layer_claimed(void *self, const char *token);
enum store_answer store_layer_outbox_put(void *self, uint32_t key, uint64_t version);
enum store_answer store_layer_outbox_next(void *self, struct store_item *out);
enum store_answer store_layer_outbox_done(void *self, uint32_t key, uint64_t version);
enum store_answer store_layer_fence(void *self, uint32_t key, uint64_t token,
                                    const struct msg_id *by);
enum store_answer store_layer_take(void *self, uint32_t key, uint64_t token,
                                   const struct msg_id *by);
enum store_answer store_layer_journaled(void *self, const struct msg_id *message);
/* Closes and frees what lies below; the layer itself stays. */
void store_layer_close(void *self);

#endif
