/* Inside of history/: the events of one writer, block after block, then what its raw log still has.
 */
#ifndef ASSAY_HISTORY_CURSOR_H
#define ASSAY_HISTORY_CURSOR_H

#include "history/catalogue.h"
#include "history/codec.h"

struct cursor {
    struct catalogue *catalogue;
    const struct source *source;
    uint64_t wants;
    size_t block; /* the next one to open */
    uint64_t raw; /* the next record of the raw log */
    bool unpacking, ended;
    int fd;                    /* of the raw log, -1 until it is reached */
    struct raw_header *header; /* a copy, with fd */
    struct buf body;
    struct unpacker *unpacker;
};

void cursor_init(struct cursor *cursor, struct catalogue *catalogue, const struct source *source,
                 uint64_t wants);
/* Up to max wanted events; 0 at the end or where damage ends it (told to the catalogue); -1: I/O
 * error. */
long cursor_next(struct cursor *cursor, struct event *out, size_t max, struct err *err);
/* No event still to come of this writer has an at_ns below this, as far as is known without
 * reading. */
int64_t cursor_lower_bound(const struct cursor *cursor);
void cursor_release(struct cursor *cursor);

#endif
