/* Findings: counted always, sampled up to a bound. */
#include "api/checker.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct finding *finding_of(struct findings *f, const char *kind)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->items[i].kind, kind) == 0)
            return &f->items[i];
    f->items = realloc(f->items, (f->n + 1) * sizeof(*f->items));
    if (!f->items)
        abort();
    f->items[f->n] = (struct finding){.kind = kind, .checker = f->current};
    return &f->items[f->n++];
}

static void count_stage(struct finding *finding, const char *stage, uint64_t count)
{
    for (size_t i = 0; i < finding->n_stages; i++)
        if (strcmp(finding->stages[i].name, stage) == 0) {
            finding->stages[i].count += count;
            return;
        }
    if (finding->n_stages == STAGES_MAX)
        return;
    snprintf(finding->stages[finding->n_stages].name, sizeof(finding->stages[0].name), "%s", stage);
    finding->stages[finding->n_stages++].count = count;
}

void findings_add(struct findings *f, const char *kind, uint64_t count,
                  const struct finding_sample *sample)
{
    struct finding *finding;

    if (!count)
        return;
    finding = finding_of(f, kind);
    finding->count += count;
    if (!sample)
        return;
    if (sample->stage[0])
        count_stage(finding, sample->stage, count);
    if (finding->n_samples < SAMPLES_MAX)
        finding->samples[finding->n_samples++] = *sample;
}

void findings_move(struct findings *to, struct findings *from)
{
    for (size_t i = 0; i < from->n; i++) {
        struct finding *finding = finding_of(to, from->items[i].kind);

        assert(finding->count == 0);
        *finding = from->items[i];
    }
    findings_release(from);
}

void findings_inconclusive(struct findings *f, const char *format, ...)
{
    va_list args;

    if (f->inconclusive)
        return; /* the first reason is told */
    f->inconclusive = true;
    va_start(args, format);
    vsnprintf(f->why, sizeof(f->why), format, args);
    va_end(args);
}

void findings_release(struct findings *f)
{
    free(f->items);
    *f = (struct findings){0};
}
