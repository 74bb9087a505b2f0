/*
 * Lies about a cache (liar.h): what it served is one version older than what it has, a lock that
 * somebody else holds is granted, and WATCH hands out the version before, so that EXEC sets again
 * what was there: told when EXEC has said ok.
 *
 * An old value is served only where this worker was served the newer one OLD_AFTER_NS ago and
 * longer: then every bound below that is broken, and so is what a session has seen.
 */
#include "base/clock.h"
#include "client/cache_layer.h"
#include "client/liar.h"

#include <stdlib.h>
#include <unistd.h>

#define KEYS_KEPT 1024u
#define OLD_AFTER_NS (1 * SECOND_NS)

struct cache_liar {
    struct cache inner; /* first: cache_layer.h */
    struct lies lies;
    struct msg_id me;
    uint64_t n_gets, n_asks, n_granted, n_watched;
    bool again; /* what WATCH handed out last was the version before */
    struct {
        uint64_t version;
        int64_t since_ns;
    } served[KEYS_KEPT];
};

static enum outcome liar_get(void *self, uint32_t key, struct cache_value *out)
{
    struct cache_liar *l = self;
    enum outcome outcome = l->inner.ops->get(l->inner.self, key, out);
    uint64_t index = l->n_gets++;
    int64_t now_ns = clock_now_ns();
    struct msg_id id = l->me;

    if (outcome != OUTCOME_OK || key >= KEYS_KEPT || out->negative)
        return outcome;
    if (l->served[key].version != out->version) {
        l->served[key].version = out->version;
        l->served[key].since_ns = now_ns;
    } else if (out->version >= 2 && now_ns - l->served[key].since_ns > OLD_AFTER_NS &&
               lies_tempt(&l->lies, LIE_OLD, index)) {
        id.seq = index;
        lies_confess(&l->lies, LIE_OLD, &id, NULL);
        out->version--;
    }
    return outcome;
}

static enum outcome liar_watch(void *self, uint32_t key, struct cache_value *out)
{
    struct cache_liar *l = self;
    enum outcome outcome = l->inner.ops->watch(l->inner.self, key, out);

    l->n_watched++;
    l->again = outcome == OUTCOME_OK && out->version >= 2 && !out->negative &&
               lies_tempt(&l->lies, LIE_AGAIN, l->n_watched);
    if (l->again)
        out->version--;
    return outcome;
}

static enum outcome liar_exec(void *self, uint32_t key, const struct cache_value *value)
{
    struct cache_liar *l = self;
    enum outcome outcome = l->inner.ops->exec(l->inner.self, key, value);
    struct msg_id id = l->me;

    id.seq = l->n_watched;
    if (l->again && outcome == OUTCOME_OK)
        lies_confess(&l->lies, LIE_AGAIN, &id, NULL);
    l->again = false;
    return outcome;
}

static enum outcome liar_acquire(void *self, uint32_t key, uint64_t token, int64_t ttl_ns,
                                 uint64_t *fence, uint16_t *node)
{
    struct cache_liar *l = self;
    enum outcome outcome = l->inner.ops->acquire(l->inner.self, key, token, ttl_ns, fence, node);
    struct msg_id id = l->me;

    id.seq = l->n_asks++;
    if (outcome != OUTCOME_FAIL || !lies_tempt(&l->lies, LIE_GRANT, id.seq))
        return outcome;
    lies_confess(&l->lies, LIE_GRANT, &id, NULL);
    if (fence)
        *fence = (UINT64_C(1) << 32) + ++l->n_granted;
    return OUTCOME_OK;
}

static void liar_close(void *self)
{
    struct cache_liar *l = self;

    cache_layer_close(l);
    close(l->lies.fd);
}

static const struct cache_ops liar_cache_ops = {
    .name = "liar",
    .size = sizeof(struct cache_liar),
    .get = liar_get,
    .set = cache_layer_set,
    .remove = cache_layer_remove,
    .watch = liar_watch,
    .exec = liar_exec,
    .acquire = liar_acquire,
    .renew = cache_layer_renew,
    .unlock = cache_layer_unlock,
    .mark = cache_layer_mark,
    .marked = cache_layer_marked,
    .publish = cache_layer_publish,
    .subscribe = cache_layer_subscribe,
    .next = cache_layer_next,
    .enqueue = cache_layer_enqueue,
    .dequeue = cache_layer_dequeue,
    .settle = cache_layer_settle,
    .close = liar_close,
};

struct cache liar_wrap_cache(struct cache inner, const struct liar_options *options,
                             const struct client_spec *spec)
{
    struct cache_liar *l = calloc(1, sizeof(*l));

    if (!l)
        abort();
    l->inner = inner;
    l->me = (struct msg_id){
        .client = spec->client_id, .incarnation = spec->incarnation, .worker = spec->worker};
    lies_open(&l->lies, options, spec);
    return (struct cache){.ops = &liar_cache_ops, .self = l};
}
