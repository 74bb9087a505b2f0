/*
 * One client process of a bench leg.
 *
 *     struct bench_runner r;
 *     result = bench_runner_start(b, &r, &(struct bench_client){.client = 0}, err);
 *     if (result == 0)
 *         result = bench_runner_ask(&r, CLIENT_BURST, -1); …
 *     bench_runner_close(&r);   // always, also when it could not be started
 */
#ifndef ASSAY_BENCH_RUNNER_H
#define ASSAY_BENCH_RUNNER_H

#include "bench/bench.h"

#include <sys/types.h>

#define BENCH_BURST 1
#define BENCH_END_WITHIN_NS (60 * SECOND_NS)

struct bench_client {
    unsigned client; /* of the plan */
    bool unrecorded, counted;
};

struct bench_runner {
    struct child *child;
    struct client_board *board;
    int board_fd, control;
    struct sealer *sealer;
    char folder[300];
};

/* Started and ready. */
int bench_runner_start(struct bench *b, struct bench_runner *r, const struct bench_client *which,
                       struct err *err);
void bench_runner_close(struct bench_runner *r);
int bench_runner_ask(const struct bench_runner *r, enum client_verb verb, int64_t count);
/* Lets it work for so long, sealing behind it. */
int bench_runner_work(struct bench_runner *r, double seconds, struct err *err);
/* Until the word is there; the client's own reason when it fails. */
/* Sends answered so far, however. */
int64_t bench_runner_completed(const struct bench_runner *r);
/* within_ns: since the last send that was answered. */
int bench_runner_await(struct bench_runner *r, const _Atomic int32_t *word, int64_t within_ns,
                       const char *what, struct err *err);
int bench_runner_quit(struct bench_runner *r, int64_t within_ns, struct err *err);

/* CPU seconds of a process so far; -1: it has ended. */
double bench_cpu_of(pid_t pid);
/* Valgrind's command line goes in front; returns how many words. */
size_t bench_valgrind_words(struct bench *b, const char **argv);
#define BENCH_VALGRIND "/usr/bin/valgrind"

#endif
