/*
 * From the file to its cases. What a word means is not known here: only the shape of a suite, of a
 * case and of a twin.
 */
#include "suite/suite.h"

#include "suite/nearest.h"
#include "suite/tree.h"

#include <stdlib.h>
#include <string.h>

struct builder {
    struct suite *suite;
    const struct tree *clusters; /* the suite's own; may be NULL */
    const struct pairs *inputs;
    struct arena *arena;
    struct err *err;
};

static int check_keys(const struct tree *map, const struct frame_key *frame, const char *what,
                      struct err *err)
{
    if (map->kind != TREE_MAP)
        return mark_err(err, &map->mark, "%s takes a map of keys", what);
    for (size_t i = 0; i < map->n; i++) {
        struct nearest near = nearest_to(map->keys[i]);
        bool known = false;

        for (const struct frame_key *f = frame; f->key; f++) {
            known = known || strcmp(map->keys[i], f->key) == 0;
            nearest_offer(&near, f->key);
        }
        if (!known)
            return mark_err(err, &map->marks[i], "unknown key \"%s\" of %s%s", map->keys[i], what,
                            nearest_hint(&near));
    }
    return 0;
}

static int check_with(const struct tree *with, struct err *err)
{
    static const char *const shared[] = {"script", "chaos", "matrix", NULL};

    for (const char *const *key = shared; *key; key++) {
        long i = tree_find(with, *key);

        if (i >= 0)
            return mark_err(err, &with->marks[i],
                            "a twin's %s may not differ: twins share script, seed and draws", *key);
    }
    return check_keys(with, with_frame, "with", err);
}

/* `require: X` is a list of one. */
static struct tree *as_list(struct arena *arena, const struct tree *value)
{
    struct tree *list = tree_list(arena, &value->mark);

    if (value->kind == TREE_LIST)
        return tree_copy(arena, value);
    tree_append(arena, list, value);
    return list;
}

/* The entry a name in a case's `clusters:` stands for: the suite's cluster of that name, else the
 * system itself. */
static const struct tree *cluster_named(const struct builder *b, const struct tree *value)
{
    const struct tree *entry = tree_get(b->clusters, value->text);
    struct tree *direct;

    if (entry)
        return entry->kind == TREE_SCALAR
                   ? cluster_named(&(struct builder){.arena = b->arena}, entry)
                   : entry;
    direct = tree_map(b->arena, &value->mark);
    tree_put(b->arena, direct, value->text, tree_map(b->arena, &value->mark));
    return direct;
}

/* Writes every cluster out under its alias and keeps the suite's names beside them. */
static int resolve_clusters(const struct builder *b, struct tree *c)
{
    const struct tree *clusters = tree_get(c, "clusters");
    const struct tree *names = tree_get(c, "cluster_names");
    struct tree *full, *named;

    if (!clusters)
        return mark_err(b->err, &c->mark, "the case names no clusters: add clusters: {bus: …}");
    if (clusters->kind != TREE_MAP)
        return mark_err(b->err, &clusters->mark, "\"clusters\" takes a map: {bus: kafka3}");
    full = tree_copy(b->arena, clusters);
    named = names ? tree_copy(b->arena, names) : tree_map(b->arena, &clusters->mark);
    for (size_t i = 0; i < clusters->n; i++) {
        const struct tree *value = clusters->items[i];

        if (value->kind == TREE_LIST || tree_is_empty(value))
            return mark_err(b->err, &value->mark, "cluster \"%s\": expected a cluster's name",
                            clusters->keys[i]);
        if (value->kind == TREE_SCALAR) {
            tree_put(b->arena, full, clusters->keys[i], cluster_named(b, value));
            tree_put(b->arena, named, clusters->keys[i], value);
        } else if (!tree_get(named, clusters->keys[i])) {
            tree_put(b->arena, named, clusters->keys[i],
                     tree_scalar(b->arena, &value->mark, clusters->keys[i]));
        }
    }
    tree_put(b->arena, c, "clusters", full);
    tree_put(b->arena, c, "cluster_names", named);
    return 0;
}

/* The case without what multiplies it. */
static struct tree *plain_case(const struct builder *b, const struct tree *c)
{
    struct tree *plain = tree_map(b->arena, &c->mark);

    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->keys[i], "matrix") == 0 || strcmp(c->keys[i], "twins") == 0)
            continue;
        tree_put(b->arena, plain, c->keys[i], c->items[i]);
        plain->marks[plain->n - 1] = c->marks[i];
    }
    return plain;
}

