/*
 * Points of several clients passed in exactly the order the suite writes them, by holding, never by
 * sleeping: every point's gate is closed first; each is opened once its client stands at it and the
 * one above was opened.
 *
 *     points: [R.after_db_read, W.after_db_commit, R.before_cache_set]
 *
 * Who works on orders (a reader, a writer, a producer) is asked for one operation when its first
 * point's turn has come, not before: W's COMMIT would else stand in the database while R still
 * reads. Consumers come to their points with what they are given. A point that nobody reaches in
 * time makes the case inconclusive (JUDGING: Verdicts).
 */
#include "run/run.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_NS (MS_NS / 5)

/* ---- gates */

void gate_arm(struct step_gate *gate, enum gate_action action, int64_t nth, int64_t within_ns)
{
    atomic_store(&gate->round, atomic_load(&gate->released));
    atomic_store(&gate->hits, 0);
    atomic_store(&gate->passed, 0);
    atomic_store(&gate->nth, nth > 0 ? nth : 1);
    atomic_store(&gate->deadline_ns,
                 clock_now_ns() + (within_ns > 0 ? within_ns : GATE_DEFAULT_NS));
    atomic_store_explicit(&gate->armed, (uint32_t)action, memory_order_release);
}

void gate_open(struct step_gate *gate)
{
    atomic_store(&gate->armed, GATE_OPEN);
    atomic_fetch_add(&gate->released, 1);
    syscall(SYS_futex, &gate->released, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* ---- points */

struct point {
    const char *text; /* "R.after_db_read" */
    char client[100];
    const char *step;
    struct instance *instances;
    size_t n;
};

static struct step_gate *gate_of(struct run *run, const struct point *point, size_t i)
{
    return fleet_gate(run, &point->instances[i], point->step);
}

static bool reached(struct run *run, const struct point *point)
{
    for (size_t i = 0; i < point->n; i++)
        if (atomic_load(&gate_of(run, point, i)->held) > 0)
            return true;
    return false;
}

static void open_point(struct run *run, const struct point *point)
{
    for (size_t i = 0; i < point->n; i++)
        gate_open(gate_of(run, point, i));
}

static int close_point(struct run *run, const char *text, int64_t within_ns, struct point *out,
                       struct err *err)
{
    const char *dot = strchr(text, '.'); /* checked by the plan */

    *out = (struct point){.text = text, .step = dot + 1};
    snprintf(out->client, sizeof(out->client), "%.*s", (int)(dot - text), text);
    out->instances = fleet_named(run, out->client, &out->n);
    if (!out->instances)
        return err_set(err, "no client %s", out->client);
    for (size_t i = 0; i < out->n; i++)
        gate_arm(gate_of(run, out, i), GATE_HOLD, 1, within_ns);
    return 0;
}

/* Its turn has come: its client starts to work where it waits for orders, and must get here. */
static int pass_point(struct run *run, const struct point *point, unsigned burst,
                      struct deadline deadline, struct err *err)
{
    if (burst > 0 && fleet_order(run, point->client, burst, err) < 0)
        return -1;
    while (!reached(run, point))
        if (deadline_sleep(&deadline, LOOK_NS) < 0)
            return err_set(err, "nobody came to %s in time", point->text);
    open_point(run, point);
    return 0;
}

int interleave_step(struct run *run, const struct step *step, struct err *err)
{
    const struct interleave_args *args = step->args;
    int64_t all_ns = args->within_ns * (int64_t)(args->points.n + 1);
    struct point *points = run_alloc(run, (args->points.n + 1) * sizeof(*points));
    size_t closed = 0;
    int result = 0;

    for (; result == 0 && closed < args->points.n; closed++)
        result = close_point(run, args->points.items[closed], all_ns, &points[closed], err);
    for (size_t i = 0; result == 0 && i < args->points.n; i++)
        result = pass_point(run, &points[i], args->bursts[i],
                            deadline_within(run->deadline, args->within_ns), err);
    for (size_t i = 0; i < closed; i++)
        open_point(run, &points[i]);
    for (size_t i = 0; result == 0 && i < args->points.n; i++)
        if (args->bursts[i] > 0)
            result = fleet_wait_ended(run, points[i].client, args->bursts[i],
                                      deadline_within(run->deadline, args->within_ns), err);
    if (result == 0)
        chronicle(run, (struct event){.type = EV_TRIGGER,
                                      .ref = chronicle_text(run, "interleave"),
                                      .value = 1,
                                      .code = (int16_t)step->mark.line,
                                      .outcome_level = event_result(OUTCOME_OK, LEVEL_NONE)});
    return result;
}
