/*
 * The expanded tree of a case → struct plan_case: its head here, its parts in the files beside.
 */
#include "plan/build.h"

#include "plan/tables.h"
#include "suite/params.h"
#include "suite/tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_NS INT64_C(600000000000)

void build_warn(const struct build *b, const struct tree_mark *mark, const char *format, ...)
{
    va_list args;

    if (!b->warn)
        return;
    fprintf(b->warn, "warning: suite %s:%d:%d: ", mark->file ? mark->file : "?", mark->line,
            mark->column);
    va_start(args, format);
    vfprintf(b->warn, format, args);
    va_end(args);
    fputc('\n', b->warn);
}

void add_string(struct arena *arena, struct strings *list, const char *text)
{
    const char **more;

    if (has_string(list, text))
        return;
    more = arena_alloc(arena, (list->n + 1) * sizeof(*more));
    if (list->n)
        memcpy(more, list->items, list->n * sizeof(*more));
    more[list->n] = text;
    list->items = more;
    list->n++;
}

bool has_string(const struct strings *list, const char *text)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

int place_err(struct err *err, const struct tree_mark *mark)
{
    if (!err)
        return -1;
    err->status = ERR_INPUT;
    if (strncmp(err->text, "suite ", 6) == 0 || !mark->file)
        return -1;
    return err_prefix(err, "suite %s:%d:%d", mark->file, mark->line, mark->column);
}

static int read_u64(struct build *b, const char *key, uint64_t *out)
{
    const char *text = tree_text(b->tree, key, "");
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    if (end == text || *end || errno || text[0] == '-')
        return mark_err(b->err, &b->tree->mark, "plan: \"%s\" is missing or no number", key);
    return 0;
}

static int read_matrix(struct build *b)
{
    const struct tree *matrix = tree_get(b->tree, "matrix");
    struct pairs *out = &b->c->matrix;

    if (!matrix || matrix->kind != TREE_MAP)
        return 0;
    out->items = arena_alloc(b->arena, (matrix->n + 1) * sizeof(*out->items));
    for (size_t i = 0; i < matrix->n; i++)
        out->items[out->n++] =
            (struct pair){matrix->keys[i], matrix->items[i]->text, matrix->marks[i]};
    return 0;
}

static int build_head(struct build *b)
{
    struct plan_case *c = b->c;
    uint64_t repeat;

    c->suite = tree_text(b->tree, "suite", "?");
    c->name = tree_text(b->tree, "case", "?");
    c->twin = tree_text(b->tree, "twin", "");
    c->about = tree_text(b->tree, "about", "");
    b->has_twins = strcmp(tree_text(b->tree, "has_twins", "false"), "true") == 0;
    if (read_u64(b, "seed", &c->seed) < 0 || read_u64(b, "repeat", &repeat) < 0 ||
        read_u64(b, "run", &c->run) < 0)
        return -1;
    c->repeat = (unsigned)repeat;
    c->title = c->name;
    if (*c->twin)
        c->title = arena_printf(b->arena, "%s/%s", c->title, c->twin);
    read_matrix(b);
    for (size_t i = 0; i < c->matrix.n; i++)
        c->title = arena_printf(b->arena, "%s/%s=%s", c->title, c->matrix.items[i].key,
                                c->matrix.items[i].value);
    return 0;
}

int build_rest(struct build *b)
{
    static const struct param deadline = {"deadline", PARAM_DURATION, 0, .min = 1};
    struct case_rest rest = {.deadline_ns = DEADLINE_NS};
    const struct tree *given = tree_get(b->tree, "deadline");

    if (param_fill(drain_params, tree_get(b->tree, "drain"), &rest, b->arena, b->err) < 0 ||
        param_fill(final_params, tree_get(b->tree, "final"), &rest, b->arena, b->err) < 0)
        return -1;
    if (given && param_scalar(&deadline, given, &rest.deadline_ns, b->arena, b->err) < 0)
        return -1;
    for (size_t i = 0; i < rest.down.n; i++) {
        const struct tree *final = tree_get(b->tree, "final");
        struct expr *e = expr_parse(rest.down.items[i], b->arena, &final->mark, b->err);

        if (!e || check_target(b, e) < 0)
            return -1;
    }
    b->c->drain_within_ns = rest.drain_within_ns;
    b->c->deadline_ns = rest.deadline_ns;
    b->c->final_down = rest.down;
    return 0;
}

struct plan_case *build_case(const struct tree *tree, struct arena *arena, FILE *warn,
                             struct err *err)
{
    static int (*const parts[])(struct build *) = {
        build_head,   build_workload, build_clusters, build_clients, build_applies,
        build_script, check_script,   build_promises, build_verdict, build_rest,
    };
    struct build b = {.tree = tree, .arena = arena, .warn = warn, .err = err};

    b.c = arena_alloc(arena, sizeof(*b.c));
    b.c->tree = tree;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (parts[i](&b) < 0)
            return NULL;
    return b.c;
}

char *plan_case_text(const struct plan_case *c, size_t *n)
{
    return tree_print(c->tree, n);
}

struct plan_case *plan_case_read(const char *text, size_t n, struct arena *arena, struct err *err)
{
    const struct tree *tree = tree_read(text, n, "plan", arena, err);

    if (!tree)
        return NULL;
    if (strcmp(tree_text(tree, "assay_plan", ""), "1") != 0) {
        err_input(err, "not a plan of version 1");
        return NULL;
    }
    return build_case(tree, arena, NULL, err);
}
