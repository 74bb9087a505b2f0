/*
 * What really happened in a recorded case, as a script again: faults with their options, targets
 * resolved to nodes, times since the script's start; sends, waits and triggers in the order they
 * came. A function of the recorded history and the plan in it.
 *
 *     struct timeline t;
 *     if (timeline_read(case_folder, &t, err) == 0) {
 *         struct plan_case *again = timeline_case(&t, &arena, err);   // the same case, that script
 *         timeline_write(&t, case_folder, err);                       // CASE/timeline.yaml
 *     }
 *     timeline_release(&t);
 *
 * timeline.yaml is a suite of one case: `assay run` takes it, people shorten it. JUDGING's stamps
 * stand in it as comments.
 */
#ifndef ASSAY_REPORT_TIMELINE_H
#define ASSAY_REPORT_TIMELINE_H

#include "api/tree.h"
#include "base/arena.h"
#include "base/err.h"
#include "plan/plan.h"

struct happened { /* steps in their order */
    struct happened_step {
        const struct tree *step;  /* {verb: value}; of a round of `repeat` without its body */
        const char *comment;      /* lines to stand above it; "" none */
        struct happened *body;    /* of a round; NULL: no repeat */
    } *items;
    size_t n;
};

struct timeline {
    struct arena arena;
    const struct plan_case *recorded;
    struct happened script;
    bool stopped;       /* the script did not come to its end */
    int64_t began_ns;   /* of the script, on the history's clock; 0: it never began */
    int64_t began_utc_ns;
};

/* -1: no history, no plan in it, or one recorded before timelines were. Release it in any case. */
int timeline_read(const char *case_folder, struct timeline *out, struct err *err);
struct plan_case *timeline_case(const struct timeline *t, struct arena *arena, struct err *err);
/* As text; caller frees. */
char *timeline_text(const struct timeline *t, size_t *n);
int timeline_write(const struct timeline *t, const char *case_folder, struct err *err);
void timeline_release(struct timeline *t);

#endif
