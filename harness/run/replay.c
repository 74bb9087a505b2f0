/*
 * Recorded cases → a plan whose scripts are their timelines. What the chaos drew, whom a role meant
 * and when it came is fixed; what the servers make of it is not.
 */
#include "run/replay.h"

#include "report/timeline.h"
#include "run/case_folders.h"
#include "suite/tree.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_wanted(const struct plan_case *c, const char *const *globs, size_t n)
{
    bool wanted = n == 0;

    for (size_t i = 0; i < n && !wanted; i++)
        wanted =
            fnmatch(globs[i], c->name, 0) == 0 || fnmatch(globs[i], plan_case_title(c), 0) == 0;
    return wanted;
}

static int add_case(struct plan *plan, const char *folder, const char *const *globs, size_t n_globs,
                    struct err *err)
{
    struct timeline timeline;
    struct plan_case *again = NULL;
    int result = timeline_read(folder, &timeline, err);

    if (result == 0 && is_wanted(timeline.recorded, globs, n_globs)) {
        if (!timeline.began_ns)
            result =
                err_input(err, "%s: its script never began: there is nothing to replay", folder);
        else
            again = timeline_case(&timeline, &plan->arena, err);
        result = again ? 0 : -1;
    }
    timeline_release(&timeline);
    if (!again)
        return result;
    plan->cases = array_grown(&plan->arena, plan->cases, plan->n, sizeof(*plan->cases));
    plan->cases[plan->n++] = again;
    return 0;
}

static int add_cases(struct plan *plan, const char *run_folder, const char *const *globs,
                     size_t n_globs, struct err *err)
{
    char **folders;
    int result = 0;
    int n = case_folders(run_folder, &folders, err);

    if (n < 0)
        return -1;
    for (int i = 0; i < n && result == 0; i++)
        result = add_case(plan, folders[i], globs, n_globs, err);
    case_folders_free(folders, n);
    return result;
}

struct plan *replay_plan(const char *run_folder, const char *const *globs, size_t n_globs,
                         struct err *err)
{
    struct plan *plan = calloc(1, sizeof(*plan));

    if (!plan)
        abort();
    if (add_cases(plan, run_folder, globs, n_globs, err) < 0) {
        plan_free(plan);
        return NULL;
    }
    if (plan->n == 0) {
        err_input(err, "%s: no case of it matches", run_folder);
        plan_free(plan);
        return NULL;
    }
    plan->seed = plan->cases[0]->seed;
    return plan;
}
