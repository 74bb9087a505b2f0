/*
 * What the faults that end or stop processes share: their target, and seeing the end. Kill by what
 * is held (keeper, pidfd); dead means the pidfd says so (JUDGING: Three deaths).
 */
#ifndef ASSAY_FAULTS_DEATH_H
#define ASSAY_FAULTS_DEATH_H

#include "api/fault.h"

struct death_args {
    struct expr *target;
};
struct death_state {
    struct fault_targets targets;
    struct cut *cut; /* crash: held until the dead can send nothing more */
};

extern const struct param death_params[];

int death_draw(struct arena *arena, const char *target, void *args);
/* SIGKILL to all of them at once, then each is seen dead. */
int death_kill(struct fault_ctx *ctx, struct death_state *state, struct witness *w,
               struct deadline deadline, struct err *err);
/* SIGTERM to one after the other, each seen dead within the time its system grants it. */
int death_stop(struct fault_ctx *ctx, struct death_state *state, struct witness *w,
               struct deadline deadline, struct err *err);
/* Still dead? */
int death_probe(struct fault_ctx *ctx, const void *state, struct witness *w);
/* Starts every dead server of it again; clients are the suite's or their restart policy's business.
 */
int death_heal(struct fault_ctx *ctx, void *state, struct witness *w, struct deadline deadline,
               struct err *err);
/* Until this one is seen dead. */
int death_wait(const struct fault_target *target, struct deadline deadline, struct err *err);

#endif
