/* The hidden verb of a node's pid 1, for main.c to dispatch: `assay _keeper`, fd 3 = control
 * socket. */
#ifndef ASSAY_SANDBOX_KEEPER_H
#define ASSAY_SANDBOX_KEEPER_H

#define KEEPER_VERB "_keeper"

/* Returns when the coordinator is gone; the exit status. */
int keeper_main(int argc, char **argv);

#endif
