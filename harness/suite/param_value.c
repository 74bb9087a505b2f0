/*
 * One value → its type, with the sentence a user gets when it is not one.
 */
#include "suite/params.h"

#include "suite/expr.h"
#include "suite/nearest.h"
#include "suite/tree.h"
#include "suite/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *param_type_text(enum param_type type)
{
    switch (type) {
    case PARAM_BOOL:
        return "true or false";
    case PARAM_INT:
        return "a whole number such as 500 or 10k";
    case PARAM_SIZE:
        return "a size such as 200B or 64KiB";
    case PARAM_DURATION:
        return "a duration such as 250ms or 10s";
    case PARAM_RATE:
        return "a rate such as 5k/s";
    case PARAM_STRING:
        return "text";
    case PARAM_CHOICE:
        return "one of the words";
    case PARAM_EXPR:
        return "an expression";
    case PARAM_STRINGS:
        return "a list of texts";
    case PARAM_VERBATIM:
        return "the product's own keys and values";
    case PARAM_STRUCT:
        return "a map of keys";
    case PARAM_STRUCTS:
        return "a list of maps";
    case PARAM_MAP:
        return "a map of names";
    default:
        return "any value";
    }
}

static bool is_bare_number(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!isdigit((unsigned char)*text) && *text != '.')
            return false;
    return true;
}

static int not_one(const struct param *p, const struct tree *value, struct err *err)
{
    const char *text = value->text;

    if (is_bare_number(text) && p->type == PARAM_DURATION)
        return mark_err(err, &value->mark, "%s: %s has no unit: write %sms, %ss, %sm …", p->key,
                        text, text, text, text);
    if (is_bare_number(text) && p->type == PARAM_SIZE)
        return mark_err(err, &value->mark, "%s: %s has no unit: write %sB, %sKiB, %sMiB …", p->key,
                        text, text, text, text);
    if (is_bare_number(text) && p->type == PARAM_RATE)
        return mark_err(err, &value->mark, "%s: %s has no unit: write %s/s, %sk/s …", p->key, text,
                        text, text);
    return mark_err(err, &value->mark, "%s: \"%s\" is not %s", p->key, text,
                    param_type_text(p->type));
}

static void print_bound(const struct param *p, int64_t bound, char *out, size_t size)
{
    if (p->type == PARAM_DURATION)
        units_print_duration(bound, out, size);
    else
        snprintf(out, size, "%" PRId64 "%s", bound, p->type == PARAM_SIZE ? "B" : "");
}

static int in_range(const struct param *p, const struct tree *value, int64_t number,
                    struct err *err)
{
    char low[32], high[32];

    if ((p->min == 0 && p->max == 0) || (number >= p->min && (p->max == 0 || number <= p->max)))
        return 0;
    print_bound(p, p->min, low, sizeof(low));
    print_bound(p, p->max, high, sizeof(high));
    if (p->max == 0)
        return mark_err(err, &value->mark, "%s: %s is below %s", p->key, value->text, low);
    return mark_err(err, &value->mark, "%s: %s is outside %s … %s", p->key, value->text, low, high);
}

static int fill_bool(const struct param *p, const struct tree *value, bool *out, struct err *err)
{
    if (strcmp(value->text, "true") != 0 && strcmp(value->text, "false") != 0)
        return not_one(p, value, err);
    *out = value->text[0] == 't';
    return 0;
}

static int fill_int(const struct param *p, const struct tree *value, int64_t *out, struct err *err)
{
    int64_t number;
    int status;

    if (p->type == PARAM_DURATION)
        status = units_duration(value->text, &number);
    else if (p->type == PARAM_SIZE)
        status = units_size(value->text, &number);
    else
        status = units_int(value->text, &number);
    if (status < 0)
        return not_one(p, value, err);
    if (in_range(p, value, number, err) < 0)
        return -1;
    *out = number;
    return 0;
}

