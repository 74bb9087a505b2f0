/* Rings of unsettled deliveries. */
#include "checkers/inflight.h"

#include <stdlib.h>

/* Empty, and as small as it gets. */
static void begin_ring(const struct inflight *f, struct interval *i)
{
    i->items = f->labelled ? NULL : i->inside;
    i->size = f->labelled ? 0 : INFLIGHT_INSIDE;
    i->first = i->n = 0;
}

static struct interval *make_interval(struct inflight *f, const struct event *e)
{
    struct interval *i = aligned_alloc(sizeof(*i), sizeof(*i));

    if ((f->n & (f->n - 1)) == 0)
        f->intervals = realloc(f->intervals, (f->n ? f->n * 2 : 1) * sizeof(struct interval *));
    if (!i || !f->intervals)
        abort();
    *i = (struct interval){.by = e->by,
                           .unit = e->unit,
                           .epoch = e->epoch,
                           .group = e->ref,
                           .began_ns = e->at_ns,
                           .start = -1,
                           .last = -1};
    begin_ring(f, i);
    return f->intervals[f->n++] = i;
}

/* What was asked for last stands first of the two that share a place. */
struct interval *inflight_find(struct inflight *f, const struct event *e)
{
    struct recent_intervals *recent = &f->recent[inflight_slot(e)];
    struct interval *i = recent->before;

    if (!inflight_is(i, e)) {
        uint64_t *number = table_put(&f->index, (uint64_t)e->by << 32 | e->unit, e->epoch);

        if (*number) {
            i = f->intervals[*number - 1];
        } else {
            i = make_interval(f, e);
            *number = f->n;
        }
    }
    recent->before = recent->last;
    return recent->last = i;
}

void inflight_drop(struct inflight *f, struct interval *i)
{
    if (i->items != i->inside) {
        f->room -= i->size;
        free(i->items);
    }
    begin_ring(f, i);
}

void inflight_event(struct inflight *f, const struct event *e)
{
    if (e->type == EV_OWN) {
        struct interval *i = inflight_of(f, e);

        if (e->flags & EV_GAINED) {
            inflight_drop(f, i);
            i->began_ns = e->at_ns;
            i->announced = true;
            i->reset = e->flags & EV_RESET;
            i->start = e->position;
            i->last = -1;
            i->group = e->ref;
        }
    } else if (e->type == EV_CLIENT_DEATH) {
        for (size_t n = 0; n < f->n; n++)
            if (f->intervals[n]->by == e->ref)
                inflight_drop(f, f->intervals[n]);
    }
}

static uint32_t at(const struct interval *i, uint32_t n)
{
    return (i->first + n) & (i->size - 1);
}

bool inflight_grow(struct inflight *f, struct interval *i)
{
    bool inside = i->items == i->inside;
    uint32_t had = inside ? 0 : i->size, size = had ? had * 2 : INFLIGHT_FIRST;
    struct interval old = *i;
    struct inflight_item *items;

    if (f->room + size - had > INFLIGHT_MAX)
        return false;
    items = malloc(size * (sizeof(*items) + (f->labelled ? sizeof(uint32_t) : 0)));
    if (!items)
        abort();
    f->room += size - had;
    i->items = items;
    i->first = 0;
    i->size = size;
    for (uint32_t n = 0; n < i->n; n++) {
        items[n] = old.items[at(&old, n)];
        if (f->labelled)
            inflight_labels(i)[n] = inflight_labels(&old)[at(&old, n)];
    }
    if (!inside)
        free(old.items);
    return true;
}

static void take(struct inflight *f, struct interval *i, uint32_t n, inflight_each *each,
                 void *context)
{
    uint32_t *labels = inflight_labels(i);
    uint64_t key = i->items[at(i, n)].key;
    uint32_t label = f->labelled ? labels[at(i, n)] : 0;

    for (; n > 0; n--) { /* the older ones move up */
        i->items[at(i, n)] = i->items[at(i, n - 1)];
        if (f->labelled)
            labels[at(i, n)] = labels[at(i, n - 1)];
    }
    inflight_pop(f, i);
    if (each)
        each(context, key, label);
}

void inflight_settle_some(struct inflight *f, struct interval *i, int64_t position, bool cumulative,
                          inflight_each *each, void *context)
{
    for (uint32_t n = 0; n < i->n;) {
        int64_t held = i->items[at(i, n)].position;

        if (held == position || (cumulative && held < position)) {
            take(f, i, n, each, context);
            if (!cumulative)
                return;
        } else {
            n++;
        }
    }
}

void inflight_release(struct inflight *f)
{
    bool labelled = f->labelled;

    for (size_t n = 0; n < f->n; n++) {
        inflight_drop(f, f->intervals[n]);
        free(f->intervals[n]);
    }
    free(f->intervals);
    table_release(&f->index);
    *f = (struct inflight){.labelled = labelled};
}
