/*
 * A script, step by step. A step that cannot be done or a wait that times out does not end the case
 * in an error: it is recorded, the rest of the script is left out, and the verdict says
 * inconclusive (JUDGING: Verdicts).
 */
#include "run/run.h"

#include "api/system.h"
#include "base/draw.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define POLL_NS (2 * MS_NS)
#define QUIESCE_WITHIN_NS (60 * SECOND_NS)
#define START_WITHIN_NS (90 * SECOND_NS)
#define LATE_NS (50 * MS_NS) /* a person wants to know that a replay runs behind */
#define OBSERVED_WITHIN_NS (10 * SECOND_NS)
#define DEATH_SEEN_WITHIN_NS (2 * SECOND_NS)

static int run_steps(struct run *run, const struct step_list *steps, struct err *err);
static int start_client(struct run *run, const char *name, struct err *err);

int run_track(struct run *run, void *(*main)(void *), void *argument, struct err *err)
{
    int result = 0;

    pthread_mutex_lock(&run->lock);
    if (run->n_tracks == TRACKS_MAX ||
        pthread_create(&run->tracks[run->n_tracks], NULL, main, argument) != 0)
        result = err_set(err, "more than %d things at once", TRACKS_MAX);
    else
        run->n_tracks++;
    pthread_mutex_unlock(&run->lock);
    return result;
}

/* ---- sending */

static int step_send(struct run *run, const struct step *step, struct err *err)
{
    const struct send_args *args = step->args;
    long burst = plan_burst_named(run->plan, args->name);

    assert(burst > 0);
    if (fleet_burst(run, args, (unsigned)burst, err) < 0)
        return -1;
    return step->kind == STEP_SEND ? fleet_wait_burst(run, (unsigned)burst, run->deadline, err) : 0;
}

static int step_observe(struct run *run, const struct step *step, struct err *err)
{
    const struct observe_args *args = step->args;
    struct send_args burst = {.from = args->client, .count = -1, .rate = -1 /* its own */};
    long number = plan_burst_named(run->plan, args->name);
    struct deadline until;

    assert(number > 0);
    if (start_client(run, args->client, err) < 0 ||
        fleet_burst(run, &burst, (unsigned)number, err) < 0)
        return -1;
    until = deadline_within(run->deadline, args->for_ns);
    while (deadline_sleep(&until, SECOND_NS) == 0)
        ;
    fleet_end_burst(run, (unsigned)number);
    return fleet_wait_ended(run, args->client, (unsigned)number,
                            deadline_within(run->deadline, OBSERVED_WITHIN_NS), err);
}

/* ---- looking */

static int step_quiesce(struct run *run, const struct step *step, struct err *err)
{
    const struct quiesce_args *args = step->args;

    for (size_t i = 0; i < args->units.n; i++) {
        long dest = plan_dest_named(run->plan, args->units.items[i]);
        struct cluster_slot *slot;
        int result;

        if (dest < 0)
            return err_set(err, "quiesce: no topic, queue or list %s", args->units.items[i]);
        slot = run->slots[run->plan->dests[dest].cluster];
        pthread_mutex_lock(&slot->control);
        result = slot->cluster.ops->quiesce(&slot->cluster, (uint32_t)dest,
                                            deadline_within(run->deadline, QUIESCE_WITHIN_NS), err);
        pthread_mutex_unlock(&slot->control);
        if (result < 0)
            return err_prefix(err, "quiesce %s", args->units.items[i]);
    }
    return 0;
}

static void print_value(const struct run *run, const struct value *value, char *out, size_t size)
{
    size_t used = 0;

    if (value->kind == VALUE_NUMBER)
        snprintf(out, size, "%" PRId64, value->number);
    else if (value->kind == VALUE_WORD)
        snprintf(out, size, "%s", value->word);
    else if (value->n == 0)
        snprintf(out, size, "none");
    else
        for (size_t i = 0; i < value->n && used < size; i++)
            used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "",
                                     run->plan->nodes[value->nodes[i]].name);
}

/* What a name is bound to: one(…) is drawn here and now, for good. */
static int bound_value(struct run *run, const struct expr *e, int64_t since_ns,
                       struct deadline deadline, struct value *value, struct err *err)
{
    struct fault_targets one;

