/* stop: SIGTERM, the planned way down; the server has the time its system grants it, then it counts
 * as hung. */
#include "faults/death.h"

#include "api/system.h"
#include "sandbox/sandbox.h"

#include <signal.h>

#define STOP_WITHIN_NS (30 * SECOND_NS)

static int stop_inject(struct fault_ctx *ctx, const void *arguments, void *state, struct witness *w,
                       struct deadline deadline, struct err *err)
{
    const struct death_args *args = arguments;
    struct death_state *death = state;

    if (ctx->resolve(ctx, args->target, &death->targets, err) < 0)
        return -1;
    w->asked_ns = clock_now_ns();
    for (size_t i = 0; i < death->targets.n; i++) {
        struct fault_target *t = &death->targets.items[i];
        int64_t within_ns =
            t->node && t->node->spec.stop_within_ns ? t->node->spec.stop_within_ns : STOP_WITHIN_NS;

        ctx->doomed(ctx, t);
        if ((t->node ? keeper_terminate(t->node->keeper, err)
                     : child_signal(t->child, SIGTERM, err)) < 0 ||
            death_wait(t, deadline_within(deadline, within_ns), err) < 0)
            return err_prefix(err, "%s: SIGTERM", t->name);
        ctx->died(ctx, t, SIGTERM);
    }
    w->effective_ns = clock_now_ns();
    w->effective = true;
    w->count = (int64_t)death->targets.n;
    return 0;
}

const struct fault_ops stop_fault = {
    .name = "stop",
    .about = "SIGTERM: a planned shutdown",
    .params = death_params,
    .args_size = sizeof(struct death_args),
    .state_size = sizeof(struct death_state),
    .inverse = "start",
    .inject = stop_inject,
    .probe = death_probe,
    .heal = death_heal,
    .draw = death_draw,
};
