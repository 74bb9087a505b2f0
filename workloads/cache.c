/*
 * Workload `cache`: a service with a database behind a cache. Readers look into the cache, load
 * what is missing and fill it; writers change rows and invalidate or set; a relay may carry the
 * database's changes. Versions come from the database, so that what was served can be told from
 * what was true.
 *
 * The keys exist, in version 1 at least, before a worker does anything else. Interleavings are made
 * by named steps (`interleave`, `hold`), never by sleeping; `delay` of the double delete is the
 * protocol's own. Left out: several keys in one entry.
 */
#include "workloads/cache.h"

#include "api/tree.h"
#include "api/workload.h"
#include "base/clock.h"
#include "plan/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_PER_TRANSACTION 100u
#define AGAIN_NS (20 * MS_NS)
#define DURATION_MAX INT64_C(86400000000000)

/* ---- parameters */

static const char *const protocols[] = {
    "cache_aside",  "delete_first", "double_delete", "double_write",  "write_through",
    "read_through", "pubsub",       "tracking",      "change_stream", "queue",
    "write_behind", "outbox",       "broker",        "watch",         NULL};
static const char *const guards[] = {"none", "version", "lease", "tombstone", NULL};
static const char *const on_errors[] = {"ignore", "retry", NULL};
static const char *const on_gaps[] = {"keep", "flush", NULL};
static const char *const relays[] = {"delete", "value", NULL};
static const char *const settles[] = {"after", "before", NULL};
static const char *const tells[] = {"after", "before", NULL};
static const char *const wheres[] = {"primary", "replica", NULL};

#define ARG(member) offsetof(struct cache_args, member)
static const struct param cache_params[] = {
    {"db", PARAM_STRING, ARG(db), .fallback = "db", .help = "cluster (with a store) of the truth"},
    {"cache", PARAM_STRING, ARG(cache), .fallback = "cache", .help = "cluster (with a cache)"},
    {"protocol", PARAM_CHOICE, ARG(protocol), .fallback = "cache_aside", .choices = protocols,
     .help =
         "what a write does to the cache: delete after the commit; delete before it; both, the "
         "second after `delay`; set the new value after it; set it inside the transaction; "
         "delete, and one loader per key fills; delete and tell local copies by PUBLISH, or by "
         "client-side tracking; nothing, a relay follows the database's change stream; a relay is "
         "told by a queue, and deletes; set, and a relay writes the database from a queue; a "
         "row in an outbox of the database, in the same transaction, and a relay deletes; a "
         "message to a broker (the writer publishes, the relay consumes), and the relay deletes or "
         "sets; read, "
         "change and set between WATCH and EXEC, in the cache alone (an absent entry begins with "
         "the row)"},
    {"guard", PARAM_CHOICE, ARG(guard), .fallback = "none", .choices = guards,
     .help = "what refuses a late fill: nothing, a newer version, a lease that was voided, a "
             "tombstone"},
    {"keys", PARAM_INT, ARG(keys), .fallback = "64", .min = 1, .max = 100000,
     .help = "rows 0, 1, …; drawn per operation unless the script says which"},
    {"ttl", PARAM_DURATION, ARG(ttl_ns), .fallback = "60s", .min = 0, .max = DURATION_MAX,
     .help = "of a cache entry; 0s: for ever"},
    {"jitter", PARAM_INT, ARG(jitter), .fallback = "0", .min = 0, .max = 100, .unit = "percent",
     .help = "drawn on top of ttl, so that entries do not expire together"},
    {"negative_ttl", PARAM_DURATION, ARG(negative_ttl_ns), .fallback = "0s", .min = 0,
     .max = DURATION_MAX, .help = "an absent row is remembered so long; 0s: not at all"},
    {"local_ttl", PARAM_DURATION, ARG(local_ttl_ns), .fallback = "0s", .min = 0,
     .max = DURATION_MAX,
     .help = "a second level inside each worker keeps copies so long; 0s: there is none"},
    {"delay", PARAM_DURATION, ARG(delay_ns), .fallback = "500ms", .min = 0, .max = DURATION_MAX,
     .only = "protocol: double_delete",
     .help = "how long after the commit the second delete comes"},
    {"on_error", PARAM_CHOICE, ARG(on_error), .fallback = "ignore", .choices = on_errors,
     .help = "a delete or set that failed: forgotten, or tried until it is done"},
    {"on_gap", PARAM_CHOICE, ARG(on_gap), .fallback = "keep", .choices = on_gaps,
     .only = "protocol: pubsub | tracking",
     .help = "a lost subscription: local copies are kept, or all dropped"},
    {"settles", PARAM_CHOICE, ARG(settles), .fallback = "after", .choices = settles,
     .only = "protocol: queue | write_behind | broker",
     .help = "the relay settles what it took after it is done, or before"},
    {"tells", PARAM_CHOICE, ARG(tells), .fallback = "after", .choices = tells,
     .only = "protocol: pubsub",
     .help = "local copies are told after the delete of the shared entry, or before it"},
    {"relay", PARAM_CHOICE, ARG(relay), .fallback = "delete", .choices = relays,
     .only = "protocol: change_stream | broker",
     .help = "the relay deletes entries, or sets the new values"},
    {"reads", PARAM_CHOICE, ARG(reads), .fallback = "primary", .choices = wheres,
     .help = "which database a miss is loaded from"},
    {"cache_reads", PARAM_CHOICE, ARG(cache_reads), .fallback = "primary", .choices = wheres,
     .help = "which server of the cache is read"},
    {"single_flight", PARAM_BOOL, ARG(single_flight), .fallback = "false",
     .help = "one loader per key at a time, by a lock in the cache; the others wait for its fill"},
    {"abort_every", PARAM_INT, ARG(abort_every), .fallback = "0", .min = 0, .max = 1000000,
     .help = "each so-manieth transaction of a writer is rolled back; 0: none"},
    {"remove_every", PARAM_INT, ARG(remove_every), .fallback = "0", .min = 0, .max = 1000000,
     .help = "each so-manieth write deletes the row; 0: none"},
    {0}};

