/*
 * YAML → tree by libyaml's event parser. What plain documents do not need is refused, because two
 * readers of a suite must never disagree about what it says: anchors and aliases, tags, `<<`,
 * duplicate keys, several documents.
 */
#include "suite/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#define KEY_MAX 500 /* YAML's simple keys end at 1024, escapes included */

struct reader {
    yaml_parser_t parser;
    const char *file;
    struct arena *arena;
    struct err *err;
    size_t values;
};

static struct tree_mark mark_of(const struct reader *r, const yaml_mark_t *mark)
{
    return (struct tree_mark){r->file, (int)mark->line + 1, (int)mark->column + 1};
}

static int syntax_err(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    struct tree_mark mark = mark_of(r, &p->problem_mark);
    const char *problem = p->problem ? p->problem : "not YAML";

    if (p->error == YAML_READER_ERROR)
        mark = (struct tree_mark){r->file, 1, 1};
    if (p->context)
        return mark_err(r->err, &mark, "%s (%s)", problem, p->context);
    return mark_err(r->err, &mark, "%s", problem);
}

static int next(struct reader *r, yaml_event_t *event)
{
    if (!yaml_parser_parse(&r->parser, event))
        return syntax_err(r);
    return 0;
}

static const char *bad_decoration(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return "aliases (*name) are not taken: write the value where it is meant";
    case YAML_SCALAR_EVENT:
        if (e->data.scalar.anchor)
            return "anchors (&name) are not taken";
        return e->data.scalar.tag ? "tags (!name) are not taken" : NULL;
    case YAML_SEQUENCE_START_EVENT:
        if (e->data.sequence_start.anchor)
            return "anchors (&name) are not taken";
        return e->data.sequence_start.tag ? "tags (!name) are not taken" : NULL;
    case YAML_MAPPING_START_EVENT:
        if (e->data.mapping_start.anchor)
            return "anchors (&name) are not taken";
        return e->data.mapping_start.tag ? "tags (!name) are not taken" : NULL;
    default:
        return NULL;
    }
}

static struct tree *read_value(struct reader *r, const yaml_event_t *event, int depth);

static struct tree *read_list(struct reader *r, const yaml_event_t *start, int depth)
{
    struct tree_mark mark = mark_of(r, &start->start_mark);
    struct tree *list = tree_list(r->arena, &mark);

    for (;;) {
        yaml_event_t event;
        struct tree *value;

        if (next(r, &event) < 0)
            return NULL;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return list;
        }
        value = read_value(r, &event, depth + 1);
        yaml_event_delete(&event);
        if (!value)
            return NULL;
        tree_append(r->arena, list, value);
    }
}

/* The text of a key, or NULL with the error set. */
static const char *read_key(struct reader *r, const struct tree *map, const yaml_event_t *event)
{
    struct tree_mark mark = mark_of(r, &event->start_mark);
    const char *bad = bad_decoration(event);
    const char *text;
    long same;

    if (bad)
        return mark_err(r->err, &mark, "%s", bad), NULL;
    if (event->type != YAML_SCALAR_EVENT)
        return mark_err(r->err, &mark, "a key must be a word, not a list or map"), NULL;
    text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return mark_err(r->err, &mark, "a NUL character inside a key"), NULL;
    if (event->data.scalar.length > KEY_MAX)
        return mark_err(r->err, &mark, "a key longer than %d bytes", KEY_MAX), NULL;
    if (strcmp(text, "<<") == 0)
        return mark_err(r->err, &mark, "merge keys (<<) are not taken: twins say `with:`"), NULL;
    same = tree_find(map, text);
    if (same >= 0) {
        mark_err(r->err, &mark, "duplicate key \"%s\" (first on line %d)", text,
                 map->marks[same].line);
        return NULL;
    }
    return text;
}

static int read_entry(struct reader *r, struct tree *map, const yaml_event_t *key, int depth)
{
    const char *text = read_key(r, map, key);
    yaml_event_t event;
    struct tree *value;

    if (!text || next(r, &event) < 0)
        return -1;
    value = read_value(r, &event, depth + 1);
    yaml_event_delete(&event);
    if (!value)
        return -1;
    tree_put(r->arena, map, text, value);
    map->marks[map->n - 1] = mark_of(r, &key->start_mark);
    return 0;
}

