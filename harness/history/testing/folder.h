/* Shared by the tests of history/: folders that go away, events by draw, histories read at once. */
#ifndef ASSAY_HISTORY_TESTING_FOLDER_H
#define ASSAY_HISTORY_TESTING_FOLDER_H

#include "base/draw.h"
#include "history/history.h"

/* A fresh folder under $TMPDIR; a static buffer per call of up to eight. */
const char *folder_make(void);
void folder_remove(const char *path);

/* The index'th event of a stream: any type, members of all magnitudes, normalised, `by` and at_ns
 * set. */
struct event event_draw(const struct draw *draw, uint64_t index, uint16_t by, int64_t at_ns);

/* Reads all; *events is the caller's. Fails the test when the history cannot be opened. */
size_t read_all(const char *folder, enum check_order order, uint64_t wants, struct event **events,
                struct history_info *info);

#endif
