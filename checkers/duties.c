/* Destinations of messages, names of things. */
#include "checkers/duties.h"

#include <stdio.h>
#include <stdlib.h>

uint32_t duties_log_of(const struct plan_case *plan, uint32_t dest)
{
    return dest < plan->n_dests && plan->dests[dest].group ? plan->dests[dest].of : dest;
}

bool duties_settled_is_done(const struct plan_case *plan, uint32_t dest)
{
    unsigned groups = 0;

    if (plan->dests[dest].kind != UNIT_STREAM)
        return duties_forgets(plan, dest);
    for (size_t i = 0; i < plan->n_dests; i++)
        groups += plan->dests[i].group && plan->dests[i].of == dest;
    return groups == 1;
}

void duties_open(struct unit_duties *d, const struct plan_case *plan)
{
    *d = (struct unit_duties){.n = plan->n_units};
    d->items = calloc(plan->n_units + 1, sizeof(*d->items));
    if (!d->items)
        abort();
    for (size_t u = 0; u < d->n; u++) {
        uint32_t dest = plan->units[u].dest;

        d->items[u] = u && plan->units[u - 1].dest == dest
                          ? d->items[u - 1]
                          : (struct unit_duty){dest, duties_forgets(plan, dest),
                                               duties_settled_is_done(plan, dest)};
    }
    d->items[d->n].dest = UINT32_MAX;
}

size_t duties_bound(const struct plan_case *plan)
{
    return (plan->n_units + 1) * sizeof(struct unit_duty);
}

void duties_release(struct unit_duties *d)
{
    free(d->items);
    *d = (struct unit_duties){0};
}

const char *duties_node_name(const struct plan_case *plan, uint16_t node)
{
    return node < plan->n_nodes ? plan->nodes[node].name : "an unknown node";
}

const char *duties_unit_name(const struct plan_case *plan, uint32_t unit)
{
    return unit < plan->n_units ? plan->units[unit].name : "?";
}

void message_name(const struct plan_case *plan, const struct msg_id *m, char *out, size_t size)
{
    const struct plan_client *c = plan_client_of_id(plan, m->client);
    unsigned instance = c ? (unsigned)(m->client - c->first_id) : m->client;

    if (!m->incarnation && !m->worker && !instance)
        snprintf(out, size, "%s/%llu", c ? c->name : "?", (unsigned long long)m->seq);
    else
        snprintf(out, size, "%s.%u.%u.%u/%llu", c ? c->name : "?", instance, m->incarnation,
                 m->worker, (unsigned long long)m->seq);
}
