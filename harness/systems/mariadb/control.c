/*
 * The control plane: waits for the first answer, makes the tables, reads back what the server runs
 * with. One connection, made anew when it is gone.
 */
#include "systems/mariadb/mariadb.h"

#include "plan/plan.h"

#include <stdio.h>
#include <stdlib.h>

#define ASK_LIMIT_NS (2 * SECOND_NS)

static MYSQL *link_of(struct cluster *cluster, struct err *err)
{
    if (cluster->state && mysql_ping(cluster->state) != 0)
        mariadb_release(cluster);
    if (!cluster->state)
        cluster->state = mariadb_link(cluster->nodes[0].plan->address, ASK_LIMIT_NS, err);
    return cluster->state;
}

static const char *const schema[] = {
    "DROP TABLE IF EXISTS journal, journal_order, items, tokens, outbox, fences, taken",
    "CREATE TABLE journal (n BIGINT AUTO_INCREMENT PRIMARY KEY, client INT, incarnation INT,"
    " worker INT, seq BIGINT, k BIGINT, key_seq BIGINT, version BIGINT, amount BIGINT,"
    " by_client INT, INDEX (client, incarnation, worker, seq)) ENGINE=InnoDB",
    "CREATE TABLE journal_order (k BIGINT PRIMARY KEY, version BIGINT) ENGINE=InnoDB",
    /* note: libmariadb decodes no rows of a table whose columns are all plain numbers (it takes the
     * empty metadata of their types for a broken map) */
    "CREATE TABLE items (k BIGINT PRIMARY KEY, value BIGINT, version BIGINT, removed INT,"
    " note VARCHAR(8) NOT NULL DEFAULT '') ENGINE=InnoDB",
    "CREATE TABLE tokens (id VARCHAR(190) PRIMARY KEY) ENGINE=InnoDB",
    "CREATE TABLE outbox (n BIGINT AUTO_INCREMENT PRIMARY KEY, k BIGINT, version BIGINT)"
    " ENGINE=InnoDB",
    "CREATE TABLE fences (k BIGINT PRIMARY KEY, token BIGINT) ENGINE=InnoDB",
    "CREATE TABLE taken (n BIGINT AUTO_INCREMENT PRIMARY KEY, k BIGINT, token BIGINT, client INT,"
    " incarnation INT, worker INT, seq BIGINT) ENGINE=InnoDB",
};

int mariadb_reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                  struct err *err)
{
    MYSQL *link = link_of(cluster, err);

    (void)next;
    (void)deadline;
    for (size_t i = 0; link && i < sizeof(schema) / sizeof(*schema); i++)
        if (mariadb_do(link, err, schema[i]) < 0)
            return -1;
    return link ? 0 : -1;
}

static int first_answer(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    struct err last = {0};

    while (!link_of(cluster, &last))
        if (deadline_sleep(&deadline, 20 * MS_NS) < 0)
            return err_set(err, "%s: waited for a first answer: %s", cluster->nodes[0].plan->name,
                           last.text);
    return 0;
}

int mariadb_form(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    if (first_answer(cluster, deadline, err) < 0)
        return -1;
    return mariadb_reset(cluster, cluster->plan, deadline, err);
}

int mariadb_rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                     struct err *err)
{
    (void)node;
    return first_answer(cluster, deadline, err);
}

int mariadb_observe(struct cluster *cluster, struct role_table *table, struct deadline deadline,
                    struct err *err)
{
    static const enum role_kind all[] = {ROLE_REGISTERED, ROLE_CLAIMS_LEADER, ROLE_LEADER};
    uint16_t self = cluster->nodes[0].plan->id;

    (void)deadline;
    (void)err; /* a node that does not answer has no role: that is what there is to see */
    if (!link_of(cluster, NULL))
        return 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        role_table_fact(table,
                        (struct role_fact){.unit = NO_UNIT,
                                           .node = self,
                                           .source = all[i] == ROLE_CLAIMS_LEADER ? self : NO_NODE,
                                           .kind = (uint16_t)all[i],
                                           .seen_ns = clock_now_ns()});
    return 0;
}

int mariadb_effective(struct cluster *cluster, const struct kv_sink *sink, struct deadline deadline,
                      struct err *err)
{
    MYSQL *link = link_of(cluster, err);
    MYSQL_RES *rows = link ? mariadb_ask(link, err, "SHOW GLOBAL VARIABLES") : NULL;
    MYSQL_ROW row;

    (void)deadline;
    if (!rows)
        return -1;
    while ((row = mysql_fetch_row(rows)))
        sink->put(sink->context, cluster->nodes[0].plan->name, row[0], row[1] ? row[1] : "");
    mysql_free_result(rows);
    return 0;
}

void mariadb_release(struct cluster *cluster)
{
    if (cluster->state)
        mysql_close(cluster->state);
    cluster->state = NULL;
}
