/*
 * results.json, format 1: the contract others build on (README). Keys are only added,
 * never renamed.
 */
#include "report/formats.h"

#include "checkers/duties.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RESULTS_FORMAT 1

void format_message(const struct plan_case *plan, const struct msg_id *m, char *out, size_t size)
{
    message_name(plan, m, out, size);
}

void format_utc(int64_t utc_ns, char *out, size_t size)
{
    time_t seconds = (time_t)(utc_ns / SECOND_NS);
    struct tm tm;
    char text[40];

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, size, "%s.%03dZ", text, (int)(utc_ns % SECOND_NS / MS_NS));
}

static void put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) < 0)
        abort();
}

static json_t *text(const char *s)
{
    json_t *json = json_string(s);

    return json ? json : json_string("(not UTF-8)");
}

static json_t *number(int64_t n)
{
    return json_integer((json_int_t)n);
}

/* A seed above 2^63 does not fit a JSON integer of every reader. */
static json_t *seed(uint64_t n)
{
    char digits[32];

    if (n <= INT64_MAX)
        return number((int64_t)n);
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    return text(digits);
}

static json_t *versions(const char *lines)
{
    json_t *object = json_object();

    while (*lines) {
        const char *end = strchr(lines, '\n'), *colon = strstr(lines, ": ");
        size_t n = end ? (size_t)(end - lines) : strlen(lines);

        if (colon && colon < lines + n) {
            char key[100];

            snprintf(key, sizeof(key), "%.*s", (int)(colon - lines), lines);
            put(object, key, json_stringn(colon + 2, (size_t)(lines + n - colon - 2)));
        }
        lines += n + (end != NULL);
    }
    return object;
}

/* The message's life as `assay show` prints it, one line an event. */
static json_t *life(const struct judgement *j, const struct finding_sample *s)
{
    json_t *array = json_array();

    for (size_t i = 0; i < j->n_lives; i++)
        if (same_message(&j->lives[i].message, &s->message))
            for (size_t k = 0; k < j->lives[i].n; k++)
                json_array_append_new(array, text(j->lives[i].lines[k]));
    return array;
}

static json_t *sample(const struct judgement *j, const struct finding_sample *s)
{
    json_t *object = json_object();
    char name[200];

    if (s->message.seq != UINT64_MAX) {
        format_message(j->plan, &s->message, name, sizeof(name));
        put(object, "message", text(name));
    } else {
        put(object, "message", json_null());
    }
    put(object, "text", text(s->text));
    put(object, "unit",
        s->unit < j->plan->n_units ? text(j->plan->units[s->unit].name) : json_null());
    put(object, "at_ns", number(s->at_ns - j->counters.first_ns));
    put(object, "events", life(j, s));
    judgement_window_name(j, s->window, name, sizeof(name));
    put(object, "window", s->window ? text(name) : json_null());
    put(object, "stage", s->stage[0] ? text(s->stage) : json_null());
    put(object, "node",
        s->node < j->plan->n_nodes ? text(j->plan->nodes[s->node].name) : json_null());
    return object;
}

static json_t *findings(const struct judgement *j)
{
    json_t *object = json_object();

    for (size_t i = 0; i < j->found.n; i++) {
        const struct finding *f = &j->found.items[i];
        json_t *one = json_object(), *samples = json_array(), *stages = json_object();

        put(one, "count", number((int64_t)f->count));
        for (size_t k = 0; k < f->n_stages; k++)
            put(stages, f->stages[k].name, number((int64_t)f->stages[k].count));
        if (f->n_stages > 0)
            put(one, "stages", stages);
        else
            json_decref(stages);
        for (size_t k = 0; k < f->n_samples; k++)
            json_array_append_new(samples, sample(j, &f->samples[k]));
        put(one, "samples", samples);
        put(object, f->kind, one);
    }
    return object;
}

