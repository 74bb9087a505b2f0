/*
 * Databases and caches of a worker: opened from what its workload needs, with the recorders on top;
 * and worker_effect, the smallest use of a store: one journal row in a transaction of its own.
 *
 * Who only produces opens none of them.
 */
#include "client/worker.h"

#include "api/system.h"
#include "base/clock.h"
#include "client/record_cache.h"
#include "client/record_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_WITHIN_NS (20 * SECOND_NS)
#define OPEN_AGAIN_NS (50 * MS_NS)

/* A client that starts while its store cannot be reached tries for a while, as applications do. */
static bool opens_again(const struct worker *w, struct deadline *deadline, const struct err *err)
{
    return err->status != ERR_INPUT && !atomic_load(&w->client->stopping) &&
           deadline_sleep(deadline, OPEN_AGAIN_NS) == 0;
}

/* ---- stores */

static struct store record_store(struct worker *w, struct store inner, uint32_t cluster,
                                 enum store_where where)
{
    struct store_recorder_options options = {.log = w->log,
                                             .clock = &w->clock,
                                             .me = w->me,
                                             .cluster = cluster,
                                             .source = w->source < 0 ? NO_REF : (uint32_t)w->source,
                                             .versions = w->client->needs.versions,
                                             .where = where == STORE_REPLICA ? SOURCE_REPLICA
                                                                             : SOURCE_STORE,
                                             .writes = &w->operations.writes,
                                             .loads = &w->operations.loads,
                                             .effects = &w->tally.effects,
                                             .unknown_commits = &w->tally.unknown_commits};

    return w->client->unrecorded ? inner : store_recorder_wrap(inner, &options);
}

static int open_store(struct worker *w, enum store_where where, struct store *out, struct err *err)
{
    const char *alias = w->client->needs.store;
    const struct plan_case *plan = w->client->plan;
    const struct plan_cluster *cluster = plan_cluster_named(plan, alias);
    struct deadline deadline = deadline_in(OPEN_WITHIN_NS, NULL);
    struct store store;

    if (!cluster || !cluster->system->store)
        return err_input(err, "%s is no cluster with a store", alias);
    store = (struct store){cluster->system->store, calloc(1, cluster->system->store->size)};
    if (!store.self)
        return err_set(err, "out of memory");
    while (store.ops->open(store.self, plan, cluster, w->client->folder, where, err) < 0)
        if (!opens_again(w, &deadline, err)) {
            free(store.self);
            return err_prefix(err, "store %s", alias);
        }
    if (w->client->lies) {
        struct client_spec spec = worker_spec(w);

        store = liar_wrap_store(store, w->client->lies, &spec);
    }
    *out = record_store(w, store, (uint32_t)(cluster - plan->clusters), where);
    return 0;
}

/* ---- caches */

static int open_cache(struct worker *w, struct err *err)
{
    const struct worker_needs *needs = &w->client->needs;
    struct cache_recorder_options options = {.log = w->log,
                                             .clock = &w->clock,
                                             .me = w->me,
                                             .fills = &w->operations.fills,
                                             .locks = &w->operations.locks};
    const struct plan_cluster *cluster = plan_cluster_named(w->client->plan, needs->cache);
    struct client_spec spec = worker_spec(w);
    struct deadline deadline = deadline_in(OPEN_WITHIN_NS, NULL);
    struct cache cache;

    if (!cluster || !cluster->system->cache)
        return err_input(err, "%s is no cluster with a cache", needs->cache);
    cache = (struct cache){cluster->system->cache, calloc(1, cluster->system->cache->size)};
    if (!cache.self)
        return err_set(err, "out of memory");
    while (cache.ops->open(cache.self, &spec, cluster, needs->guard, needs->cache_replica, err) < 0)
        if (!opens_again(w, &deadline, err)) {
            free(cache.self);
            return err_prefix(err, "cache %s", needs->cache);
        }
    if (w->client->lies)
        cache = liar_wrap_cache(cache, w->client->lies, &spec);
    w->cache = w->client->unrecorded ? cache : cache_recorder_wrap(cache, &options);
    return 0;
}

/* ---- both */

int worker_stores_open(struct worker *w, struct err *err)
{
    const struct worker_needs *needs = &w->client->needs;

    if (!w->receives && !w->has_role)
        return 0;
    if (needs->store && open_store(w, STORE_PRIMARY, &w->store, err) < 0)
        return -1;
    if (needs->store && needs->replica && open_store(w, STORE_REPLICA, &w->replica, err) < 0)
        return -1;
    return needs->cache ? open_cache(w, err) : 0;
}