static void add_require(const struct builder *b, struct tree *c, const struct tree *more)
{
    const struct tree *old = tree_get(c, "require");
    struct tree *list = old ? as_list(b->arena, old) : tree_list(b->arena, &more->mark);
    const struct tree *added = as_list(b->arena, more);

    for (size_t i = 0; i < added->n; i++)
        tree_append(b->arena, list, added->items[i]);
    tree_put(b->arena, c, "require", list);
}

static struct tree *twin_of(const struct builder *b, const struct tree *base, const char *name,
                            const struct tree *twin)
{
    const struct tree *with = tree_get(twin, "with");
    const struct tree *more = tree_get(twin, "require+");
    struct tree *merged;

    if (check_keys(twin, twin_frame, "a twin", b->err) < 0 ||
        (with && check_with(with, b->err) < 0))
        return NULL;
    if (!tree_get(twin, "expect")) {
        mark_err(b->err, &twin->mark,
                 "twin \"%s\" does not say what it expects: add expect:", name);
        return NULL;
    }
    merged = with ? tree_merge(b->arena, base, with) : tree_copy(b->arena, base);
    for (size_t i = 0; i < twin->n; i++)
        if (strcmp(twin->keys[i], "with") != 0 && strcmp(twin->keys[i], "require+") != 0)
            tree_put(b->arena, merged, twin->keys[i], twin->items[i]);
    if (more)
        add_require(b, merged, more);
    return resolve_clusters(b, merged) < 0 ? NULL : merged;
}

static int add_case(const struct builder *b, const struct suite_case *like, const struct tree *tree,
                    const struct pairs *matrix)
{
    struct suite *s = b->suite;
    struct pairs names = {0};
    struct suite_case *c;

    if (s->n == SUITE_CASES_MAX)
        return mark_err(b->err, &like->mark, "more than %d cases in a suite", SUITE_CASES_MAX);
    names.n = b->inputs->n + matrix->n;
    names.items = arena_alloc(b->arena, (names.n + 1) * sizeof(*names.items));
    if (b->inputs->n)
        memcpy(names.items, b->inputs->items, b->inputs->n * sizeof(*names.items));
    if (matrix->n)
        memcpy(names.items + b->inputs->n, matrix->items, matrix->n * sizeof(*names.items));
    s->cases = array_grown(b->arena, s->cases, s->n, sizeof(*s->cases));
    c = &s->cases[s->n];
    *c = *like;
    c->matrix = *matrix;
    c->tree = suite_replace(tree, &names, b->arena, b->err);
    if (!c->tree)
        return -1;
    s->n++;
    return 0;
}

static int check_matrix(const struct builder *b, const struct tree *matrix)
{
    if (matrix->kind != TREE_MAP)
        return mark_err(b->err, &matrix->mark, "\"matrix\" takes a map: {n: [1, 1000]}");
    for (size_t i = 0; i < matrix->n; i++) {
        const struct tree *values = matrix->items[i];

        if (values->kind != TREE_LIST || values->n == 0)
            return mark_err(b->err, &values->mark, "matrix \"%s\": expected a list of values",
                            matrix->keys[i]);
        for (size_t j = 0; j < values->n; j++)
            if (values->items[j]->kind != TREE_SCALAR)
                return mark_err(b->err, &values->items[j]->mark,
                                "matrix \"%s\": expected plain values", matrix->keys[i]);
    }
    return 0;
}

/* One row of the matrix after the other, the last name turning fastest. */
static int multiply(const struct builder *b, const struct suite_case *like, const struct tree *tree,
                    const struct tree *matrix)
{
    size_t rows = 1;

    for (size_t i = 0; matrix && i < matrix->n; i++) {
        rows *= matrix->items[i]->n;
        if (rows > SUITE_CASES_MAX)
            return mark_err(b->err, &matrix->mark, "the matrix makes more than %d cases",
                            SUITE_CASES_MAX);
    }
    for (size_t row = 0; row < rows; row++) {
        struct pairs names = {0};
        size_t rest = row;

        names.n = matrix ? matrix->n : 0;
        names.items = arena_alloc(b->arena, (names.n + 1) * sizeof(*names.items));
        for (size_t i = names.n; i-- > 0; rest /= matrix->items[i]->n)
            names.items[i] = (struct pair){
                matrix->keys[i], matrix->items[i]->items[rest % matrix->items[i]->n]->text,
                matrix->marks[i]};
        if (add_case(b, like, tree, &names) < 0)
            return -1;
    }
    return 0;
}

