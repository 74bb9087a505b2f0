/*
 * Steps of a script that script.c plays and does not hold itself. Each: 0 done, -1 with a sentence
 * in err (the script ends there). One thread, the script's.
 */
#ifndef ASSAY_RUN_SCRIPT_STEPS_H
#define ASSAY_RUN_SCRIPT_STEPS_H

#include "base/err.h"
#include "plan/script.h"

struct run;

/* script_look.c */
int step_quiesce(struct run *run, const struct step *step, struct err *err);
int step_bind(struct run *run, const struct step *step, struct err *err);
int step_note(struct run *run, const struct step *step, struct err *err);
int step_wait(struct run *run, const struct step *step, struct err *err);
int step_quiet(struct run *run, const struct step *step, struct err *err);
/* script_arms.c */
int step_arm(struct run *run, const struct step *step, struct err *err);
int step_hold(struct run *run, const struct step *step, struct err *err);
int step_release(struct run *run, const struct step *step, struct err *err);
/* A fault with `at: {client, step}`: injected when that client stands there, beside the script. */
int arm_fault(struct run *run, const struct step *step, struct err *err);

#endif
