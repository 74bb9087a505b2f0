/*
 * Every random choice of Assay: H(seed, stream name, index), counter-based, so that taking one
 * draw away shifts no other. There is no other source of randomness.
 *
 *     struct draw d = draw_stream(plan->seed, "chaos.kind");
 *     kind = kinds[draw_below(&d, i, n_kinds)];
 */
#ifndef ASSAY_BASE_DRAW_H
#define ASSAY_BASE_DRAW_H

#include <stdint.h>

struct draw {
    uint64_t key;
};

struct draw draw_stream(uint64_t seed, const char *stream);
uint64_t draw_u64(const struct draw *draw, uint64_t index);
/* Uniform in [0, n), n > 0; and in [low, high], both included. */
uint64_t draw_below(const struct draw *draw, uint64_t index, uint64_t n);
int64_t draw_range(const struct draw *draw, uint64_t index, int64_t low, int64_t high);
/* Uniform in [0, 1). */
double draw_unit(const struct draw *draw, uint64_t index);

#endif
