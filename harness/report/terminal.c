/*
 * The summary a newcomer reads: what was promised, what was done to it, what happened, which
 * messages, acknowledged by whom, inside which window, and how to look closer. Plain text, no
 * colour.
 */
#include "report/formats.h"
#include "report/verdict.h"

#include <stdio.h>
#include <string.h>

#define SAMPLES_SHOWN 3
#define KEYS_SHOWN 3

static void head(const struct judgement *j, struct buf *out)
{
    char upper[20];
    size_t n = strlen(verdict_names[j->verdict]);

    for (size_t i = 0; i <= n; i++)
        upper[i] = (char)(verdict_names[j->verdict][i] >= 'a' ? verdict_names[j->verdict][i] - 32
                                                              : verdict_names[j->verdict][i]);
    if (j->verdict == VERDICT_NOT_APPLICABLE) {
        buf_printf(out, "-       %s\n  NOT APPLICABLE: %s\n", j->title, j->reason);
        return;
    }
    buf_printf(out, "%s  %s\n  %s%s: %s\n", j->as_expected ? "ok    " : "NOT OK", j->title, upper,
               j->as_expected ? ", as expected" : ", not as expected", j->reason);
}

/* Two checkers share a promise (loss: of logs and queues, of subscriptions); the one that has
 * nothing to judge in this case is not what was promised. */
static bool has_a_say(const struct judgement *j, const struct plan_promise *p)
{
    for (size_t i = 0; i < j->check.n; i++)
        if (j->check.items[i].promise == p)
            return j->check.items[i].findings.exercised >= 0 || j->check.items[i].findings.n > 0;
    return true;
}

static void promised(const struct judgement *j, struct buf *out)
{
    const char *label = "  promised   ";

    for (size_t i = 0; i < j->plan->n_promises; i++) {
        const struct plan_promise *p = &j->plan->promises[i];

        if (p->always || !has_a_say(j, p))
            continue;
        buf_printf(out, "%s%s: %s\n", label, p->checker->property, p->checker->about);
        label = "             ";
    }
}

/* One line: what of the team's own files was not used as it stands. */
static void replaced(const struct judgement *j, struct buf *out)
{
    struct arena arena = {0};
    struct replaced_keys keys = plan_replaced_keys(j->plan, &arena);

    for (size_t i = 0; i < keys.n && i < KEYS_SHOWN; i++)
        buf_printf(out, "%s%s: %s (%s)", i ? ", " : "  replaced   ", keys.items[i].file,
                   keys.items[i].key, keys.items[i].why);
    if (keys.n > KEYS_SHOWN)
        buf_printf(out, " and %zu more: config in results.json", keys.n - KEYS_SHOWN);
    if (keys.n > 0)
        buf_char(out, '\n');
    arena_release(&arena);
}

static double since_start(const struct judgement *j, int64_t at_ns)
{
    return (double)(at_ns - j->counters.first_ns) / 1e9;
}

/* The first line of what was done is labelled. */
static void begin_deed(size_t *deeds, struct buf *out)
{
    buf_text(out, (*deeds)++ ? "             " : "  done to it ");
}

static void windows(const struct judgement *j, size_t *deeds, struct buf *out)
{
    char name[300];

    for (size_t i = 0; i < j->counters.n_windows; i++) {
        const struct window_counts *w = &j->counters.windows[i];

        judgement_window_name(j, w->stamps.id, name, sizeof(name));
        begin_deed(deeds, out);
        buf_text(out, name);
        if (!w->stamps.effective)
            buf_text(out, ": it never took effect\n");
        else if (w->stamps.heal_asked_ns)
            buf_printf(out, " from %.3f s to %.3f s", since_start(j, w->stamps.effective_ns),
                       since_start(j, w->stamps.heal_asked_ns));
        else
            buf_printf(out, " at %.3f s", since_start(j, w->stamps.effective_ns));
        if (w->stamps.effective)
            buf_printf(out, "; %lld sends completed inside, %lld acknowledged\n",
                       (long long)w->completed, (long long)w->acked);
    }
}

