/*
 * `assay run`: a plan in a fresh sandbox, case after case, each judged and reported as it ends.
 *
 *     struct suite_run_options options = {.out = "runs/x", .cache = cache, .format = REPORT_TEXT};
 *     status = suite_run(plan, &options, err);   // exit status of JUDGING; -1: nothing ran, see err
 */
#ifndef ASSAY_RUN_SUITE_RUN_H
#define ASSAY_RUN_SUITE_RUN_H

#include "base/err.h"
#include "plan/plan.h"
#include "report/report.h"

#include <stdbool.h>

struct suite_run_options {
    const char *out;   /* run folder; must not exist yet */
    const char *cache; /* outlives runs: class-data archives, formatted folders */
    enum report_format format;
    bool keep_up_fail; /* --keep-up fail: a shell beside the cluster of the first case not as
                          expected */
    bool quiet;        /* no progress lines */
    bool only_ask;     /* --applicable: asks the servers which cases apply, plays none */
};

int suite_run(const struct plan *plan, const struct suite_run_options *options, struct err *err);
/* `assay check RUN`: judged again from the histories; writes the reports anew. */
int suite_check(const char *run_folder, enum report_format format, struct err *err);

#endif
