/*
 * Workload `lock`: take a lock, write what it guards, release it. Every order is one critical
 * section: SET NX PX with a random token, renewals while the work lasts, release by
 * compare-and-delete (the cache capability's locks).
 *
 * A lock with a time to live excludes nobody for certain: who was stopped inside wakes up with the
 * lock gone. `fence: checked` has the guarded store refuse a token lower than one it has seen;
 * `token:` says where tokens come from, the lock's own server or the database, whose numbers
 * outlive a failover of the former. Source: Kleppmann, "How to do distributed locking" (2016).
 *
 * Left out: locks over several independent servers.
 */
#include "api/worker.h"
#include "api/workload.h"
#include "base/clock.h"
#include "base/draw.h"
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

enum fence { FENCE_NONE, FENCE_CHECKED };
enum token { TOKEN_LOCK, TOKEN_DATABASE };

struct lock_args {
    const char *cache, *db;
    int64_t locks, ttl_ns, renew_ns, work_ns, retry_ns, patience_ns;
    int fence, token;
};

static const char *const fences[] = {"none", "checked", NULL};
static const char *const tokens[] = {"lock", "database", NULL};

static const struct param lock_params[] = {
    {"cache", PARAM_STRING, offsetof(struct lock_args, cache), .fallback = "kv",
     .help = "cluster (with a cache) that keeps the locks"},
    {"db", PARAM_STRING, offsetof(struct lock_args, db), .fallback = "db",
     .help = "cluster (with a store) that holds what they guard"},
    {"locks", PARAM_INT, offsetof(struct lock_args, locks), .fallback = "1", .min = 1,
     .max = 100000, .help = "how many locks there are; one is drawn per critical section"},
    {"ttl", PARAM_DURATION, offsetof(struct lock_args, ttl_ns), .fallback = "10s", .min = MS_NS,
     .max = 86400 * SECOND_NS, .help = "time to live of a lock (SET NX PX)"},
    {"renew", PARAM_DURATION, offsetof(struct lock_args, renew_ns), .min = MS_NS,
     .max = 86400 * SECOND_NS,
     .help = "a lock is renewed that often while the work lasts; without it never"},
    {"work", PARAM_DURATION, offsetof(struct lock_args, work_ns), .fallback = "0s", .min = 0,
     .max = 3600 * SECOND_NS, .help = "how long a critical section takes before it writes"},
    {"retry", PARAM_DURATION, offsetof(struct lock_args, retry_ns), .fallback = "20ms",
     .min = MS_NS, .max = 3600 * SECOND_NS, .help = "a lock that is held is asked for again after"},
    {"patience", PARAM_DURATION, offsetof(struct lock_args, patience_ns), .fallback = "10s",
     .min = MS_NS, .max = 3600 * SECOND_NS, .help = "how long a lock is waited for"},
    {"fence", PARAM_CHOICE, offsetof(struct lock_args, fence), .fallback = "none",
     .choices = fences,
     .help = "none: the store takes every token; checked: it refuses one lower than it has seen"},
    {"token", PARAM_CHOICE, offsetof(struct lock_args, token), .fallback = "lock",
     .choices = tokens,
     .help = "where fencing tokens come from: a counter beside the lock, or the database"},
    {0}};

static const char *const lock_roles[] = {"holder", NULL};

struct lock_client_args {
    struct {
        double rate_per_s;
    } holder;
};
static const struct param holder_params[] = {
    {"rate", PARAM_RATE, 0,
     .help = "critical sections from its start on, over all instances; without it only what the "
             "script asks"},
    {0}};
static const struct param lock_client_params[] = {
    {"holder", PARAM_STRUCT, offsetof(struct lock_client_args, holder), .sub = holder_params,
     .sub_size = sizeof(((struct lock_client_args *)0)->holder), .shorthand = "rate",
     .help = "takes locks and writes what they guard"},
    {0}};

/* In the order a critical section passes them. */
enum lock_step { BEFORE_ACQUIRE, INSIDE, BEFORE_WRITE, AFTER_WRITE, AFTER_RELEASE };
static const char *const lock_steps[] = {"before_acquire", "inside",        "before_write",
                                         "after_write",    "after_release", NULL};

static const char *lock_senseless(const void *args, const void *role_args)
{
    const struct lock_args *a = args;

    (void)role_args;
    if (a->renew_ns > a->ttl_ns)
        return "renew: a lock that is renewed less often than it expires is lost in between";
    return NULL;
}

static void lock_needs(const void *args, const void *role_args, struct worker_needs *needs)
{
    const struct lock_args *a = args;
    const struct lock_client_args *c = role_args;

    needs->outstanding = 1;
    needs->store = a->db;
    needs->cache = a->cache;
    needs->rate_per_s = c->holder.rate_per_s;
}

/* ---- one worker */

struct locker {
    struct worker *worker;
    const struct lock_args *args;
    const struct cache *cache;
    const struct store *store;
    struct draw keys, tokens;
    uint64_t n; /* critical sections begun */
};

/* One critical section. */
struct section {
    uint32_t key;
    uint64_t token; /* whose lock it is */
    uint64_t fence;
    struct msg_id id;
};

static void pause_ns(int64_t ns)
{
    struct deadline until = deadline_in(ns, NULL);

    while (deadline_sleep(&until, SECOND_NS) == 0)
        ;
}

