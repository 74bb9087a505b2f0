/*
 * Fault windows: inject, stamp, probe, heal. Every stamp goes into the history with its witness;
 * whether a window has bitten is asked while it is open and once more at its end (JUDGING: Time).
 */
#include "run/run.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define INJECT_WITHIN_NS (30 * SECOND_NS)
#define HEAL_WITHIN_NS (90 * SECOND_NS)

struct context { /* a fault_ctx that knows its window */
    struct fault_ctx ctx;
    struct run *run;
    struct window *window;
};

static void stamp(struct run *run, const struct window *window, enum fault_stamp which,
                  int64_t at_ns, const struct witness *w, bool ok)
{
    chronicle(run, (struct event){
                       .type = EV_FAULT,
                       .at_ns = at_ns,
                       .epoch = window->id,
                       .code = (int16_t)which,
                       .node = window->targets.n == 1 && window->targets.items[0].node
                                   ? window->targets.items[0].id
                                   : NO_NODE,
                       .value = w ? w->count : 0,
                       .ref = w && w->text[0] ? chronicle_text(run, "%s", w->text) : NO_REF,
                       .outcome_level = event_result(ok ? OUTCOME_OK : OUTCOME_FAIL, LEVEL_NONE)});
}

/* The asked stamp says whom it was asked for. */
static void stamp_sides(struct run *run, const struct window *window, int64_t at_ns)
{
    chronicle(run, (struct event){.type = EV_FAULT,
                                  .at_ns = at_ns,
                                  .epoch = window->id,
                                  .code = STAMP_ASKED,
                                  .node = NO_NODE,
                                  .ref = chronicle_text(run, "%s", window->sides),
                                  .outcome_level = event_result(OUTCOME_OK, LEVEL_NONE)});
}

static void node_state(struct run *run, const struct node *node, enum node_state state)
{
    chronicle(
        run, (struct event){.type = EV_NODE_STATE, .node = node->plan->id, .code = (int16_t)state});
}

/* ---- what run/ lends to faults */

/* A timeline is written from this: which targets stood on which side. */
static void add_side(struct window *window, const struct fault_targets *targets)
{
    size_t used = strlen(window->sides);

    if (used > 0)
        used += (size_t)snprintf(window->sides + used, sizeof(window->sides) - used, " / ");
    if (used < sizeof(window->sides))
        describe_targets(targets, window->sides + used, sizeof(window->sides) - used);
}

static int lend_resolve(struct fault_ctx *ctx, const struct expr *target, struct fault_targets *out,
                        struct err *err)
{
    struct context *context = ctx->run;
    struct fault_targets *known = &context->window->targets;

    if (run_targets(context->run, target, out, err) < 0)
        return -1;
    add_side(context->window, out);
    for (size_t i = 0; i < out->n; i++) {
        struct cluster_slot *slot =
            out->items[i].node ? run_slot_of(context->run, out->items[i].id) : NULL;

        if (slot)
            slot->damaged = true;
        if (known->n < FAULT_TARGETS_MAX)
            known->items[known->n++] = out->items[i];
    }
    return 0;
}

static void lend_everybody(struct fault_ctx *ctx, struct fault_targets *out)
{
    struct context *context = ctx->run;
    struct run *run = context->run;

    out->n = 0;
    for (uint16_t id = 0; id < run->plan->n_nodes && out->n < FAULT_TARGETS_MAX; id++)
        out->items[out->n++] = (struct fault_target){.node = run_node(run, id),
                                                     .id = id,
                                                     .name = run->plan->nodes[id].name,
                                                     .address = run->plan->nodes[id].address,
                                                     .system = run_slot_of(run, id)->cluster.ops};
    for (size_t i = 0; i < run->n_instances && out->n < FAULT_TARGETS_MAX; i++)
        out->items[out->n++] = (struct fault_target){.child = run->instances[i].child,
                                                     .id = run->instances[i].id,
                                                     .name = run->instances[i].name,
                                                     .address = run->instances[i].address};
}

static void lend_doomed(struct fault_ctx *ctx, const struct fault_target *target)
{
    struct context *context = ctx->run;

    if (!target->node) {
        context->run->instances[target->id].doomed = true;
        return;
    }
    atomic_store(&target->node->phase, PHASE_DEAD);
    chronicle(context->run, (struct event){.type = EV_HAZARD,
                                           .code = HAZARD_OUTSTANDING,
                                           .node = target->id,
                                           .value = fleet_outstanding(context->run)});
}