static struct tree *read_map(struct reader *r, const yaml_event_t *start, int depth)
{
    struct tree_mark mark = mark_of(r, &start->start_mark);
    struct tree *map = tree_map(r->arena, &mark);

    for (;;) {
        yaml_event_t key;
        int status;

        if (next(r, &key) < 0)
            return NULL;
        if (key.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&key);
            return map;
        }
        status = read_entry(r, map, &key, depth);
        yaml_event_delete(&key);
        if (status < 0)
            return NULL;
    }
}

static struct tree *read_value(struct reader *r, const yaml_event_t *event, int depth)
{
    struct tree_mark mark = mark_of(r, &event->start_mark);
    const char *bad = bad_decoration(event);

    if (bad)
        return mark_err(r->err, &mark, "%s", bad), NULL;
    if (depth > TREE_DEPTH_MAX)
        return mark_err(r->err, &mark, "nested deeper than %d levels", TREE_DEPTH_MAX), NULL;
    if (++r->values > TREE_VALUES_MAX)
        return mark_err(r->err, &mark, "more than %d values in a suite", TREE_VALUES_MAX), NULL;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
            return mark_err(r->err, &mark, "a NUL character inside a value"), NULL;
        return tree_scalar(r->arena, &mark, (const char *)event->data.scalar.value);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(r, event, depth);
    case YAML_MAPPING_START_EVENT:
        return read_map(r, event, depth);
    default:
        return mark_err(r->err, &mark, "a value is missing"), NULL;
    }
}

/* Between the stream's start and its end: exactly one document. */
static struct tree *read_document(struct reader *r)
{
    struct tree *root = NULL;
    yaml_event_t event;
    bool ended = false;

    while (!ended) {
        struct tree_mark mark;

        if (next(r, &event) < 0)
            return NULL;
        mark = mark_of(r, &event.start_mark);
        if (event.type == YAML_STREAM_END_EVENT) {
            if (!root)
                mark_err(r->err, &(struct tree_mark){r->file, 1, 1}, "nothing in it");
            ended = true;
        } else if (event.type == YAML_DOCUMENT_START_EVENT && root) {
            mark_err(r->err, &mark, "a second document: one suite is one document");
            root = NULL;
            ended = true;
        } else if (event.type != YAML_STREAM_START_EVENT &&
                   event.type != YAML_DOCUMENT_START_EVENT &&
                   event.type != YAML_DOCUMENT_END_EVENT) {
            root = read_value(r, &event, 1);
            ended = !root;
        }
        yaml_event_delete(&event);
    }
    return root;
}

struct tree *tree_read(const char *text, size_t n, const char *file, struct arena *arena,
                       struct err *err)
{
    struct reader r = {.arena = arena, .err = err};
    struct tree *root;

    r.file = arena_strdup(arena, file);
    if (n > TREE_BYTES_MAX) {
        err_input(err, "suite %s: larger than %zu bytes", file, TREE_BYTES_MAX);
        return NULL;
    }
    if (!yaml_parser_initialize(&r.parser)) {
        err_set(err, "suite %s: out of memory", file);
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    root = read_document(&r);
    yaml_parser_delete(&r.parser);
    return root;
}

char *file_text(const char *path, size_t *n, struct arena *arena, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    size_t got = 0;
    char *text = NULL;

    if (fd < 0 || fstat(fd, &st) < 0) {
        err_input(err, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode) || (size_t)st.st_size > TREE_BYTES_MAX) {
        err_input(err, "%s: not a file of at most %zu bytes", path, TREE_BYTES_MAX);
        goto out;
    }
    text = arena_alloc(arena, (size_t)st.st_size + 1);
    while (got < (size_t)st.st_size) {
        ssize_t more = read(fd, text + got, (size_t)st.st_size - got);

        if (more <= 0)
            break;
        got += (size_t)more;
    }
    text[got] = '\0';
    *n = got;
out:
    if (fd >= 0)
        close(fd);
    return text;
}

struct tree *tree_read_file(const char *path, struct arena *arena, struct err *err)
{
    size_t n;
    char *text = file_text(path, &n, arena, err);

    if (!text) {
        struct err why = *err; /* names the file */

        err_input(err, "suite %s", why.text);
        return NULL;
    }
    return tree_read(text, n, path, arena, err);
}
