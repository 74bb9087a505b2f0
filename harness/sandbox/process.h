/*
 * A process that a forker made for us, as the coordinator sees it: born at a gate, let go, dead.
 *
 *     struct process p;
 *     process_spawn(forker, &spec, &p, err);     // exists, waits before exec
 *     link_open(box, address, p.pid, p.pidfd, err);
 *     process_go(&p, argv[0], err);              // executed, or the error says why not
 *     process_dead(&p, &status); … process_release(&p);
 *
 * Private to sandbox/. One owner at a time, except process_dead, which locks.
 */
#ifndef ASSAY_SANDBOX_PROCESS_H
#define ASSAY_SANDBOX_PROCESS_H

#include "base/clock.h"
#include "base/err.h"
#include "sandbox/wire.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct process_spec {
    int clone_flags;
    int cpu;
    uid_t uid;
    bool capped_log;           /* the first fd is a log; keepers only */
    const char *root, *folder; /* a root folder (keepers only; NULL: none), "" no folder */
    const char *const *argv, *const *env;         /* env NULL: the forker's */
    int fds[WIRE_FDS - 2], targets[WIRE_FDS - 2]; /* borrowed; their numbers in the child */
    size_t n_fds;
};

struct process {
    pid_t pid; /* as we see it */
    int pidfd, report, gate;
    pthread_mutex_t lock;
    bool ended;
    int status;
};

int process_spawn(int forker, const struct process_spec *spec, struct process *process,
                  struct err *err);
int process_go(struct process *process, const char *name, struct err *err);
/* True once the forker reaped it. Blocks a moment only between death and reaping. */
bool process_dead(struct process *process, int *status);
int process_signal(const struct process *process, int signal, struct err *err);
/* SIGKILL if need be, waits until it is reaped, closes. */
void process_release(struct process *process);
/* Waits until fd is readable; -1: deadline or cancel. */
int process_poll(int fd, const struct deadline *deadline);

#endif
