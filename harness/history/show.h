/*
 * What `assay show` and `assay explain` print of one case's folder, brokers and suite not needed.
 *
 *     show_text(folder, stdout, &err);                  one event a line, for people
 *     show_json(folder, stdout, &err);                  JSON lines, for other judges
 *     show_message(folder, "app/17", stdout, &err);     one message's whole life
 *
 * All return 0, or -1 when the history cannot be read or the output cannot be written; a history
 * that is damaged or cut short is shown as far as it goes, and says so.
 */
#ifndef ASSAY_HISTORY_SHOW_H
#define ASSAY_HISTORY_SHOW_H

#include "api/message.h"
#include "base/err.h"

#include <stdio.h>

struct history_reader;

int show_text(const char *case_folder, FILE *out, struct err *err);
/*
 * First {"history": {format, assay, complete, events, bytes, clock, clock_error_ns, utc_anchor_ns,
 * monotonic_anchor_ns}}, then {"document": NAME, "text": …} for each (plan, versions …),
 * then every event, by time; last {"damage": …} if there is any.
 */
int show_json(const char *case_folder, FILE *out, struct err *err);
/*
 * `message`: NAME/SEQ or NAME.INSTANCE.INCARNATION.WORKER/SEQ as findings print it, or
 * CLIENT/INCARNATION/WORKER/SEQ with the client's name or number. A message the history does not
 * know is an input error.
 */
int show_message(const char *case_folder, const char *message, FILE *out, struct err *err);
/* The same words to a number; -1 with an input error. */
int message_parse(struct history_reader *r, const char *text, struct msg_id *id, struct err *err);

#endif
