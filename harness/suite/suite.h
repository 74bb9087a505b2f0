/*
 * A suite file → its cases: clusters put in by name, twins merged, the matrix multiplied, inputs
 * and
 * ${names} replaced. What comes out are plain trees; plan/ gives them their types.
 *
 *     struct suite *suite = suite_load("suites/smoke.yaml", set, n_set, &arena, err);
 *     for (i < suite->n) plan from suite->cases[i].tree …
 *
 * A case's tree has the keys of a case in SUITES.md but matrix and twins, every cluster written out
 * in full under its alias, and `cluster_names: {bus: kafka3}` beside them.
 */
#ifndef ASSAY_SUITE_SUITE_H
#define ASSAY_SUITE_SUITE_H

#include "api/param.h"
#include "base/arena.h"
#include "base/err.h"

struct suite_case {
    const char *name, *twin; /* twin "": the case itself */
    struct pairs matrix;
    bool has_twins; /* its script is shared with a twin */
    struct tree_mark mark;
    const struct tree *tree;
};

struct suite {
    const char *file;   /* as named */
    const char *folder; /* where its files are looked up */
    struct suite_case *cases;
    size_t n;
    bool *set_used; /* per --set: an input of this suite */
    struct pairs inputs;
    const struct tree *clusters; /* its own, by name; may be NULL */
};

#define SUITE_CASES_MAX 4096

/* What a suite, a case, a twin and its `with:` may hold; ends with key NULL. A line break in help
 * stands before how the value is written. */
struct frame_key {
    const char *key, *help;
};
extern const struct frame_key suite_frame[], case_frame[], twin_frame[], with_frame[];

/* NULL with ERR_INPUT. */
struct suite *suite_load(const char *path, const struct pair *set, size_t n_set,
                         struct arena *arena, struct err *err);
/* From memory; `folder` for files by reference. */
struct suite *suite_read(const char *text, size_t n, const char *file, const char *folder,
                         const struct pair *set, size_t n_set, struct arena *arena,
                         struct err *err);

/* Replaces ${name} in every scalar; "$${" stands for "${". NULL with ERR_INPUT for a name that is
 * none of `names`. */
const struct tree *suite_replace(const struct tree *tree, const struct pairs *names,
                                 struct arena *arena, struct err *err);
/* The inputs of a suite with what --set says of them. */
int suite_inputs(const struct tree *inputs, const struct pair *set, size_t n_set, bool *set_used,
                 struct pairs *out, struct arena *arena, struct err *err);

#endif
