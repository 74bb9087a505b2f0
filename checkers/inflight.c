/* Rings of unsettled deliveries. */
#include "checkers/inflight.h"

#include <stdlib.h>

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
    f->intervals[f->n++] = i;
    return i;
}

struct interval *inflight_find(struct inflight *f, const struct event *e)
{
    uint64_t *number = table_put(&f->index, (uint64_t)e->by << 32 | e->unit, e->epoch);

    if (!*number) {
        make_interval(f, e);
        *number = f->n;
    }
    return *inflight_slot(f, e) = f->intervals[*number - 1];
}

void inflight_drop(struct inflight *f, struct interval *i)
{
    f->room -= i->size;
    free(i->items);
    i->items = NULL;
    i->first = i->n = i->size = 0;
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

static struct inflight_item *at(const struct interval *i, size_t n)
{
    return &i->items[(i->first + n) & (i->size - 1)];
}

bool inflight_grow(struct inflight *f, struct interval *i)
{
    uint32_t size = i->size ? i->size * 2 : INFLIGHT_FIRST;
    struct inflight_item *items;

    if (f->room + size - i->size > INFLIGHT_MAX)
        return false;
    items = malloc(size * sizeof(*items));
    if (!items)
        abort();
    for (size_t n = 0; n < i->n; n++)
        items[n] = *at(i, n);
    free(i->items);
    f->room += size - i->size;
    i->items = items;
    i->first = 0;
    i->size = size;
    return true;
}

static void take(struct inflight *f, struct interval *i, size_t n, inflight_each *each,
                 void *context)
{
    struct inflight_item item = *at(i, n);

    for (; n > 0; n--) /* mostly 0: settled in the order of delivery */
        *at(i, n) = *at(i, n - 1);
    inflight_pop(f, i);
    if (each)
        each(context, &item);
}

void inflight_settle_some(struct inflight *f, struct interval *i, int64_t position, bool cumulative,
                          inflight_each *each, void *context)
{
    for (size_t n = 0; n < i->n;) {
        int64_t held = at(i, n)->position;

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
    for (size_t n = 0; n < f->n; n++) {
        free(f->intervals[n]->items);
        free(f->intervals[n]);
    }
    free(f->intervals);
    table_release(&f->index);
    *f = (struct inflight){0};
}
