/*
 * An audit's table: promise × fault → holds, breaks (what and how many), not applicable and why.
 * Printed below the cases of a run when one of them says what it applies to. The same words are in
 * results.json. Left out: how often each was put to the test (results.json: exercised).
 */
#include "report/formats.h"

#include "api/checker.h"
#include "api/fault.h"

#include <stdio.h>
#include <string.h>

static void add_word(struct audit_words *words, const char *word)
{
    for (size_t i = 0; i < words->n; i++)
        if (strcmp(words->items[i], word) == 0)
            return;
    if (words->n < AUDIT_WORDS_MAX)
        words->items[words->n++] = word;
}

struct audit_words promises_of(const struct plan_case *plan)
{
    struct audit_words words = {0};

    for (size_t i = 0; i < plan->n_promises; i++)
        if (!plan->promises[i].always && plan->promises[i].checker->property)
            add_word(&words, plan->promises[i].checker->property);
    return words;
}

struct audit_words faults_of(const struct plan_case *plan)
{
    struct script_walk walk = script_walk(&plan->script);
    struct audit_words words = {0};
    const struct step *step;

    while ((step = script_next(&walk))) {
        if (step->kind == STEP_FAULT) {
            add_word(&words, step->fault->name);
        } else if (step->kind == STEP_CHAOS) {
            const struct chaos_args *chaos = step->args;

            for (size_t k = 0; k < chaos->n; k++)
                add_word(&words, chaos->events[k].fault->name);
        }
    }
    return words;
}

bool is_command_of(const struct plan_case *plan, const char *verb)
{
    struct script_walk walk = script_walk(&plan->script);
    const struct step *step;

    while ((step = script_next(&walk)))
        if (step->kind == STEP_COMMAND && strcmp(step->verb, verb) == 0)
            return true;
    return false;
}

const char *audit_word(enum verdict verdict)
{
    static const char *const words[] = {[VERDICT_PASS] = "holds",
                                        [VERDICT_VACUOUS] = "not tested",
                                        [VERDICT_INCONCLUSIVE] = "not proven",
                                        [VERDICT_BROKEN] = "broken",
                                        [VERDICT_FAIL] = "breaks",
                                        [VERDICT_NOT_APPLICABLE] = "not applicable"};

    return words[verdict];
}

static void join(const struct audit_words *words, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < words->n && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", words->items[i]);
    if (words->n == 0)
        snprintf(out, size, "none");
}

struct widths {
    size_t promise, fault;
};

static void one_row(const struct judgement *j, struct widths *widths, struct buf *out)
{
    struct audit_words promises = promises_of(j->plan), faults = faults_of(j->plan);
    char promise[200], fault[200];

    join(&promises, promise, sizeof(promise));
    join(&faults, fault, sizeof(fault));
    if (!out) {
        widths->promise = strlen(promise) > widths->promise ? strlen(promise) : widths->promise;
        widths->fault = strlen(fault) > widths->fault ? strlen(fault) : widths->fault;
        return;
    }
    buf_printf(out, "%-*s  %-*s  %-14s  %s: %s\n", (int)widths->promise, promise,
               (int)widths->fault, fault, audit_word(j->verdict), j->title,
               j->verdict == VERDICT_PASS ? "put to the test, nothing found" : j->reason);
}

void format_audit(const struct run_summary *run, struct buf *out)
{
    struct widths widths = {strlen("promise"), strlen("fault")};
    bool asked = false;

    for (size_t i = 0; i < run->n; i++) {
        asked |= run->cases[i]->plan->n_applies > 0;
        one_row(run->cases[i], &widths, NULL);
    }
    if (!asked)
        return;
    buf_printf(out, "\n%-*s  %-*s  %-14s  %s\n", (int)widths.promise, "promise", (int)widths.fault,
               "fault", "result", "of what");
    for (size_t i = 0; i < run->n; i++)
        one_row(run->cases[i], &widths, out);
}
