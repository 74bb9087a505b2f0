/*
 * The walk over a map with its tables: unknown, missing and nested keys, defaults. Single values
 * are typed in param_value.c.
 */
#include "suite/params.h"

#include "suite/nearest.h"
#include "suite/tree.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct filler {
    struct arena *arena;
    struct err *err;
};

static void *at(void *out, size_t offset)
{
    return (char *)out + offset;
}

const struct param *param_named(const struct param *params, const char *key)
{
    for (; params && params->type != PARAM_END; params++)
        if (strcmp(params->key, key) == 0)
            return params;
    return NULL;
}

const struct tree *param_as_map(const struct tree *value, const char *key, const char *written,
                                struct arena *arena)
{
    struct tree *map;

    if (!value || value->kind == TREE_MAP)
        return value;
    map = tree_map(arena, &value->mark);
    if (key && !tree_is_empty(value))
        tree_put(arena, map, key, value);
    map->bare = written;
    return map;
}

static int fill(const struct filler *f, const struct param_into *into, size_t n,
                const struct tree *map);

static int fill_struct(const struct filler *f, const struct param *p, const char *written,
                       const struct tree *value, void *out)
{
    const struct param_into into = {p->sub, out};

    if (value->kind != TREE_MAP && !p->shorthand && !tree_is_empty(value))
        return mark_err(f->err, &value->mark, "\"%s\" takes a map of keys", written);
    return fill(f, &into, 1, param_as_map(value, p->shorthand, written, f->arena));
}

static int fill_structs(const struct filler *f, const struct param *p, const struct tree *value,
                        struct items *out)
{
    if (value->kind != TREE_LIST)
        return mark_err(f->err, &value->mark, "\"%s\" takes a list", p->key);
    out->items = arena_alloc(f->arena, (value->n + 1) * p->sub_size);
    out->n = value->n;
    for (size_t i = 0; i < value->n; i++)
        if (fill_struct(f, p, p->key, value->items[i], at(out->items, i * p->sub_size)) < 0)
            return -1;
    return 0;
}

static int fill_named(const struct filler *f, const struct param *p, const struct tree *value,
                      struct items *out)
{
    if (value->kind != TREE_MAP && !tree_is_empty(value))
        return mark_err(f->err, &value->mark, "\"%s\" takes a map of names", p->key);
    out->items = arena_alloc(f->arena, (value->n + 1) * p->sub_size);
    out->n = value->n;
    for (size_t i = 0; i < value->n; i++) {
        void *item = at(out->items, i * p->sub_size);

        if (fill_struct(f, p, value->keys[i], value->items[i], item) < 0)
            return -1;
        *(const char **)item = value->keys[i];
    }
    return 0;
}

static int add_pair(const struct filler *f, const struct tree *map, size_t i, struct pairs *out,
                    size_t *room)
{
    const struct tree *value = map->items[i];
    size_t n = value->kind == TREE_LIST ? value->n : 1;

    for (size_t j = 0; j < n; j++) {
        const struct tree *one = value->kind == TREE_LIST ? value->items[j] : value;

        if (one->kind != TREE_SCALAR)
            return mark_err(f->err, &one->mark, "\"%s\" takes text: it is passed on word for word",
                            map->keys[i]);
        if (out->n == *room) {
            struct pair *more = arena_alloc(f->arena, (2 * *room + 8) * sizeof(*more));

            if (out->n)
                memcpy(more, out->items, out->n * sizeof(*more));
            out->items = more;
            *room = 2 * *room + 8;
        }
        out->items[out->n++] = (struct pair){map->keys[i], one->text, map->marks[i]};
    }
    return 0;
}

static int fill_pairs(const struct filler *f, const struct param *p, const struct tree *value,
                      struct pairs *out)
{
    size_t room = 0;

    if (value->kind != TREE_MAP && !tree_is_empty(value))
        return mark_err(f->err, &value->mark, "\"%s\" takes a map: the product's own keys", p->key);
    out->n = 0;
    for (size_t i = 0; i < value->n; i++)
        if (add_pair(f, value, i, out, &room) < 0)
            return -1;
    return 0;
}

static int fill_one(const struct filler *f, const struct param *p, const struct tree *value,
                    void *out)
{
    void *where = at(out, p->offset);

    switch (p->type) {
    case PARAM_STRUCT:
        return fill_struct(f, p, p->key, value, where);
    case PARAM_STRUCTS:
        return fill_structs(f, p, value, where);
    case PARAM_MAP:
        return fill_named(f, p, value, where);
    case PARAM_VERBATIM:
        return fill_pairs(f, p, value, where);
    case PARAM_TREE:
        *(const struct tree **)where = value;
        return 0;
    default:
        return param_scalar(p, value, where, f->arena, f->err);
    }
}

/* What is wrong with a bare value is told of the key that was written. */
static int fill_given(const struct filler *f, const struct param *p, const struct tree *map,
                      const struct tree *value, void *out)
{
    struct param written = *p;

    if (map->bare)
        written.key = map->bare;
    return fill_one(f, &written, value, out);
}

/* A default is written as a user would write it. */
static int fill_fallback(const struct filler *f, const struct param *p, void *out)
{
    const struct tree_mark nowhere = {0};
    const struct tree *value;

    if (p->type == PARAM_STRUCT && !p->fallback) {
        const struct param_into into = {p->sub, at(out, p->offset)};

        return fill(f, &into, 1, NULL);
    }
    if (!p->fallback)
        return 0;
    if (p->fallback[0] == '[' || p->fallback[0] == '{')
        value = tree_read(p->fallback, strlen(p->fallback), "default", f->arena, f->err);
    else
        value = tree_scalar(f->arena, &nowhere, p->fallback);
    if (!value || fill_one(f, p, value, out) < 0)
        return err_prefix(f->err, "default of \"%s\"", p->key);
    return 0;
}