/* Clients killed or held at a step; faults that waited for one are windows. Rounds of a repeat are
 * told together. */
static void at_steps(const struct judgement *j, size_t *deeds, struct buf *out)
{
    const struct counters *c = &j->counters;

    for (size_t i = 0; i < c->n_triggers; i++) {
        const char *text = c->triggers[i].text;
        size_t times = 0, fired = 0;

        for (size_t k = 0; k < c->n_triggers; k++) {
            bool same = strcmp(c->triggers[k].text, text) == 0;

            if (same && k < i)
                break;
            times += same;
            fired += same && c->triggers[k].fired;
        }
        if (times == 0 || (strncmp(text, "arm", 3) != 0 && strncmp(text, "hold", 4) != 0 &&
                           strcmp(text, "interleave") != 0))
            continue;
        begin_deed(deeds, out);
        if (strcmp(text, "interleave") == 0)
            buf_printf(out, "%s: %zu times\n", text, times); /* told when it was done */
        else
            buf_printf(out, "%s: %zu of %zu times\n", text, fired, times);
    }
}

/* The systems' own verbs, as often as the script came to them. */
static void by_commands(const struct judgement *j, size_t *deeds, struct buf *out)
{
    size_t told = 0;

    for (size_t i = 0; i < j->counters.n_verbs; i++) {
        const struct named_count *verb = &j->counters.verbs[i];

        if (!is_command_of(j->plan, verb->name))
            continue;
        if (told == 0)
            begin_deed(deeds, out);
        buf_printf(out, "%s%s", told++ ? ", " : "by command: ", verb->name);
        if (verb->value > 1)
            buf_printf(out, " %lld times", (long long)verb->value);
    }
    if (told > 0)
        buf_char(out, '\n');
}

static void done_to_it(const struct judgement *j, struct buf *out)
{
    size_t deeds = 0;

    windows(j, &deeds, out);
    at_steps(j, &deeds, out);
    by_commands(j, &deeds, out);
    if (deeds == 0)
        buf_text(out, "  done to it no fault\n");
}

static void messages(const struct judgement *j, struct buf *out)
{
    const struct send_counts *all = &j->counters.all;
    int64_t delivered = 0, again = 0;

    buf_printf(out, "%lld messages sent: %lld acknowledged, %lld refused, %lld unknown",
               (long long)all->sent, (long long)all->ok, (long long)all->fail,
               (long long)all->unknown);
    if (all->believed)
        buf_printf(out, ", %lld never asked about", (long long)all->believed);
    for (size_t d = 0; d <= j->plan->n_dests; d++) {
        delivered += j->counters.delivered[d];
        again += j->counters.redelivered[d];
    }
    if (delivered)
        buf_printf(out, "; %lld delivered, %lld of them again", (long long)delivered,
                   (long long)again);
}

static void happened(const struct judgement *j, struct buf *out)
{
    const struct send_counts *all = &j->counters.all;
    const struct keyed_counts *k = &j->counters.keyed;
    const char *gap = "  happened   ";

    if (all->sent > 0 || (k->writes == 0 && k->locks == 0 && all->reads == 0)) {
        buf_text(out, gap);
        messages(j, out);
        gap = "; ";
    }
    if (k->locks > 0) {
        buf_printf(out, "%s%lld lock%s taken", gap, (long long)k->locks, k->locks > 1 ? "s" : "");
        gap = "; ";
    }
    if (k->writes > 0) {
        buf_printf(out, "%s%lld writes: %lld done, %lld refused, %lld unknown", gap,
                   (long long)k->writes, (long long)k->writes_ok, (long long)k->writes_fail,
                   (long long)(k->writes - k->writes_ok - k->writes_fail));
        gap = "; ";
    }
    if (all->reads > 0)
        buf_printf(out, "%s%lld reads answered, %lld by a cache", gap, (long long)all->reads,
                   (long long)all->hits);
    if (j->counters.journal)
        buf_printf(out, "; %lld effects in the journal", (long long)j->counters.journal);
    if (j->undecided)
        buf_printf(out, "; %llu undecided", (unsigned long long)j->undecided);
    buf_char(out, '\n');
}

