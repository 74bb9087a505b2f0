/*
 * SQLite: the embedded default store. No nodes: one database file per cluster alias in the folder
 * the run gives, shared by all client processes, one connection per worker.
 *
 * Durability is the file system's: WAL with `synchronous: normal` survives the death of every
 * process, `full` of the machine too. The journal has no unique key besides its row number, so that
 * a message applied twice is two rows. Rows get their number under SQLite's single write lock,
 * which BEGIN IMMEDIATE takes, so rowid order is commit order. Sources: sqlite.org/wal.html,
 * sqlite.org/pragma.html#pragma_synchronous, sqlite.org/lang_transaction.html.
 */
#include "api/store.h"
#include "api/system.h"
#include "plan/plan.h"

#include <assert.h>
#include <sqlite3.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum synchronous { SYNC_OFF, SYNC_NORMAL, SYNC_FULL };
static const char *const synchronous_names[] = {"off", "normal", "full", NULL};

struct sqlite_settings {
    int synchronous;
    int64_t busy_timeout_ns;
};
struct sqlite_config {
    bool given;
    struct sqlite_settings settings;
};

static const struct param settings_params[] = {
    {"synchronous", PARAM_CHOICE, offsetof(struct sqlite_settings, synchronous),
     .fallback = "normal", .choices = synchronous_names,
     .help = "PRAGMA synchronous of every connection"},
    {"busy_timeout", PARAM_DURATION, offsetof(struct sqlite_settings, busy_timeout_ns),
     .fallback = "10s", .min = 0, .max = INT64_C(600000000000),
     .help = "how long a transaction waits for another's write lock"},
    {0}};

static const struct param sqlite_params[] = {
    {"sqlite", PARAM_STRUCT, offsetof(struct sqlite_config, settings), .sub = settings_params,
     .sub_size = sizeof(struct sqlite_settings), .present = offsetof(struct sqlite_config, given),
     .help = "an embedded database, no server"},
    {0}};

/* ---- store */

struct sqlite_store {
    sqlite3 *db;
    sqlite3_stmt *begin, *append, *commit, *rollback;
};

static int refuse(const struct sqlite_store *s, struct err *err, const char *what)
{
    return err_set(err, "sqlite: %s: %s", what, sqlite3_errmsg(s->db));
}

static int run_text(struct sqlite_store *s, const char *sql, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : refuse(s, err, sql);
}

static int prepare(struct sqlite_store *s, const char *sql, sqlite3_stmt **statement,
                   struct err *err)
{
    if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK)
        return refuse(s, err, sql);
    return 0;
}

static void sqlite_close(void *self)
{
    struct sqlite_store *s = self;

    sqlite3_finalize(s->begin);
    sqlite3_finalize(s->append);
    sqlite3_finalize(s->commit);
    sqlite3_finalize(s->rollback);
    sqlite3_close(s->db);
    *s = (struct sqlite_store){0};
}