static int fill_table(const struct filler *f, const struct param_into *into, const struct tree *map)
{
    for (const struct param *p = into->params; p && p->type != PARAM_END; p++) {
        const struct tree *value = map ? tree_get(map, p->key) : NULL;

        if (strcmp(p->key, "*") == 0)
            continue;
        if (value && p->type == PARAM_STRUCT && p->present)
            *(bool *)at(into->out, p->present) = true;
        if (value ? fill_given(f, p, map, value, into->out) < 0
                  : fill_fallback(f, p, into->out) < 0)
            return -1;
        if (!value && map && p->required)
            return mark_err(f->err, &map->mark, "\"%s\" is missing%s%s%s", p->key,
                            p->help ? " (" : "", p->help ? p->help : "", p->help ? ")" : "");
    }
    return 0;
}

/* "topology: replication | sentinel": is `word` one of those behind the colon? */
static bool is_word_of(const char *only, const char *word)
{
    size_t n = strlen(word);

    for (const char *s = strchr(only, ':') + 1; *s; s += strcspn(s, " |")) {
        s += strspn(s, " |");
        if (strncmp(s, word, n) == 0 && strcspn(s, " |") == n)
            return true;
    }
    return false;
}

const struct param *param_company(const struct param *params, const struct param *p)
{
    char key[64];
    const struct param *other;

    snprintf(key, sizeof(key), "%.*s", (int)strcspn(p->only, ":"), p->only);
    other = param_named(params, key);
    assert(other && (!strchr(p->only, ':') || other->type == PARAM_CHOICE));
    return other;
}

/* A key that means nothing beside what else was said: whoever wrote it believes that it does. */
static int check_company(const struct filler *f, const struct param_into *into,
                         const struct param *p, const struct tree *map,
                         const struct tree_mark *mark)
{
    const struct param *other = param_company(into->params, p);
    const char *word;

    if (!strchr(p->only, ':'))
        return tree_get(map, other->key)
                   ? 0
                   : mark_err(f->err, mark, "\"%s\" means nothing without \"%s\"", p->key,
                              other->key);
    word = other->choices[*(const int *)at(into->out, other->offset)];
    if (is_word_of(p->only, word))
        return 0;
    return mark_err(f->err, mark,
                    "\"%s\" means nothing with %s: %s: it belongs to %s (a twin takes it away with "
                    "%s: ~)",
                    p->key, other->key, word, p->only, p->key);
}

static int check_companies(const struct filler *f, const struct param_into *into,
                           const struct tree *map)
{
    for (size_t i = 0; map && i < map->n; i++) {
        const struct param *p = param_named(into->params, map->keys[i]);

        if (p && p->only && check_company(f, into, p, map, &map->marks[i]) < 0)
            return -1;
    }
    return 0;
}

/* Gives a key no table names to a "*" parameter, or refuses it. */
static int take_unknown(const struct filler *f, const struct param_into *into, size_t n,
                        const struct tree *map, size_t i)
{
    struct nearest near = nearest_to(map->keys[i]);

    for (size_t t = 0; t < n; t++) {
        for (const struct param *p = into[t].params; p && p->type != PARAM_END; p++) {
            if (strcmp(p->key, "*") == 0) {
                struct pairs *pairs = at(into[t].out, p->offset);
                size_t room = pairs->n;

                return add_pair(f, map, i, pairs, &room);
            }
            nearest_offer(&near, p->key);
        }
    }
    return mark_err(f->err, &map->marks[i], "unknown key \"%s\"%s", map->keys[i],
                    nearest_hint(&near));
}

static int fill(const struct filler *f, const struct param_into *into, size_t n,
                const struct tree *map)
{
    if (map && map->kind != TREE_MAP)
        return mark_err(f->err, &map->mark, "expected a map of keys");
    for (size_t i = 0; map && i < map->n; i++) {
        bool known = false;

        for (size_t t = 0; t < n && !known; t++)
            known = param_named(into[t].params, map->keys[i]) != NULL;
        if (!known && take_unknown(f, into, n, map, i) < 0)
            return -1;
    }
    for (size_t t = 0; t < n; t++)
        if (fill_table(f, &into[t], map) < 0 || check_companies(f, &into[t], map) < 0)
            return -1;
    return 0;
}

int param_fill_all(const struct param_into *into, size_t n, const struct tree *map,
                   struct arena *arena, struct err *err)
{
    const struct filler f = {arena, err};

    return fill(&f, into, n, map);
}

int param_fill_short(const struct param *params, const char *shorthand, const char *written,
                     const struct tree *value, void *out, struct arena *arena, struct err *err)
{
    const struct param_into into = {params, out};
    const struct filler f = {arena, err};

    if (value && value->kind != TREE_MAP && !shorthand && !tree_is_empty(value))
        return mark_err(err, &value->mark, "takes no value");
    return fill(&f, &into, 1, param_as_map(value, shorthand, written, arena));
}

int param_fill(const struct param *params, const struct tree *value, void *out, struct arena *arena,
               struct err *err)
{
    const char *first = params && params->type != PARAM_END ? params->key : NULL;

    return param_fill_short(params, first, NULL, value, out, arena, err);
}
