/*
 * What words mean while a case runs: roles as the watchers saw them, counters from the clients'
 * boards, names bound by the script. The same counters are computed again from the history when it
 * is judged (report/counters.c); here they only steer the script.
 */
#include "run/run.h"

#include "api/broker.h"
#include "base/draw.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- small set helpers */

static void add_node(struct value *v, uint16_t id)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->nodes[i] == id)
            return;
    if (v->n < VALUE_NODES_MAX)
        v->nodes[v->n++] = id;
}

static int is_number(struct value *out, int64_t number)
{
    *out = (struct value){.kind = VALUE_NUMBER, .number = number};
    return 0;
}

struct cluster_slot *run_slot_of(struct run *run, uint16_t node)
{
    return node < run->plan->n_nodes ? run->slots[run->plan->nodes[node].cluster] : NULL;
}

struct node *run_node(struct run *run, uint16_t id)
{
    struct cluster_slot *slot = run_slot_of(run, id);

    return slot ? &slot->cluster.nodes[run->plan->nodes[id].index] : NULL;
}

/* ---- roles */

struct role_query {
    uint32_t unit;
    enum role_kind kind;
    bool claims;         /* by the nodes' own word instead of the quorum's */
    const char *cluster; /* its alias; NULL: any */
};

/* The newest epoch wins: right after a failover two generations of answers may stand side by side.
 */
static void collect(struct run *run, const struct role_query *query, struct value *out)
{
    struct role_table *copy = malloc(sizeof(*copy));
    uint32_t newest = 0;

    if (!copy)
        abort();
    *out = (struct value){.kind = VALUE_NODES};
    for (size_t c = 0; c < run->plan->n_clusters; c++) {
        if (!run->slots[c] || !run->slots[c]->roles ||
            (query->cluster && strcmp(query->cluster, run->plan->clusters[c].alias) != 0))
            continue;
        role_table_read(run->slots[c]->roles, copy);
        for (uint32_t i = 0; i < copy->n_facts; i++) {
            const struct role_fact *fact = &copy->facts[i];

            if (fact->unit != query->unit || fact->kind != query->kind ||
                (fact->source == NO_NODE) == query->claims)
                continue;
            if (query->kind == ROLE_LEADER && fact->epoch > newest) {
                newest = fact->epoch;
                out->n = 0;
            }
            if (query->kind != ROLE_LEADER || fact->epoch == newest)
                add_node(out, fact->node);
        }
    }
    free(copy);
}

static int64_t gauge_of(struct run *run, uint32_t unit, enum gauge_kind kind, int64_t missing)
{
    struct role_table *copy = malloc(sizeof(*copy));
    int64_t sum = 0;
    bool seen = false;

    if (!copy)
        abort();
    for (size_t c = 0; c < run->plan->n_clusters; c++) {
        if (!run->slots[c] || !run->slots[c]->roles)
            continue;
        role_table_read(run->slots[c]->roles, copy);
        for (uint32_t i = 0; i < copy->n_gauges; i++)
            if (copy->gauges[i].unit == unit && copy->gauges[i].kind == (uint32_t)kind) {
                sum += copy->gauges[i].value;
                seen = true;
            }
    }
    free(copy);
    return seen ? sum : missing;
}

static int no_such(const struct expr *e, const char *what, struct err *err)
{
    return err_set(err, "%s: no such %s", e->text, what);
}

static int unit_argument(struct run *run, const struct expr *e, uint32_t *unit, struct err *err)
{
    long found = e->n == 1 ? plan_unit_named(run->plan, e->args[0]->text) : -1;

    *unit = NO_UNIT;
    if (found < 0)
        return no_such(e, "partition, queue or list", err);
    *unit = (uint32_t)found;
    return 0;
}

/* ---- the words: one row each */

struct word {
    const char *name;
    int (*answer)(struct run *run, const struct expr *e, const struct word *word, struct value *out,
                  struct err *err);
    bool observed; /* needs a watcher's look that is newer than the question */
    int kind;
    bool claims;
};

