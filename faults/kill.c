/*
 * kill: SIGKILL of every process of a server, or of a client. The kernel says FIN or RST for the
 * dead and goes on sending what they had buffered: `crash` is the fault without that mercy.
 */
#include "faults/death.h"

static int kill_inject(struct fault_ctx *ctx, const void *arguments, void *state, struct witness *w,
                       struct deadline deadline, struct err *err)
{
    const struct death_args *args = arguments;
    struct death_state *death = state;

    if (ctx->resolve(ctx, args->target, &death->targets, err) < 0)
        return -1;
    return death_kill(ctx, death, w, deadline, err);
}

const struct fault_ops kill_fault = {
    .name = "kill",
    .about = "SIGKILL of a server's processes or of a client",
    .params = death_params,
    .args_size = sizeof(struct death_args),
    .state_size = sizeof(struct death_state),
    .inverse = "start",
    .needs = {"pidfd"},
    .inject = kill_inject,
    .probe = death_probe,
    .heal = death_heal,
    .draw = death_draw,
};
