/*
 * When a number that only rises passed each of its values: the record highs of a key's versions,
 * with the time of each. Answers "since when is there something newer than v?".
 *
 *     uint64_t room = 1u << 22;                       // for all of a checker's together
 *     rises_add(&r, version, at_ns, &room);           // in time; lower ones than the last: skipped
 *     const struct rise *next = rises_after(&r, v, &exact);   // the first above v; NULL: none
 *
 * The last RISES_MAX are kept, fewer where there is no room. Where older ones were dropped the
 * first above v may be among them: then `exact` is false, and the true time is the one given or
 * earlier.
 */
#ifndef ASSAY_CHECKERS_RISES_H
#define ASSAY_CHECKERS_RISES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RISES_MAX 1024u
#define RISES_FIRST 4u /* kept whatever the room is */

struct rise {
    int64_t version, at_ns;
};
struct rises {
    struct rise *items; /* ring */
    uint32_t first, n, size;
    int64_t dropped; /* the last version dropped; 0 none */
};

static inline struct rise *rises_at(const struct rises *r, uint32_t i)
{
    return &r->items[(r->first + i) & (r->size - 1)];
}

static inline const struct rise *rises_last(const struct rises *r)
{
    return r->n ? rises_at(r, r->n - 1) : NULL;
}

/* Out of line: grows, or drops the oldest at the bound. */
void rises_push(struct rises *r, struct rise rise, uint64_t *room);

static inline bool rises_add(struct rises *r, int64_t version, int64_t at_ns, uint64_t *room)
{
    const struct rise *last = rises_last(r);

    if (version <= (last ? last->version : 0))
        return false;
    rises_push(r, (struct rise){version, at_ns}, room);
    return true;
}

/* Takes the last one back: it never came true. */
static inline void rises_undo(struct rises *r, int64_t version)
{
    const struct rise *last = rises_last(r);

    if (last && last->version == version)
        r->n--;
}

const struct rise *rises_after(const struct rises *r, int64_t version, bool *exact);
void rises_release(struct rises *r);

#endif