static int unit_role(struct run *run, const struct expr *e, const struct word *word,
                     struct value *out, struct err *err)
{
    struct role_query query = {
        .unit = NO_UNIT, .kind = (enum role_kind)word->kind, .claims = word->claims};

    if (unit_argument(run, e, &query.unit, err) < 0)
        return -1;
    collect(run, &query, out);
    return 0;
}

static int cluster_role(struct run *run, const struct expr *e, const struct word *word,
                        struct value *out, struct err *err)
{
    struct role_query query = {
        .unit = NO_UNIT, .kind = (enum role_kind)word->kind, .claims = word->claims};

    (void)err;
    if (e->n == 1) /* primary(cache) */
        query.cluster = e->args[0]->text;
    collect(run, &query, out);
    return 0;
}

static int evaluate(void *context, const struct expr *e, struct value *out, struct err *err);

static int node_argument(struct run *run, const struct expr *e, struct value *nodes,
                         struct err *err)
{
    if (e->n != 1)
        return err_set(err, "%s: takes one node or role", e->text);
    if (expr_eval(e->args[0], evaluate, run, nodes, err) < 0)
        return -1;
    if (nodes->kind != VALUE_NODES)
        return err_set(err, "%s: %s is not a node", e->text, e->args[0]->text);
    return 0;
}

/* Every other server of the same cluster, sentinels and controllers too. */
static int others(struct run *run, const struct expr *e, const struct word *word, struct value *out,
                  struct err *err)
{
    struct value nodes;
    unsigned cluster;

    (void)word;
    if (node_argument(run, e, &nodes, err) < 0)
        return -1;
    *out = (struct value){.kind = VALUE_NODES};
    if (nodes.n == 0)
        return 0;
    cluster = run->plan->nodes[nodes.nodes[0]].cluster;
    for (uint16_t id = 0; id < run->plan->n_nodes; id++) {
        bool inside = false;

        for (size_t i = 0; i < nodes.n; i++)
            inside |= nodes.nodes[i] == id;
        if (!inside && run->plan->nodes[id].cluster == cluster)
            add_node(out, id);
    }
    return 0;
}

/* role($old): "primary", "replica", "none": by the node's own word. */
static int role_of(struct run *run, const struct expr *e, const struct word *word,
                   struct value *out, struct err *err)
{
    static const struct {
        enum role_kind kind;
        const char *word;
    } words[] = {{ROLE_CLAIMS_LEADER, "primary"}, {ROLE_FOLLOWER, "replica"}};
    struct value node;

    (void)word;
    if (node_argument(run, e, &node, err) < 0)
        return -1;
    *out = (struct value){.kind = VALUE_WORD, .word = "none"};
    for (size_t w = 0; w < 2; w++) {
        struct role_query query = {.unit = NO_UNIT, .kind = words[w].kind, .claims = true};
        struct value holders;

        collect(run, &query, &holders);
        for (size_t i = 0; i < holders.n; i++)
            if (node.n == 1 && holders.nodes[i] == node.nodes[0])
                out->word = words[w].word;
    }
    return 0;
}

static int unit_gauge(struct run *run, const struct expr *e, const struct word *word,
                      struct value *out, struct err *err)
{
    uint32_t unit;
    long dest = e->n == 1 ? plan_dest_named(run->plan, e->args[0]->text) : -1;

    if (dest >= 0 && run->plan->dests[dest].group)
        unit = (uint32_t)dest | UINT32_C(1) << 31;
    else if (unit_argument(run, e, &unit, err) < 0)
        return -1;
    return is_number(out, gauge_of(run, unit, (enum gauge_kind)word->kind, -1));
}

enum counter {
    COUNT_SENT,
    COUNT_OK,
    COUNT_FAIL,
    COUNT_UNKNOWN,
    COUNT_COMPLETED,
    COUNT_READS,
    COUNT_HITS
};

/* "teller.db_commit": store transactions of that client that nobody answered. */
static const struct plan_client *client_of_commits(const struct run *run, const char *text)
{
    const char *dot = strchr(text, '.');
    char name[100];

    if (!dot || strcmp(dot, ".db_commit") != 0 || (size_t)(dot - text) >= sizeof(name))
        return NULL;
    snprintf(name, sizeof(name), "%.*s", (int)(dot - text), text);
    return plan_client_named(run->plan, name);
}

