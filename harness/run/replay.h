/*
 * `assay replay`: a recorded run once more, with the timelines that really happened.
 *
 *     struct plan *plan = replay_plan("runs/x", globs, n_globs, err);   // then suite_run, plan_free
 */
#ifndef ASSAY_RUN_REPLAY_H
#define ASSAY_RUN_REPLAY_H

#include "base/err.h"
#include "plan/plan.h"

/* The cases of a run folder, or of one case's folder, with their seeds and timelines; those whose
 * title or name matches a glob, all without one. NULL: err says why. */
struct plan *replay_plan(const char *run_folder, const char *const *globs, size_t n_globs,
                         struct err *err);

/* RUN/suite/: copies of the suites a run was made from, or of those a replayed run has, with the
 * values of passwords and keys blotted out. */
int copy_suites(const struct plan_options *options, const char *run_folder, struct err *err);
int copy_suites_of_run(const char *from, const char *run_folder, struct err *err);

#endif
