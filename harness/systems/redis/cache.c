/*
 * The cache capability on Redis: values as "VERSION KIND", guards as Lua scripts (one step for
 * Redis), locks by SET NX PX, invalidations by PUBLISH or by client-side tracking.
 *
 *     cache:KEY   "17 v", "17 n" (a remembered absence), "17 t" (a tombstone)
 *     lease:KEY   the lease of the last miss          lock:KEY   the holder's token
 *     fence:KEY   counts acquisitions                 mark:ID    a mark
 *     changes     a stream with one group: the queue
 *
 * One blocking connection per worker, found as clients find the primary (resolve.c) and made anew
 * when it is gone; no call takes longer than a second. An error reply is a definite no where
 * redis_outcomes says so. Left out: Redis Cluster.
 * Source: redis.io/docs/latest/develop/use/patterns/distributed-locks,
 * redis.io/docs/latest/develop/reference/client-side-caching (RESP2: REDIRECT),
 * Nishtala et al., Scaling Memcache at Facebook, NSDI 2013, 3.2.1 (leases).
 */
#include "systems/redis/cache.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_NS SECOND_NS
/* As long as a fill that began before an invalidation may still be on its way; reads miss
 * meanwhile. */
#define TOMBSTONE_MS 500
/* A tombstone with a version lets newer fills through and costs no misses: it may outlast any lag.
 */
#define BURIED_MS 60000
#define LEASE_MS 10000

/* ---- connections */

static struct timeval timeout(void)
{
    return (struct timeval){.tv_sec = TIMEOUT_NS / SECOND_NS};
}

redisContext *redis_cache_connect(const struct plan_node *node, struct err *err)
{
    redisContext *c = redisConnectWithTimeout(node->address, REDIS_PORT, timeout());

    if (!c)
        abort(); /* out of memory */
    if (!c->err && redisSetTimeout(c, timeout()) == REDIS_OK)
        return c;
    err_set(err, "%s: %s", node->name, c->errstr);
    redisFree(c);
    return NULL;
}

void redis_cache_drop(redisContext **link)
{
    if (*link)
        redisFree(*link);
    *link = NULL;
}

int redis_cache_reach(struct redis_cache *s, struct err *err)
{
    const struct plan_node *node;

    if (s->link)
        return 0;
    node = redis_resolve(s->plan, s->cluster, NULL, s->node, TIMEOUT_NS, err);
    s->link = node ? redis_cache_connect(node, err) : NULL;
    if (!s->link)
        return -1;
    s->node = node->id;
    s->watching = false;
    if (!s->tracking || !s->channel)
        return 0;
    s->gap = true; /* what the connection before had read is tracked no more */
    if (redis_cache_track(s, err) == 0)
        return 0;
    redis_cache_drop(&s->channel); /* is gone, too: who listens makes it anew, and tracks */
    if (!s->link->err)
        return 0;
    redis_cache_drop(&s->link);
    return -1;
}

static const char *cache_senseless(const void *config, bool replica)
{
    if (redis_is_cluster(config))
        return "in a Redis Cluster each key has a primary of its own, and a cache or lock client "
               "speaks to one: topology standalone, replication or sentinel";
    return replica && redis_servers(config) < 2
               ? "a single Redis server has no replica to read from"
               : NULL;
}

static int cache_open(void *self, const struct client_spec *spec,
                      const struct plan_cluster *cluster, enum cache_guard guard, bool replica,
                      struct err *err)
{
    struct redis_cache *s = self;
    struct deadline deadline = deadline_in(REDIS_OPEN_WITHIN_NS, NULL);

    *s = (struct redis_cache){.plan = spec->plan,
                              .cluster = (unsigned)(cluster - spec->plan->clusters),
                              .guard = guard,
                              .node = NO_NODE,
                              .reads_replica = replica};
    while (redis_cache_reach(s, err) < 0)
        if (deadline_sleep(&deadline, REDIS_OPEN_RETRY_NS) < 0)
            return -1;
    return 0;
}

static void cache_close(void *self)
{
    struct redis_cache *s = self;

    redis_cache_drop(&s->link);
    redis_cache_drop(&s->replica);
    redis_cache_drop(&s->channel);
}

