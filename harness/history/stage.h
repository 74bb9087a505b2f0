/*
 * How far a message came: one word for the whole of its life, the same in findings and in
 * `explain`.
 *
 *     stage_of(&(struct stage_facts){.invoked = true, .ok = true}, text, sizeof(text));
 *                                                      // "acknowledged but not in the log"
 */
#ifndef ASSAY_HISTORY_STAGE_H
#define ASSAY_HISTORY_STAGE_H

#include "api/event.h"

#include <stdbool.h>
#include <stddef.h>

struct stage_facts {
    bool invoked;
    bool ok, refused, believed; /* some attempt ended so */
    bool kept_back;             /* believed, though the library had refused it at once */
    bool in_log;                /* the final audit of log or queue finds it */
    bool delivered, applied;
    enum expiry expired; /* EXPIRY_NONE: the owner of the data says nothing */
    bool node_down;      /* who acknowledged it is dead at the end */
};

/* A completion the application took for sent, though its library had refused the message at once:
 * what went out and was not looked at has LEVEL_SENT. */
bool stage_kept_back(const struct event *completion);

/*
 * never sent · refused · unknown, not in the log · believed sent, not in the log ·
 * acknowledged but not in the log · on a dead node's disk · expired(CAUSE) ·
 * in the log but not delivered · delivered but not applied · applied
 */
void stage_of(const struct stage_facts *f, char *out, size_t size);

#endif
