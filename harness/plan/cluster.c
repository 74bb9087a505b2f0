/*
 * Clusters of a case: their system, config, nodes with addresses, destinations and units.
 */
#include "plan/build.h"

#include "api/broker.h"
#include "api/registry.h"
#include "api/system.h"
#include "suite/nearest.h"
#include "suite/params.h"
#include "suite/tree.h"

#include <string.h>

#define CLUSTERS_MAX 16
#define NODES_MAX 64
#define UNITS_MAX 20000
#define DESTS_MAX 1000

const struct system_ops *system_of_entry(const char *alias, const struct tree *entry,
                                         const struct tree *others, struct err *err)
{
    const struct system_ops *found = NULL;
    struct nearest near = nearest_to(entry->n ? entry->keys[0] : alias);

    for (size_t i = 0; others && i < others->n; i++)
        nearest_offer(&near, others->keys[i]);
    for (size_t i = 0; all_systems[i]; i++) {
        nearest_offer(&near, all_systems[i]->name);
        if (tree_find(entry, all_systems[i]->name) < 0)
            continue;
        if (found) {
            mark_err(err, &entry->mark, "cluster \"%s\" is %s and %s: one of them", alias,
                     found->name, all_systems[i]->name);
            return NULL;
        }
        found = all_systems[i];
    }
    if (!found)
        mark_err(err, entry->n ? &entry->marks[0] : &entry->mark,
                 "cluster \"%s\": \"%s\" is no cluster of the suite and no system%s", alias,
                 entry->n ? entry->keys[0] : "", nearest_hint(&near));
    return found;
}

/* ---- what describe() tells */

struct told {
    struct build *b;
    unsigned cluster;
    bool full;
};

static bool node_name_taken(const struct plan_case *c, const char *name)
{
    return plan_node_named(c, name) >= 0;
}

static void take_node(void *context, const char *name, const char *kind)
{
    struct told *told = context;
    struct plan_case *c = told->b->c;
    struct plan_cluster *cluster = &c->clusters[told->cluster];
    struct plan_node *node;

    if (c->n_nodes == NODES_MAX) {
        told->full = true;
        return;
    }
    name = node_name_taken(c, name) ? arena_printf(told->b->arena, "%s.%s", cluster->alias, name)
                                    : arena_strdup(told->b->arena, name);
    node = &c->nodes[c->n_nodes];
    *node = (struct plan_node){.id = (uint16_t)c->n_nodes,
                               .name = name,
                               .kind = arena_strdup(told->b->arena, kind),
                               .cluster = told->cluster,
                               .index = cluster->n_nodes};
    snprintf(node->address, sizeof(node->address), "10.77.%u.%u", (told->cluster + 1) & 0xff,
             (node->index + 1) & 0xff);
    c->n_nodes++;
    cluster->n_nodes++;
}

long add_dest(struct build *b, unsigned cluster, const char *name, int unit_kind, unsigned units)
{
    struct plan_case *c = b->c;
    struct plan_dest *dest;
    bool numbered = unit_kind == UNIT_LOG || units != 1;

    if (c->n_dests >= DESTS_MAX || units > UNITS_MAX - c->n_units)
        return -1;
    c->dests = array_grown(b->arena, c->dests, c->n_dests, sizeof(*c->dests));
    dest = &c->dests[c->n_dests];
    *dest = (struct plan_dest){.name = arena_strdup(b->arena, name),
                               .cluster = cluster,
                               .kind = (enum unit_kind)unit_kind,
                               .first_unit = (uint32_t)c->n_units,
                               .n_units = units};
    for (uint32_t i = 0; i < units; i++) {
        c->units = array_grown(b->arena, c->units, c->n_units, sizeof(*c->units));
        c->units[c->n_units++] = (struct plan_unit){
            .name = numbered ? arena_printf(b->arena, "%s/%u", dest->name, i) : dest->name,
            .dest = (uint32_t)c->n_dests,
            .index = i};
    }
    return (long)c->n_dests++;
}

static void take_dest(void *context, const char *name, int unit_kind, unsigned units)
{
    struct told *told = context;

    if (add_dest(told->b, told->cluster, name, unit_kind, units) < 0)
        told->full = true;
}

static int describe(struct build *b, unsigned index)
{
    struct plan_cluster *cluster = &b->c->clusters[index];
    struct told told = {.b = b, .cluster = index};
    const struct layout_sink sink = {.context = &told, .node = take_node, .dest = take_dest};

    cluster->first_node = (unsigned)b->c->n_nodes;
    if (cluster->system->describe && cluster->system->describe(cluster->config, &sink, b->err) < 0)
        return place_err(b->err, &cluster->tree->mark);
    if (told.full)
        return mark_err(b->err, &cluster->tree->mark,
                        "cluster \"%s\": more than %d nodes, %d destinations or %d units",
                        cluster->alias, NODES_MAX, DESTS_MAX, UNITS_MAX);
    return 0;
}

static int build_cluster(struct build *b, unsigned index, const char *alias,
                         const struct tree *entry, const char *name)
{
    struct plan_cluster *cluster = &b->c->clusters[index];
    const struct system_ops *system = system_of_entry(alias, entry, NULL, b->err);
    void *config;

    if (!system)
        return -1;
    config = arena_alloc(b->arena, system->config_size + 1);
    *cluster = (struct plan_cluster){
        .alias = alias, .name = name, .system = system, .config = config, .tree = entry};
    if (param_fill(system->params, entry, config, b->arena, b->err) < 0)
        return -1;
    if (check_refused(b, system, entry) < 0)
        return -1;
    b->c->n_clusters = index + 1;
    return describe(b, index);
}

int build_clusters(struct build *b)
{
    const struct tree *clusters = tree_get(b->tree, "clusters");
    const struct tree *names = tree_get(b->tree, "cluster_names");
    struct plan_case *c = b->c;

    if (!clusters || clusters->kind != TREE_MAP)
        return mark_err(b->err, &b->tree->mark, "the case has no clusters");
    if (clusters->n > CLUSTERS_MAX)
        return mark_err(b->err, &clusters->mark, "more than %d clusters in a case", CLUSTERS_MAX);
    c->clusters = arena_alloc(b->arena, (clusters->n + 1) * sizeof(*c->clusters));
    c->nodes = arena_alloc(b->arena, NODES_MAX * sizeof(*c->nodes));
    for (size_t i = 0; i < clusters->n; i++) {
        const char *alias = clusters->keys[i];

        if (clusters->items[i]->kind != TREE_MAP)
            return mark_err(b->err, &clusters->items[i]->mark, "cluster \"%s\": expected a map",
                            alias);
        if (build_cluster(b, (unsigned)i, alias, clusters->items[i],
                          tree_text(names, alias, alias)) < 0)
            return -1;
    }
    return 0;
}
