/*
 * rate: a link so slow that what goes through it falls behind: a token bucket on both directions of
 * one node's or client's link. It bites once a packet had to wait. A bucket's queue is 50 ms long,
 * then packets are dropped and TCP slows down. Source: tc-tbf(8).
 */
#include "api/fault.h"
#include "sandbox/sandbox.h"

#include <stddef.h>
#include <stdio.h>

struct rate_args {
    struct expr *of;
    int64_t kbit;
};
struct rate_state {
    struct fault_targets targets;
    int64_t kbit;
};

static const struct param rate_params[] = {
    {"of", PARAM_EXPR, offsetof(struct rate_args, of), .required = true,
     .help = "whose link: a role, $name, node or client"},
    {"kbit", PARAM_INT, offsetof(struct rate_args, kbit), .required = true, .min = 1,
     .max = 10000000, .unit = "kbit/s", .help = "how much gets through, each way"},
    {0}};

static int rate_inject(struct fault_ctx *ctx, const void *arguments, void *state, struct witness *w,
                       struct deadline deadline, struct err *err)
{
    const struct rate_args *args = arguments;
    struct rate_state *rate = state;

    (void)deadline;
    if (ctx->resolve(ctx, args->of, &rate->targets, err) < 0)
        return -1;
    rate->kbit = args->kbit;
    w->asked_ns = clock_now_ns();
    for (size_t i = 0; i < rate->targets.n; i++)
        if (switch_rate(ctx->sandbox, rate->targets.items[i].address, args->kbit * 1000, err) < 0)
            return -1;
    w->effective_ns = clock_now_ns();
    w->effective = true;
    snprintf(w->text, sizeof(w->text), "%lld kbit/s each way", (long long)args->kbit);
    return 0;
}

static int rate_probe(struct fault_ctx *ctx, const void *state, struct witness *w)
{
    const struct rate_state *rate = state;

    for (size_t i = 0; i < rate->targets.n; i++) {
        int64_t waited;
        struct err err;

        if (switch_rate_count(ctx->sandbox, rate->targets.items[i].address, &waited, &err) < 0)
            return -1;
        w->count += waited;
    }
    w->effective = w->count > 0;
    return 0;
}

static int rate_heal(struct fault_ctx *ctx, void *state, struct witness *w,
                     struct deadline deadline, struct err *err)
{
    struct rate_state *rate = state;

    (void)deadline;
    w->asked_ns = clock_now_ns();
    for (size_t i = 0; i < rate->targets.n; i++)
        if (switch_rate(ctx->sandbox, rate->targets.items[i].address, 0, err) < 0)
            return -1;
    w->effective_ns = clock_now_ns();
    w->effective = true;
    return 0;
}

const struct fault_ops rate_fault = {
    .name = "rate",
    .about = "a link so slow that what goes through it falls behind, until `heal`",
    .params = rate_params,
    .args_size = sizeof(struct rate_args),
    .state_size = sizeof(struct rate_state),
    .inverse = "heal",
    .needs_end = true,
    .needs = {"tbf"},
    .inject = rate_inject,
    .probe = rate_probe,
    .heal = rate_heal,
};
