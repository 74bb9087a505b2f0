/*
 * Expressions of suites: a recursive descent over one text, bounded in depth. What words and calls
 * mean is the caller's business (expr_lookup).
 */
#include "suite/expr.h"

#include "suite/tree.h"

#include <ctype.h>
#include <string.h>

#define EXPR_DEPTH_MAX 16
#define EXPR_ARGS_MAX 64
#define EXPR_TEXT_MAX 2000

struct parser {
    const char *text, *at;
    struct arena *arena;
    const struct tree_mark *where;
    struct err *err;
    int depth;
};

static int refuse(struct parser *p, const char *what)
{
    if (!*p->at)
        return mark_err(p->err, p->where, "%s in \"%s\"", what, p->text);
    return mark_err(p->err, p->where, "%s at \"%.30s\" in \"%s\"", what, p->at, p->text);
}

static struct expr *fail(struct parser *p, const char *what)
{
    refuse(p, what);
    return NULL;
}

static void skip(struct parser *p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
}

static bool is_word_char(const char *c, const char *start)
{
    if (isalnum((unsigned char)*c) || strchr("_./*", *c))
        return *c != '\0';
    /* a minus belongs to a word when letters touch it on both sides: kafka-1; `n - 1` has spaces */
    return *c == '-' && c > start && isalnum((unsigned char)c[1]);
}

static struct expr *make(struct parser *p, enum expr_kind kind, const char *from)
{
    struct expr *e = arena_alloc(p->arena, sizeof(*e));
    size_t n = (size_t)(p->at - from);

    while (n > 0 && isspace((unsigned char)from[n - 1]))
        n--;
    e->kind = kind;
    e->mark = *p->where;
    e->text = arena_strndup(p->arena, from, n);
    return e;
}

static struct expr *parse_expr(struct parser *p);

/* Everything up to `close`, commas between. */
static int parse_args(struct parser *p, char close, struct expr **args, size_t *n)
{
    *n = 0;
    for (;;) {
        skip(p);
        if (*p->at == close && *n == 0)
            break;
        if (*n == EXPR_ARGS_MAX)
            return refuse(p, "too many values");
        args[*n] = parse_expr(p);
        if (!args[*n])
            return -1;
        ++*n;
        skip(p);
        if (*p->at == close)
            break;
        if (*p->at != ',')
            return refuse(p, close == ')' ? "missing \")\"" : "missing \"]\"");
        p->at++;
    }
    p->at++;
    return 0;
}

static struct expr *with_args(struct parser *p, enum expr_kind kind, const char *from, char close)
{
    struct expr *args[EXPR_ARGS_MAX];
    struct expr *e;
    size_t n;

    p->at++;
    if (parse_args(p, close, args, &n) < 0)
        return NULL;
    e = make(p, kind, from);
    e->n = n;
    e->args = arena_alloc(p->arena, (n + 1) * sizeof(*e->args));
    memcpy(e->args, args, n * sizeof(*args));
    return e;
}

static struct expr *parse_number(struct parser *p, const char *from)
{
    struct expr *e;
    int64_t value = 0;

    for (const char *c = from; c < p->at; c++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *c - '0', &value))
            return fail(p, "number too large");
    e = make(p, EXPR_NUMBER, from);
    e->number = value;
    return e;
}

static struct expr *parse_word(struct parser *p)
{
    const char *from = p->at;
    bool dollar = *from == '$';
    bool digits = !dollar;
    const char *name;
    struct expr *e;

    if (dollar)
        p->at++;
    name = p->at;
    for (; is_word_char(p->at, name); p->at++)
        digits = digits && isdigit((unsigned char)*p->at);
    if (p->at == name)
        return fail(p, *p->at ? "unexpected character" : "something is missing at the end");
    if (digits)
        return parse_number(p, from);
    e = make(p, dollar ? EXPR_VARIABLE : EXPR_WORD, from);
    if (!dollar && *p->at == '(') {
        e = with_args(p, EXPR_CALL, from, ')');
        if (!e)
            return NULL;
    }
    e->name = arena_strndup(p->arena, name, strcspn(name, "() \t\r\n,[]=<>!+$"));
    return e;
}

static struct expr *parse_term(struct parser *p)
{
    struct expr *e;

    skip(p);
    if (++p->depth > EXPR_DEPTH_MAX)
        return fail(p, "nested too deep");
    if (*p->at == '[')
        e = with_args(p, EXPR_LIST, p->at, ']');
    else
        e = parse_word(p);
    p->depth--;
    return e;
}

static struct expr *binary(struct parser *p, enum expr_op op, const char *from, struct expr *left,
                           struct expr *right)
{
    struct expr *e = make(p, EXPR_BINARY, from);

