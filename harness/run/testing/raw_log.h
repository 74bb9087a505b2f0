/* Reads one raw log as it lies on disk (history/format.h), while or after it is written. */
#ifndef ASSAY_RUN_TESTING_RAW_LOG_H
#define ASSAY_RUN_TESTING_RAW_LOG_H

#include "api/event.h"

#include <stddef.h>

struct raw_log {
    struct event *events; /* committed ones, a copy */
    size_t n;
};
/* Fails the test when there is no such log. */
struct raw_log raw_log_read(const char *case_folder, const char *name);
void raw_log_release(struct raw_log *log);
size_t raw_log_count(const struct raw_log *log, enum event_type type);

#endif
