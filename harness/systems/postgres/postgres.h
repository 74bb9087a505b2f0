/*
 * PostgreSQL as a system and a store: a primary, and streaming replicas whose lag can be held.
 *
 *     postgres.c  the cluster entry, argv and config of a node, ends in the ops
 *     control.c   bring-up, roles, reset, read back; commands that hold and release replay
 *     link.c      one connection with deadlines, over libpq's asynchronous calls
 *     store.c     sessions: items, journal, tokens, fences, audit
 *     feed.c      the change stream, by logical decoding
 *
 * Nodes: postgres-1 is the primary, postgres-2 … follow it. Failover is left to others: a primary
 * that dies is unavailable until it is started again.
 */
#ifndef ASSAY_SYSTEMS_POSTGRES_H
#define ASSAY_SYSTEMS_POSTGRES_H

#include "api/store.h"
#include "api/system.h"
#include "base/clock.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#define POSTGRES_PORT 5432
#define POSTGRES_NODES_MAX 8

struct postgres_config {
    struct {
        int64_t nodes, patience_ns;
        const char *version, *home;
    } postgres;
    struct pairs conf; /* postgresql.conf */
};

/* Outcome codes of a COMMIT, explained by postgres_outcomes. */
enum postgres_code {
    POSTGRES_OK,
    POSTGRES_LOST,
    POSTGRES_TIMEOUT,
    POSTGRES_ROLLED_BACK,
    POSTGRES_CONFLICT,
    POSTGRES_UNIQUE,
    POSTGRES_SHUTDOWN,
    POSTGRES_READ_ONLY,
    POSTGRES_OTHER,
};
enum postgres_code postgres_code(const PGresult *result);

/* ---- link.c: every call ends at its deadline; postgres_code, too */
/* NULL: err says why. */
PGconn *postgres_connect(const char *address, struct deadline deadline, struct err *err);
/* The last result of what was sent before; NULL: nothing came in time or the connection is lost. */
PGresult *postgres_result(PGconn *link, struct deadline deadline, bool *timed_out);
/* Sends and awaits one statement; err may be NULL. NULL: lost, or the server refused. */
PGresult *postgres_ask(PGconn *link, struct deadline deadline, struct err *err, const char *sql);

/* ---- control.c */
int postgres_form(struct cluster *cluster, struct deadline deadline, struct err *err);
int postgres_rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                      struct err *err);
int postgres_observe(struct cluster *cluster, struct role_table *table, struct deadline deadline,
                     struct err *err);
int postgres_reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                   struct err *err);
int postgres_effective(struct cluster *cluster, const struct kv_sink *sink,
                       struct deadline deadline, struct err *err);
void postgres_release(struct cluster *cluster);
extern const struct system_command postgres_commands[];

/* ---- postgres.c */
extern const struct system_ops postgres_system;
extern const struct outcome_rule postgres_outcomes[];

/* ---- feed.c */
extern const char postgres_slot[];
struct postgres_feed {
    PGconn *link;
    PGresult *batch; /* changes seen and not yet confirmed */
    int next;
};
int postgres_feed_open(void *feed, const struct plan_case *plan, const struct plan_cluster *cluster,
                       uint64_t position, struct err *err);
int postgres_feed_next(void *feed, int64_t until_ns, struct store_change *out, struct err *err);
uint64_t postgres_feed_position(const void *feed);
void postgres_feed_close(void *feed);

extern const struct store_ops postgres_store;

#endif
