/*
 * The definitions of JUDGING.md over a small history, by brute force: for each thing look through
 * all events. Shares no code with the checkers.
 */
#ifndef ASSAY_CHECKERS_TESTING_ORACLE_H
#define ASSAY_CHECKERS_TESTING_ORACLE_H

#include "checkers/testing/world.h"

enum oracle_kind {
    ORACLE_LOST,
    ORACLE_LOST_INTENT,
    ORACLE_DUPLICATE_DELIVERY,
    ORACLE_MISSING_EFFECT,
    ORACLE_DUPLICATE_EFFECT,
    ORACLE_ORDER,
    ORACLE_REDELIVERY_ORDER,
    ORACLE_CORRUPT,
    ORACLE_PHANTOM,
    ORACLE_FAIL_VISIBLE,
    ORACLE_OFFSET_CONFLICT,
    ORACLE_OFFSET_REGRESS,
    ORACLE_KINDS
};
extern const char *const oracle_names[ORACLE_KINDS];

enum oracle_order { ORACLE_AT_LOG, ORACLE_AT_DELIVERY, ORACLE_AT_EFFECT };

/* counts: ORACLE_KINDS numbers. Order by partition at log and delivery, by key at effect. */
void oracle(const struct world *w, const struct events *list, enum oracle_order at,
            uint64_t *counts);

#endif
