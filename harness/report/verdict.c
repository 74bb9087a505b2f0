/*
 * Verdicts (JUDGING: Verdicts). A proven violation needs no drain, and no complete history either.
 * Counter-example: a history that lacks its end misses settles and audits too, so what is found
 * *because something is absent* (lost, missing_effect, unavailable, phantom, order) is then no
 * proof and is left out (judge.c does that).
 */
#include "report/verdict.h"

#include "api/fault.h"
#include "api/registry.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct finding *judgement_finding(const struct judgement *j, const char *kind)
{
    for (size_t i = 0; i < j->found.n; i++)
        if (strcmp(j->found.items[i].kind, kind) == 0)
            return &j->found.items[i];
    return NULL;
}

static void say_first(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say_first(char *out, size_t size, const char *format, ...)
{
    va_list args;

    if (out[0])
        return;
    va_start(args, format);
    vsnprintf(out, size, format, args);
    va_end(args);
}

static void vacuous(struct judgement *j, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void vacuous(struct judgement *j, const char *format, ...)
{
    va_list args;

    j->n_vacuous++;
    if (j->vacuous[0])
        return;
    va_start(args, format);
    vsnprintf(j->vacuous, sizeof(j->vacuous), format, args);
    va_end(args);
}

/* ---- what speaks against a pass */

static void look_at_required(struct judgement *j)
{
    const struct plan_case *plan = j->plan;

    j->required = arena_alloc(&j->arena, (plan->n_require + 1) * sizeof(*j->required));
    for (size_t i = 0; i < plan->n_require; i++) {
        const struct expr *e = plan->require[i].expr;
        struct required *r = &j->required[j->n_required++];
        struct value value;
        struct err err = {0};

        r->text = e->text;
        if (expr_eval(e, counters_lookup, &j->counters, &value, &err) < 0) {
            snprintf(r->why, sizeof(r->why), "%.199s", err.text);
        } else {
            r->holds = value_true(&value);
            r->value = value.kind == VALUE_NUMBER ? value.number : 0;
            r->known = value.kind == VALUE_NUMBER;
            if (e->kind == EXPR_BINARY && e->op >= OP_EQ &&
                expr_eval(e->args[0], counters_lookup, &j->counters, &value, &err) == 0 &&
                value.kind == VALUE_NUMBER)
                r->value = value.number;
        }
        if (r->why[0])
            say_first(j->inconclusive, sizeof(j->inconclusive), "require: %s", r->why);
        else if (!r->holds)
            say_first(j->inconclusive, sizeof(j->inconclusive),
                      "required %s does not hold: it was %lld", r->text, (long long)r->value);
    }
}

static void look_at_script(struct judgement *j)
{
    const struct counters *c = &j->counters;

    if (c->stopped[0])
        say_first(j->inconclusive, sizeof(j->inconclusive), "%s", c->stopped);
    for (size_t i = 0; i < c->n_triggers; i++) {
        const struct trigger_end *t = &c->triggers[i];

        if (t->fired)
            continue;
        if (strncmp(t->text, "hold", 4) == 0 || strncmp(t->text, "interleave", 10) == 0)
            say_first(j->inconclusive, sizeof(j->inconclusive), "never got there: %s", t->text);
        else
            vacuous(j, "trigger_never_fired: %s", t->text);
    }
}

/* A fault whose effect can be watched must have been seen to bite before its heal. One that is over
 * when it is effective (restart) leaves nothing to watch: its effect was the bite. */
static bool can_be_watched(const struct window_counts *w)
{
    const struct fault_ops *ops = fault_named(w->kind);

    return ops && ops->probe && ops->inverse;
}

static void look_at_faults(struct judgement *j)
{
    for (size_t i = 0; i < j->counters.n_windows; i++) {
        const struct window_counts *w = &j->counters.windows[i];

        if (!w->stamps.effective)
            vacuous(j, "fault_not_effective(%s)", w->name[0] ? w->name : w->kind);
        else if (!w->stamps.bitten && can_be_watched(w))
            vacuous(j, "fault_never_bit(%s)", w->name[0] ? w->name : w->kind);
    }
}

static void look_at_exercise(struct judgement *j)
{
    j->exercised = arena_alloc(&j->arena, (j->check.n + 1) * sizeof(*j->exercised));
    for (size_t i = 0; i < j->check.n; i++) {
        const struct check_item *item = &j->check.items[i];

        if (item->promise->always || !item->ops->property || item->findings.exercised < 0)
            continue;
        j->exercised[j->n_exercised++] =
            (struct exercise){item->ops->property, item->findings.exercised};
        if (item->findings.exercised == 0)
            vacuous(j, "not_exercised(%s)", item->ops->property);
    }
}

static void look_at_checkers(struct judgement *j)
{
    for (size_t i = 0; i < j->check.n; i++)
        if (j->check.items[i].findings.inconclusive)
            say_first(j->inconclusive, sizeof(j->inconclusive), "%s: %s",
                      j->check.items[i].ops->name, j->check.items[i].findings.why);
}

/* ---- against the expectation */

static bool checker_inconclusive(const struct judgement *j, const char *kind)
{
    for (size_t i = 0; i < j->check.n; i++)
        for (const char *const *k = j->check.items[i].ops->kinds; k && *k; k++)
            if (strcmp(*k, kind) == 0 && j->check.items[i].findings.inconclusive)
                return true;
    return false;
}

static const char *op_text(enum expr_op op)
{
    static const char *const names[] = {"+", "-", "==", "!=", ">=", "<=", ">", "<", "in", "not in"};

    return names[op];
}

/* How many there are at most is known only when everything was seen. */
static bool needs_all(enum expr_op op)
{
    return op == OP_EQ || op == OP_LE || op == OP_LT;
}

static void expect_kind(struct judgement *j, const struct expect_kind *kind)
{
    struct expectation *x = &j->expected[j->n_expected++];
    const struct finding *finding = judgement_finding(j, kind->kind);
    struct value value;
    struct err err = {0};

    x->kind = kind->kind;
    x->found = finding ? finding->count : 0;
    x->text = "> 0";
    x->met = x->found > 0;
    if (!kind->bound)
        return;
    x->met = false;
    x->text = arena_printf(&j->arena, "%s %s", op_text(kind->op), kind->bound->text);
    if (expr_eval(kind->bound, counters_lookup, &j->counters, &value, &err) < 0 ||
        value.kind != VALUE_NUMBER)
        return;
    x->bound = value.number;
    x->met = expr_compare(kind->op, (int64_t)x->found, value.number) &&
             !(needs_all(kind->op) && checker_inconclusive(j, kind->kind));
}

static bool expects(const struct plan_expect *expect, const char *kind)
{
    for (size_t i = 0; i < expect->n_kinds; i++)
        if (strcmp(expect->kinds[i].kind, kind) == 0)
            return true;
    return false;
}

bool judgement_allows(const struct judgement *j, const char *kind)
{
    const struct plan_expect *expect = &j->plan->expect;

    for (size_t i = 0; i < expect->may.n; i++)
        if (strcmp(expect->may.items[i], kind) == 0)
            return true;
    return expects(expect, kind);
}

static const char *forbidden_kind(const struct judgement *j)
{
    for (size_t i = 0; i < j->found.n; i++)
        if (!judgement_allows(j, j->found.items[i].kind))
            return j->found.items[i].kind;
    return NULL;
}

static const struct expectation *first_unmet(const struct judgement *j)
{
    for (size_t i = 0; i < j->n_expected; i++)
        if (!j->expected[i].met)
            return &j->expected[i];
    return NULL;
}

static const struct required *first_false(const struct judgement *j)
{
    for (size_t i = 0; i < j->n_required; i++)
        if (!j->required[i].holds)
            return &j->required[i];
    return NULL;
}

/* ---- the sentence */

static void describe_findings(struct judgement *j)
{
    size_t used = 0;

    for (size_t i = 0; i < j->found.n && used < sizeof(j->reason); i++) {
        const struct finding *f = &j->found.items[i];
        bool only_allowed = j->plan->expect.verdict != VERDICT_VACUOUS &&
                            judgement_allows(j, f->kind) && !expects(&j->plan->expect, f->kind);

        used += (size_t)snprintf(j->reason + used, sizeof(j->reason) - used, "%s%s %llu%s",
                                 i ? ", " : "", f->kind, (unsigned long long)f->count,
                                 only_allowed ? " (allowed)" : "");
    }
}

static void also(struct judgement *j, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void also(struct judgement *j, const char *format, ...)
{
    size_t used = strlen(j->reason);
    va_list args;

    va_start(args, format);
    if (used + 1 < sizeof(j->reason))
        vsnprintf(j->reason + used, sizeof(j->reason) - used, format, args);
    va_end(args);
}

/* The lattice below a finding, and why. */
static enum verdict without_findings(const struct judgement *j, const char **why)
{
    if (*(*why = j->broken))
        return VERDICT_BROKEN;
    if (*(*why = j->inconclusive))
        return VERDICT_INCONCLUSIVE;
    if (*(*why = j->vacuous))
        return VERDICT_VACUOUS;
    *why = "every promise held, and was put to the test";
    return VERDICT_PASS;
}

static void decide_verdict(struct judgement *j)
{
    const char *why;

    if (j->found.n > 0) {
        j->verdict = VERDICT_FAIL;
        describe_findings(j);
        return;
    }
    j->verdict = without_findings(j, &why);
    also(j, "%s", why);
}

/* {pass: "", may: […]}: what may be found is no reason to say yes to a run that proves nothing. */
static int allowed_status(struct judgement *j)
{
    const char *why;
    enum verdict rest = without_findings(j, &why);

    if (rest == VERDICT_PASS)
        return 0;
    also(j, "; but %s", why);
    return rest == VERDICT_BROKEN ? broken_status(j) : 4;
}

/* Exit status of a case that failed, as was (or was not) expected. */
static int fail_status(struct judgement *j)
{
    const char *forbidden = forbidden_kind(j);
    const struct expectation *unmet = first_unmet(j);
    const struct required *no = first_false(j);

    if (j->plan->expect.verdict == VERDICT_PASS && !forbidden)
        return allowed_status(j);
    if (j->plan->expect.verdict != VERDICT_FAIL)
        return 1;
    if (forbidden) {
        also(j, "; %s was not expected", forbidden);
        return 1;
    }
    if (unmet) {
        also(j, "; expected %s %s%s", unmet->kind, unmet->text,
             checker_inconclusive(j, unmet->kind) ? " with the drain proven" : "");
        return 1;
    }
    if (no) {
        also(j, "; but required %s does not hold", no->text);
        return 4;
    }
    return 0;
}

int broken_status(const struct judgement *j)
{
    return strncmp(j->broken, REFUSED_CONFIG, strlen(REFUSED_CONFIG)) == 0 ? 2 : 3;
}

static int other_status(struct judgement *j)
{
    const struct plan_expect *expect = &j->plan->expect;

    switch (j->verdict) {
    case VERDICT_BROKEN:
        return broken_status(j);
    case VERDICT_INCONCLUSIVE:
        return 4;
    case VERDICT_VACUOUS:
        return expect->verdict == VERDICT_VACUOUS && j->n_vacuous == 1 &&
                       (!expect->reason || strcmp(expect->reason, j->vacuous) == 0)
                   ? 0
                   : 4;
    default:
        if (expect->verdict == VERDICT_PASS)
            return 0;
        also(j, "; expected %s", expect->verdict == VERDICT_FAIL ? "a violation" : "vacuous");
        return 1;
    }
}

/* No failure and no pass: report_close sees to it that a run of nothing else is not green. */
static void not_applicable(struct judgement *j)
{
    j->verdict = VERDICT_NOT_APPLICABLE;
    also(j, "%s", j->not_applicable);
    j->status = 0;
    j->as_expected = true;
}

void verdict_decide(struct judgement *j)
{
    const struct plan_expect *expect = &j->plan->expect;

    if (j->not_applicable[0] && !j->broken[0]) {
        not_applicable(j);
        return;
    }
    look_at_script(j);
    look_at_required(j);
    look_at_checkers(j);
    look_at_faults(j);
    look_at_exercise(j);
    j->expected = arena_alloc(&j->arena, (expect->n_kinds + 1) * sizeof(*j->expected));
    for (size_t i = 0; i < expect->n_kinds; i++)
        expect_kind(j, &expect->kinds[i]);
    decide_verdict(j);
    j->status = j->verdict == VERDICT_FAIL ? fail_status(j) : other_status(j);
    j->as_expected = j->status == 0;
}

int status_worse(int a, int b)
{
    static const int rank[] = {0, 4, 5, 3, 2}; /* by status 0, 1, 2, 3, 4 */

    return rank[b] > rank[a] ? b : a;
}
