/*
 * restart: down and up again at once, as a supervisor (systemd, Kubernetes) does it: killed or
 * stopped, then started before anybody else has reacted. Heals by itself.
 */
#include "faults/death.h"

#include "api/system.h"
#include "sandbox/sandbox.h"

#include <signal.h>
#include <stdio.h>

struct restart_args {
    struct expr *target;
    int how; /* kill, stop */
};

static const char *const restart_ways[] = {"kill", "stop", NULL};

static int restart_inject(struct fault_ctx *ctx, const void *arguments, void *state,
                          struct witness *w, struct deadline deadline, struct err *err)
{
    const struct restart_args *args = arguments;
    struct death_state *death = state;
    struct witness up = {0};

    if (ctx->resolve(ctx, args->target, &death->targets, err) < 0)
        return -1;
    for (size_t i = 0; i < death->targets.n; i++)
        if (!death->targets.items[i].node)
            return err_set(err, "%s is a client: only servers are restarted",
                           death->targets.items[i].name);
    if ((args->how == 0 ? death_kill : death_stop)(ctx, death, w, deadline, err) < 0 ||
        death_heal(ctx, death, &up, deadline, err) < 0)
        return -1;
    w->count = (int64_t)death->targets.n;
    snprintf(w->text, sizeof(w->text), "down for %.2f s",
             (double)(up.effective_ns - w->effective_ns) / 1e9);
    return 0;
}

/* What it did is over: that the server died was seen by its pidfd. */
static int restart_probe(struct fault_ctx *ctx, const void *state, struct witness *w)
{
    const struct death_state *death = state;

    (void)ctx;
    w->count = (int64_t)death->targets.n;
    w->effective = w->count > 0;
    return 0;
}

static int restart_draw(struct arena *arena, const char *target, void *arguments)
{
    struct restart_args *args = arguments;
    struct err err;

    args->target = expr_parse(target, arena, &no_mark, &err);
    return args->target ? 0 : -1;
}

static const struct param restart_params[] = {
    {"target", PARAM_EXPR, offsetof(struct restart_args, target), .required = true,
     .help = "role, $name or node"},
    {"how", PARAM_CHOICE, offsetof(struct restart_args, how), .choices = restart_ways,
     .fallback = "kill", .help = "SIGKILL or SIGTERM"},
    {0}};

const struct fault_ops restart_fault = {
    .name = "restart",
    .about = "down and up again at once, as a supervisor does it",
    .params = restart_params,
    .args_size = sizeof(struct restart_args),
    .state_size = sizeof(struct death_state),
    .needs = {"pidfd"},
    .inject = restart_inject,
    .probe = restart_probe,
    .heal = death_heal,
    .draw = restart_draw,
};
