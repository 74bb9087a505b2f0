/*
 * Sessions: one connection per worker, statements prepared once. The journal has no unique key; its
 * rows are numbered under the lock of their key (journal_order, or the item's own row), because
 * bigserial is assigned at insert, not at commit: within one key row numbers rise in commit order.
 * Default isolation, READ COMMITTED, unless the user's postgresql.conf says otherwise.
 *
 * Nothing waits longer than the case's `patience`. A COMMIT without an answer is unknown until
 * pg_xact_status says more, its backend ended. Source: postgresql.org/docs/15/functions-info.html
 * (pg_xact_status), errcodes-appendix.html.
 */
#include "systems/postgres/postgres.h"

#include "plan/plan.h"
#include "systems/ledger.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_LIMIT_NS (3 * SECOND_NS)
#define QUIET_LIMIT_NS (20 * SECOND_NS)
#define PARAMS_MAX 10
#define NUMBER_MAX 24

enum statement {
    APPEND,
    APPEND_AS,
    READ,
    LOCK,
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

#define ITEM " RETURNING value, version, removed"
static const struct {
    const char *name, *sql;
    int n;
} statements[STATEMENTS] = {
    [APPEND] = {"append",
                "WITH turn AS (INSERT INTO journal_order VALUES ($5, 1) ON CONFLICT (k) DO UPDATE"
                " SET version = journal_order.version + 1 RETURNING version)"
                " INSERT INTO journal (client, incarnation, worker, seq, k, key_seq, version,"
                " amount, by_client) SELECT $1, $2, $3, $4, $5, $6, turn.version, $8, $9 FROM turn"
                " WHERE $7::bigint = 0 RETURNING pg_current_xact_id()",
                9},
    [APPEND_AS] = {"append_as",
                   "INSERT INTO journal (client, incarnation, worker, seq, k, key_seq, version,"
                   " amount, by_client) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
                   " RETURNING pg_current_xact_id()",
                   9},
    [READ] = {"read", "SELECT value, version, removed FROM items WHERE k = $1", 1},
    [LOCK] = {"lock", "SELECT value, version, removed FROM items WHERE k = $1 FOR UPDATE", 1},
    [ADD] = {"add",
             "UPDATE items SET value = value + $2, version = version + 1, removed = 0"
             " WHERE k = $1" ITEM,
             2},
    [PUT] = {"put",
             "INSERT INTO items VALUES ($1, $2, 1, 0) ON CONFLICT (k) DO UPDATE SET value ="
             " EXCLUDED.value, version = items.version + 1, removed = 0"
             " RETURNING items.value, items.version, items.removed",
             2},
    [INSERT] = {"insert", "INSERT INTO items VALUES ($1, $2, 1, 0) ON CONFLICT (k) DO NOTHING" ITEM,
                2},
    [PUT_IF] = {"put_if",
                "UPDATE items SET value = $2, version = version + 1, removed = 0 WHERE k = $1 AND"
                " version = $3" ITEM,
                3},
    [REMOVE] = {"remove", "UPDATE items SET version = version + 1, removed = 1 WHERE k = $1" ITEM,
                1},
    [CLAIM] = {"claim", "INSERT INTO tokens VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1, 1, 0",
               1},
    [CLAIMED] = {"claimed", "SELECT 1, 1, 0 FROM tokens WHERE id = $1", 1},
    [FENCE] = {"fence",
               "INSERT INTO fences VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET token ="
               " EXCLUDED.token WHERE EXCLUDED.token >= fences.token RETURNING token, 1, 0",
               2},
    [TAKE] = {"take",
              "INSERT INTO taken (k, token, client, incarnation, worker, seq)"
              " VALUES ($1, $2, $3, $4, $5, $6) RETURNING 1, 1, 0",
              6},
    [OUTBOX_PUT] = {"outbox_put",
                    "INSERT INTO outbox (k, version) VALUES ($1, $2) RETURNING k, version, 0", 2},
    [OUTBOX_NEXT] = {"outbox_next", "SELECT k, version, 0 FROM outbox ORDER BY n LIMIT 1", 0},
    [OUTBOX_DONE] = {"outbox_done",
                     "DELETE FROM outbox WHERE k = $1 AND version = $2 RETURNING k, version, 0", 2},
    [JOURNALED] = {"journaled",
                   "SELECT 1, 1, 0 FROM journal WHERE client = $1 AND incarnation = $2 AND"
                   " worker = $3 AND seq = $4 LIMIT 1",
                   4},
};

struct session {
    char address[16];
    int64_t patience_ns;
    PGconn *link;          /* NULL: connect at the next call */
    bool open;             /* a transaction is */
    char xact[NUMBER_MAX]; /* of the last one that journaled, */
    int backend;           /* and the server's process it ran in */
};

/* ---- statements */

/* Parameters as text, the form every type takes. */
struct values {
    const char *token; /* not NULL: the only one */
    char text[PARAMS_MAX][NUMBER_MAX];
    int n;
};

static void add_number(struct values *v, int64_t number)
{
    snprintf(v->text[v->n++], NUMBER_MAX, "%" PRId64, number);
}

static void add_message(struct values *v, const struct msg_id *message)
{
    add_number(v, message->client);
    add_number(v, message->incarnation);
    add_number(v, message->worker);
    add_number(v, (int64_t)message->seq);
}

static void lose(struct session *s)
{
    PQfinish(s->link);
    s->link = NULL;
    s->open = false;
}

static struct deadline patience(const struct session *s)
{
    return deadline_in(s->patience_ns, NULL);
}

static int prepare_all(struct session *s, struct deadline deadline, struct err *err)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        bool timed_out = false;
        PGresult *result = NULL;
        bool good;

