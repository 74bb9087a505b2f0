/*
 * The end of a case: heal everything, bring the dead back (but those the suite leaves down), let
 * consumers finish, close the clients in order, then let each system prove its horizon and audit
 * what is left (JUDGING: Drain). The proofs go into the history, so that they can be judged again.
 */
#include "run/run.h"

#include "api/broker.h"
#include "api/store.h"
#include "systems/ledger.h"

#include <stdlib.h>
#include <string.h>

#define IDLE_LOOK_NS (50 * MS_NS)
#define SETTLED_FOR_NS (700 * MS_NS)
#define QUIT_WITHIN_NS (75 * SECOND_NS)  /* CLIENT.md: 30 s at most to flush, then it closes */
#define QUIT_AT_LEAST_NS (5 * SECOND_NS) /* also where the drain's time is over */
#define STORE_BACK_WITHIN_NS (30 * SECOND_NS)

/* ---- whole again */

static size_t down_on_purpose(struct run *run, uint16_t *nodes, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < run->plan->final_down.n; i++) {
        struct err err;
        struct expr *e = run_parse(run, run->plan->final_down.items[i], &no_mark, &err);
        struct value value;

        if (!e || run_eval(run, e, &value, &err) < 0 || value.kind != VALUE_NODES)
            continue;
        for (size_t k = 0; k < value.n && n < max; k++)
            nodes[n++] = value.nodes[k];
    }
    return n;
}

static bool contains(const uint16_t *nodes, size_t n, uint16_t id)
{
    for (size_t i = 0; i < n; i++)
        if (nodes[i] == id)
            return true;
    return false;
}

static int make_whole(struct run *run, const uint16_t *down, size_t n_down,
                      struct deadline deadline, struct err *err)
{
    if (window_heal_all(run, err) < 0)
        return -1;
    for (uint16_t id = 0; id < run->plan->n_nodes; id++) {
        struct node *node = run_node(run, id);

        if (atomic_load(&node->phase) == PHASE_DEAD && !contains(down, n_down, id)) {
            progress(run, "drain: starting %s again", node->plan->name);
            if (run_start_node(run, node, deadline, err) < 0)
                return -1;
        }
    }
    return 0;
}

/* ---- consumers finish what they were given */

static bool any_consumer_alive(const struct run *run)
{
    for (size_t i = 0; i < run->n_instances; i++)
        if (fleet_receives(run->instances[i].client) && instance_alive(&run->instances[i]))
            return true;
    return false;
}

static int64_t work_done(const struct run *run)
{
    int64_t sum = 0;

    for (size_t i = 0; i < run->n_instances; i++) {
        struct client_board *board = run->instances[i].board;

        sum += atomic_load(&board->delivered) + atomic_load(&board->effects) +
               atomic_load(&board->settled);
    }
    return sum;
}

static bool any_busy(const struct run *run)
{
    for (size_t i = 0; i < run->n_instances; i++)
        if (atomic_load(&run->instances[i].board->busy) > 0)
            return true;
    return false;
}

/* Nothing moved for a while, and nobody has anything in hand. No proof: the proof is the system's
 * (D2); this only gives them time, half of what there is. */
static void let_consumers_finish(struct run *run, struct deadline deadline)
{
    int64_t last = -1;
    int64_t since_ns = clock_now_ns();

    while (any_consumer_alive(run)) {
        int64_t now = work_done(run);

        if (now != last || any_busy(run)) {
            last = now;
            since_ns = clock_now_ns();
        } else if (clock_now_ns() - since_ns >= SETTLED_FOR_NS) {
            return;
        }
        if (deadline_sleep(&deadline, IDLE_LOOK_NS) < 0)
            return;
    }
}

/* Within the drain's time, if there is some left. */
static int let_leave(struct run *run, bool senders, struct deadline drain, struct err *err)
{
    struct deadline deadline = deadline_within(drain, QUIT_WITHIN_NS);
    struct deadline least = deadline_in(QUIT_AT_LEAST_NS, drain.cancel);

    if (deadline.at_ns < least.at_ns)
        deadline = least;
    if (fleet_quit(run, senders, deadline, err) == 0)
        return 0;
    progress(run, "drain: %s", err->text);
    return -1;
}

/* ---- proofs */

static void record_proof(struct run *run, const struct drain_proof *proof)
{
    chronicle(
        run, (struct event){.type = EV_DRAIN,
                            .unit = proof->unit,
                            .epoch = proof->epoch,
                            .position = proof->position,
                            .value = proof->counted,
                            .ref = chronicle_text(run, "%s", proof->why),
                            .outcome_level = event_result(proof->proven ? OUTCOME_OK : OUTCOME_FAIL,
                                                          (enum level)proof->level)});
    if (proof->down)
        chronicle(run, (struct event){.type = EV_UNIT_DOWN,
                                      .unit = proof->unit,
                                      .ref = chronicle_text(run, "%s", proof->why)});
    if (!proof->proven)
        progress(run, "drain: %s not proven: %s",
                 proof->unit < run->plan->n_units ? run->plan->units[proof->unit].name : "stores",
                 proof->why);
}

