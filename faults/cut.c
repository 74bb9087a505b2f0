/*
 * cut: packets between two sides are dropped in the switch, both ways or one way, established flows
 * included. Effective when the kernel has acknowledged the transaction; bitten once its counter
 * rose.
 *
 * Shapes: between: [A, B] · isolate: X · halves: [A, …] (those against the rest of the nodes) ·
 * ring: [A, B, C, …] (each sees only its neighbours) · bridge: [A, B, C] (A and C see only B).
 */
#include "api/fault.h"
#include "api/system.h"
#include "base/arena.h"
#include "plan/plan.h"
#include "sandbox/sandbox.h"
#include "suite/nearest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 1024
#define PORTS_MAX 16

struct cut_args {
    struct expr *between, *isolate, *halves, *ring, *bridge;
    bool one_way;
    const char *plane;
};

struct cut_state {
    struct cut *cut;
    int64_t packets;
};

struct pair_list {
    struct cut_pair items[PAIRS_MAX];
    size_t n;
};

static bool among(const struct fault_targets *set, const char *address)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->items[i].address, address) == 0)
            return true;
    return false;
}

static void add_pair(struct pair_list *pairs, const char *from, const char *to)
{
    if (pairs->n == PAIRS_MAX || strcmp(from, to) == 0)
        return;
    snprintf(pairs->items[pairs->n].from, sizeof(pairs->items[0].from), "%s", from);
    snprintf(pairs->items[pairs->n].to, sizeof(pairs->items[0].to), "%s", to);
    pairs->n++;
}

static void add_sides(struct pair_list *pairs, const struct fault_targets *a,
                      const struct fault_targets *b, bool one_way)
{
    for (size_t i = 0; i < a->n; i++)
        for (size_t j = 0; j < b->n; j++) {
            add_pair(pairs, a->items[i].address, b->items[j].address);
            if (!one_way)
                add_pair(pairs, b->items[j].address, a->items[i].address);
        }
}

/* Everybody but `inside`; servers only, or clients too. */
static void rest_of(struct fault_ctx *ctx, const struct fault_targets *inside, bool clients_too,
                    struct fault_targets *out)
{
    struct fault_targets all;

    ctx->everybody(ctx, &all);
    out->n = 0;
    for (size_t i = 0; i < all.n; i++)
        if (!among(inside, all.items[i].address) && (clients_too || all.items[i].node))
            out->items[out->n++] = all.items[i];
}

static int sides_of(struct fault_ctx *ctx, const struct cut_args *args, struct pair_list *pairs,
                    struct err *err)
{
    struct fault_targets a, b;

    if (args->between) {
        if (ctx->resolve(ctx, args->between->args[0], &a, err) < 0 ||
            ctx->resolve(ctx, args->between->args[1], &b, err) < 0)
            return -1;
    } else if (args->isolate) {
        if (ctx->resolve(ctx, args->isolate, &a, err) < 0)
            return -1;
        rest_of(ctx, &a, true, &b);
    } else {
        if (ctx->resolve(ctx, args->halves, &a, err) < 0)
            return -1;
        rest_of(ctx, &a, false, &b);
    }
    add_sides(pairs, &a, &b, args->one_way);
    return 0;
}

/* ring: i sees i-1 and i+1 only. bridge: the one in the middle sees both ends, the ends not each
 * other. */
static int links_of(struct fault_ctx *ctx, const struct cut_args *args, struct pair_list *pairs,
                    struct err *err)
{
    struct fault_targets t;

    if (ctx->resolve(ctx, args->ring ? args->ring : args->bridge, &t, err) < 0)
        return -1;
    if (t.n < 3)
        return err_set(err, "%s: takes three nodes or more", args->ring ? "ring" : "bridge");
    for (size_t i = 0; i < t.n; i++)
        for (size_t j = 0; j < t.n; j++) {
            size_t apart = (i + t.n - j) % t.n;
            bool linked = args->ring
                              ? apart <= 1 || apart == t.n - 1
                              : i == t.n / 2 || j == t.n / 2 || (i < t.n / 2) == (j < t.n / 2);

            if (!linked)
                add_pair(pairs, t.items[i].address, t.items[j].address);
        }
    return 0;
}

static size_t ports_of(struct fault_ctx *ctx, const char *plane, uint16_t *ports)
{
    struct fault_targets all;
    size_t n = 0;

    if (!plane)
        return 0;
    ctx->everybody(ctx, &all);
    for (size_t i = 0; i < all.n; i++) {
        const struct system_ops *system = all.items[i].system;

        for (const struct plane *p = system ? system->planes : NULL; p && p->name; p++)
            for (size_t k = 0; strcmp(p->name, plane) == 0 && k < 4 && p->ports[k]; k++) {
                bool known = false;

                for (size_t m = 0; m < n; m++)
                    known |= ports[m] == p->ports[k];
                if (!known && n < PORTS_MAX)
                    ports[n++] = p->ports[k];
            }
    }
    return n;
}

