/* Counts what a promise was put to. The definitions stand in hazards.h. */
#include "checkers/hazards.h"

#include "api/role.h"
#include "api/system.h"

#include <stdlib.h>
#include <string.h>

void hazards_open(struct hazards *h, const struct plan_case *plan)
{
    *h = (struct hazards){.plan = plan};
    h->units = calloc(plan->n_units + 1, sizeof(*h->units));
    h->takeover_ns = calloc(plan->n_dests + 1, sizeof(*h->takeover_ns));
    if (!h->units || !h->takeover_ns)
        abort();
    for (size_t i = 0; i < plan->n_units; i++)
        h->units[i] =
            (struct hazard_unit){.leader = NO_NODE, .dead = NO_NODE, .last_dead = NO_NODE};
}

static unsigned cluster_of(const struct hazards *h, uint32_t unit)
{
    return h->plan->dests[h->plan->units[unit].dest].cluster;
}

static void came_back(struct hazards *h, struct hazard_unit *unit)
{
    h->restart += unit->at_death;
    unit->dead = NO_NODE;
    unit->at_death = 0;
}

static void leads(struct hazards *h, uint32_t number, uint16_t node, int64_t at_ns)
{
    struct hazard_unit *unit = &h->units[number];

    if (unit->leader != NO_NODE && unit->leader != node) {
        h->takeover_ns[h->plan->units[number].dest] = at_ns;
        unit->dead = NO_NODE;
        unit->at_death = 0;
    } else if (unit->dead == node) {
        came_back(h, unit);
    }
    unit->leader = node;
}

static void role(struct hazards *h, const struct event *e)
{
    if (e->code != ROLE_LEADER || e->ref != NO_NODE || !(e->flags & EV_GAINED) ||
        e->node >= h->plan->n_nodes)
        return;
    if (e->unit < h->plan->n_units) {
        leads(h, e->unit, e->node, e->at_ns);
        return;
    }
    for (uint32_t u = 0; u < h->plan->n_units; u++) /* a primary leads all of its cluster */
        if (cluster_of(h, u) == h->plan->nodes[e->node].cluster)
            leads(h, u, e->node, e->at_ns);
}

/* The only node of a cluster serves all of it, whether or not somebody watches its role. */
static bool serves(const struct hazards *h, uint32_t unit, uint16_t node)
{
    unsigned cluster = cluster_of(h, unit);

    if (h->plan->nodes[node].cluster != cluster)
        return false;
    return h->units[unit].leader == node ||
           (h->units[unit].leader == NO_NODE && h->plan->clusters[cluster].n_nodes == 1);
}

static void node_state(struct hazards *h, const struct event *e)
{
    if (e->node >= h->plan->n_nodes)
        return;
    for (uint32_t u = 0; u < h->plan->n_units; u++) {
        struct hazard_unit *unit = &h->units[u];

        if (!serves(h, u, e->node))
            continue;
        if ((e->code == NODE_DEAD || e->code == NODE_DOWN) && unit->dead != e->node) {
            unit->dead = e->node;
            unit->at_death = unit->present > 0 ? unit->present : 0;
            unit->last_dead = unit->dead;
            unit->at_last_death = unit->at_death;
        } else if (e->code == NODE_UP && unit->dead == e->node) {
            came_back(h, unit);
        }
    }
}

static void wiped(struct hazards *h, uint16_t node)
{
    for (uint32_t u = 0; u < h->plan->n_units; u++)
        if (h->units[u].last_dead == node) {
            h->wiped += h->units[u].at_last_death;
            h->units[u].last_dead = NO_NODE;
        }
}

static bool is_log(const struct hazards *h, uint32_t unit)
{
    return unit < h->plan->n_units && h->plan->dests[h->plan->units[unit].dest].kind == UNIT_LOG;
}

void hazards_event(struct hazards *h, const struct event *e)
{
    windows_event(&h->windows, e);
    if (e->type == EV_ROLE)
        role(h, e);
    else if (e->type == EV_NODE_STATE)
        node_state(h, e);
    else if (e->type == EV_HAZARD && e->code == HAZARD_OUTSTANDING)
        h->outstanding += e->value;
    else if (e->type == EV_HAZARD && e->code == HAZARD_WIPED)
        wiped(h, e->node);
    else if (e->type == EV_HAZARD && e->code == HAZARD_UNSETTLED && is_log(h, e->unit))
        h->unsettled_log += e->value;
    else if (e->type == EV_HAZARD)
        h->told += e->value;
}

/* What the system's own outcome table calls this code. */
static const char *code_name(const struct plan_case *plan, uint16_t client, int code)
{
    const struct plan_client *c = plan_client_of_id(plan, client);
    const struct system_ops *system =
        c && c->cluster < plan->n_clusters ? plan->clusters[c->cluster].system : NULL;
    const struct outcome_rule *rule = system ? system->outcomes : NULL;

    for (; rule && rule->name; rule++)
        if (rule->code == code)
            return rule->name;
    return "";
}

void hazards_refused(struct hazards *h, const struct event *e)
{
    if (strstr(code_name(h->plan, e->client, e->code), "return"))
        h->unroutable++;
    else if (!windows_around(&h->windows, e->at_ns))
        h->limit++;
}

void hazards_absent(struct hazards *h, uint32_t dest, int64_t at_ns)
{
    const struct fault_window *w = windows_around(&h->windows, at_ns);

    if (w && h->takeover_ns[dest] >= w->effective_ns)
        h->takeover++;
}

int64_t hazards_total(const struct hazards *h)
{
    return h->takeover + h->restart + h->wiped + h->limit + h->unroutable + h->outstanding +
           h->told;
}

void hazards_release(struct hazards *h)
{
    free(h->units);
    free(h->takeover_ns);
    windows_release(&h->windows);
    *h = (struct hazards){0};
}
