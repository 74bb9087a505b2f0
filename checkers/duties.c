/* Destinations of messages, names of things. */
#include "checkers/duties.h"

#include <stdio.h>

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
