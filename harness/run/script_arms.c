/* Steps that meet clients at steps of theirs: arm, hold, release (gate.c is the clients' side). */
#include "run/run.h"
#include "run/script_steps.h"

#include <inttypes.h>
#include <string.h>

#define DEATH_SEEN_WITHIN_NS (2 * SECOND_NS)

/* The client instances a trigger names: "worker", "worker-2", "one(teller)". */
static int trigger_instances(struct run *run, const struct trigger *at, struct fault_targets *out,
                             struct err *err)
{
    struct expr *e = run_parse(run, at->client, &no_mark, err);

    if (!e || run_targets(run, e, out, err) < 0)
        return -1;
    for (size_t i = 0; i < out->n; i++)
        if (out->items[i].node || !fleet_gate(run, &run->instances[out->items[i].id], at->step))
            return err_set(err, "%s has no step %s", out->items[i].name, at->step);
    return 0;
}

struct armed { /* an `arm` with a time limit: did it fire? */
    struct run *run;
    const char *text;
    struct step_gate *gates[FAULT_TARGETS_MAX];
    size_t n;
    bool running; /* one of its clients, or it will be without the script */
    bool of_fault;
    int64_t within_ns;
};

static bool fired(const struct armed *armed)
{
    for (size_t i = 0; i < armed->n; i++)
        if (atomic_load(&armed->gates[i]->hits) > 0)
            return true;
    return false;
}

/* Nobody heals what is injected behind the script; a client may be killed until clients leave. */
static bool is_over(const struct armed *armed)
{
    return armed->of_fault ? armed->run->script_over : armed->run->closing;
}

static int await_trigger(struct armed *armed)
{
    struct deadline deadline = deadline_within(armed->run->deadline, armed->within_ns);
    bool in_time;

    while (!fired(armed) && !is_over(armed) && deadline_sleep(&deadline, MS_NS) == 0)
        ;
    in_time = fired(armed) && !(armed->of_fault && is_over(armed));
    chronicle(armed->run, (struct event){.type = EV_TRIGGER,
                                         .ref = chronicle_text(armed->run, "%s", armed->text),
                                         .outcome_level = event_result(
                                             in_time ? OUTCOME_OK : OUTCOME_FAIL, LEVEL_NONE)});
    return in_time ? 0 : -1;
}

static void *armed_main(void *argument)
{
    struct armed *armed = argument;

    if (await_trigger(armed) < 0)
        for (size_t i = 0; i < armed->n; i++)
            gate_open(armed->gates[i]);
    atomic_fetch_sub(&armed->run->arms, 1);
    return NULL;
}

static bool comes_by_itself(struct run *run, const struct instance *instance)
{
    bool comes;

    pthread_mutex_lock(&run->lock);
    comes = instance_alive(instance) || instance->restart_at_ns != 0;
    pthread_mutex_unlock(&run->lock);
    return comes;
}

/* A gate that has just killed says whose order that was until the death is recorded. */
static void await_ordered_death(struct run *run, const struct instance *instance)
{
    struct deadline deadline = deadline_within(run->deadline, DEATH_SEEN_WITHIN_NS);
    bool dying;

    do {
        pthread_mutex_lock(&run->lock);
        dying = instance->kill_gate && atomic_load(&instance->kill_gate->hits) > 0;
        pthread_mutex_unlock(&run->lock);
    } while (dying && deadline_sleep(&deadline, MS_NS) == 0);
}

static struct armed *arm(struct run *run, const struct step *step, const struct trigger *at,
                         enum gate_action action, int64_t within_ns, struct err *err)
{
    struct armed *armed = run_alloc(run, sizeof(*armed));
    struct fault_targets targets;
    char names[300];
    int64_t nth = at->n_nths ? at->nths[run->repetition % at->n_nths] : at->nth;