    if (e->kind != EXPR_CALL || strcmp(e->name, "one") != 0)
        return run_eval_fresh(run, e, since_ns, deadline, value, err);
    if (run_targets(run, e, &one, err) < 0)
        return -1;
    if (!one.items[0].node)
        return err_set(err, "%s is a client: only nodes are bound", e->text);
    *value = (struct value){.kind = VALUE_NODES, .nodes = {one.items[0].id}, .n = 1};
    return 0;
}

static int step_bind(struct run *run, const struct step *step, struct err *err)
{
    const struct named_exprs *args = step->args;
    int64_t since_ns = clock_now_ns();

    for (size_t i = 0; i < args->n; i++) {
        struct deadline deadline = deadline_within(run->deadline, 10 * SECOND_NS);
        struct value value;
        char text[300];

        do { /* a role may be vacant for a moment */
            if (bound_value(run, args->items[i].expr, since_ns, deadline, &value, err) < 0)
                return -1;
        } while (value.kind == VALUE_NODES && value.n == 0 &&
                 deadline_sleep(&deadline, POLL_NS) == 0);
        if (value.kind == VALUE_NODES && value.n == 0)
            return err_set(err, "bind %s: %s is nobody", args->items[i].name,
                           args->items[i].expr->text);
        if (run_bind(run, args->items[i].name, &value, err) < 0)
            return -1;
        print_value(run, &value, text, sizeof(text));
        progress(run, "$%s = %s", args->items[i].name, text);
        chronicle(run,
                  (struct event){.type = EV_SCRIPT,
                                 .ref = chronicle_text(run, "$%s = %s", args->items[i].name, text),
                                 .code = (int16_t)step->mark.line});
    }
    return 0;
}

static int step_note(struct run *run, const struct step *step, struct err *err)
{
    const struct named_exprs *args = step->args;
    int64_t since_ns = clock_now_ns();

    for (size_t i = 0; i < args->n; i++) {
        struct value value;

        if (run_eval_fresh(run, args->items[i].expr, since_ns,
                           deadline_within(run->deadline, 10 * SECOND_NS), &value, err) < 0)
            return -1;
        if (value.kind != VALUE_NUMBER)
            return err_set(err, "note %s: %s is not a number", args->items[i].name,
                           args->items[i].expr->text);
        if (run_note(run, args->items[i].name, value.number, err) < 0)
            return -1;
        progress(run, "%s = %" PRId64, args->items[i].name, value.number);
        chronicle(run, (struct event){.type = EV_NOTE,
                                      .value = value.number,
                                      .ref = chronicle_text(run, "%s", args->items[i].name)});
    }
    return 0;
}

/* Holds as soon as it is seen once: roles by looks that began after the wait did. */
static int wait_until(struct run *run, const struct wait_args *args, struct deadline deadline,
                      struct err *err)
{
    int64_t since_ns = clock_now_ns();
    struct value value;

    do {
        if (run_eval_fresh(run, args->until, since_ns, deadline, &value, err) < 0)
            return deadline_passed(&deadline) ? 1 : -1;
        if (value_true(&value))
            return 0;
    } while (deadline_sleep(&deadline, POLL_NS) == 0);
    return 1;
}

static int wait_settled(struct run *run, const struct wait_args *args, struct deadline deadline,
                        struct err *err)
{
    int64_t since_ns = clock_now_ns();
    int64_t last = INT64_MIN;
    struct value value;

    do {
        if (run_eval_fresh(run, args->settled, since_ns, deadline, &value, err) < 0)
            return deadline_passed(&deadline) ? 1 : -1;
        if (value.number != last) {
            last = value.number;
            since_ns = clock_now_ns();
        } else if (clock_now_ns() - since_ns >= args->for_ns) {
            return 0;
        }
    } while (deadline_sleep(&deadline, 10 * MS_NS) == 0);
    return 1;
}

