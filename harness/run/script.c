/*
 * A script, step by step. A step that cannot be done or a wait that times out does not end the case
 * in an error: it is recorded, the rest of the script is left out, and the verdict says
 * inconclusive (JUDGING: Verdicts).
 */
#include "run/run.h"
#include "run/script_steps.h"

#include "api/system.h"
#include "base/draw.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define START_WITHIN_NS (90 * SECOND_NS)
#define OBSERVED_WITHIN_NS (10 * SECOND_NS)

static int run_steps(struct run *run, const struct step_list *steps, struct err *err);
static int start_client(struct run *run, const char *name, struct err *err);

int run_track(struct run *run, void *(*main)(void *), void *argument, struct err *err)
{
    int result = 0;

    pthread_mutex_lock(&run->lock);
    if (run->n_tracks == TRACKS_MAX ||
        pthread_create(&run->tracks[run->n_tracks], NULL, main, argument) != 0)
        result = err_set(err, "more than %d things beside the script in one case", TRACKS_MAX);
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

/* ---- starting, healing, faults */

static int start_client(struct run *run, const char *name, struct err *err)
{
    size_t n = 0;
    struct instance *instances = fleet_named(run, name, &n);

    for (size_t i = 0; i < n; i++)
        if (fleet_start(run, &instances[i], err) < 0)
            return -1;
    for (size_t i = 0; i < n; i++)
        if (fleet_wait_ready(&instances[i], run->deadline, err) < 0)
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

static int step_fault(struct run *run, const struct step *step, struct err *err)
{
    return step->common.at.step ? arm_fault(run, step, err) : window_open(run, step, err);
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

static int one_node_wanted(struct run *run, const struct expr *target, const struct value *value,
                           struct err *err)
{
    bool nobody = value->kind == VALUE_NODES && value->n == 0, apart = false;
    char who[300];

    run_value_text(run, value, who, sizeof(who));
    for (size_t i = 1; value->kind == VALUE_NODES && i < value->n; i++)
        apart |= run_slot_of(run, value->nodes[i]) != run_slot_of(run, value->nodes[0]);
    return err_set(err, "it takes one node, %s is %s%s%s%s", target->text, nobody ? "nobody" : who,
                   apart ? ": say of which cluster, " : "", apart ? target->text : "",
                   apart ? "(CLUSTER)" : "");
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
    if (target && (value.kind != VALUE_NODES || value.n != 1))
        return one_node_wanted(run, target, &value, err);
    if (target)
        slot = run_slot_of(run, value.nodes[0]);
    for (size_t c = 0; !slot && c < run->plan->n_clusters; c++)
        for (const struct system_command *k = run->slots[c]->cluster.ops->commands; k && k->name;
             k++)
            if (k == step->command)
                slot = run->slots[c];
    if (!slot)
        return err_set(err, "%s: no cluster offers it", step->verb);
    slot->damaged = true;
    if (target)
        chronicle_resolved(run, "%s", run->plan->nodes[value.nodes[0]].name);
    pthread_mutex_lock(&slot->control);
    result = step->command->run(&slot->cluster, step->args, target ? value.nodes[0] : NO_NODE,
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

/* The steps of a repeat are told one by one. */
static const char *shortly(const struct step *step)
{
    return step->kind == STEP_REPEAT ? step->verb : step->text;
}

static int run_steps(struct run *run, const struct step_list *steps, struct err *err)
{
    for (size_t i = 0; i < steps->n; i++) {
        const struct step *step = &steps->items[i];

        if (deadline_passed(&run->deadline))
            return err_set(err, "stopped before %s", shortly(step));
        run->doing = shortly(step);
        if (step->kind != STEP_FAULT && step->kind != STEP_NOTE && step->kind != STEP_BIND)
            progress(run, "%s", shortly(step));
        chronicle(run, (struct event){.type = EV_SCRIPT,
                                      .ref = chronicle_text(run, "%s", step->text),
                                      .code = (int16_t)step->mark.line});
        if (handlers[step->kind](run, step, err) < 0)
            return err_prefix(err, "line %d, %s", step->mark.line, shortly(step));
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
            open |= run->instances[i].bursts[b].count < 0;
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

    driver_begin(run);
    run->script_began_ns = clock_now_ns();
    result = run_steps(run, &run->plan->script, err);
    if (result == 0)
        result = end_bursts(run, err);
    driver_end(run);
    if (result < 0 && !run->is_broken) {
        progress(run, "the script ends here: %s", err->text);
        chronicle(run, (struct event){.type = EV_WAITED,
                                      .ref = chronicle_text(run, SCRIPT_STOPPED "%s", err->text),
                                      .outcome_level = event_result(OUTCOME_UNKNOWN, LEVEL_NONE)});
        result = 0;
    }
    return result;
}
