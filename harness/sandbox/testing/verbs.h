/*
 * What the tests run as nodes and clients: the test binary again, by hidden verbs, and how a check
 * fails inside a coordinator (another process than cmocka's).
 */
#ifndef ASSAY_SANDBOX_TESTING_VERBS_H
#define ASSAY_SANDBOX_TESTING_VERBS_H

#include "base/err.h"
#include "sandbox/sandbox.h"

#include <stdatomic.h>
#include <stdio.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)
/* As CHECK, with the sentence of a `struct err err` in scope. */
#define CHECK_OK(condition)                                                                        \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s: %s\n", __FILE__, __LINE__, #condition, err.text);  \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

/* What a talker tells whoever made it, in shared memory. */
struct talk_board {
    _Atomic long round_trips, connects;
};

/* main of a sandbox test: verbs first, then `tests` in a run folder of its own, and once more as an
 * ordinary user when we are root. */
int verbs_test_main(int argc, char **argv, int (*tests)(void));
/* sandbox_run in the test's run folder; the error is printed. */
int run_inside(int (*coordinate)(void *));
/* A path in the run folder; four may be in use at once. */
const char *in_run(const char *name);
/* Dispatches _keeper, _echo and _talk; -1 when argv is none of them. */
int verbs_main(int argc, char **argv);
/* A board in a memfd: *fd is for the talker's fd 3. */
struct talk_board *board_make(int *fd);
/* Starts an echo server on `port` inside the node, as user `uid`, and waits until it listens. */
int echo_start(struct keeper *keeper, const char *port, const char *log, unsigned uid,
               struct err *err);
/* A client at `address` that talks to an echo server without end. */
struct child *talker(struct sandbox *box, const char *address, const char *to, const char *port,
                     int board_fd, struct err *err);
/* True when the board's round trips rise (or, rising false, stand still) over `ms`. */
bool talks(const struct talk_board *board, int ms);

#endif
