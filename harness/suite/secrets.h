/*
 * Passwords and keys in a team's own config: the sandbox has no use for them (TLS, SASL and
 * passwords are stripped), so their values end where suites are read and reach no plan, log or
 * report.
 *
 *     tree = secrets_blotted(tree, &arena);                       // {sasl.password: (redacted)}
 *     text = secrets_blotted_suite(file, text, n, &arena, err);   // the same in a suite's own text
 */
#ifndef ASSAY_SUITE_SECRETS_H
#define ASSAY_SUITE_SECRETS_H

#include "api/tree.h"
#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

#define SECRETS_BLOT "(redacted)"

/* "sasl.password", "requirepass", "default_pass", and what is nearly written so ("requirepas"): its
 * value is nobody's business. */
bool secrets_key(const char *key);
/* The same tree where it holds none. JSON in a scalar (definitions.json), the password in a URI and
 * `sentinel: auth-pass NAME PASSWORD` are blotted too. */
const struct tree *secrets_blotted(const struct tree *tree, struct arena *arena);
/* Comments and layout stay where every secret stands on one line; canonical YAML otherwise. NULL:
 * not a suite. */
const char *secrets_blotted_suite(const char *file, const char *text, size_t n, struct arena *arena,
                                  struct err *err);

#endif
