/*
 * Operations of one session that were invoked and not yet completed, by their number. Slots are
 * used again; their number doubles while something else is still open there.
 *
 *     struct open_op *op = open_begin(&o, e->seq);     // NULL: full
 *     op->at_ns = e->at_ns;
 *     …
 *     op = open_end(&o, e->seq);                       // borrowed until the next call;
 *                                                      // NULL: not open
 */
#ifndef ASSAY_CHECKERS_OPEN_OPS_H
#define ASSAY_CHECKERS_OPEN_OPS_H

#include <stddef.h>
#include <stdint.h>

#define OPEN_FIRST 16u
#define OPEN_MAX (UINT64_C(1) << 20)

struct open_op {
    uint64_t taken; /* its number plus one; 0 free */
    int64_t at_ns;
    int64_t notes[2]; /* the checker's own */
};
struct open_ops {
    struct open_op *items; /* by number modulo size */
    uint64_t size;
};

/* Out of line: more room, or NULL at the bound. */
struct open_op *open_grow(struct open_ops *o, uint64_t number);

static inline struct open_op *open_slot(const struct open_ops *o, uint64_t number)
{
    return &o->items[number & (o->size - 1)];
}

static inline struct open_op *open_begin(struct open_ops *o, uint64_t number)
{
    struct open_op *op = o->size ? open_slot(o, number) : NULL;

    if (!op || (op->taken && op->taken != number + 1))
        op = open_grow(o, number);
    if (op)
        op->taken = number + 1;
    return op;
}

static inline struct open_op *open_end(struct open_ops *o, uint64_t number)
{
    struct open_op *op = o->size ? open_slot(o, number) : NULL;

    if (!op || op->taken != number + 1)
        return NULL;
    op->taken = 0;
    return op;
}

static inline struct open_op *open_find(const struct open_ops *o, uint64_t number)
{
    struct open_op *op = o->size ? open_slot(o, number) : NULL;

    return op && op->taken == number + 1 ? op : NULL;
}

void open_release(struct open_ops *o);

#endif