struct cache_role {
    double rate_per_s;
    bool poisson;
};
struct cache_client_args {
    struct cache_role reader, writer, relay;
};

static const struct param role_params[] = {
    {"rate", PARAM_RATE, offsetof(struct cache_role, rate_per_s),
     .help = "operations from its start on at this rate, over all instances; without it only what "
             "the script asks"},
    {"poisson", PARAM_BOOL, offsetof(struct cache_role, poisson), .fallback = "false",
     .help = "arrivals of that rate are drawn, not evenly spaced"},
    {0}};
static const struct param relay_params[] = {{0}};

#define ROLE(name, table, text)                                                                    \
    {                                                                                              \
#name, PARAM_STRUCT, offsetof(struct cache_client_args, name),                             \
            .sub = (table), .sub_size = sizeof(struct cache_role), .help = (text)                  \
    }
static const struct param cache_client_params[] = {
    ROLE(reader, role_params, "reads through the cache"),
    ROLE(writer, role_params, "changes rows, and does to the cache what the protocol says"),
    ROLE(relay, relay_params,
         "change_stream, queue, write_behind, outbox, broker: carries the changes to the other "
         "side"),
    {0}};

static const char *const cache_roles[] = {"reader", "writer", "relay", NULL};

static const char *const cache_steps[] = {"after_cache_miss",
                                          "after_db_read",
                                          "before_cache_set",
                                          "after_cache_set",
                                          "before_db_commit",
                                          "after_db_commit",
                                          "before_cache_delete",
                                          "after_cache_delete",
                                          "before_invalidate",
                                          "after_invalidate",
                                          NULL};

