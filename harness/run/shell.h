/*
 * A shell on a client node: beside a cluster that is kept up (`--keep-up fail`) or only there to be
 * played with (`assay up`).
 */
#ifndef ASSAY_RUN_SHELL_H
#define ASSAY_RUN_SHELL_H

#include "base/err.h"
#include "sandbox/sandbox.h"

struct cluster_slot;

/* Prints the addresses, gives the terminal to a shell on a network node of its own, returns when it
 * ends. */
int shell_beside(struct sandbox *box, struct cluster_slot **slots, size_t n, struct err *err);
/* `assay _shell`: fds 3, 4, 5 become standard input, output and error. */
int shell_main(int argc, char **argv);

#endif
