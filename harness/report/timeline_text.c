/*
 * A timeline as a plan's case, and as the text of a suite: the recorded case with its clusters
 * written out, its script replaced by what happened, the stamps as comments above each step.
 */
#include "report/timeline.h"

#include "base/buf.h"
#include "base/file.h"
#include "report/formats.h"
#include "suite/tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- as a plan */

static struct tree *script_tree(const struct happened *happened, struct arena *arena)
{
    struct tree *list = tree_list(arena, &no_mark);

    for (size_t i = 0; i < happened->n; i++) {
        const struct happened_step *one = &happened->items[i];
        struct tree *step = tree_copy(arena, one->step);

        if (one->body) {
            struct tree *repeat = tree_copy(arena, step->items[0]);

            tree_put(arena, repeat, "do", script_tree(one->body, arena));
            tree_put(arena, step, step->keys[0], repeat);
        }
        tree_append(arena, list, step);
    }
    return list;
}

struct plan_case *timeline_case(const struct timeline *t, struct arena *arena, struct err *err)
{
    struct tree *plan = tree_copy(arena, t->recorded->tree);
    struct plan_case *c;
    char *text;
    size_t n;

    tree_put(arena, plan, "script", script_tree(&t->script, arena));
    text = tree_print(plan, &n);
    c = plan_case_read(text, n, arena, err);
    free(text);
    return c;
}

/* ---- as a suite */

static void indented(struct buf *out, int spaces, const char *lines, const char *before)
{
    while (*lines) {
        size_t n = strcspn(lines, "\n");

        buf_printf(out, "%*s%s%.*s\n", spaces, "", before, (int)n, lines);
        lines += n + (lines[n] == '\n');
    }
}

/* Names were replaced when the suite was read: what looks like one now is text. */
static const struct tree *escaped(struct arena *arena, const struct tree *tree)
{
    struct tree *copy;

    if (tree->kind == TREE_SCALAR) {
        const char *text = "";
        const char *from = tree->text;

        for (const char *at; (at = strstr(from, "${")) != NULL; from = at + 2)
            text = arena_printf(arena, "%s%.*s$${", text, (int)(at - from), from);
        return *text ? tree_scalar(arena, &tree->mark, arena_printf(arena, "%s%s", text, from))
                     : tree;
    }
    copy = tree_copy(arena, tree);
    for (size_t i = 0; i < tree->n; i++) {
        const struct tree *item = escaped(arena, tree->items[i]);

        if (copy->kind == TREE_MAP)
            tree_put(arena, copy, tree->keys[i], item);
        else
            copy->items[i] = tree_copy(arena, item);
    }
    return copy;
}

static void put_pair(struct buf *out, struct arena *arena, int spaces, const char *key,
                     const struct tree *value)
{
    struct tree *map = tree_map(arena, &no_mark);
    char *text;

    tree_put(arena, map, key, escaped(arena, value));
    text = tree_print(map, NULL);
    indented(out, spaces, text, "");
    free(text);
}

static void put_steps(struct buf *out, struct arena *arena, int spaces,
                      const struct happened *happened)
{
    for (size_t i = 0; i < happened->n; i++) {
        const struct happened_step *one = &happened->items[i];
        const struct tree *value = escaped(arena, one->step->items[0]);
        char *text = tree_print_flow(value);

        indented(out, spaces, one->comment, "# ");
        if (one->body) {
            buf_printf(out, "%*s- %s:\n", spaces, "", one->step->keys[0]);
            for (size_t k = 0; k < value->n; k++)
                put_pair(out, arena, spaces + 4, value->keys[k], value->items[k]);
            buf_printf(out, "%*sdo:\n", spaces + 4, "");
            put_steps(out, arena, spaces + 6, one->body);
        } else {
            buf_printf(out, "%*s- %s: %s\n", spaces, "", one->step->keys[0], text);
        }
        free(text);
    }
}

/* Clusters by the suite's names, then the case with its aliases for them. */
static void put_clusters(struct buf *out, struct arena *arena, const struct plan_case *c)
{
    buf_text(out, "clusters:\n");
    for (size_t i = 0; i < c->n_clusters; i++) {
        bool first = true;

        for (size_t k = 0; k < i; k++)
            first &= strcmp(c->clusters[k].name, c->clusters[i].name) != 0;
        if (first)
            put_pair(out, arena, 2, c->clusters[i].name, c->clusters[i].tree);
    }
}

static void put_aliases(struct buf *out, struct arena *arena, const struct plan_case *c)
{
    struct tree *map = tree_map(arena, &no_mark);

    for (size_t i = 0; i < c->n_clusters; i++)
        tree_put(arena, map, c->clusters[i].alias,
                 tree_scalar(arena, &no_mark, c->clusters[i].name));
    put_pair(out, arena, 4, "clusters", map);
}

/* "K02-acks1/acks-all/n=10" as one name. */
static const char *case_name(const struct plan_case *c, struct arena *arena)
{
    char *name = arena_strdup(arena, plan_case_title(c));

    for (char *at = name; *at; at++)
        if (*at == '/')
            *at = '.';
        else if (*at == ' ' || *at == '\t')
            *at = '_';
    return name;
}

static void put_head(struct buf *out, const struct timeline *t)
{
    char utc[60];

    format_utc(t->began_utc_ns, utc, sizeof(utc));
    buf_printf(out, "# What really happened in %s with seed %" PRIu64 ", as a script again.\n",
               plan_case_title(t->recorded), t->recorded->seed);
    if (t->began_ns)
        buf_printf(out,
                   "# The script began at %s (monotonic %.6f s); times are seconds since then.\n",
                   utc, (double)t->began_ns / 1e9);
    if (t->stopped)
        buf_text(out, "# It ended before its last step: here is what it came to.\n");
    buf_text(out, "assay: 1\n");
}

char *timeline_text(const struct timeline *t, size_t *n)
{
    static const char *const before[] = {"about", NULL};
    static const char *const clients[] = {"workload", "clients", NULL};
    static const char *const after[] = {"drain", "promise",  "require", "expect",
                                        "final", "deadline", NULL};
    static const char *const *const parts[] = {before, clients, after};
    const struct plan_case *c = t->recorded;
    struct arena arena = {0};
    struct buf out = {0};

    put_head(&out, t);
    put_clusters(&out, &arena, c);
    buf_printf(&out, "cases:\n  %s:\n", case_name(c, &arena));
    for (size_t part = 0; part < 3; part++) {
        for (const char *const *key = parts[part]; *key; key++)
            if (tree_get(c->tree, *key))
                put_pair(&out, &arena, 4, *key, tree_get(c->tree, *key));
        if (part == 0)
            put_aliases(&out, &arena, c);
        if (part == 1) {
            buf_printf(&out, "    script:%s\n", t->script.n ? "" : " []");
            put_steps(&out, &arena, 6, &t->script);
        }
    }
    arena_release(&arena);
    if (n)
        *n = out.n;
    return buf_take(&out);
}

int timeline_write(const struct timeline *t, const char *case_folder, struct err *err)
{
    char path[4200];
    size_t n = 0;
    char *text = timeline_text(t, &n);
    int result;

    snprintf(path, sizeof(path), "%s/timeline.yaml", case_folder);
    result = file_write(path, text, n, err);
    free(text);
    return result;
}
