/*
 * A broker that exists only in unit tests: no network, a script says how it answers. It lives in
 * the test's process; handles of several workers share
 * what is seen.
 */
#ifndef ASSAY_CLIENT_TESTING_MOCK_BROKER_H
#define ASSAY_CLIENT_TESTING_MOCK_BROKER_H

#include "api/broker.h"

#define MOCK_SLOTS 8192
#define MOCK_LOG 65536

struct mock_script {
    bool blocking;                      /* answers DONE at once */
    uint64_t busy_every;                /* every nth send is refused once with BUSY; 0 never */
    _Atomic uint64_t complete_per_poll; /* completions a poll hands out at most; 0: none ever */
    enum outcome first, again;          /* of attempt 0, and of later ones */
    bool transactions;                  /* there are some, and all end as asked */
    uint64_t to_deliver;                /* messages a consumer gets */
    uint64_t deliver_per_poll;
    uint64_t corrupt_every; /* every nth delivery has a flipped bit; 0 none */
    bool ignores_bound;     /* hands out more than max_deliveries */
    uint64_t run;
    void (*on_send)(const struct send *send);
    void (*on_settle)(const struct settle *settle);
};
extern struct mock_script mock_script;

struct mock_seen {
    _Atomic uint64_t sends, settles, delivered, outstanding, outstanding_max, closes;
    _Atomic int how;                 /* enum close_how */
    struct msg log[MOCK_LOG];        /* what was accepted, in order */
    unsigned char corrupt[MOCK_LOG]; /* payload_check of each */
    uint32_t settled_of[MOCK_LOG];   /* settles by delivery number */
};
extern struct mock_seen mock_seen;

extern const struct broker_ops mock_broker_ops;

#endif
