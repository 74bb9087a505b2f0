/*
 * Is something in the way just now? For the counters that say whether a promise about keys, caches
 * or locks was put to the test (JUDGING: Exercised): while a fault window is open, while a client
 * is held at a step (`hold`, `interleave`), and from a client's death by a signal to its return.
 *
 *     struct disturbed d;
 *     disturbed_open(&d, plan);
 *     disturbed_event(&d, e);        // DISTURBED_EVENTS, in time; others are skipped
 *     if (d.active > 0) …
 */
#ifndef ASSAY_CHECKERS_DISTURBED_H
#define ASSAY_CHECKERS_DISTURBED_H

#include "api/checker.h"
#include "checkers/windows.h"
#include "plan/plan.h"

struct disturbed {
    unsigned active; /* faults open + steps held + clients dead */
    unsigned faults;
    struct windows windows;
    unsigned n_clients;
    struct disturbed_client {
        unsigned held;
        bool dead;
    } * clients; /* by number */
};

#define DISTURBED_EVENTS (WANTS(FAULT) | WANTS(STEP) | WANTS(CLIENT_DEATH) | WANTS(CLIENT_START))

void disturbed_open(struct disturbed *d, const struct plan_case *plan);
void disturbed_event(struct disturbed *d, const struct event *e);
size_t disturbed_bound(const struct plan_case *plan);
void disturbed_release(struct disturbed *d);

#endif
