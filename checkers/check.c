/*
 * The passes. A checker sees only runs of events it wants; contiguous runs are handed over in
 * place, nothing is copied. Leaves out: what the findings mean for the verdict (report/verdict.c).
 */
#include "checkers/check.h"

#include "api/registry.h"

#include <stdlib.h>
#include <string.h>

struct running {
    const struct checker_ops *ops;
    const struct plan_promise *promise; /* NULL: runs only because another comes after it */
    void *self;
    struct findings findings;
    unsigned stage;
    bool open, busy; /* opened; takes part in this pass */
};

struct results {
    struct running *items;
    size_t n;
    int64_t clock_error_ns;
};

struct pass {
    const struct event_source *source;
    const struct plan_case *plan;
    const struct check_observer *observer; /* first pass only */
    struct results results;
    struct drain_proof *proofs;
    struct check_result *out;
    bool first;
};

/* ---- what checkers may ask of earlier ones */

static struct running *running_named(const struct results *r, const char *name)
{
    for (size_t i = 0; r && i < r->n; i++)
        if (strcmp(r->items[i].ops->name, name) == 0)
            return &r->items[i];
    return NULL;
}

const struct findings *results_of(const struct results *r, const char *checker)
{
    const struct running *found = running_named(r, checker);

    return found ? &found->findings : NULL;
}

int64_t results_clock_error_ns(const struct results *r)
{
    return r->clock_error_ns < 0 ? CLOCK_ERROR_UNKNOWN_NS : r->clock_error_ns;
}

const void *results_self(const struct results *r, const char *checker)
{
    const struct running *found = running_named(r, checker);

    return found && found->open ? found->self : NULL;
}

/* ---- proofs */

static void take_proof(struct pass *pass, const struct event *e)
{
    size_t at = e->unit < pass->plan->n_units ? e->unit : pass->plan->n_units;
    struct drain_proof *proof = &pass->proofs[at];
    enum drain_level level = (enum drain_level)event_level(e);

    if (e->unit != NO_UNIT && e->unit >= pass->plan->n_units)
        return;
    if (e->type == EV_UNIT_DOWN) {
        proof->down = true;
        proof->proven = false;
        return;
    }
    proof->position = e->position;
    proof->epoch = e->epoch;
    proof->counted = e->value;
    if (event_outcome(e) == OUTCOME_OK) {
        proof->proven = !proof->down;
        if (level > proof->level)
            proof->level = level;
    } else if (pass->source->text && !proof->why[0]) {
        const char *why = pass->source->text(pass->source->self, e->by, e->ref);

        for (size_t i = 0; why && why[i] && i + 1 < sizeof(proof->why); i++)
            proof->why[i] = why[i];
    }
}

/* ---- one pass */

/* `types`: those among the events. */
static void hand_over(const struct event *events, size_t n, uint64_t types, uint64_t wants,
                      void *self, void (*take)(void *, const struct event *, size_t))
{
    size_t first = 0;

    if ((types & wants) == 0)
        return;
    if ((types & ~wants) == 0) {
        take(self, events, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (wants >> events[i].type & 1)
            continue;
        if (i > first)
            take(self, events + first, i - first);
        first = i + 1;
    }
    if (n > first)
        take(self, events + first, n - first);
}

static void hand_to_all(struct pass *pass, const struct event *events, size_t n)
{
    uint64_t types = 0;

    for (size_t i = 0; i < n; i++)
        types |= UINT64_C(1) << events[i].type;
    for (size_t i = 0; i < pass->results.n; i++) {
        struct running *r = &pass->results.items[i];

        if (r->busy)
            hand_over(events, n, types, r->ops->wants, r->self, r->ops->events);
    }
    if (!pass->first)
        return;
    pass->out->events += n;
    if (pass->observer)
        hand_over(events, n, types, pass->observer->wants, pass->observer->self,
                  pass->observer->events);
    for (size_t i = 0; i < n && types & (WANTS(DRAIN) | WANTS(UNIT_DOWN)); i++)
        if (events[i].type == EV_DRAIN || events[i].type == EV_UNIT_DOWN)
            take_proof(pass, &events[i]);
}

/* Few enough events at once that all checkers find them in the first-level cache (disk.c). */
#define SLICE 96

static int run_pass(struct pass *pass, struct err *err)
{
    uint64_t wants = 0;
    enum check_order order = PER_WRITER;
    const struct event *events;
    long n;

    for (size_t i = 0; i < pass->results.n; i++)
        if (pass->results.items[i].busy) {
            wants |= pass->results.items[i].ops->wants;
            if (pass->results.items[i].ops->order == BY_TIME)
                order = BY_TIME;
        }
    if (pass->first) {
        wants |= WANTS(DRAIN) | WANTS(UNIT_DOWN) | (pass->observer ? pass->observer->wants : 0);
        order = BY_TIME;
    }
    if (pass->source->rewind(pass->source->self, order, wants, err) < 0)
        return -1;
    while ((n = pass->source->next(pass->source->self, &events, err)) > 0)
        for (long at = 0; at < n; at += SLICE)
            hand_to_all(pass, events + at, (size_t)(n - at < SLICE ? n - at : SLICE));
    pass->out->passes++;
    pass->first = false;
    return n < 0 ? -1 : 0;
}

/* ---- stages */

static int add_running(struct results *r, const struct checker_ops *ops,
                       const struct plan_promise *promise)
{
    r->items[r->n++] =
        (struct running){.ops = ops, .promise = promise, .findings = {.exercised = -1}};
    return 0;
}

/* The plan's promises, then those that only others need. */
static void collect(struct results *r, const struct plan_case *plan)
{
    size_t room = plan->n_promises;

    for (size_t i = 0; all_checkers[i]; i++)
        room++;
    r->items = calloc(room + 1, sizeof(*r->items));
    if (!r->items)
        abort();
    for (size_t i = 0; i < plan->n_promises; i++)
        add_running(r, plan->promises[i].checker, &plan->promises[i]);
    for (size_t i = 0; i < r->n; i++)
        for (const char *const *after = r->items[i].ops->after; after && *after; after++)
            if (!running_named(r, *after) && checker_named(*after))
                add_running(r, checker_named(*after), NULL);
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < r->n; i++)
            for (const char *const *after = r->items[i].ops->after; after && *after; after++) {
                const struct running *before = running_named(r, *after);

                if (before && r->items[i].stage <= before->stage) {
                    r->items[i].stage = before->stage + 1;
                    moved = true;
                }
            }
    }
}

