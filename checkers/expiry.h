/*
 * What is gone by a rule of the product, as the owner of the data says (EV_EXPIRED), and which
 * rules the suite has declared (`retention: {orders: compact, jobs: [ttl, max_length]}`). Declared
 * expiry is not loss; the cause of any other is told with the loss.
 *
 *     struct expiries x;
 *     expiry_open(&x, plan);
 *     expiry_event(&x, e);                       // first pass: EXPIRED; AUDIT_LOG where a
 *                                                // compaction is declared
 *     enum expiry why = expiry_cause(&x, &(struct expiry_of){…});
 *     if (why != EXPIRY_NONE && expiry_declared(&x, dest, why)) …
 *
 * An EXPIRED event names a message (value 0), or says how many of a unit are gone: then they are
 * its oldest, all below the log start where there is one. So it is asked in the order of sending:
 * each answer of the second kind uses one up. Or it says that the unit itself went, with all there
 * was in it (EXPIRED_WHOLE): whatever was acknowledged and is missing of it. Where a compaction is
 * declared a message may be gone if, and only if, a later one of its key is in the final log.
 *
 * Counter-example: a declared compaction excuses no key's newest message. A declared rule nobody
 * saw at work excuses nothing: without the owner's word what is gone is lost.
 */
#ifndef ASSAY_CHECKERS_EXPIRY_H
#define ASSAY_CHECKERS_EXPIRY_H

#include "api/checker.h"
#include "checkers/streams.h"
#include "plan/plan.h"

#define EXPIRIES (EXPIRY_COMPACTED + 1)
#define EXPIRED_MAX (1u << 20) /* messages named one by one; and keys of compacted units */

struct expired_unit {
    int64_t start; /* log start; below it all is gone */
    enum expiry start_why;
    enum expiry whole;      /* it was one key, and went by this */
    int64_t left[EXPIRIES]; /* of those said to be gone, not yet found */
};

struct expiries {
    const struct plan_case *plan;
    unsigned *declared;         /* per destination: bit per enum expiry */
    struct expired_unit *units; /* one more: where no unit is said */
    struct streams streams;     /* sessions, for numbers */
    struct table messages;      /* (message, 0) → enum expiry */
    struct table newest;        /* (unit, key) → position in the final log, plus one */
    bool compacts, any, full;
};

struct expiry_of {
    struct msg_id message;
    bool acked; /* else it was perhaps never there */
    uint32_t dest, unit;
    int64_t position; /* -1: unknown */
    int64_t key;      /* -1: unknown */
};

void expiry_open(struct expiries *x, const struct plan_case *plan);
void expiry_event(struct expiries *x, const struct event *e);
enum expiry expiry_cause(struct expiries *x, const struct expiry_of *m);
static inline bool expiry_declared(const struct expiries *x, uint32_t dest, enum expiry why)
{
    return x->declared[dest] >> why & 1;
}
size_t expiry_bound(const struct plan_case *plan);
void expiry_release(struct expiries *x);

/* The words of the suite; EXPIRY_NONE: none of them. */
enum expiry expiry_of_word(const char *word);

#endif
