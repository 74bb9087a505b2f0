/* A ring of record highs. */
#include "checkers/rises.h"

#include <stdlib.h>

void rises_push(struct rises *r, struct rise rise, uint64_t *room)
{
    if (r->n == r->size && (r->size == 0 || (r->size < RISES_MAX && *room >= r->size))) {
        struct rises old = *r;

        *room -= old.size;
        r->size = old.size ? old.size * 2 : RISES_FIRST;
        r->items = calloc(r->size, sizeof(*r->items));
        if (!r->items)
            abort();
        r->first = 0;
        for (uint32_t i = 0; i < old.n; i++)
            r->items[i] = *rises_at(&old, i);
        free(old.items);
    }
    if (r->n == r->size) {
        r->dropped = rises_at(r, 0)->version;
        r->first = (r->first + 1) & (r->size - 1);
        r->n--;
    }
    r->n++;
    *rises_at(r, r->n - 1) = rise;
}

/* Most ask about the newest or the one before it: from the end, then by halves. */
const struct rise *rises_after(const struct rises *r, int64_t version, bool *exact)
{
    uint32_t low = 0, high = r->n;

    *exact = true;
    if (r->n == 0 || rises_at(r, r->n - 1)->version <= version)
        return NULL;
    if (r->n > 1 && rises_at(r, r->n - 2)->version <= version)
        return rises_at(r, r->n - 1);
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (rises_at(r, middle)->version > version)
            high = middle;
        else
            low = middle + 1;
    }
    *exact = low > 0 || version >= r->dropped;
    return rises_at(r, low);
}

void rises_release(struct rises *r)
{
    free(r->items);
    *r = (struct rises){0};
}
