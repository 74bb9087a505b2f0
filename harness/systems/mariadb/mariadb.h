/*
 * MariaDB as a system and a store: one server with row-based binary logs.
 *
 *     mariadb.c  the cluster entry, argv and config of the node, ends in the ops
 *     control.c  bring-up, roles, reset, read back
 *     link.c     one connection with time limits, statements as text
 *     store.c    sessions: items, journal, tokens, fences, audit
 *     feed.c     the change stream, out of the binary log
 *
 * Left out: replicas (PostgreSQL has them here).
 */
#ifndef ASSAY_SYSTEMS_MARIADB_H
#define ASSAY_SYSTEMS_MARIADB_H

#include "api/store.h"
#include "api/system.h"
#include "base/clock.h"

#include <mysql.h>
#include <stdbool.h>
#include <stdint.h>

#define MARIADB_PORT 3306
#define MARIADB_SERVER_ID 1

struct mariadb_config {
    struct {
        int64_t nodes, patience_ns;
        const char *version, *home;
    } mariadb;
    struct pairs conf; /* my.cnf, [mariadbd] */
};

extern const struct system_ops mariadb_system;
extern const struct outcome_rule mariadb_outcomes[];

/* ---- link.c */
/* NULL: err says why. No call waits longer than `patience`, in whole seconds. */
MYSQL *mariadb_link(const char *address, int64_t patience_ns, struct err *err);
/* One statement without rows; -1: err (may be NULL) says why, mysql_errno what. */
int mariadb_do(MYSQL *link, struct err *err, const char *sql);
/* One statement with rows, all of them; NULL as above. */
MYSQL_RES *mariadb_ask(MYSQL *link, struct err *err, const char *sql);
/* The first field of the only row; -1: none. */
int64_t mariadb_number(MYSQL *link, struct err *err, const char *sql);

/* ---- control.c */
int mariadb_form(struct cluster *cluster, struct deadline deadline, struct err *err);
int mariadb_rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                     struct err *err);
int mariadb_observe(struct cluster *cluster, struct role_table *table, struct deadline deadline,
                    struct err *err);
int mariadb_reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                  struct err *err);
int mariadb_effective(struct cluster *cluster, const struct kv_sink *sink, struct deadline deadline,
                      struct err *err);
void mariadb_release(struct cluster *cluster);

/* ---- feed.c */
struct mariadb_feed {
    MYSQL *link;
    void *rpl;             /* MARIADB_RPL */
    void *table;           /* MARIADB_RPL_EVENT, the map that row events refer to */
    void *rows_event;      /* the one being handed out */
    void *row;             /* MARIADB_RPL_ROW, the next of it */
    uint32_t file, offset; /* where the event after it begins */
    bool ours;             /* the map is of table items */
    bool broken;           /* rows that could not be decoded */
};
int mariadb_feed_open(void *feed, const struct plan_case *plan, const struct plan_cluster *cluster,
                      uint64_t position, struct err *err);
int mariadb_feed_next(void *feed, int64_t until_ns, struct store_change *out, struct err *err);
uint64_t mariadb_feed_position(const void *feed);
void mariadb_feed_close(void *feed);

extern const struct store_ops mariadb_store;

#endif
