/*
 * Trees → structs by parameter tables (api/param.h).
 *
 *     struct cut_args args;
 *     if (param_fill(cut_params, tree, &args, &arena, err) < 0) …
 *         // suite x.yaml:14:9: unknown key "betwen" (did you mean "between"?)
 *
 * Out-structs come zeroed; strings point into the tree or the arena. All errors are ERR_INPUT with
 * file:line:col.
 */
#ifndef ASSAY_SUITE_PARAMS_H
#define ASSAY_SUITE_PARAMS_H

#include "api/param.h"
#include "base/arena.h"
#include "base/err.h"

/* One table and where it goes; a map may feed several (a client entry: common keys, the broker's,
 * the workload's). */
struct param_into {
    const struct param *params; /* NULL: none */
    void *out;
};

/* `value` NULL: defaults only. A scalar or list stands for the first parameter of the table. */
int param_fill(const struct param *params, const struct tree *value, void *out, struct arena *arena,
               struct err *err);
/* Every key must be known to at least one table; one that several know is given to each. */
int param_fill_all(const struct param_into *into, size_t n, const struct tree *map,
                   struct arena *arena, struct err *err);
/* Whom a parameter with `only` hangs on; a table that names nobody, or no choice, is a defect. */
const struct param *param_company(const struct param *params, const struct param *p);
/* As param_fill; a bare value stands for `shorthand`, and errors name `written` instead of it (NULL:
 * shorthand itself). */
int param_fill_short(const struct param *params, const char *shorthand, const char *written,
                     const struct tree *value, void *out, struct arena *arena, struct err *err);

/* `{key: value}` for a bare value, the map itself otherwise; an empty scalar is an empty map.
 * `written`: the key the bare value stands behind, for messages; NULL: `key`. */
const struct tree *param_as_map(const struct tree *value, const char *key, const char *written,
                                struct arena *arena);
const struct param *param_named(const struct param *params, const char *key); /* NULL: none */
/* "a duration such as 250ms": what a value of this type looks like. */
const char *param_type_text(enum param_type type);
/* One typed scalar (BOOL … STRINGS) at out; `key` for the message. */
int param_scalar(const struct param *p, const struct tree *value, void *out, struct arena *arena,
                 struct err *err);

#endif