/* Asked for until it is there; an answer that never came may have been a yes: it expires. */
static bool acquire(struct locker *l, struct section *s)
{
    struct deadline patience = deadline_in(l->args->patience_ns, NULL);
    uint16_t node;

    while (!worker_stopping(l->worker)) {
        if (l->cache->ops->acquire(l->cache->self, s->key, s->token, l->args->ttl_ns, &s->fence,
                                   &node) == OUTCOME_OK)
            return true;
        if (deadline_sleep(&patience, l->args->retry_ns) < 0)
            return false;
    }
    return false;
}

/* A conflict and an error have rolled back already. */
static void give_up(struct locker *l, enum store_answer answer)
{
    if (answer != STORE_CONFLICT && answer != STORE_ERROR)
        l->store->ops->rollback(l->store->self);
}

/* A number from the database that rises with every holder, whatever becomes of the lock's server.
 */
static bool number_holder(struct locker *l, struct section *s)
{
    struct store_item item = {.key = s->key};
    enum store_answer answer;
    struct err err = {0};
    int16_t code;

    if (l->args->token != TOKEN_DATABASE)
        return true;
    if (l->store->ops->begin(l->store->self, &err) < 0)
        return false;
    answer = l->store->ops->add(l->store->self, s->key, 1, &item);
    if (answer == STORE_NONE) /* the first holder ever */
        answer = l->store->ops->put(l->store->self, s->key, 1, &item);
    if (answer != STORE_OK) {
        give_up(l, answer);
        return false;
    }
    s->fence = item.version;
    return l->store->ops->commit(l->store->self, &code) == OUTCOME_OK;
}

/* The work itself; false: the lock was lost on the way, and the holder saw it. */
static bool work(struct locker *l, const struct section *s)
{
    int64_t end_ns = clock_now_ns() + l->args->work_ns;
    int64_t left_ns;

    while ((left_ns = end_ns - clock_now_ns()) > 0) {
        bool renews = l->args->renew_ns > 0 && l->args->renew_ns < left_ns;

        pause_ns(renews ? l->args->renew_ns : left_ns);
        if (renews &&
            l->cache->ops->renew(l->cache->self, s->key, s->token, l->args->ttl_ns) == OUTCOME_FAIL)
            return false;
    }
    return true;
}

static enum outcome write_guarded(struct locker *l, const struct section *s)
{
    const struct store_ops *ops = l->store->ops;
    enum store_answer answer;
    struct err err = {0};
    int16_t code;

    if (ops->begin(l->store->self, &err) < 0)
        return OUTCOME_FAIL;
    answer = l->args->fence == FENCE_CHECKED ? ops->fence(l->store->self, s->key, s->fence, &s->id)
                                             : ops->take(l->store->self, s->key, s->fence, &s->id);
    if (answer != STORE_OK) {
        give_up(l, answer);
        return OUTCOME_FAIL;
    }
    return ops->commit(l->store->self, &code);
}

static enum outcome enter(struct locker *l, struct section *s)
{
    enum outcome outcome = OUTCOME_FAIL;

    worker_step(l->worker, BEFORE_ACQUIRE, NULL);
    if (!acquire(l, s))
        return OUTCOME_FAIL;
    if (number_holder(l, s)) {
        worker_step(l->worker, INSIDE, NULL);
        if (work(l, s)) {
            worker_step(l->worker, BEFORE_WRITE, NULL);
            outcome = write_guarded(l, s);
            worker_step(l->worker, AFTER_WRITE, NULL);
        }
    }
    (void)l->cache->ops->unlock(l->cache->self, s->key, s->token);
    worker_step(l->worker, AFTER_RELEASE, NULL);
    return outcome;
}

static void one_section(struct locker *l, const struct work_order *order)
{
    struct section s = {.key = order->key, .id = worker_identity(l->worker)};
    uint64_t n = l->n++;

    if (s.key == NO_KEY)
        s.key = (uint32_t)draw_below(&l->keys, n, (uint64_t)l->args->locks);
    s.token = draw_u64(&l->tokens, n) >> 1;
    s.id.seq = n;
    worker_did(l->worker, order, enter(l, &s), false);
}

static int lock_run(struct worker *worker, struct err *err)
{
    const struct plan_case *plan = worker_case(worker);
    struct msg_id me = worker_identity(worker);
    struct locker l = {.worker = worker,
                       .args = plan->workload_args,
                       .cache = worker_cache(worker),
                       .store = worker_store(worker)};
    const struct delivery *none;
    char stream[64];

    if (!l.cache->ops || !l.store->ops)
        return err_set(err, "a lock needs a cache and a store");
    snprintf(stream, sizeof(stream), "lock.%u.%u.%u", me.client, me.incarnation, me.worker);
    l.keys = draw_stream(plan->seed, stream);
    snprintf(stream, sizeof(stream), "lock.token.%u.%u.%u", me.client, me.incarnation, me.worker);
    l.tokens = draw_stream(plan->seed, stream);
    while (!worker_stopping(worker)) {
        struct work_order order;
        int64_t until_ns = 0;

        while (!worker_stopping(worker) && worker_next_send(worker, &order, 1, &until_ns))
            one_section(&l, &order);
        (void)worker_poll(worker, until_ns, &none);
    }
    return 0;
}

const struct workload_ops lock_workload = {
    .name = "lock",
    .about = "holders take locks, write what they guard, and release them",
    .params = lock_params,
    .args_size = sizeof(struct lock_args),
    .client_params = lock_client_params,
    .client_args_size = sizeof(struct lock_client_args),
    .roles = lock_roles,
    .steps = lock_steps,
    .senseless = lock_senseless,
    .needs = lock_needs,
    .run = lock_run,
};
