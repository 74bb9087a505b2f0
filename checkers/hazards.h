/*
 * Was the promise "nothing is lost" put to the test? Counts by the hazard the script holds
 * (JUDGING: Exercised). A pass without any of these is vacuous.
 *
 *   takeover     messages attempted inside a fault window, absent from the final log or queue,
 *                where somebody else took over at or after the window's beginning; their outcome
 *                does not matter: a good configuration refuses or leaves unknown what a bad one
 *                acknowledges and loses
 *   restart      messages acknowledged and present when the node that served them died, if that
 *                same node came back and served them again with nobody in between
 *   wiped        messages acknowledged and present at a leader's death whose disk was then replaced
 *   limit        attempts rejected outside of any fault window (length, memory, size)
 *   unroutable   attempts returned because nothing is bound
 *   outstanding  confirms outstanding at a kill, as the run counted them (EV_HAZARD)
 *   severed      sends outstanding when connections were reset (EV_HAZARD)
 *   unsettled    deliveries handed out and not settled when their consumer was killed (EV_HAZARD): of
 *                a queue, or of one who passes them on. A log loses nothing by its reader's death
 *
 * Counter-example (R02): a SIGSTOPped replica whose socket buffer delivers everything at SIGCONT
 * misses nothing, so no attempt is absent: vacuous, although a fault was there and bit.
 */
#ifndef ASSAY_CHECKERS_HAZARDS_H
#define ASSAY_CHECKERS_HAZARDS_H

#include "api/checker.h"
#include "checkers/windows.h"
#include "plan/plan.h"

struct hazard_unit {
    uint16_t leader;    /* NO_NODE: nobody known */
    int64_t present;    /* acknowledged and not yet settled */
    uint16_t dead;      /* leader that died and has not come back; NO_NODE: none */
    int64_t at_death;   /* present then */
    uint16_t last_dead; /* the same of the last death, whoever took over; NO_NODE: none */
    int64_t at_last_death;
};

struct hazards {
    const struct plan_case *plan;
    struct hazard_unit *units;
    int64_t *takeover_ns; /* per destination: the last one; 0 never */
    struct windows windows;
    int64_t takeover, restart, wiped, limit, unroutable, outstanding, told;
    int64_t unsettled_log; /* put `delivery` to the test, not `loss` */
};

void hazards_open(struct hazards *h, const struct plan_case *plan);
/* EV_ROLE, EV_NODE_STATE, EV_FAULT, EV_HAZARD; others are skipped. */
void hazards_event(struct hazards *h, const struct event *e);
void hazards_refused(struct hazards *h, const struct event *e); /* a send completed as fail */
static inline void hazards_present(struct hazards *h, uint32_t unit, int64_t change)
{
    if (unit < h->plan->n_units)
        h->units[unit].present += change;
}
/* Second pass: a message first attempted at `at_ns` is not at destination `dest`. */
void hazards_absent(struct hazards *h, uint32_t dest, int64_t at_ns);
int64_t hazards_total(const struct hazards *h);
void hazards_release(struct hazards *h);

#define HAZARD_EVENTS (WANTS(ROLE) | WANTS(NODE_STATE) | WANTS(FAULT) | WANTS(HAZARD))

#endif
