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
#include "api/cache.h"

#include "systems/redis/client.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_NS SECOND_NS
#define CHANNEL "invalidate"
#define TRACKING_CHANNEL "__redis__:invalidate"
/* As long as a fill that began before an invalidation may still be on its way; reads miss
 * meanwhile. */
#define TOMBSTONE_MS 500
/* A tombstone with a version lets newer fills through and costs no misses: it may outlast any lag.
 */
#define BURIED_MS 60000
#define LEASE_MS 10000
#define TAKE_AGAIN_NS (10 * MS_NS)

struct redis_cache {
    const struct plan_case *plan;
    unsigned cluster;
    enum cache_guard guard;
    redisContext *link;    /* NULL: connect at the next call */
    uint16_t node;         /* whom it talks to */
    redisContext *replica; /* reads, where they are asked for */
    bool reads_replica;
    redisContext *channel; /* invalidations */
    bool tracking;
    bool gap;       /* invalidations may have been missed */
    char taken[32]; /* id in the stream of what the queue gave last */
};

/* ---- connections */

static struct timeval timeout(void)
{
    return (struct timeval){.tv_sec = TIMEOUT_NS / SECOND_NS};
}

static redisContext *connect_to(const struct plan_node *node, struct err *err)
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

static void drop(redisContext **link)
{
    if (*link)
        redisFree(*link);
    *link = NULL;
}

static int track(struct redis_cache *s, struct err *err);

static int reach(struct redis_cache *s, struct err *err)
{
    const struct plan_node *node;

    if (s->link)
        return 0;
    node = redis_resolve(s->plan, s->cluster, NULL, s->node, TIMEOUT_NS, err);
    s->link = node ? connect_to(node, err) : NULL;
    if (!s->link)
        return -1;
    s->node = node->id;
    if (!s->tracking || !s->channel)
        return 0;
    s->gap = true; /* what the connection before had read is tracked no more */
    return track(s, err);
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

    *s = (struct redis_cache){.plan = spec->plan,
                              .cluster = (unsigned)(cluster - spec->plan->clusters),
                              .guard = guard,
                              .node = NO_NODE,
                              .reads_replica = replica};
    return reach(s, err);
}

static void cache_close(void *self)
{
    struct redis_cache *s = self;

    drop(&s->link);
    drop(&s->replica);
    drop(&s->channel);
}

/* ---- commands */

static redisReply *ask_on(redisContext **link, const char *format, va_list args)
{
    redisReply *reply = redisvCommand(*link, format, args);

    if (!reply)
        drop(link);
    return reply;
}

/* NULL: nothing is known of it. */
static redisReply *ask(struct redis_cache *s, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    if (reach(s, NULL) < 0)
        return NULL;
    va_start(args, format);
    reply = ask_on(&s->link, format, args);
    va_end(args);
    return reply;
}

/* What an error reply means is the system's outcome table; anything else was done. A primary that
 * has become a replica is looked for again. */
static enum outcome outcome_of(struct redis_cache *s, const redisReply *reply)
{
    enum outcome outcome;

    if (!reply)
        return OUTCOME_UNKNOWN;
    if (reply->type != REDIS_REPLY_ERROR)
        return OUTCOME_OK;
    outcome = redis_outcome_of(redis_code_of(reply->str));
    if (strncmp(reply->str, "READONLY", 8) == 0)
        drop(&s->link);
    return outcome;
}

static enum outcome done(struct redis_cache *s, redisReply *reply)
{
    enum outcome outcome = outcome_of(s, reply);

    if (reply)
        freeReplyObject(reply);
    return outcome;
}

/* A script or command that answers 1 yes, 0 or nil no. */
static enum outcome yes_or_no(struct redis_cache *s, redisReply *reply)
{
    enum outcome outcome = outcome_of(s, reply);

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
        s->replica = connect_to(&s->plan->nodes[spec->first_node + 1], NULL);
    if (!s->replica)
        return NULL;
    for (redisReply *reply = redisCommand(s->replica, "GET cache:%u", key);;) {
        if (!reply)
            drop(&s->replica);
        return reply;
    }
}

/* A miss takes a lease, unless somebody else has one that still counts. */
static const char get_with_lease[] =
    "local v = redis.call('GET', KEYS[1]) if v then return v end"
    " if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end return 0";

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
        reply = ask(s, "EVAL %s 2 cache:%u lease:%u %" PRIu64 " %d", get_with_lease, key, key,
                    lease, LEASE_MS);
    else
        reply = ask(s, "GET cache:%u", key);
    outcome = outcome_of(s, reply);
    if (outcome == OUTCOME_OK && reply->type == REDIS_REPLY_STRING)
        outcome = read_value(reply->str, out) ? OUTCOME_OK : OUTCOME_FAIL;
    else if (outcome == OUTCOME_OK)
        outcome = OUTCOME_FAIL;
    else
        outcome = OUTCOME_UNKNOWN; /* a refusal to answer is no miss */
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

