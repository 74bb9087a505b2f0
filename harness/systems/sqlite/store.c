/*
 * The embedded default store: one database file per cluster alias in the folder the run gives,
 * shared by all client processes, one connection per worker.
 *
 * Durability is the file system's: WAL with `synchronous: normal` survives the death of every
 * process, `full` of the machine too. The journal has no unique key besides its row number, so that
 * a message applied twice is two rows. Rows get their number under SQLite's single write lock,
 * which BEGIN IMMEDIATE takes, so rowid order is commit order, and versions assigned in a
 * transaction rise in commit order. Nothing conflicts after BEGIN. Left out: replicas and a change
 * stream, there is no server. Sources: sqlite.org/wal.html, sqlite.org/lang_transaction.html,
 * sqlite.org/pragma.html#pragma_synchronous, sqlite.org/lang_returning.html.
 */
#include "base/clock.h"
#include "plan/plan.h"
#include "systems/ledger.h"
#include "systems/sqlite/sqlite.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS journal (n INTEGER PRIMARY KEY AUTOINCREMENT, client INTEGER,"
    " incarnation INTEGER, worker INTEGER, seq INTEGER, k INTEGER, key_seq INTEGER,"
    " version INTEGER, amount INTEGER, by_client INTEGER);"
    "CREATE INDEX IF NOT EXISTS journal_message ON journal (client, incarnation, worker, seq);"
    "CREATE TABLE IF NOT EXISTS items (k INTEGER PRIMARY KEY, value INTEGER, version INTEGER,"
    " removed INTEGER);"
    "CREATE TABLE IF NOT EXISTS tokens (id TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS outbox (n INTEGER PRIMARY KEY AUTOINCREMENT, k INTEGER,"
    " version INTEGER);"
    "CREATE TABLE IF NOT EXISTS fences (k INTEGER PRIMARY KEY, token INTEGER);"
    "CREATE TABLE IF NOT EXISTS taken (n INTEGER PRIMARY KEY AUTOINCREMENT, k INTEGER,"
    " token INTEGER, client INTEGER, incarnation INTEGER, worker INTEGER, seq INTEGER);";

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    APPEND,
    READ,
    ADD,
    PUT,
    INSERT,
    PUT_IF,
    REMOVE,
    CLAIM,
    CLAIMED,
    FENCE,
    TAKE,
    OUTBOX_PUT,
    OUTBOX_NEXT,
    OUTBOX_DONE,
    JOURNALED,
    STATEMENTS
};

static const char *const statements[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [APPEND] = "INSERT INTO journal (client, incarnation, worker, seq, k, key_seq, version,"
               " amount, by_client) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [READ] = "SELECT value, version, removed FROM items WHERE k = ?1",
    [ADD] = "UPDATE items SET value = value + ?2, version = version + 1, removed = 0 WHERE k = ?1"
            " RETURNING value, version, removed",
    [PUT] = "INSERT INTO items VALUES (?1, ?2, 1, 0) ON CONFLICT (k) DO UPDATE SET"
            " value = excluded.value, version = version + 1, removed = 0"
            " RETURNING value, version, removed",
    [INSERT] = "INSERT INTO items VALUES (?1, ?2, 1, 0) ON CONFLICT (k) DO NOTHING"
               " RETURNING value, version, removed",
    [PUT_IF] = "UPDATE items SET value = ?2, version = version + 1, removed = 0 WHERE k = ?1 AND"
               " version = ?3 RETURNING value, version, removed",
    [REMOVE] = "UPDATE items SET version = version + 1, removed = 1 WHERE k = ?1"
               " RETURNING value, version, removed",
    [CLAIM] = "INSERT INTO tokens VALUES (?1) ON CONFLICT DO NOTHING RETURNING 1, 1, 0",
    [CLAIMED] = "SELECT 1, 1, 0 FROM tokens WHERE id = ?1",
    [FENCE] = "INSERT INTO fences VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET"
              " token = excluded.token WHERE excluded.token >= token RETURNING token, 1, 0",
    [TAKE] = "INSERT INTO taken (k, token, client, incarnation, worker, seq)"
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [OUTBOX_PUT] = "INSERT INTO outbox (k, version) VALUES (?1, ?2) RETURNING k, version, 0",
    [OUTBOX_NEXT] = "SELECT k, version, 0 FROM outbox ORDER BY n LIMIT 1",
    [OUTBOX_DONE] = "DELETE FROM outbox WHERE k = ?1 AND version = ?2 RETURNING k, version, 0",
    [JOURNALED] = "SELECT 1, 1, 0 FROM journal WHERE client = ?1 AND incarnation = ?2 AND"
                  " worker = ?3 AND seq = ?4 LIMIT 1",
};

