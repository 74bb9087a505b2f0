/*
 * One case judged: opens the history, lets all checkers and the counters see it, and puts together
 * what the verdict is decided from.
 */
#include "report/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Found because something is absent: worth nothing where the history itself lacks something. That
 * an owner skipped a position is told by the delivery that is not there: order. */
static const char *const by_absence[] = {
    "lost",        "lost_intent",      "rpo",      "missing_effect",   "phantom",
    "unavailable", "two_holders",      "stampede", "torn_transaction", "balance",
    "order",       "redelivery_order", NULL};

static bool is_by_absence(const char *kind)
{
    for (size_t i = 0; by_absence[i]; i++)
        if (strcmp(by_absence[i], kind) == 0)
            return true;
    return false;
}

static void merge_one(struct judgement *j, const struct findings *from, bool whole)
{
    j->undecided += from->undecided;
    for (size_t k = 0; k < from->n; k++) {
        const struct finding *f = &from->items[k];

        if (f->count == 0 || (!whole && is_by_absence(f->kind)))
            continue;
        j->found.items = realloc(j->found.items, (j->found.n + 1) * sizeof(*f));
        if (!j->found.items)
            abort();
        j->found.items[j->found.n++] = *f;
    }
}

/* What was promised comes first, what is always on behind it. */
static void merge_findings(struct judgement *j, bool whole)
{
    for (int always = 0; always <= 1; always++)
        for (size_t i = 0; i < j->check.n; i++)
            if (j->check.items[i].promise->always == (always == 1))
                merge_one(j, &j->check.items[i].findings, whole);
}

static void look_at_drain(struct judgement *j)
{
    const struct plan_case *plan = j->plan;

    j->drain = plan->n_units > 0 ? DRAIN_D3 : DRAIN_NONE;
    j->drained = plan->n_units > 0;
    for (uint32_t u = 0; u < plan->n_units; u++) {
        const struct drain_proof *p = &j->check.proofs[u];
        enum drain_level level = p->proven ? p->level : DRAIN_NONE;

        if (level < j->drain)
            j->drain = level;
        if (p->proven && level >= DRAIN_D1)
            continue;
        if (j->drained)
            snprintf(j->drain_why, sizeof(j->drain_why), "%s: %s", plan->units[u].name,
                     p->down     ? "nobody served it"
                     : p->why[0] ? p->why
                                 : "no proof was recorded");
        j->drained = false;
    }
    if (j->drain == DRAIN_D3 && !j->check.proofs[plan->n_units].proven)
        j->drain = DRAIN_D2;
}

static const char *source_text(void *context, uint16_t by, uint32_t ref)
{
    const struct event_source *source = context;

    return source->text ? source->text(source->self, by, ref) : "";
}

static void begin(struct judgement *j, const struct plan_case *plan, const char *folder)
{
    j->plan = plan;
    snprintf(j->folder, sizeof(j->folder), "%s", folder);
    snprintf(j->title, sizeof(j->title), "%s", plan_case_title(plan));
}

static void conclude(struct judgement *j)
{
    bool whole = j->info.complete && !j->info.damage[0] && !j->counters.full;

    counters_finish(&j->counters);
    client_libraries_lines(&j->counters.libraries, j->versions, sizeof(j->versions));
    if (!j->broken[0] && j->info.damage[0])
        snprintf(j->broken, sizeof(j->broken), "the history is damaged: %s", j->info.damage);
    if (!j->broken[0] && j->counters.broken[0])
        snprintf(j->broken, sizeof(j->broken), "%s", j->counters.broken);
    if (!j->broken[0] && !j->info.complete)
        snprintf(j->broken, sizeof(j->broken), "the history has no end: the run was cut short");
    merge_findings(j, whole);
    look_at_drain(j);
    j->duration_ms = (j->counters.last_ns - j->counters.first_ns) / MS_NS;
    verdict_decide(j);
}

/* ---- from disk */

static int read_plan(struct judgement *j, struct history_reader *reader,
                     const struct plan_case **plan, struct err *err)
{
    size_t n = 0;
    const char *text;

    text = history_document(reader, "versions", &n);
    if (text)
        snprintf(j->versions, sizeof(j->versions), "%.*s", (int)n, text);
    if (*plan)
        return 0;
    text = history_document(reader, "plan", &n);
    if (!text)
        return err_set(err, "the history carries no plan");
    *plan = plan_case_read(text, n, &j->arena, err);
    return *plan ? 0 : err_prefix(err, "the history's plan");
}

static const char *disk_text(void *reader, uint16_t by, uint32_t ref)
{
    return history_text_of(reader, by, ref);
}