static enum outcome cache_set(void *self, uint32_t key, const struct cache_value *value)
{
    static const char *const scripts[] = {[GUARD_VERSION] = set_if_newer,
                                          [GUARD_LEASE] = set_with_lease,
                                          [GUARD_TOMBSTONE] = set_unless_tombstone};
    struct redis_cache *s = self;
    int64_t ms = value->ttl_ns > 0 ? (value->ttl_ns + MS_NS - 1) / MS_NS : 0;
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64 " %c", value->version, value->negative ? 'n' : 'v');
    if (s->guard == GUARD_NONE)
        return done(s, ms > 0 ? ask(s, "SET cache:%u %s PX %" PRId64, key, text, ms)
                              : ask(s, "SET cache:%u %s", key, text));
    return yes_or_no(s, ask(s, "EVAL %s 2 cache:%u lease:%u %s %" PRId64 " %" PRIu64,
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
            return done(s, ask(s, "EVAL %s 1 cache:%u %" PRIu64 " %d", bury_if_newer, key, version,
                               BURIED_MS));
        break;
    case GUARD_TOMBSTONE:
        return done(s, ask(s, "SET cache:%u %s PX %d", key, "0 t", TOMBSTONE_MS));
    case GUARD_LEASE:
        return done(s, ask(s, "DEL cache:%u lease:%u", key, key));
    case GUARD_NONE:
        break;
    }
    return done(s, ask(s, "DEL cache:%u", key));
}

/* ---- locks and marks */

static const char acquire[] = "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then"
                              " return redis.call('INCR', KEYS[2]) end return 0";

static enum outcome cache_acquire(void *self, uint32_t key, uint64_t token, int64_t ttl_ns,
                                  uint64_t *fence, uint16_t *node)
{
    struct redis_cache *s = self;
    redisReply *reply = ask(s, "EVAL %s 2 lock:%u fence:%u %" PRIu64 " %" PRId64, acquire, key, key,
                            token, ttl_ns / MS_NS);

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

    return yes_or_no(
        s, ask(s, "EVAL %s 1 lock:%u %" PRIu64 " %" PRId64, renew, key, token, ttl_ns / MS_NS));
}

static const char unlock[] = "if redis.call('GET', KEYS[1]) == ARGV[1] then"
                             " return redis.call('DEL', KEYS[1]) end return 0";

static enum outcome cache_unlock(void *self, uint32_t key, uint64_t token)
{
    struct redis_cache *s = self;

    return yes_or_no(s, ask(s, "EVAL %s 1 lock:%u %" PRIu64, unlock, key, token));
}

static enum outcome cache_mark(void *self, const char *id, int64_t ttl_ns)
{
    struct redis_cache *s = self;

    return yes_or_no(s, ttl_ns > 0 ? ask(s, "SET mark:%s 1 NX PX %" PRId64, id, ttl_ns / MS_NS)
                                   : ask(s, "SET mark:%s 1 NX", id));
}

static enum outcome cache_marked(void *self, const char *id)
{
    struct redis_cache *s = self;

    return yes_or_no(s, ask(s, "EXISTS mark:%s", id));
}

/* ---- invalidations */

static enum outcome cache_publish(void *self, uint32_t key, uint64_t version)
{
    struct redis_cache *s = self;

    return done(s, ask(s, "PUBLISH " CHANNEL " %u:%" PRIu64, key, version));
}

/* The connection that reads tells the one that listens what it has read and lost. */
static int track(struct redis_cache *s, struct err *err)
{
    redisReply *id = redisCommand(s->channel, "CLIENT ID");
    redisReply *on = NULL;
    int result = -1;

    if (id && id->type == REDIS_REPLY_INTEGER)
        on = redisCommand(s->link, "CLIENT TRACKING ON REDIRECT %lld", id->integer);
    if (on && on->type != REDIS_REPLY_ERROR)
        result = 0;
    else
        err_set(err, "CLIENT TRACKING: %s", on ? on->str : "no answer");
    if (id)
        freeReplyObject(id);
    if (on)
        freeReplyObject(on);
    return result;
}

static int listen_to(struct redis_cache *s, struct err *err)
{
    redisReply *reply = NULL;

    drop(&s->channel);
    if (reach(s, err) < 0)
        return -1;
    s->channel = connect_to(&s->plan->nodes[s->node], err);
    if (s->channel && s->tracking && track(s, err) < 0) {
        drop(&s->link); /* it may be as dead as the channel was */
        drop(&s->channel);
    }
    if (s->channel)
        reply = redisCommand(s->channel, "SUBSCRIBE %s", s->tracking ? TRACKING_CHANNEL : CHANNEL);
    if (reply) {
        freeReplyObject(reply);
        return 0;
    }
    drop(&s->channel);
    return err_set(err, "no subscription");
}

static int cache_subscribe(void *self, bool tracking, struct err *err)
{
    struct redis_cache *s = self;

    s->tracking = tracking;
    return listen_to(s, err);
}