/* ---- commands */

static redisReply *ask_on(redisContext **link, const char *format, va_list args)
{
    redisReply *reply = redisvCommand(*link, format, args);

    if (!reply)
        redis_cache_drop(link);
    return reply;
}

/* On this very connection. NULL: nothing is known of it, and the connection is gone. */
static redisReply *ask_here(redisContext **link, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = ask_on(link, format, args);
    va_end(args);
    return reply;
}

/* NULL: nothing is known of it. */
redisReply *redis_cache_ask(struct redis_cache *s, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    if (redis_cache_reach(s, NULL) < 0)
        return NULL;
    va_start(args, format);
    reply = ask_on(&s->link, format, args);
    va_end(args);
    return reply;
}

/* What an error reply means is the system's outcome table; anything else was done. A primary that
 * has become a replica is looked for again. */
enum outcome redis_cache_outcome(struct redis_cache *s, const redisReply *reply)
{
    enum outcome outcome;

    if (!reply)
        return OUTCOME_UNKNOWN;
    if (reply->type != REDIS_REPLY_ERROR)
        return OUTCOME_OK;
    outcome = redis_outcome_of(redis_code_of(reply->str));
    if (strncmp(reply->str, "READONLY", 8) == 0)
        redis_cache_drop(&s->link);
    return outcome;
}

enum outcome redis_cache_done(struct redis_cache *s, redisReply *reply)
{
    enum outcome outcome = redis_cache_outcome(s, reply);

    if (reply)
        freeReplyObject(reply);
    return outcome;
}

/* A script or command that answers 1 yes, 0 or nil no. */
static enum outcome yes_or_no(struct redis_cache *s, redisReply *reply)
{
    enum outcome outcome = redis_cache_outcome(s, reply);

    if (outcome == OUTCOME_OK && (reply->type == REDIS_REPLY_NIL ||
                                  (reply->type == REDIS_REPLY_INTEGER && reply->integer == 0)))
        outcome = OUTCOME_FAIL;
    if (reply)
        freeReplyObject(reply);
    return outcome;
}

/* ---- values */

static bool read_value(const char *text, struct cache_value *out)
{
    char kind = 'v';

    if (sscanf(text, "%" SCNu64 " %c", &out->version, &kind) < 1)
        return false;
    out->negative = kind == 'n';
    return kind != 't'; /* a tombstone is a miss that refuses fills */
}

static redisReply *get_from_replica(struct redis_cache *s, uint32_t key)
{
    const struct plan_cluster *spec = &s->plan->clusters[s->cluster];

    if (!s->replica)
        s->replica = redis_cache_connect(&s->plan->nodes[spec->first_node + 1], NULL);
    return s->replica ? ask_here(&s->replica, "GET cache:%u", key) : NULL;
}

/* A miss takes a lease, unless somebody else has one that still counts. */
static const char get_with_lease[] =
    "local v = redis.call('GET', KEYS[1]) if v then return v end"
    " if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end return 0";

/* What a reply to GET says: a refusal to answer is no miss. */
static enum outcome value_of(struct redis_cache *s, const redisReply *reply,
                             struct cache_value *out)
{
    if (redis_cache_outcome(s, reply) != OUTCOME_OK)
        return OUTCOME_UNKNOWN;
    return reply->type == REDIS_REPLY_STRING && read_value(reply->str, out) ? OUTCOME_OK
                                                                            : OUTCOME_FAIL;
}

static enum outcome cache_get(void *self, uint32_t key, struct cache_value *out)
{
    struct redis_cache *s = self;
    uint64_t lease = (uint64_t)clock_now_ns() << 8 | (s->plan->run & 0xff);
    enum outcome outcome;
    redisReply *reply;

    *out = (struct cache_value){0};
    if (s->reads_replica)
        reply = get_from_replica(s, key);
    else if (s->guard == GUARD_LEASE)
        reply = redis_cache_ask(s, "EVAL %s 2 cache:%u lease:%u %" PRIu64 " %d", get_with_lease,
                                key, key, lease, LEASE_MS);
    else
        reply = redis_cache_ask(s, "GET cache:%u", key);
    outcome = value_of(s, reply, out);
    if (outcome == OUTCOME_FAIL && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1)
        out->lease = lease;
    if (reply)
        freeReplyObject(reply);
    return outcome;
}

