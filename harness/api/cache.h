/*
 * The cache capability: versioned values by key with a time to live, guards against late fills,
 * locks, a channel for invalidations, and a queue. What workloads `cache` and `lock` are written against.
 *
 * Blocking, one handle per worker thread. A call that did not come back in time is OUTCOME_UNKNOWN
 * and the handle reconnects by itself at the next call. OUTCOME_FAIL means certainly not done: a
 * guard refused, the key was not held. Nothing is allocated per operation.
 *
 *     struct cache_value v;
 *     switch (cache->ops->get(cache->self, key, &v)) {
 *     case OUTCOME_OK:   use(v); break;        // v.version 0 and v.negative: a remembered absence
 *     case OUTCOME_FAIL: miss(v.lease); break; // not there; a lease where leases are on
 *     default:           unreachable();
 *     }
 */
#ifndef ASSAY_API_CACHE_H
#define ASSAY_API_CACHE_H

#include "api/event.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client_spec;
struct plan_cluster;

struct cache_value {
    uint64_t version; /* the database's; 0 absent */
    bool negative;    /* a remembered absence or a tombstone */
    uint64_t lease;   /* get: on a miss, 0 none given; fill: what get gave */
    int64_t ttl_ns;   /* fill: 0 for ever */
};

enum cache_guard {
    GUARD_NONE,
    GUARD_VERSION,   /* set only over something older, atomically (Lua compare-and-set) */
    GUARD_LEASE,     /* set only with the lease of the miss; invalidation voids leases (Nishtala et al., NSDI 2013, 3.2.1) */
    GUARD_TOMBSTONE, /* invalidation leaves a marker for a while that refuses fills */
};

struct cache_ops {
    const char *name;
    size_t size;
    /* pure: why a cluster of this config cannot be the cache of a workload; NULL: it can */
    const char *(*senseless)(const void *config, bool replica);
    /* `replica`: reads go to a replica of the cache where there is one */
    int (*open)(void *self, const struct client_spec *spec, const struct plan_cluster *cluster,
                enum cache_guard guard, bool replica, struct err *err);
    enum outcome (*get)(void *self, uint32_t key, struct cache_value *out);
    /* FAIL: the guard refused. The payload is made from key and version by the implementation. */
    enum outcome (*set)(void *self, uint32_t key, const struct cache_value *value);
    /* Invalidate; version: of the write that asks for it (guards use it). */
    enum outcome (*remove)(void *self, uint32_t key, uint64_t version);

    /* ---- optimistic transactions: get, and tell when somebody changed the key before exec (WATCH … EXEC). Guards have no part
     * in it. FAIL of exec: changed since, refused, or the connection that watched is gone */
    enum outcome (*watch)(void *self, uint32_t key, struct cache_value *out);
    enum outcome (*exec)(void *self, uint32_t key, const struct cache_value *value);

    /* ---- locks: SET NX PX with a random token, released by compare-and-delete (redis.io/docs/latest/develop/use/patterns/distributed-locks) */
    /* FAIL: somebody else holds it. *fence: a number that rises with every acquisition; node: who said yes */
    enum outcome (*acquire)(void *self, uint32_t key, uint64_t token, int64_t ttl_ns, uint64_t *fence, uint16_t *node);
    enum outcome (*renew)(void *self, uint32_t key, uint64_t token, int64_t ttl_ns);
    enum outcome (*unlock)(void *self, uint32_t key, uint64_t token);

    /* ---- marks (SETNX done:id): FAIL: was there */
    enum outcome (*mark)(void *self, const char *id, int64_t ttl_ns);
    enum outcome (*marked)(void *self, const char *id); /* OK there, FAIL not */

    /* ---- invalidations by publish/subscribe or client-side tracking */
    enum outcome (*publish)(void *self, uint32_t key, uint64_t version);
    int (*subscribe)(void *self, bool tracking, struct err *err);
    /* Next one within until_ns: 1; 0 none; -1 the connection was lost and made anew: all before may have been missed. */
    int (*next)(void *self, int64_t until_ns, uint32_t *key, uint64_t *version);

    /* ---- a queue beside the values: what is in it stays until it is settled, and is handed out again to who takes over.
     * One taker at a time */
    enum outcome (*enqueue)(void *self, uint32_t key, uint64_t version);
    int (*dequeue)(void *self, int64_t until_ns, uint32_t *key, uint64_t *version); /* 1; 0 none; -1 unreachable */
    enum outcome (*settle)(void *self); /* what dequeue gave last */

    void (*close)(void *self);
};

#endif
