/*
 * The one clock of a history, CLOCK_MONOTONIC of this machine in nanoseconds, and deadlines on it.
 *
 *     struct deadline d = deadline_in(5 * SECOND_NS, cancel);
 *     while (!ready())
 *         if (deadline_sleep(&d, 10 * MS_NS) < 0)
 *             return err_set(err, "not ready after 5 s");
 */
#ifndef ASSAY_BASE_CLOCK_H
#define ASSAY_BASE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define US_NS INT64_C(1000)
#define MS_NS INT64_C(1000000)
#define SECOND_NS INT64_C(1000000000)

int64_t clock_now_ns(void);
/* CLOCK_REALTIME, only for anchors in headers: no judgement may use it. */
int64_t clock_utc_ns(void);

/* Set once by whoever wants a wait to end early (Ctrl-C, the end of a case); waits look at it every 20 ms. */
struct cancel {
    atomic_bool asked;
};

struct deadline {
    int64_t at_ns;
    const struct cancel *cancel; /* may be NULL; borrowed */
};

struct deadline deadline_in(int64_t ns, const struct cancel *cancel);
/* The earlier of the two: a step's own limit inside its case's. */
struct deadline deadline_within(struct deadline outer, int64_t ns);
bool deadline_passed(const struct deadline *deadline); /* true too when cancelled */
/* Never negative; 0 when cancelled. For poll(2) and the libraries' timeouts. */
int deadline_left_ms(const struct deadline *deadline);
/* Sleeps `ns` or until the deadline; 0 when there is time left, -1 when there is none. */
int deadline_sleep(const struct deadline *deadline, int64_t ns);

#endif
