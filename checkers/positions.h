/*
 * Which attempt stands at which position of a log: a 32-bit fingerprint for each, in chunks found
 * by (unit, position / 1024). Two different fingerprints prove two different attempts; equal ones
 * prove nothing and cost one conflict in 2^32.
 */
#ifndef ASSAY_CHECKERS_POSITIONS_H
#define ASSAY_CHECKERS_POSITIONS_H

#include "api/event.h"
#include "checkers/table.h"

#include <stdbool.h>

#define POSITIONS_CHUNK 1024
/* 256 MiB of fingerprints: 64 M positions. */
#define POSITIONS_CHUNKS_MAX 65536u

struct positions {
    struct table index;
    struct table renewed; /* unit → how often it was deleted and made again */
    uint32_t **chunks;
    size_t n;
    bool full;
    uint64_t recent_at; /* of the chunk looked at last */
    uint32_t recent_unit;
    uint32_t *recent;
};

/* Binds; true exactly once per position: when a second, different attempt shows up there. */
bool positions_bind(struct positions *p, const struct event *e);
/* What stands in the unit from here on stands in another log. */
void positions_renew(struct positions *p, uint32_t unit);
void positions_release(struct positions *p);

#endif
