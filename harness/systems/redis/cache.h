/*
 * Inside of the cache capability: its connections and answers, shared by cache.c (values, guards,
 * locks) and cache_told.c (who is told of changes).
 */
#ifndef ASSAY_SYSTEMS_REDIS_CACHE_H
#define ASSAY_SYSTEMS_REDIS_CACHE_H

#include "api/cache.h"
#include "systems/redis/client.h"

struct redis_cache {
    const struct plan_case *plan;
    unsigned cluster;
    enum cache_guard guard;
    redisContext *link;    /* NULL: connect at the next call */
    uint16_t node;         /* whom it talks to */
    redisContext *replica; /* reads, where they are asked for */
    bool reads_replica;
    redisContext *channel; /* invalidations */
    long long channel_id;  /* as CLIENT TRACKING names it */
    bool tracking;
    bool gap;       /* invalidations may have been missed */
    char taken[32]; /* id in the stream of what the queue gave last */
    bool watching;  /* this connection has a key under WATCH */
};

/* ---- cache.c */
/* A connection with the capability's patience; NULL: err (may be NULL) says why. */
redisContext *redis_cache_connect(const struct plan_node *node, struct err *err);
void redis_cache_drop(redisContext **link);
/* There is a connection to the primary, as clients find it. */
int redis_cache_reach(struct redis_cache *s, struct err *err);
/* One command and its reply; NULL: nothing is known of it. */
redisReply *redis_cache_ask(struct redis_cache *s, const char *format, ...);
/* What a reply says by the system's outcome table; done frees it. */
enum outcome redis_cache_outcome(struct redis_cache *s, const redisReply *reply);
enum outcome redis_cache_done(struct redis_cache *s, redisReply *reply);

/* ---- cache_told.c; the rest as in struct cache_ops */
int redis_cache_track(struct redis_cache *s, struct err *err);
enum outcome redis_cache_publish(void *self, uint32_t key, uint64_t version);
int redis_cache_subscribe(void *self, bool tracking, struct err *err);
int redis_cache_next(void *self, int64_t until_ns, uint32_t *key, uint64_t *version);
enum outcome redis_cache_enqueue(void *self, uint32_t key, uint64_t version);
int redis_cache_dequeue(void *self, int64_t until_ns, uint32_t *key, uint64_t *version);
enum outcome redis_cache_settle(void *self);

#endif