static int burst_counter(struct run *run, const struct expr *e, const struct word *word,
                         struct value *out, struct err *err)
{
    long burst = e->n == 1 ? plan_burst_named(run->plan, e->args[0]->text) : -1;
    size_t n = 0;
    const struct plan_client *client;
    struct burst_count sum = {0};

    if (burst > 0) {
        sum = fleet_count(run, (unsigned)burst);
    } else if (e->n == 1 && fleet_named(run, e->args[0]->text, &n)) {
        sum = fleet_count_client(run, fleet_named(run, e->args[0]->text, &n)->client);
    } else if (word->kind == COUNT_UNKNOWN && e->n == 1 &&
               (client = client_of_commits(run, e->args[0]->text))) {
        for (unsigned i = 0; i < client->instances; i++)
            sum.unknown +=
                atomic_load(&run->instances[client->first_id + i].board->unknown_commits);
    } else {
        return no_such(e, "send", err);
    }
    switch ((enum counter)word->kind) {
    case COUNT_SENT:
        return is_number(out, sum.sent);
    case COUNT_OK:
        return is_number(out, sum.ok);
    case COUNT_FAIL:
        return is_number(out, sum.fail);
    case COUNT_UNKNOWN:
        return is_number(out, sum.unknown);
    case COUNT_COMPLETED:
        return is_number(out, sum.ok + sum.fail + sum.unknown + sum.believed);
    case COUNT_READS:
        return is_number(out, sum.reads);
    case COUNT_HITS:
        return is_number(out, sum.hits);
    }
    return -1;
}

enum client_count {
    CLIENT_KILLS,
    CLIENT_DEAD,
    CLIENT_OUTSTANDING,
    CLIENT_DELIVERED,
    CLIENT_REDELIVERED,
    CLIENT_EFFECTS,
    CLIENT_SETTLED,
    CLIENT_HELD
};

static int64_t count_client(const struct instance *instance, enum client_count what)
{
    struct client_board *board = instance->board;
    int64_t held = 0;

    switch (what) {
    case CLIENT_KILLS:
        return instance->kills;
    case CLIENT_DEAD:
        return instance->reported_dead;
    case CLIENT_OUTSTANDING:
        return atomic_load(&board->outstanding);
    case CLIENT_DELIVERED:
        return atomic_load(&board->delivered);
    case CLIENT_REDELIVERED:
        return atomic_load(&board->redelivered);
    case CLIENT_EFFECTS:
        return atomic_load(&board->effects);
    case CLIENT_SETTLED:
        return atomic_load(&board->settled);
    case CLIENT_HELD:
        for (size_t i = 0; i < STEPS_MAX; i++)
            held += atomic_load(&board->steps[i].held);
        return held;
    }
    return 0;
}

static bool reads_group(const struct run *run, const struct plan_client *client, const char *group)
{
    const char *sends_to = NULL, *reads = NULL, *own = NULL;

    (void)run;
    return client->broker && client->broker->names &&
           client->broker->names(client->broker_args, &sends_to, &reads, &own) == 0 && own &&
           strcmp(own, group) == 0;
}

/* Of a client (all its instances), or of every client in a consumer group. */
static int client_counter(struct run *run, const struct expr *e, const struct word *word,
                          struct value *out, struct err *err)
{
    size_t n = 0;
    struct instance *named = e->n == 1 ? fleet_named(run, e->args[0]->text, &n) : NULL;
    bool known = named != NULL;
    int64_t sum = 0;

    if (e->n != 1)
        return no_such(e, "client", err);
    for (size_t i = 0; i < run->n_instances; i++) {
        struct instance *instance = &run->instances[i];
        bool in_group = !named && reads_group(run, instance->client, e->args[0]->text);

        known |= in_group;
        if (in_group || (named && instance >= named && instance < named + n))
            sum += count_client(instance, (enum client_count)word->kind);
    }
    if (!known) { /* dead($old): a node */
        struct value nodes;

        if (word->kind != CLIENT_DEAD || node_argument(run, e, &nodes, err) < 0)
            return no_such(e, "client or group", err);
        for (size_t i = 0; i < nodes.n; i++)
            sum += atomic_load(&run_node(run, nodes.nodes[i])->phase) == PHASE_DEAD;
    }
    return is_number(out, sum);
}