static void lend_severs(struct fault_ctx *ctx)
{
    struct context *context = ctx->run;
    int64_t n = fleet_outstanding(context->run);

    if (n > 0)
        chronicle(context->run, (struct event){.type = EV_HAZARD,
                                               .code = HAZARD_SEVERED,
                                               .node = NO_NODE,
                                               .unit = NO_UNIT,
                                               .value = n});
}

static void lend_died(struct fault_ctx *ctx, const struct fault_target *target, int signal)
{
    struct context *context = ctx->run;

    (void)signal;
    if (target->node) {
        atomic_store(&target->node->phase, PHASE_DEAD);
        node_state(context->run, target->node, NODE_DEAD);
    } else { /* the supervisor tells it: a `start` that comes next must find it told */
        const struct instance *instance = &context->run->instances[target->id];
        struct deadline soon = deadline_in(2 * SECOND_NS, NULL);

        while (!instance->reported_dead && deadline_sleep(&soon, MS_NS) == 0)
            ;
    }
}

static void lend_paused(struct fault_ctx *ctx, const struct fault_target *target, bool paused)
{
    struct context *context = ctx->run;
    int before = paused ? PHASE_UP : PHASE_PAUSED;

    /* one that died meanwhile, or is being started again, is not up because a pause has ended */
    if (target->node && atomic_compare_exchange_strong(&target->node->phase, &before,
                                                       paused ? PHASE_PAUSED : PHASE_UP))
        node_state(context->run, target->node, paused ? NODE_PAUSED : NODE_UP);
}

int run_start_node(struct run *run, struct node *node, struct deadline deadline, struct err *err)
{
    struct cluster_slot *slot = run_slot_of(run, node->plan->id);
    int result;

    if (atomic_load(&node->phase) == PHASE_UP)
        return 0;
    if (cluster_start_node(slot, node, err) < 0)
        return -1;
    node_state(run, node, NODE_STARTING);
    pthread_mutex_lock(&slot->control);
    result = slot->cluster.ops->rejoined(&slot->cluster, node, deadline, err);
    pthread_mutex_unlock(&slot->control);
    if (result < 0) {
        err_prefix(err, "node %s: started again, but has not rejoined", node->plan->name);
        node_blame(node, err);
        return -1;
    }
    atomic_store(&node->phase, PHASE_UP);
    node_state(run, node, NODE_UP);
    return 0;
}

static int lend_start(struct fault_ctx *ctx, struct node *node, struct deadline deadline,
                      struct err *err)
{
    struct context *context = ctx->run;

    return run_start_node(context->run, node, deadline, err);
}

static int lend_wipe(struct fault_ctx *ctx, struct node *node, struct err *err)
{
    struct context *context = ctx->run;

    if (cluster_wipe_node(node, err) < 0)
        return -1;
    chronicle(context->run, (struct event){.type = EV_HAZARD,
                                           .code = HAZARD_WIPED,
                                           .unit = NO_UNIT,
                                           .node = node->plan->id,
                                           .value = 1});
    return 0;
}

static int lend_squeeze(struct fault_ctx *ctx, struct node *node, bool on, struct deadline deadline,
                        struct err *err)
{
    struct context *context = ctx->run;
    struct cluster_slot *slot = run_slot_of(context->run, node->plan->id);
    int result;

    if (!slot->cluster.ops->squeeze)
        return err_set(err, "%s has no memory limit to lower", node->plan->name);
    pthread_mutex_lock(&slot->control);
    result = slot->cluster.ops->squeeze(&slot->cluster, node, on, deadline, err);
    pthread_mutex_unlock(&slot->control);
    return result;
}

static struct context lend(struct run *run, struct window *window)
{
    return (struct context){.ctx = {.sandbox = run->sandbox,
                                    .plan = run->plan,
                                    .resolve = lend_resolve,
                                    .everybody = lend_everybody,
                                    .doomed = lend_doomed,
                                    .start = lend_start,
                                    .died = lend_died,
                                    .severs = lend_severs,
                                    .paused = lend_paused,
                                    .squeeze = lend_squeeze,
                                    .wipe = lend_wipe},
                            .run = run,
                            .window = window};
}

