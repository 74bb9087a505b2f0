/* Pid 1 of the sandbox's pid namespace; see init.c. Private to sandbox/. */
#ifndef ASSAY_SANDBOX_INIT_H
#define ASSAY_SANDBOX_INIT_H

#include "base/err.h"
#include "sandbox/sandbox.h"

#include <signal.h>
#include <stdbool.h>

/* A page that launcher, init and coordinator share: why the sandbox could not be made. */
struct launch_page {
    volatile bool ready; /* the coordinator's own function runs */
    struct err err;
};

struct launch {
    int (*coordinate)(void *argument);
    void *argument;
    const struct sandbox_options *options;
    struct launch_page *page;
    int lifeline;        /* to the launcher: a byte is a signal to pass on, its end is our end */
    bool user_namespace; /* map us to root first */
    unsigned uid, gid;   /* outside */
    sigset_t mask;       /* the launcher's own, for the coordinator */
};

/* Never returns. */
void init_run(const struct launch *launch) __attribute__((noreturn));

#endif
