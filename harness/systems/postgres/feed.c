/*
 * The change stream of the items: a logical replication slot with the server's own test_decoding,
 * asked by SQL. Changes are peeked, handed out and only then confirmed, so that a reader that dies
 * sees them again: at least once, in commit order. The slot keeps the position, the one given to
 * open is not needed.
 * Source: postgresql.org/docs/15/logicaldecoding-example.html, test-decoding.html.
 */
#include "systems/postgres/postgres.h"

#include "plan/plan.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_LIMIT_NS (3 * SECOND_NS)
#define ASK_LIMIT_NS (5 * SECOND_NS)
#define ASK_EVERY_NS (5 * MS_NS)

const char postgres_slot[] = "assay_feed";

static PGresult *ask(struct postgres_feed *f, struct err *err, const char *sql)
{
    return postgres_ask(f->link, deadline_in(ASK_LIMIT_NS, NULL), err, sql);
}

/* Made by the first reader; later ones go on where it stands. Two that race: one makes it. */
static int ensure_slot(struct postgres_feed *f, struct err *err)
{
    PGresult *there = ask(f, err,
                          "SELECT count(*) FROM pg_replication_slots WHERE slot_name ="
                          " 'assay_feed'");
    bool made = there && strcmp(PQgetvalue(there, 0, 0), "0") != 0;

    PQclear(there);
    if (made)
        return 0;
    there = ask(f, err, "SELECT pg_create_logical_replication_slot('assay_feed', 'test_decoding')");
    PQclear(there);
    return there ? 0 : -1;
}

static uint64_t position_of(const char *lsn)
{
    unsigned high = 0, low = 0;

    return sscanf(lsn, "%X/%X", &high, &low) == 2 ? (uint64_t)high << 32 | low : 0;
}

static int advance(struct postgres_feed *f, uint64_t position, struct err *err)
{
    PGresult *result;
    char sql[120];

    snprintf(sql, sizeof(sql), "SELECT pg_replication_slot_advance('assay_feed', '%X/%X')",
             (unsigned)(position >> 32), (unsigned)position);
    result = ask(f, err, sql);
    PQclear(result);
    return result ? 0 : -1;
}

int postgres_feed_open(void *feed, const struct plan_case *plan, const struct plan_cluster *cluster,
                       uint64_t position, struct err *err)
{
    struct postgres_feed *f = feed;

    *f = (struct postgres_feed){0};
    f->link = postgres_connect(plan->nodes[cluster->first_node].address,
                               deadline_in(CONNECT_LIMIT_NS, NULL), err);
    if (!f->link)
        return -1;
    (void)position;
    if (ensure_slot(f, err) == 0)
        return 0;
    postgres_feed_close(f);
    return -1;
}

static int64_t field(const char *text, const char *name, bool *found)
{
    const char *at = strstr(text, name);

    at = at ? strchr(at, ':') : NULL;
    *found = *found && at;
    return at ? strtoll(at + 1, NULL, 10) : 0;
}

/* table public.items: UPDATE: [old-key: … new-tuple:] k[bigint]:5 value[bigint]:7
 * version[bigint]:3 removed[integer]:0 */
static bool read_change(const char *text, struct store_item *out)
{
    bool found = strncmp(text, "table public.items: ", 20) == 0;
    const char *tuple = strstr(text, "new-tuple:");

    if (!found)
        return false;
    tuple = tuple ? tuple : text;
    *out = (struct store_item){.key = (uint32_t)field(tuple, " k[", &found),
                               .value = field(tuple, " value[", &found),
                               .version = (uint64_t)field(tuple, " version[", &found),
                               .removed = field(tuple, " removed[", &found) != 0};
    return found;
}

/* The batch before was handed out whole: confirm it, peek at the next. */
static int next_batch(struct postgres_feed *f, struct err *err)
{
    int rows = f->batch ? PQntuples(f->batch) : 0;

    if (rows > 0 && advance(f, position_of(PQgetvalue(f->batch, rows - 1, 0)), err) < 0)
        return -1;
    PQclear(f->batch);
    f->next = 0;
    f->batch = ask(f, err,
                   "SELECT lsn, data FROM pg_logical_slot_peek_changes('assay_feed', NULL, 256,"
                   " 'include-xids', '0', 'skip-empty-xacts', '1')");
    return f->batch ? 0 : -1;
}

int postgres_feed_next(void *feed, int64_t until_ns, struct store_change *out, struct err *err)
{
    struct postgres_feed *f = feed;

    for (;;) {
        struct deadline pause = {.at_ns = until_ns};

        while (f->batch && f->next < PQntuples(f->batch)) {
            int row = f->next++;

            out->position = position_of(PQgetvalue(f->batch, row, 0));
            if (read_change(PQgetvalue(f->batch, row, 1), &out->item))
                return 1;
        }
        if (next_batch(f, err) < 0)
            return -1;
        if (PQntuples(f->batch) == 0 && deadline_sleep(&pause, ASK_EVERY_NS) < 0)
            return 0;
    }
}

void postgres_feed_close(void *feed)
{
    struct postgres_feed *f = feed;

    PQclear(f->batch);
    PQfinish(f->link);
    *f = (struct postgres_feed){0};
}

uint64_t postgres_feed_position(const void *feed)
{
    (void)feed;
    return 0; /* the slot keeps it */
}
