/*
 * A correct broker, store and their clients, simulated: events as a real run records them, with
 * unknowns, refusals, re-sends, client deaths and restarts, rebalances, redeliveries, two groups
 * and a queue. No checker may find anything in them.
 */
#ifndef ASSAY_CHECKERS_TESTING_SIMULATE_H
#define ASSAY_CHECKERS_TESTING_SIMULATE_H

#include "checkers/testing/world.h"

struct simulate_options {
    uint64_t seed;
    size_t steps;      /* actions; about two events each */
    unsigned believed; /* per mille of sends nobody asks about */
    unsigned resends;  /* per mille of unknown sends that are sent again (and overtaken by what
                          followed) */
    unsigned trouble;  /* per mille of actions: deaths, rebalances */
    unsigned keys;     /* 0: 8 */
    bool leave_rest;   /* the queue is not emptied by its consumers: remaining */
};

void simulate(const struct world *w, const struct simulate_options *options, struct events *out);

#endif
