/* What /proc says of a process. Private to sandbox/; libc only, keepers use it. */
#ifndef ASSAY_SANDBOX_PROCFS_H
#define ASSAY_SANDBOX_PROCFS_H

#include <stdbool.h>

/* No thread of it runs: each is stopped, dying or gone. `process` is its number as text. */
bool procfs_stands_still(const char *process);

#endif
