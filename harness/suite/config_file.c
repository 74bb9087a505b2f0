/*
 * Config files as maps. Sources: java.util.Properties (comments # and !, `=`, `:` or a space as
 * separator, a backslash at the end continues), rabbitmq.conf ("key = value", the sysctl format of
 * cuttlefish), redis.conf ("key value…", repeated keys add up).
 */
#include "suite/config_file.h"

#include "suite/tree.h"

#include <ctype.h>
#include <string.h>

enum format { FORMAT_PROPERTIES, FORMAT_SYSCTL, FORMAT_WORDS, FORMAT_TEXT };

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static enum format format_of(const char *section)
{
    if (ends_with(section, ".json"))
        return FORMAT_TEXT;
    if (strcmp(section, "redis.conf") == 0 || strcmp(section, "sentinel.conf") == 0)
        return FORMAT_WORDS;
    return strcmp(section, "rabbitmq.conf") == 0 ? FORMAT_SYSCTL : FORMAT_PROPERTIES;
}

/* One logical line, continuations joined, blanks at both ends gone; NULL at the end of the text. */
static char *take_line(const char **at, bool continues, struct arena *arena)
{
    char *line = arena_strdup(arena, "");

    if (!**at)
        return NULL;
    for (;;) {
        size_t n = strcspn(*at, "\n");
        const char *from = *at;
        size_t end = n;

        *at += n + (from[n] == '\n');
        while (end > 0 && isspace((unsigned char)from[end - 1]))
            end--;
        while (end > 0 && isspace((unsigned char)*from)) {
            from++;
            end--;
        }
        if (!continues || end == 0 || from[end - 1] != '\\' || !**at)
            return arena_printf(arena, "%s%.*s", line, (int)end, from);
        line = arena_printf(arena, "%s%.*s", line, (int)end - 1, from);
    }
}

/* Splits "key = value" in place; the value is "" when there is none. */
static char *split(char *line, enum format format)
{
    const char *separators = format == FORMAT_WORDS    ? " \t"
                             : format == FORMAT_SYSCTL ? "="
                                                       : "=: \t";
    size_t n = strcspn(line, separators);
    char *value = line + n;
    size_t key = n;

    while (key > 0 && isspace((unsigned char)line[key - 1]))
        key--;
    while (isspace((unsigned char)*value))
        value++;
    if (format != FORMAT_WORDS && (*value == '=' || (*value == ':' && format != FORMAT_SYSCTL)))
        value++;
    while (isspace((unsigned char)*value))
        value++;
    line[key] = '\0';
    return value;
}

/* "requirepass=x", "default_pass x": the key would have its value in it, and the server repeats a key
 * that it refuses. */
static int check_separator(const char *section, const char *line, enum format format,
                           const struct tree_mark *mark, struct err *err)
{
    size_t n = format == FORMAT_WORDS    ? strcspn(line, "=")
               : format == FORMAT_SYSCTL ? strcspn(line, " \t:")
                                         : strlen(line);

    if (!line[n])
        return 0;
    return mark_err(err, mark, "%s: behind \"%.*s\" %s was expected", section, (int)n, line,
                    format == FORMAT_WORDS ? "a blank" : "\"=\"");
}

static void put_again(struct arena *arena, struct tree *map, const char *key,
                      const struct tree *value, enum format format)
{
    const struct tree *old = tree_get(map, key);
    struct tree *list;

    if (!old || format != FORMAT_WORDS) {
        tree_put(arena, map, key, value);
        return;
    }
    list = old->kind == TREE_LIST ? tree_copy(arena, old) : tree_list(arena, &old->mark);
    if (old->kind != TREE_LIST)
        tree_append(arena, list, old);
    tree_append(arena, list, value);
    tree_put(arena, map, key, list);
}

static int lines_between(const char *from, const char *to)
{
    int n = 0;

    for (; from < to; from++)
        n += *from == '\n';
    return n;
}

struct tree *config_parse(const char *section, const char *text, const struct tree_mark *mark,
                          struct arena *arena, struct err *err)
{
    enum format format = format_of(section);
    struct tree *map = tree_map(arena, mark);
    struct tree_mark here = *mark; /* of each key: its own line */
    const char *began = text;
    char *line;

    if (format == FORMAT_TEXT) {
        tree_put(arena, map, "text", tree_scalar(arena, mark, text));
        return map;
    }
    for (const char *from = text;
         (line = take_line(&text, format == FORMAT_PROPERTIES, arena)) != NULL; from = text) {
        char *value;

        if (line[0] == '\0' || line[0] == '#' || (line[0] == '!' && format == FORMAT_PROPERTIES))
            continue;
        value = split(line, format);
        here.line += lines_between(began, from);
        began = from;
        if (check_separator(section, line, format, &here, err) < 0)
            return NULL;
        if (line[0] == '\0') {
            mark_err(err, mark, "%s: a line without a key: \"%.60s\"", section, value);
            return NULL;
        }
        put_again(arena, map, line, tree_scalar(arena, &here, value), format);
        map->marks[tree_find(map, line)] = here;
    }
    return map;
}

