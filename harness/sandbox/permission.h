/*
 * May we make namespaces, and which setting forbids it? Used by the launcher's errors and by
 * `assay doctor`. Private to sandbox/.
 */
#ifndef ASSAY_SANDBOX_PERMISSION_H
#define ASSAY_SANDBOX_PERMISSION_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* CAP_SYS_ADMIN and CAP_NET_ADMIN are in force: no user namespace is needed. */
bool permission_namespaces(void);
/* Names the setting that forbids user namespaces here and its fix; false: none is known to. */
bool permission_forbidden_by(char *setting, size_t setting_size, char *fix, size_t fix_size);
/* The sentence for a clone(2) that failed with `error`; returns -1. */
int permission_explain(bool user_namespace, int error, struct err *err);
/* Adds the known obstacle, if there is one, to an error that stands already. */
void permission_hint(struct err *err);

#endif
