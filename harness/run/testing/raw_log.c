/* See raw_log.h. */
#include "run/testing/raw_log.h"

#include "history/format.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct raw_log raw_log_read(const char *case_folder, const char *name)
{
    struct raw_log log = {0};
    uint64_t committed = 0;
    char path[1024];
    int fd;

    snprintf(path, sizeof(path), "%s/raw/%s.log", case_folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert(fd >= 0);
    assert(pread(fd, &committed, sizeof(committed), offsetof(struct raw_header, committed)) ==
           sizeof(committed));
    log.n = committed;
    log.events = calloc(log.n + 1, sizeof(*log.events));
    assert(log.events);
    assert(pread(fd, log.events, log.n * sizeof(*log.events), RAW_HEADER_BYTES) ==
           (ssize_t)(log.n * sizeof(*log.events)));
    close(fd);
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
