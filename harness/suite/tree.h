/*
 * Trees: read from YAML, built by hand, printed in one canonical form.
 *
 *     struct tree *t = tree_read(text, n, "smoke.yaml", &arena, err);
 *     tree_put(&arena, map, "seed", tree_scalar(&arena, &t->mark, "1"));
 *     char *same = tree_print(t, &n);          // tree_read(same) prints the same bytes again
 *
 * Only plain documents are taken: one document, no anchors, aliases, tags, merge keys or duplicate
 * keys; bounds on depth, size and number of values. Everything lives in the arena; files named by
 * marks are borrowed from it.
 */
#ifndef ASSAY_SUITE_TREE_H
#define ASSAY_SUITE_TREE_H

#include "api/tree.h"
#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>

#define TREE_DEPTH_MAX 32
#define TREE_VALUES_MAX 200000
#define TREE_BYTES_MAX ((size_t)8 << 20)

/* NULL with "suite FILE:LINE:COL: …" (ERR_INPUT) when it is not such a document. */
struct tree *tree_read(const char *text, size_t n, const char *file, struct arena *arena,
                       struct err *err);
struct tree *tree_read_file(const char *path, struct arena *arena, struct err *err);
/* Whole file into the arena, at most TREE_BYTES_MAX, NUL behind it; NULL with ERR_INPUT. */
char *file_text(const char *path, size_t *n, struct arena *arena, struct err *err);

/* Building. A tree under construction is owned by whoever builds it. */
struct tree *tree_scalar(struct arena *arena, const struct tree_mark *mark, const char *text);
struct tree *tree_list(struct arena *arena, const struct tree_mark *mark);
struct tree *tree_map(struct arena *arena, const struct tree_mark *mark);
void tree_append(struct arena *arena, struct tree *list, const struct tree *value);
/* Replaces the value of a key that is there already. */
void tree_put(struct arena *arena, struct tree *map, const char *key, const struct tree *value);
/* One level deep: the values are shared. */
struct tree *tree_copy(struct arena *arena, const struct tree *tree);
/* Index of `key`, or -1. */
long tree_find(const struct tree *map, const char *key);
/* Maps merge, everything else replaces: `over` wins; a `~` in it takes the key away. */
struct tree *tree_merge(struct arena *arena, const struct tree *base, const struct tree *over);
/* `key:` with nothing behind it. */
bool tree_is_empty(const struct tree *tree);

/* Canonical YAML; caller frees. */
char *tree_print(const struct tree *tree, size_t *n);
/* The same in one line of flow style, {key: value}: as good to read back; caller frees. */
char *tree_print_flow(const struct tree *tree);
/* One line of flow style, for messages and progress; cut short to fit. */
void tree_line(const struct tree *tree, char *out, size_t size);

/* Room for one more behind `n` items: the array itself, or a copy of twice its size (they double at
 * powers of two, so that no capacity need be kept). */
void *array_grown(struct arena *arena, void *array, size_t n, size_t item_size);

/* "suite FILE:LINE:COL: sentence", ERR_INPUT; returns -1. */
int mark_err(struct err *err, const struct tree_mark *mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