static int fill_choice(const struct param *p, const struct tree *value, int *out, struct err *err)
{
    struct nearest near = nearest_to(value->text);
    char words[400] = "";

    for (int i = 0; p->choices[i]; i++) {
        size_t used = strlen(words);

        if (strcmp(p->choices[i], value->text) == 0) {
            *out = i;
            return 0;
        }
        nearest_offer(&near, p->choices[i]);
        snprintf(words + used, sizeof(words) - used, "%s%s", i ? ", " : "", p->choices[i]);
    }
    return mark_err(err, &value->mark, "%s: \"%s\" is none of %s%s", p->key, value->text, words,
                    nearest_hint(&near));
}

static int fill_string(const struct param *p, const struct tree *value, const char **out,
                       struct err *err)
{
    const char *expected = NULL;

    if (p->check && !p->check(value->text, &expected))
        return mark_err(err, &value->mark, "%s: \"%s\" is not %s", p->key, value->text,
                        expected ? expected : "valid");
    *out = value->text;
    return 0;
}

static int fill_strings(const struct param *p, const struct tree *value, struct strings *out,
                        struct arena *arena, struct err *err)
{
    size_t n = value->kind == TREE_LIST ? value->n : 1;

    if (value->kind == TREE_MAP)
        return mark_err(err, &value->mark, "%s: expected a list of texts", p->key);
    out->items = arena_alloc(arena, (n + 1) * sizeof(*out->items));
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        const struct tree *one = value->kind == TREE_LIST ? value->items[i] : value;

        if (one->kind != TREE_SCALAR)
            return mark_err(err, &one->mark, "%s: expected a list of texts", p->key);
        if (fill_string(p, one, &out->items[i], err) < 0)
            return -1;
    }
    return 0;
}

/* A YAML list of expressions is one list expression: `between: [$old, $rest]`. */
static int fill_expr(const struct param *p, const struct tree *value, struct expr **out,
                     struct arena *arena, struct err *err)
{
    struct expr *list;

    if (value->kind == TREE_MAP)
        return mark_err(err, &value->mark, "%s: expected an expression", p->key);
    if (value->kind == TREE_SCALAR) {
        *out = expr_parse(value->text, arena, &value->mark, err);
        return *out ? 0 : -1;
    }
    list = arena_alloc(arena, sizeof(*list));
    list->kind = EXPR_LIST;
    list->mark = value->mark;
    list->n = value->n;
    list->args = arena_alloc(arena, (value->n + 1) * sizeof(*list->args));
    for (size_t i = 0; i < value->n; i++)
        if (fill_expr(p, value->items[i], &list->args[i], arena, err) < 0)
            return -1;
    list->text = "[";
    for (size_t i = 0; i < value->n; i++)
        list->text = arena_printf(arena, "%s%s%s", list->text, i ? ", " : "", list->args[i]->text);
    list->text = arena_printf(arena, "%s]", list->text);
    *out = list;
    return 0;
}

int param_scalar(const struct param *p, const struct tree *value, void *out, struct arena *arena,
                 struct err *err)
{
    if (p->type == PARAM_STRINGS)
        return fill_strings(p, value, out, arena, err);
    if (p->type == PARAM_EXPR)
        return fill_expr(p, value, out, arena, err);
    if (value->kind != TREE_SCALAR)
        return mark_err(err, &value->mark, "%s: expected %s, not a %s", p->key,
                        param_type_text(p->type), value->kind == TREE_LIST ? "list" : "map");
    switch (p->type) {
    case PARAM_BOOL:
        return fill_bool(p, value, out, err);
    case PARAM_INT:
    case PARAM_SIZE:
    case PARAM_DURATION:
        return fill_int(p, value, out, err);
    case PARAM_RATE:
        return units_rate(value->text, out) < 0 ? not_one(p, value, err) : 0;
    case PARAM_CHOICE:
        return fill_choice(p, value, out, err);
    case PARAM_STRING:
        return fill_string(p, value, out, err);
    default:
        return err_set(err, "parameter \"%s\" has no type", p->key);
    }
}
