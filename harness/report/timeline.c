/*
 * The plan's script is walked beside the coordinator's own events: each step that began is written
 * down with what it was resolved to. A chaos becomes the faults it injected; a round of `repeat`
 * stands for itself. Before each step that acts stands its time (`quiet: {until: …}`), so that a
 * replay keeps both the order of causes and the distances.
 *
 * Leaves out: what the drain healed and started again (a replay drains too), and how many messages
 * a rate produced.
 */
#include "report/timeline.h"

#include "api/fault.h"
#include "api/registry.h"
#include "api/system.h"
#include "base/clock.h"
#include "history/history.h"
#include "plan/script.h"
#include "report/formats.h"
#include "suite/params.h"
#include "suite/tree.h"
#include "suite/units.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BATCH 512
#define STAMPS (STAMP_HEAL_EFFECTIVE + 1)
#define RESOLVED "→ "

struct line { /* EV_SCRIPT, EV_WAITED, EV_TRIGGER */
    unsigned type;
    int64_t at_ns, value;
    enum outcome outcome;
    const char *text;
};

struct opened { /* a fault's window */
    uint32_t id;
    int step; /* from 0; -1: not recorded */
    const char *kind, *sides;
    int64_t at_ns[STAMPS]; /* 0: no such stamp */
    bool claimed;
};

struct walk {
    struct timeline *t;
    struct arena *arena;
    struct line *lines;
    size_t n_lines, next;
    struct opened *windows;
    size_t n_windows;
    struct strings sent; /* names of sends so far */
    int64_t last_ns;     /* when the last step began */
    int64_t end_ns;      /* the last event of the coordinator */
};

/* ---- the coordinator's events */

static struct opened *window_of(struct walk *w, uint32_t id)
{
    for (size_t i = 0; i < w->n_windows; i++)
        if (w->windows[i].id == id)
            return &w->windows[i];
    w->windows = array_grown(w->arena, w->windows, w->n_windows, sizeof(*w->windows));
    w->windows[w->n_windows] = (struct opened){.id = id, .step = -1, .kind = "", .sides = ""};
    return &w->windows[w->n_windows++];
}

static void take_stamp(struct walk *w, const struct event *e, const char *text)
{
    struct opened *window = window_of(w, e->epoch);

    if (e->code < STAMP_DECIDED || e->code >= STAMPS || event_outcome(e) == OUTCOME_FAIL)
        return;
    window->at_ns[e->code] = e->at_ns;
    if (e->code == STAMP_DECIDED) {
        window->kind = arena_strndup(w->arena, text, strcspn(text, "|"));
        window->step = (int)e->value - 1;
    } else if (e->code == STAMP_ASKED) {
        window->sides = arena_strdup(w->arena, text);
    }
}

static void take_event(struct walk *w, const struct event *e, const char *text)
{
    w->end_ns = e->at_ns;
    if (e->type == EV_FAULT) {
        take_stamp(w, e, text);
        return;
    }
    w->lines = array_grown(w->arena, w->lines, w->n_lines, sizeof(*w->lines));
    w->lines[w->n_lines++] = (struct line){.type = e->type,
                                           .at_ns = e->at_ns,
                                           .value = e->value,
                                           .outcome = event_outcome(e),
                                           .text = arena_strdup(w->arena, text)};
}

static int read_events(struct walk *w, struct history_reader *reader, struct err *err)
{
    struct event *batch = arena_alloc(w->arena, BATCH * sizeof(*batch));
    long n;

    while ((n = history_next(reader, batch, BATCH, err)) > 0)
        for (long i = 0; i < n; i++)
            if (batch[i].by == BY_COORDINATOR)
                take_event(w, &batch[i], history_text_of(reader, batch[i].by, batch[i].ref));
    return n < 0 ? -1 : 0;
}

/* ---- writing steps down */

static struct tree *scalar(const struct walk *w, const char *text)
{
    return tree_scalar(w->arena, &no_mark, text);
}

/* Whole milliseconds: a script is read by people. */
static struct tree *time_tree(const struct walk *w, int64_t ns)
{
    int64_t ms = (ns + MS_NS / 2) / MS_NS;

    return scalar(w, arena_printf(w->arena, "%" PRId64 "ms", ms > 0 ? ms : 1));
}