/* ---- healing */

int window_heal(struct run *run, struct window *window, struct err *err)
{
    struct context context = lend(run, window);
    struct witness w = {0};
    int result;

    pthread_mutex_lock(&run->lock);
    if (!window->open) {
        pthread_mutex_unlock(&run->lock);
        return 0;
    }
    window->open = false;
    window->healing = true;
    pthread_mutex_unlock(&run->lock);
    pthread_mutex_lock(&window->state_lock);
    context.ctx.run = &context;
    if (window->ops->probe && window->ops->probe(&context.ctx, window->state, &w) == 0) {
        if (w.effective && !atomic_exchange(&window->bitten, true))
            stamp(run, window, STAMP_BITTEN, 0, &w, true);
        stamp(run, window, STAMP_PROBED, 0, &w, w.effective);
    }
    w = (struct witness){0};
    stamp(run, window, STAMP_HEAL_DECIDED, 0, NULL, true);
    result = window->ops->heal
                 ? window->ops->heal(&context.ctx, window->state, &w,
                                     deadline_within(run->deadline, HEAL_WITHIN_NS), err)
                 : 0;
    pthread_mutex_unlock(&window->state_lock);
    stamp(run, window, STAMP_HEAL_ASKED, w.asked_ns, NULL, true);
    stamp(run, window, STAMP_HEAL_EFFECTIVE, w.effective_ns, &w, result == 0);
    pthread_mutex_lock(&run->lock);
    window->healing = false;
    pthread_mutex_unlock(&run->lock);
    if (result < 0)
        return err_prefix(err, "healing %s", window->name[0] ? window->name : window->ops->name);
    progress(run, "healed: %s%s%s", window->ops->name, window->name[0] ? " " : "", window->name);
    return 0;
}

int window_heal_named(struct run *run, const char *name, struct err *err)
{
    bool found = false;

    for (size_t i = 0; i < run->n_windows; i++)
        if (strcmp(run->windows[i].name, name) == 0) {
            found = true;
            if (window_heal(run, &run->windows[i], err) < 0)
                return -1;
        }
    return found ? 0 : err_set(err, "heal: no open window is called %s", name);
}

/* Newest first: a pause inside a cut ends before the cut does. One that cannot be healed does not
 * keep the others open; the first error is told. */
int window_heal_all(struct run *run, struct err *err)
{
    struct err later = {0};
    int result = 0;

    for (size_t i = run->n_windows; i-- > 0;)
        if (strcmp(run->windows[i].ops->inverse ? run->windows[i].ops->inverse : "", "start") !=
                0 &&
            window_heal(run, &run->windows[i], result < 0 ? &later : err) < 0)
            result = -1;
    return result;
}

static bool shares_target(const struct window *window, const struct fault_targets *targets)
{
    for (size_t i = 0; i < window->targets.n; i++)
        for (size_t j = 0; j < targets->n; j++)
            if (strcmp(window->targets.items[i].address, targets->items[j].address) == 0)
                return true;
    return false;
}

int window_heal_targets(struct run *run, const char *inverse, const struct fault_targets *targets,
                        struct err *err)
{
    for (size_t i = 0; i < run->n_windows; i++) {
        struct window *window = &run->windows[i];

        if (window->open && window->ops->inverse && strcmp(window->ops->inverse, inverse) == 0 &&
            shares_target(window, targets) && window_heal(run, window, err) < 0)
            return -1;
    }
    return 0;
}

size_t windows_unhealed(struct run *run)
{
    size_t n = 0;

    pthread_mutex_lock(&run->lock);
    for (size_t i = 0; i < run->n_windows; i++)
        n += run->windows[i].open || run->windows[i].healing;
    pthread_mutex_unlock(&run->lock);
    return n;
}

/* ---- injecting */

static struct window *new_window(struct run *run, const struct step *step, struct err *err)
{
    struct window *window = NULL;

    pthread_mutex_lock(&run->lock);
    if (run->n_windows < WINDOWS_MAX) {
        window = &run->windows[run->n_windows];
        *window = (struct window){.id = (uint32_t)run->n_windows + 1,
                                  .ops = step->fault,
                                  .args = step->args,
                                  .step = step->index,
                                  .state_lock = PTHREAD_MUTEX_INITIALIZER,
                                  .state = run_alloc(run, step->fault->state_size + 1)};
        snprintf(window->name, sizeof(window->name), "%s",
                 step->common.name ? step->common.name : "");
        run->n_windows++;
    }
    pthread_mutex_unlock(&run->lock);
    if (!window)
        err_set(err, "more than %d faults in one case", WINDOWS_MAX);
    return window;
}