    e->op = op;
    e->n = 2;
    e->args = arena_alloc(p->arena, 2 * sizeof(*e->args));
    e->args[0] = left;
    e->args[1] = right;
    return e;
}

static struct expr *parse_sum(struct parser *p)
{
    const char *from;
    struct expr *left;

    skip(p);
    from = p->at;
    left = parse_term(p);
    for (int terms = 0; left; terms++) {
        enum expr_op op = OP_ADD;
        struct expr *right;

        skip(p);
        if (*p->at != '+' && *p->at != '-')
            return left;
        if (terms == EXPR_ARGS_MAX)
            return fail(p, "too many terms");
        if (*p->at == '-')
            op = OP_SUB;
        p->at++;
        right = parse_term(p);
        if (!right)
            return NULL;
        left = binary(p, op, from, left, right);
    }
    return NULL;
}

static const struct comparison {
    const char *text;
    enum expr_op op;
} comparisons[] = {
    {"==", OP_EQ}, {"!=", OP_NE}, {">=", OP_GE}, {"<=", OP_LE}, {">", OP_GT}, {"<", OP_LT}, {0},
};

static bool take_word(struct parser *p, const char *word)
{
    size_t n = strlen(word);

    if (strncmp(p->at, word, n) != 0 || isalnum((unsigned char)p->at[n]) || p->at[n] == '_')
        return false;
    p->at += n;
    skip(p);
    return true;
}

static bool take_comparison(struct parser *p, enum expr_op *op)
{
    const char *from = p->at;

    for (const struct comparison *c = comparisons; c->text; c++) {
        if (strncmp(p->at, c->text, strlen(c->text)) == 0) {
            p->at += strlen(c->text);
            *op = c->op;
            return true;
        }
    }
    if (take_word(p, "in")) {
        *op = OP_IN;
        return true;
    }
    if (take_word(p, "not") && take_word(p, "in")) {
        *op = OP_NOT_IN;
        return true;
    }
    p->at = from;
    return false;
}

static struct expr *parse_expr(struct parser *p)
{
    const char *from;
    struct expr *left, *right;
    enum expr_op op;

    skip(p);
    from = p->at;
    left = parse_sum(p);
    if (!left)
        return NULL;
    skip(p);
    if (!take_comparison(p, &op))
        return left;
    right = parse_sum(p);
    return right ? binary(p, op, from, left, right) : NULL;
}

static struct expr *parse_all(struct parser *p)
{
    struct expr *e;

    if (strlen(p->text) > EXPR_TEXT_MAX) {
        mark_err(p->err, p->where, "expression longer than %d characters", EXPR_TEXT_MAX);
        return NULL;
    }
    e = parse_expr(p);
    if (!e)
        return NULL;
    skip(p);
    if (*p->at)
        return fail(p, "expressions know + - == != >= <= > < in not; unexpected text");
    return e;
}

struct expr *expr_parse(const char *text, struct arena *arena, const struct tree_mark *where,
                        struct err *err)
{
    struct parser p = {.text = text, .at = text, .arena = arena, .where = where, .err = err};

    return parse_all(&p);
}

struct expr *expr_parse_bound(const char *text, enum expr_op *op, struct arena *arena,
                              const struct tree_mark *where, struct err *err)
{
    struct parser p = {.text = text, .at = text, .arena = arena, .where = where, .err = err};

    skip(&p);
    *op = OP_EQ;
    take_comparison(&p, op);
    return parse_all(&p);
}

bool expr_compare(enum expr_op op, int64_t left, int64_t right)
{
    switch (op) {
    case OP_EQ:
        return left == right;
    case OP_NE:
        return left != right;
    case OP_GE:
        return left >= right;
    case OP_LE:
        return left <= right;
    case OP_GT:
        return left > right;
    case OP_LT:
        return left < right;
    default:
        return false;
    }
}

bool value_true(const struct value *value)
{
    switch (value->kind) {
    case VALUE_NUMBER:
        return value->number != 0;
    case VALUE_NODES:
        return value->n > 0;
    case VALUE_WORD:
        return value->word[0] != '\0';
    }
    return false;
}

static bool same_value(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == VALUE_NUMBER)
        return a->number == b->number;
    if (a->kind == VALUE_WORD)
        return strcmp(a->word, b->word) == 0;
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        bool found = false;

        for (size_t j = 0; j < b->n; j++)
            found = found || a->nodes[i] == b->nodes[j];
        if (!found)
            return false;
    }
    return true;
}

