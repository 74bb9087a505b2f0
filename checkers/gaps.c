/* Gaps, sorted by unit and end once the audit begins. */
#include "checkers/gaps.h"

#include <stdlib.h>

void gaps_add(struct gaps *g, uint32_t unit, int64_t from, int64_t to)
{
    if (g->n == GAPS_MAX) {
        g->full = true;
        return;
    }
    if ((g->n & (g->n - 1)) == 0)
        g->items = realloc(g->items, (g->n ? g->n * 2 : 1) * sizeof(*g->items));
    if (!g->items)
        abort();
    g->items[g->n++] = (struct gap){unit, from, to, false};
    g->sorted = false;
}

static int compare(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;

    if (x->unit != y->unit)
        return x->unit < y->unit ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

/* The first gap of this unit that ends behind the position. */
static size_t first_behind(const struct gaps *g, uint32_t unit, int64_t position)
{
    size_t low = 0, high = g->n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct gap *gap = &g->items[middle];

        if (gap->unit < unit || (gap->unit == unit && gap->to <= position))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void gaps_found(struct gaps *g, const struct event *e,
                void (*told)(void *, const struct gap *, const struct event *), void *context)
{
    if (!g->n)
        return;
    if (!g->sorted)
        qsort(g->items, g->n, sizeof(*g->items), compare);
    g->sorted = true;
    for (size_t i = first_behind(g, e->unit, e->position); i < g->n && g->items[i].unit == e->unit;
         i++) {
        struct gap *gap = &g->items[i];

        if (gap->told || gap->from >= e->position)
            continue;
        gap->told = true;
        told(context, gap, e);
    }
}

void gaps_release(struct gaps *g)
{
    free(g->items);
    *g = (struct gaps){0};
}
