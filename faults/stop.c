/* stop: SIGTERM, the planned way down; the server has the time its system grants it, then it counts
 * as hung. */
#include "faults/death.h"

static int stop_inject(struct fault_ctx *ctx, const void *arguments, void *state, struct witness *w,
                       struct deadline deadline, struct err *err)
{
    const struct death_args *args = arguments;
    struct death_state *death = state;

    if (ctx->resolve(ctx, args->target, &death->targets, err) < 0)
        return -1;
    return death_stop(ctx, death, w, deadline, err);
}

const struct fault_ops stop_fault = {
    .name = "stop",
    .about = "SIGTERM: a planned shutdown",
    .params = death_params,
    .args_size = sizeof(struct death_args),
    .state_size = sizeof(struct death_state),
    .inverse = "start",
    .needs = {"pidfd"},
    .inject = stop_inject,
    .probe = death_probe,
    .heal = death_heal,
    .draw = death_draw,
};
