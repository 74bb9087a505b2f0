/* Fault windows from their stamps. */
#include "checkers/windows.h"

#include <stdlib.h>

static struct fault_window *window_of(struct windows *windows, uint32_t id)
{
    for (size_t i = windows->n; i-- > 0;)
        if (windows->items[i].id == id)
            return &windows->items[i];
    if ((windows->n & (windows->n - 1)) == 0) {
        size_t room = windows->n ? windows->n * 2 : 1;

        windows->items = realloc(windows->items, room * sizeof(*windows->items));
        if (!windows->items)
            abort();
    }
    windows->items[windows->n] = (struct fault_window){.id = id, .node = NO_NODE};
    return &windows->items[windows->n++];
}

void windows_event(struct windows *windows, const struct event *e)
{
    struct fault_window *w;
    bool ok = event_outcome(e) != OUTCOME_FAIL;

    if (e->type != EV_FAULT)
        return;
    w = window_of(windows, e->epoch);
    switch (e->code) {
    case STAMP_DECIDED:
        w->decided_ns = e->at_ns;
        w->text = e->ref;
        w->text_by = e->by;
        break;
    case STAMP_ASKED:
        w->asked_ns = e->at_ns;
        break;
    case STAMP_EFFECTIVE:
        w->effective = ok;
        w->effective_ns = ok ? e->at_ns : 0;
        w->node = e->node;
        w->witness = e->value;
        break;
    case STAMP_BITTEN:
        w->bitten = ok;
        w->witness = e->value;
        break;
    case STAMP_PROBED:
        w->probed = ok;
        break;
    case STAMP_HEAL_DECIDED:
        w->heal_decided_ns = e->at_ns;
        break;
    case STAMP_HEAL_ASKED:
        w->heal_asked_ns = e->at_ns;
        break;
    case STAMP_HEAL_EFFECTIVE:
        w->heal_effective_ns = ok ? e->at_ns : 0;
        break;
    default:
        break;
    }
}

bool window_contains(const struct fault_window *w, int64_t at_ns)
{
    return w->effective && at_ns >= w->effective_ns &&
           (!w->heal_asked_ns || at_ns <= w->heal_asked_ns);
}

const struct fault_window *windows_around(const struct windows *windows, int64_t at_ns)
{
    const struct fault_window *best = NULL;

    for (size_t i = 0; i < windows->n; i++)
        if (window_contains(&windows->items[i], at_ns) &&
            (!best || windows->items[i].effective_ns < best->effective_ns))
            best = &windows->items[i];
    return best;
}

const struct fault_window *windows_next(const struct windows *windows, int64_t at_ns)
{
    const struct fault_window *best = NULL;

    for (size_t i = 0; i < windows->n; i++) {
        const struct fault_window *w = &windows->items[i];

        if (w->effective && w->effective_ns > at_ns &&
            (!best || w->effective_ns < best->effective_ns))
            best = w;
    }
    return best;
}

void windows_release(struct windows *windows)
{
    free(windows->items);
    *windows = (struct windows){0};
}