static int unite(struct value *set, const struct value *more)
{
    for (size_t i = 0; i < more->n; i++) {
        bool there = false;

        for (size_t j = 0; j < set->n; j++)
            there = there || set->nodes[j] == more->nodes[i];
        if (!there && set->n == VALUE_NODES_MAX)
            return -1;
        if (!there)
            set->nodes[set->n++] = more->nodes[i];
    }
    return 0;
}

/* A list by itself is the union of its node sets: `between: [$old, [$a, $b]]`. */
static int eval_list(const struct expr *e, expr_lookup lookup, void *context, struct value *out,
                     struct err *err)
{
    struct value set = {.kind = VALUE_NODES};

    for (size_t i = 0; i < e->n; i++) {
        struct value item;

        if (expr_eval(e->args[i], lookup, context, &item, err) < 0)
            return -1;
        if (item.kind != VALUE_NODES)
            return mark_err(err, &e->mark, "\"%s\" is no node or role", e->args[i]->text);
        if (unite(&set, &item) < 0)
            return mark_err(err, &e->mark, "more than %d nodes in \"%s\"", VALUE_NODES_MAX,
                            e->text);
    }
    *out = set;
    return 0;
}

/* `$old in isr(orders/0)`: all of one set in the other; `none` is only in `none`. */
static bool is_part_of(const struct value *part, const struct value *whole)
{
    if (part->kind != VALUE_NODES || whole->kind != VALUE_NODES || part->n == 0)
        return same_value(part, whole);
    for (size_t i = 0; i < part->n; i++) {
        bool there = false;

        for (size_t j = 0; j < whole->n; j++)
            there = there || part->nodes[i] == whole->nodes[j];
        if (!there)
            return false;
    }
    return true;
}

static int eval_in(const struct expr *e, expr_lookup lookup, void *context, struct value *out,
                   struct err *err)
{
    const struct expr *list = e->args[1];
    size_t n = list->kind == EXPR_LIST ? list->n : 1;
    struct value left;
    bool found = false;

    if (expr_eval(e->args[0], lookup, context, &left, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const struct expr *item = list->kind == EXPR_LIST ? list->args[i] : list;
        struct value right;

        if (expr_eval(item, lookup, context, &right, err) < 0)
            return -1;
        found = found || (list->kind == EXPR_LIST ? same_value(&left, &right)
                                                  : is_part_of(&left, &right));
    }
    *out = (struct value){.kind = VALUE_NUMBER, .number = found == (e->op == OP_IN)};
    return 0;
}

static int eval_binary(const struct expr *e, expr_lookup lookup, void *context, struct value *out,
                       struct err *err)
{
    struct value left, right;
    int64_t number;

    if (e->op == OP_IN || e->op == OP_NOT_IN)
        return eval_in(e, lookup, context, out, err);
    if (expr_eval(e->args[0], lookup, context, &left, err) < 0 ||
        expr_eval(e->args[1], lookup, context, &right, err) < 0)
        return -1;
    if ((e->op == OP_EQ || e->op == OP_NE) &&
        !(left.kind == VALUE_NUMBER && right.kind == VALUE_NUMBER)) {
        number = same_value(&left, &right) == (e->op == OP_EQ);
    } else if (left.kind != VALUE_NUMBER || right.kind != VALUE_NUMBER) {
        const struct expr *odd = left.kind != VALUE_NUMBER ? e->args[0] : e->args[1];

        return mark_err(err, &e->mark, "\"%s\" is not a number in \"%s\"", odd->text, e->text);
    } else if (e->op == OP_ADD || e->op == OP_SUB) {
        if (e->op == OP_ADD ? __builtin_add_overflow(left.number, right.number, &number)
                            : __builtin_sub_overflow(left.number, right.number, &number))
            return mark_err(err, &e->mark, "number too large in \"%s\"", e->text);
    } else {
        number = expr_compare(e->op, left.number, right.number);
    }
    *out = (struct value){.kind = VALUE_NUMBER, .number = number};
    return 0;
}

int expr_eval(const struct expr *e, expr_lookup lookup, void *context, struct value *out,
              struct err *err)
{
    switch (e->kind) {
    case EXPR_NUMBER:
        *out = (struct value){.kind = VALUE_NUMBER, .number = e->number};
        return 0;
    case EXPR_WORD:
        if (strcmp(e->name, "none") == 0) {
            *out = (struct value){.kind = VALUE_NODES};
            return 0;
        }
        return lookup(context, e, out, err);
    case EXPR_VARIABLE:
    case EXPR_CALL:
        return lookup(context, e, out, err);
    case EXPR_LIST:
        return eval_list(e, lookup, context, out, err);
    case EXPR_BINARY:
        return eval_binary(e, lookup, context, out, err);
    }
    return err_set(err, "expression of no kind");
}
