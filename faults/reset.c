/*
 * reset: live connections end at once with a reset on both sides, as a load balancer, a firewall or
 * an operator's CLIENT KILL ends them; new ones may be made right after. Heals by itself. It has
 * bitten when there was a connection to end. Source: sock_diag(7), SOCK_DESTROY.
 */
#include "api/fault.h"
#include "sandbox/sandbox.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct reset_args {
    struct expr *of, *to;
};
struct reset_state {
    int64_t ended;
};

static const struct param reset_params[] = {
    {"of", PARAM_EXPR, offsetof(struct reset_args, of), .required = true,
     .help = "whose connections: a role, $name, node or client"},
    {"to", PARAM_EXPR, offsetof(struct reset_args, to),
     .help = "only those with these; without it with anybody of the case"},
    {0}};

static int reset_inject(struct fault_ctx *ctx, const void *arguments, void *state,
                        struct witness *w, struct deadline deadline, struct err *err)
{
    const struct reset_args *args = arguments;
    struct reset_state *reset = state;
    struct fault_targets targets = {.n = 0}, others = {.n = 0};
    const char *peers[FAULT_TARGETS_MAX];

    (void)deadline;
    if (ctx->resolve(ctx, args->of, &targets, err) < 0)
        return -1;
    if (!args->to)
        ctx->everybody(ctx, &others);
    else if (ctx->resolve(ctx, args->to, &others, err) < 0)
        return -1;
    for (size_t i = 0; i < others.n; i++)
        peers[i] = others.items[i].address;
    ctx->severs(ctx);
    w->asked_ns = clock_now_ns();
    for (size_t i = 0; i < targets.n; i++) {
        int64_t ended;

        if (switch_reset(ctx->sandbox, targets.items[i].address, peers, others.n, &ended, err) < 0)
            return -1;
        reset->ended += ended;
    }
    w->effective_ns = clock_now_ns();
    w->effective = true;
    w->count = reset->ended;
    snprintf(w->text, sizeof(w->text), "%lld connections reset", (long long)reset->ended);
    return 0;
}

static int reset_probe(struct fault_ctx *ctx, const void *state, struct witness *w)
{
    const struct reset_state *reset = state;

    (void)ctx;
    w->count = reset->ended;
    w->effective = reset->ended > 0;
    return 0;
}

const struct fault_ops reset_fault = {
    .name = "reset",
    .about = "live connections end with a reset on both sides; new ones may be made",
    .params = reset_params,
    .args_size = sizeof(struct reset_args),
    .state_size = sizeof(struct reset_state),
    .needs = {"SOCK_DESTROY"},
    .inject = reset_inject,
    .probe = reset_probe,
};
