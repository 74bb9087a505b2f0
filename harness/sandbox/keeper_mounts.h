/* What a node's mount namespace looks like; see keeper_mounts.c. Private to sandbox/. */
#ifndef ASSAY_SANDBOX_KEEPER_MOUNTS_H
#define ASSAY_SANDBOX_KEEPER_MOUNTS_H

#include <stdint.h>

struct mount_plan {
    const char *folder, *hosts, *shared; /* NULL where there is none */
    int64_t folder_bytes;
};

/* Called once by the keeper. 0, or -1 with errno and *what naming what failed. */
int keeper_mounts(const struct mount_plan *plan, const char **what);
/* Called by a child of the keeper before it becomes a server: a mount namespace of its own, in
 * which / is `root` under an overlay, so that nothing in it changes, with the node's data folder as
 * the keeper has it ("": none). 0, or -1 with errno. */
int keeper_root_folder(const char *root, const char *folder);

#endif