static int noted(struct run *run, const struct expr *e, const struct word *word, struct value *out,
                 struct err *err)
{
    (void)word;
    for (size_t i = 0; e->n == 1 && i < run->n_notes; i++)
        if (strcmp(run->notes[i].name, e->args[0]->text) == 0)
            return is_number(out, run->notes[i].value);
    return no_such(e, "wait", err);
}

static const struct word words[] = {
    {"leader", unit_role, true, ROLE_LEADER, false},
    {"claims_leader", unit_role, true, ROLE_CLAIMS_LEADER, true},
    {"followers", unit_role, true, ROLE_FOLLOWER, false},
    {"isr", unit_role, true, ROLE_IN_SYNC, false},
    {"online", unit_role, true, ROLE_IN_SYNC, false},
    {"primary", cluster_role, true, ROLE_LEADER, false},
    {"claims_primary", cluster_role, true, ROLE_CLAIMS_LEADER, true},
    {"replicas", cluster_role, true, ROLE_FOLLOWER, true},
    {"in_sync", cluster_role, true, ROLE_IN_SYNC, true},
    {"controller", cluster_role, true, ROLE_CONTROLLER, false},
    {"registered", cluster_role, true, ROLE_REGISTERED, false},
    {"others", others, true, 0, false},
    {"role", role_of, true, 0, false},
    {"ready", unit_gauge, true, GAUGE_READY, false},
    {"unacked", unit_gauge, true, GAUGE_UNACKED, false},
    {"end_offset", unit_gauge, true, GAUGE_END_OFFSET, false},
    {"committed", unit_gauge, true, GAUGE_COMMITTED, false},
    {"owned", unit_gauge, true, GAUGE_OWNED, false},
    {"lag", unit_gauge, true, GAUGE_LAG, false},
    {"sent", burst_counter, false, COUNT_SENT, false},
    {"acked", burst_counter, false, COUNT_OK, false},
    {"ok", burst_counter, false, COUNT_OK, false},
    {"fail", burst_counter, false, COUNT_FAIL, false},
    {"unknown", burst_counter, false, COUNT_UNKNOWN, false},
    {"completed", burst_counter, false, COUNT_COMPLETED, false},
    {"reads", burst_counter, false, COUNT_READS, false},
    {"hits", burst_counter, false, COUNT_HITS, false},
    {"kills", client_counter, false, CLIENT_KILLS, false},
    {"dead", client_counter, false, CLIENT_DEAD, false},
    {"outstanding", client_counter, false, CLIENT_OUTSTANDING, false},
    {"delivered", client_counter, false, CLIENT_DELIVERED, false},
    {"redeliveries", client_counter, false, CLIENT_REDELIVERED, false},
    {"effects", client_counter, false, CLIENT_EFFECTS, false},
    {"settled", client_counter, false, CLIENT_SETTLED, false},
    {"held", client_counter, false, CLIENT_HELD, false},
    {"waited", noted, false, 0, false},
};

static const struct word *word_named(const char *name)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strcmp(words[i].name, name) == 0)
            return &words[i];
    return NULL;
}

static int bare_word(struct run *run, const struct expr *e, struct value *out)
{
    long node = plan_node_named(run->plan, e->name);

    if (node >= 0) {
        *out = (struct value){.kind = VALUE_NODES, .n = 1, .nodes = {(uint16_t)node}};
        return 0;
    }
    for (size_t i = 0; i < run->n_notes; i++)
        if (strcmp(run->notes[i].name, e->name) == 0)
            return is_number(out, run->notes[i].value);
    *out = (struct value){.kind = VALUE_WORD, .word = e->name};
    return 0;
}

