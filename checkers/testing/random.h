/* Draws one after the other, for tests that make things up. */
#ifndef ASSAY_CHECKERS_TESTING_RANDOM_H
#define ASSAY_CHECKERS_TESTING_RANDOM_H

#include "base/draw.h"

#include <stdbool.h>

struct random {
    struct draw draw;
    uint64_t i;
};

static inline struct random random_stream(uint64_t seed, const char *name)
{
    return (struct random){draw_stream(seed, name), 0};
}

static inline uint64_t below(struct random *r, uint64_t n)
{
    return draw_below(&r->draw, r->i++, n);
}

static inline bool chance(struct random *r, unsigned per_mille)
{
    return below(r, 1000) < per_mille;
}

#endif
