/*
 * The draws of a case, made once and written into its tree: passages (`nth: {random: [a, b]}`) and
 * chaos schedules. Every draw has a stream of its own named after its step, so that taking one
 * fault or step away shifts no draw of another kind; twins have the same streams and so the same
 * draws.
 */
#include "plan/build.h"

#include "api/fault.h"
#include "api/registry.h"
#include "base/draw.h"
#include "plan/tables.h"
#include "suite/nearest.h"
#include "suite/params.h"
#include "suite/tree.h"
#include "suite/units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REPETITIONS_MAX 10000
#define CHAOS_EVENTS_MAX 10000

struct drawer {
    const char *name; /* of the case */
    uint64_t seed;
    int step; /* number of the step, depth first, as script.c counts them */
    struct arena *arena;
    struct err *err;
};

static struct tree *number_tree(struct arena *arena, const struct tree_mark *mark, int64_t number)
{
    return tree_scalar(arena, mark, arena_printf(arena, "%" PRId64, number));
}

static int read_random(const struct drawer *d, const struct tree *nth, int64_t *low, int64_t *high)
{
    static const struct param bound = {"random", PARAM_INT, 0, .min = 1, .max = INT64_C(1) << 40};
    const struct tree *range = tree_get(nth, "random");

    if (nth->n != 1 || !range || range->kind != TREE_LIST || range->n != 2)
        return mark_err(d->err, &nth->mark, "nth: expected a number or {random: [a, b]}");
    if (param_scalar(&bound, range->items[0], low, d->arena, d->err) < 0 ||
        param_scalar(&bound, range->items[1], high, d->arena, d->err) < 0)
        return -1;
    if (*low > *high)
        return mark_err(d->err, &range->mark, "random: %" PRId64 " is above %" PRId64, *low, *high);
    return 0;
}

static const struct tree *draw_nth(const struct drawer *d, const struct tree *nth, int64_t times)
{
    struct draw draw = draw_stream(d->seed, arena_printf(d->arena, "%s/nth/%d", d->name, d->step));
    struct tree *list = tree_list(d->arena, &nth->mark);
    int64_t low, high;

    if (read_random(d, nth, &low, &high) < 0)
        return NULL;
    for (int64_t i = 0; i < times; i++)
        tree_append(d->arena, list,
                    number_tree(d->arena, &nth->mark, draw_range(&draw, (uint64_t)i, low, high)));
    return times == 1 ? list->items[0] : list;
}

/* The value of one step with the draws of its own trigger. */
static const struct tree *draw_trigger(const struct drawer *d, const struct tree *value,
                                       int64_t times)
{
    const struct tree *at = tree_get(value, "at");
    const struct tree *nth = at ? tree_get(at, "nth") : NULL;
    struct tree *new_value, *new_at;
    const struct tree *drawn;

    if (!nth || nth->kind != TREE_MAP)
        return value;
    drawn = draw_nth(d, nth, times);
    if (!drawn)
        return NULL;
    new_at = tree_copy(d->arena, at);
    tree_put(d->arena, new_at, "nth", drawn);
    new_value = tree_copy(d->arena, value);
    tree_put(d->arena, new_value, "at", new_at);
    return new_value;
}

static const struct tree *draw_steps(struct drawer *d, const struct tree *list, int64_t times,
                                     int depth);

static const struct tree *draw_repeat(struct drawer *d, const struct tree *value, int64_t times,
                                      int depth)
{
    const struct tree *body = tree_get(value, "do");
    struct tree *copy;
    int64_t n = 1;

    if (!body || units_int(tree_text(value, "times", ""), &n) < 0 || n < 1)
        return value; /* script.c says what is wrong with it */
    if (__builtin_mul_overflow(n, times, &times) || times > REPETITIONS_MAX) {
        mark_err(d->err, &value->mark, "more than %d repetitions", REPETITIONS_MAX);
        return NULL;
    }
    body = draw_steps(d, body, times, depth + 1);
    if (!body)
        return NULL;
    copy = tree_copy(d->arena, value);
    tree_put(d->arena, copy, "do", body);
    return copy;
}