static int open_stage(struct pass *pass, unsigned stage, size_t *n, struct err *err)
{
    *n = 0;
    for (size_t i = 0; i < pass->results.n; i++) {
        struct running *r = &pass->results.items[i];

        r->busy = r->stage == stage;
        if (!r->busy)
            continue;
        (*n)++;
        r->self = calloc(1, r->ops->size);
        if (!r->self)
            abort();
        if (r->ops->open(r->self, pass->plan, r->promise ? r->promise->args : NULL, &pass->results,
                         err) < 0)
            return err_prefix(err, "checker %s", r->ops->name);
        r->open = true;
    }
    return 0;
}

/* Passes until nobody of this stage asks for another, then they finish. */
static int run_stage(struct pass *pass, unsigned stage, struct err *err)
{
    bool more = true;

    while (more) {
        if (run_pass(pass, err) < 0)
            return -1;
        more = false;
        for (size_t i = 0; i < pass->results.n; i++) {
            struct running *r = &pass->results.items[i];

            r->busy = r->busy && r->ops->again && r->ops->again(r->self, pass->proofs);
            more |= r->busy;
        }
    }
    for (size_t i = 0; i < pass->results.n; i++) {
        struct running *r = &pass->results.items[i];

        if (r->stage != stage)
            continue;
        r->findings.current = r->ops->name;
        r->ops->finish(r->self, pass->proofs, &r->findings);
    }
    return 0;
}

static void hand_out(struct pass *pass)
{
    struct check_result *out = pass->out;

    out->items = calloc(pass->plan->n_promises + 1, sizeof(*out->items));
    if (!out->items)
        abort();
    for (size_t i = 0; i < pass->results.n; i++) {
        struct running *r = &pass->results.items[i];

        if (!r->promise)
            continue;
        out->items[out->n++] = (struct check_item){r->promise, r->ops, r->findings};
        r->findings = (struct findings){0};
    }
}

int check_source(const struct event_source *source, const struct plan_case *plan,
                 const struct check_observer *observer, struct check_result *out, struct err *err)
{
    struct pass pass = {
        .source = source, .plan = plan, .observer = observer, .out = out, .first = true};
    int result = 0;
    size_t n = 1;

    *out = (struct check_result){0};
    pass.proofs = out->proofs = calloc(plan->n_units + 1, sizeof(*out->proofs));
    if (!out->proofs)
        abort();
    for (uint32_t u = 0; u <= plan->n_units; u++)
        out->proofs[u] = (struct drain_proof){
            .unit = u < plan->n_units ? u : NO_UNIT, .position = -1, .counted = -1};
    collect(&pass.results, plan);
    pass.results.clock_error_ns = source->clock_error_ns;
    for (unsigned stage = 0; result == 0 && (n > 0 || stage == 0); stage++) {
        result = open_stage(&pass, stage, &n, err);
        if (result == 0 && (n > 0 || stage == 0))
            result = run_stage(&pass, stage, err);
    }
    if (result == 0)
        hand_out(&pass);
    for (size_t i = 0; i < pass.results.n; i++) {
        struct running *r = &pass.results.items[i];

        if (r->open)
            r->ops->close(r->self);
        free(r->self);
        findings_release(&r->findings);
    }
    free(pass.results.items);
    if (result < 0)
        check_release(out);
    return result;
}

void check_release(struct check_result *result)
{
    for (size_t i = 0; i < result->n; i++)
        findings_release(&result->items[i].findings);
    free(result->items);
    free(result->proofs);
    *result = (struct check_result){0};
}
