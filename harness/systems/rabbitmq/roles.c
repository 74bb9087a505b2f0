/*
 * Roles for watchers: who leads which queue, who says so himself, who runs, and the counts that the
 * queues themselves give.
 *
 * leader(q) of a quorum queue: it claims so and most of its members name it. A cut-off old leader
 * keeps its claim (claims_leader) and loses the votes. Of a classic queue: the node where the
 * queue's process runs; when two sides of a partition run one each, both claim and the one that
 * sees more of the cluster leads.
 */
#include "systems/rabbitmq/view.h"

static void add_fact(struct role_table *table, const struct cluster *cluster, uint32_t unit,
                     unsigned node, unsigned kind, bool own_word, uint32_t term, int64_t now_ns)
{
    uint16_t id = cluster->nodes[node].plan->id;

    role_table_fact(table, (struct role_fact){.unit = unit,
                                              .node = id,
                                              .source = own_word ? id : NO_NODE,
                                              .kind = (uint16_t)kind,
                                              .epoch = term,
                                              .seen_ns = now_ns});
}

static void queue_roles(struct role_table *table, const struct cluster *cluster,
                        const struct rabbit_view *view, size_t q, uint32_t running, int64_t now_ns)
{
    uint32_t unit = rabbit_unit_of(cluster, q);
    int leader = rabbit_leader(view, q);
    const struct queue_view *truth = leader >= 0 ? &view->nodes[leader].queues[q] : NULL;

    for (unsigned i = 0; i < view->n_nodes; i++) {
        const struct queue_view *own = &view->nodes[i].queues[q];
        bool member = truth && (truth->members >> i & 1);

        if (own->leads)
            add_fact(table, cluster, unit, i, ROLE_CLAIMS_LEADER, true, own->term, now_ns);
        if ((int)i == leader)
            add_fact(table, cluster, unit, i, ROLE_LEADER, false, truth->term, now_ns);
        else if (member)
            add_fact(table, cluster, unit, i, ROLE_FOLLOWER, false, truth->term, now_ns);
        if (member && (running >> i & 1) &&
            (truth->kind != QUEUE_CLASSIC ? own->applied >= 0 : (truth->synced >> i & 1)))
            add_fact(table, cluster, unit, i, ROLE_IN_SYNC, false, truth->term, now_ns);
    }
    if (truth && truth->ready >= 0) {
        role_table_gauge(table, (struct gauge){unit, GAUGE_READY, truth->ready, now_ns});
        role_table_gauge(table, (struct gauge){unit, GAUGE_UNACKED, truth->unacked, now_ns});
    }
}

int rabbit_observe(struct cluster *cluster, struct role_table *table, struct deadline deadline,
                   struct err *err)
{
    struct rabbit_view view;
    int64_t now_ns;
    uint32_t running;

    if (rabbit_look(cluster, &view, deadline, err) < 0)
        return -1;
    for (unsigned i = 0; i < view.n_nodes; i++)
        if (view.nodes[i].silent) { /* it may just be slow: no complete look */
            rabbit_view_release(&view);
            return err_set(err, "node %s: no answer in time", cluster->nodes[i].plan->name);
        }
    now_ns = clock_now_ns();
    running = rabbit_running(&view);
    for (unsigned i = 0; i < view.n_nodes; i++)
        if (running >> i & 1)
            add_fact(table, cluster, NO_UNIT, i, ROLE_REGISTERED, false, 0, now_ns);
    for (size_t q = 0; q < view.n_queues; q++)
        queue_roles(table, cluster, &view, q, running, now_ns);
    rabbit_view_release(&view);
    return 0;
}
