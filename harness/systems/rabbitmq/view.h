/*
 * One look at a cluster: every node is asked the same question at once, over the Erlang
 * distribution, and answers only of itself and its own processes, so that nothing a node says is
 * another's stale copy. Counts come from the queue itself, never from metrics (FACTS: counts that
 * lie).
 *
 *     struct rabbit_view view;
 *     rabbit_look(cluster, &view, deadline, err);
 *     leader = rabbit_leader(&view, q);                     // by the members' majority; -1 none
 *     rabbit_view_release(&view);
 *
 * Queues are numbered in the order of the plan's units of this cluster (rabbit_unit_of).
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_VIEW_H
#define ASSAY_SYSTEMS_RABBITMQ_VIEW_H

#include "systems/rabbitmq/dist.h"
#include "systems/rabbitmq/rabbitmq.h"

/* Messages a node's queues dropped by their own rules: by type of queue, by rule (expiry.c). */
enum { DROP_TYPES = 2, DROP_RULES = 3 };
struct drops {
    int64_t n[DROP_TYPES][DROP_RULES];
};

/* cluster->state */
struct rabbit_state {
    struct rabbit_link {
        struct dist *dist;
        int64_t retry_ns; /* not before */
        int64_t heard_ns; /* last answer; 0 never */
        int code;         /* errno of the last failure */
    } links[RABBIT_NODES_MAX];
    const struct plan_case *plan; /* of `question` */
    char *question;
    struct drops drops[RABBIT_NODES_MAX]; /* when the case began */
};

enum queue_kind {
    QUEUE_UNKNOWN, /* the node did not say */
    QUEUE_GONE,    /* the node knows no such queue */
    QUEUE_ABSENT,  /* durable, but its home is down */
    QUEUE_CLASSIC,
    QUEUE_QUORUM,
    QUEUE_STREAM,
};

struct queue_view { /* of one queue by one node */
    enum queue_kind kind;
    bool leads;               /* by its own word; classic: the queue's process runs here */
    int leader;               /* whom it takes for the leader; -1 nobody */
    uint32_t term;            /* quorum: of its last applied entry; stream: epoch */
    int64_t applied;          /* quorum: index of its last applied entry; stream: messages in this
                                 member's log; -1 unknown */
    int64_t ready, unacked;   /* -1: not for this node to say */
    uint32_t members, synced; /* bit per node; classic: mirrors, and those that are synchronised */
};

struct node_view {
    bool answered, booted;
    bool silent; /* reachable a moment ago, no answer and no refusal: slow, paused or cut off */
    uint32_t running, partitioned; /* bit per node, by its word */
    struct queue_view *queues;
};

struct rabbit_view {
    unsigned n_nodes;
    size_t n_queues;
    struct node_view nodes[RABBIT_NODES_MAX];
};

/* Units of this cluster, and the unit of queue number q. */
size_t rabbit_queues(const struct cluster *cluster);
uint32_t rabbit_unit_of(const struct cluster *cluster, size_t q);
const char *rabbit_queue_name(const struct cluster *cluster, size_t q);
/* Its number, those of definitions.json too; -1: no such queue. */
long rabbit_queue_place(const struct cluster *cluster, const char *name);

/* Nodes that do not answer are marked so: no error. One that was heard of gets a second, so that a
 * busy one is not taken for a dead one. -1: out of memory. */
int rabbit_look(struct cluster *cluster, struct rabbit_view *view, struct deadline deadline,
                struct err *err);
void rabbit_view_release(struct rabbit_view *view);

/* Leader of queue q: it says so itself and most members agree; classic: its process's node. -1:
 * none. */
int rabbit_leader(const struct rabbit_view *view, size_t q);
/* Nodes that are up by their own word and run by the word of most that answered. */
uint32_t rabbit_running(const struct rabbit_view *view);
/* Of a queue that nobody leads in this look. A node that did not answer counts as one that does not
 * run: QUEUE_LOST is a guess until it was seen for a while. */
enum queue_prospect {
    QUEUE_LOST,
    QUEUE_ELECTS,      /* most of its members run */
    QUEUE_MAY_PROMOTE, /* a mirror runs; one that lacks messages leads if its policy lets it */
};
enum queue_prospect rabbit_prospect(const struct rabbit_view *view, size_t q);
/* All of `wanted` are up, see exactly each other, and nobody sees a partition. */
bool rabbit_agrees(const struct rabbit_view *view, uint32_t wanted);

/* Ends the connections of looks: an idle one would be missed by its node after net_ticktime. */
void rabbit_hang_up(struct cluster *cluster);

/* One question to one node of the cluster, over the connection that looks use. */
int rabbit_eval(struct cluster *cluster, unsigned node, const char *expression, char *out,
                size_t size, struct deadline deadline, struct err *err);
/* `text` as an Erlang binary, <<"…">>. From the arena. */
const char *rabbit_binary(struct arena *arena, const char *text);
void rabbit_release(struct cluster *cluster);

/* expiry.c: what was dropped between the two is told as EV_EXPIRED. */
void rabbit_drops_begin(struct cluster *cluster, struct deadline deadline);
void rabbit_drops_end(struct cluster *cluster, struct history_writer *writer,
                      struct deadline deadline);

#endif