        if (PQsendPrepare(s->link, statements[i].name, statements[i].sql, 0, NULL))
            result = postgres_result(s->link, deadline, &timed_out);
        good = result && PQresultStatus(result) == PGRES_COMMAND_OK;
        if (!good)
            err_set(err, "postgres: prepare %s: %s", statements[i].name,
                    result ? PQresultErrorMessage(result) : "no answer");
        PQclear(result);
        if (!good)
            return -1;
    }
    return 0;
}

static int reach(struct session *s, struct err *err)
{
    struct deadline deadline;

    if (s->link && PQstatus(s->link) == CONNECTION_OK)
        return 0;
    lose(s);
    deadline = deadline_within(patience(s), CONNECT_LIMIT_NS);
    s->link = postgres_connect(s->address, deadline, err);
    if (!s->link)
        return -1;
    if (prepare_all(s, deadline, err) == 0)
        return 0;
    lose(s);
    return -1;
}

static void roll_back(struct session *s)
{
    PGresult *result;

    if (!s->open)
        return;
    s->open = false;
    result = s->link ? postgres_ask(s->link, patience(s), NULL, "ROLLBACK") : NULL;
    if (!result)
        lose(s);
    PQclear(result);
}

/* NULL: refused or lost, *code says which; the transaction is rolled back. */
static PGresult *run(struct session *s, enum statement which, const struct values *v,
                     enum postgres_code *code)
{
    PGresult *result = NULL;
    bool timed_out = false;
    ExecStatusType status;
    const char *at[PARAMS_MAX];

    for (int i = 0; i < v->n; i++)
        at[i] = v->token ? v->token : v->text[i];
    if (!s->link && (s->open || reach(s, NULL) < 0)) {
        *code = POSTGRES_LOST;
        return NULL;
    }
    if (PQsendQueryPrepared(s->link, statements[which].name, v->n, at, NULL, NULL, 0))
        result = postgres_result(s->link, patience(s), &timed_out);
    *code = timed_out ? POSTGRES_TIMEOUT : postgres_code(result);
    if (!result || PQstatus(s->link) == CONNECTION_BAD)
        lose(s);
    status = PQresultStatus(result);
    if (result && (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK))
        return result;
    PQclear(result);
    roll_back(s);
    return NULL;
}

static enum store_answer ask(struct session *s, enum statement which, const struct values *v,
                             struct store_item *out)
{
    enum postgres_code code;
    PGresult *result = run(s, which, v, &code);
    bool found = result && PQntuples(result) > 0;

    if (found && out) {
        out->value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        out->version = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
        out->removed = PQgetvalue(result, 0, 2)[0] == '1';
    }
    PQclear(result);
    if (result)
        return found ? STORE_OK : STORE_NONE;
    return code == POSTGRES_CONFLICT ? STORE_CONFLICT : STORE_ERROR;
}

static enum store_answer ask_key(struct session *s, enum statement which, uint32_t key,
                                 int64_t second, int64_t third, struct store_item *out)
{
    struct values v = {0};

    add_number(&v, key);
    if (statements[which].n > 1)
        add_number(&v, second);
    if (statements[which].n > 2)
        add_number(&v, third);
    if (out)
        *out = (struct store_item){.key = key};
    return ask(s, which, &v, out);
}

/* ---- sessions and transactions */

static int session_open(void *self, const struct plan_case *plan,
                        const struct plan_cluster *cluster, const char *folder,
                        enum store_where where, struct err *err)
{
    struct session *s = self;
    const struct postgres_config *config = cluster->config;

