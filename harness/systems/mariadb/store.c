/*
 * Sessions: one connection per worker, statements as text (all values are numbers, tokens are
 * escaped). The journal has no unique key but its row number; a row's version is taken under the
 * lock of its key (journal_order, or the item's own row), because AUTO_INCREMENT is assigned at
 * insert, not at commit.
 *
 * MariaDB has no UPDATE … RETURNING: a change and the look at what it made are one transaction.
 * Lock waits end with the case's `patience`. Source: mariadb.com/kb/en/innodb-lock-modes,
 * mariadb.com/kb/en/set-transaction (REPEATABLE READ by default), mariadb.com/kb/en/kill.
 */
#include "systems/mariadb/mariadb.h"

#include "plan/plan.h"
#include "systems/ledger.h"

#include <assert.h>
#include <errmsg.h>
#include <inttypes.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQL_MAX 500
#define NO_TRANSACTION 1
#define QUIET_LIMIT_NS (20 * SECOND_NS)

struct session {
    char address[16];
    int64_t patience_ns;
    MYSQL *link;          /* NULL: connect at the next call */
    bool open;            /* a transaction is */
    unsigned long thread; /* the server's, of the last COMMIT without an answer */
};

/* ---- connection */

static void lose(struct session *s)
{
    if (s->link)
        mysql_close(s->link);
    s->link = NULL;
    s->open = false;
}

static int reach(struct session *s, struct err *err)
{
    char sql[80];

    if (s->link)
        return 0;
    s->link = mariadb_link(s->address, s->patience_ns, err);
    if (!s->link)
        return -1;
    snprintf(sql, sizeof(sql), "SET innodb_lock_wait_timeout = %" PRId64,
             (s->patience_ns + SECOND_NS - 1) / SECOND_NS);
    if (mariadb_do(s->link, err, sql) == 0)
        return 0;
    lose(s);
    return -1;
}

static bool is_lost(unsigned code)
{
    return code == CR_SERVER_LOST || code == CR_SERVER_GONE_ERROR || code == ER_SERVER_SHUTDOWN ||
           code == ER_CONNECTION_KILLED;
}

static void roll_back(struct session *s)
{
    if (!s->open)
        return;
    s->open = false;
    if (!s->link || mariadb_do(s->link, NULL, "ROLLBACK") < 0)
        lose(s);
}

/* A statement failed: what becomes of the transaction, and what the caller may do. */
static enum store_answer refused(struct session *s)
{
    unsigned code = mysql_errno(s->link);

    if (is_lost(code))
        lose(s);
    roll_back(s);
    return code == ER_LOCK_DEADLOCK || code == ER_LOCK_WAIT_TIMEOUT ? STORE_CONFLICT : STORE_ERROR;
}

/* ---- statements */

