/* Inside of history/: what the numbers of an event mean by its type, for text and JSON alike. */
#ifndef ASSAY_HISTORY_WORDS_H
#define ASSAY_HISTORY_WORDS_H

#include "api/event.h"
#include "base/buf.h"

#include <stdbool.h>

struct history_reader;

enum ref_kind { REF_IS_TEXT, REF_IS_BURST, REF_IS_DEST, REF_IS_STEP, REF_IS_CLIENT, REF_IS_NODE, REF_IS_CLUSTER };
enum ref_kind ref_kind_of(unsigned type);
/* The word for `code`, NULL where it is a plain number (a system's error code, a pid, a line). */
const char *code_word(const struct event *e);
/* The i-th flag of this event as a word; NULL behind the last. */
const char *flag_word(const struct event *e, unsigned i);

/* Names as people know them; a number where the history has no name for it. Appended to `out`. */
void name_of_node(struct history_reader *r, uint16_t node, struct buf *out);
void name_of_unit(struct history_reader *r, uint32_t unit, struct buf *out);
void name_of_client(struct history_reader *r, uint16_t client, struct buf *out);
void name_of_by(struct history_reader *r, uint16_t by, struct buf *out);
void name_of_ref(struct history_reader *r, const struct event *e, struct buf *out);
/* "app/17", or "app.1.0.2/17" (instance, incarnation, worker) where one of them is not 0: what
 * findings print and `explain` takes. */
void name_of_message(struct history_reader *r, const struct event *e, struct buf *out);
/* This event names one message: a cumulative settle, or one without a message, does not. */
bool names_message(const struct event *e);
/* … but what it names so is an operation of its worker: a read, a write, an attempt at a lock. */
bool names_operation(const struct event *e);

#endif
