/*
 * crash: the machine is gone. All links of the target are cut first, then it is killed and its
 * sockets are destroyed, so that nothing it had buffered is ever sent; only then the links heal.
 */
#include "faults/death.h"

#include "api/system.h"
#include "sandbox/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cut *cut_from_everybody(struct fault_ctx *ctx, const struct fault_targets *targets,
                                      struct err *err)
{
    struct fault_targets all;
    struct cut_pair *pairs;
    struct cut *cut;
    size_t n = 0;

    ctx->everybody(ctx, &all);
    pairs = calloc(2 * targets->n * all.n + 1, sizeof(*pairs));
    if (!pairs)
        abort();
    for (size_t i = 0; i < targets->n; i++)
        for (size_t j = 0; j < all.n; j++) {
            if (strcmp(targets->items[i].address, all.items[j].address) == 0)
                continue;
            snprintf(pairs[n].from, sizeof(pairs[n].from), "%s", targets->items[i].address);
            snprintf(pairs[n++].to, sizeof(pairs[0].to), "%s", all.items[j].address);
            snprintf(pairs[n].from, sizeof(pairs[n].from), "%s", all.items[j].address);
            snprintf(pairs[n++].to, sizeof(pairs[0].to), "%s", targets->items[i].address);
        }
    cut = switch_cut(ctx->sandbox, pairs, n, NULL, 0, err);
    free(pairs);
    return cut;
}

static int destroy_sockets(const struct death_state *death, struct err *err)
{
    for (size_t i = 0; i < death->targets.n; i++)
        if (death->targets.items[i].node &&
            keeper_destroy_sockets(death->targets.items[i].node->keeper, err) < 0)
            return -1;
    return 0;
}

static int crash_inject(struct fault_ctx *ctx, const void *arguments, void *state,
                        struct witness *w, struct deadline deadline, struct err *err)
{
    const struct death_args *args = arguments;
    struct death_state *death = state;
    int result;

    if (ctx->resolve(ctx, args->target, &death->targets, err) < 0)
        return -1;
    death->cut = cut_from_everybody(ctx, &death->targets, err);
    if (!death->cut)
        return -1;
    result = death_kill(ctx, death, w, deadline, err);
    if (result == 0)
        result = destroy_sockets(death, err);
    if (switch_heal(ctx->sandbox, death->cut, err) < 0)
        return -1;
    death->cut = NULL;
    return result;
}

static int crash_heal(struct fault_ctx *ctx, void *state, struct witness *w,
                      struct deadline deadline, struct err *err)
{
    struct death_state *death = state;

    if (death->cut && switch_heal(ctx->sandbox, death->cut, err) < 0) /* after half an inject */
        return -1;
    death->cut = NULL;
    return death_heal(ctx, state, w, deadline, err);
}

const struct fault_ops crash_fault = {
    .name = "crash",
    .about = "the machine is gone: links cut, processes killed, sockets destroyed",
    .params = death_params,
    .args_size = sizeof(struct death_args),
    .state_size = sizeof(struct death_state),
    .inverse = "start",
    .needs = {"nft bridge family", "SOCK_DESTROY", "pidfd"},
    .inject = crash_inject,
    .probe = death_probe,
    .heal = crash_heal,
    .draw = death_draw,
};
