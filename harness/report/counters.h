/*
 * What a run counted, from its history alone: the numbers behind `require`, `expect` and the counts
 * of results.json. The same words steer scripts while a case runs (run/lookup.c), there from the
 * clients' boards.
 *
 *     struct counters c;
 *     counters_open(&c, plan, text, context);
 *     counters_events(&c, events, n);                 // as a check_observer of the first pass
 *     counters_finish(&c);
 *     expr_eval(require->expr, counters_lookup, &c, &value, err);
 */
#ifndef ASSAY_REPORT_COUNTERS_H
#define ASSAY_REPORT_COUNTERS_H

#include "api/checker.h"
#include "checkers/cells.h"
#include "checkers/streams.h"
#include "checkers/windows.h"
#include "plan/plan.h"
#include "report/client_libraries.h"
#include "report/latency.h"
#include "suite/expr.h"

struct send_counts {
    int64_t sent, ok, fail, unknown, believed; /* messages, by their outcome */
    int64_t resent;                            /* attempts beyond the first */
    int64_t reads, hits;                       /* reads answered, by a cache */
};

struct client_counts {
    struct send_counts sends;
    int64_t kills, deaths, delivered, redelivered, settled, effects, effect_unknown, effect_open;
    bool dead;
};

struct named_count {
    char name[200];
    int64_t value;
};

struct window_counts {
    struct fault_window stamps;
    char kind[40], name[80], targets[200];
    int64_t completed, acked; /* attempts completed inside */
};

struct trigger_end {
    char text[200];
    bool fired;
};

/* Of keys with versions: commits that were asked for (an EXEC, a queued write is one, too), those that
 * were answered, and locks that were got. Without an answer a write is unknown. */
struct keyed_counts {
    int64_t writes, writes_ok, writes_fail, locks;
};

struct counters {
    const struct plan_case *plan;
    const char *(*text)(void *context, uint16_t by, uint32_t ref);
    void *text_context;
    struct streams streams; /* outcome of each message, 2 bits */
    struct send_counts all;
    struct send_counts *bursts;       /* [plan->n_bursts + 1]; 0: outside of any */
    struct client_counts *clients;    /* per client number */
    struct streams *deliveries;       /* per destination: who was delivered before */
    int64_t *delivered, *redelivered; /* per destination (group or queue) */
    int64_t journal, remaining, outstanding_at_kill, interleaved, events;
    struct keyed_counts keyed;
    struct latency latency;
    int64_t stalls, longest_stall_ns;
    struct event driver; /* EV_DRIVER; type 0: not recorded */
    struct client_libraries libraries;
    struct windows stamps;
    struct window_counts *windows;
    size_t n_windows; /* filled by finish, kept up for the open ones */
    struct named_count *notes;
    size_t n_notes;
    struct named_count *waits;
    size_t n_waits;
    struct named_count *verbs; /* of the script's steps that were begun: "cut", "failover" */
    size_t n_verbs;
    struct trigger_end *triggers;
    size_t n_triggers;
    char stopped[920]; /* why the script ended early: a wait without `else`; "" it did not */
    char broken[400];  /* EV_BROKEN, EV_FULL; "" none */
    bool full;
    int64_t first_ns, last_ns;
};

#define COUNTER_EVENTS (~UINT64_C(0))

void counters_open(struct counters *c, const struct plan_case *plan,
                   const char *(*text)(void *context, uint16_t by, uint32_t ref), void *context);
void counters_events(void *counters, const struct event *events, size_t n);
void counters_finish(struct counters *c);
void counters_release(struct counters *c);

/* expr_lookup over `struct counters *`. */
int counters_lookup(void *counters, const struct expr *e, struct value *out, struct err *err);

#endif
