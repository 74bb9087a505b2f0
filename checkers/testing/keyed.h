/*
 * A database and its caches that work, simulated: whatever is read, loaded or filled is the newest
 * version at some instant between invoke and completion; unknown and refused writes, clients that
 * die and come back. No checker of keys may find anything in it. And histories made up at random,
 * for oracles.
 */
#ifndef ASSAY_CHECKERS_TESTING_KEYED_H
#define ASSAY_CHECKERS_TESTING_KEYED_H

#include "checkers/testing/random.h"
#include "checkers/testing/world.h"

#define KEYED_KEYS 32u /* unless told otherwise, at most KEYED_KEYS_MAX */
#define KEYED_KEYS_MAX 4096u
#define KEYED_CLIENTS 6u /* of two workers each */

struct keyed_options {
    uint64_t seed;
    uint32_t keys;
    size_t steps;     /* about one event each */
    bool one_load;    /* of a key at a time, as single-flight makes it */
    unsigned trouble; /* per mille of steps: a client dies */
};
void keyed_simulate(const struct keyed_options *options, struct events *out);

/* About n events each, one after the other, for benches and tests of memory. Locks asked for, got and
 * left; transactions of five messages, ended, read and audited; a journal of KEYED_KEYS_MAX accounts.
 */
#define KEYED_LOCKS 1000u
void keyed_locks(size_t n, struct events *out);
void keyed_transactions(size_t n, struct events *out);
void keyed_accounts(size_t n, struct events *out);

/* 10 to 40 events, versions and outcomes at random, of up to four sessions on a few keys. */
enum keyed_verb { KEYED_WRITES, KEYED_READS, KEYED_LOADS, KEYED_FILLS, KEYED_VERBS };
struct keyed_shape {
    unsigned sessions, keys, n_verbs;
    enum keyed_verb verbs[6]; /* drawn from: name one twice to have more of it */
};
void keyed_make_up(uint64_t seed, const struct keyed_shape *shape, struct events *list);

#endif
