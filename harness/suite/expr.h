/*
 * The expressions of suites: counters, roles, numbers, `+ - == != >= <= > < in not`, lists,
 * `$names`. Nothing else, on purpose (SUITES: Rules).
 *
 *     struct expr *e = expr_parse("leader(orders/0) not in [$old, none]", &arena, &where, err);
 *     struct value v;
 *     if (expr_eval(e, lookup, run, &v, err) == 0 && value_true(&v)) …
 *
 * Grammar:  expr := sum [("=="|"!="|">="|"<="|">"|"<"|"in"|"not" "in") sum]
 *           sum  := term {("+"|"-") term}
 *           term := NUMBER | WORD | "$"WORD | WORD "(" [arg {"," arg}] ")"
 *                 | "[" [expr {"," expr}] "]"
 *           arg  := expr, where a WORD may hold . / - *     (orders/0, teller.db_commit)
 *
 * An expectation may start with its operator (">= kills(teller)"): expr_parse_bound.
 */
#ifndef ASSAY_SUITE_EXPR_H
#define ASSAY_SUITE_EXPR_H

#include "api/tree.h"
#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum expr_kind { EXPR_NUMBER, EXPR_WORD, EXPR_VARIABLE, EXPR_CALL, EXPR_LIST, EXPR_BINARY };
enum expr_op { OP_ADD, OP_SUB, OP_EQ, OP_NE, OP_GE, OP_LE, OP_GT, OP_LT, OP_IN, OP_NOT_IN };

struct expr {
    enum expr_kind kind;
    enum expr_op op;    /* BINARY */
    int64_t number;     /* NUMBER */
    const char *name;   /* WORD, VARIABLE (without $), CALL */
    struct expr **args; /* CALL, LIST; BINARY: two */
    size_t n;
    const char *text; /* as written, for messages and plan */
    struct tree_mark mark;
};

#define VALUE_NODES_MAX 64
enum value_kind { VALUE_NUMBER, VALUE_NODES, VALUE_WORD };
struct value {
    enum value_kind kind;
    int64_t number;
    size_t n; /* NODES: a set of plan node numbers; empty is "none" */
    uint16_t nodes[VALUE_NODES_MAX];
    const char *word; /* WORD: borrowed */
};

/* Answers words, variables and calls. `args` are unevaluated: a lookup may take their text or
 * evaluate them. */
typedef int (*expr_lookup)(void *context, const struct expr *e, struct value *out, struct err *err);

/* For texts that stood in no file. */
static const struct tree_mark no_mark = {.file = "script", .line = 1, .column = 1};

struct expr *expr_parse(const char *text, struct arena *arena, const struct tree_mark *where,
                        struct err *err);
/* ">= X", "== X" or plain "X" (meaning ==): *op and the right side. */
struct expr *expr_parse_bound(const char *text, enum expr_op *op, struct arena *arena,
                              const struct tree_mark *where, struct err *err);
/* Comparisons give NUMBER 0 or 1. `none` is the empty node set; a node `in` a list compares sets,
 * `in` a role asks for a part of it: `$old in isr(orders/0)`. */
int expr_eval(const struct expr *e, expr_lookup lookup, void *context, struct value *out,
              struct err *err);
bool value_true(const struct value *value);
bool expr_compare(enum expr_op op, int64_t left, int64_t right);

#endif
