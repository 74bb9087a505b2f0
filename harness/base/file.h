/* Files written whole. */
#ifndef ASSAY_BASE_FILE_H
#define ASSAY_BASE_FILE_H

#include "base/err.h"

#include <stddef.h>

/* Made, or made anew. -1: what is there may be a part. */
int file_write(const char *path, const char *text, size_t n, struct err *err);

#endif
