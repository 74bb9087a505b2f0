/*
 * `inputs:` and `--set`, and the replacement of ${names}: literal, nothing is evaluated.
 */
#include "suite/suite.h"

#include "suite/nearest.h"
#include "suite/params.h"
#include "suite/tree.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

struct input {
    const char *file, *value, *help;
};

static const struct param input_params[] = {
    {"value", PARAM_STRING, offsetof(struct input, value), .help = "default text"},
    {"file", PARAM_STRING, offsetof(struct input, file), .help = "default file, or none"},
    {"help", PARAM_STRING, offsetof(struct input, help), .help = "what to set it to"},
    {0},
};

/* A file named on the command line is looked up from where the command was given. */
static const char *from_here(const char *name, struct arena *arena)
{
    char here[PATH_MAX];

    if (name[0] == '/' || !*name || strcmp(name, "none") == 0 || !getcwd(here, sizeof(here)))
        return name;
    return arena_printf(arena, "%s/%s", here, name);
}

static int one_input(const char *name, const struct tree *tree, const struct pair *set,
                     size_t n_set, bool *set_used, const char **out, struct arena *arena,
                     struct err *err)
{
    struct input input = {0};

    if (param_fill(input_params, tree, &input, arena, err) < 0)
        return -1;
    if (input.file && input.value)
        return mark_err(err, &tree->mark, "input \"%s\" is a file or a value, not both", name);
    *out = input.file ? input.file : input.value;
    for (size_t i = 0; i < n_set; i++) {
        if (strcmp(set[i].key, name) != 0)
            continue;
        *out = input.file ? from_here(set[i].value, arena) : set[i].value;
        set_used[i] = true;
    }
    if (!*out)
        return mark_err(err, &tree->mark, "input \"%s\" has no default: give --set %s=…", name,
                        name);
    return 0;
}

int suite_inputs(const struct tree *inputs, const struct pair *set, size_t n_set, bool *set_used,
                 struct pairs *out, struct arena *arena, struct err *err)
{
    if (!inputs)
        return 0;
    if (inputs->kind != TREE_MAP)
        return mark_err(err, &inputs->mark, "\"inputs\" takes a map of names");
    out->items = arena_alloc(arena, (inputs->n + 1) * sizeof(*out->items));
    for (size_t i = 0; i < inputs->n; i++) {
        struct pair *pair = &out->items[out->n];

        *pair = (struct pair){.key = inputs->keys[i], .mark = inputs->marks[i]};
        if (one_input(pair->key, inputs->items[i], set, n_set, set_used, &pair->value, arena, err) <
            0)
            return -1;
        out->n++;
    }
    return 0;
}

static int unknown_name(const struct tree_mark *mark, const char *name, const struct pairs *names,
                        struct err *err)
{
    struct nearest near = nearest_to(name);

    for (size_t i = 0; i < names->n; i++)
        nearest_offer(&near, names->items[i].key);
    return mark_err(err, mark, "${%s} is no input and no matrix name%s", name, nearest_hint(&near));
}

/* The text with its names replaced; NULL: one is unknown. */
static const char *replaced(const char *text, const struct tree_mark *mark,
                            const struct pairs *names, struct arena *arena, struct err *err)
{
    const char *at = text;
    const char *out = "";

    for (;;) {
        const char *dollar = strstr(at, "${");
        const char *end = dollar ? strchr(dollar, '}') : NULL;
        const char *name, *value;

        if (!end)
            return arena_printf(arena, "%s%s", out, at);
        if (dollar > at && dollar[-1] == '$') {
            out = arena_printf(arena, "%s%.*s{", out, (int)(dollar - at), at);
            at = dollar + 2;
            continue;
        }
        name = arena_strndup(arena, dollar + 2, (size_t)(end - dollar - 2));
        value = pairs_get(names, name, NULL);
        if (!value) {
            unknown_name(mark, name, names, err);
            return NULL;
        }
        out = arena_printf(arena, "%s%.*s%s", out, (int)(dollar - at), at, value);
        at = end + 1;
    }
}

static const struct tree *replaced_map(const struct tree *map, const struct pairs *names,
                                       struct arena *arena, struct err *err)
{
    struct tree *copy = tree_map(arena, &map->mark);

    for (size_t i = 0; i < map->n; i++) {
        const struct tree *item = suite_replace(map->items[i], names, arena, err);
        const char *key = map->keys[i];

        if (item && strstr(key, "${"))
            key = replaced(key, &map->marks[i], names, arena, err);
        if (!item || !key)
            return NULL;
        if (tree_get(copy, key)) {
            mark_err(err, &map->marks[i], "key \"%s\" is there twice", key);
            return NULL;
        }
        tree_put(arena, copy, key, item);
        copy->marks[copy->n - 1] = map->marks[i];
    }
    return copy;
}

const struct tree *suite_replace(const struct tree *tree, const struct pairs *names,
                                 struct arena *arena, struct err *err)
{
    struct tree *copy;

    if (tree->kind == TREE_SCALAR) {
        const char *text;

        if (!strstr(tree->text, "${"))
            return tree;
        text = replaced(tree->text, &tree->mark, names, arena, err);
        return text ? tree_scalar(arena, &tree->mark, text) : NULL;
    }
    if (tree->kind == TREE_MAP)
        return replaced_map(tree, names, arena, err);
    copy = tree_copy(arena, tree);
    for (size_t i = 0; i < tree->n; i++) {
        const struct tree *item = suite_replace(tree->items[i], names, arena, err);

        if (!item)
            return NULL;
        copy->items[i] = tree_copy(arena, item);
    }
    return copy;
}