struct session {
    sqlite3 *db;
    sqlite3_stmt *prepared[STATEMENTS];
};

static int refuse(const struct session *s, struct err *err, const char *what)
{
    return err_set(err, "sqlite: %s: %s", what, sqlite3_errmsg(s->db));
}

static int run_text(struct session *s, const char *sql, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : refuse(s, err, sql);
}

/* Several processes race for the switch to WAL, and it does not always ask the busy handler: where
 * waiting could deadlock with another reader it is refused at once (sqlite.org/c3ref/busy_handler).
 */
static int switch_to_wal(struct session *s, int64_t patience_ns, struct err *err)
{
    static const char sql[] = "PRAGMA journal_mode=WAL";
    struct deadline end = {.at_ns = clock_now_ns() + patience_ns};
    int code;

    do
        code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    while (code == SQLITE_BUSY && deadline_sleep(&end, MS_NS) == 0);
    return code == SQLITE_OK ? 0 : refuse(s, err, sql);
}

/* ---- sessions */

static void session_close(void *self)
{
    struct session *s = self;

    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->prepared[i]);
    sqlite3_close(s->db);
    *s = (struct session){0};
}

static int set_up(struct session *s, const struct sqlite_config *config, struct err *err)
{
    static const struct sqlite_settings defaults = {SYNC_NORMAL, 10 * SECOND_NS};
    static const char *const pragmas[] = {"PRAGMA synchronous=off", "PRAGMA synchronous=normal",
                                          "PRAGMA synchronous=full"};
    const struct sqlite_settings *settings = config ? &config->settings : &defaults;

    sqlite3_busy_timeout(s->db, (int)(settings->busy_timeout_ns / MS_NS));
    if (switch_to_wal(s, settings->busy_timeout_ns, err) < 0 ||
        run_text(s, pragmas[settings->synchronous], err) < 0 || run_text(s, schema, err) < 0)
        return -1;
    for (size_t i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &s->prepared[i],
                               NULL) != SQLITE_OK)
            return refuse(s, err, statements[i]);
    return 0;
}

static int session_open(void *self, const struct plan_case *plan,
                        const struct plan_cluster *cluster, const char *folder,
                        enum store_where where, struct err *err)
{
    struct session *s = self;
    char path[1024];

    (void)plan;
    if (where == STORE_REPLICA)
        return err_input(err, "sqlite has no replica to read from");
    snprintf(path, sizeof(path), "%s/%s.sqlite", folder, cluster->alias);
    if (sqlite3_open_v2(path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        refuse(s, err, path);
        session_close(s);
        return -1;
    }
    if (set_up(s, cluster->config, err) == 0)
        return 0;
    session_close(s);
    return err_prefix(err, "%s", path);
}

/* ---- transactions */

static int step(struct session *s, enum statement which)
{
    int code = sqlite3_step(s->prepared[which]);

    sqlite3_reset(s->prepared[which]);
    return code;
}

static int session_begin(void *self, struct err *err)
{
    struct session *s = self;

    return step(s, BEGIN) == SQLITE_DONE ? 0 : refuse(s, err, "begin");
}

static void session_rollback(void *self)
{
    struct session *s = self;

    if (!sqlite3_get_autocommit(s->db))
        (void)step(s, ROLLBACK);
}

/*
 * SQLITE_BUSY from COMMIT leaves the transaction open: rolled back, it certainly did not happen.
 * After an I/O error SQLite may or may not have written the commit record: unknown, unless it is
 * still open.
 */
static enum outcome session_commit(void *self, int16_t *code)
{
    struct session *s = self;
    int result = step(s, COMMIT);

