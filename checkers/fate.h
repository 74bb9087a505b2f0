/*
 * What became of a message that is not where it should be: expired by which rule, on the disk of a
 * node that is dead at the end, or simply not there. For the stage of a finding (history/stage.h).
 *
 *     fate_event(&f, e);      // first pass: FATE_EVENTS; others are skipped
 *     enum expiry why = fate_of(&f, completion, dest, unit, key, stage, sizeof(stage));
 */
#ifndef ASSAY_CHECKERS_FATE_H
#define ASSAY_CHECKERS_FATE_H

#include "checkers/expiry.h"
#include "history/stage.h"

struct fate {
    struct expiries expiry;
    bool *node_down; /* per node, at the end */
};

#define FATE_EVENTS (WANTS(EXPIRED) | WANTS(AUDIT_LOG) | WANTS(NODE_STATE))

void fate_open(struct fate *f, const struct plan_case *plan);
void fate_event(struct fate *f, const struct event *e);
/* Of what a SEND_COMPLETE (ok or believed) says was sent to this destination, asked once for each;
 * key -1 where it is not known. The cause; EXPIRY_NONE: it is lost. */
enum expiry fate_of(struct fate *f, const struct event *completion, uint32_t dest, uint32_t unit,
                    int64_t key, char *stage, size_t size);
size_t fate_bound(const struct plan_case *plan);
void fate_release(struct fate *f);

#endif