/* The text of the file a `file:` names, and where it begins; *none when it says none. */
static char *named_file(const struct tree *name, const char *folder, bool *none,
                        struct tree_mark *mark, struct arena *arena, struct err *err)
{
    const char *path = name->text;
    struct err why;
    char *text;
    size_t n;

    *none = name->kind == TREE_SCALAR && (!*path || strcmp(path, "none") == 0);
    if (*none)
        return NULL;
    if (name->kind != TREE_SCALAR) {
        mark_err(err, &name->mark, "file: expected a file's name");
        return NULL;
    }
    if (path[0] != '/')
        path = arena_printf(arena, "%s/%s", folder, path);
    *mark = (struct tree_mark){path, 1, 1};
    text = file_text(path, &n, arena, &why);
    if (!text)
        mark_err(err, &name->mark, "file: %s", why.text);
    else if (strlen(text) != n) {
        mark_err(err, &name->mark, "file: %s is not text", path);
        text = NULL;
    }
    return text;
}

static const struct tree *merge_section(const char *section, const struct tree *value,
                                        const char *folder, struct arena *arena, struct err *err)
{
    const struct tree *name = tree_get(value, "file");
    struct tree *merged;
    struct tree_mark mark;
    bool none;
    char *text;

    if (!name)
        return value;
    text = named_file(name, folder, &none, &mark, arena, err);
    if (!text && !none)
        return NULL;
    merged = none ? tree_map(arena, &value->mark) : config_parse(section, text, &mark, arena, err);
    for (size_t i = 0; merged && i < value->n; i++) {
        if (strcmp(value->keys[i], "file") == 0)
            continue;
        tree_put(arena, merged, value->keys[i], value->items[i]);
        merged->marks[tree_find(merged, value->keys[i])] = value->marks[i];
    }
    return merged;
}

static const struct tree *merge_string(const struct tree *value, const char *folder,
                                       struct arena *arena, struct err *err)
{
    const struct tree *name = tree_get(value, "file");
    struct tree_mark mark;
    bool none;
    char *text;

    if (!name || value->n != 1)
        return value;
    text = named_file(name, folder, &none, &mark, arena, err);
    if (!text && !none)
        return NULL;
    return tree_scalar(arena, &name->mark, none ? "" : text);
}

/* One list or map of sub-structs. */
static const struct tree *merge_each(const struct param *p, const struct tree *value,
                                     const char *folder, struct arena *arena, struct err *err)
{
    struct tree *copy = tree_copy(arena, value);

    for (size_t i = 0; i < value->n; i++) {
        const struct tree *one = config_files_merge(p->sub, value->items[i], folder, arena, err);

        if (!one)
            return NULL;
        if (copy->kind == TREE_MAP)
            tree_put(arena, copy, value->keys[i], one);
        else
            copy->items[i] = tree_copy(arena, one);
    }
    return copy;
}

static const struct tree *merge_param(const struct param *p, const struct tree *value,
                                      const char *folder, struct arena *arena, struct err *err)
{
    switch (p->type) {
    case PARAM_VERBATIM:
        return merge_section(p->key, value, folder, arena, err);
    case PARAM_STRING:
        return merge_string(value, folder, arena, err);
    case PARAM_STRUCT:
        return config_files_merge(p->sub, value, folder, arena, err);
    case PARAM_STRUCTS:
    case PARAM_MAP:
        return merge_each(p, value, folder, arena, err);
    default:
        return value;
    }
}

static void take_away(struct tree *map, const char *key)
{
    size_t at = (size_t)tree_find(map, key);
    size_t after = map->n - at - 1;

    memmove(&map->keys[at], &map->keys[at + 1], after * sizeof(*map->keys));
    memmove(&map->items[at], &map->items[at + 1], after * sizeof(*map->items));
    memmove(&map->marks[at], &map->marks[at + 1], after * sizeof(*map->marks));
    map->n--;
}

const struct tree *config_files_merge(const struct param *params, const struct tree *map,
                                      const char *folder, struct arena *arena, struct err *err)
{
    struct tree *copy;

    if (map->kind != TREE_MAP)
        return map;
    copy = tree_copy(arena, map);
    for (const struct param *p = params; p && p->type != PARAM_END; p++) {
        const struct tree *value = tree_get(map, p->key);
        const struct tree *merged;

        if (!value || value->kind == TREE_SCALAR)
            continue;
        merged = merge_param(p, value, folder, arena, err);
        if (!merged)
            return NULL;
        if (p->type == PARAM_STRING && merged != value && tree_is_empty(merged))
            take_away(copy, p->key); /* file: none: as if it had not been named */
        else
            tree_put(arena, copy, p->key, merged);
    }
    return copy;
}