static int cut_inject(struct fault_ctx *ctx, const void *arguments, void *state, struct witness *w,
                      struct deadline deadline, struct err *err)
{
    const struct cut_args *args = arguments;
    struct cut_state *cut = state;
    struct pair_list *pairs = calloc(1, sizeof(*pairs));
    uint16_t ports[PORTS_MAX];
    size_t n_ports = ports_of(ctx, args->plane, ports);
    int result = -1;

    (void)deadline;
    if (!pairs)
        abort();
    if (args->plane && n_ports == 0)
        err_set(err, "no system of this case has a plane %s", args->plane);
    else if (args->ring || args->bridge)
        result = links_of(ctx, args, pairs, err);
    else
        result = sides_of(ctx, args, pairs, err);
    if (result == 0 && pairs->n == 0)
        result = err_set(err, "both sides are the same");
    w->asked_ns = clock_now_ns();
    if (result == 0) {
        cut->cut = switch_cut(ctx->sandbox, pairs->items, pairs->n, ports, n_ports, err);
        result = cut->cut ? 0 : -1;
    }
    w->effective_ns = clock_now_ns();
    w->effective = result == 0;
    snprintf(w->text, sizeof(w->text), "%zu directed links cut%s%s", pairs->n,
             args->plane ? ", plane " : "", args->plane ? args->plane : "");
    free(pairs);
    return result;
}

/* Bites once it has dropped something. */
static int cut_probe(struct fault_ctx *ctx, const void *state, struct witness *w)
{
    const struct cut_state *cut = state;
    struct err err;

    if (!cut->cut || switch_cut_count(ctx->sandbox, cut->cut, &w->count, &err) < 0)
        return -1;
    w->effective = w->count > 0;
    snprintf(w->text, sizeof(w->text), "%" PRId64 " packets dropped", w->count);
    return 0;
}

static int cut_heal(struct fault_ctx *ctx, void *state, struct witness *w, struct deadline deadline,
                    struct err *err)
{
    struct cut_state *cut = state;

    (void)deadline;
    w->asked_ns = clock_now_ns();
    if (cut->cut && switch_heal(ctx->sandbox, cut->cut, err) < 0)
        return -1;
    cut->cut = NULL;
    w->effective_ns = clock_now_ns();
    w->effective = true;
    return 0;
}

static int check_plane(const char *plane, const struct plan_case *plan, struct err *err)
{
    struct nearest near = nearest_to(plane);

    for (size_t c = 0; c < plan->n_clusters; c++)
        for (const struct plane *p = plan->clusters[c].system->planes; p && p->name; p++) {
            if (strcmp(p->name, plane) == 0)
                return 0;
            nearest_offer(&near, p->name);
        }
    return err_input(err, "cut: no system of this case has a plane \"%s\"%s", plane,
                     nearest_hint(&near));
}

static int cut_validate(const void *arguments, const struct plan_case *plan, struct err *err)
{
    const struct cut_args *args = arguments;
    int shapes = (args->between != NULL) + (args->isolate != NULL) + (args->halves != NULL) +
                 (args->ring != NULL) + (args->bridge != NULL);

    if (shapes != 1)
        return err_input(err, "cut: takes one of between, isolate, halves, ring, bridge");
    if (args->between && (args->between->kind != EXPR_LIST || args->between->n != 2))
        return err_input(err, "cut: between takes two sides: [$old, $rest]");
    return args->plane ? check_plane(args->plane, plan, err) : 0;
}

static int cut_draw(struct arena *arena, const char *target, void *arguments)
{
    struct cut_args *args = arguments;
    struct err err;

    args->isolate = expr_parse(target, arena, &no_mark, &err);
    return args->isolate ? 0 : -1;
}

static const struct param cut_params[] = {
    {"between", PARAM_EXPR, offsetof(struct cut_args, between), .help = "two sides: [$old, $rest]"},
    {"isolate", PARAM_EXPR, offsetof(struct cut_args, isolate),
     .help = "these against everybody, clients too"},
    {"halves", PARAM_EXPR, offsetof(struct cut_args, halves),
     .help = "these servers against the other servers"},
    {"ring", PARAM_EXPR, offsetof(struct cut_args, ring),
     .help = "each sees only its two neighbours"},
    {"bridge", PARAM_EXPR, offsetof(struct cut_args, bridge),
     .help = "only the one in the middle sees both ends"},
    {"one_way", PARAM_BOOL, offsetof(struct cut_args, one_way), .fallback = "false",
     .help = "only what the first side sends is dropped"},
    {"plane", PARAM_STRING, offsetof(struct cut_args, plane),
     .help = "only this plane's ports: client, replication, controller, bus, mgmt"},
    {0}};

const struct fault_ops cut_fault = {
    .name = "cut",
    .about = "network partition: packets between two sides are dropped",
    .params = cut_params,
    .args_size = sizeof(struct cut_args),
    .state_size = sizeof(struct cut_state),
    .inverse = "heal",
    .needs_end = true,
    .needs = {"nft bridge family"},
    .validate = cut_validate,
    .inject = cut_inject,
    .probe = cut_probe,
    .heal = cut_heal,
    .draw = cut_draw,
};
