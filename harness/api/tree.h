/*
 * A YAML document as maps, lists and strings that remember where they stood. Values stay strings
 * until a parameter table (api/param.h) types them. Trees live in an arena and are read-only once
 * handed out.
 */
#ifndef ASSAY_API_TREE_H
#define ASSAY_API_TREE_H

#include <stddef.h>

enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAP };

struct tree_mark {
    const char *file; /* as the user named it */
    int line, column; /* from 1 */
};

struct tree {
    enum tree_kind kind;
    struct tree_mark mark;
    const char *text;        /* scalar: its text, never NULL */
    struct tree **items;     /* list: values; map: values, in the order of the file */
    struct tree_mark *marks; /* map: where each key stands */
    const char **keys;       /* map: keys */
    size_t n;
    const char *bare;        /* map of a bare value (`confirm: reply`): the key the user wrote; else NULL */
};

/* The value under `key`, or NULL. */
const struct tree *tree_get(const struct tree *map, const char *key);
/* The scalar under `key`, or `fallback`. */
const char *tree_text(const struct tree *map, const char *key, const char *fallback);

#endif
