/* See cache_layer.h: one line a call. */
#include "client/cache_layer.h"

#include <stdlib.h>

static const struct cache *below(const void *layer)
{
    return layer;
}

enum outcome cache_layer_get(void *self, uint32_t key, struct cache_value *out)
{
    return below(self)->ops->get(below(self)->self, key, out);
}

enum outcome cache_layer_set(void *self, uint32_t key, const struct cache_value *value)
{
    return below(self)->ops->set(below(self)->self, key, value);
}

enum outcome cache_layer_remove(void *self, uint32_t key, uint64_t version)
{
    return below(self)->ops->remove(below(self)->self, key, version);
}

enum outcome cache_layer_watch(void *self, uint32_t key, struct cache_value *out)
{
    return below(self)->ops->watch(below(self)->self, key, out);
}

enum outcome cache_layer_exec(void *self, uint32_t key, const struct cache_value *value)
{
    return below(self)->ops->exec(below(self)->self, key, value);
}

enum outcome cache_layer_renew(void *self, uint32_t key, uint64_t token, int64_t ttl_ns)
{
    return below(self)->ops->renew(below(self)->self, key, token, ttl_ns);
}

enum outcome cache_layer_unlock(void *self, uint32_t key, uint64_t token)
{
    return below(self)->ops->unlock(below(self)->self, key, token);
}

enum outcome cache_layer_mark(void *self, const char *id, int64_t ttl_ns)
{
    return below(self)->ops->mark(below(self)->self, id, ttl_ns);
}

enum outcome cache_layer_marked(void *self, const char *id)
{
    return below(self)->ops->marked(below(self)->self, id);
}

enum outcome cache_layer_publish(void *self, uint32_t key, uint64_t version)
{
    return below(self)->ops->publish(below(self)->self, key, version);
}

int cache_layer_subscribe(void *self, bool tracking, struct err *err)
{
    return below(self)->ops->subscribe(below(self)->self, tracking, err);
}

int cache_layer_next(void *self, int64_t until_ns, uint32_t *key, uint64_t *version)
{
    return below(self)->ops->next(below(self)->self, until_ns, key, version);
}

enum outcome cache_layer_enqueue(void *self, uint32_t key, uint64_t version)
{
    return below(self)->ops->enqueue(below(self)->self, key, version);
}

int cache_layer_dequeue(void *self, int64_t until_ns, uint32_t *key, uint64_t *version)
{
    return below(self)->ops->dequeue(below(self)->self, until_ns, key, version);
}

enum outcome cache_layer_settle(void *self)
{
    return below(self)->ops->settle(below(self)->self);
}

void cache_layer_close(void *self)
{
    below(self)->ops->close(below(self)->self);
    free(below(self)->self);
}
