/*
 * How much a plan can make a checker remember, for checker_ops.bound: messages, sessions and
 * windows at most, and what the containers of this folder need for so many.
 *
 *     struct volume v = volume_of(plan);
 *     return sizeof(struct mine) + bound_cells(&v, 2) + bound_table(v.attempts, RESENDS_MAX);
 *
 * Where a script says a count it is the count; a rate lasts until the case's deadline; "flat out"
 * is FLAT_OUT_PER_S until then.
 */
#ifndef ASSAY_CHECKERS_VOLUME_H
#define ASSAY_CHECKERS_VOLUME_H

#include "plan/plan.h"

#include <stddef.h>
#include <stdint.h>

/* All clients of one machine together were never seen to send half of it. */
#define FLAT_OUT_PER_S 500000

struct volume {
    uint64_t messages; /* sent in all */
    uint64_t resends;  /* further attempts of them */
    size_t duties;     /* destinations of one message at most */
    size_t sources;    /* groups and queues: what is settled on its own */
    uint64_t sessions; /* client, incarnation, worker */
    uint64_t everybody; /* sessions of those who send nothing too */
    uint64_t windows;  /* faults */
    uint32_t keys;     /* of databases, caches and locks: they are numbered below this */
};

struct volume volume_of(const struct plan_case *plan);

/* So many arrays of two bits a message, none of them folded. */
size_t bound_cells(const struct volume *v, size_t arrays);
/* A table of at most n entries, or of its own bound when that is less (0: none). */
size_t bound_table(uint64_t n, uint64_t max);
/* Sessions with `size` bytes of the checker's own each, as streams.h keeps them. */
size_t bound_streams(const struct volume *v, size_t size);
/* What is kept for each key: `size` as keys.h has it, `more` allocated besides. */
size_t bound_keys(const struct volume *v, size_t size, size_t more);
/* What consumers hold, and their intervals. */
size_t bound_inflight(const struct volume *v, const struct plan_case *plan);
size_t bound_hazards(const struct volume *v, const struct plan_case *plan);

#endif
