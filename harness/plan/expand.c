/*
 * A suite's case and a seed → the tree that says everything about one run of it: head (names, seed,
 * run number), config files read in, every draw made. It is what plan_case_text prints and all that
 * plan_case_read needs.
 */
#include "plan/build.h"

#include "api/broker.h"
#include "api/system.h"
#include "base/draw.h"
#include "suite/config_file.h"
#include "suite/secrets.h"
#include "suite/tree.h"

#include <inttypes.h>
#include <string.h>

static void put_text(struct arena *arena, struct tree *map, const char *key, const char *text)
{
    tree_put(arena, map, key, tree_scalar(arena, &map->mark, text));
}

static void put_number(struct arena *arena, struct tree *map, const char *key, uint64_t number)
{
    put_text(arena, map, key, arena_printf(arena, "%" PRIu64, number));
}

static struct tree *matrix_tree(struct arena *arena, const struct suite_case *sc)
{
    struct tree *map = tree_map(arena, &sc->mark);

    for (size_t i = 0; i < sc->matrix.n; i++)
        put_text(arena, map, sc->matrix.items[i].key, sc->matrix.items[i].value);
    return map;
}

/* Config files of every cluster, by its system's table. */
static const struct tree *clusters_with_files(const struct suite *suite,
                                              const struct tree *clusters, struct arena *arena,
                                              struct err *err)
{
    struct tree *copy = tree_copy(arena, clusters);

    for (size_t i = 0; i < clusters->n; i++) {
        const struct tree *entry = clusters->items[i];
        const struct system_ops *system;

        if (entry->kind != TREE_MAP) {
            mark_err(err, &entry->mark, "cluster \"%s\": expected a map", clusters->keys[i]);
            return NULL;
        }
        system = system_of_entry(clusters->keys[i], entry, suite->clusters, err);
        entry =
            system ? config_files_merge(system->params, entry, suite->folder, arena, err) : NULL;
        if (!entry)
            return NULL;
        tree_put(arena, copy, clusters->keys[i], entry);
    }
    return copy;
}

/* Config files of clients, by the tables of the case's brokers. */
static const struct tree *clients_with_files(const struct suite *suite, const struct tree *clients,
                                             const struct tree *clusters, struct arena *arena,
                                             struct err *err)
{
    struct tree *copy;

    if (clients->kind != TREE_MAP)
        return clients; /* clients.c says what is wrong with it */
    copy = tree_copy(arena, clients);
    for (size_t i = 0; i < clients->n; i++) {
        const struct tree *entry = clients->items[i];

        for (size_t k = 0; k < clusters->n; k++) {
            const struct system_ops *system =
                system_of_entry(clusters->keys[k], clusters->items[k], suite->clusters, err);

            if (!system)
                return NULL;
            if (system->broker)
                entry =
                    config_files_merge(system->broker->params, entry, suite->folder, arena, err);
            if (!entry)
                return NULL;
        }
        tree_put(arena, copy, clients->keys[i], entry);
    }
    return copy;
}

/* `chaos:` of a case is a script of one step. */
static const struct tree *script_of(const struct tree *c, struct arena *arena, struct err *err)
{
    const struct tree *script = tree_get(c, "script");
    const struct tree *chaos = tree_get(c, "chaos");
    struct tree *list, *step;

    if (script && chaos) {
        mark_err(err, &chaos->mark, "a case has a script or chaos, not both");
        return NULL;
    }
    if (script || !chaos) {
        if (!script)
            mark_err(err, &c->mark, "the case has no script: add script: or chaos:");
        return script;
    }
    list = tree_list(arena, &chaos->mark);
    step = tree_map(arena, &chaos->mark);
    tree_put(arena, step, "chaos", chaos);
    tree_append(arena, list, step);
    return list;
}

static uint64_t seed_of_repeat(uint64_t seed, unsigned repeat)
{
    struct draw draw = draw_stream(seed, "repeat");

    return repeat == 0 ? seed : draw_u64(&draw, repeat);
}

static struct tree *head(const struct suite *suite, const struct suite_case *sc, uint64_t seed,
                         unsigned repeat, struct arena *arena)
{
    struct tree *tree = tree_map(arena, &sc->mark);
    const char *title = arena_printf(arena, "run/%s/%s", sc->name, sc->twin);
    struct draw run;

    for (size_t i = 0; i < sc->matrix.n; i++)
        title = arena_printf(arena, "%s/%s=%s", title, sc->matrix.items[i].key,
                             sc->matrix.items[i].value);
    run = draw_stream(seed, title);
    put_text(arena, tree, "assay_plan", "1");
    put_text(arena, tree, "suite", suite->file);
    put_text(arena, tree, "case", sc->name);
    put_text(arena, tree, "twin", sc->twin);
    put_text(arena, tree, "has_twins", sc->has_twins ? "true" : "false");
    tree_put(arena, tree, "matrix", matrix_tree(arena, sc));
    put_number(arena, tree, "seed", seed);
    put_number(arena, tree, "repeat", repeat);
    put_number(arena, tree, "run", draw_u64(&run, 0));
    return tree;
}

static void keep(struct arena *arena, struct tree *out, const struct tree *c, const char *key)
{
    const struct tree *value = tree_get(c, key);

    if (value)
        tree_put(arena, out, key, value);
}

const struct tree *expand_case(const struct suite *suite, const struct suite_case *sc,
                               uint64_t seed, unsigned repeat, struct arena *arena, struct err *err)
{
    static const char *const rest[] = {"applies", "drain", "promise",  "require",
                                       "expect",  "final", "deadline", NULL};
    const struct tree *clusters = tree_get(sc->tree, "clusters");
    const struct tree *clients = tree_get(sc->tree, "clients");
    const struct tree *script;
    struct tree *out;

    seed = seed_of_repeat(seed, repeat);
    out = head(suite, sc, seed, repeat, arena);
    clusters = clusters_with_files(suite, clusters, arena, err);
    if (!clusters)
        return NULL;
    if (clients)
        clients = clients_with_files(suite, clients, clusters, arena, err);
    if (!clients && tree_get(sc->tree, "clients"))
        return NULL;
    script = script_of(sc->tree, arena, err);
    script = script ? draw_script(script, sc->name, seed, arena, err) : NULL;
    if (!script)
        return NULL;
    keep(arena, out, sc->tree, "about");
    keep(arena, out, sc->tree, "cluster_names");
    tree_put(arena, out, "clusters", secrets_blotted(clusters, arena));
    keep(arena, out, sc->tree, "workload");
    if (clients)
        tree_put(arena, out, "clients", secrets_blotted(clients, arena));
    tree_put(arena, out, "script", script);
    for (const char *const *key = rest; *key; key++)
        keep(arena, out, sc->tree, *key);
    return out;
}