static int step_wait(struct run *run, const struct step *step, struct err *err)
{
    const struct wait_args *args = step->args;
    struct deadline deadline = deadline_within(run->deadline, args->within_ns);
    int64_t began_ns = clock_now_ns();
    int result =
        args->until ? wait_until(run, args, deadline, err) : wait_settled(run, args, deadline, err);
    enum outcome outcome = result == 0         ? OUTCOME_OK
                           : args->or_continue ? OUTCOME_FAIL
                                               : OUTCOME_UNKNOWN;

    if (result < 0)
        return -1;
    chronicle(run,
              (struct event){.type = EV_WAITED,
                             .value = clock_now_ns() - began_ns,
                             .ref = chronicle_text(run, "%s", args->name ? args->name : step->text),
                             .outcome_level = event_result(outcome, LEVEL_NONE)});
    if (args->name && run_note(run, args->name, result == 0, err) < 0)
        return -1;
    if (outcome == OUTCOME_UNKNOWN && atomic_load(&run->cancel.asked))
        return err_set(err, "stopped after %.1f s", (double)(clock_now_ns() - began_ns) / 1e9);
    if (outcome == OUTCOME_UNKNOWN)
        return err_set(err, "timed out after %.1f s", (double)args->within_ns / 1e9);
    if (outcome == OUTCOME_FAIL)
        progress(run, "not so within %.1f s, going on", (double)args->within_ns / 1e9);
    return 0;
}

static int step_quiet(struct run *run, const struct step *step, struct err *err)
{
    const struct quiet_args *args = step->args;
    int64_t for_ns = args->for_ns;
    struct deadline until;

    (void)err;
    if (args->until_ns > 0)
        for_ns = run->script_began_ns + args->until_ns - clock_now_ns();
    if (for_ns < -LATE_NS)
        progress(run, "%.2f s later than recorded", (double)-for_ns / 1e9);
    until = deadline_within(run->deadline, for_ns > 0 ? for_ns : 0);
    while (deadline_sleep(&until, SECOND_NS) == 0)
        ;
    return 0;
}

/* ---- clients at their steps */

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
    int64_t within_ns;
};

static bool fired(const struct armed *armed)
{
    for (size_t i = 0; i < armed->n; i++)
        if (atomic_load(&armed->gates[i]->hits) > 0)
            return true;
    return false;
}