static const char *effective_of(void *reader, const char *alias, size_t *n)
{
    char name[200];

    snprintf(name, sizeof(name), "effective/%s", alias);
    return history_document(reader, name, n);
}

/* What the run decided not to run it by. A case that broke before its servers answered is broken. */
static void look_at_applies(struct judgement *j, struct history_reader *reader)
{
    struct err err = {0};

    if (plan_applies(j->plan, effective_of, reader, j->not_applicable, sizeof(j->not_applicable),
                     &err) < 0 &&
        !j->broken[0])
        snprintf(j->broken, sizeof(j->broken), "%.599s", err.text);
}

static int judge_disk(const char *folder, const struct plan_case *plan, struct judgement *j,
                      struct err *err)
{
    struct history_reader *reader = history_open(folder, PER_WRITER, 0, err);
    struct check_observer observer = {&j->counters, COUNTER_EVENTS, counters_events};
    int result;

    if (!reader)
        return -1;
    result = read_plan(j, reader, &plan, err);
    if (result == 0) {
        begin(j, plan, folder);
        look_at_applies(j, reader);
        counters_open(&j->counters, plan, disk_text, reader);
        result = check_history(folder, reader, plan, &observer, &j->check, err);
    }
    if (result == 0) {
        history_info(reader, &j->info);
        if (j->check.damage[0])
            snprintf(j->info.damage, sizeof(j->info.damage), "%s", j->check.damage);
        conclude(j);
        result = lives_collect(j, err);
    }
    history_close(reader);
    return result;
}

int judge_case(const char *case_folder, const struct plan_case *plan, struct judgement *out,
               struct err *err)
{
    *out = (struct judgement){0};
    if (judge_disk(case_folder, plan, out, err) == 0)
        return 0;
    judgement_release(out);
    return err_prefix(err, "%s", case_folder);
}

int judge_source(const struct event_source *source, const struct plan_case *plan,
                 const char *folder, struct judgement *out, struct err *err)
{
    struct check_observer observer = {&out->counters, COUNTER_EVENTS, counters_events};
    struct event_source borrowed = *source;

    *out = (struct judgement){.info = {.complete = true}};
    begin(out, plan, folder);
    counters_open(&out->counters, plan, source_text, &borrowed);
    if (check_source(source, plan, &observer, &out->check, err) < 0) {
        judgement_release(out);
        return -1;
    }
    conclude(out);
    return 0;
}

/* `check` of a folder whose history does not even say which case it was. */
static const struct plan_case *nameless(struct judgement *j, const char *folder)
{
    struct plan_case *plan = arena_alloc(&j->arena, sizeof(*plan));
    const char *slash = strrchr(folder, '/');

    plan->suite = plan->twin = plan->about = "";
    plan->name = plan->title = arena_strdup(&j->arena, slash ? slash + 1 : folder);
    return plan;
}

void judge_broken(const char *case_folder, const struct plan_case *plan, const char *why,
                  struct judgement *out)
{
    struct err err = {0};

    *out = (struct judgement){0};
    snprintf(out->broken, sizeof(out->broken), "%s", why);
    if (judge_disk(case_folder, plan, out, &err) == 0)
        return;
    judgement_release(out); /* nothing recorded at all, or unreadable: the reason stands */
    if (!plan)
        plan = nameless(out, case_folder);
    snprintf(out->broken, sizeof(out->broken), "%s", why);
    begin(out, plan, case_folder);
    snprintf(out->reason, sizeof(out->reason), "%s", why);
    out->verdict = VERDICT_BROKEN;
    out->status = broken_status(out);
}

int64_t judgement_utc_ns(const struct judgement *j, int64_t at_ns)
{
    return j->info.utc_anchor_ns ? j->info.utc_anchor_ns + (at_ns - j->info.monotonic_anchor_ns)
                                 : 0;
}

void judgement_window_name(const struct judgement *j, uint32_t window, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < j->counters.n_windows; i++) {
        const struct window_counts *w = &j->counters.windows[i];

        if (w->stamps.id == window && window != 0)
            snprintf(out, size, "%s%s%s%s%s%s", w->kind, w->name[0] ? " " : "", w->name,
                     w->targets[0] ? " (" : "", w->targets, w->targets[0] ? ")" : "");
    }
}

void judgement_release(struct judgement *j)
{
    if (j->counters.plan)
        counters_release(&j->counters);
    check_release(&j->check);
    findings_release(&j->found);
    arena_release(&j->arena);
    *j = (struct judgement){0};
}