    *code = (int16_t)(result == SQLITE_DONE ? 0 : result);
    if (result == SQLITE_DONE)
        return OUTCOME_OK;
    if (sqlite3_get_autocommit(s->db))
        return OUTCOME_UNKNOWN;
    session_rollback(s);
    return OUTCOME_FAIL;
}

/* ---- statements */

static void bind_message(sqlite3_stmt *statement, int first, const struct msg_id *message)
{
    sqlite3_bind_int(statement, first, message->client);
    sqlite3_bind_int(statement, first + 1, message->incarnation);
    sqlite3_bind_int(statement, first + 2, message->worker);
    sqlite3_bind_int64(statement, first + 3, (sqlite3_int64)message->seq);
}

static int session_append(void *self, const struct journal_row *row, struct err *err)
{
    struct session *s = self;
    sqlite3_stmt *append = s->prepared[APPEND];

    bind_message(append, 1, &row->message);
    sqlite3_bind_int64(append, 5, row->key);
    sqlite3_bind_int64(append, 6, (sqlite3_int64)row->key_seq);
    sqlite3_bind_int64(append, 7, row->version);
    sqlite3_bind_int64(append, 8, row->amount);
    sqlite3_bind_int(append, 9, row->by);
    return step(s, APPEND) == SQLITE_DONE ? 0 : refuse(s, err, "append");
}

/* Runs a bound statement that answers one row of (value, version, removed), or none. */
static enum store_answer ask(struct session *s, enum statement which, struct store_item *out)
{
    sqlite3_stmt *statement = s->prepared[which];
    int code = sqlite3_step(statement);
    bool found = code == SQLITE_ROW;

    if (found && out) {
        out->value = sqlite3_column_int64(statement, 0);
        out->version = (uint64_t)sqlite3_column_int64(statement, 1);
        out->removed = sqlite3_column_int(statement, 2) != 0;
    }
    while (code == SQLITE_ROW) /* the change of a RETURNING is complete at its end */
        code = sqlite3_step(statement);
    sqlite3_reset(statement);
    if (code == SQLITE_DONE)
        return found ? STORE_OK : STORE_NONE;
    session_rollback(s);
    return code == SQLITE_BUSY ? STORE_CONFLICT : STORE_ERROR;
}

static enum store_answer ask_key(struct session *s, enum statement which, uint32_t key,
                                 struct store_item *out)
{
    if (out)
        *out = (struct store_item){.key = key};
    sqlite3_bind_int64(s->prepared[which], 1, key);
    return ask(s, which, out);
}

static enum store_answer session_read(void *self, uint32_t key, bool for_update,
                                      struct store_item *out)
{
    (void)for_update; /* BEGIN IMMEDIATE holds the only write lock there is */
    return ask_key(self, READ, key, out);
}

static enum store_answer session_add(void *self, uint32_t key, int64_t amount,
                                     struct store_item *out)
{
    struct session *s = self;

    sqlite3_bind_int64(s->prepared[ADD], 2, amount);
    return ask_key(s, ADD, key, out);
}

static enum store_answer session_put(void *self, uint32_t key, int64_t value,
                                     struct store_item *out)
{
    struct session *s = self;

    sqlite3_bind_int64(s->prepared[PUT], 2, value);
    return ask_key(s, PUT, key, out);
}

static enum store_answer session_put_if(void *self, uint32_t key, int64_t value, uint64_t version,
                                        struct store_item *out)
{
    struct session *s = self;
    enum statement which = version == 0 ? INSERT : PUT_IF;

