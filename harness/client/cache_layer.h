/*
 * What decorators of a cache have in common: the handle below as their first member, and calls they
 * are not interested in handed down unchanged (as store_layer.h does for stores).
 *
 *     struct my_layer { struct cache inner; … };
 *     static const struct cache_ops my_ops = {.get = my_get, .set = cache_layer_set, …};
 *
 * Left out of the forwarding: open (a layer is put on an open handle).
 */
#ifndef ASSAY_CLIENT_CACHE_LAYER_H
#define ASSAY_CLIENT_CACHE_LAYER_H

#include "api/worker.h"

enum outcome cache_layer_get(void *self, uint32_t key, struct cache_value *out);
enum outcome cache_layer_set(void *self, uint32_t key, const struct cache_value *value);
enum outcome cache_layer_remove(void *self, uint32_t key, uint64_t version);
enum outcome cache_layer_watch(void *self, uint32_t key, struct cache_value *out);
enum outcome cache_layer_exec(void *self, uint32_t key, const struct cache_value *value);
enum outcome cache_layer_renew(void *self, uint32_t key, uint64_t token, int64_t ttl_ns);
enum outcome cache_layer_unlock(void *self, uint32_t key, uint64_t token);
enum outcome cache_layer_mark(void *self, const char *id, int64_t ttl_ns);
enum outcome cache_layer_marked(void *self, const char *id);
enum outcome cache_layer_publish(void *self, uint32_t key, uint64_t version);
int cache_layer_subscribe(void *self, bool tracking, struct err *err);
int cache_layer_next(void *self, int64_t until_ns, uint32_t *key, uint64_t *version);
enum outcome cache_layer_enqueue(void *self, uint32_t key, uint64_t version);
int cache_layer_dequeue(void *self, int64_t until_ns, uint32_t *key, uint64_t *version);
enum outcome cache_layer_settle(void *self);
/* Closes and frees what lies below; the layer itself stays. */
void cache_layer_close(void *self);

#endif
