/*
 * Suites and a seed → a plan: every case that is asked for, times its repeats.
 */
#include "plan/build.h"

#include "api/checker.h"
#include "api/registry.h"
#include "suite/nearest.h"
#include "suite/tree.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define PLAN_CASES_MAX 20000

/* Nothing of the plan but its title is needed to choose: cases that are not run are not typed
 * twice. */
static const char *title_of(const struct suite_case *sc, struct arena *arena)
{
    const char *title = sc->name;

    if (*sc->twin)
        title = arena_printf(arena, "%s/%s", title, sc->twin);
    for (size_t i = 0; i < sc->matrix.n; i++)
        title = arena_printf(arena, "%s/%s=%s", title, sc->matrix.items[i].key,
                             sc->matrix.items[i].value);
    return title;
}

static bool is_wanted(const struct plan_options *o, const struct suite_case *sc,
                      struct arena *arena)
{
    const char *with_twin = arena_printf(arena, "%s/%s", sc->name, sc->twin);
    const char *title = title_of(sc, arena);
    bool wanted = o->n_case_globs == 0;

    for (size_t i = 0; i < o->n_case_globs && !wanted; i++)
        wanted = fnmatch(o->case_globs[i], sc->name, 0) == 0 ||
                 fnmatch(o->case_globs[i], with_twin, 0) == 0 ||
                 fnmatch(o->case_globs[i], title, 0) == 0;
    return wanted;
}

/* Judging must not fail for want of memory after an hour's run: what the checkers of a case, and
 * those they come after, take at most is known before it. */
static uint64_t bound_of(const struct plan_case *c)
{
    uint64_t bytes = 0;

    for (size_t i = 0; all_checkers[i]; i++) {
        const struct checker_ops *checker = all_checkers[i];
        const void *args = NULL;
        bool runs = false;

        for (size_t k = 0; k < c->n_promises; k++) {
            const struct checker_ops *one = c->promises[k].checker;

            if (one == checker)
                args = c->promises[k].args;
            runs |= one == checker;
            for (const char *const *after = one->after; after && *after; after++)
                runs |= strcmp(*after, checker->name) == 0;
        }
        if (runs)
            bytes += checker->bound ? checker->bound(c, args) : checker->size;
    }
    return bytes;
}

static int check_memory(const struct plan_case *c, uint64_t limit, struct err *err)
{
    uint64_t bytes = bound_of(c);

    limit = limit ? limit : CHECK_MEMORY_BYTES;
    if (bytes <= limit)
        return 0;
    return mark_err(
        err, &c->tree->mark,
        "case \"%s\": judging it may take %llu MiB, and the limit is %llu MiB: give sends "
        "a count or a lower rate, set deadline: lower, or allow it with --memory %lluMiB",
        c->name, (unsigned long long)(bytes >> 20), (unsigned long long)(limit >> 20),
        (unsigned long long)((bytes >> 20) + 1));
}

static int add_case(struct plan *plan, struct plan_case *c, struct err *err)
{
    if (plan->n == PLAN_CASES_MAX)
        return err_input(err, "more than %d cases to run", PLAN_CASES_MAX);
    plan->cases = array_grown(&plan->arena, plan->cases, plan->n, sizeof(*plan->cases));
    plan->cases[plan->n++] = c;
    return 0;
}

static int load_case(struct plan *plan, const struct plan_options *o, const struct suite *suite,
                     const struct suite_case *sc, FILE *warn, struct err *err)
{
    unsigned repeats = o->repeats > 1 ? o->repeats : 1;

    if (!is_wanted(o, sc, &plan->arena))
        return 0;
    for (unsigned repeat = 0; repeat < repeats; repeat++) {
        const struct tree *tree = expand_case(suite, sc, o->seed, repeat, &plan->arena, err);
        struct plan_case *c =
            tree ? build_case(tree, &plan->arena, repeat == 0 ? warn : NULL, err) : NULL;

        if (!c || check_memory(c, o->memory_bytes, err) < 0 || add_case(plan, c, err) < 0)
            return -1;
    }
    return 0;
}

struct set_use { /* of one --set, over all suites */
    bool used;
    struct nearest near;
};

static void set_used(struct set_use *use, const struct suite *suite, size_t i)
{
    use->used = use->used || suite->set_used[i];
    for (size_t k = 0; k < suite->inputs.n; k++)
        nearest_offer(&use->near, suite->inputs.items[k].key);
}

static int load_suite(struct plan *plan, const struct plan_options *o, const struct suite *suite,
                      struct set_use *uses, FILE *warn, struct err *err)
{
    if (!suite)
        return -1;
    for (size_t i = 0; i < o->n_set; i++)
        set_used(&uses[i], suite, i);
    for (size_t i = 0; i < suite->n; i++)
        if (load_case(plan, o, suite, &suite->cases[i], warn, err) < 0)
            return -1;
    return 0;
}

static int check_set(const struct plan_options *o, struct set_use *uses, struct err *err)
{
    for (size_t i = 0; i < o->n_set; i++)
        if (!uses[i].used)
            return err_input(err, "--set %s=…: no suite has an input of that name%s", o->set[i].key,
                             nearest_hint(&uses[i].near));
    return 0;
}

struct plan *plan_load(const struct plan_options *o, FILE *warn, struct err *err)
{
    struct plan *plan = calloc(1, sizeof(*plan));
    struct set_use *uses;

    if (!plan)
        abort();
    plan->seed = o->seed;
    uses = arena_alloc(&plan->arena, (o->n_set + 1) * sizeof(*uses));
    for (size_t i = 0; i < o->n_set; i++)
        uses[i].near = nearest_to(o->set[i].key);
    for (size_t i = 0; i < o->n_suites; i++)
        if (load_suite(plan, o, suite_load(o->suites[i], o->set, o->n_set, &plan->arena, err),
                       uses, warn, err) < 0)
            goto fail;
    if (check_set(o, uses, err) < 0)
        goto fail;
    if (plan->n == 0) {
        if (o->n_case_globs)
            err_input(err, "no case matches \"%s\"%s; `assay list SUITE` shows them",
                      o->case_globs[0], o->n_case_globs > 1 ? " or the other globs" : "");
        else
            err_input(err, "no cases: name a suite");
        goto fail;
    }
    return plan;
fail:
    plan_free(plan);
    return NULL;
}

struct plan *plan_load_text(const char *text, size_t n, const char *file, const char *folder,
                            uint64_t seed, struct err *err)
{
    const struct plan_options o = {.seed = seed, .repeats = 1};
    struct plan *plan = calloc(1, sizeof(*plan));

    if (!plan)
        abort();
    plan->seed = seed;
    if (load_suite(plan, &o, suite_read(text, n, file, folder, NULL, 0, &plan->arena, err), NULL,
                   NULL, err) == 0)
        return plan;
    plan_free(plan);
    return NULL;
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    arena_release(&plan->arena);
    free(plan);
}