struct timed_heal {
    struct run *run;
    struct window *window;
    int64_t at_ns;
};

static void *timed_heal_main(void *argument)
{
    struct timed_heal *timed = argument;
    struct deadline until = {.at_ns = timed->at_ns, .cancel = &timed->run->cancel};
    struct err err = {0};

    while (timed->window->open && deadline_sleep(&until, SECOND_NS) == 0)
        ;
    if (window_heal(timed->run, timed->window, &err) < 0)
        run_break(timed->run, &err);
    return NULL;
}

static int heal_later(struct run *run, struct window *window, int64_t for_ns, struct err *err)
{
    struct timed_heal *timed = run_alloc(run, sizeof(*timed));

    *timed = (struct timed_heal){run, window, clock_now_ns() + for_ns};
    window->heal_at_ns = timed->at_ns;
    return run_track(run, timed_heal_main, timed, err);
}

/* A window has bitten once its witness says so before the heal: asked at once (a killed node may be
 * started again before the next tick) and every tick until it has. */
static void look_whether_bitten(struct run *run, struct window *window)
{
    struct context context = lend(run, window);
    struct witness w = {0};

    if (!window->ops->probe || pthread_mutex_trylock(&window->state_lock) != 0)
        return; /* it is being healed: that looks, too */
    context.ctx.run = &context;
    if (window->open && window->ops->probe(&context.ctx, window->state, &w) == 0 && w.effective &&
        window->open && !atomic_exchange(&window->bitten, true))
        stamp(run, window, STAMP_BITTEN, 0, &w, true);
    pthread_mutex_unlock(&window->state_lock);
}

/* One that was to die and would not says why in its log. */
static int blame_doomed(const struct fault_targets *targets, struct err *err)
{
    for (size_t i = 0; i < targets->n; i++) {
        struct node *node = targets->items[i].node;

        if (node && atomic_load(&node->phase) == PHASE_DEAD && keeper_alive(node->keeper)) {
            node_blame(node, err);
            break;
        }
    }
    return -1;
}

int window_open(struct run *run, const struct step *step, struct err *err)
{
    struct window *window = new_window(run, step, err);
    struct context context;
    struct witness w = {0};
    char targets[300];
    int64_t decided_ns = clock_now_ns();
    int result;

    if (!window)
        return -1;
    context = lend(run, window);
    context.ctx.run = &context;
    pthread_mutex_lock(&window->state_lock);
    window->open = true;
    result = step->fault->inject(&context.ctx, step->args, window->state, &w,
                                 deadline_within(run->deadline, INJECT_WITHIN_NS), err);
    pthread_mutex_unlock(&window->state_lock);
    describe_targets(&window->targets, targets, sizeof(targets));
    chronicle(run, (struct event){.type = EV_FAULT,
                                  .at_ns = decided_ns,
                                  .epoch = window->id,
                                  .code = STAMP_DECIDED,
                                  .node = NO_NODE,
                                  .value = window->step + 1,
                                  .ref = chronicle_text(run, "%s|%s|%s", step->fault->name,
                                                        window->name, targets),
                                  .outcome_level = event_result(OUTCOME_OK, LEVEL_NONE)});
    stamp_sides(run, window, w.asked_ns);
    stamp(run, window, STAMP_EFFECTIVE, w.effective_ns, &w, result == 0 && w.effective);
    if (result < 0)
        return blame_doomed(&window->targets, err);
    look_whether_bitten(run, window);
    window->injected = true;
    progress(run, "%s → %s", step->text, w.text[0] ? w.text : targets);
    if (step->common.for_ns > 0 && window->ops->heal)
        return heal_later(run, window, step->common.for_ns, err);
    if (!window->ops->heal && !window->ops->inverse)
        window->open = false;
    return 0;
}

void windows_tick(struct run *run)
{
    for (size_t i = 0; i < run->n_windows; i++) {
        struct window *window = &run->windows[i];

        if (window->open && !window->bitten && window->injected)
            look_whether_bitten(run, window);
    }
}
