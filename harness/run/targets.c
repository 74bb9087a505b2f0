/*
 * Whom a fault hits: roles, $names, nodes, clients, clusters and lists of them, resolved at the
 * moment it fires. `one(x)` is drawn by the seed, `each(x)` is all.
 */
#include "run/run.h"

#include "base/draw.h"

#include <stdlib.h>
#include <string.h>

static void add(struct fault_targets *out, struct fault_target target)
{
    for (size_t i = 0; i < out->n; i++)
        if (strcmp(out->items[i].address, target.address) == 0)
            return;
    if (out->n < FAULT_TARGETS_MAX)
        out->items[out->n++] = target;
}

static void add_node(struct run *run, struct fault_targets *out, uint16_t id)
{
    struct node *node = run_node(run, id);

    add(out, (struct fault_target){.node = node,
                                   .id = id,
                                   .name = node->plan->name,
                                   .address = node->plan->address,
                                   .system = run_slot_of(run, id)->cluster.ops});
}

static void add_instance(struct fault_targets *out, struct instance *instance)
{
    add(out, (struct fault_target){.child = instance->child,
                                   .id = instance->id,
                                   .name = instance->name,
                                   .address = instance->address});
}

/* A client by name, or a cluster by its alias; false: neither. */
static bool add_named(struct run *run, const char *name, struct fault_targets *out)
{
    size_t n = 0;
    struct instance *instances = fleet_named(run, name, &n);
    const struct plan_cluster *cluster = plan_cluster_named(run->plan, name);

    for (size_t i = 0; i < n; i++)
        add_instance(out, &instances[i]);
    if (instances)
        return true;
    for (unsigned i = 0; cluster && i < cluster->n_nodes; i++)
        add_node(run, out, (uint16_t)(cluster->first_node + i));
    return cluster != NULL;
}

/* Only what can be hit: a draw among running instances, not the dead. */
static void keep_one(struct run *run, const struct expr *e, struct fault_targets *all)
{
    struct draw draw = draw_stream(run->plan->seed, e->text);
    size_t alive = 0;

    for (size_t i = 0; i < all->n; i++) {
        const struct fault_target *t = &all->items[i];

        if (t->node ? atomic_load(&t->node->phase) == PHASE_UP
                    : t->child && !run->instances[t->id].reported_dead)
            all->items[alive++] = *t;
    }
    if (alive == 0)
        alive = all->n;
    if (alive > 0) {
        all->items[0] = all->items[draw_below(&draw, run->repetition, alive)];
        all->n = 1;
    }
}

static int resolve(struct run *run, const struct expr *e, struct fault_targets *out,
                   struct err *err)
{
    struct value value;

    if (e->kind == EXPR_LIST) {
        for (size_t i = 0; i < e->n; i++)
            if (resolve(run, e->args[i], out, err) < 0)
                return -1;
        return 0;
    }
    if (e->kind == EXPR_CALL && e->n == 1 &&
        (strcmp(e->name, "one") == 0 || strcmp(e->name, "each") == 0)) {
        struct fault_targets all = {.n = 0};

        if (resolve(run, e->args[0], &all, err) < 0)
            return -1;
        if (e->name[0] == 'o')
            keep_one(run, e, &all);
        for (size_t i = 0; i < all.n; i++)
            add(out, all.items[i]);
        return 0;
    }
    if (e->kind == EXPR_WORD && add_named(run, e->name, out))
        return 0;
    if (run_eval_fresh(run, e, clock_now_ns(), deadline_within(run->deadline, 10 * SECOND_NS),
                       &value, err) < 0)
        return -1;
    if (value.kind != VALUE_NODES)
        return err_set(err, "%s is neither a node nor a client", e->text);
    for (size_t i = 0; i < value.n; i++)
        add_node(run, out, value.nodes[i]);
    return 0;
}

int run_targets(struct run *run, const struct expr *e, struct fault_targets *out, struct err *err)
{
    out->n = 0;
    if (resolve(run, e, out, err) < 0)
        return -1;
    return out->n > 0 ? 0 : err_set(err, "%s is nobody right now", e->text);
}

void describe_targets(const struct fault_targets *targets, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < targets->n && used + 1 < size; i++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "", targets->items[i].name);
}
