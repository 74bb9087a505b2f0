/*
 * A hash table from two 64-bit numbers to a 64-bit value, for what is rare: re-sent attempts,
 * suspects, intervals. Bounded by `max`: at the bound table_put answers NULL and the checker says
 * inconclusive.
 *
 *     struct table t = {.max = 1u << 20};
 *     uint64_t *value = table_put(&t, a, b);   // found, or made with value 0
 *     value = table_get(&t, a, b);             // NULL: not there
 */
#ifndef ASSAY_CHECKERS_TABLE_H
#define ASSAY_CHECKERS_TABLE_H

#include "api/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_entry {
    uint64_t a, b, value;
    bool used;
};
struct table {
    struct table_entry *entries;
    size_t n, size, max; /* max 0: no bound */
};

/* Where a pair is looked for first. Callers put a session into the upper half of one number and a
 * unit into the lower half of the other: one is multiplied first, so that no two pairs of small
 * numbers cancel out. */
static inline size_t table_home(const struct table *table, uint64_t a, uint64_t b)
{
    uint64_t h = a ^ b * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ h >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
    return (size_t)(h >> 32) & (table->size - 1);
}

/* For those who know what they will ask for next. Inlined, see CELLS_AHEAD. */
static inline __attribute__((always_inline)) void table_prefetch(const struct table *table,
                                                                 uint64_t a, uint64_t b)
{
    if (table->size)
        __builtin_prefetch(&table->entries[table_home(table, a, b)], 1);
}

/* Out of line: not where it is looked for first. */
uint64_t *table_get_far(const struct table *table, uint64_t a, uint64_t b);
uint64_t *table_put_far(struct table *table, uint64_t a, uint64_t b);

static inline struct table_entry *table_at_home(const struct table *table, uint64_t a, uint64_t b)
{
    struct table_entry *entry = table->n ? &table->entries[table_home(table, a, b)] : NULL;

    return entry && entry->a == a && entry->b == b && entry->used ? entry : NULL;
}
static inline uint64_t *table_get(const struct table *table, uint64_t a, uint64_t b)
{
    struct table_entry *entry = table_at_home(table, a, b);

    return entry ? &entry->value : table->n ? table_get_far(table, a, b) : NULL;
}
static inline uint64_t *table_put(struct table *table, uint64_t a, uint64_t b)
{
    struct table_entry *entry = table_at_home(table, a, b);

    return entry ? &entry->value : table_put_far(table, a, b);
}
void table_release(struct table *table);

/* Who asks for one pair again and again keeps where it was found. */
struct table_spot {
    uint64_t a, b, *value; /* value NULL: nothing kept */
    size_t size;           /* of the table then: it moves when it grows */
};
static inline bool table_spot_is(const struct table *table, const struct table_spot *spot,
                                 uint64_t a, uint64_t b)
{
    return spot->value && spot->a == a && spot->b == b && spot->size == table->size;
}
/* As table_put. */
static inline uint64_t *table_put_at(struct table *table, struct table_spot *spot, uint64_t a,
                                     uint64_t b)
{
    if (!table_spot_is(table, spot, a, b)) {
        spot->a = a;
        spot->b = b;
        spot->value = table_put(table, a, b);
        spot->size = table->size;
    }
    return spot->value;
}

/* A message as one number: seq has 48 bits, the session's index the upper 16 (streams_of). */
static inline uint64_t message_key(uint32_t stream, uint64_t seq)
{
    return (uint64_t)stream << 48 | (seq & MESSAGE_SEQ_MAX);
}
static inline uint32_t message_stream(uint64_t key)
{
    return (uint32_t)(key >> 48);
}

#endif
