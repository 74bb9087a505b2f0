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

uint64_t *table_get(const struct table *table, uint64_t a, uint64_t b);
uint64_t *table_put(struct table *table, uint64_t a, uint64_t b);
void table_release(struct table *table);

/* A message as one number: seq has 48 bits, the session's index the upper 16 (streams_of). */
static inline uint64_t message_key(uint32_t stream, uint64_t seq)
{
    return (uint64_t)stream << 48 | (seq & MESSAGE_SEQ_MAX);
}

#endif
