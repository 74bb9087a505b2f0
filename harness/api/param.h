/*
 * Parameter tables. A plugin describes every key it takes once; parser, error messages, `assay
 * help`, the JSON schema and the docs come from that.
 *
 *     struct cut_args { struct strings between; const char *name; int64_t for_ns; };
 *     static const struct param params[] = {
 *         {"between", PARAM_STRINGS, offsetof(struct cut_args, between), .help = "two sides"},
 *         {"for", PARAM_DURATION, offsetof(struct cut_args, for_ns), .min = 1, .help = "heals itself after"},
 *         {0}};
 *
 * What each type stores at `offset`:
 *   BOOL bool · INT int64_t · SIZE int64_t bytes ("64KiB") · DURATION int64_t ns ("250ms"; a bare number is
 *   refused) · RATE double per second ("5k/s", "flat_out" = 0) · STRING const char * · CHOICE int (index into choices)
 *   EXPR struct expr * (suite/expr.h; a YAML list of scalars becomes one EXPR_LIST) · STRINGS struct strings (a lone scalar counts as one)
 *   VERBATIM struct pairs: the product's own words, kept as strings, `file:` merged in by the suite reader
 *   STRUCT the sub-table's struct, in place, defaults filled even when absent; the bool at `present` tells that it was given
 *   STRUCTS struct items: a list of sub-structs · MAP struct items: a map name → sub-struct, name stored at offset 0
 *   of each (const char *) · TREE const struct tree * as it stands
 *
 * A VERBATIM value may be a list: the key is repeated. `file:` inside a VERBATIM section, or as `{file: NAME}` in place
 * of a STRING (definitions.json), is merged in before the table is applied. A VERBATIM parameter with the key "*"
 * takes every key the table does not name.
 */
#ifndef ASSAY_API_PARAM_H
#define ASSAY_API_PARAM_H

#include "api/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum param_type {
    PARAM_END,
    PARAM_BOOL,
    PARAM_INT,
    PARAM_SIZE,
    PARAM_DURATION,
    PARAM_RATE,
    PARAM_STRING,
    PARAM_CHOICE,
    PARAM_EXPR,
    PARAM_STRINGS,
    PARAM_VERBATIM,
    PARAM_STRUCT,
    PARAM_STRUCTS,
    PARAM_MAP,
    PARAM_TREE,
};

struct strings {
    const char **items;
    size_t n;
};

struct pair {
    const char *key, *value;
    struct tree_mark mark;
};
struct pairs {
    struct pair *items;
    size_t n;
};
/* The value under `key`, or `fallback`. */
const char *pairs_get(const struct pairs *pairs, const char *key, const char *fallback);

struct items {
    void *items; /* array of the sub-table's struct */
    size_t n;
};

struct param {
    const char *key;
    enum param_type type;
    size_t offset;
    const char *fallback; /* default, as the user would write it; NULL: zero, empty, absent */
    const char *help;     /* one sentence */
    const char *unit;     /* for help: "messages", "bytes" */
    int64_t min, max;     /* INT, SIZE, DURATION (ns); both 0: no range */
    const char *const *choices;  /* CHOICE: NULL-terminated */
    const struct param *sub;     /* STRUCT, STRUCTS, MAP */
    size_t sub_size;
    const char *shorthand; /* STRUCT: a bare scalar or list stands for this key: `produce: orders` = `produce: {topic: orders}` */
    bool required;
    const char *only;      /* means nothing but beside "other_key" of this table, or "its_choice: word | word": refused elsewhere */
    size_t present;        /* STRUCT: offset of a bool in the outer struct, set when the key is there; 0: none */
    bool (*check)(const char *text, const char **expected); /* extra check of a STRING; may be NULL */
};

#endif