static const char *cache_senseless(const void *args, const void *role_args)
{
    const struct cache_args *a = args;

    (void)role_args;
    if ((a->protocol == CACHE_PUBSUB || a->protocol == CACHE_TRACKING) && a->local_ttl_ns == 0)
        return "protocol: pubsub and tracking are about local copies: local_ttl is missing";
    if (a->protocol == CACHE_WRITE_BEHIND && (a->abort_every > 0 || a->remove_every > 0))
        return "protocol: write_behind commits later: it rolls nothing back and removes no row";
    if (a->protocol == CACHE_WATCH && (a->abort_every > 0 || a->remove_every > 0))
        return "protocol: watch commits nothing: it rolls nothing back and removes no row";
    if (a->protocol == CACHE_WATCH && a->guard != GUARD_NONE)
        return "guard: EXEC is the guard of protocol: watch";
    if (a->guard == GUARD_LEASE && a->protocol != CACHE_ASIDE &&
        a->protocol != CACHE_DELETE_FIRST && a->protocol != CACHE_DOUBLE_DELETE &&
        a->protocol != CACHE_READ_THROUGH)
        return "guard: lease is for fills after a miss: this protocol sets values without one";
    if (a->guard == GUARD_LEASE && a->cache_reads == 1)
        return "guard: lease needs cache_reads: primary, a replica gives none";
    return NULL;
}

static void cache_needs(const void *args, const void *role_args, struct worker_needs *needs)
{
    const struct cache_args *a = args;
    const struct cache_client_args *c = role_args;

    needs->outstanding = 1;
    needs->payload_bytes = PAYLOAD_MIN;
    needs->store = a->db;
    needs->replica = a->reads == 1;
    needs->versions = true;
    needs->cache = a->cache;
    needs->guard = (enum cache_guard)a->guard;
    needs->cache_replica = a->cache_reads == 1;
    /* a client has one role, the others' rates are 0 */
    needs->rate_per_s = c->reader.rate_per_s + c->writer.rate_per_s;
    needs->poisson = c->reader.poisson || c->writer.poisson;
}

/* ---- one worker */

/* Version 1 of every key, made by whoever comes first. */
static int seed_some(struct cache_worker *c, uint32_t from, uint32_t to, struct err *err)
{
    const struct store *db = c->store;
    int16_t code;

    if (db->ops->begin(db->self, err) < 0)
        return -1;
    for (uint32_t key = from; key < to; key++) {
        enum store_answer answer = db->ops->put_if(db->self, key, 0, 0, NULL);

        if (answer != STORE_OK && answer != STORE_NONE)
            return err_set(err, "row %u could not be made", key);
    }
    return db->ops->commit(db->self, &code) == OUTCOME_OK
               ? 0
               : err_set(err, "rows could not be made (code %d)", code);
}

/* Two workers that make the same rows may be told to try again. */
static int seed(struct cache_worker *c, struct err *err)
{
    struct deadline deadline = deadline_in(20 * SECOND_NS, NULL);
    uint32_t keys = (uint32_t)c->args->keys;

    for (uint32_t from = 0; from < keys && !worker_stopping(c->worker);) {
        uint32_t to = from + SEEDS_PER_TRANSACTION < keys ? from + SEEDS_PER_TRANSACTION : keys;

        if (seed_some(c, from, to, err) == 0)
            from = to;
        else if (deadline_sleep(&deadline, AGAIN_NS) < 0)
            return err_prefix(err, "cache");
    }
    return 0;
}

static struct draw stream_of(const struct cache_worker *c, const char *what)
{
    struct msg_id me = worker_identity(c->worker);
    char stream[64];

    snprintf(stream, sizeof(stream), "cache.%s.%u.%u.%u", what, me.client, me.incarnation,
             me.worker);
    return draw_stream(worker_case(c->worker)->seed, stream);
}

static int cache_open(struct cache_worker *c, struct worker *worker, struct err *err)
{
    c->worker = worker;
    c->args = worker_case(worker)->workload_args;
    c->store = worker_store(worker);
    c->replica = worker_replica(worker);
    c->cache = worker_cache(worker);
    c->keys = stream_of(c, "key");
    c->jitter = stream_of(c, "jitter");
    c->values = stream_of(c, "value");
    if (c->args->local_ttl_ns > 0) {
        c->local = calloc((size_t)c->args->keys, sizeof(*c->local));
        if (!c->local)
            return err_set(err, "out of memory for %lld keys", (long long)c->args->keys);
    }
    if ((c->args->protocol == CACHE_PUBSUB || c->args->protocol == CACHE_TRACKING) &&
        c->cache->ops->subscribe(c->cache->self, c->args->protocol == CACHE_TRACKING, err) < 0)
        return -1;
    return seed(c, err);
}

