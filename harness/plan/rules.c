/*
 * Rules that only show over the whole script (SUITES: Rules): what is broken must be healed, what
 * is healed must have been broken, and a case with twins never waits for an acknowledgement.
 */
#include "plan/build.h"

#include "api/fault.h"
#include "plan/tables.h"
#include "suite/nearest.h"
#include "suite/tree.h"

#include <string.h>

struct flat {
    const struct step *items[1024];
    size_t n;
};

static void flatten(const struct step_list *script, struct flat *out)
{
    struct script_walk walk = script_walk(script);
    const struct step *step;

    while ((step = script_next(&walk)))
        if (out->n < sizeof(out->items) / sizeof(*out->items))
            out->items[out->n++] = step;
}

/* "$old" of "pause: $old" and of "pause: {target: $old, …}". */
static const char *target_text(const struct step *fault)
{
    const struct param *p = fault->fault->params;

    if (!p || p->type != PARAM_EXPR)
        return NULL;
    const struct expr *e = *(struct expr *const *)((const char *)fault->args + p->offset);
    return e ? e->text : NULL;
}

static bool ends(const struct step *end, const struct step *fault)
{
    const struct target_raw *what = end->args;
    const struct start_raw *start = end->args;
    const char *target = target_text(fault);
    const char *name = fault->common.name;

    if (strcmp(end->verb, fault->fault->inverse ? fault->fault->inverse : "heal") != 0)
        return end->kind == STEP_HEAL && strcmp(what->what, "all") == 0;
    if (end->kind == STEP_HEAL)
        return strcmp(what->what, "all") == 0 || (name && strcmp(what->what, name) == 0);
    if (end->kind == STEP_START)
        return start->args.dead_nodes || (target && strcmp(start->what, target) == 0);
    if (end->kind == STEP_RESUME)
        return (target && strcmp(what->what, target) == 0) ||
               (name && strcmp(what->what, name) == 0);
    return false;
}

static int check_ended(struct build *b, const struct flat *flat, size_t i)
{
    const struct step *fault = flat->items[i];
    const char *inverse = fault->fault->inverse;

    if (!fault->fault->needs_end || fault->common.for_ns > 0)
        return 0;
    for (size_t k = i + 1; k < flat->n; k++)
        if (ends(flat->items[k], fault))
            return 0;
    if (inverse && strcmp(inverse, "heal") == 0 && !fault->common.name)
        return mark_err(b->err, &fault->mark,
                        "%s is never healed: give it a name and heal: it, or say for: 3s",
                        fault->verb);
    return mark_err(
        b->err, &fault->mark, "%s%s%s%s is never healed: add \"%s: %s\" or for: 3s", fault->verb,
        fault->common.name ? " \"" : "", fault->common.name ? fault->common.name : "",
        fault->common.name ? "\"" : "", inverse ? inverse : "heal",
        fault->common.name && inverse && strcmp(inverse, "heal") == 0 ? fault->common.name
        : target_text(fault)                                          ? target_text(fault)
                                                                      : "…");
}

/* A name that is healed belongs to a fault above. */
static int check_heal(struct build *b, const struct flat *flat, size_t i)
{
    const struct target_raw *heal = flat->items[i]->args;
    struct nearest near = nearest_to(heal->what);

    if (strcmp(heal->what, "all") == 0)
        return 0;
    for (size_t k = 0; k < i; k++) {
        const struct step *fault = flat->items[k];

        if (fault->kind != STEP_FAULT || !fault->common.name)
            continue;
        if (strcmp(fault->common.name, heal->what) == 0)
            return 0;
        nearest_offer(&near, fault->common.name);
    }
    return mark_err(b->err, &flat->items[i]->mark, "heal: no fault \"%s\" above%s", heal->what,
                    nearest_hint(&near));
}

/* A good twin refuses: what waits for an acknowledgement would wait for ever in one of the two. */
static int check_wait(struct build *b, const struct step *step)
{
    const struct wait_args *wait = step->args;
    const struct expr *e = wait->until ? wait->until : wait->settled;

    if (!b->has_twins || !(mentions_call(e, "acked") || mentions_call(e, "ok")))
        return 0;
    return mark_err(
        b->err, &step->mark,
        "wait on %s in a case with twins: a good twin refuses; wait for completed(…) or "
        "for a state both reach",
        mentions_call(e, "acked") ? "acked(…)" : "ok(…)");
}

static int check_names(struct build *b, const struct flat *flat, size_t i)
{
    const char *name = flat->items[i]->common.name;

    for (size_t k = 0; name && k < i; k++)
        if (flat->items[k]->kind == STEP_FAULT && flat->items[k]->common.name &&
            strcmp(flat->items[k]->common.name, name) == 0)
            return mark_err(b->err, &flat->items[i]->mark,
                            "a second fault \"%s\": names are used once", name);
    return 0;
}

int check_script(struct build *b)
{
    struct flat *flat = arena_alloc(b->arena, sizeof(*flat));

    flatten(&b->c->script, flat);
    for (size_t i = 0; i < flat->n;
         i++) /* first: a name mistyped there leaves a fault without end */
        if (flat->items[i]->kind == STEP_HEAL && check_heal(b, flat, i) < 0)
            return -1;
    for (size_t i = 0; i < flat->n; i++) {
        const struct step *step = flat->items[i];
        int status = 0;

        if (step->kind == STEP_FAULT)
            status = check_names(b, flat, i) < 0 ? -1 : check_ended(b, flat, i);
        else if (step->kind == STEP_WAIT)
            status = check_wait(b, step);
        if (status < 0)
            return -1;
    }
    return 0;
}
