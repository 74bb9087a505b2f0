/*
 * One connection to MariaDB. libmariadb's time limits are whole seconds per read and write; a call
 * that runs into one answers CR_SERVER_LOST and the connection is of no more use.
 * Source: mariadb.com/kb/en/mysql_optionsv.
 */
#include "systems/mariadb/mariadb.h"

#include <stdlib.h>

#define CONNECT_SECONDS_MAX 3u

MYSQL *mariadb_link(const char *address, int64_t patience_ns, struct err *err)
{
    unsigned seconds = (unsigned)((patience_ns + SECOND_NS - 1) / SECOND_NS);
    unsigned connect = seconds < CONNECT_SECONDS_MAX ? seconds : CONNECT_SECONDS_MAX;
    MYSQL *link = mysql_init(NULL);

    if (!link)
        abort();
    mysql_optionsv(link, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
    mysql_optionsv(link, MYSQL_OPT_READ_TIMEOUT, &seconds);
    mysql_optionsv(link, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
    /* matched rows, not changed ones: an update to the same value is a hit */
    if (mysql_real_connect(link, address, "assay", NULL, "assay", MARIADB_PORT, NULL,
                           CLIENT_FOUND_ROWS))
        return link;
    err_set(err, "mariadb at %s: %s", address, mysql_error(link));
    mysql_close(link);
    return NULL;
}

int mariadb_do(MYSQL *link, struct err *err, const char *sql)
{
    if (mysql_query(link, sql) == 0)
        return 0;
    return err_set(err, "mariadb: %.80s: %s", sql, mysql_error(link));
}

MYSQL_RES *mariadb_ask(MYSQL *link, struct err *err, const char *sql)
{
    MYSQL_RES *rows;

    if (mariadb_do(link, err, sql) < 0)
        return NULL;
    rows = mysql_store_result(link);
    if (!rows)
        err_set(err, "mariadb: %.80s: %s", sql, mysql_error(link));
    return rows;
}

int64_t mariadb_number(MYSQL *link, struct err *err, const char *sql)
{
    MYSQL_RES *rows = mariadb_ask(link, err, sql);
    MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;
    int64_t number = row && row[0] ? strtoll(row[0], NULL, 10) : -1;

    mysql_free_result(rows);
    return number;
}
