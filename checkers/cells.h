/*
 * Two bits for each message of one producer session, in chunks that fold away once all their
 * messages are in the same state: a run that goes well costs a pointer per 4096 messages.
 *
 *     struct cells c = {0};
 *     cells_set(&c, seq, CLEARED);
 *     if (cells_get(&c, seq) == ACKED) …
 *     cells_release(&c);
 *
 * Sequence numbers are dense from 0 (struct msg_id); a number beyond CELLS_MAX is not taken.
 */
#ifndef ASSAY_CHECKERS_CELLS_H
#define ASSAY_CHECKERS_CELLS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CELLS_CHUNK 4096u
#define CELLS_MAX (UINT64_C(1) << 34)

struct cell_chunk {
    uint16_t count[4]; /* cells in each state; one of them reaching CELLS_CHUNK folds the chunk */
    uint64_t words[CELLS_CHUNK / 32];
};

/* A folded chunk is its state (0 … 3) in place of the pointer. */
struct cells {
    uintptr_t *chunks;
    size_t n;
    struct cell_chunk *spare; /* folded last: the next chunk to open takes it */
};

static inline unsigned cells_get(const struct cells *cells, uint64_t i)
{
    uint64_t chunk = i / CELLS_CHUNK;
    uint64_t at = i % CELLS_CHUNK;

    if (chunk >= cells->n)
        return 0;
    if (cells->chunks[chunk] < 4)
        return (unsigned)cells->chunks[chunk];
    return (unsigned)(((const struct cell_chunk *)cells->chunks[chunk])->words[at / 32] >>
                          (at % 32 * 2) &
                      3);
}

/* Out of line: opens a chunk, grows the list, folds. */
void cells_set_slow(struct cells *cells, uint64_t i, unsigned state);

static inline void cells_set(struct cells *cells, uint64_t i, unsigned state)
{
    uint64_t chunk = i / CELLS_CHUNK;
    uint64_t at = i % CELLS_CHUNK;
    struct cell_chunk *open;
    unsigned old;

    assert(state < 4);
    if (chunk >= cells->n || cells->chunks[chunk] < 4) {
        cells_set_slow(cells, i, state);
        return;
    }
    open = (struct cell_chunk *)cells->chunks[chunk];
    old = (unsigned)(open->words[at / 32] >> (at % 32 * 2) & 3);
    if (old == state)
        return;
    open->words[at / 32] ^= (uint64_t)(old ^ state) << (at % 32 * 2);
    open->count[old]--;
    if (++open->count[state] == CELLS_CHUNK)
        cells_set_slow(cells, i, state);
}

/* Cells in `state` below `end`. */
uint64_t cells_count(const struct cells *cells, unsigned state, uint64_t end);
/* The first cell ≥ from and < end that is in one of the states of `mask` (bit per state); end when
 * there is none. */
uint64_t cells_next(const struct cells *cells, uint64_t from, uint64_t end, unsigned mask);
size_t cells_bytes(const struct cells *cells);
void cells_release(struct cells *cells);

#endif
