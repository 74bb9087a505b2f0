/*
 * pause: SIGSTOP of every process of a server, or of a client; effective when all are seen stopped.
 * The kernel goes on acknowledging into the stopped process's socket buffers: pausing a replica
 * loses nothing (CATALOGUE: R02).
 */
#include "faults/death.h"

#include "api/system.h"
#include "sandbox/sandbox.h"

#include <signal.h>

static int pause_signal(const struct fault_target *t, int signal, struct err *err)
{
    if (t->node)
        return keeper_signal(t->node->keeper, signal, err);
    return t->child ? child_signal(t->child, signal, err)
                    : err_set(err, "%s is not running", t->name);
}

static int pause_inject(struct fault_ctx *ctx, const void *arguments, void *state,
                        struct witness *w, struct deadline deadline, struct err *err)
{
    const struct death_args *args = arguments;
    struct death_state *paused = state;

    if (ctx->resolve(ctx, args->target, &paused->targets, err) < 0)
        return -1;
    w->asked_ns = clock_now_ns();
    for (size_t i = 0; i < paused->targets.n; i++)
        if (pause_signal(&paused->targets.items[i], SIGSTOP, err) < 0)
            return -1;
    for (size_t i = 0; i < paused->targets.n; i++) {
        struct fault_target *t = &paused->targets.items[i];

        if ((t->node ? keeper_wait_stopped(t->node->keeper, deadline, err)
                     : child_wait_stopped(t->child, deadline, err)) < 0)
            return -1;
        ctx->paused(ctx, t, true);
    }
    w->effective_ns = clock_now_ns();
    w->effective = true;
    w->count = (int64_t)paused->targets.n;
    return 0;
}

static int pause_probe(struct fault_ctx *ctx, const void *state, struct witness *w)
{
    const struct death_state *paused = state;
    struct err err;

    (void)ctx;
    for (size_t i = 0; i < paused->targets.n; i++) {
        const struct fault_target *t = &paused->targets.items[i];
        struct deadline now = deadline_in(5 * MS_NS, NULL);

        if ((t->node ? keeper_wait_stopped(t->node->keeper, now, &err)
                     : child_wait_stopped(t->child, now, &err)) == 0)
            w->count++;
    }
    w->effective = w->count == (int64_t)paused->targets.n;
    return 0;
}

static int pause_heal(struct fault_ctx *ctx, void *state, struct witness *w,
                      struct deadline deadline, struct err *err)
{
    struct death_state *paused = state;

    (void)deadline;
    w->asked_ns = clock_now_ns();
    for (size_t i = 0; i < paused->targets.n; i++) {
        if (pause_signal(&paused->targets.items[i], SIGCONT, err) < 0)
            return -1;
        ctx->paused(ctx, &paused->targets.items[i], false);
    }
    w->effective_ns = clock_now_ns();
    w->effective = true;
    return 0;
}

const struct fault_ops pause_fault = {
    .name = "pause",
    .about = "SIGSTOP of a server's processes or of a client, until `resume`",
    .params = death_params,
    .args_size = sizeof(struct death_args),
    .state_size = sizeof(struct death_state),
    .inverse = "resume",
    .needs_end = true,
    .inject = pause_inject,
    .probe = pause_probe,
    .heal = pause_heal,
    .draw = death_draw,
};
