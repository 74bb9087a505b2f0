/*
 * Trees as values: look-ups, building, merging. Reading is read.c, printing print.c.
 */
#include "suite/tree.h"

#include "api/param.h"

#include <stdarg.h>
#include <string.h>

int mark_err(struct err *err, const struct tree_mark *mark, const char *format, ...)
{
    char sentence[1500];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    if (!mark->file)
        return err_input(err, "%s", sentence);
    return err_input(err, "suite %s:%d:%d: %s", mark->file, mark->line, mark->column, sentence);
}

long tree_find(const struct tree *map, const char *key)
{
    if (!map || map->kind != TREE_MAP)
        return -1;
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->keys[i], key) == 0)
            return (long)i;
    return -1;
}

const struct tree *tree_get(const struct tree *map, const char *key)
{
    long i = tree_find(map, key);

    return i < 0 ? NULL : map->items[i];
}

const char *tree_text(const struct tree *map, const char *key, const char *fallback)
{
    const struct tree *value = tree_get(map, key);

    return value && value->kind == TREE_SCALAR ? value->text : fallback;
}

const char *pairs_get(const struct pairs *pairs, const char *key, const char *fallback)
{
    for (size_t i = pairs->n; i-- > 0;) /* what comes later wins, as in the products' own files */
        if (strcmp(pairs->items[i].key, key) == 0)
            return pairs->items[i].value;
    return fallback;
}

bool tree_is_empty(const struct tree *tree)
{
    return tree->kind == TREE_SCALAR && tree->text[0] == '\0';
}

static struct tree *make(struct arena *arena, enum tree_kind kind, const struct tree_mark *mark)
{
    struct tree *tree = arena_alloc(arena, sizeof(*tree));

    tree->kind = kind;
    tree->mark = *mark;
    tree->text = "";
    return tree;
}

struct tree *tree_scalar(struct arena *arena, const struct tree_mark *mark, const char *text)
{
    struct tree *tree = make(arena, TREE_SCALAR, mark);

    tree->text = arena_strdup(arena, text);
    return tree;
}

struct tree *tree_list(struct arena *arena, const struct tree_mark *mark)
{
    return make(arena, TREE_LIST, mark);
}

struct tree *tree_map(struct arena *arena, const struct tree_mark *mark)
{
    return make(arena, TREE_MAP, mark);
}

void *array_grown(struct arena *arena, void *array, size_t n, size_t size)
{
    void *bigger;

    if ((n & (n - 1)) != 0 && n != 0)
        return array;
    bigger = arena_alloc(arena, (n ? 2 * n : 1) * size);
    if (n)
        memcpy(bigger, array, n * size);
    return bigger;
}

static struct tree *unconst(const struct tree *tree)
{
    union {
        const struct tree *in;
        struct tree *out;
    } both = {.in = tree};

    return both
        .out; /* items are read-only once handed out; only the builder's own level is written */
}

void tree_append(struct arena *arena, struct tree *list, const struct tree *value)
{
    list->items = array_grown(arena, list->items, list->n, sizeof(struct tree *));
    list->items[list->n++] = unconst(value);
}

void tree_put(struct arena *arena, struct tree *map, const char *key, const struct tree *value)
{
    long i = tree_find(map, key);

    if (i >= 0) {
        map->items[i] = unconst(value);
        return;
    }
    map->keys = array_grown(arena, map->keys, map->n, sizeof(char *));
    map->marks = array_grown(arena, map->marks, map->n, sizeof(struct tree_mark));
    map->keys[map->n] = arena_strdup(arena, key);
    map->marks[map->n] = value->mark;
    tree_append(arena, map, value);
}

struct tree *tree_copy(struct arena *arena, const struct tree *tree)
{
    struct tree *copy = make(arena, tree->kind, &tree->mark);

    copy->text = tree->text;
    for (size_t i = 0; i < tree->n; i++) {
        if (tree->kind == TREE_MAP) {
            tree_put(arena, copy, tree->keys[i], tree->items[i]);
            copy->marks[i] = tree->marks[i];
        } else {
            tree_append(arena, copy, tree->items[i]);
        }
    }
    return copy;
}

/* YAML's null, as a suite writes it. */
static bool is_null(const struct tree *tree)
{
    return tree && tree->kind == TREE_SCALAR && strcmp(tree->text, "~") == 0;
}

struct tree *tree_merge(struct arena *arena, const struct tree *base, const struct tree *over)
{
    struct tree *merged;

    if (!base || base->kind != TREE_MAP || over->kind != TREE_MAP)
        return unconst(over);
    merged = make(arena, TREE_MAP, &base->mark);
    for (size_t i = 0; i < base->n; i++) {
        if (is_null(tree_get(over, base->keys[i])))
            continue;
        tree_put(arena, merged, base->keys[i], base->items[i]);
        merged->marks[merged->n - 1] = base->marks[i];
    }
    for (size_t i = 0; i < over->n; i++) {
        const struct tree *old = tree_get(base, over->keys[i]);

        if (is_null(over->items[i]))
            continue;
        tree_put(arena, merged, over->keys[i], tree_merge(arena, old, over->items[i]));
        merged->marks[tree_find(merged, over->keys[i])] = over->marks[i];
    }
    return merged;
}