/* ["message", channel, "KEY:VERSION"], or of tracking ["message", channel, ["cache:KEY"]]. */
static bool read_message(const redisReply *reply, uint32_t *key, uint64_t *version)
{
    const redisReply *what =
        reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 ? reply->element[2] : NULL;

    *version = 0;
    if (what && what->type == REDIS_REPLY_ARRAY && what->elements > 0)
        return sscanf(what->element[0]->str, "cache:%" SCNu32, key) == 1;
    return what && what->type == REDIS_REPLY_STRING &&
           sscanf(what->str, "%" SCNu32 ":%" SCNu64, key, version) == 2;
}

static int cache_next(void *self, int64_t until_ns, uint32_t *key, uint64_t *version)
{
    struct redis_cache *s = self;

    for (;;) {
        struct deadline deadline = {.at_ns = until_ns};
        redisReply *reply = NULL;
        struct pollfd p;

        if (s->gap) {
            s->gap = false;
            return -1;
        }
        if (!s->channel)
            return listen_to(s, NULL) == 0 ? -1 : (deadline_sleep(&deadline, 10 * MS_NS), 0);
        if (redisGetReplyFromReader(s->channel, (void **)&reply) != REDIS_OK) {
            drop(&s->channel);
            continue;
        }
        if (reply) {
            bool told = read_message(reply, key, version);

            freeReplyObject(reply);
            if (told)
                return 1;
            continue;
        }
        p = (struct pollfd){.fd = s->channel->fd, .events = POLLIN};
        if (poll(&p, 1, deadline_left_ms(&deadline)) <= 0)
            return 0;
        if (redisBufferRead(s->channel) != REDIS_OK)
            drop(&s->channel);
    }
}

/* ---- the queue */

static enum outcome cache_enqueue(void *self, uint32_t key, uint64_t version)
{
    struct redis_cache *s = self;

    return done(s, ask(s, "XADD changes * key %u version %" PRIu64, key, version));
}

/* [["changes", [[id, ["key", KEY, "version", VERSION]]]]] */
static bool read_entry(struct redis_cache *s, const redisReply *reply, uint32_t *key,
                       uint64_t *version)
{
    const redisReply *entries = reply->type == REDIS_REPLY_ARRAY && reply->elements == 1
                                    ? reply->element[0]->element[1]
                                    : NULL;
    const redisReply *entry = entries && entries->elements == 1 ? entries->element[0] : NULL;
    const redisReply *fields = entry ? entry->element[1] : NULL;

    if (!fields || fields->type != REDIS_REPLY_ARRAY || fields->elements != 4)
        return false;
    snprintf(s->taken, sizeof(s->taken), "%s", entry->element[0]->str);
    return sscanf(fields->element[1]->str, "%" SCNu32, key) == 1 &&
           sscanf(fields->element[3]->str, "%" SCNu64, version) == 1;
}

/* `from` 0: given out before and not settled; >: never given out. 1, 0 none, -1 unreachable. */
static int take_from(struct redis_cache *s, const char *from, uint32_t *key, uint64_t *version)
{
    redisReply *reply = ask(s, "XREADGROUP GROUP relay relay COUNT 1 STREAMS changes %s", from);
    int result = reply ? 0 : -1;

    if (reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOGROUP", 7) == 0)
        (void)done(s, ask(s, "XGROUP CREATE changes relay 0 MKSTREAM"));
    else if (reply && reply->type == REDIS_REPLY_ERROR)
        result = outcome_of(s, reply) == OUTCOME_OK ? 0 : -1;
    else if (reply)
        result = read_entry(s, reply, key, version);
    if (reply)
        freeReplyObject(reply);
    return result;
}

static int cache_dequeue(void *self, int64_t until_ns, uint32_t *key, uint64_t *version)
{
    struct redis_cache *s = self;
    struct deadline deadline = {.at_ns = until_ns};

    do {
        int got = take_from(s, "0", key, version);

        if (got == 0)
            got = take_from(s, ">", key, version);
        if (got != 0)
            return got;
    } while (deadline_sleep(&deadline, TAKE_AGAIN_NS) == 0);
    return 0;
}

static enum outcome cache_settle(void *self)
{
    struct redis_cache *s = self;

    return done(s, ask(s, "XACK changes relay %s", s->taken));
}

const struct cache_ops redis_cache_ops = {
    .name = "redis",
    .size = sizeof(struct redis_cache),
    .senseless = cache_senseless,
    .open = cache_open,
    .get = cache_get,
    .set = cache_set,
    .remove = cache_remove,
    .acquire = cache_acquire,
    .renew = cache_renew,
    .unlock = cache_unlock,
    .mark = cache_mark,
    .marked = cache_marked,
    .publish = cache_publish,
    .subscribe = cache_subscribe,
    .next = cache_next,
    .enqueue = cache_enqueue,
    .dequeue = cache_dequeue,
    .settle = cache_settle,
    .close = cache_close,
};
