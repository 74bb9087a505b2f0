/* See raw_log.h. */
#include "client/testing/raw_log.h"

#include "history/history.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH 4096

struct raw_log raw_log_read(const char *case_folder)
{
    struct raw_log log = {0};
    struct err err = {0};
    struct history_reader *reader = history_open(case_folder, PER_WRITER, UINT64_MAX, &err);
    long n;

    assert(reader);
    do {
        log.events = realloc(log.events, (log.n + BATCH) * sizeof(*log.events));
        assert(log.events);
        n = history_next(reader, log.events + log.n, BATCH, &err);
        assert(n >= 0);
        log.n += (size_t)n;
    } while (n > 0);
    history_close(reader);
    return log;
}

void raw_log_release(struct raw_log *log)
{
    free(log->events);
    *log = (struct raw_log){0};
}

size_t raw_log_count(const struct raw_log *log, enum event_type type)
{
    size_t n = 0;

    for (size_t i = 0; i < log->n; i++)
        n += log->events[i].type == type;
    return n;
}

void raw_log_text(const char *case_folder, enum event_type type, char *out, size_t size)
{
    struct err err = {0};
    struct history_reader *reader =
        history_open(case_folder, PER_WRITER, UINT64_C(1) << type, &err);
    struct event first;
    long n;

    assert(reader);
    n = history_next(reader, &first, 1, &err);
    assert(n == 1);
    snprintf(out, size, "%s", history_text_of(reader, first.by, first.ref));
    history_close(reader);
}
