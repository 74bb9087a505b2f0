/*
 * The shared libraries of a root folder (server.h) under our own binary: a client of the suite's
 * own library version. ROOT's loader starts the binary and looks for libraries in ROOT first; what
 * ROOT does not have comes from the machine, as everything does without it.
 *
 *     struct libraries l;
 *     if (libraries_find("debian-13", "client work takes its libraries from", &l, err) == 0)
 *         argv = {l.loader, "--library-path", l.folder, l.self, "_client", …};
 *
 * Another root of the file system would do the same and take privileges and mounts; environment
 * variables would not: a newer library wants the newer libc, which only its own loader can load.
 * Source: ld.so(8); glibc's symbols are versioned, a newer libc runs older binaries.
 */
#ifndef ASSAY_SYSTEMS_LIBRARIES_H
#define ASSAY_SYSTEMS_LIBRARIES_H

#include "base/err.h"

#include <limits.h>
#include <stddef.h>

/* What clients use of a root folder; ends with a NULL package. hiredis is not among them: its
 * soname has changed with every release. */
struct library_package {
    const char *root, *package;
    const char *name; /* as the library calls itself */
};
extern const struct library_package library_packages[];

struct libraries {
    char loader[PATH_MAX], folder[PATH_MAX], self[PATH_MAX];
};

/* A root folder that is not there, or was made without libraries for clients, is refused with the
 * command that makes it; `user` begins the sentence. */
int libraries_find(const char *root, const char *user, struct libraries *out, struct err *err);

#endif
