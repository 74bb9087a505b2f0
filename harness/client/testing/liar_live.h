/*
 * The liar on a live cluster: what is told is found, kind by kind, and nothing when it is off
 * (JUDGING: checkers are tested by the liar). One run of `assay`, a case per group of lies, so that
 * no lie hides another. A test per system, because each takes its minute.
 */
#ifndef ASSAY_CLIENT_TESTING_LIAR_LIVE_H
#define ASSAY_CLIENT_TESTING_LIAR_LIVE_H

#include <stdbool.h>
#include <stddef.h>

struct lied_system {
    const char *name, *cluster, *sender, *reader;
    const char *order;   /* promise that a swap breaks */
    const char *doubled; /* finding of a message sent twice, beside its two effects; NULL: none */
    int readings;        /* of each stored message: 1 a queue's, 2 a log's (its consumer and the audit) */
    /* A delivery nobody was handed: the lie, the promise that it breaks beside its effect, the finding. */
    const char *unseen, *unseen_order, *unseen_is;
};
/* Runs, compares, fails the test where found is not told; skips it where the system is not
 * installed. The run is kept in /tmp when something differs. */
void liar_live(const struct lied_system *s);

/* The parts of it, for suites of a test's own; `asked` as ASSAY_LIAR. */
bool lied_installed(const char *system);
struct lied_case {
    const char *name, *text; /* the case's keys, four blanks before each; expect: is added */
};
void lied_run(const char *cluster, const struct lied_case *cases, size_t n, const char *asked);
long lied_told(const char *name, const char *lie); /* lies of a kind in this case */
void lied_not(const char *name);                   /* it ended in order, with no finding */
void lied_equal(const char *name, const char *kind, long lies); /* found == lies, and enough */
void lied_some(const char *name, const char *kind, long lies);  /* as many at most, and enough */
void lied_end(void);

#endif