static struct happened_step *put_step(struct walk *w, struct happened *out, const char *verb,
                                      const struct tree *value)
{
    struct tree *step = tree_map(w->arena, &no_mark);

    tree_put(w->arena, step, verb, value);
    out->items = array_grown(w->arena, out->items, out->n, sizeof(*out->items));
    out->items[out->n] = (struct happened_step){.step = step, .comment = ""};
    return &out->items[out->n++];
}

static void comment(struct walk *w, struct happened_step *step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void comment(struct walk *w, struct happened_step *step, const char *format, ...)
{
    char text[1200];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    step->comment = arena_printf(w->arena, "%s%s\n", step->comment, text);
}

static double since_start(const struct walk *w, int64_t at_ns)
{
    return (double)(at_ns - w->t->began_ns) / 1e9;
}

/* The step that follows began then, in a replay no earlier. */
static void put_time(struct walk *w, struct happened *out, int64_t at_ns)
{
    struct tree *value = tree_map(w->arena, &no_mark);

    if (at_ns - w->last_ns >= MS_NS) {
        tree_put(w->arena, value, "until", time_tree(w, at_ns - w->t->began_ns));
        tree_put(w->arena, value, "why", scalar(w, "recorded"));
        put_step(w, out, "quiet", value);
    }
    w->last_ns = at_ns;
}

/* "a" or "[a, b]" of "a,b". */
static const char *target_words(const struct walk *w, const char *names)
{
    const char *out = "";

    if (!strchr(names, ','))
        return names;
    for (; *names; names += strspn(names, ",")) {
        size_t n = strcspn(names, ",");

        out = arena_printf(w->arena, "%s%s%.*s", out, *out ? ", " : "[", (int)n, names);
        names += n;
    }
    return arena_printf(w->arena, "%s]", out);
}

/* ---- faults */

/* "a,b / c": one expression a side, in the order the fault asked for them. */
static struct tree *sides_tree(const struct walk *w, const char *sides)
{
    struct tree *list = tree_list(w->arena, &no_mark);

    for (;;) {
        const char *end = strstr(sides, " / ");
        size_t n = end ? (size_t)(end - sides) : strlen(sides);
        const char *names = arena_strndup(w->arena, sides, n);

        tree_append(w->arena, list, scalar(w, target_words(w, names)));
        if (!end)
            break;
        sides = end + 3;
    }
    return list->n == 1 ? list->items[0] : list;
}

static const char *stamp_text(const struct walk *w, const struct opened *window)
{
    static const char *const names[STAMPS] = {
        [STAMP_DECIDED] = "decided",       [STAMP_ASKED] = "asked",
        [STAMP_EFFECTIVE] = "effective",   [STAMP_BITTEN] = "bitten",
        [STAMP_PROBED] = "probed",         [STAMP_HEAL_DECIDED] = "heal decided",
        [STAMP_HEAL_ASKED] = "heal asked", [STAMP_HEAL_EFFECTIVE] = "heal effective"};
    const char *out = "";

    for (size_t i = 0; i < STAMPS; i++)
        if (names[i] && window->at_ns[i])
            out = arena_printf(w->arena, "%s%s%s %.6f", out, *out ? ", " : "", names[i],
                               since_start(w, window->at_ns[i]));
    return arena_printf(w->arena, "%s %s: %s", window->kind, window->sides, out);
}

/* How long it lasted when it ended by itself. */
static int64_t lasted_ns(const struct walk *w, const struct opened *window)
{
    int64_t from_ns = window->at_ns[STAMP_EFFECTIVE] ? window->at_ns[STAMP_EFFECTIVE]
                                                     : window->at_ns[STAMP_DECIDED];
    int64_t to_ns =
        window->at_ns[STAMP_HEAL_DECIDED] ? window->at_ns[STAMP_HEAL_DECIDED] : w->end_ns;

    return to_ns - from_ns;
}

/* The window a step opened: in its round, before the same step begins again. */
static struct opened *claim(struct walk *w, const struct step *step, int64_t before_ns)
{
    for (size_t i = 0; i < w->n_windows; i++) {
        struct opened *window = &w->windows[i];

        if (window->claimed || window->step != step->index ||
            window->at_ns[STAMP_DECIDED] >= before_ns)
            continue;
        window->claimed = true;
        return window;
    }
    return NULL;
}

static int64_t begins_again_ns(const struct walk *w, const struct step *step)
{
    for (size_t i = w->next; i < w->n_lines; i++)
        if (w->lines[i].type == EV_SCRIPT && strcmp(w->lines[i].text, step->text) == 0)
            return w->lines[i].at_ns;
    return INT64_MAX;
}

/* The parameter a drawn target went to. */
static const char *target_key(const struct walk *w, const struct fault_ops *fault,
                              const char *words)
{
    void *args = arena_alloc(w->arena, fault->args_size + 1);

    if (fault->draw && fault->draw(w->arena, words, args) == 0)
        for (const struct param *p = fault->params; p->type != PARAM_END; p++)
            if (p->type == PARAM_EXPR && *(void **)(void *)((char *)args + p->offset))
                return p->key;
    return NULL;
}

static void put_chaos(struct walk *w, struct happened *out, const struct step *step,
                      int64_t began_ns, const char *left_out)
{
    const struct chaos_args *chaos = step->args;
    struct opened *window;
    int64_t end_ns = began_ns + chaos->duration_ns;

    while ((window = claim(w, step, INT64_MAX)) != NULL) {
        const struct fault_ops *fault = fault_named(window->kind);
        struct tree *value = tree_map(w->arena, &no_mark);
        const struct tree *sides = sides_tree(w, window->sides);
        const char *key =
            fault && sides->kind == TREE_SCALAR ? target_key(w, fault, sides->text) : NULL;

        if (!key)
            continue; /* it hit nobody: resolving the target failed */
        tree_put(w->arena, value, key, sides);
        tree_put(w->arena, value, "for", time_tree(w, lasted_ns(w, window)));
        put_time(w, out, window->at_ns[STAMP_DECIDED]);
        comment(w, put_step(w, out, window->kind, value), "%s", stamp_text(w, window));
        if (end_ns < window->at_ns[STAMP_HEAL_EFFECTIVE] + chaos->settle_ns)
            end_ns = window->at_ns[STAMP_HEAL_EFFECTIVE] + chaos->settle_ns;
    }
    put_time(w, out, end_ns);
    if (*left_out && out->n > 0)
        comment(w, &out->items[out->n - 1], "%s", left_out);
}

/* `at:` with the client and the passage that were meant: "worker-2 at 10". */
static const struct tree *resolved_at(const struct walk *w, const struct tree *value,
                                      const char *resolved)
{
    const char *passage = strstr(resolved, " at ");
    const struct tree *at = tree_get(value, "at");
    struct tree *new_value, *new_at;

    if (!at || !passage)
        return value;
    new_at = tree_copy(w->arena, at);
    if (!memchr(resolved, ',', (size_t)(passage - resolved))) /* else: all of them, as written */
        tree_put(w->arena, new_at, "client",
                 scalar(w, arena_strndup(w->arena, resolved, (size_t)(passage - resolved))));
    tree_put(w->arena, new_at, "nth", scalar(w, passage + 4));
    new_value = tree_copy(w->arena, value);
    tree_put(w->arena, new_value, "at", new_at);
    return new_value;
}

static const struct tree *resolved_fault(const struct walk *w, const struct step *step,
                                         const struct tree *value, const struct opened *window)
{
    struct tree *copy = tree_copy(w->arena, value);

    for (const struct param *p = step->fault->params; p && p->type != PARAM_END; p++)
        if (p->type == PARAM_EXPR && tree_get(value, p->key) && *window->sides)
            tree_put(w->arena, copy, p->key, sides_tree(w, window->sides));
    if (step->common.for_ns > 0 && window->at_ns[STAMP_HEAL_DECIDED])
        tree_put(w->arena, copy, "for", time_tree(w, lasted_ns(w, window)));
    return copy;
}

static void put_fault(struct walk *w, struct happened *out, const struct step *step,
                      const struct tree *value, int64_t began_ns, const char *resolved)
{
    const struct opened *window = claim(w, step, begins_again_ns(w, step));
    const struct param *first = step->fault->params;
    struct happened_step *put;

    value = param_as_map(value, first ? first->key : NULL, NULL, w->arena);
    if (*resolved)
        value = resolved_at(w, value, resolved);
    if (window)
        value = resolved_fault(w, step, value, window);
    put_time(w, out, began_ns);
    put = put_step(w, out, step->verb, value);
    comment(w, put, "%s", window ? stamp_text(w, window) : "it never took effect");
}

/* ---- other steps */

/* Its name, given or not: numbers of steps are others in a timeline. */
static const struct tree *named_send(struct walk *w, const struct tree *value, const char *name)
{
    struct tree *copy = tree_copy(w->arena, value);

    tree_put(w->arena, copy, "name", scalar(w, name));
    for (size_t i = 0; i < w->sent.n; i++)
        if (strcmp(w->sent.items[i], name) == 0)
            tree_put(w->arena, copy, "again", scalar(w, "true"));
    w->sent.items = array_grown(w->arena, w->sent.items, w->sent.n, sizeof(*w->sent.items));
    w->sent.items[w->sent.n++] = name;
    return copy;
}

/* "$old = redis-1", "$n = 17" → {old: redis-1}. */
static void put_bound(struct walk *w, struct tree *map, const char *text)
{
    const char *equals = strstr(text, " = ");

    if (equals)
        tree_put(w->arena, map, arena_strndup(w->arena, text + 1, (size_t)(equals - text - 1)),
                 scalar(w, target_words(w, equals + 3)));
}

/* A system's command with the node it went to. */
static const struct tree *resolved_command(const struct walk *w, const struct step *step,
                                           const struct tree *value, const char *node)
{
    const struct param *first = step->command->params;
    struct tree *copy;

    if (!*node || !first || first->type != PARAM_EXPR)
        return value;
    copy = tree_copy(w->arena, param_as_map(value, first->key, NULL, w->arena));
    tree_put(w->arena, copy, first->key, scalar(w, node));
    return copy;
}

static void comment_wait(struct walk *w, struct happened_step *step)
{
    for (size_t i = w->next; i < w->n_lines && w->lines[i].type != EV_SCRIPT; i++) {
        const struct line *line = &w->lines[i];

        if (line->type != EV_WAITED)
            continue;
        comment(w, step, line->outcome == OUTCOME_OK ? "held after %.3f s" : "not so in %.3f s",
                (double)line->value / 1e9);
        return;
    }
}

static void put_plain(struct walk *w, struct happened *out, const struct step *step,
                      const struct tree *value, int64_t began_ns, const char *resolved)
{
    bool acts = true;
    struct happened_step *put;

    switch (step->kind) {
    case STEP_SEND:
    case STEP_BACKGROUND:
        value = named_send(w, value, ((const struct send_args *)step->args)->name);
        break;
    case STEP_OBSERVE:
        value = named_send(w, value, ((const struct observe_args *)step->args)->name);
        break;
    case STEP_ARM:
    case STEP_HOLD:
        value = resolved_at(w, value, resolved);
        break;
    case STEP_COMMAND:
        value = resolved_command(w, step, value, resolved);
        break;
    case STEP_START:
    case STEP_HEAL:
    case STEP_RESUME:
    case STEP_RELEASE:
        break;
    default:
        acts = false; /* it looks or waits: when it is done is what counts */
    }
    if (acts)
        put_time(w, out, began_ns);
    put = put_step(w, out, step->verb, value);
    if (step->kind == STEP_WAIT)
        comment_wait(w, put);
}

static void walk_steps(struct walk *w, const struct tree *list, const struct step_list *steps,
                       struct happened *out);

static void put_rounds(struct walk *w, struct happened *out, const struct step *step,
                       const struct tree *value)
{
    const struct repeat_args *repeat = step->args;

    for (int64_t i = 0; i < repeat->times && !w->t->stopped; i++) {
        struct happened *body = arena_alloc(w->arena, sizeof(*body));
        struct tree *one = tree_map(w->arena, &no_mark);

        walk_steps(w, tree_get(value, "do"), &repeat->body, body);
        if (body->n == 0)
            break;
        tree_put(w->arena, one, "times", scalar(w, "1"));
        if (repeat->key)
            tree_put(w->arena, one, "key", scalar(w, repeat->key));
        put_step(w, out, step->verb, one)->body = body;
    }
}

/* ---- the walk */

/* The line with which a step began; NULL: the script did not come so far. */
static const struct line *next_step(struct walk *w, const struct step *step)
{
    while (w->next < w->n_lines) {
        const struct line *line = &w->lines[w->next++];

        if (line->type == EV_SCRIPT && strcmp(line->text, step->text) == 0)
            return line;
    }
    return NULL;
}

/* What a step was resolved to follows its line: bindings into `bound`, the rest as text. */
static const char *resolutions(struct walk *w, struct tree *bound)
{
    const char *text = "";

    for (; w->next < w->n_lines; w->next++) {
        const struct line *line = &w->lines[w->next];

        if (line->type != EV_SCRIPT)
            break;
        if (line->text[0] == '$')
            put_bound(w, bound, line->text);
        else if (strncmp(line->text, RESOLVED, strlen(RESOLVED)) == 0)
            text = arena_printf(w->arena, "%s%s%s", text, *text ? "; " : "",
                                line->text + strlen(RESOLVED));
        else
            break;
    }
    return text;
}

static void put_one(struct walk *w, struct happened *out, const struct step *step,
                    const struct tree *value, int64_t began_ns)
{
    struct tree *bound = tree_map(w->arena, &no_mark);
    const char *resolved = resolutions(w, bound);

    if (step->kind == STEP_CHAOS)
        put_chaos(w, out, step, began_ns, resolved);
    else if (step->kind == STEP_FAULT)
        put_fault(w, out, step, value, began_ns, resolved);
    else if (step->kind == STEP_REPEAT)
        put_rounds(w, out, step, value);
    else if (step->kind == STEP_BIND)
        put_step(w, out, step->verb, bound->n ? bound : value);
    else
        put_plain(w, out, step, value, began_ns, resolved);
}

static void walk_steps(struct walk *w, const struct tree *list, const struct step_list *steps,
                       struct happened *out)
{
    int64_t until_ns = 0; /* a time that nothing followed: the end */

    assert(list && list->n == steps->n);
    for (size_t i = 0; i < steps->n && !w->t->stopped; i++) {
        const struct step *step = &steps->items[i];
        const struct line *line = next_step(w, step);
        const struct quiet_args *quiet = step->kind == STEP_QUIET ? step->args : NULL;

        w->t->stopped = !line;
        if (!line)
            break;
        until_ns = quiet ? quiet->until_ns : 0;
        if (until_ns == 0)
            put_one(w, out, step, list->items[i]->items[0], line->at_ns);
    }
    if (until_ns > 0)
        put_time(w, out, w->t->began_ns + until_ns);
}

static int check_recorded(const struct walk *w, const char *case_folder, struct err *err)
{
    for (size_t i = 0; i < w->n_windows; i++)
        if (w->windows[i].step < 0 && w->windows[i].at_ns[STAMP_DECIDED])
            return err_input(err, "%s: recorded by an assay that kept no timeline", case_folder);
    return 0;
}

static int read_walk(struct walk *w, struct history_reader *reader, const char *case_folder,
                     struct err *err)
{
    struct timeline *t = w->t;
    struct history_info info;
    size_t n = 0;
    const char *plan = history_document(reader, "plan", &n);

    if (!plan)
        return err_input(err, "%s: its history holds no plan", case_folder);
    t->recorded = plan_case_read(plan, n, w->arena, err);
    if (!t->recorded || read_events(w, reader, err) < 0 || check_recorded(w, case_folder, err) < 0)
        return -1;
    for (size_t i = 0; i < w->n_lines && !t->began_ns; i++)
        if (w->lines[i].type == EV_SCRIPT)
            t->began_ns = w->lines[i].at_ns;
    history_info(reader, &info);
    t->began_utc_ns = info.utc_anchor_ns + t->began_ns - info.monotonic_anchor_ns;
    w->last_ns = t->began_ns;
    walk_steps(w, tree_get(t->recorded->tree, "script"), &t->recorded->script, &t->script);
    return 0;
}

int timeline_read(const char *case_folder, struct timeline *out, struct err *err)
{
    struct walk w = {.t = out, .arena = &out->arena};
    struct history_reader *reader;
    int result;

    *out = (struct timeline){0};
    reader = history_open(case_folder, BY_TIME,
                          WANTS(SCRIPT) | WANTS(FAULT) | WANTS(WAITED) | WANTS(TRIGGER), err);
    if (!reader)
        return -1;
    result = read_walk(&w, reader, case_folder, err);
    history_close(reader);
    return result;
}

void timeline_release(struct timeline *t)
{
    arena_release(&t->arena);
    *t = (struct timeline){0};
}