    (void)folder;
    if (where == STORE_REPLICA && cluster->n_nodes < 2)
        return err_input(err, "%s: postgres: {nodes: 1} has no replica to read from",
                         cluster->alias);
    *s = (struct session){.patience_ns = config->postgres.patience_ns};
    snprintf(s->address, sizeof(s->address), "%s",
             plan->nodes[cluster->first_node + (where == STORE_REPLICA)].address);
    return reach(s, err);
}

static void session_close(void *self)
{
    struct session *s = self;

    lose(s);
}

static int session_begin(void *self, struct err *err)
{
    struct session *s = self;
    PGresult *result;

    if (reach(s, err) < 0)
        return -1;
    result = postgres_ask(s->link, patience(s), err, "BEGIN");
    if (!result)
        lose(s);
    s->open = result != NULL;
    PQclear(result);
    return s->open ? 0 : -1;
}

static void session_rollback(void *self)
{
    roll_back(self);
}

/* COMMIT of a transaction that failed on the way answers ROLLBACK. */
static enum outcome session_commit(void *self, int16_t *code)
{
    struct session *s = self;
    PGresult *result = NULL;
    bool timed_out = false;
    enum postgres_code c;

    *code = POSTGRES_ROLLED_BACK;
    if (!s->open)
        return OUTCOME_FAIL;
    s->open = false;
    if (PQsendQuery(s->link, "COMMIT"))
        result = postgres_result(s->link, patience(s), &timed_out);
    c = timed_out ? POSTGRES_TIMEOUT : postgres_code(result);
    if (c == POSTGRES_OK && strcmp(PQcmdStatus(result), "COMMIT") != 0)
        c = POSTGRES_ROLLED_BACK;
    PQclear(result);
    if (!result || PQstatus(s->link) == CONNECTION_BAD)
        lose(s);
    *code = (int16_t)c;
    return c == POSTGRES_OK ? OUTCOME_OK : outcome_of_code(postgres_outcomes, (int)c);
}

/* ---- items */

static enum store_answer session_read(void *self, uint32_t key, bool for_update,
                                      struct store_item *out)
{
    return ask_key(self, for_update ? LOCK : READ, key, 0, 0, out);
}

static enum store_answer session_add(void *self, uint32_t key, int64_t amount,
                                     struct store_item *out)
{
    return ask_key(self, ADD, key, amount, 0, out);
}

static enum store_answer session_put(void *self, uint32_t key, int64_t value,
                                     struct store_item *out)
{
    return ask_key(self, PUT, key, value, 0, out);
}

static enum store_answer session_put_if(void *self, uint32_t key, int64_t value, uint64_t version,
                                        struct store_item *out)
{
    return ask_key(self, version == 0 ? INSERT : PUT_IF, key, value, (int64_t)version, out);
}

static enum store_answer session_remove(void *self, uint32_t key, struct store_item *out)
{
    return ask_key(self, REMOVE, key, 0, 0, out);
}

/* ---- journal, tokens, fences */

static int session_append(void *self, const struct journal_row *row, struct err *err)
{
    struct session *s = self;
    struct values v = {0};
    enum postgres_code code;
    PGresult *result;
    bool appended;

    add_message(&v, &row->message);
    add_number(&v, row->key);
    add_number(&v, (int64_t)row->key_seq);
    add_number(&v, row->version);
    add_number(&v, row->amount);
    add_number(&v, row->by);
    result = run(s, row->version == 0 ? APPEND : APPEND_AS, &v, &code);
    appended = result && PQntuples(result) == 1;
    if (appended)
        snprintf(s->xact, sizeof(s->xact), "%s", PQgetvalue(result, 0, 0));
    s->backend = appended ? PQbackendPID(s->link) : s->backend;
    PQclear(result);
    return appended ? 0 : err_set(err, "postgres: append: refused (code %d)", (int)code);
}

static enum store_answer ask_token(struct session *s, enum statement which, const char *token)
{
    struct values v = {.token = token, .n = 1};

    return ask(s, which, &v, NULL);
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

static enum store_answer session_take(void *self, uint32_t key, uint64_t token,
                                      const struct msg_id *by)
{
    struct values v = {0};

    add_number(&v, key);
    add_number(&v, (int64_t)token);
    add_message(&v, by);
    return ask(self, TAKE, &v, NULL);
}

static enum store_answer session_fence(void *self, uint32_t key, uint64_t token,
                                       const struct msg_id *by)
{
    enum store_answer answer = ask_key(self, FENCE, key, (int64_t)token, 0, NULL);

    if (answer == STORE_NONE)
        return STORE_EXISTS;
    return answer == STORE_OK ? session_take(self, key, token, by) : answer;
}

static enum store_answer session_outbox_put(void *self, uint32_t key, uint64_t version)
{
    return ask_key(self, OUTBOX_PUT, key, (int64_t)version, 0, NULL);
}

static enum store_answer session_outbox_next(void *self, struct store_item *out)
{
    enum store_answer answer = ask(self, OUTBOX_NEXT, &(struct values){0}, out);

