/*
 * Triggers: at: {client, step, nth}, the one form in which a script names a point of a client's
 * work. Leaves out random numbers: draws.c has made them plain ones.
 */
#include "plan/build.h"

#include "api/workload.h"
#include "plan/tables.h"
#include "suite/nearest.h"
#include "suite/params.h"
#include "suite/tree.h"

#include <string.h>

static int read_nths(struct build *b, const struct tree *nth, struct trigger *out)
{
    static const struct param one = {"nth", PARAM_INT, 0, .min = 1, .max = INT64_C(1) << 40};
    size_t n = nth->kind == TREE_LIST ? nth->n : 1;
    int64_t *all;

    if (nth->kind == TREE_MAP)
        return mark_err(b->err, &nth->mark, "nth: expected a number or {random: [a, b]}");
    if (n == 0)
        return mark_err(b->err, &nth->mark, "nth: an empty list");
    all = arena_alloc(b->arena, n * sizeof(*all));
    for (size_t i = 0; i < n; i++)
        if (param_scalar(&one, nth->kind == TREE_LIST ? nth->items[i] : nth, &all[i], b->arena,
                         b->err) < 0)
            return -1;
    out->nth = all[0];
    out->nths = nth->kind == TREE_LIST ? all : NULL;
    out->n_nths = nth->kind == TREE_LIST ? n : 0;
    return 0;
}

int check_step_name(struct build *b, const struct tree_mark *mark, const char *name)
{
    const struct workload_ops *workload = b->c->workload;
    struct nearest near = nearest_to(name);

    for (const char *const *step = workload->steps; step && *step; step++) {
        if (strcmp(*step, name) == 0)
            return 0;
        nearest_offer(&near, *step);
    }
    return mark_err(b->err, mark, "workload %s has no step \"%s\"%s", workload->name, name,
                    nearest_hint(&near));
}

int read_trigger(struct build *b, const struct tree *at, bool needs_client, struct trigger *out)
{
    struct at_raw raw = {0};

    out->nth = 1;
    if (at->kind != TREE_MAP)
        return mark_err(b->err, &at->mark, "at: expected {client: …, step: …, nth: …}");
    if (param_fill(at_params, at, &raw, b->arena, b->err) < 0)
        return -1;
    if (!raw.client && needs_client)
        return mark_err(b->err, &at->mark, "at: \"client\" is missing");
    if (raw.client && !client_of_word(b->c, raw.client))
        return unknown_client(b, &tree_get(at, "client")->mark, raw.client);
    if (check_step_name(b, &tree_get(at, "step")->mark, raw.step) < 0)
        return -1;
    out->client = raw.client;
    out->step = raw.step;
    return raw.nth ? read_nths(b, raw.nth, out) : 0;
}
