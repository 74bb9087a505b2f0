/*
 * The client libraries of a run, as its clients told them when they began: a name, and every
 * version that was there.
 *
 *     client_libraries_told(&libraries, "librdkafka 2.8.0");      // any number of times
 *     client_libraries_lines(&libraries, text, sizeof(text));     // "librdkafka: 2.0.2 and 2.8.0\n"
 */
#ifndef ASSAY_REPORT_CLIENT_LIBRARIES_H
#define ASSAY_REPORT_CLIENT_LIBRARIES_H

#include <stddef.h>

#define CLIENT_LIBRARIES_MAX 8
#define LIBRARY_VERSIONS_MAX 8

struct client_libraries {
    struct client_library {
        char name[60];
        char versions[LIBRARY_VERSIONS_MAX][40]; /* sorted: who began first is chance */
        size_t n;
    } items[CLIENT_LIBRARIES_MAX];
    size_t n;
};

/* "NAME VERSION"; anything else, and what there is no room for, is passed over. */
void client_libraries_told(struct client_libraries *libraries, const char *text);
/* Puts a line each behind the text that is in `out`; what does not fit is cut. */
void client_libraries_lines(const struct client_libraries *libraries, char *out, size_t size);

#endif