    out->key = (uint32_t)out->value;
    return answer;
}

static enum store_answer session_outbox_done(void *self, uint32_t key, uint64_t version)
{
    return ask_key(self, OUTBOX_DONE, key, (int64_t)version, 0, NULL);
}

/* Ends what the last transaction that journaled may still be in: a COMMIT that never arrived leaves
 * it idle for as long as its connection seems to live. False: nobody can say. */
static bool end_transaction(struct session *s)
{
    struct deadline deadline = patience(s);
    char end[200], status[80];

    if (!s->xact[0])
        return true;
    snprintf(end, sizeof(end),
             "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %d AND"
             " backend_xid::text = '%s'",
             s->backend, s->xact);
    snprintf(status, sizeof(status), "SELECT pg_xact_status('%s'::xid8)", s->xact);
    do {
        bool there = reach(s, NULL) == 0;
        PGresult *ended = there ? postgres_ask(s->link, deadline, NULL, end) : NULL;
        PGresult *now = ended ? postgres_ask(s->link, deadline, NULL, status) : NULL;
        bool over = now && PQntuples(now) == 1 && strcmp(PQgetvalue(now, 0, 0), "in progress") != 0;

        if (!now)
            lose(s);
        PQclear(ended);
        PQclear(now);
        if (over)
            return true;
    } while (deadline_sleep(&deadline, 20 * MS_NS) == 0);
    return false;
}

static enum store_answer session_journaled(void *self, const struct msg_id *message)
{
    struct values v = {0};

    if (!end_transaction(self))
        return STORE_ERROR;
    add_message(&v, message);
    return ask(self, JOURNALED, &v, NULL);
}

/* ---- audit */

/* D3: no session of ours but this one, no prepared transaction. */
static int wait_quiet(struct session *s, struct err *err)
{
    static const char others[] =
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND"
        " application_name = 'assay' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL)"
        " + (SELECT count(*) FROM pg_prepared_xacts)";
    struct deadline deadline = deadline_in(QUIET_LIMIT_NS, NULL);

    for (;;) {
        PGresult *result = postgres_ask(s->link, deadline, err, others);
        bool quiet = result && strcmp(PQgetvalue(result, 0, 0), "0") == 0;

        PQclear(result);
        if (quiet)
            return 0;
        if (!result)
            return -1;
        if (deadline_sleep(&deadline, 50 * MS_NS) < 0)
            return err_set(err, "postgres: a transaction of ours is still open or prepared");
    }
}

/* Every row of one statement, fetched as it comes. */
static int session_query(void *self, const char *sql, int columns,
                         int (*row)(void *call, const int64_t *values), void *call, struct err *err)
{
    struct session *s = self;
    int64_t values[LEDGER_COLUMNS_MAX];
    PGresult *one;
    int status = 0;

    assert(columns <= LEDGER_COLUMNS_MAX);
    if (reach(s, err) < 0 || wait_quiet(s, err) < 0)
        return -1;
    if (!PQsendQuery(s->link, sql) || !PQsetSingleRowMode(s->link))
        return err_set(err, "postgres: audit: %s", PQerrorMessage(s->link));
    while ((one = PQgetResult(s->link))) {
        bool is_row = PQresultStatus(one) == PGRES_SINGLE_TUPLE;

        for (int i = 0; is_row && i < columns; i++)
            values[i] = strtoll(PQgetvalue(one, 0, i), NULL, 10);
        if (status == 0 && is_row && row(call, values) != 0)
            status = err_set(err, "postgres: the audit was stopped by its reader");
        else if (status == 0 && PQresultStatus(one) == PGRES_FATAL_ERROR)
            status = err_set(err, "postgres: audit: %s", PQresultErrorMessage(one));
        PQclear(one);
    }
    return status;
}

const struct store_ops postgres_store = {
    .name = "postgres",
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
    .feed_size = sizeof(struct postgres_feed),
    .feed_open = postgres_feed_open,
    .feed_next = postgres_feed_next,
    .feed_position = postgres_feed_position,
    .feed_close = postgres_feed_close,
};
