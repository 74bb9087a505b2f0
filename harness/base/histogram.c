/* Log-linear counting: the place of a value is its leading bits (histogram.h). */
#include "base/histogram.h"

#include <math.h>

/* How many low bits of a value its place leaves out. */
static unsigned dropped_bits(uint64_t value)
{
    unsigned bits = 64u - (unsigned)__builtin_clzll(value | 1);

    return bits > HISTOGRAM_STEP_BITS + 1 ? bits - (HISTOGRAM_STEP_BITS + 1) : 0;
}

static unsigned place_of(uint64_t value)
{
    unsigned dropped = dropped_bits(value);

    return (dropped << HISTOGRAM_STEP_BITS) + (unsigned)(value >> dropped);
}

/* The largest value of a place. */
static int64_t upper_edge(unsigned place)
{
    unsigned steps = 1u << HISTOGRAM_STEP_BITS;
    unsigned dropped = place < 2 * steps ? 0 : (place >> HISTOGRAM_STEP_BITS) - 1;
    uint64_t leading = place - ((uint64_t)dropped << HISTOGRAM_STEP_BITS);

    return (int64_t)(((leading + 1) << dropped) - 1);
}

void histogram_add(struct histogram *h, int64_t value)
{
    if (value < 0)
        value = 0;
    if (value > h->max)
        h->max = value;
    h->n++;
    h->places[place_of((uint64_t)value)]++;
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
    double wanted = ceil(q * (double)h->n);
    uint64_t seen = 0;

    for (unsigned place = 0; place < HISTOGRAM_PLACES; place++) {
        seen += h->places[place];
        if (seen > 0 && (double)seen >= wanted)
            return upper_edge(place) < h->max ? upper_edge(place) : h->max;
    }
    return 0;
}
