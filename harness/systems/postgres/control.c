/*
 * The control plane: waits until primary and replicas stand, makes the tables, looks who is
 * primary, holds a replica's replay. One connection per node, made anew when it is gone.
 * Source: postgresql.org/docs/15/functions-admin.html (recovery control),
 * monitoring-stats.html#MONITORING-PG-STAT-REPLICATION-VIEW.
 */
#include "systems/postgres/postgres.h"

#include "plan/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_LIMIT_NS (2 * SECOND_NS)
#define LOOK_LIMIT_NS (400 * MS_NS)

struct state {
    PGconn *links[POSTGRES_NODES_MAX];
};

static struct state *state_of(struct cluster *cluster)
{
    if (!cluster->state)
        cluster->state = calloc(1, sizeof(struct state));
    if (!cluster->state)
        abort();
    return cluster->state;
}

static void drop_link(struct cluster *cluster, unsigned index)
{
    struct state *state = state_of(cluster);

    PQfinish(state->links[index]);
    state->links[index] = NULL;
}

/* One statement to one node; NULL: err says why, and the connection is made anew next time. */
static PGresult *ask(struct cluster *cluster, unsigned index, struct deadline deadline,
                     struct err *err, const char *sql)
{
    struct state *state = state_of(cluster);
    PGresult *result;

    if (!state->links[index])
        state->links[index] = postgres_connect(cluster->nodes[index].plan->address, deadline, err);
    if (!state->links[index])
        return NULL;
    result = postgres_ask(state->links[index], deadline, err, sql);
    if (!result)
        drop_link(cluster, index);
    return result;
}

static int run(struct cluster *cluster, unsigned index, struct deadline deadline, struct err *err,
               const char *sql)
{
    PGresult *result = ask(cluster, index, deadline_within(deadline, ASK_LIMIT_NS), err, sql);

    PQclear(result);
    return result ? 0 : err_prefix(err, "%s", cluster->nodes[index].plan->name);
}

/* The first field as a number; -1: no answer. */
static int64_t number(struct cluster *cluster, unsigned index, struct deadline deadline,
                      struct err *err, const char *sql)
{
    PGresult *result = ask(cluster, index, deadline, err, sql);
    int64_t value = result && PQntuples(result) == 1 ? atoll(PQgetvalue(result, 0, 0)) : -1;

    PQclear(result);
    return value;
}

static int until(struct cluster *cluster, unsigned index, const char *sql, int64_t wanted,
                 const char *what, struct deadline deadline, struct err *err)
{
    struct err last = {0};

    while (number(cluster, index, deadline_within(deadline, ASK_LIMIT_NS), &last, sql) != wanted)
        if (deadline_sleep(&deadline, 20 * MS_NS) < 0)
            return err_set(err, "%s: waited for %s%s%s", cluster->nodes[index].plan->name, what,
                           last.text[0] ? ": " : "", last.text);
    return 0;
}

static const char schema[] =
    "DROP TABLE IF EXISTS journal, journal_order, items, tokens, outbox, fences, taken;"
    "CREATE TABLE journal (n BIGSERIAL PRIMARY KEY, client INT, incarnation INT, worker INT,"
    " seq BIGINT, k BIGINT, key_seq BIGINT, version BIGINT, amount BIGINT, by_client INT);"
    "CREATE INDEX ON journal (client, incarnation, worker, seq);"
    "CREATE TABLE journal_order (k BIGINT PRIMARY KEY, version BIGINT);"
    "CREATE TABLE items (k BIGINT PRIMARY KEY, value BIGINT, version BIGINT, removed INT);"
    "ALTER TABLE items REPLICA IDENTITY FULL;"
    "CREATE TABLE tokens (id TEXT PRIMARY KEY);"
    "CREATE TABLE outbox (n BIGSERIAL PRIMARY KEY, k BIGINT, version BIGINT);"
    "CREATE TABLE fences (k BIGINT PRIMARY KEY, token BIGINT);"
    "CREATE TABLE taken (n BIGSERIAL PRIMARY KEY, k BIGINT, token BIGINT, client INT,"
    " incarnation INT, worker INT, seq BIGINT);";

static int drop_slot(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    char sql[200];

    snprintf(sql, sizeof(sql),
             "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots"
             " WHERE slot_name = '%s'",
             postgres_slot);
    return run(cluster, 0, deadline, err, sql);
}

int postgres_form(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++)
        if (until(cluster, i, "SELECT 1", 1, "a first answer", deadline, err) < 0)
            return -1;
    if (until(cluster, 0, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'",
              cluster->spec->n_nodes - 1, "all replicas streaming", deadline, err) < 0)
        return -1;
    return run(cluster, 0, deadline, err, schema);
}

