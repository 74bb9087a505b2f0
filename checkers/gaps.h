/*
 * Positions an ownership interval jumped over. Whether something visible stood there only the final
 * audit knows, so they wait for it.
 */
#ifndef ASSAY_CHECKERS_GAPS_H
#define ASSAY_CHECKERS_GAPS_H

#include "api/event.h"

#include <stdbool.h>
#include <stddef.h>

#define GAPS_MAX 262144u

struct gap {
    uint32_t unit;
    int64_t from, to; /* both delivered (or from: the start): what is strictly between was not */
    bool told;
};
struct gaps {
    struct gap *items;
    size_t n;
    bool sorted, full;
};

void gaps_add(struct gaps *g, uint32_t unit, int64_t from, int64_t to);
/* The audit found something at (unit, position): calls `told` once for each gap around it. */
void gaps_found(struct gaps *g, const struct event *e,
                void (*told)(void *context, const struct gap *gap, const struct event *e),
                void *context);
void gaps_release(struct gaps *g);

#endif
