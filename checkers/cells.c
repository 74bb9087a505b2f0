/*
 * Two bits a message, folded. The bound of JUDGING ("≤ 2 bits a message, finished chunks folded to
 * ranges"): an open chunk is 1024 bytes for 4096 messages, a folded one 8.
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
    if (cells->chunks[at] == state)
        return;
    cells->chunks[at] = (uintptr_t)unfold(cells, (unsigned)cells->chunks[at]);
    cells_set(cells, i, state);
}

void cells_word_evened(struct cells *cells, uint64_t at, unsigned state)
{
    struct cell_chunk *chunk = (struct cell_chunk *)cells->chunks[at];

    /* Messages come in the order of their numbers: most often the last word says no. */
    for (size_t i = CELLS_WORDS; i-- > 0;)
        if (chunk->words[i] != cells_even(state))
            return;
    free(cells->spare);
    cells->spare = chunk;
    cells->chunks[at] = state;
}

/* All 32 cells of the word that `at` stands in are in one state, and none of the mask's. */
static bool word_is_none(const struct cell_chunk *chunk, uint64_t at, unsigned mask)
{
    uint64_t word = chunk->words[at % CELLS_CHUNK / 32];

    return word == cells_even((unsigned)word & 3) && !(mask >> (word & 3) & 1);
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
        if (from % 32 == 0 && word_is_none((struct cell_chunk *)word, from, mask)) {
            from += 32;
            continue;
        }
        if (mask >> cells_get(cells, from) & 1)
            return from;
        from++;
    }
    return end;
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