static int expand_twins(const struct builder *b, const struct suite_case *like,
                        const struct tree *plain, const struct tree *twins,
                        const struct tree *matrix)
{
    if (twins->kind != TREE_MAP)
        return mark_err(b->err, &twins->mark, "\"twins\" takes a map of names");
    for (size_t i = 0; i < twins->n; i++) {
        struct suite_case twin = *like;
        const struct tree *tree = twin_of(b, plain, twins->keys[i], twins->items[i]);

        twin.twin = twins->keys[i];
        twin.mark = twins->marks[i];
        if (!tree || multiply(b, &twin, tree, matrix) < 0)
            return -1;
    }
    return 0;
}

static int expand_case(const struct builder *b, const char *name, const struct tree_mark *mark,
                       const struct tree *c)
{
    struct suite_case like = {.name = name, .twin = "", .mark = *mark};
    const struct tree *matrix = tree_get(c, "matrix");
    const struct tree *twins = tree_get(c, "twins");
    const struct tree *more = tree_get(c, "require+");
    struct tree *plain;

    if (more)
        return mark_err(b->err, &more->mark, "require+ belongs into a twin");
    if (check_keys(c, case_frame, "a case", b->err) < 0)
        return -1;
    plain = plain_case(b, c);
    if (resolve_clusters(b, plain) < 0 || (matrix && check_matrix(b, matrix) < 0))
        return -1;
    like.has_twins = twins && twins->n > 0;
    if (multiply(b, &like, plain, matrix) < 0)
        return -1;
    return twins ? expand_twins(b, &like, plain, twins, matrix) : 0;
}

static int expand_cases(const struct builder *b, const struct tree *root)
{
    const struct tree *cases = tree_get(root, "cases");

    if (!cases || cases->kind != TREE_MAP || cases->n == 0)
        return mark_err(b->err, cases ? &cases->mark : &root->mark,
                        "a suite needs cases: a map of names");
    for (size_t i = 0; i < cases->n; i++) {
        if (strpbrk(cases->keys[i], "/ \t"))
            return mark_err(b->err, &cases->marks[i], "a case's name has no blank and no \"/\"");
        if (expand_case(b, cases->keys[i], &cases->marks[i], cases->items[i]) < 0)
            return -1;
    }
    return 0;
}

static int check_head(const struct tree *root, struct err *err)
{
    const char *version;

    if (check_keys(root, suite_frame, "a suite", err) < 0)
        return -1;
    version = tree_text(root, "assay", NULL);
    if (!version)
        return mark_err(err, &root->mark, "the first line of a suite is \"assay: 1\"");
    if (strcmp(version, "1") != 0)
        return mark_err(err, &tree_get(root, "assay")->mark,
                        "assay: %s: this program reads suites of version 1", version);
    return 0;
}

static const char *folder_of(const char *path, struct arena *arena)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return ".";
    return arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

static struct suite *build(const struct tree *root, const char *file, const char *folder,
                           const struct pair *set, size_t n_set, struct arena *arena,
                           struct err *err)
{
    struct suite *suite = arena_alloc(arena, sizeof(*suite));
    struct pairs inputs = {0};
    struct builder b = {.suite = suite, .inputs = &inputs, .arena = arena, .err = err};

    suite->file = arena_strdup(arena, file);
    suite->folder = arena_strdup(arena, folder);
    suite->set_used = arena_alloc(arena, n_set + 1);
    if (check_head(root, err) < 0 || suite_inputs(tree_get(root, "inputs"), set, n_set,
                                                  suite->set_used, &inputs, arena, err) < 0)
        return NULL;
    suite->inputs = inputs;
    b.clusters = tree_get(root, "clusters");
    if (b.clusters && b.clusters->kind != TREE_MAP) {
        mark_err(err, &b.clusters->mark, "\"clusters\" takes a map of names");
        return NULL;
    }
    suite->clusters = b.clusters;
    return expand_cases(&b, root) < 0 ? NULL : suite;
}

struct suite *suite_read(const char *text, size_t n, const char *file, const char *folder,
                         const struct pair *set, size_t n_set, struct arena *arena, struct err *err)
{
    const struct tree *root = tree_read(text, n, file, arena, err);

    return root ? build(root, file, folder, set, n_set, arena, err) : NULL;
}

struct suite *suite_load(const char *path, const struct pair *set, size_t n_set,
                         struct arena *arena, struct err *err)
{
    const struct tree *root = tree_read_file(path, arena, err);

    if (!root)
        return NULL;
    return build(root, path, folder_of(path, arena), set, n_set, arena, err);
}