static json_t *counts(const struct judgement *j)
{
    const struct counters *c = &j->counters;
    json_t *object = json_object();
    int64_t delivered = 0, redelivered = 0;

    for (size_t i = 0; c->plan && i <= j->plan->n_dests; i++) {
        delivered += c->delivered[i];
        redelivered += c->redelivered[i];
    }
    put(object, "sent", number(c->all.sent));
    put(object, "ok", number(c->all.ok));
    put(object, "fail", number(c->all.fail));
    put(object, "unknown", number(c->all.unknown));
    put(object, "believed", number(c->all.believed));
    put(object, "delivered", number(delivered));
    put(object, "redelivered", number(redelivered));
    put(object, "writes", number(c->keyed.writes));
    put(object, "writes_ok", number(c->keyed.writes_ok));
    put(object, "writes_fail", number(c->keyed.writes_fail));
    put(object, "locks", number(c->keyed.locks));
    put(object, "reads", number(c->all.reads));
    put(object, "hits", number(c->all.hits));
    put(object, "effects", number(c->journal));
    put(object, "remaining", number(c->remaining));
    put(object, "undecided", number((int64_t)j->undecided));
    return object;
}

static json_t *stamp(const struct judgement *j, int64_t at_ns)
{
    return at_ns ? number(at_ns - j->counters.first_ns) : json_null();
}

