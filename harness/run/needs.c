/* See needs.h. The capabilities are those of sandbox/probe.c, which `assay doctor` lists. */
#include "run/needs.h"

#include "api/fault.h"
#include "api/registry.h"
#include "plan/script.h"
#include "sandbox/sandbox.h"
#include "suite/tree.h"

#include <assert.h>
#include <string.h>

#define TRIED_MAX 16 /* more than the probe knows */

struct tried {
    probe_one *probe;
    struct capability found[TRIED_MAX];
    size_t n;
};

static const struct capability *capability_named(struct tried *tried, const char *name)
{
    struct capability *one = &tried->found[tried->n];
    bool known;

    for (size_t i = 0; i < tried->n; i++)
        if (strcmp(tried->found[i].name, name) == 0)
            return &tried->found[i];
    assert(tried->n < TRIED_MAX);
    known = tried->probe(name, one);
    assert(known); /* else a fault's table is wrong: sandbox/probe_test.c */
    tried->n++;
    return one;
}

static int fault_possible(struct tried *tried, const struct fault_ops *fault,
                          const struct step *step, struct err *err)
{
    for (const char *const *need = fault->needs; *need; need++) {
        const struct capability *c = capability_named(tried, *need);

        if (c->yes || !capability_named(tried, "namespaces")->yes)
            continue;
        return mark_err(err, &step->mark,
                        "%s needs \"%s\", which assay doctor says no to: %s; fix: %s", fault->name,
                        c->name, c->how, c->fix);
    }
    return 0;
}

static int step_possible(struct tried *tried, const struct step *step, struct err *err)
{
    const struct chaos_args *chaos = step->args;
    const struct fault_ops *armed;

    switch (step->kind) {
    case STEP_FAULT:
        return fault_possible(tried, step->fault, step, err);
    case STEP_ARM:
        armed = fault_named(((const struct arm_args *)step->args)->then);
        return armed ? fault_possible(tried, armed, step, err) : 0; /* hold is none */
    case STEP_CHAOS:
        for (size_t i = 0; i < chaos->n; i++)
            if (fault_possible(tried, chaos->events[i].fault, step, err) < 0)
                return -1;
        return 0;
    default:
        return 0;
    }
}

int needs_met(const struct plan *plan, probe_one *probe, struct err *err)
{
    struct tried tried = {.probe = probe};

    for (size_t i = 0; i < plan->n; i++) {
        struct script_walk walk = script_walk(&plan->cases[i]->script);
        const struct step *step;

        while ((step = script_next(&walk)))
            if (step_possible(&tried, step, err) < 0)
                return -1;
    }
    return 0;
}
