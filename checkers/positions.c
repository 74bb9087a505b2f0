/* Fingerprints of attempts by position. */
#include "checkers/positions.h"

#include <stdlib.h>

#define TOLD UINT32_MAX /* a conflict here was reported already */

static uint32_t fingerprint(const struct event *e)
{
    uint64_t h = e->seq * UINT64_C(0x9e3779b97f4a7c15);

    h ^= ((uint64_t)e->client << 40 | (uint64_t)e->incarnation << 24 | (uint64_t)e->worker << 8 |
          e->attempt) *
         UINT64_C(0xc2b2ae3d27d4eb4f);
    h = (h ^ h >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)((h ^ h >> 32) % (TOLD - 1)) + 1; /* neither free nor told */
}

static uint32_t *chunk_of(struct positions *p, uint32_t unit, uint64_t at)
{
    uint64_t *number, *renewed;

    if (p->recent && p->recent_unit == unit && p->recent_at == at)
        return p->recent;
    renewed = p->renewed.n ? table_get(&p->renewed, unit, 0) : NULL;
    number = table_put(&p->index, at, renewed ? unit | *renewed << 32 : unit);
    if (!*number) {
        if (p->n >= POSITIONS_CHUNKS_MAX) {
            p->full = true;
            return NULL;
        }
        if ((p->n & (p->n - 1)) == 0)
            p->chunks = realloc(p->chunks, (p->n ? p->n * 2 : 1) * sizeof(*p->chunks));
        if (!p->chunks || !(p->chunks[p->n] = calloc(POSITIONS_CHUNK, sizeof(uint32_t))))
            abort();
        *number = ++p->n;
    }
    p->recent_unit = unit;
    p->recent_at = at;
    return p->recent = p->chunks[*number - 1];
}

bool positions_bind(struct positions *p, const struct event *e)
{
    uint64_t position = (uint64_t)e->position;
    uint32_t *chunk = chunk_of(p, e->unit, position / POSITIONS_CHUNK), *cell,
             mine = fingerprint(e);

    if (!chunk)
        return false;
    cell = &chunk[position % POSITIONS_CHUNK];
    if (*cell == 0)
        *cell = mine;
    if (*cell == mine || *cell == TOLD)
        return false;
    *cell = TOLD;
    return true;
}

void positions_renew(struct positions *p, uint32_t unit)
{
    (*table_put(&p->renewed, unit, 0))++;
    p->recent = NULL;
}

void positions_release(struct positions *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->chunks[i]);
    free(p->chunks);
    table_release(&p->index);
    table_release(&p->renewed);
    *p = (struct positions){0};
}
