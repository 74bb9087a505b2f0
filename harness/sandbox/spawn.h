/*
 * The forker's side of spawning, shared by init and the keepers: fork with namespaces, pidfd to
 * whoever asked, reap, report the end. Single-threaded, libc only: whatever runs this is pid 1 of
 * its pid namespace, so that no child can outlive it.
 */
#ifndef ASSAY_SANDBOX_SPAWN_H
#define ASSAY_SANDBOX_SPAWN_H

#include "sandbox/wire.h"

#include <stdbool.h>
#include <sys/types.h>

#define SPAWN_MAX 4096

struct forker {
    struct forked {
        pid_t pid;
        int report;
    } children[SPAWN_MAX];
    size_t n;
};

/* fork(2) into new namespaces with a pidfd; needs no library lock, exit signal SIGCHLD. */
pid_t spawn_clone(int flags, int *pidfd);
/* Serves one WIRE_SPAWN packet of `size` bytes; closes all of fds. Pid or -1 (already reported). */
pid_t spawn_serve(struct forker *forker, const char *packet, size_t size, int *fds, size_t n_fds);
/* Reaps all that ended and reports each. Returns the status of `watched` in *status and true when
 * it was among them. */
bool spawn_reap(struct forker *forker, pid_t watched, int *status);
/* Makes the caller uid and gid `inside` of a new user namespace whose only id maps to the
 * caller's. 0, or -1 with errno. */
int spawn_map_user(unsigned inside_uid, unsigned inside_gid, unsigned outside_uid,
                   unsigned outside_gid);

#endif