static void took(const struct judgement *j, struct buf *out)
{
    const struct histogram *took_ns = &j->counters.latency.took_ns;

    if (took_ns->n == 0)
        return;
    buf_printf(out,
               "  latency    p50 %.2f ms, p99 %.2f ms, longest %.2f ms, of %llu answered sends\n",
               (double)histogram_quantile(took_ns, 0.5) / 1e6,
               (double)histogram_quantile(took_ns, 0.99) / 1e6, (double)took_ns->max / 1e6,
               (unsigned long long)took_ns->n);
}

static void stood_still(const struct judgement *j, struct buf *out)
{
    const struct counters *c = &j->counters;

    if (c->stalls == 0)
        return;
    buf_text(out, "  machine    stood still ");
    if (c->stalls > 1)
        buf_printf(out, "%lld times, up to ", (long long)c->stalls);
    else
        buf_text(out, "for ");
    buf_printf(out, "%.1f s: servers, clients and script may have run out of time by that\n",
               (double)c->longest_stall_ns / 1e9);
}

static void driven(const struct judgement *j, struct buf *out)
{
    const struct event *driver = &j->counters.driver;

    if (driver->type != EVENT_NONE)
        buf_printf(out, "  driver     used %.1f %% of %d core%s\n", event_driver_percent(driver),
                   driver->code, driver->code == 1 ? "" : "s");
}

static const struct expectation *expectation_of(const struct judgement *j, const char *kind)
{
    for (size_t i = 0; i < j->n_expected; i++)
        if (strcmp(j->expected[i].kind, kind) == 0)
            return &j->expected[i];
    return NULL;
}

/* By its name where it has one: whom it hit stands above. */
static void window_shortly(const struct judgement *j, uint32_t window, char *out, size_t size)
{
    judgement_window_name(j, window, out, size);
    for (size_t i = 0; i < j->counters.n_windows; i++) {
        const struct window_counts *w = &j->counters.windows[i];

        if (w->stamps.id == window && w->name[0])
            snprintf(out, size, "%s %s", w->kind, w->name);
    }
}

static void one_sample(const struct judgement *j, const struct finding_sample *s, struct buf *out)
{
    char name[200], window[300];

    format_message(j->plan, &s->message, name, sizeof(name));
    window_shortly(j, s->window, window, sizeof(window));
    buf_printf(out, "             %s%s%s  (%.3f s%s%s)\n", s->message.seq == UINT64_MAX ? "" : name,
               s->message.seq == UINT64_MAX ? "" : " ", s->text, since_start(j, s->at_ns),
               window[0] ? ", inside " : "", window);
}

static void findings(const struct judgement *j, struct buf *out)
{
    for (size_t i = 0; i < j->found.n; i++) {
        const struct finding *f = &j->found.items[i];
        const struct expectation *x = expectation_of(j, f->kind);

        buf_printf(out, "  found      %llu %s", (unsigned long long)f->count, f->kind);
        for (size_t k = 0; k < f->n_stages; k++)
            buf_printf(out, "%s%s %llu", k ? ", " : " (", f->stages[k].name,
                       (unsigned long long)f->stages[k].count);
        buf_printf(out, "%s", f->n_stages ? ")" : "");
        if (x)
            buf_printf(out, ", expected %s", x->text);
        else if (judgement_allows(j, f->kind))
            buf_text(out, ", allowed by this case (may:)");
        buf_char(out, '\n');
        for (size_t k = 0; k < f->n_samples && k < SAMPLES_SHOWN; k++)
            one_sample(j, &f->samples[k], out);
        if (f->count > SAMPLES_SHOWN && f->n_samples > SAMPLES_SHOWN)
            buf_printf(out, "             and %llu more\n",
                       (unsigned long long)(f->count - SAMPLES_SHOWN));
    }
}

/* It broke before a client did anything: the reason says it all. */
static bool never_began(const struct judgement *j)
{
    const struct counters *c = &j->counters;

    return j->verdict == VERDICT_BROKEN && c->all.sent == 0 && c->all.reads == 0 &&
           c->keyed.writes == 0 && c->keyed.locks == 0 && c->n_windows == 0 && c->journal == 0;
}