static enum store_answer run(struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* OK: it changed something (or found what it would have changed); NONE: it matched nothing. */
static enum store_answer run(struct session *s, const char *format, ...)
{
    char sql[SQL_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    if (!s->link && (s->open || reach(s, NULL) < 0))
        return STORE_ERROR;
    if (mysql_query(s->link, sql) != 0)
        return refused(s);
    return mysql_affected_rows(s->link) > 0 ? STORE_OK : STORE_NONE;
}

static enum store_answer ask(struct session *s, struct store_item *out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One row of (value, version, removed), or NONE. */
static enum store_answer ask(struct session *s, struct store_item *out, const char *format, ...)
{
    char sql[SQL_MAX];
    va_list args;
    MYSQL_RES *rows;
    MYSQL_ROW row;

    va_start(args, format);
    vsnprintf(sql, sizeof(sql), format, args);
    va_end(args);
    if (!s->link && (s->open || reach(s, NULL) < 0))
        return STORE_ERROR;
    rows = mariadb_ask(s->link, NULL, sql);
    if (!rows)
        return refused(s);
    row = mysql_fetch_row(rows);
    if (row && out) {
        out->value = strtoll(row[0], NULL, 10);
        out->version = strtoull(row[1], NULL, 10);
        out->removed = row[2][0] == '1';
    }
    mysql_free_result(rows);
    return row ? STORE_OK : STORE_NONE;
}

/* ---- sessions and transactions */

static int session_open(void *self, const struct plan_case *plan,
                        const struct plan_cluster *cluster, const char *folder,
                        enum store_where where, struct err *err)
{
    struct session *s = self;
    const struct mariadb_config *config = cluster->config;

    (void)folder;
    if (where == STORE_REPLICA)
        return err_input(err, "%s: mariadb has no replica here to read from", cluster->alias);
    *s = (struct session){.patience_ns = config->mariadb.patience_ns};
    snprintf(s->address, sizeof(s->address), "%s", plan->nodes[cluster->first_node].address);
    return reach(s, err);
}

static void session_close(void *self)
{
    lose(self);
}

static int session_begin(void *self, struct err *err)
{
    struct session *s = self;

    /* a connection that died while it was idle is found out here, before anything depends on it */
    for (int try = 0; try < 2; try++) {
        if (reach(s, err) < 0)
            return -1;
        if (mariadb_do(s->link, err, "START TRANSACTION") == 0) {
            s->open = true;
            return 0;
        }
        lose(s);
    }
    return -1;
}

static void session_rollback(void *self)
{
    roll_back(self);
}

static enum outcome session_commit(void *self, int16_t *code)
{
    struct session *s = self;
    unsigned errno_now = NO_TRANSACTION;

    if (s->open) {
        s->open = false;
        s->thread = mysql_thread_id(s->link);
        errno_now = mysql_query(s->link, "COMMIT") == 0 ? 0 : mysql_errno(s->link);
    }
    *code = (int16_t)errno_now;
    if (errno_now == 0)
        return OUTCOME_OK;
    if (errno_now != NO_TRANSACTION)
        lose(s);
    return outcome_of_code(mariadb_outcomes, (int)errno_now);
}

/* ---- items */

static enum store_answer session_read(void *self, uint32_t key, bool for_update,
                                      struct store_item *out)
{
    if (out)
        *out = (struct store_item){.key = key};
    return ask(self, out, "SELECT value, version, removed FROM items WHERE k = %u%s", key,
               for_update ? " FOR UPDATE" : "");
}

/* A change outside of a transaction gets one around it and the look at what it made. */
static enum store_answer change(struct session *s, uint32_t key, const char *sql,
                                struct store_item *out)
{
    bool alone = !s->open;
    enum store_answer answer;
    int16_t code;

    if (alone && session_begin(s, NULL) < 0)
        return STORE_ERROR;
    answer = run(s, "%s", sql);
    if (answer == STORE_OK)
        answer = session_read(s, key, false, out);
    if (alone && s->open && session_commit(s, &code) != OUTCOME_OK)
        answer = STORE_ERROR;
    return answer;
}

static enum store_answer session_add(void *self, uint32_t key, int64_t amount,
                                     struct store_item *out)
{
    char sql[SQL_MAX];

    snprintf(sql, sizeof(sql),
             "UPDATE items SET value = value + %" PRId64
             ", version = version + 1, removed = 0 WHERE k = %u",
             amount, key);
    return change(self, key, sql, out);
}

static enum store_answer session_put(void *self, uint32_t key, int64_t value,
                                     struct store_item *out)
{
    char sql[SQL_MAX];

    snprintf(sql, sizeof(sql),
             "INSERT INTO items (k, value, version, removed) VALUES (%u, %" PRId64
             ", 1, 0) ON DUPLICATE KEY UPDATE"
             " value = VALUES(value), version = version + 1, removed = 0",
             key, value);
    return change(self, key, sql, out);
}

static enum store_answer session_put_if(void *self, uint32_t key, int64_t value, uint64_t version,
                                        struct store_item *out)
{
    char sql[SQL_MAX];

    if (version == 0)
        snprintf(sql, sizeof(sql),
                 "INSERT IGNORE INTO items (k, value, version, removed) VALUES (%u, %" PRId64
                 ", 1, 0)",
                 key, value);
    else
        snprintf(sql, sizeof(sql),
                 "UPDATE items SET value = %" PRId64
                 ", version = version + 1, removed = 0 WHERE k = %u AND version = %" PRIu64,
                 value, key, version);
    return change(self, key, sql, out);
}

static enum store_answer session_remove(void *self, uint32_t key, struct store_item *out)
{
    char sql[SQL_MAX];

    snprintf(sql, sizeof(sql), "UPDATE items SET version = version + 1, removed = 1 WHERE k = %u",
             key);
    return change(self, key, sql, out);
}

/* ---- journal, tokens, fences */

/* The row's version under its key's lock: LAST_INSERT_ID(expr) hands it back. */
static int64_t turn_of(struct session *s, uint32_t key)
{
    if (run(s,
            "INSERT INTO journal_order VALUES (%u, LAST_INSERT_ID(1)) ON DUPLICATE KEY UPDATE"
            " version = LAST_INSERT_ID(version + 1)",
            key) != STORE_OK)
        return -1;
    return (int64_t)mysql_insert_id(s->link);
}

static int session_append(void *self, const struct journal_row *row, struct err *err)
{
    struct session *s = self;
    int64_t version = row->version ? row->version : turn_of(s, row->key);

    if (version < 0 ||
        run(s,
            "INSERT INTO journal (client, incarnation, worker, seq, k, key_seq, version, amount,"
            " by_client) VALUES (%u, %u, %u, %" PRIu64 ", %u, %" PRIu64 ", %" PRId64 ", %" PRId64
            ", %u)",
            row->message.client, row->message.incarnation, row->message.worker, row->message.seq,
            row->key, row->key_seq, version, row->amount, row->by) != STORE_OK)
        return err_set(err, "mariadb: append: %s", s->link ? "refused" : "the connection is lost");
    return 0;
}

static const char *escaped(struct session *s, const char *token, char *out, size_t size)
{
    size_t n = strlen(token);

    if (!s->link && reach(s, NULL) < 0)
        return NULL;
    if (2 * n + 1 > size)
        return NULL;
    mysql_real_escape_string(s->link, out, token, n);
    return out;
}

static enum store_answer session_claim(void *self, const char *token)
{
    char text[SQL_MAX / 2];
    enum store_answer answer;

    if (!escaped(self, token, text, sizeof(text)))
        return STORE_ERROR;
    answer = run(self, "INSERT IGNORE INTO tokens VALUES ('%s')", text);
    return answer == STORE_NONE ? STORE_EXISTS : answer;
}

static enum store_answer session_claimed(void *self, const char *token)
{
    char text[SQL_MAX / 2];

    if (!escaped(self, token, text, sizeof(text)))
        return STORE_ERROR;
    return ask(self, NULL, "SELECT 1, 1, 0 FROM tokens WHERE id = '%s'", text);
}

static enum store_answer session_outbox_put(void *self, uint32_t key, uint64_t version)
{
    return run(self, "INSERT INTO outbox (k, version) VALUES (%u, %" PRIu64 ")", key, version);
}

static enum store_answer session_outbox_next(void *self, struct store_item *out)
{
    enum store_answer answer =
        ask(self, out, "SELECT k, version, 0 FROM outbox ORDER BY n LIMIT 1");

    out->key = (uint32_t)out->value;
    return answer;
}

static enum store_answer session_outbox_done(void *self, uint32_t key, uint64_t version)
{
    return run(self, "DELETE FROM outbox WHERE k = %u AND version = %" PRIu64, key, version);
}

static enum store_answer session_take(void *self, uint32_t key, uint64_t token,
                                      const struct msg_id *by)
{
    return run(self,
               "INSERT INTO taken (k, token, client, incarnation, worker, seq) VALUES (%u, %" PRIu64
               ", %u, %u, %u, %" PRIu64 ")",
               key, token, by->client, by->incarnation, by->worker, by->seq);
}

static enum store_answer session_fence(void *self, uint32_t key, uint64_t token,
                                       const struct msg_id *by)
{
    struct store_item seen = {0};
    enum store_answer answer =
        run(self,
            "INSERT INTO fences VALUES (%u, %" PRIu64 ") ON DUPLICATE KEY UPDATE"
            " token = GREATEST(token, VALUES(token))",
            key, token);

    if (answer == STORE_OK)
        answer = ask(self, &seen, "SELECT token, 1, 0 FROM fences WHERE k = %u", key);
    if (answer != STORE_OK)
        return answer;
    return (uint64_t)seen.value > token ? STORE_EXISTS : session_take(self, key, token, by);
}

/* A COMMIT that never arrived leaves its transaction idle for as long as the connection seems to
 * live: the server's thread is ended, then nothing can follow. */
static bool end_thread(struct session *s)
{
    struct deadline deadline = deadline_in(s->patience_ns, NULL);
    char end[64], there[120];

    if (s->thread == 0)
        return true;
    snprintf(end, sizeof(end), "KILL CONNECTION %lu", s->thread);
    snprintf(there, sizeof(there),
             "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %lu", s->thread);
    do {
        if (reach(s, NULL) < 0)
            continue;
        if (mysql_thread_id(s->link) == s->thread)
            return true;
        mariadb_do(s->link, NULL, end); /* gone already: an error that says so */
        if (mariadb_number(s->link, NULL, there) == 0)
            return true;
    } while (deadline_sleep(&deadline, 20 * MS_NS) == 0);
    return false;
}

static enum store_answer session_journaled(void *self, const struct msg_id *message)
{
    if (!end_thread(self))
        return STORE_ERROR;
    return ask(self, NULL,
               "SELECT 1, 1, 0 FROM journal WHERE client = %u AND incarnation = %u AND worker = %u"
               " AND seq = %" PRIu64 " LIMIT 1",
               message->client, message->incarnation, message->worker, message->seq);
}

/* ---- audit */

/* D3: no open transaction of anybody, prepared ones included. */
static int wait_quiet(struct session *s, struct err *err)
{
    struct deadline deadline = deadline_in(QUIET_LIMIT_NS, NULL);
    int64_t open;

    while ((open = mariadb_number(s->link, err,
                                  "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE"
                                  " trx_mysql_thread_id <> CONNECTION_ID()")) != 0)
        if (open < 0)
            return -1;
        else if (deadline_sleep(&deadline, 50 * MS_NS) < 0)
            return err_set(err, "mariadb: %" PRId64 " transactions are still open", open);
    return 0;
}

static int session_query(void *self, const char *sql, int columns,
                         int (*row)(void *call, const int64_t *values), void *call, struct err *err)
{
    struct session *s = self;
    int64_t values[LEDGER_COLUMNS_MAX];
    MYSQL_RES *rows;
    MYSQL_ROW one;
    int status = 0;

    assert(columns <= LEDGER_COLUMNS_MAX);
    if (reach(s, err) < 0 || wait_quiet(s, err) < 0 || mariadb_do(s->link, err, sql) < 0)
        return -1;
    rows = mysql_use_result(s->link);
    if (!rows)
        return err_set(err, "mariadb: audit: %s", mysql_error(s->link));
    while ((one = mysql_fetch_row(rows))) {
        for (int i = 0; i < columns; i++)
            values[i] = strtoll(one[i], NULL, 10);
        if (status == 0 && row(call, values) != 0)
            status = err_set(err, "mariadb: the audit was stopped by its reader");
    }
    if (status == 0 && mysql_errno(s->link) != 0)
        status = err_set(err, "mariadb: audit: %s", mysql_error(s->link));
    mysql_free_result(rows);
    return status;
}

const struct store_ops mariadb_store = {
    .name = "mariadb",
    .size = sizeof(struct session),
    .open = session_open,
    .begin = session_begin,
    .append = session_append,
    .commit = session_commit,
    .rollback = session_rollback,
    .close = session_close,
    .read = session_read,
    .add = session_add,
    .put = session_put,
    .put_if = session_put_if,
    .remove = session_remove,
    .claim = session_claim,
    .claimed = session_claimed,
    .outbox_put = session_outbox_put,
    .outbox_next = session_outbox_next,
    .outbox_done = session_outbox_done,
    .fence = session_fence,
    .take = session_take,
    .journaled = session_journaled,
    .query = session_query,
    .feed_size = sizeof(struct mariadb_feed),
    .feed_open = mariadb_feed_open,
    .feed_next = mariadb_feed_next,
    .feed_position = mariadb_feed_position,
    .feed_close = mariadb_feed_close,
};
