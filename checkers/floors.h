/*
 * The highest version of something that was certainly seen before an instant, with the clocks'
 * error between: max over all (version, complete) with complete + ε < instant. Instants are asked
 * in time, so all but the last few are one number.
 *
 *     floor_raise(&f, version, complete_ns, error_ns);
 *     int64_t v = floor_at(&f, invoke_ns, error_ns);        // 0: none
 */
#ifndef ASSAY_CHECKERS_FLOORS_H
#define ASSAY_CHECKERS_FLOORS_H

#include <stdbool.h>
#include <stdint.h>

#define FLOOR_RECENT 4u

struct floor {
    int64_t settled; /* certain by now */
    int64_t first;   /* the first it ever was: has it risen since? */
    struct {
        int64_t version, at_ns;
    } recent[FLOOR_RECENT]; /* rising in both; not yet an error old */
    unsigned n;
    bool full; /* more at once than that: answers may be too low */
};

static inline int64_t floor_at(const struct floor *f, int64_t at_ns, int64_t error_ns)
{
    for (unsigned i = f->n; i-- > 0;)
        if (f->recent[i].at_ns + error_ns < at_ns)
            return f->recent[i].version;
    return f->settled;
}

/* Out of line: the recent ones that are old enough settle. */
void floor_push(struct floor *f, int64_t version, int64_t at_ns, int64_t error_ns);

static inline void floor_raise(struct floor *f, int64_t version, int64_t at_ns, int64_t error_ns)
{
    if (version > (f->n ? f->recent[f->n - 1].version : f->settled))
        floor_push(f, version, at_ns, error_ns);
}

#endif
