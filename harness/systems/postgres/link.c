/*
 * One connection to PostgreSQL on which nothing waits longer than its deadline: libpq's
 * asynchronous calls and poll(2). Source: postgresql.org/docs/15/libpq-connect.html
 * (PQconnectPoll), libpq-async.html, errcodes-appendix.html.
 */
#include "systems/postgres/postgres.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

static int wait_for(PGconn *link, short events, struct deadline deadline)
{
    struct pollfd p = {.fd = PQsocket(link), .events = events};

    return poll(&p, 1, deadline_left_ms(&deadline)) > 0 ? 0 : -1;
}

PGconn *postgres_connect(const char *address, struct deadline deadline, struct err *err)
{
    const char *const keys[] = {"host",    "port", "user", "dbname", "application_name",
                                "options", NULL};
    char port[8];
    const char *const values[] = {
        address, port, "assay", "postgres", "assay", "-c client_min_messages=warning", NULL};
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    PGconn *link;

    snprintf(port, sizeof(port), "%d", POSTGRES_PORT);
    link = PQconnectStartParams(keys, values, 0);
    while (link && state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
        if (wait_for(link, state == PGRES_POLLING_WRITING ? POLLOUT : POLLIN, deadline) < 0)
            break;
        state = PQconnectPoll(link);
    }
    if (state == PGRES_POLLING_OK)
        return link;
    err_set(err, "postgres at %s: %s", address,
            state == PGRES_POLLING_FAILED ? PQerrorMessage(link) : "no answer in time");
    PQfinish(link);
    return NULL;
}

PGresult *postgres_result(PGconn *link, struct deadline deadline, bool *timed_out)
{
    PGresult *last = NULL, *next;

    *timed_out = false;
    for (;;) {
        int left;

        while ((left = PQflush(link)) == 1 || PQisBusy(link)) {
            if (left < 0)
                break;
            if (wait_for(link, (short)(left == 1 ? POLLIN | POLLOUT : POLLIN), deadline) < 0) {
                *timed_out = true;
                PQclear(last);
                return NULL;
            }
            if (!PQconsumeInput(link))
                break;
        }
        next = PQgetResult(link);
        if (!next)
            break;
        PQclear(last);
        last = next;
        if (PQstatus(link) == CONNECTION_BAD)
            break;
    }
    if (PQstatus(link) != CONNECTION_BAD)
        return last;
    /* what libpq itself makes of a lost connection is no answer of the server; a FATAL before the
     * end is, and has a state */
    if (last && PQresultErrorField(last, PG_DIAG_SQLSTATE))
        return last;
    PQclear(last);
    return NULL;
}

PGresult *postgres_ask(PGconn *link, struct deadline deadline, struct err *err, const char *sql)
{
    bool timed_out = false;
    PGresult *result = NULL;
    ExecStatusType status;

    if (PQsendQuery(link, sql))
        result = postgres_result(link, deadline, &timed_out);
    status = PQresultStatus(result);
    if (result && (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK))
        return result;
    err_set(err, "postgres: %.80s: %s", sql,
            timed_out ? "no answer in time"
            : result  ? PQresultErrorMessage(result)
                      : PQerrorMessage(link));
    PQclear(result);
    return NULL;
}

enum postgres_code postgres_code(const PGresult *result)
{
    static const struct {
        const char *state;
        enum postgres_code code;
    } states[] = {{"40001", POSTGRES_CONFLICT}, {"40P01", POSTGRES_CONFLICT},
                  {"23505", POSTGRES_UNIQUE},   {"57P01", POSTGRES_SHUTDOWN},
                  {"57P02", POSTGRES_SHUTDOWN}, {"57P03", POSTGRES_SHUTDOWN},
                  {"25006", POSTGRES_READ_ONLY}};
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

    if (!result)
        return POSTGRES_LOST;
    if (!state)
        return POSTGRES_OK;
    for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
        if (strcmp(states[i].state, state) == 0)
            return states[i].code;
    return POSTGRES_OTHER;
}
