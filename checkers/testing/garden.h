/*
 * What tests of one checker share: bugs planted at chosen sites of a clean history, and small
 * random histories compared with what an oracle counts.
 */
#ifndef ASSAY_CHECKERS_TESTING_GARDEN_H
#define ASSAY_CHECKERS_TESTING_GARDEN_H

#include "checkers/testing/random.h"
#include "checkers/testing/world.h"

#define PLANTED 1000
#define BLOCK 8192 /* events in a sealed block; batches of 4096 divide it */

/* PLANTED of the n sites, sorted: the first, the last, those nearest to block edges, random ones.
 */
size_t choose_sites(size_t *sites, size_t n, uint64_t seed);

struct seed {                 /* of a kind of bug */
    const char *kind, *stage; /* stage NULL: any */
    const char *checker;
    const void *args;
    bool (*eligible)(const struct events *clean, size_t i);
    /* Adds event i to `out`, and the bug; between two clean events there are 1000 ns. */
    void (*plant)(const struct events *clean, size_t i, struct events *out);
};
/* Fails the test unless nothing is found in `clean` (≥ 100000 events) and exactly what is planted
 * afterwards. */
void garden(const struct seed *seed, const struct events *clean, uint64_t number);

/* Fails the test where anything is found, or nothing could be said. */
void expect_nothing(const struct check_result *result, const char *what);
/* Where the error of the clocks is not 0, the next check_list calls take this. */
void check_list(const struct world *w, struct events *list, int64_t clock_error_ns,
                struct check_result *result);

/* Oracle tests: compares counts of each kind, prints the history where they differ. */
struct tally {
    const char *kind;
    uint64_t counted;  /* by the oracle, in this history */
    uint64_t violated; /* histories so far */
};
void agree(const struct world *w, struct events *list, int64_t clock_error_ns, uint64_t number,
           struct tally *tallies, size_t n);
/* The same of a result that is there already: for tests that look at more than counts. */
void agree_on(const struct check_result *result, const struct events *list, int64_t clock_error_ns,
              uint64_t number, struct tally *tallies, size_t n);
/* ASSAY_ORACLE_HISTORIES, or 100000. */
uint64_t histories_wanted(void);
/* At least a fifth of them violated each kind. */
void enough(const struct tally *tallies, size_t n);

#endif