    *armed = (struct armed){.run = run,
                            .text = step->text,
                            .within_ns = within_ns > 0 ? within_ns : GATE_DEFAULT_NS,
                            .of_fault = step->fault != NULL};
    if (trigger_instances(run, at, &targets, err) < 0)
        return NULL;
    for (size_t i = 0; i < targets.n; i++) {
        struct instance *instance = &run->instances[targets.items[i].id];

        armed->running |= comes_by_itself(run, instance);
        await_ordered_death(run, instance);
        armed->gates[armed->n] = fleet_gate(run, instance, at->step);
        if (action == GATE_KILL)
            instance->kill_gate = armed->gates[armed->n];
        gate_arm(armed->gates[armed->n++], action, nth, within_ns);
    }
    describe_targets(&targets, names, sizeof(names));
    chronicle_resolved(run, "%s at %" PRId64, names, nth);
    return armed;
}

/* Of the round before: its gate must not be armed again while its end is still to be seen. */
static void await_earlier_arms(struct run *run)
{
    while (atomic_load(&run->arms) > 0 && deadline_sleep(&run->deadline, MS_NS / 4) == 0)
        ;
}

/* Fires later, beside the script; whether it did is recorded. Repeats are one after the other: the
 * next round may only begin when this one has had its trigger. A client that is still to be started
 * is not waited for here: what starts it comes behind this step. */
int step_arm(struct run *run, const struct step *step, struct err *err)
{
    const struct arm_args *args = step->args;
    enum gate_action action = strcmp(args->then, "kill") == 0 ? GATE_KILL : GATE_HOLD;
    struct armed *armed;

    if (run->repeating)
        await_earlier_arms(run);
    armed = arm(run, step, &args->at, action, args->within_ns, err);
    if (!armed)
        return -1;
    if (run->repeating && armed->running)
        return await_trigger(armed) < 0 ? err_set(err, "the trigger did not fire in time") : 0;
    atomic_fetch_add(&run->arms, 1);
    return run_track(run, armed_main, armed, err);
}

int step_hold(struct run *run, const struct step *step, struct err *err)
{
    const struct hold_args *args = step->args;

    return arm(run, step, &args->at, GATE_HOLD, args->within_ns, err) ? 0 : -1;
}

int step_release(struct run *run, const struct step *step, struct err *err)
{
    const struct target_args *args = step->args;
    size_t n = 0;
    struct instance *instances = fleet_named(run, args->client, &n);
    bool held = false;

    if (!instances)
        return err_set(err, "release: no client %s", args->client);
    for (size_t i = 0; i < n; i++)
        for (size_t s = 0; s < STEPS_MAX; s++) {
            struct step_gate *gate = &instances[i].board->steps[s];

            if (atomic_load(&gate->armed) != GATE_HOLD)
                continue;
            held |= atomic_load(&gate->hits) > 0;
            gate_open(gate);
        }
    chronicle(run, (struct event){.type = EV_TRIGGER,
                                  .ref = chronicle_text(run, "hold %s", args->client),
                                  .outcome_level =
                                      event_result(held ? OUTCOME_OK : OUTCOME_FAIL, LEVEL_NONE)});
    return 0;
}

/* ---- a fault at a step */

struct triggered {
    struct run *run;
    const struct step *step;
    struct armed *armed;
};

/* The client is held at its step while the fault takes effect, then goes on into it. */
static void *triggered_main(void *argument)
{
    struct triggered *t = argument;
    struct err err = {0};

    if (await_trigger(t->armed) == 0 && window_open(t->run, t->step, &err) < 0) {
        err_prefix(&err, "line %d, %s", t->step->mark.line, t->step->text);
        run_break(t->run, &err);
    }
    for (size_t i = 0; i < t->armed->n; i++)
        gate_open(t->armed->gates[i]);
    return NULL;
}

int arm_fault(struct run *run, const struct step *step, struct err *err)
{
    struct triggered *t = run_alloc(run, sizeof(*t));

    *t = (struct triggered){run, step, NULL};
    t->armed = arm(run, step, &step->common.at, GATE_HOLD, step->common.within_ns, err);
    return t->armed ? run_track(run, triggered_main, t, err) : -1;
}