static const struct tree *draw_step(struct drawer *d, const struct tree *step, int64_t times,
                                    int depth)
{
    const struct tree *value;
    struct tree *copy;

    if (step->kind != TREE_MAP || step->n != 1)
        return step;
    value = step->items[0];
    if (strcmp(step->keys[0], "repeat") == 0)
        value = draw_repeat(d, value, times, depth);
    else if (strcmp(step->keys[0], "chaos") == 0)
        value = draw_chaos(value, arena_printf(d->arena, "%s/chaos/%d", d->name, d->step - 1),
                           d->seed, d->arena, d->err);
    else
        value = draw_trigger(d, value, times);
    if (!value)
        return NULL;
    if (value == step->items[0])
        return step;
    copy = tree_copy(d->arena, step);
    tree_put(d->arena, copy, step->keys[0], value);
    return copy;
}

static const struct tree *draw_steps(struct drawer *d, const struct tree *list, int64_t times,
                                     int depth)
{
    struct tree *copy;

    if (list->kind != TREE_LIST || depth > SCRIPT_DEPTH_MAX)
        return list;
    copy = tree_list(d->arena, &list->mark);
    for (size_t i = 0; i < list->n; i++) {
        const struct tree *step;

        d->step++;
        step = draw_step(d, list->items[i], times, depth);
        if (!step)
            return NULL;
        tree_append(d->arena, copy, step);
    }
    return copy;
}

const struct tree *draw_script(const struct tree *script, const char *name, uint64_t seed,
                               struct arena *arena, struct err *err)
{
    struct drawer d = {.name = name, .seed = seed, .arena = arena, .err = err};

    return draw_steps(&d, script, 1, 1);
}

/* ---- chaos */

struct schedule {
    struct chaos_raw raw;
    int64_t low_ns, high_ns, at_most;
    struct draw at, length, kind, target;
};

/* "2s" or "1s..4s". */
static int read_range(const struct tree *chaos, struct schedule *s, struct arena *arena,
                      struct err *err)
{
    const char *text = s->raw.for_range;
    const char *dots = strstr(text, "..");
    const struct param p = {"for", PARAM_DURATION, 0, .min = 1000000};
    const struct tree_mark *mark = &tree_get(chaos, "for")->mark;
    const char *low = dots ? arena_strndup(arena, text, (size_t)(dots - text)) : text;
    const char *high = dots ? dots + 2 : text;

    if (param_scalar(&p, tree_scalar(arena, mark, low), &s->low_ns, arena, err) < 0 ||
        param_scalar(&p, tree_scalar(arena, mark, high), &s->high_ns, arena, err) < 0)
        return -1;
    if (s->low_ns > s->high_ns)
        return mark_err(err, mark, "for: %s is a range that ends before it begins", text);
    return 0;
}

/* Also those that the seed happens not to draw. */
static int check_faults(const struct tree *chaos, const struct strings *faults, struct err *err)
{
    for (size_t i = 0; i < faults->n; i++) {
        const struct fault_ops *fault = fault_named(faults->items[i]);
        struct nearest near = nearest_to(faults->items[i]);

        if (fault && fault->draw)
            continue;
        for (size_t k = 0; all_faults[k]; k++)
            if (all_faults[k]->draw)
                nearest_offer(&near, all_faults[k]->name);
        return mark_err(err, &tree_get(chaos, "faults")->mark, "chaos cannot draw \"%s\"%s",
                        faults->items[i], nearest_hint(&near));
    }
    return 0;
}

static int read_schedule(const struct tree *chaos, const char *stream, uint64_t seed,
                         struct schedule *s, struct arena *arena, struct err *err)
{
    char *end;

