/* Open operations: room for more. */
#include "checkers/open_ops.h"

#include <stdlib.h>

struct open_op *open_grow(struct open_ops *o, uint64_t number)
{
    while (!o->size || (open_slot(o, number)->taken && open_slot(o, number)->taken != number + 1)) {
        struct open_ops old = *o;

        if (old.size >= OPEN_MAX)
            return NULL;
        o->size = old.size ? old.size * 2 : OPEN_FIRST;
        o->items = calloc(o->size, sizeof(*o->items));
        if (!o->items)
            abort();
        for (uint64_t i = 0; i < old.size; i++)
            if (old.items[i].taken)
                *open_slot(o, old.items[i].taken - 1) = old.items[i];
        free(old.items);
    }
    return open_slot(o, number);
}

void open_release(struct open_ops *o)
{
    free(o->items);
    *o = (struct open_ops){0};
}
