/*
 * Two bits a message, folded. The bound of JUDGING ("≤ 2 bits a message, finished chunks folded to
 * ranges"): an open chunk is 1032 bytes for 4096 messages, a folded one 8.
 */
#include "checkers/cells.h"

#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static void grow(struct cells *cells, size_t n)
{
    size_t size = cells->n ? cells->n : 4;

    while (size < n)
        size *= 2;
    cells->chunks = must(realloc(cells->chunks, size * sizeof(*cells->chunks)));
    memset(cells->chunks + cells->n, 0, (size - cells->n) * sizeof(*cells->chunks));
    cells->n = size;
}

static struct cell_chunk *unfold(struct cells *cells, unsigned state)
{
    struct cell_chunk *chunk = cells->spare ? cells->spare : must(malloc(sizeof(*chunk)));

    cells->spare = NULL;
    memset(chunk->count, 0, sizeof(chunk->count));
    chunk->count[state] = CELLS_CHUNK;
    memset(chunk->words, (int)(state * 0x55), sizeof(chunk->words));
    return chunk;
}

void cells_set_slow(struct cells *cells, uint64_t i, unsigned state)
{
    uint64_t at = i / CELLS_CHUNK;

    if (i >= CELLS_MAX)
        return;
    if (at >= cells->n)
        grow(cells, at + 1);
    if (cells->chunks[at] < 4) {
        if (cells->chunks[at] == state)
            return;
        cells->chunks[at] = (uintptr_t)unfold(cells, (unsigned)cells->chunks[at]);
        cells_set(cells, i, state);
        return;
    }
    /* All its cells are in one state now. */
    free(cells->spare);
    cells->spare = (struct cell_chunk *)cells->chunks[at];
    cells->chunks[at] = state;
}

uint64_t cells_next(const struct cells *cells, uint64_t from, uint64_t end, unsigned mask)
{
    while (from < end) {
        uint64_t chunk = from / CELLS_CHUNK;
        uintptr_t word = chunk < cells->n ? cells->chunks[chunk] : 0;

        if (word < 4) {
            if (mask >> word & 1)
                return from;
            from = (chunk + 1) * CELLS_CHUNK;
            continue;
        }
        if (mask >> cells_get(cells, from) & 1)
            return from;
        from++;
    }
    return end;
}

uint64_t cells_count(const struct cells *cells, unsigned state, uint64_t end)
{
    uint64_t count = 0;

    for (uint64_t first = 0; first < end; first += CELLS_CHUNK) {
        uint64_t chunk = first / CELLS_CHUNK;
        uint64_t left = end - first < CELLS_CHUNK ? end - first : CELLS_CHUNK;
        uintptr_t word = chunk < cells->n ? cells->chunks[chunk] : 0;

        if (word < 4)
            count += word == state ? left : 0;
        else if (left == CELLS_CHUNK)
            count += ((const struct cell_chunk *)word)->count[state];
        else
            for (uint64_t i = 0; i < left; i++)
                count += cells_get(cells, first + i) == state;
    }
    return count;
}

size_t cells_bytes(const struct cells *cells)
{
    size_t bytes = cells->n * sizeof(*cells->chunks);

    for (size_t i = 0; i < cells->n; i++)
        bytes += cells->chunks[i] >= 4 ? sizeof(struct cell_chunk) : 0;
    return bytes;
}

void cells_release(struct cells *cells)
{
    for (size_t i = 0; i < cells->n; i++)
        if (cells->chunks[i] >= 4)
            free((struct cell_chunk *)cells->chunks[i]);
    free(cells->chunks);
    free(cells->spare);
    *cells = (struct cells){0};
}