    sqlite3_bind_int64(s->prepared[which], 2, value);
    if (version != 0)
        sqlite3_bind_int64(s->prepared[which], 3, (sqlite3_int64)version);
    return ask_key(s, which, key, out);
}

static enum store_answer session_remove(void *self, uint32_t key, struct store_item *out)
{
    return ask_key(self, REMOVE, key, out);
}

static enum store_answer ask_token(struct session *s, enum statement which, const char *token)
{
    sqlite3_bind_text(s->prepared[which], 1, token, -1, SQLITE_TRANSIENT);
    return ask(s, which, NULL);
}

static enum store_answer session_claim(void *self, const char *token)
{
    enum store_answer answer = ask_token(self, CLAIM, token);

    return answer == STORE_NONE ? STORE_EXISTS : answer;
}

static enum store_answer session_claimed(void *self, const char *token)
{
    return ask_token(self, CLAIMED, token);
}

static enum store_answer ask_version(struct session *s, enum statement statement, uint32_t key,
                                     uint64_t version)
{
    sqlite3_bind_int64(s->prepared[statement], 2, (sqlite3_int64)version);
    return ask_key(s, statement, key, NULL);
}

static enum store_answer session_outbox_put(void *self, uint32_t key, uint64_t version)
{
    return ask_version(self, OUTBOX_PUT, key, version);
}

static enum store_answer session_outbox_next(void *self, struct store_item *out)
{
    enum store_answer answer = ask(self, OUTBOX_NEXT, out);

    out->key = (uint32_t)out->value;
    return answer;
}

static enum store_answer session_outbox_done(void *self, uint32_t key, uint64_t version)
{
    return ask_version(self, OUTBOX_DONE, key, version);
}

static enum store_answer session_take(void *self, uint32_t key, uint64_t token,
                                      const struct msg_id *by)
{
    struct session *s = self;
    enum store_answer answer;

    sqlite3_bind_int64(s->prepared[TAKE], 2, (sqlite3_int64)token);
    bind_message(s->prepared[TAKE], 3, by);
    answer = ask_key(s, TAKE, key, NULL);
    return answer == STORE_NONE ? STORE_OK : answer;
}

static enum store_answer session_fence(void *self, uint32_t key, uint64_t token,
                                       const struct msg_id *by)
{
    struct session *s = self;
    enum store_answer answer;

    sqlite3_bind_int64(s->prepared[FENCE], 2, (sqlite3_int64)token);
    answer = ask_key(s, FENCE, key, NULL);
    if (answer == STORE_NONE)
        return STORE_EXISTS;
    return answer == STORE_OK ? session_take(self, key, token, by) : answer;
}

/* SQLite's one write lock makes this certain: who could still commit would hold it. */
static enum store_answer session_journaled(void *self, const struct msg_id *message)
{
    struct session *s = self;

    bind_message(s->prepared[JOURNALED], 1, message);
    return ask(s, JOURNALED, NULL);
}

/* ---- audit */

static int session_query(void *self, const char *sql, int columns,
                         int (*row)(void *call, const int64_t *values), void *call, struct err *err)
{
    struct session *s = self;
    sqlite3_stmt *select = NULL;
    int64_t values[LEDGER_COLUMNS_MAX];
    int code;

    assert(columns <= LEDGER_COLUMNS_MAX);
    if (sqlite3_prepare_v2(s->db, sql, -1, &select, NULL) != SQLITE_OK)
        return refuse(s, err, sql);
    while ((code = sqlite3_step(select)) == SQLITE_ROW) {
        for (int i = 0; i < columns; i++)
            values[i] = sqlite3_column_int64(select, i);
        if (row(call, values) != 0) {
            sqlite3_finalize(select);
            return err_set(err, "sqlite: the audit was stopped by its reader");
        }
    }
    sqlite3_finalize(select);
    return code == SQLITE_DONE ? 0 : refuse(s, err, "audit");
}

const struct store_ops sqlite_store = {
    .name = "sqlite",
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
};
