/*
 * The liar on a live cluster: what is told is found, kind by kind, and nothing when it is off
 * (JUDGING: checkers are tested by the liar). One run of `assay`, a case per group of lies, so that
 * no lie hides another. A test per system, because each takes its minute.
 */
#ifndef ASSAY_RUN_TESTING_LIAR_LIVE_H
#define ASSAY_RUN_TESTING_LIAR_LIVE_H

struct lied_system {
    const char *name, *cluster, *sender, *reader;
    const char *order;   /* promise that a swap breaks */
    const char *doubled; /* finding of a message sent twice, beside its two effects; NULL: none */
    int readings;        /* of each stored message: 1 a queue's, 2 a log's (its consumer and the audit) */
};
/* Runs, compares, fails the test where found is not told; skips it where the system is not
 * installed. The run is kept in /tmp when something differs. */
void liar_live(const struct lied_system *s);

#endif