/* KEYS cache, lease; ARGV text, milliseconds (0 for ever), version or lease. */
#define STORE                                                                                      \
    " if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1])"                                  \
    " else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end return 1"
static const char set_if_newer[] =
    "local v = redis.call('GET', KEYS[1])"
    " if v and tonumber(string.match(v, '^%d+')) > tonumber(ARGV[3]) then return 0 end" STORE;
static const char set_with_lease[] =
    "if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end redis.call('DEL', KEYS[2])" STORE;
static const char set_unless_tombstone[] =
    "local v = redis.call('GET', KEYS[1])"
    " if v and string.match(v, 't$') then return 0 end" STORE;

static int64_t ttl_ms(const struct cache_value *value)
{
    return value->ttl_ns > 0 ? (value->ttl_ns + MS_NS - 1) / MS_NS : 0;
}

static void value_text(const struct cache_value *value, char *text, size_t size)
{
    snprintf(text, size, "%" PRIu64 " %c", value->version, value->negative ? 'n' : 'v');
}

/* Its arguments: key, text, milliseconds; the last is left over where there is no end. */
static const char *plain_set(int64_t ms)
{
    return ms > 0 ? "SET cache:%u %s PX %" PRId64 : "SET cache:%u %s";
}

static enum outcome cache_set(void *self, uint32_t key, const struct cache_value *value)
{
    static const char *const scripts[] = {[GUARD_VERSION] = set_if_newer,
                                          [GUARD_LEASE] = set_with_lease,
                                          [GUARD_TOMBSTONE] = set_unless_tombstone};
    struct redis_cache *s = self;
    int64_t ms = ttl_ms(value);
    char text[32];

    value_text(value, text, sizeof(text));
    if (s->guard == GUARD_NONE)
        return redis_cache_done(s, redis_cache_ask(s, plain_set(ms), key, text, ms));
    return yes_or_no(s, redis_cache_ask(s, "EVAL %s 2 cache:%u lease:%u %s %" PRId64 " %" PRIu64,
                                        scripts[s->guard], key, key, text, ms,
                                        s->guard == GUARD_LEASE ? value->lease : value->version));
}

static const char bury_if_newer[] =
    "local v = redis.call('GET', KEYS[1])"
    " if v and tonumber(string.match(v, '^%d+')) > tonumber(ARGV[1]) then return 1 end"
    " redis.call('SET', KEYS[1], ARGV[1] .. ' t', 'PX', ARGV[2]) return 1";

static enum outcome cache_remove(void *self, uint32_t key, uint64_t version)
{
    struct redis_cache *s = self;

    switch (s->guard) {
    case GUARD_VERSION: /* what is older may not come back, what is as new may be filled */
        if (version > 0)
            return redis_cache_done(s, redis_cache_ask(s, "EVAL %s 1 cache:%u %" PRIu64 " %d",
                                                       bury_if_newer, key, version, BURIED_MS));
        break;
    case GUARD_TOMBSTONE:
        return redis_cache_done(
            s, redis_cache_ask(s, "SET cache:%u %s PX %d", key, "0 t", TOMBSTONE_MS));
    case GUARD_LEASE:
        return redis_cache_done(s, redis_cache_ask(s, "DEL cache:%u lease:%u", key, key));
    case GUARD_NONE:
        break;
    }
    return redis_cache_done(s, redis_cache_ask(s, "DEL cache:%u", key));
}

/* ---- optimistic transactions */

static enum outcome cache_watch(void *self, uint32_t key, struct cache_value *out)
{
    struct redis_cache *s = self;
    enum outcome outcome = redis_cache_done(s, redis_cache_ask(s, "WATCH cache:%u", key));
    redisReply *reply;

    *out = (struct cache_value){0};
    if (outcome != OUTCOME_OK || !s->link)
        return OUTCOME_UNKNOWN;
    s->watching = true;
    reply = ask_here(&s->link, "GET cache:%u", key);
    outcome = value_of(s, reply, out);
    if (reply)
        freeReplyObject(reply);
    return outcome;
}

