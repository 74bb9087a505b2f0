/*
 * squeeze: a server's memory limit is lowered below what it holds, as if its data had grown past
 * it; healing puts the limit back. What it does then is its own affair: it blocks publishers,
 * refuses writes, evicts. Only systems with such a limit offer it (system_ops.squeeze). Effective
 * when the server says so itself. Source: rabbitmq.com/memory.html, redis.io "Key eviction".
 */
#include "faults/death.h"

#include "api/system.h"
#include "plan/plan.h"

static int squeeze_validate(const void *args, const struct plan_case *plan, struct err *err)
{
    (void)args;
    for (size_t c = 0; c < plan->n_clusters; c++)
        if (plan->clusters[c].system->squeeze)
            return 0;
    return err_input(err, "squeeze: no system of this case has a memory limit to lower");
}

static int each_target(struct fault_ctx *ctx, struct death_state *squeezed, bool on,
                       struct deadline deadline, struct err *err)
{
    int result = 0;

    for (size_t i = 0; i < squeezed->targets.n && result == 0; i++) {
        struct fault_target *t = &squeezed->targets.items[i];

        result = t->node ? ctx->squeeze(ctx, t->node, on, deadline, err)
                         : err_set(err, "%s is a client: it has no limit", t->name);
    }
    return result;
}

static int squeeze_inject(struct fault_ctx *ctx, const void *arguments, void *state,
                          struct witness *w, struct deadline deadline, struct err *err)
{
    const struct death_args *args = arguments;
    struct death_state *squeezed = state;

    if (ctx->resolve(ctx, args->target, &squeezed->targets, err) < 0)
        return -1;
    w->asked_ns = clock_now_ns();
    if (each_target(ctx, squeezed, true, deadline, err) < 0)
        return -1;
    w->effective_ns = clock_now_ns();
    w->effective = true;
    w->count = (int64_t)squeezed->targets.n;
    return 0;
}

/* The server said so when it was asked, and nobody else moves its limit. */
static int squeeze_probe(struct fault_ctx *ctx, const void *state, struct witness *w)
{
    const struct death_state *squeezed = state;

    (void)ctx;
    w->count = (int64_t)squeezed->targets.n;
    w->effective = squeezed->targets.n > 0;
    return 0;
}

static int squeeze_heal(struct fault_ctx *ctx, void *state, struct witness *w,
                        struct deadline deadline, struct err *err)
{
    w->asked_ns = clock_now_ns();
    if (each_target(ctx, state, false, deadline, err) < 0)
        return -1;
    w->effective_ns = clock_now_ns();
    w->effective = true;
    return 0;
}

const struct fault_ops squeeze_fault = {
    .name = "squeeze",
    .about = "a server's memory limit is lowered below what it holds",
    .params = death_params,
    .args_size = sizeof(struct death_args),
    .state_size = sizeof(struct death_state),
    .inverse = "heal",
    .needs_end = true,
    .validate = squeeze_validate,
    .inject = squeeze_inject,
    .probe = squeeze_probe,
    .heal = squeeze_heal,
};