static int set_up(struct sqlite_store *s, const struct sqlite_config *config, struct err *err)
{
    static const struct sqlite_settings defaults = {SYNC_NORMAL, 10 * SECOND_NS};
    const struct sqlite_settings *settings = config ? &config->settings : &defaults;
    char pragma[64];

    sqlite3_busy_timeout(s->db, (int)(settings->busy_timeout_ns / MS_NS));
    snprintf(pragma, sizeof(pragma), "PRAGMA synchronous=%s",
             synchronous_names[settings->synchronous]);
    /* several processes may race for the switch to WAL: the busy handler covers it */
    if (run_text(s, "PRAGMA journal_mode=WAL", err) < 0 || run_text(s, pragma, err) < 0)
        return -1;
    if (run_text(s,
                 "CREATE TABLE IF NOT EXISTS journal (row INTEGER PRIMARY KEY AUTOINCREMENT, "
                 "client INTEGER,"
                 " incarnation INTEGER, worker INTEGER, seq INTEGER, key INTEGER, key_seq INTEGER,"
                 " by_client INTEGER)",
                 err) < 0)
        return -1;
    if (prepare(s, "BEGIN IMMEDIATE", &s->begin, err) < 0 ||
        prepare(s, "COMMIT", &s->commit, err) < 0 || prepare(s, "ROLLBACK", &s->rollback, err) < 0)
        return -1;
    return prepare(s,
                   "INSERT INTO journal (client, incarnation, worker, seq, key, key_seq, by_client)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                   &s->append, err);
}

static int sqlite_open(void *self, const struct plan_case *plan, const struct plan_cluster *cluster,
                       const char *folder, struct err *err)
{
    struct sqlite_store *s = self;
    char path[1024];

    (void)plan;
    snprintf(path, sizeof(path), "%s/%s.sqlite", folder, cluster->alias);
    if (sqlite3_open_v2(path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        refuse(s, err, path);
        sqlite_close(s);
        return -1;
    }
    if (set_up(s, cluster->config, err) == 0)
        return 0;
    sqlite_close(s);
    return err_prefix(err, "%s", path);
}

static int step(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    sqlite3_reset(statement);
    return code;
}

static int sqlite_begin(void *self, struct err *err)
{
    struct sqlite_store *s = self;

    return step(s->begin) == SQLITE_DONE ? 0 : refuse(s, err, "begin");
}

static int sqlite_append(void *self, const struct journal_row *row, struct err *err)
{
    struct sqlite_store *s = self;

    sqlite3_bind_int(s->append, 1, row->message.client);
    sqlite3_bind_int(s->append, 2, row->message.incarnation);
    sqlite3_bind_int(s->append, 3, row->message.worker);
    sqlite3_bind_int64(s->append, 4, (sqlite3_int64)row->message.seq);
    sqlite3_bind_int64(s->append, 5, row->key);
    sqlite3_bind_int64(s->append, 6, (sqlite3_int64)row->key_seq);
    sqlite3_bind_int(s->append, 7, row->by);
    return step(s->append) == SQLITE_DONE ? 0 : refuse(s, err, "append");
}

static void sqlite_rollback(void *self)
{
    struct sqlite_store *s = self;

    if (!sqlite3_get_autocommit(s->db))
        (void)step(s->rollback);
}

/*
 * SQLITE_BUSY from COMMIT leaves the transaction open: rolled back, it certainly did not happen.
 * After an I/O error SQLite may or may not have written the commit record: unknown, unless it is
 * still open.
 */
static enum outcome sqlite_commit(void *self, int16_t *code)
{
    struct sqlite_store *s = self;
    int result = step(s->commit);

    *code = (int16_t)(result == SQLITE_DONE ? 0 : result);
    if (result == SQLITE_DONE)
        return OUTCOME_OK;
    if (sqlite3_get_autocommit(s->db))
        return OUTCOME_UNKNOWN;
    sqlite_rollback(s);
    return OUTCOME_FAIL;
}

static struct journal_row read_row(sqlite3_stmt *select)
{
    struct journal_row row = {.row = sqlite3_column_int64(select, 0)};

    row.version = row.row; /* taken under the one write lock: covers every key's */
    row.message.client = (uint16_t)sqlite3_column_int(select, 1);
    row.message.incarnation = (uint16_t)sqlite3_column_int(select, 2);
    row.message.worker = (uint16_t)sqlite3_column_int(select, 3);
    row.message.seq = (uint64_t)sqlite3_column_int64(select, 4);
    row.key = (uint32_t)sqlite3_column_int64(select, 5);
    row.key_seq = (uint64_t)sqlite3_column_int64(select, 6);
    row.by = (uint16_t)sqlite3_column_int(select, 7);
    return row;
}

static int sqlite_audit(void *self, int (*row)(void *context, const struct journal_row *row),
                        void *context, struct err *err)
{
    struct sqlite_store *s = self;
    sqlite3_stmt *select = NULL;
    int code;

    if (prepare(s,
                "SELECT row, client, incarnation, worker, seq, key, key_seq, by_client FROM "
                "journal ORDER BY row",
                &select, err) < 0)
        return -1;
    while ((code = sqlite3_step(select)) == SQLITE_ROW) {
        struct journal_row one = read_row(select);

        if (row(context, &one) < 0) {
            sqlite3_finalize(select);
            return err_set(err, "sqlite: the audit was stopped at row %lld", (long long)one.row);
        }
    }
    sqlite3_finalize(select);
    return code == SQLITE_DONE ? 0 : refuse(s, err, "audit");
}

static const struct store_ops sqlite_store_ops = {
    .name = "sqlite",
    .size = sizeof(struct sqlite_store),
    .open = sqlite_open,
    .begin = sqlite_begin,
    .append = sqlite_append,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .audit = sqlite_audit,
    .close = sqlite_close,
};

/* ---- system: nothing runs, so there is nothing to form, watch or prove */

static int sqlite_describe(const void *config, const struct layout_sink *sink, struct err *err)
{
    (void)config;
    (void)sink;
    (void)err;
    return 0;
}

static int sqlite_form(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    (void)cluster;
    (void)deadline;
    (void)err;
    return 0;
}

static int sqlite_version(const void *config, char *out, size_t size, struct err *err)
{
    (void)config;
    (void)err;
    snprintf(out, size, "%s", sqlite3_libversion());
    return 0;
}

/* Every outcome code is SQLite's own primary result code. */
static const struct outcome_rule sqlite_outcomes[] = {
    {SQLITE_BUSY, "SQLITE_BUSY", OUTCOME_FAIL,
     "sqlite.org/rescode.html#busy: the transaction stays open, rolled back here"},
    {SQLITE_FULL, "SQLITE_FULL", OUTCOME_FAIL, "sqlite.org/lang_transaction.html: rolled back"},
    {SQLITE_IOERR, "SQLITE_IOERR", OUTCOME_UNKNOWN,
     "sqlite.org/rescode.html#ioerr: may have reached the disk"},
    {0}};

const struct system_ops sqlite_system = {
    .name = "sqlite",
    .about = "embedded database in the run folder; the default store for effects",
    .params = sqlite_params,
    .config_size = sizeof(struct sqlite_config),
    .outcomes = sqlite_outcomes,
    .store = &sqlite_store_ops,
    .describe = sqlite_describe,
    .form = sqlite_form,
    .version = sqlite_version,
};