    if (param_fill(chaos_params, chaos, &s->raw, arena, err) < 0 ||
        read_range(chaos, s, arena, err) < 0 || check_faults(chaos, &s->raw.faults, err) < 0)
        return -1;
    s->at_most = strtoll(s->raw.at_most, &end, 10);
    if (end == s->raw.at_most || s->at_most < 1 ||
        (*end && strcmp(end, " node") != 0 && strcmp(end, " nodes") != 0))
        return mark_err(err, &chaos->mark, "at_most: \"%s\" is not a number of nodes: 1 node",
                        s->raw.at_most);
    if (s->raw.faults.n == 0 || s->raw.targets.n == 0)
        return mark_err(err, &chaos->mark,
                        "chaos: a list of faults and a list of targets are needed");
    if (s->raw.args.duration_ns / s->raw.every_ns > CHAOS_EVENTS_MAX)
        return mark_err(err, &chaos->mark, "chaos: more than %d faults", CHAOS_EVENTS_MAX);
    if (s->raw.seed)
        seed = strtoull(s->raw.seed, NULL, 10);
    s->at = draw_stream(seed, arena_printf(arena, "%s/at", stream));
    s->length = draw_stream(seed, arena_printf(arena, "%s/for", stream));
    s->kind = draw_stream(seed, arena_printf(arena, "%s/kind", stream));
    s->target = draw_stream(seed, arena_printf(arena, "%s/target", stream));
    return 0;
}

static const char *time_text(struct arena *arena, int64_t ns)
{
    char text[40];

    units_print_duration(ns, text, sizeof(text));
    return arena_strdup(arena, text);
}

/* How many of the windows so far are still open at `at_ns`; *next: when the first of them ends. */
static int64_t open_at(const int64_t *ends, size_t n, int64_t at_ns, int64_t *next)
{
    int64_t open = 0;

    *next = INT64_MAX;
    for (size_t i = 0; i < n; i++)
        if (ends[i] > at_ns) {
            open++;
            if (ends[i] < *next)
                *next = ends[i];
        }
    return open;
}

static void draw_event(const struct schedule *s, uint64_t i, int64_t *ends, struct tree *events,
                       const struct tree_mark *mark, struct arena *arena)
{
    /* whole milliseconds: a schedule is read by people; the first half of each stretch, so that
     * faults stay apart */
    int64_t at_ns = (int64_t)i * s->raw.every_ns +
                    draw_range(&s->at, i, 0, s->raw.every_ns / 2000000) * 1000000;
    int64_t for_ns = draw_range(&s->length, i, s->low_ns / 1000000, s->high_ns / 1000000) * 1000000;
    const char *fault = s->raw.faults.items[draw_below(&s->kind, i, s->raw.faults.n)];
    const char *target = s->raw.targets.items[draw_below(&s->target, i, s->raw.targets.n)];
    struct tree *event = tree_map(arena, mark);
    int64_t next;

    while (open_at(ends, events->n, at_ns, &next) >= s->at_most)
        at_ns = next;
    if (at_ns + for_ns > s->raw.args.duration_ns)
        return;
    ends[events->n] = at_ns + for_ns;
    tree_put(arena, event, "at", tree_scalar(arena, mark, time_text(arena, at_ns)));
    tree_put(arena, event, "for", tree_scalar(arena, mark, time_text(arena, for_ns)));
    tree_put(arena, event, "fault", tree_scalar(arena, mark, fault));
    tree_put(arena, event, "target", tree_scalar(arena, mark, target));
    tree_put(arena, event, "index", number_tree(arena, mark, (int64_t)i));
    tree_append(arena, events, event);
}

const struct tree *draw_chaos(const struct tree *chaos, const char *stream, uint64_t seed,
                              struct arena *arena, struct err *err)
{
    struct schedule s = {.at_most = 1};
    struct tree *copy, *events;
    int64_t *ends, n;

    if (chaos->kind != TREE_MAP) {
        mark_err(err, &chaos->mark,
                 "chaos takes a map: {faults: […], every: 5s, for: 1s..4s, duration: 60s}");
        return NULL;
    }
    if (tree_get(chaos, "events"))
        return chaos;
    if (read_schedule(chaos, stream, seed, &s, arena, err) < 0)
        return NULL;
    n = s.raw.args.duration_ns / s.raw.every_ns;
    ends = arena_alloc(arena, (size_t)(n + 1) * sizeof(*ends));
    events = tree_list(arena, &chaos->mark);
    for (int64_t i = 0; i < n; i++)
        draw_event(&s, (uint64_t)i, ends, events, &chaos->mark, arena);
    copy = tree_copy(arena, chaos);
    tree_put(arena, copy, "events", events);
    return copy;
}