/* All three leave at once; the last answer tells: nil when the key was touched, EXECABORT when the
 * SET was refused before (out of memory). */
static enum outcome cache_exec(void *self, uint32_t key, const struct cache_value *value)
{
    struct redis_cache *s = self;
    redisReply *reply = NULL;
    int64_t ms = ttl_ms(value);
    char text[32];

    if (!s->link || !s->watching)
        return OUTCOME_FAIL; /* nobody watched over it: nothing was sent */
    s->watching = false;
    redisAppendCommand(s->link, "MULTI");
    value_text(value, text, sizeof(text));
    redisAppendCommand(s->link, plain_set(ms), key, text, ms);
    redisAppendCommand(s->link, "EXEC");
    for (int i = 0; i < 3; i++) {
        if (reply)
            freeReplyObject(reply);
        reply = NULL;
        if (redisGetReply(s->link, (void **)&reply) != REDIS_OK) {
            redis_cache_drop(&s->link);
            return OUTCOME_UNKNOWN;
        }
    }
    return yes_or_no(s, reply);
}

/* ---- locks and marks */

static const char acquire[] = "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then"
                              " return redis.call('INCR', KEYS[2]) end return 0";

static enum outcome cache_acquire(void *self, uint32_t key, uint64_t token, int64_t ttl_ns,
                                  uint64_t *fence, uint16_t *node)
{
    struct redis_cache *s = self;
    redisReply *reply = redis_cache_ask(s, "EVAL %s 2 lock:%u fence:%u %" PRIu64 " %" PRId64,
                                        acquire, key, key, token, ttl_ns / MS_NS);

    *node = s->node;
    if (reply && reply->type == REDIS_REPLY_INTEGER)
        *fence = (uint64_t)reply->integer;
    return yes_or_no(s, reply);
}

static const char renew[] = "if redis.call('GET', KEYS[1]) == ARGV[1] then"
                            " return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";

static enum outcome cache_renew(void *self, uint32_t key, uint64_t token, int64_t ttl_ns)
{
    struct redis_cache *s = self;

    return yes_or_no(s, redis_cache_ask(s, "EVAL %s 1 lock:%u %" PRIu64 " %" PRId64, renew, key,
                                        token, ttl_ns / MS_NS));
}

static const char unlock[] = "if redis.call('GET', KEYS[1]) == ARGV[1] then"
                             " return redis.call('DEL', KEYS[1]) end return 0";

static enum outcome cache_unlock(void *self, uint32_t key, uint64_t token)
{
    struct redis_cache *s = self;

    return yes_or_no(s, redis_cache_ask(s, "EVAL %s 1 lock:%u %" PRIu64, unlock, key, token));
}

static enum outcome cache_mark(void *self, const char *id, int64_t ttl_ns)
{
    struct redis_cache *s = self;

    return yes_or_no(s, ttl_ns > 0
                            ? redis_cache_ask(s, "SET mark:%s 1 NX PX %" PRId64, id, ttl_ns / MS_NS)
                            : redis_cache_ask(s, "SET mark:%s 1 NX", id));
}

static enum outcome cache_marked(void *self, const char *id)
{
    struct redis_cache *s = self;

    return yes_or_no(s, redis_cache_ask(s, "EXISTS mark:%s", id));
}

const struct cache_ops redis_cache_ops = {
    .name = "redis",
    .size = sizeof(struct redis_cache),
    .senseless = cache_senseless,
    .open = cache_open,
    .get = cache_get,
    .set = cache_set,
    .remove = cache_remove,
    .watch = cache_watch,
    .exec = cache_exec,
    .acquire = cache_acquire,
    .renew = cache_renew,
    .unlock = cache_unlock,
    .mark = cache_mark,
    .marked = cache_marked,
    .publish = redis_cache_publish,
    .subscribe = redis_cache_subscribe,
    .next = redis_cache_next,
    .enqueue = redis_cache_enqueue,
    .dequeue = redis_cache_dequeue,
    .settle = redis_cache_settle,
    .close = cache_close,
};
