/* Files written whole, and the folders they lie in, made and removed. */
#ifndef ASSAY_BASE_FILE_H
#define ASSAY_BASE_FILE_H

#include "base/err.h"

#include <stddef.h>

/* Made, or made anew. -1: what is there may be a part. */
int file_write(const char *path, const char *text, size_t n, struct err *err);
/* A reader finds the old one or the new one, whoever dies when. -1: the old one stands. */
int file_replace(const char *path, const char *text, size_t n, struct err *err);

/* Makes this folder and those above it; what is there already is left alone. -1: errno says why. No
 * memory is taken: a process that was only cloned may call it. */
int file_make_folders(const char *path);
/* The same for the folder a file is to lie in. */
int file_make_parents(const char *path);
/* rm -r, of a folder of ours: what cannot be removed stays. */
void file_remove_tree(const char *path);

/* The file of our own binary, also where another loader than its own was given it (then
 * /proc/self/exe is the loader). -1: errno says why. */
int file_self(char *out, size_t size);

#endif
