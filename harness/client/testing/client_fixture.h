/*
 * One client on a mock broker, in the test's own process or in a child of it: a plan made by hand,
 * the queue workload, a socket pair as its control.
 */
#ifndef ASSAY_CLIENT_TESTING_CLIENT_FIXTURE_H
#define ASSAY_CLIENT_TESTING_CLIENT_FIXTURE_H

#include "client/worker.h"
#include "plan/plan.h"

struct client_fixture {
    char folder[64];
    struct arena arena;
    struct plan_case plan;
    struct plan_client spec;
    struct plan_dest dest;
    struct plan_unit unit;
    struct client *client;
    struct client_board *board;
    int control; /* the coordinator's end */
    pthread_t thread;
    struct err err;
    int result;
};

/* workload and client as a suite would write them: "keys: 4", "outstanding: 10". verb: produce or
 * consume. */
void client_fixture_open(struct client_fixture *f, const char *workload, const char *client,
                         const char *verb, unsigned workers);
/* The same with another workload than `queue`. */
void client_fixture_open_as(struct client_fixture *f, const struct workload_ops *ops,
                            const char *workload, const char *client, const char *verb,
                            unsigned workers);
void client_fixture_start(struct client_fixture *f); /* on a thread */
pid_t client_fixture_fork(struct client_fixture *f); /* as a process */
void client_fixture_ask(struct client_fixture *f, enum client_verb verb, uint32_t burst,
                        int64_t count);
struct client_answer client_fixture_answer(struct client_fixture *f);
/* Waits until the word is at least `value`; fails the test after 10 s. */
void client_fixture_until(const _Atomic int64_t *word, int64_t value);
void client_fixture_done(struct client_fixture *f, uint32_t burst); /* waits for all its workers */
void client_fixture_quit(struct client_fixture *f);                 /* in order, joined */
void client_fixture_release(struct client_fixture *f);              /* and its folder */

#endif
