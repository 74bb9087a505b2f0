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

#define CELLS_WORDS (CELLS_CHUNK / 32)
struct cell_chunk {
    uint64_t words[CELLS_WORDS];
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

/* A word whose 32 cells are all in that state. */
static inline uint64_t cells_even(unsigned state)
{
    return state * UINT64_C(0x5555555555555555);
}

/* For those who know what they will touch next: what was sent at once is read far apart. A function
 * that does nothing else is dropped by gcc as one without effect: hence inlined, and its callers.
 */
#define CELLS_AHEAD static inline __attribute__((always_inline))
CELLS_AHEAD void cells_prefetch(const struct cells *cells, uint64_t i)
{
    uint64_t chunk = i / CELLS_CHUNK;

    if (chunk < cells->n && cells->chunks[chunk] >= 4)
        __builtin_prefetch(
            &((const struct cell_chunk *)cells->chunks[chunk])->words[i % CELLS_CHUNK / 32], 1);
}

/* Out of line: opens a chunk, grows the list. */
void cells_set_slow(struct cells *cells, uint64_t i, unsigned state);
/* A word of this chunk became even: where all the others are too, the chunk folds. */
void cells_word_evened(struct cells *cells, uint64_t chunk, unsigned state);

enum cells_change { CELLS_SET, CELLS_ADD, CELLS_RAISE };
static inline unsigned cells_changed(enum cells_change how, unsigned old, unsigned operand)
{
    if (how == CELLS_SET)
        return operand;
    if (how == CELLS_ADD)
        return old | operand;
    return old > operand ? old : operand;
}

/* Changes a cell; returns the old state. Inlined: `how` is a constant wherever it is called. */
static inline __attribute__((always_inline)) unsigned
cells_put(struct cells *cells, uint64_t i, enum cells_change how, unsigned operand)
{
    uint64_t chunk = i / CELLS_CHUNK, was;
    unsigned shift = (unsigned)(i % 32 * 2), old, state;
    uint64_t *word;

    if (__builtin_expect(chunk >= cells->n || cells->chunks[chunk] < 4, 0)) {
        old = cells_get(cells, i);
        cells_set_slow(cells, i, cells_changed(how, old, operand));
        return old;
    }
    word = &((struct cell_chunk *)cells->chunks[chunk])->words[i % CELLS_CHUNK / 32];
    was = *word >> shift;
    old = (unsigned)was & 3;
    state = cells_changed(how, old, operand);
    if (old == state)
        return old;
    *word ^= (uint64_t)(old ^ state) << shift;
    if (__builtin_expect(*word == cells_even(state), 0))
        cells_word_evened(cells, chunk, state);
    return old;
}

static inline void cells_set(struct cells *cells, uint64_t i, unsigned state)
{
    (void)cells_put(cells, i, CELLS_SET, state);
}

/* Adds bits; returns what was there. */
static inline unsigned cells_add(struct cells *cells, uint64_t i, unsigned bits)
{
    return cells_put(cells, i, CELLS_ADD, bits);
}

/* The greater of the two; returns what was there. */
static inline unsigned cells_raise(struct cells *cells, uint64_t i, unsigned state)
{
    return cells_put(cells, i, CELLS_RAISE, state);
}

/* The first cell ≥ from and < end that is in one of the states of `mask` (bit per state); end when
 * there is none. */
uint64_t cells_next(const struct cells *cells, uint64_t from, uint64_t end, unsigned mask);
void cells_release(struct cells *cells);

#endif