int postgres_rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                      struct err *err)
{
    drop_link(cluster, node->plan->index);
    return until(cluster, node->plan->index, "SELECT 1", 1, "a first answer", deadline, err);
}

int postgres_reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                   struct err *err)
{
    (void)next;
    return drop_slot(cluster, deadline, err) < 0 ? -1 : run(cluster, 0, deadline, err, schema);
}

static void say(const struct cluster *cluster, struct role_table *table, unsigned index,
                uint16_t source, enum role_kind kind)
{
    role_table_fact(table, (struct role_fact){.unit = NO_UNIT,
                                              .node = cluster->nodes[index].plan->id,
                                              .source = source,
                                              .kind = (uint16_t)kind,
                                              .seen_ns = clock_now_ns()});
}

/* Nobody arbitrates between PostgreSQL servers: the leader is the only one that takes writes. */
int postgres_observe(struct cluster *cluster, struct role_table *table, struct deadline deadline,
                     struct err *err)
{
    unsigned primaries = 0, primary = 0;

    (void)err; /* a node that does not answer has no role: that is what there is to see */
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        uint16_t self = cluster->nodes[i].plan->id;
        int64_t replica = number(cluster, i, deadline_within(deadline, LOOK_LIMIT_NS), NULL,
                                 "SELECT pg_is_in_recovery()::int");

        if (replica < 0)
            continue;
        say(cluster, table, i, NO_NODE, ROLE_REGISTERED);
        say(cluster, table, i, self, replica ? ROLE_FOLLOWER : ROLE_CLAIMS_LEADER);
        if (!replica) {
            primaries++;
            primary = i;
        }
    }
    if (primaries == 1)
        say(cluster, table, primary, NO_NODE, ROLE_LEADER);
    return 0;
}

int postgres_effective(struct cluster *cluster, const struct kv_sink *sink,
                       struct deadline deadline, struct err *err)
{
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        PGresult *all = ask(cluster, i, deadline, err, "SELECT name, setting FROM pg_settings");

        if (!all)
            return err_prefix(err, "%s", cluster->nodes[i].plan->name);
        for (int row = 0; row < PQntuples(all); row++)
            sink->put(sink->context, cluster->nodes[i].plan->name, PQgetvalue(all, row, 0),
                      PQgetvalue(all, row, 1));
        PQclear(all);
    }
    return 0;
}

void postgres_release(struct cluster *cluster)
{
    if (!cluster->state)
        return;
    for (unsigned i = 0; i < POSTGRES_NODES_MAX; i++)
        drop_link(cluster, i);
    free(cluster->state);
    cluster->state = NULL;
}

/* ---- a replica's lag, held: what it has received is not shown until it is released */

struct replay_args {
    const struct expr *node; /* resolved by run/ into the target */
};

static int replay(struct cluster *cluster, uint16_t target, const char *sql, const char *state_is,
                  const char *what, struct deadline deadline, struct err *err)
{
    unsigned index = (unsigned)target - cluster->spec->first_node;

    if (target == NO_NODE || index == 0 || index >= cluster->spec->n_nodes)
        return err_set(err, "one replica of this cluster is needed");
    if (run(cluster, index, deadline, err, sql) < 0)
        return -1;
    return until(cluster, index, state_is, 1, what, deadline, err);
}

static int hold_replay(struct cluster *cluster, const void *args, uint16_t target,
                       struct deadline deadline, struct err *err)
{
    (void)args;
    return replay(cluster, target, "SELECT pg_wal_replay_pause()",
                  "SELECT (pg_get_wal_replay_pause_state() = 'paused')::int", "replay to pause",
                  deadline, err);
}

static int release_replay(struct cluster *cluster, const void *args, uint16_t target,
                          struct deadline deadline, struct err *err)
{
    (void)args;
    return replay(cluster, target, "SELECT pg_wal_replay_resume()",
                  "SELECT (pg_get_wal_replay_pause_state() = 'not paused')::int", "replay to go on",
                  deadline, err);
}

static const struct param replay_params[] = {{"node", PARAM_EXPR,
                                              offsetof(struct replay_args, node), .required = true,
                                              .help = "the replica"},
                                             {0}};

const struct system_command postgres_commands[] = {
    {"hold_replay", replay_params, sizeof(struct replay_args),
     "a replica goes on receiving, and shows none of it (pg_wal_replay_pause): its lag is held",
     hold_replay},
    {"release_replay", replay_params, sizeof(struct replay_args),
     "the replica catches up (pg_wal_replay_resume)", release_replay},
    {0}};