enum outcome cache_fill(struct cache_worker *c, uint32_t key, const struct store_item *item,
                        uint64_t lease)
{
    const struct cache_args *a = c->args;
    bool absent = item->removed || item->version == 0;
    struct cache_value value = {.version = item->version, .negative = absent, .lease = lease};

    if (absent && a->negative_ttl_ns == 0)
        return OUTCOME_FAIL;
    value.ttl_ns = absent ? a->negative_ttl_ns : a->ttl_ns;
    if (a->jitter > 0)
        value.ttl_ns += (int64_t)((double)value.ttl_ns * (double)a->jitter / 100 *
                                  draw_unit(&c->jitter, c->n_fills++));
    return c->cache->ops->set(c->cache->self, key, &value);
}

enum outcome cache_carry(struct cache_worker *c, const struct store_item *item)
{
    enum outcome outcome;

    if (c->args->relay != CACHE_RELAY_VALUE || item->removed)
        return c->cache->ops->remove(c->cache->self, item->key, item->version);
    outcome = cache_fill(c, item->key, item, 0);
    return outcome == OUTCOME_FAIL ? OUTCOME_OK : outcome;
}

static int work_on_orders(struct cache_worker *c, bool reads)
{
    while (!worker_stopping(c->worker)) {
        struct work_order order;
        const struct delivery *none;
        int64_t until_ns;

        while (worker_next_send(c->worker, &order, 1, &until_ns))
            for (uint32_t i = 0; i < order.n; i++) {
                uint64_t n = c->n_ops++;
                uint32_t key = order.key != NO_KEY
                                   ? order.key % (uint32_t)c->args->keys
                                   : (uint32_t)draw_below(&c->keys, n, (uint64_t)c->args->keys);

                if (reads)
                    cache_read(c, &order, key);
                else
                    cache_write(c, &order, key);
            }
        worker_poll(c->worker, until_ns, &none);
    }
    return 0;
}

static bool through_queue(const struct cache_worker *c)
{
    return c->args->protocol == CACHE_QUEUE || c->args->protocol == CACHE_WRITE_BEHIND;
}

static int relay(struct cache_worker *c, struct err *err)
{
    if (c->args->protocol == CACHE_BROKER)
        return worker_receives(c->worker)
                   ? cache_broker_run(c)
                   : err_input(err, "protocol: broker: the relay has no consume: beside relay:");
    if (c->args->protocol == CACHE_OUTBOX)
        return cache_outbox_run(c);
    return through_queue(c) ? cache_queue_run(c) : cache_relay_run(c, err);
}

/* A client with a broker beside its role is called by what it does there. */
static bool has_role(const struct worker *worker, const char *role)
{
    return tree_get(worker_client(worker)->tree, role) != NULL;
}

static int cache_run(struct worker *worker, struct err *err)
{
    struct cache_worker c = {0};
    int result = cache_open(&c, worker, err);

    if (result == 0 && c.args->protocol == CACHE_BROKER && has_role(worker, "writer") &&
        !worker_sends(worker))
        result = err_input(err, "protocol: broker: the writer has nothing to send with beside "
                                "writer:");
    else if (result == 0 && has_role(worker, "relay"))
        result = relay(&c, err);
    else if (result == 0)
        result = work_on_orders(&c, has_role(worker, "reader"));
    free(c.local);
    return result;
}

const struct workload_ops cache_workload = {
    .name = "cache",
    .about = "a database behind a cache: readers, writers, and who carries changes between them",
    .params = cache_params,
    .args_size = sizeof(struct cache_args),
    .client_params = cache_client_params,
    .client_args_size = sizeof(struct cache_client_args),
    .roles = cache_roles,
    .steps = cache_steps,
    .senseless = cache_senseless,
    .needs = cache_needs,
    .run = cache_run,
};