static int evaluate(void *context, const struct expr *e, struct value *out, struct err *err)
{
    struct run *run = context;
    const struct word *word;

    if (e->kind == EXPR_VARIABLE) {
        for (size_t i = 0; i < run->n_bindings; i++)
            if (strcmp(run->bindings[i].name, e->name) == 0) {
                *out = run->bindings[i].value;
                return 0;
            }
        return err_set(err, "$%s is not bound yet", e->name);
    }
    word = word_named(e->name);
    if (word)
        return word->answer(run, e, word, out, err);
    if (e->kind == EXPR_WORD)
        return bare_word(run, e, out);
    return no_such(e, "counter or role", err);
}

int run_eval(struct run *run, const struct expr *e, struct value *out, struct err *err)
{
    return expr_eval(e, evaluate, run, out, err);
}

void run_value_text(const struct run *run, const struct value *value, char *out, size_t size)
{
    size_t used = 0;

    if (value->kind == VALUE_NUMBER)
        snprintf(out, size, "%" PRId64, value->number);
    else if (value->kind == VALUE_WORD)
        snprintf(out, size, "%s", value->word);
    else if (value->n == 0)
        snprintf(out, size, "none");
    else
        for (size_t i = 0; i < value->n && used < size; i++)
            used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "",
                                     run->plan->nodes[value->nodes[i]].name);
}

/* ---- fresh looks */

static bool is_observed(const struct expr *e)
{
    const struct word *word =
        e->kind == EXPR_CALL || e->kind == EXPR_WORD ? word_named(e->name) : NULL;
    bool observed = word && word->observed;

    for (size_t i = 0; !observed && i < e->n; i++)
        observed = is_observed(e->args[i]);
    return observed;
}

static int wait_for_look(struct run *run, int64_t since_ns, struct deadline deadline,
                         struct err *err)
{
    for (size_t c = 0; c < run->plan->n_clusters; c++) {
        struct cluster_slot *slot = run->slots[c];

        if (!slot || !slot->watcher)
            continue;
        while (atomic_load(&slot->roles->round_began_ns) < since_ns)
            if (deadline_sleep(&deadline, 2 * MS_NS) < 0)
                return err_set(err,
                               "cluster %s: its watcher gave no complete look at the roles in time",
                               run->plan->clusters[c].alias);
    }
    return 0;
}

int run_eval_fresh(struct run *run, const struct expr *e, int64_t since_ns,
                   struct deadline deadline, struct value *out, struct err *err)
{
    if (is_observed(e) && wait_for_look(run, since_ns, deadline, err) < 0)
        return -1;
    return run_eval(run, e, out, err);
}

int64_t run_look_age(struct run *run, const struct expr *e)
{
    int64_t oldest_ns = INT64_MAX;

    for (size_t c = 0; c < run->plan->n_clusters && is_observed(e); c++) {
        struct cluster_slot *slot = run->slots[c];

        if (slot && slot->watcher && atomic_load(&slot->roles->round_began_ns) < oldest_ns)
            oldest_ns = atomic_load(&slot->roles->round_began_ns);
    }
    if (oldest_ns == 0)
        return -1;
    return oldest_ns == INT64_MAX ? 0 : clock_now_ns() - oldest_ns;
}

int run_bind(struct run *run, const char *name, const struct value *value, struct err *err)
{
    for (size_t i = 0; i < run->n_bindings; i++)
        if (strcmp(run->bindings[i].name, name) == 0) {
            run->bindings[i].value = *value;
            return 0;
        }
    if (run->n_bindings == BINDINGS_MAX)
        return err_set(err, "more than %d bound names", BINDINGS_MAX);
    run->bindings[run->n_bindings++] = (struct binding){name, *value};
    return 0;
}

int run_note(struct run *run, const char *name, int64_t value, struct err *err)
{
    size_t i = 0;

    while (i < run->n_notes && strcmp(run->notes[i].name, name) != 0)
        i++;
    if (i == NOTES_MAX)
        return err_set(err, "more than %d notes", NOTES_MAX);
    run->notes[i] = (struct note){name, value};
    if (i == run->n_notes)
        run->n_notes++;
    return 0;
}
