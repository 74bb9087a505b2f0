/* Shared by kill, crash, stop and restart. See death.h. */
#include "faults/death.h"

#include "api/system.h"
#include "sandbox/sandbox.h"

#include <signal.h>
#include <stdio.h>

#define STOP_WITHIN_NS (30 * SECOND_NS)

const struct param death_params[] = {
    {"target", PARAM_EXPR, offsetof(struct death_args, target), .required = true,
     .help = "role, $name, client: leader(orders/0), $old, one(worker)"},
    {0}};

int death_draw(struct arena *arena, const char *target, void *arguments)
{
    struct death_args *args = arguments;
    struct err err;

    args->target = expr_parse(target, arena, &no_mark, &err);
    return args->target ? 0 : -1;
}

int death_wait(const struct fault_target *target, struct deadline deadline, struct err *err)
{
    int status;

    if (target->node)
        return keeper_wait_dead(target->node->keeper, deadline, err);
    while (target->child && !child_dead(target->child, &status))
        if (deadline_sleep(&deadline, MS_NS) < 0)
            return err_set(err, "%s: still alive", target->name);
    return 0;
}

int death_kill(struct fault_ctx *ctx, struct death_state *state, struct witness *w,
               struct deadline deadline, struct err *err)
{
    struct fault_targets *targets = &state->targets;

    for (size_t i = 0; i < targets->n; i++)
        ctx->doomed(ctx, &targets->items[i]);
    w->asked_ns = clock_now_ns();
    for (size_t i = 0; i < targets->n; i++) {
        struct fault_target *t = &targets->items[i];
        int result = t->node    ? keeper_signal(t->node->keeper, SIGKILL, err)
                     : t->child ? child_signal(t->child, SIGKILL, err)
                                : err_set(err, "%s is not running", t->name);

        if (result < 0)
            return -1;
    }
    for (size_t i = 0; i < targets->n; i++)
        if (death_wait(&targets->items[i], deadline, err) < 0)
            return -1;
    w->effective_ns = clock_now_ns();
    w->effective = true;
    w->count = (int64_t)targets->n;
    for (size_t i = 0; i < targets->n; i++)
        ctx->died(ctx, &targets->items[i], SIGKILL);
    return 0;
}

int death_stop(struct fault_ctx *ctx, struct death_state *state, struct witness *w,
               struct deadline deadline, struct err *err)
{
    w->asked_ns = clock_now_ns();
    for (size_t i = 0; i < state->targets.n; i++) {
        struct fault_target *t = &state->targets.items[i];
        int64_t within_ns =
            t->node && t->node->spec.stop_within_ns ? t->node->spec.stop_within_ns : STOP_WITHIN_NS;
        int64_t began_ns = clock_now_ns();

        ctx->doomed(ctx, t);
        if ((t->node ? keeper_terminate(t->node->keeper, err)
                     : child_signal(t->child, SIGTERM, err)) < 0 ||
            death_wait(t, deadline_within(deadline, within_ns), err) < 0)
            return err_prefix(err, "SIGTERM, and %.0f s later",
                              (double)(clock_now_ns() - began_ns) / 1e9);
        ctx->died(ctx, t, SIGTERM);
    }
    w->effective_ns = clock_now_ns();
    w->effective = true;
    w->count = (int64_t)state->targets.n;
    return 0;
}

int death_probe(struct fault_ctx *ctx, const void *state, struct witness *w)
{
    const struct death_state *death = state;

    (void)ctx;
    for (size_t i = 0; i < death->targets.n; i++)
        if (death->targets.items[i].node && !keeper_alive(death->targets.items[i].node->keeper))
            w->count++;
    w->effective = w->count > 0 || death->targets.items[0].child;
    snprintf(w->text, sizeof(w->text), "%d dead", (int)w->count);
    return 0;
}

int death_heal(struct fault_ctx *ctx, void *state, struct witness *w, struct deadline deadline,
               struct err *err)
{
    struct death_state *death = state;

    w->asked_ns = clock_now_ns();
    for (size_t i = 0; i < death->targets.n; i++) {
        struct node *node = death->targets.items[i].node;

        if (node && atomic_load(&node->phase) == PHASE_DEAD &&
            ctx->start(ctx, node, deadline, err) < 0)
            return -1;
    }
    w->effective_ns = clock_now_ns();
    w->effective = true;
    return 0;
}
