/* The names a history carries so that it can be printed without its suite: see history/names.h. */
#include "api/workload.h"
#include "base/buf.h"
#include "plan/plan.h"

char *plan_case_names(const struct plan_case *c, size_t *n)
{
    struct buf out = {0};

    for (size_t i = 0; i < c->n_nodes; i++)
        buf_printf(&out, "node %u %s\n", c->nodes[i].id, c->nodes[i].name);
    for (size_t i = 0; i < c->n_units; i++)
        buf_printf(&out, "unit %zu %s\n", i, c->units[i].name);
    for (size_t i = 0; i < c->n_dests; i++)
        buf_printf(&out, "dest %zu %s\n", i, c->dests[i].name);
    for (size_t i = 0; i < c->n_clients; i++)
        for (unsigned k = 0; k < c->clients[i].instances; k++)
            buf_printf(&out, "client %u %s.%u\n", c->clients[i].first_id + k, c->clients[i].name,
                       k);
    for (size_t i = 0; i < c->n_bursts; i++)
        buf_printf(&out, "burst %zu %s\n", i + 1, c->bursts[i].name);
    for (size_t i = 0; i < c->n_clusters; i++)
        buf_printf(&out, "cluster %zu %s\n", i, c->clusters[i].alias);
    for (size_t i = 0; c->workload && c->workload->steps && c->workload->steps[i]; i++)
        buf_printf(&out, "step %zu %s\n", i, c->workload->steps[i]);
    *n = out.n;
    return buf_take(&out);
}
