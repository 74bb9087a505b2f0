/* What keeper.c offers keeper_files.c. Private to sandbox/. */
#ifndef ASSAY_SANDBOX_KEEPER_SIDE_H
#define ASSAY_SANDBOX_KEEPER_SIDE_H

#include "sandbox/sandbox.h"

/* A descriptor the keeper opened by its own mounts; caller closes. */
int keeper_open_file(struct keeper *keeper, const char *path, int flags, unsigned mode,
                     struct err *err);
int keeper_forker(struct keeper *keeper);
int keeper_cpu(const struct keeper *keeper);

#endif