static int await_trigger(struct armed *armed)
{
    struct deadline deadline = deadline_within(armed->run->deadline, armed->within_ns);
    bool in_time;

    while (!(in_time = fired(armed)) && !armed->run->closing &&
           deadline_sleep(&deadline, MS_NS) == 0)
        ;
    in_time = in_time || fired(armed);
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
    comes = instance->child && (!instance->reported_dead || instance->restart_at_ns != 0);
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

    *armed = (struct armed){
        .run = run, .text = step->text, .within_ns = within_ns > 0 ? within_ns : GATE_DEFAULT_NS};
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
static int step_arm(struct run *run, const struct step *step, struct err *err)
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

static int step_hold(struct run *run, const struct step *step, struct err *err)
{
    const struct hold_args *args = step->args;

    return arm(run, step, &args->at, GATE_HOLD, args->within_ns, err) ? 0 : -1;
}

static int step_release(struct run *run, const struct step *step, struct err *err)
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

/* ---- starting, healing, faults */

static int start_client(struct run *run, const char *name, struct err *err)
{
    size_t n = 0;
    struct instance *instances = fleet_named(run, name, &n);

    for (size_t i = 0; i < n; i++) {
        struct instance *instance = &instances[i];

        if (instance->child && !instance->reported_dead)
            continue;
        if (instance->child) {
            child_close(instance->child);
            instance->child = NULL;
            instance->incarnation++;
        }
        if (fleet_start(run, instance, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < n; i++)
        if (fleet_wait_ready(run, &instances[i], run->deadline, err) < 0)
            return -1;
    return 0;
}

static int start_node(struct run *run, struct node *node, const char *version,
                      struct deadline deadline, struct err *err)
{
    bool is_dead = atomic_load(&node->phase) == PHASE_DEAD;

    if (version && !is_dead)
        return err_set(err, "start: %s runs: only a dead node comes back with another version",
                       node->plan->name);
    if (version && cluster_upgrade_node(run_slot_of(run, node->plan->id), node, version, err) < 0)
        return -1;
    return is_dead ? run_start_node(run, node, deadline, err) : 0;
}

static int start_nodes(struct run *run, const struct fault_targets *targets, const char *version,
                       struct err *err)
{
    struct deadline deadline = deadline_within(run->deadline, START_WITHIN_NS);

    for (size_t i = 0; i < targets->n; i++) {
        if (!targets->items[i].node)
            return err_set(err, "start: %s is not a server", targets->items[i].name);
        if (start_node(run, targets->items[i].node, version, deadline, err) < 0)
            return -1;
        progress(run, "%s is back", targets->items[i].name);
    }
    return window_heal_targets(run, "start", targets, err);
}

static void dead_nodes(struct run *run, struct fault_targets *out)
{
    out->n = 0;
    for (uint16_t id = 0; id < run->plan->n_nodes && out->n < FAULT_TARGETS_MAX; id++) {
        struct node *node = run_node(run, id);

        if (atomic_load(&node->phase) == PHASE_DEAD)
            out->items[out->n++] = (struct fault_target){
                .node = node, .id = id, .name = node->plan->name, .address = node->plan->address};
    }
}

static int step_start(struct run *run, const struct step *step, struct err *err)
{
    const struct start_args *args = step->args;
    struct fault_targets targets;

    if (args->client)
        return start_client(run, args->client, err);
    if (args->dead_nodes)
        dead_nodes(run, &targets);
    else if (run_targets(run, args->target, &targets, err) < 0)
        return -1;
    return start_nodes(run, &targets, args->version, err);
}

static int step_heal(struct run *run, const struct step *step, struct err *err)
{
    const struct target_args *args = step->args;

    return window_heal_named(run, args->name, err);
}

static int step_resume(struct run *run, const struct step *step, struct err *err)
{
    const struct target_args *args = step->args;
    struct fault_targets targets;

    if (run_targets(run, args->target, &targets, err) < 0)
        return -1;
    return window_heal_targets(run, "resume", &targets, err);
}

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

    if (await_trigger(t->armed) == 0 && window_open(t->run, t->step, &err) < 0)
        run_break(t->run, &err);
    for (size_t i = 0; i < t->armed->n; i++)
        gate_open(t->armed->gates[i]);
    return NULL;
}

static int step_fault(struct run *run, const struct step *step, struct err *err)
{
    struct triggered *t;

    if (!step->common.at.step)
        return window_open(run, step, err);
    t = run_alloc(run, sizeof(*t));
    *t = (struct triggered){run, step, NULL};
    t->armed = arm(run, step, &step->common.at, GATE_HOLD, step->common.within_ns, err);
    return t->armed ? run_track(run, triggered_main, t, err) : -1;
}

/* From here on their positions are those of another log. */
static void chronicle_renewed(struct run *run, const struct step *step,
                              const struct system_ops *ops)
{
    const char *name = ops->renews ? ops->renews(step->command, step->args) : NULL;
    long dest = name ? plan_dest_named(run->plan, name) : -1;

    for (uint32_t i = 0; dest >= 0 && i < run->plan->dests[dest].n_units; i++)
        chronicle(run, (struct event){.type = EV_UNIT_NEW,
                                      .unit = run->plan->dests[dest].first_unit + i,
                                      .ref = chronicle_text(run, "%s", step->text)});
}

static int step_command(struct run *run, const struct step *step, struct err *err)
{
    const struct param *first = step->command->params;
    bool has_target =
        first && first->type == PARAM_EXPR; /* by convention a command's node comes first */
    const struct expr *target =
        has_target ? *(struct expr *const *)(const void *)((const char *)step->args + first->offset)
                   : NULL;
    struct value value = {.kind = VALUE_NODES};
    struct cluster_slot *slot = NULL;
    int result;

    if (target && run_eval_fresh(run, target, clock_now_ns(),
                                 deadline_within(run->deadline, 10 * SECOND_NS), &value, err) < 0)
        return -1;
    if (value.kind == VALUE_NODES && value.n == 1)
        slot = run_slot_of(run, value.nodes[0]);
    for (size_t c = 0; !slot && c < run->plan->n_clusters; c++)
        for (const struct system_command *k = run->slots[c]->cluster.ops->commands; k && k->name;
             k++)
            if (k == step->command)
                slot = run->slots[c];
    if (!slot)
        return err_set(err, "%s: no cluster offers it", step->verb);
    slot->damaged = true;
    if (value.kind == VALUE_NODES && value.n == 1)
        chronicle_resolved(run, "%s", run->plan->nodes[value.nodes[0]].name);
    pthread_mutex_lock(&slot->control);
    result = step->command->run(&slot->cluster, step->args, value.n == 1 ? value.nodes[0] : NO_NODE,
                                deadline_within(run->deadline, 60 * SECOND_NS), err);
    pthread_mutex_unlock(&slot->control);
    if (result == 0)
        chronicle_renewed(run, step, slot->cluster.ops);
    return result;
}

static int step_repeat(struct run *run, const struct step *step, struct err *err)
{
    const struct repeat_args *args = step->args;
    bool keyed = run->keyed;

    run->repeating++;
    for (int64_t i = 0; i < args->times; i++) {
        run->repetition = (unsigned)i;
        if (args->key) {
            run->keyed = true;
            run->key = run->next_key++;
        }
        if (run_steps(run, &args->body, err) < 0)
            return err_prefix(err, "round %" PRId64, i + 1);
    }
    run->repeating--;
    run->keyed = keyed;
    return 0;
}

static int (*const handlers[])(struct run *, const struct step *, struct err *) = {
    [STEP_SEND] = step_send,       [STEP_BACKGROUND] = step_send,
    [STEP_QUIESCE] = step_quiesce, [STEP_BIND] = step_bind,
    [STEP_START] = step_start,     [STEP_HEAL] = step_heal,
    [STEP_RESUME] = step_resume,   [STEP_WAIT] = step_wait,
    [STEP_HOLD] = step_hold,       [STEP_RELEASE] = step_release,
    [STEP_ARM] = step_arm,         [STEP_NOTE] = step_note,
    [STEP_OBSERVE] = step_observe, [STEP_REPEAT] = step_repeat,
    [STEP_QUIET] = step_quiet,     [STEP_INTERLEAVE] = interleave_step,
    [STEP_CHAOS] = chaos_step,     [STEP_FAULT] = step_fault,
    [STEP_COMMAND] = step_command,
};

static int run_steps(struct run *run, const struct step_list *steps, struct err *err)
{
    for (size_t i = 0; i < steps->n; i++) {
        const struct step *step = &steps->items[i];

        if (deadline_passed(&run->deadline))
            return err_set(err, "stopped before %s", step->text);
        run->doing = step->text;
        if (step->kind != STEP_FAULT && step->kind != STEP_NOTE && step->kind != STEP_BIND)
            progress(run, "%s", step->text);
        chronicle(run, (struct event){.type = EV_SCRIPT,
                                      .ref = chronicle_text(run, "%s", step->text),
                                      .code = (int16_t)step->mark.line});
        if (handlers[step->kind](run, step, err) < 0)
            return err_prefix(err, "line %d, %s", step->mark.line, step->text);
    }
    return 0;
}

/* `background … until: script_end` ends here, and every burst is waited for. */
static int end_bursts(struct run *run, struct err *err)
{
    for (unsigned b = 1; b <= run->plan->n_bursts; b++) {
        struct deadline deadline = deadline_within(run->deadline, 120 * SECOND_NS);
        bool open = false;

        for (size_t i = 0; i < run->n_instances; i++)
            open |= run->instances[i].burst_count[b] < 0;
        if (open)
            fleet_end_burst(run, b);
        if (fleet_wait_burst(run, b, deadline, err) < 0)
            return -1;
    }
    return 0;
}

int script_run(struct run *run, struct err *err)
{
    int result;

    run->script_began_ns = clock_now_ns();
    result = run_steps(run, &run->plan->script, err);
    if (result == 0)
        result = end_bursts(run, err);
    if (result < 0 && !run->is_broken) {
        progress(run, "the script ends here: %s", err->text);
        chronicle(run, (struct event){.type = EV_WAITED,
                                      .ref = chronicle_text(run, "script stopped: %s", err->text),
                                      .outcome_level = event_result(OUTCOME_UNKNOWN, LEVEL_NONE)});
        result = 0;
    }
    return result;
}