static json_t *windows(const struct judgement *j)
{
    json_t *array = json_array();

    for (size_t i = 0; i < j->counters.n_windows; i++) {
        const struct window_counts *w = &j->counters.windows[i];
        json_t *object = json_object();

        put(object, "name", text(w->name));
        put(object, "kind", text(w->kind));
        put(object, "targets", text(w->targets));
        put(object, "decided_ns", stamp(j, w->stamps.decided_ns));
        put(object, "asked_ns", stamp(j, w->stamps.asked_ns));
        put(object, "effective_ns", stamp(j, w->stamps.effective_ns));
        put(object, "bitten", json_boolean(w->stamps.bitten));
        put(object, "heal_decided_ns", stamp(j, w->stamps.heal_decided_ns));
        put(object, "heal_asked_ns", stamp(j, w->stamps.heal_asked_ns));
        put(object, "heal_effective_ns", stamp(j, w->stamps.heal_effective_ns));
        put(object, "completed", number(w->completed));
        put(object, "acked", number(w->acked));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *drain(const struct judgement *j)
{
    static const char *const levels[] = {"none", "D1", "D2", "D3"};
    json_t *object = json_object();

    put(object, "level", text(levels[j->drain]));
    put(object, "proven", json_boolean(j->drained));
    put(object, "why", text(j->drain_why));
    return object;
}

static json_t *required(const struct judgement *j)
{
    json_t *array = json_array();

    for (size_t i = 0; i < j->n_required; i++) {
        json_t *object = json_object();

        put(object, "text", text(j->required[i].text));
        put(object, "holds", json_boolean(j->required[i].holds));
        put(object, "value", j->required[i].known ? number(j->required[i].value) : json_null());
        json_array_append_new(array, object);
    }
    return array;
}

/* Numbers a checker has beside its findings, as it words them: {stale: "5000 reads: …"}. */
static json_t *measured(const struct judgement *j)
{
    json_t *object = json_object();

    for (size_t i = 0; i < j->check.n; i++)
        if (j->check.items[i].findings.told[0])
            put(object, j->check.items[i].ops->name, text(j->check.items[i].findings.told));
    return object;
}

/* Of answered sends, from the intended start where there is one; null: there was no answer. */
static json_t *latency(const struct judgement *j)
{
    const struct histogram *took_ns = &j->counters.latency.took_ns;
    json_t *object;

    if (took_ns->n == 0)
        return json_null();
    object = json_object();
    put(object, "n", number((int64_t)took_ns->n));
    put(object, "p50_ns", number(histogram_quantile(took_ns, 0.5)));
    put(object, "p99_ns", number(histogram_quantile(took_ns, 0.99)));
    put(object, "max_ns", number(took_ns->max));
    return object;
}

/* Clients, watchers and coordinator while the script ran; null: not recorded. Percent is rounded up:
 * above 80 `recover` is inconclusive. */
static json_t *driver(const struct judgement *j)
{
    const struct event *e = &j->counters.driver;
    json_t *object;

    if (e->type == EVENT_NONE)
        return json_null();
    object = json_object();
    put(object, "cpu_ns", number(e->value));
    put(object, "elapsed_ns", number(e->position));
    put(object, "cores", number(e->code));
    put(object, "percent", number((int64_t)ceil(event_driver_percent(e))));
    return object;
}

static json_t *stalls(const struct judgement *j)
{
    json_t *object = json_object();

    put(object, "n", number(j->counters.stalls));
    put(object, "longest_ns", number(j->counters.longest_stall_ns));
    return object;
}

/* Keys of the team's own files that were not used as they stand. */
static json_t *config(const struct judgement *j)
{
    struct arena arena = {0};
    struct replaced_keys keys = plan_replaced_keys(j->plan, &arena);
    json_t *object = json_object(), *replaced = json_array();

    for (size_t i = 0; i < keys.n; i++) {
        json_t *one = json_object();

        put(one, "of", text(keys.items[i].where));
        put(one, "file", text(keys.items[i].file));
        put(one, "key", text(keys.items[i].key));
        put(one, "why", text(keys.items[i].why));
        json_array_append_new(replaced, one);
    }
    arena_release(&arena);
    put(object, "replaced", replaced);
    return object;
}

static json_t *list_of(struct audit_words words)
{
    json_t *array = json_array();

    for (size_t i = 0; i < words.n; i++)
        json_array_append_new(array, text(words.items[i]));
    return array;
}

static json_t *one_case(const struct judgement *j)
{
    json_t *object = json_object(), *matrix = json_object(), *exercised = json_object(),
           *notes = json_object(), *said = measured(j);

    for (size_t i = 0; i < j->plan->matrix.n; i++)
        put(matrix, j->plan->matrix.items[i].key, text(j->plan->matrix.items[i].value));
    for (size_t i = 0; i < j->n_exercised; i++)
        put(exercised, j->exercised[i].promise, number(j->exercised[i].count));
    for (size_t i = 0; i < j->counters.n_notes; i++)
        put(notes, j->counters.notes[i].name, number(j->counters.notes[i].value));
    put(object, "name", text(j->plan->name));
    put(object, "twin", text(j->plan->twin));
    put(object, "title", text(j->title));
    put(object, "suite", text(j->plan->suite ? j->plan->suite : ""));
    put(object, "matrix", matrix);
    put(object, "seed", seed(j->plan->seed));
    put(object, "repeat", number(j->plan->repeat));
    put(object, "versions", versions(j->versions));
    put(object, "verdict", text(verdict_names[j->verdict]));
    put(object, "as_expected", json_boolean(j->as_expected));
    put(object, "reason", text(j->reason));
    put(object, "duration_ms", number(j->duration_ms));
    put(object, "promises", list_of(promises_of(j->plan)));
    put(object, "faults", list_of(faults_of(j->plan)));
    put(object, "result", text(audit_word(j->verdict)));
    put(object, "findings", findings(j));
    put(object, "counts", counts(j));
    put(object, "exercised", exercised);
    put(object, "windows", windows(j));
    put(object, "drain", drain(j));
    put(object, "latency", latency(j));
    put(object, "driver", driver(j));
    put(object, "stalls", stalls(j));
    put(object, "require", required(j));
    put(object, "notes", notes);
    put(object, "config", config(j));
    if (json_object_size(said) > 0)
        put(object, "measured", said);
    else
        json_decref(said);
    return object;
}

/* Titles of all cases, those not run behind: `check` knows by them what is missing. */
static json_t *planned(const struct run_summary *run)
{
    json_t *titles = json_array();

    for (size_t i = 0; i < run->n; i++)
        json_array_append_new(titles, text(run->cases[i]->title));
    for (size_t i = 0; i < run->n_not_run; i++)
        json_array_append_new(titles, text(run->not_run[i]));
    return titles;
}

void format_json(const struct run_summary *run, struct buf *out)
{
    json_t *object = json_object(), *cases = json_array();
    int64_t started_ns =
        run->n ? judgement_utc_ns(run->cases[0], run->cases[0]->counters.first_ns) : 0;
    char utc[60], *dumped;

    format_utc(started_ns, utc, sizeof(utc));
    for (size_t i = 0; i < run->n; i++)
        json_array_append_new(cases, one_case(run->cases[i]));
    put(object, "format", number(RESULTS_FORMAT));
    put(object, "assay", text(ASSAY_VERSION));
    put(object, "suite", text(run->suite));
    put(object, "seed", seed(run->seed));
    put(object, "exit", run->exit < 0 ? json_null() : number(run->exit));
    put(object, "started_utc", started_ns ? text(utc) : json_null());
    put(object, "not_run", number((int64_t)run->n_not_run));
    put(object, "planned", planned(run));
    put(object, "cases", cases);
    dumped = json_dumps(object, JSON_INDENT(2));
    if (!dumped)
        abort();
    buf_text(out, dumped);
    buf_char(out, '\n');
    free(dumped);
    json_decref(object);
}
