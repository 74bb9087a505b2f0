/*
 * Counter-based draws. The mixer is the finaliser of SplitMix64 (Steele, Lea, Flood: "Fast
 * splittable pseudorandom number generators", OOPSLA 2014); the stream name enters through FNV-1a.
 */
#include "base/draw.h"

#include <assert.h>

__extension__ typedef unsigned __int128 wide;

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct draw draw_stream(uint64_t seed, const char *stream)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *c = stream; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    return (struct draw){.key = mix(mix(seed + UINT64_C(0x9e3779b97f4a7c15)) ^ hash)};
}

uint64_t draw_u64(const struct draw *draw, uint64_t index)
{
    return mix(draw->key + (index + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t draw_below(const struct draw *draw, uint64_t index, uint64_t n)
{
    assert(n > 0);
    return (uint64_t)(((wide)draw_u64(draw, index) * n) >> 64);
}

int64_t draw_range(const struct draw *draw, uint64_t index, int64_t low, int64_t high)
{
    assert(low <= high);
    return low + (int64_t)draw_below(draw, index, (uint64_t)(high - low) + 1);
}

double draw_unit(const struct draw *draw, uint64_t index)
{
    return (double)(draw_u64(draw, index) >> 11) * 0x1.0p-53;
}
