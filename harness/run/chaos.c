/*
 * chaos: the schedule that the plan drew, on the cluster as it is. How long a killed server takes
 * to come back nobody can draw, so the budget (`at_most`) is kept here: a fault whose turn has not
 * come waits, and is left out when the time is over. What really happened is in the history and
 * becomes a script again (report/timeline.c).
 */
#include "run/run.h"

#include <string.h>

/* NULL: any node or client, somebody always is. */
static bool is_there(struct run *run, const struct expr *target)
{
    struct fault_targets targets;
    struct err err;

    return !target || run_targets(run, target, &targets, &err) == 0;
}

/* Waits until fewer than `at_most` faults are open and whom it shall hit is somebody: what was
 * killed takes its time to come back, and a role is vacant for a moment after it. The plan drew the
 * times without knowing how long that is. False: there is no time left for it. */
static bool await_turn(struct run *run, const struct chaos_args *chaos,
                       const struct chaos_event *event, const struct expr *target, int64_t began_ns)
{
    struct deadline due = {.at_ns = began_ns + event->at_ns, .cancel = &run->cancel};
    struct deadline last = deadline_within(run->deadline, began_ns + chaos->duration_ns -
                                                              event->for_ns - clock_now_ns());

    while (deadline_sleep(&due, SECOND_NS) == 0)
        ;
    while (windows_unhealed(run) >= (size_t)chaos->at_most || !is_there(run, target))
        if (deadline_sleep(&last, 10 * MS_NS) < 0)
            return false;
    return !atomic_load(&run->cancel.asked);
}

/* The rest of the time, and as long after the last fault as it was promised to go on: whether
 * everything recovers shows only while somebody still asks for it. */
static void settle(struct run *run, const struct chaos_args *chaos, int64_t began_ns)
{
    struct deadline end =
        deadline_within(run->deadline, began_ns + chaos->duration_ns - clock_now_ns());
    struct deadline healed = run->deadline;

    while (windows_unhealed(run) > 0 && deadline_sleep(&healed, 10 * MS_NS) == 0)
        ;
    healed = deadline_within(run->deadline, chaos->settle_ns);
    if (chaos->n > 0)
        while (deadline_sleep(&healed, SECOND_NS) == 0)
            ;
    while (deadline_sleep(&end, SECOND_NS) == 0)
        ;
}

/* Each event at its time from the start or when its turn comes; targets are resolved when it fires.
 */
int chaos_step(struct run *run, const struct step *step, struct err *err)
{
    const struct chaos_args *args = step->args;
    int64_t began_ns = clock_now_ns();

    for (size_t i = 0; i < args->n; i++) {
        const struct chaos_event *event = &args->events[i];
        char text[400];
        struct step one = {
            .kind = STEP_FAULT,
            .verb = event->fault->name,
            .fault = event->fault,
            .args = event->args,
            .index = step->index,
            .mark = step->mark,
            .common = {.for_ns = event->for_ns},
            .text = text};
        struct expr *target = NULL;

        snprintf(text, sizeof(text), "%s: %s", event->fault->name, event->target);
        if (strncmp(event->target, "any ", 4) != 0 &&
            !(target = run_parse(run, event->target, &step->mark, err)))
            return -1;
        run->repetition = (unsigned)event->index;
        if (!await_turn(run, args, event, target, began_ns)) {
            progress(run, "%s is left out: no time is left for it", one.text);
            chronicle_resolved(run, "left out: %s: no time is left for it", one.text);
            continue;
        }
        if (deadline_passed(&run->deadline))
            return err_set(err, "the case's deadline passed");
        if (window_open(run, &one, err) < 0)
            return err_prefix(err, "%s", one.text);
    }
    settle(run, args, began_ns);
    return 0;
}