static bool of_cluster(const struct run *run, uint32_t unit, size_t cluster)
{
    return run->plan->dests[run->plan->units[unit].dest].cluster == cluster;
}

/* By client number: dead, and nobody started it again. */
static bool *dead_clients(struct run *run)
{
    bool *dead = run_alloc(run, (run->n_instances + 1) * sizeof(*dead));

    for (size_t i = 0; i < run->n_instances; i++)
        dead[run->instances[i].id] = run->instances[i].child && run->instances[i].reported_dead &&
                                     !run->instances[i].quitting;
    return dead;
}

/* Senders have left: consumers that live are told where the end is, where the system can. */
static void mark_ends(struct run *run, struct deadline deadline)
{
    const bool *dead = dead_clients(run);

    for (size_t c = 0; c < run->plan->n_clusters; c++) {
        struct cluster_slot *slot = run->slots[c];
        struct err err = {0};

        slot->cluster.dead_clients = dead;
        if (!slot->cluster.ops->mark)
            continue;
        pthread_mutex_lock(&slot->control);
        if (slot->cluster.ops->mark(&slot->cluster, deadline, &err) < 0)
            progress(run, "drain: %s", err.text); /* a horizon that nobody met is not proven */
        pthread_mutex_unlock(&slot->control);
    }
}

static int drain_cluster(struct run *run, size_t c, struct history_writer *audit,
                         const uint16_t *down, size_t n_down, struct deadline deadline,
                         struct err *err)
{
    struct cluster_slot *slot = run->slots[c];
    struct drain_proof *proofs = run_alloc(run, (run->plan->n_units + 1) * sizeof(*proofs));
    int result;

    for (uint32_t u = 0; u < run->plan->n_units; u++)
        proofs[u] = (struct drain_proof){.unit = u, .position = -1, .counted = -1};
    pthread_mutex_lock(&slot->control);
    result = slot->cluster.ops->drain(&slot->cluster, audit, proofs, down, n_down, deadline, err);
    pthread_mutex_unlock(&slot->control);
    for (uint32_t u = 0; u < run->plan->n_units; u++) {
        if (!of_cluster(run, u, c))
            continue;
        if (result < 0 && !proofs[u].proven && !proofs[u].why[0])
            snprintf(proofs[u].why, sizeof(proofs[u].why), "%.190s", err->text);
        if (!proofs[u].proven)
            slot->damaged = true;
        record_proof(run, &proofs[u]);
    }
    return 0;
}

/* ---- stores: one audit when our sessions are closed (D3) */

struct audit_context {
    struct history_writer *writer;
    uint32_t cluster;
    int64_t rows;
};

/* A transfer is two rows of one message, what it takes and what it gives: its effect is the one
 * that takes, both are entries of their accounts. */
static int audit_row(void *context, const struct journal_row *row)
{
    struct audit_context *audit = context;
    struct event e = {.type = EV_AUDIT_EFFECT,
                      .at_ns = clock_now_ns(),
                      .by = BY_AUDIT,
                      .client = row->message.client,
                      .incarnation = row->message.incarnation,
                      .worker = row->message.worker,
                      .seq = row->message.seq,
                      .key = row->key,
                      .position = row->row,
                      .value = row->version,
                      .ref = audit->cluster};

    if (row->amount <= 0)
        history_record(audit->writer, &e);
    if (row->amount != 0) {
        e.type = EV_AUDIT_ENTRY;
        e.value = row->amount;
        e.epoch = (uint32_t)row->version;
        history_record(audit->writer, &e);
    }
    audit->rows++;
    return 0;
}

static int audit_item(void *context, const struct store_item *item)
{
    struct audit_context *audit = context;
    struct event e = {.type = EV_AUDIT_ITEM,
                      .at_ns = clock_now_ns(),
                      .by = BY_AUDIT,
                      .key = item->key,
                      .position = (int64_t)item->version,
                      .value = item->value,
                      .ref = audit->cluster};

    history_record(audit->writer, &e);
    audit->rows++;
    return 0;
}

