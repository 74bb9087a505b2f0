/* The fate of messages that are not there. */
#include "checkers/fate.h"

#include "checkers/duties.h"

#include <stdlib.h>

void fate_open(struct fate *f, const struct plan_case *plan)
{
    expiry_open(&f->expiry, plan);
    f->node_down = calloc(plan->n_nodes + 1, sizeof(bool));
    if (!f->node_down)
        abort();
}

void fate_event(struct fate *f, const struct event *e)
{
    if (e->type == EV_NODE_STATE && e->node < f->expiry.plan->n_nodes)
        f->node_down[e->node] = e->code == NODE_DOWN || e->code == NODE_DEAD;
    else
        expiry_event(&f->expiry, e);
}

enum expiry fate_of(struct fate *f, const struct event *completion, uint32_t dest, uint32_t unit,
                    int64_t key, char *stage, size_t size)
{
    const struct event *e = completion;
    const struct plan_case *plan = f->expiry.plan;
    bool ok = event_outcome(e) == OUTCOME_OK;
    struct expiry_of m = {.message = {e->seq, e->client, e->incarnation, e->worker},
                          .acked = ok,
                          .dest = dest,
                          .unit = unit,
                          .position = duties_forgets(plan, dest) ? -1 : e->position,
                          .key = key};
    struct stage_facts facts = {.invoked = true,
                                .ok = ok,
                                .believed = !ok,
                                .kept_back = stage_kept_back(e),
                                .node_down = e->node < plan->n_nodes && f->node_down[e->node]};

    facts.expired = expiry_cause(&f->expiry, &m);
    stage_of(&facts, stage, size);
    return facts.expired;
}

size_t fate_bound(const struct plan_case *plan)
{
    return expiry_bound(plan) + plan->n_nodes + 1;
}

void fate_release(struct fate *f)
{
    expiry_release(&f->expiry);
    free(f->node_down);
    *f = (struct fate){0};
}
