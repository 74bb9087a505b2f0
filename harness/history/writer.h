/* Inside of history/: a writer with a bound of its own, so that tests reach it. */
#ifndef ASSAY_HISTORY_WRITER_H
#define ASSAY_HISTORY_WRITER_H

#include "base/err.h"

#include <stdint.h>

struct history_writer;
/* bytes_max: of the raw log, header included. */
struct history_writer *history_writer_open_bounded(const char *case_folder, const char *name,
                                                   uint16_t by, int64_t bytes_max, struct err *err);

/* raw/texts, shared by all writers of a case. */
struct texts;
struct texts *texts_open(const char *case_folder, struct err *err);
/* The number of `text`; 0 with errno when it cannot be written. */
uint32_t texts_add(struct texts *texts, const char *text);
void texts_close(struct texts *texts);

/* Room of a raw log: mapped segments, made ahead by a thread of their own. */
struct segments;
struct segment {
    char *bytes;
    int64_t offset, size; /* in the file; size 0: none */
};
/* Room begins at `offset` of the file and never goes beyond bytes_max. */
struct segments *segments_open(int fd, int64_t offset, int64_t bytes_max, struct err *err);
/* Starts work on one of `size` bytes, unless one is ready or under way. Does not block. */
void segments_ask(struct segments *segments, int64_t size);
/* The one asked for, the caller's to unmap; waits for it. -1 with errno: there is none. */
int segments_take(struct segments *segments, int64_t size, struct segment *taken);
void segments_close(struct segments *segments); /* NULL allowed */
void segment_unmap(struct segment *segment);

#endif