static int audit_fence(void *context, const struct fence_row *row)
{
    struct audit_context *audit = context;
    struct event e = {.type = EV_AUDIT_FENCE,
                      .at_ns = clock_now_ns(),
                      .by = BY_AUDIT,
                      .client = row->message.client,
                      .incarnation = row->message.incarnation,
                      .worker = row->message.worker,
                      .seq = row->message.seq,
                      .key = row->key,
                      .position = row->row,
                      .value = (int64_t)row->token,
                      .ref = audit->cluster};

    history_record(audit->writer, &e);
    audit->rows++;
    return 0;
}

static int audit_tables(const struct store_ops *store, void *self, struct audit_context *audit,
                        struct err *err)
{
    if (ledger_journal(store, self, audit_row, audit, err) < 0 ||
        ledger_items(store, self, audit_item, audit, err) < 0)
        return -1;
    return ledger_fences(store, self, audit_fence, audit, err);
}

/* A store that was just healed may need a moment. */
static int open_for_audit(struct run *run, const struct plan_cluster *spec, void *self,
                          struct deadline deadline, struct err *err)
{
    const struct store_ops *store = spec->system->store;

    while (store->open(self, run->plan, spec, run->folder, STORE_PRIMARY, err) < 0)
        if (deadline_sleep(&deadline, IDLE_LOOK_NS) < 0)
            return -1;
    return 0;
}

/* stragglers: who had to be killed, and may have left a transaction behind; NULL: nobody. */
static int audit_store(struct run *run, size_t c, struct history_writer *writer,
                       const char *stragglers, struct deadline deadline, struct err *err)
{
    const struct plan_cluster *spec = &run->plan->clusters[c];
    const struct store_ops *store = spec->system->store;
    struct drain_proof proof = {.unit = NO_UNIT, .level = DRAIN_D3, .position = -1, .counted = -1};
    struct audit_context audit = {.writer = writer, .cluster = (uint32_t)c};
    void *self = run_alloc(run, store->size);
    int result =
        open_for_audit(run, spec, self, deadline_within(deadline, STORE_BACK_WITHIN_NS), err);

    if (result == 0) {
        result = audit_tables(store, self, &audit, err);
        store->close(self);
    }
    proof.proven = result == 0 && !stragglers;
    proof.counted = audit.rows;
    snprintf(proof.why, sizeof(proof.why), "%.190s",
             result < 0   ? err->text
             : stragglers ? stragglers
                          : "read to its end after the last session closed");
    record_proof(run, &proof);
    return 0;
}

static int prove(struct run *run, bool beside_consumers, struct history_writer *audit,
                 const uint16_t *down, size_t n_down, struct deadline deadline, struct err *err)
{
    for (size_t c = 0; c < run->plan->n_clusters; c++) {
        const struct system_ops *ops = run->plan->clusters[c].system;

        if (ops->drain && ops->drain_beside_consumers == beside_consumers &&
            drain_cluster(run, c, audit, down, n_down, deadline, err) < 0)
            return -1;
    }
    return 0;
}

static int prove_and_close(struct run *run, struct history_writer *audit, const uint16_t *down,
                           size_t n_down, struct deadline deadline, struct err *err)
{
    const char *stragglers = NULL;
    struct err why = {0};

    mark_ends(run, deadline);
    let_consumers_finish(run, deadline_within(deadline, run->plan->drain_within_ns / 2));
    if (prove(run, true, audit, down, n_down, deadline, err) < 0)
        return -1;
    run->closing = true;
    fleet_release(run); /* those that were held here meanwhile */
    if (let_leave(run, false, deadline, &why) < 0)
        stragglers = why.text;
    if (prove(run, false, audit, down, n_down, deadline, err) < 0)
        return -1;
    for (size_t c = 0; c < run->plan->n_clusters; c++)
        if (run->plan->clusters[c].system->store &&
            audit_store(run, c, audit, stragglers, deadline, err) < 0)
            return -1;
    return history_full(audit) ? err_set(err, "history full while auditing") : 0;
}

int run_drain(struct run *run, struct err *err)
{
    struct deadline deadline = deadline_in(run->plan->drain_within_ns, &run->cancel);
    struct history_writer *audit;
    uint16_t down[VALUE_NODES_MAX];
    size_t n_down = down_on_purpose(run, down, VALUE_NODES_MAX);
    struct err why = {0};
    int result;

    run->doing = "drain";
    progress(run, "drain: heal, finish, prove, audit");
    run->script_over = true;
    fleet_release(run);
    if (make_whole(run, down, n_down, deadline, err) < 0)
        progress(run, "drain: %s", err->text); /* the proofs will say what could not be proven */
    (void)let_leave(run, true, deadline,
                    &why); /* what they left open is unknown, whoever ended them */
    audit = history_writer_open(run->folder, "audit", BY_AUDIT, err);
    if (!audit)
        return -1;
    result = prove_and_close(run, audit, down, n_down, deadline, err);
    history_writer_close(audit);
    return result;
}
