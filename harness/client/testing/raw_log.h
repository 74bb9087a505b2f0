/* All events of a case folder, read while its writers are still at it or after their death. */
#ifndef ASSAY_CLIENT_TESTING_RAW_LOG_H
#define ASSAY_CLIENT_TESTING_RAW_LOG_H

#include "api/event.h"

#include <stddef.h>

struct raw_log {
    struct event *events; /* writer after writer, a copy */
    size_t n;
};
/* Fails the test when there is no history. */
struct raw_log raw_log_read(const char *case_folder);
void raw_log_release(struct raw_log *log);
size_t raw_log_count(const struct raw_log *log, enum event_type type);
/* The text of the first event of this type, cut to fit; "" when it has none. */
void raw_log_text(const char *case_folder, enum event_type type, char *out, size_t size);

#endif
