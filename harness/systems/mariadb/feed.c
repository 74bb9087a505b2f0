/*
 * The change stream of the items: row events of the binary log, as a replica would read them. A
 * position is where a transaction begins, so that a reader that opens again at the last one it was
 * given sees that transaction again: at least once, in commit order.
 * Source: mariadb.com/kb/en/mariadb-replication-protocol; the server's heartbeats (every 20 ms) are
 * what lets a quiet reader look at its own clock.
 */
#include "systems/mariadb/mariadb.h"

#include "plan/plan.h"

#include <inttypes.h>
#include <mariadb_rpl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS (5 * SECOND_NS)
#define FILE_BITS 32

enum item_column { ITEM_KEY, ITEM_VALUE, ITEM_VERSION, ITEM_REMOVED, ITEM_NOTE, ITEM_COLUMNS };

/* ---- where to begin */

/* "binlog.000003", 512 → 3, 512. */
static uint32_t file_number(const char *name, size_t n)
{
    char digits[16] = "";
    const char *dot = memchr(name, '.', n);
    size_t left = dot ? n - (size_t)(dot + 1 - name) : 0;

    snprintf(digits, sizeof(digits), "%.*s", (int)left, dot ? dot + 1 : "");
    return (uint32_t)strtoul(digits, NULL, 10);
}

static int now(struct mariadb_feed *f, struct err *err)
{
    MYSQL_RES *rows = mariadb_ask(f->link, err, "SHOW MASTER STATUS");
    MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;

    if (row) {
        f->file = file_number(row[0], strlen(row[0]));
        f->offset = (uint32_t)strtoul(row[1], NULL, 10);
    }
    mysql_free_result(rows);
    return row ? 0 : -1;
}

static int begin(struct mariadb_feed *f, struct err *err)
{
    static const char *const settings[] = {
        "SET @mariadb_slave_capability = 4",
        "SET @master_binlog_checksum = @@global.binlog_checksum",
        "SET @master_heartbeat_period = 20000000",
    };
    MARIADB_RPL *rpl;
    char file[32];

    for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
        if (mariadb_do(f->link, err, settings[i]) < 0)
            return -1;
    rpl = f->rpl = mariadb_rpl_init(f->link);
    if (!rpl)
        return err_set(err, "mariadb feed: %s", mysql_error(f->link));
    snprintf(file, sizeof(file), "binlog.%06" PRIu32, f->file);
    mariadb_rpl_optionsv(rpl, MARIADB_RPL_FILENAME, file, strlen(file));
    mariadb_rpl_optionsv(rpl, MARIADB_RPL_START, (unsigned long)f->offset);
    /* a replica of this number that is there already would be thrown out */
    mariadb_rpl_optionsv(rpl, MARIADB_RPL_SERVER_ID, 1000u + (unsigned)getpid() % 100000u);
    mariadb_rpl_optionsv(rpl, MARIADB_RPL_EXTRACT_VALUES, 1);
    if (mariadb_rpl_open(rpl) == 0)
        return 0;
    return err_set(err, "mariadb feed: %s", mysql_error(f->link));
}

int mariadb_feed_open(void *feed, const struct plan_case *plan, const struct plan_cluster *cluster,
                      uint64_t position, struct err *err)
{
    struct mariadb_feed *f = feed;
    int status = 0;

    *f = (struct mariadb_feed){.file = (uint32_t)(position >> FILE_BITS),
                               .offset = (uint32_t)position};
    f->link = mariadb_link(plan->nodes[cluster->first_node].address, PATIENCE_NS, err);
    if (!f->link)
        return -1;
    if (position == 0)
        status = now(f, err);
    if (status == 0 && begin(f, err) == 0)
        return 0;
    mariadb_feed_close(f);
    return -1;
}

/* ---- what comes */

static void free_event(void **event)
{
    if (*event)
        mariadb_free_rpl_event(*event);
    *event = NULL;
}

static bool is_items(const MARIADB_RPL_EVENT *map)
{
    const MARIADB_STRING *name = &map->event.table_map.table;

    return name->length == strlen("items") && memcmp(name->str, "items", name->length) == 0 &&
           map->event.table_map.column_count == ITEM_COLUMNS;
}

static struct store_item item_of(const MARIADB_RPL_ROW *row)
{
    return (struct store_item){.key = (uint32_t)row->columns[ITEM_KEY].val.ll,
                               .value = row->columns[ITEM_VALUE].val.ll,
                               .version = (uint64_t)row->columns[ITEM_VERSION].val.ll,
                               .removed = row->columns[ITEM_REMOVED].val.ll != 0};
}

uint64_t mariadb_feed_position(const void *feed)
{
    const struct mariadb_feed *f = feed;

    return (uint64_t)f->file << FILE_BITS | f->offset;
}

/* An update's rows come in pairs: before, after. */
static bool next_row(struct mariadb_feed *f, struct store_change *out)
{
    MARIADB_RPL_EVENT *event = f->rows_event;
    MARIADB_RPL_ROW *row = f->row;

    if (row && event->event.rows.type == UPDATE_ROWS)
        row = row->next;
    if (!row) {
        free_event(&f->rows_event);
        f->row = NULL;
        return false;
    }
    out->item = item_of(row);
    out->position = mariadb_feed_position(f);
    f->row = row->next;
    return true;
}

static void take_event(struct mariadb_feed *f, MARIADB_RPL_EVENT *event)
{
    void *whole = event;

    switch (event->event_type) {
    case ROTATE_EVENT:
        f->file =
            file_number(event->event.rotate.filename.str, event->event.rotate.filename.length);
        f->offset = (uint32_t)event->event.rotate.position;
        break;
    case XID_EVENT:
    case QUERY_EVENT: /* a statement that commits by itself: DDL */
        f->offset = event->next_event_pos ? event->next_event_pos : f->offset;
        break;
    case TABLE_MAP_EVENT:
        free_event(&f->table);
        f->table = event;
        f->ours = is_items(event);
        return; /* kept: row events refer to it */
    default:
        if (f->ours && f->table && IS_ROW_EVENT(event) && event->event.rows.type != DELETE_ROWS) {
            f->rows_event = event;
            f->row = mariadb_rpl_extract_rows(f->rpl, f->table, event);
            f->broken = !f->row;
            return;
        }
        break;
    }
    free_event(&whole);
}

int mariadb_feed_next(void *feed, int64_t until_ns, struct store_change *out, struct err *err)
{
    struct mariadb_feed *f = feed;

    for (;;) {
        MARIADB_RPL_EVENT *event;

        while (f->rows_event)
            if (next_row(f, out))
                return 1;
        event = mariadb_rpl_fetch(f->rpl, NULL);
        if (!event)
            return err_set(err, "mariadb feed: %s", mysql_error(f->link));
        take_event(f, event);
        if (f->broken)
            return err_set(err, "mariadb feed: rows: %s", mariadb_rpl_error(f->rpl));
        if (!f->rows_event && clock_now_ns() >= until_ns)
            return 0;
    }
}

void mariadb_feed_close(void *feed)
{
    struct mariadb_feed *f = feed;

    free_event(&f->rows_event);
    free_event(&f->table);
    if (f->rpl)
        mariadb_rpl_close(f->rpl);
    if (f->link)
        mysql_close(f->link);
    *f = (struct mariadb_feed){0};
}
