/* Look-ups by name in a plan. */
#include "plan/plan.h"

#include "api/broker.h"

#include <string.h>

const struct plan_client *plan_client_named(const struct plan_case *c, const char *name)
{
    for (size_t i = 0; i < c->n_clients; i++)
        if (strcmp(c->clients[i].name, name) == 0)
            return &c->clients[i];
    return NULL;
}

const struct plan_client *plan_client_of_id(const struct plan_case *c, uint16_t id)
{
    for (size_t i = 0; i < c->n_clients; i++)
        if (id >= c->clients[i].first_id && id < c->clients[i].first_id + c->clients[i].instances)
            return &c->clients[i];
    return NULL;
}

const struct plan_cluster *plan_cluster_named(const struct plan_case *c, const char *alias)
{
    for (size_t i = 0; i < c->n_clusters; i++)
        if (strcmp(c->clusters[i].alias, alias) == 0)
            return &c->clusters[i];
    return NULL;
}

long plan_dest_named(const struct plan_case *c, const char *name)
{
    for (size_t i = 0; i < c->n_dests; i++)
        if (strcmp(c->dests[i].name, name) == 0)
            return (long)i;
    return -1;
}

long plan_client_reads(const struct plan_case *c, const struct plan_client *client)
{
    const char *sends_to = NULL, *reads = NULL, *group = NULL;

    if (!client->broker || !client->broker->names ||
        client->broker->names(client->broker_args, &sends_to, &reads, &group) < 0 || !reads)
        return -1;
    return plan_dest_named(c, reads);
}

bool plan_client_hands_over(const struct plan_client *client)
{
    return client->broker && client->broker->hands_over &&
           client->broker->hands_over(client->broker_args);
}

long plan_unit_named(const struct plan_case *c, const char *name)
{
    long dest;

    for (size_t i = 0; i < c->n_units; i++)
        if (strcmp(c->units[i].name, name) == 0)
            return (long)i;
    dest = plan_dest_named(c, name);
    return dest >= 0 && c->dests[dest].n_units == 1 ? (long)c->dests[dest].first_unit : -1;
}

long plan_node_named(const struct plan_case *c, const char *name)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        if (strcmp(c->nodes[i].name, name) == 0)
            return (long)i;
    return -1;
}

long plan_burst_named(const struct plan_case *c, const char *name)
{
    for (size_t i = 0; i < c->n_bursts; i++)
        if (strcmp(c->bursts[i].name, name) == 0)
            return (long)i + 1;
    return -1;
}

const char *plan_case_title(const struct plan_case *c)
{
    return c->title;
}
