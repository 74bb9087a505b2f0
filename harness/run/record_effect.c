/*
 * Effects, recorded: one journal row in a store transaction of its own. The invoke is committed
 * before COMMIT can take effect, the completion before the workload settles; what a killed client
 * had applied is asked from the journal itself by the audit, never taken from here (JUDGING:
 * effect).
 */
#include "run/client_worker.h"

#include "api/system.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct plan_cluster *store_cluster(const struct worker *w)
{
    const struct plan_case *plan = w->client->plan;

    for (size_t i = 0; i < plan->n_clusters; i++)
        if (strcmp(plan->clusters[i].alias, w->client->needs.store) == 0)
            return &plan->clusters[i];
    return NULL;
}

int worker_store_open(struct worker *w, struct err *err)
{
    const struct plan_cluster *cluster;
    struct store store;

    if (!w->client->needs.store || !w->receives)
        return 0;
    cluster = store_cluster(w);
    if (!cluster || !cluster->system->store)
        return err_input(err, "effect: %s is no cluster with a store", w->client->needs.store);
    store = (struct store){cluster->system->store, calloc(1, cluster->system->store->size)};
    if (!store.self)
        return err_set(err, "out of memory");
    if (store.ops->open(store.self, w->client->plan, cluster, w->client->folder, STORE_PRIMARY,
                        err) < 0) {
        free(store.self);
        return err_prefix(err, "store %s", w->client->needs.store);
    }
    if (w->client->lies) {
        struct client_spec spec = worker_spec(w);

        store = liar_wrap_store(store, w->client->lies, &spec);
    }
    w->store = store;
    return 0;
}

void worker_store_close(struct worker *w)
{
    if (w->store.ops)
        w->store.ops->close(w->store.self);
    free(w->store.self);
    w->store = (struct store){0};
}

bool worker_has_store(const struct worker *w)
{
    return w->store.ops != NULL;
}

static struct event effect_event(const struct worker *w, const struct delivery *d, uint8_t type)
{
    const struct msg *msg = d->msg;

    return (struct event){.type = type,
                          .seq = msg->id.seq,
                          .client = msg->id.client,
                          .incarnation = msg->id.incarnation,
                          .worker = msg->id.worker,
                          .key = msg->key,
                          .ref = w->source < 0 ? NO_REF : (uint32_t)w->source};
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
    struct event invoke = effect_event(w, d, EV_EFFECT_INVOKE);
    struct event complete = effect_event(w, d, EV_EFFECT_COMPLETE);
    enum outcome outcome = OUTCOME_FAIL;
    struct err err = {0};
    int16_t code = 0;

    assert(w->store.ops && d->msg);
    invoke.unit = d->unit;
    invoke.at_ns = worker_clock_read(&w->clock);
    history_record(w->log, &invoke);
    if (prepare(w, d->msg, &err) == 0)
        outcome = w->store.ops->commit(w->store.self, &code);
    complete.at_ns = worker_clock_read(&w->clock);
    complete.code = code;
    complete.outcome_level = event_result(outcome, LEVEL_NONE);
    history_record(w->log, &complete);
    if (outcome == OUTCOME_OK)
        w->tally.effects++;
    else if (outcome == OUTCOME_UNKNOWN)
        w->tally.unknown_commits++;
    return outcome;
}
