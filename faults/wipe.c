/*
 * wipe: a dead server's disk is replaced by a new one: its data folder is emptied and holds again
 * only what a first start finds there (its config, an identity where the system wants one before
 * the start). Kill it first. Does not heal: what was on the disk is gone.
 */
#include "api/fault.h"
#include "api/system.h"
#include "plan/plan.h"

#include <stddef.h>
#include <stdio.h>

struct wipe_args {
    struct expr *target;
};
struct wipe_state {
    size_t wiped;
};

static const struct param wipe_params[] = {{"target", PARAM_EXPR,
                                            offsetof(struct wipe_args, target), .required = true,
                                            .help = "dead servers: a role, $name or node"},
                                           {0}};

static int wipe_inject(struct fault_ctx *ctx, const void *arguments, void *state, struct witness *w,
                       struct deadline deadline, struct err *err)
{
    const struct wipe_args *args = arguments;
    struct wipe_state *wipe = state;
    struct fault_targets targets = {.n = 0};

    (void)deadline;
    if (ctx->resolve(ctx, args->target, &targets, err) < 0)
        return -1;
    w->asked_ns = clock_now_ns();
    for (size_t i = 0; i < targets.n; i++) {
        if (!targets.items[i].node)
            return err_set(err, "%s is a client: it has no disk", targets.items[i].name);
        if (ctx->wipe(ctx, targets.items[i].node, err) < 0)
            return -1;
        wipe->wiped++;
    }
    w->effective_ns = clock_now_ns();
    w->effective = true;
    w->count = (int64_t)wipe->wiped;
    return 0;
}

static int wipe_probe(struct fault_ctx *ctx, const void *state, struct witness *w)
{
    const struct wipe_state *wipe = state;

    (void)ctx;
    w->count = (int64_t)wipe->wiped;
    w->effective = wipe->wiped > 0;
    return 0;
}

const struct fault_ops wipe_fault = {
    .name = "wipe",
    .about = "a dead server's disk is replaced by an empty one",
    .params = wipe_params,
    .args_size = sizeof(struct wipe_args),
    .state_size = sizeof(struct wipe_state),
    .inject = wipe_inject,
    .probe = wipe_probe,
};
