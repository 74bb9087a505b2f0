/*
 * TAP (testanything.org), the part of versions 13 and 14 that is the same, announced as 13 because
 * `prove` knows no later one: one test point a case, a YAML block of
 * diagnostics behind it. A case that was not run is not ok, so that an aborted run never passes.
 */
#include "report/formats.h"

#include <stdio.h>
#include <string.h>

/* `#` would begin a directive, `\` an escape. */
static void description(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '#' || *text == '\\')
            buf_char(out, '\\');
        buf_char(out, *text == '\n' ? ' ' : *text);
    }
}

/* A JSON string is a YAML string. */
static void line(struct buf *out, const char *indent, const char *key, const char *value)
{
    buf_printf(out, "%s%s: ", indent, key);
    buf_json(out, value);
    buf_char(out, '\n');
}

static void findings(const struct judgement *j, struct buf *out)
{
    char name[200];

    if (j->found.n > 0)
        buf_text(out, "  findings:\n");
    for (size_t i = 0; i < j->found.n; i++) {
        const struct finding *f = &j->found.items[i];

        buf_printf(out, "    %s:\n      count: %llu\n", f->kind, (unsigned long long)f->count);
        if (f->n_samples > 0)
            buf_text(out, "      samples:\n");
        for (size_t k = 0; k < f->n_samples; k++) {
            format_message(j->plan, &f->samples[k].message, name, sizeof(name));
            line(out, "        - ", "message", f->samples[k].message.seq == UINT64_MAX ? "" : name);
            line(out, "          ", "text", f->samples[k].text);
        }
    }
}

static void one_case(const struct judgement *j, size_t number, struct buf *out)
{
    char seed[32];

    buf_printf(out, "%sok %zu - ", j->as_expected ? "" : "not ", number);
    description(out, j->title);
    if (j->verdict == VERDICT_NOT_APPLICABLE) {
        buf_text(out, " # SKIP ");
        description(out, j->reason);
    }
    buf_printf(out, "\n  ---\n  verdict: %s\n  expected: %s\n", verdict_names[j->verdict],
               verdict_names[j->plan->expect.verdict]);
    line(out, "  ", "reason", j->reason);
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)j->plan->seed);
    buf_printf(out, "  seed: %s\n  duration_ms: %lld\n", seed, (long long)j->duration_ms);
    findings(j, out);
    for (size_t i = 0; i < j->n_required; i++) {
        if (i == 0)
            buf_text(out, "  require:\n");
        line(out, "    - ", "text", j->required[i].text);
        buf_printf(out, "      holds: %s\n", j->required[i].holds ? "true" : "false");
    }
    buf_text(out, "  ...\n");
}

void format_tap(const struct run_summary *run, struct buf *out)
{
    buf_printf(out, "TAP version 13\n1..%zu\n", run->n + run->n_not_run);
    for (size_t i = 0; i < run->n; i++)
        one_case(run->cases[i], i + 1, out);
    for (size_t i = 0; i < run->n_not_run; i++) {
        buf_printf(out, "not ok %zu - ", run->n + i + 1);
        description(out, run->not_run[i]);
        buf_text(out, "\n  ---\n  reason: \"not run\"\n  ...\n");
    }
}
