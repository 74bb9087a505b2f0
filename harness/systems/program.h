/* What a server's binary says of itself, before anything is started. */
#ifndef ASSAY_SYSTEMS_PROGRAM_H
#define ASSAY_SYSTEMS_PROGRAM_H

#include "base/err.h"

#include <stddef.h>

/* Output of `binary argument`; the process gets 5 s. -1: it cannot be run, no server would come up. */
int program_says(const char *binary, const char *argument, char *out, size_t size, struct err *err);

#endif
