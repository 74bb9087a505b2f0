/*
 * What the driver uses of the machine while the script runs. The driver is everything of ours that is
 * no server: coordinator, clients, watchers, and the small change of init and keepers. Its share is
 * of all the cores it may run on (sched_getaffinity) for as long as the script took: at 100 % there
 * is nothing left for it to have, and what it measured is its own slowness.
 *
 *     driver_begin(run);               // the script's thread, with the clients up
 *     driver_look(run);                // the supervisor, again and again
 *     driver_end(run);                 // records EV_DRIVER
 *
 * Left out: what a process used since the last look when it dies (the supervisor looks every 10 ms),
 * commands that are run inside of nodes, a container's CPU quota.
 */
#ifndef ASSAY_RUN_DRIVER_H
#define ASSAY_RUN_DRIVER_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct run;

struct driver_part { /* one process, through its incarnations */
    pid_t pid;       /* 0: none yet */
    int64_t used_ns; /* of this pid at the last look */
};

struct driver { /* zeroed: not begun */
    pthread_mutex_t lock;
    struct driver_part *parts; /* of the run's memory */
    size_t n_parts;
    bool counting;
    int64_t began_ns, used_ns;
};

void driver_init(struct driver *driver);
void driver_release(struct driver *driver);
void driver_begin(struct run *run);
void driver_look(struct run *run);
void driver_end(struct run *run);

#endif