static void evidence(const struct judgement *j, struct buf *out)
{
    static const char *const levels[] = {"nothing", "D1: logs and queues complete",
                                         "D2: consumers done", "D3: stores quiet"};

    if (j->n_exercised > 0)
        buf_text(out, "  exercised  ");
    for (size_t i = 0; i < j->n_exercised; i++)
        buf_printf(out, "%s%s %lld", i ? ", " : "", j->exercised[i].promise,
                   (long long)j->exercised[i].count);
    buf_text(out, j->n_exercised ? "\n" : "");
    for (size_t i = 0; i < j->check.n; i++)
        if (j->check.items[i].findings.told[0])
            buf_printf(out, "  measured   %s: %s\n", j->check.items[i].ops->name,
                       j->check.items[i].findings.told);
    buf_printf(out, "  drained    %s%s%s\n", levels[j->drain], j->drain_why[0] ? "; " : "",
               j->drain_why);
    for (size_t i = 0; i < j->n_required; i++)
        if (!j->required[i].holds)
            buf_printf(out, "  required   %s does not hold: %s%lld\n", j->required[i].text,
                       j->required[i].why[0] ? j->required[i].why : "it was ",
                       (long long)j->required[i].value);
}

static const struct finding_sample *first_message(const struct judgement *j)
{
    for (size_t i = 0; i < j->found.n; i++)
        for (size_t k = 0; k < j->found.items[i].n_samples; k++)
            if (j->found.items[i].samples[k].message.seq != UINT64_MAX)
                return &j->found.items[i].samples[k];
    return NULL;
}

void format_case(const struct judgement *j, struct buf *out)
{
    const struct finding_sample *s = first_message(j);
    char name[200];

    head(j, out);
    if (j->verdict == VERDICT_NOT_APPLICABLE)
        return;
    promised(j, out);
    replaced(j, out);
    stood_still(j, out);
    if (j->counters.plan && !never_began(j)) { /* there is a history, with something in it */
        done_to_it(j, out);
        happened(j, out);
        took(j, out);
        driven(j, out);
        findings(j, out);
        evidence(j, out);
    }
    if (s) {
        format_message(j->plan, &s->message, name, sizeof(name));
        buf_printf(out, "  look       assay explain %s %s\n", j->folder, name);
    } else if (!j->as_expected && j->counters.plan) {
        buf_printf(out, "  look       assay show %s\n", j->folder);
    }
}

void format_table(const struct run_summary *run, struct buf *out)
{
    size_t width = 4, as_expected = 0, skipped = 0;

    for (size_t i = 0; i < run->n; i++)
        if (strlen(run->cases[i]->title) > width)
            width = strlen(run->cases[i]->title);
    buf_printf(out, "\n%-*s  %-14s  %-11s  %8s  %s\n", (int)width, "case", "verdict", "as expected",
               "seconds", "why");
    for (size_t i = 0; i < run->n; i++) {
        const struct judgement *j = run->cases[i];

        bool not_applicable = j->verdict == VERDICT_NOT_APPLICABLE;

        skipped += not_applicable;
        as_expected += j->as_expected && !not_applicable;
        buf_printf(out, "%-*s  %-14s  %-11s  %8.1f  %.*s\n", (int)width, j->title,
                   verdict_names[j->verdict],
                   not_applicable   ? "-"
                   : j->as_expected ? "yes"
                                    : "NO",
                   (double)j->duration_ms / 1000, (int)strcspn(j->reason, "\n"), j->reason);
    }
    format_audit(run, out);
    buf_printf(out, "\n%zu of %zu as expected, seed %llu", as_expected,
               run->n + run->n_not_run - skipped, (unsigned long long)run->seed);
    if (skipped)
        buf_printf(out, ", %zu not applicable", skipped);
    if (run->n_not_run)
        buf_printf(out, ", %zu not run", run->n_not_run);
    if (run->unwritten)
        buf_printf(out, "\n");
    else
        buf_printf(out, ". %s/results.json\n", run->folder);
}
