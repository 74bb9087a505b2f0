/*
 * Drives all checkers of a plan over one history in as few passes as possible: one for all that
 * depend on nothing, one for those that come after them, and one more where a checker has suspects
 * to look up.
 *
 *     struct check_result result;
 *     if (check_history(case_folder, plan, &observer, &result, err) == 0)
 *         for (size_t i = 0; i < result.n; i++)
 *             … result.items[i].ops->name, result.items[i].findings …
 *     check_release(&result);
 *
 * A function of history and plan: no clock, thread or socket.
 */
#ifndef ASSAY_CHECKERS_CHECK_H
#define ASSAY_CHECKERS_CHECK_H

#include "api/checker.h"
#include "plan/plan.h"

struct history_reader;

/* Where events come from: a history on disk, or an array in tests. */
struct event_source {
    void *self;
    /* Begins (again). May hand out more than is wanted. */
    int (*rewind)(void *self, enum check_order order, uint64_t wants, struct err *err);
    /* Some events, borrowed until the next call; 0 at the end, -1 on an I/O error. */
    long (*next)(void *self, const struct event **events, struct err *err);
    const char *(*text)(void *self, uint16_t by, uint32_t ref); /* may be NULL */
    int64_t clock_error_ns; /* ε: clocks of two CPUs may differ by so much; -1 nobody measured it */
};

/* Somebody else who wants to see the first pass by time (the report's counters). */
struct check_observer {
    void *self;
    uint64_t wants;
    void (*events)(void *self, const struct event *events, size_t n);
};

struct check_item {
    const struct plan_promise *promise;
    const struct checker_ops *ops;
    struct findings findings;
};

struct check_result {
    struct check_item *items; /* as the plan's promises */
    size_t n;
    struct drain_proof *proofs; /* one per unit of the plan, then one of the stores */
    unsigned passes;
    char damage[200]; /* of the history, met while reading; "" none */
    uint64_t events;  /* of the first pass */
};

int check_source(const struct event_source *source, const struct plan_case *plan,
                 const struct check_observer *observer, struct check_result *out, struct err *err);
/* `reader` was opened by the caller (BY_TIME, all wanted) for documents and texts; passes open
 * their own. */
int check_history(const char *case_folder, struct history_reader *reader,
                  const struct plan_case *plan, const struct check_observer *observer,
                  struct check_result *out, struct err *err);
void check_release(struct check_result *result);

#endif