static void close_store(struct store *store)
{
    if (store->ops)
        store->ops->close(store->self);
    free(store->self);
    *store = (struct store){0};
}

void worker_stores_close(struct worker *w)
{
    close_store(&w->store);
    close_store(&w->replica);
    if (w->cache.ops)
        w->cache.ops->close(w->cache.self);
    free(w->cache.self);
    w->cache = (struct cache){0};
}

const char *worker_folder(const struct worker *w)
{
    return w->client->folder;
}

const struct store *worker_store(const struct worker *w)
{
    return &w->store;
}

const struct store *worker_replica(const struct worker *w)
{
    return &w->replica;
}

const struct cache *worker_cache(const struct worker *w)
{
    return &w->cache;
}

/* ---- effects */

bool worker_has_store(const struct worker *w)
{
    return w->store.ops != NULL;
}

/* Everything before COMMIT: a refusal here leaves nothing behind. */
static int prepare(struct worker *w, const struct msg *msg, struct err *err)
{
    struct journal_row row = {
        .message = msg->id, .key = msg->key, .key_seq = msg->key_seq, .by = w->client->id};

    if (w->store.ops->begin(w->store.self, err) < 0)
        return -1;
    if (w->store.ops->append(w->store.self, &row, err) == 0)
        return 0;
    w->store.ops->rollback(w->store.self);
    return -1;
}

enum outcome worker_effect(struct worker *w, const struct delivery *d)
{
    struct err err = {0};
    int16_t code = 0;

    assert(w->store.ops && d->msg);
    if (prepare(w, d->msg, &err) < 0)
        return OUTCOME_FAIL;
    return w->store.ops->commit(w->store.self, &code);
}

/* ---- what the application was served */

static struct event operation(struct worker *w, uint8_t type, uint32_t key, uint64_t seq)
{
    return (struct event){.type = type,
                          .at_ns = worker_clock_read(&w->clock),
                          .seq = seq,
                          .client = w->me.client,
                          .incarnation = w->me.incarnation,
                          .worker = w->me.worker,
                          .key = key,
                          .node = NO_NODE};
}

void worker_read_invoke(struct worker *w, const struct work_order *order, uint32_t key)
{
    struct event e = operation(w, EV_READ_INVOKE, key, w->operations.reads);

    e.ref = order->burst;
    history_record(w->log, &e);
}

void worker_read_complete(struct worker *w, const struct work_order *order, uint32_t key,
                          uint64_t version, enum read_source source, enum outcome outcome)
{
    struct event e = operation(w, EV_READ_COMPLETE, key, w->operations.reads++);

    e.ref = order->burst;
    e.value = (int64_t)version;
    e.code = (int16_t)source;
    e.outcome_level = event_result(outcome, LEVEL_NONE);
    history_record(w->log, &e);
    w->tally.reads[order->burst] += outcome == OUTCOME_OK;
    w->tally.touched |= UINT64_C(1) << order->burst;
}

static struct event write_event(struct worker *w, uint8_t type, uint32_t key, uint64_t version)
{
    struct event e = operation(w, type, key, w->operations.writes);
    const struct plan_case *plan = w->client->plan;

    e.value = (int64_t)version;
    e.ref = (uint32_t)(plan_cluster_named(plan, w->client->needs.store) - plan->clusters);
    return e;
}

void worker_write_invoke(struct worker *w, uint32_t key, uint64_t version)
{
    struct event e = write_event(w, EV_WRITE_INVOKE, key, version);

    history_record(w->log, &e);
}

void worker_write_complete(struct worker *w, uint32_t key, uint64_t version, enum outcome outcome)
{
    struct event e = write_event(w, EV_WRITE_COMPLETE, key, version);

    e.outcome_level = event_result(outcome, LEVEL_NONE);
    history_record(w->log, &e);
    w->operations.writes++;
}

void worker_fill_local(struct worker *w, uint32_t key, int64_t version)
{
    uint64_t seq = w->operations.fills++;
    struct event e = operation(w, EV_FILL_INVOKE, key, seq);

    e.value = version;
    e.code = SOURCE_LOCAL;
    history_record(w->log, &e);
    e.type = EV_FILL_COMPLETE;
    e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
    history_record(w->log, &e);
}
