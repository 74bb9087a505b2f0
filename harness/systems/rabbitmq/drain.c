/*
 * Quiesce, and the proof that what the audit took is all there is (JUDGING: "RabbitMQ
 * classic/quorum D1(q)"): all nodes agree on who runs, no partitions, every queue has its leader
 * and every member is online and level with it, nothing is checked out; then a marker where none
 * could push a real message out, the audit, and the queues' own counts: ready 0, unacknowledged =
 * the audit's own, no new leader in between. Otherwise the round is thrown away and made again.
 *
 * A queue that all nodes say they do not know is proven empty (a transient one after its node's
 * restart); a durable one whose home does not run, or a quorum queue without a leader, is down.
 *
 * D2: the audit found nothing but markers.
 */
#include "systems/rabbitmq/audit.h"
#include "systems/rabbitmq/view.h"

#include "history/history.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_NS (40 * MS_NS)
#define CALL_WITHIN_NS (5 * SECOND_NS)
/* How long a queue may take to find a leader among the survivors before it counts as down: Ra's
 * election timeouts are below a second, mirrors promote at once; net_ticktime is waited out. */
#define DOWN_AFTER_NS (12 * SECOND_NS)
#define TAKE_WAIT_NS (20 * MS_NS)

enum ready { READY_NOT_YET, READY_LEVEL, READY_GONE, READY_DOWN };

/* ---- level: one queue, one look */

static enum ready quorum_ready(const struct rabbit_view *view, size_t q, int leader,
                               uint32_t wanted, char *why, size_t size)
{
    const struct queue_view *truth = &view->nodes[leader].queues[q];

    for (unsigned i = 0; i < view->n_nodes; i++) {
        const struct queue_view *own = &view->nodes[i].queues[q];

        if (!(truth->members >> i & wanted >> i & 1) || own->applied == truth->applied)
            continue;
        snprintf(why, size, "member on n%u has %lld of %lld entries", i + 1,
                 (long long)own->applied, (long long)truth->applied);
        return READY_NOT_YET;
    }
    return READY_LEVEL;
}

static bool all_say(const struct rabbit_view *view, size_t q, uint32_t wanted, enum queue_kind kind)
{
    for (unsigned i = 0; i < view->n_nodes; i++)
        if ((wanted >> i & 1) && view->nodes[i].queues[q].kind != kind)
            return false;
    return wanted != 0;
}

static enum ready queue_ready(const struct rabbit_view *view, size_t q, uint32_t wanted, char *why,
                              size_t size)
{
    int leader = rabbit_leader(view, q);
    const struct queue_view *truth = leader >= 0 ? &view->nodes[leader].queues[q] : NULL;

    if (!truth) {
        if (all_say(view, q, wanted, QUEUE_GONE)) {
            snprintf(why, size, "every running node says there is no such queue");
            return READY_GONE;
        }
        snprintf(why, size, "%s",
                 all_say(view, q, wanted, QUEUE_ABSENT) ? "its home node does not run"
                                                        : "nobody leads it");
        return READY_DOWN;
    }
    if (truth->ready < 0) {
        snprintf(why, size, "its leader does not say what it holds");
        return READY_NOT_YET;
    }
    if (truth->kind != QUEUE_CLASSIC)
        return quorum_ready(view, q, leader, wanted, why, size);
    if ((truth->members & wanted) & ~truth->synced) {
        snprintf(why, size, "a mirror is not synchronised");
        return READY_NOT_YET;
    }
    return READY_LEVEL;
}

/* ---- quiesce */

int rabbit_quiesce(struct cluster *cluster, uint32_t dest, struct deadline deadline,
                   struct err *err)
{
    size_t q = 0;

    while (cluster->plan->units[rabbit_unit_of(cluster, q)].dest != dest)
        q++;
    for (;;) {
        struct rabbit_view view;
        char why[160] = "the nodes do not agree on who runs";
        uint32_t running;
        enum ready ready = READY_NOT_YET;

        if (rabbit_look(cluster, &view, deadline, err) < 0)
            return -1;
        running = rabbit_running(&view);
        if (rabbit_agrees(&view, running))
            ready = queue_ready(&view, q, running, why, sizeof(why));
        rabbit_view_release(&view);
        if (ready == READY_LEVEL)
            return 0;
        if (deadline_sleep(&deadline, LOOK_EVERY_NS) < 0)
            return err_set(err, "queue %s is not level: %s", rabbit_queue_name(cluster, q), why);
    }
}

/* ---- the drain */

struct drain {
    struct cluster *cluster;
    struct drain_proof *proofs; /* by unit */
    uint32_t wanted;            /* nodes that should run */
    struct drain_queue {
        enum ready ready;
        enum queue_kind kind;
        uint32_t term;
        int leader;
        bool may_mark, may_get;
        char why[160];
    } * queues;
    size_t n;
};

static uint32_t wanted_nodes(const struct cluster *cluster, const uint16_t *down, size_t n_down)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        bool is_down = false;

        for (size_t k = 0; k < n_down; k++)
            is_down |= down[k] == cluster->nodes[i].plan->id;
        bits |= (uint32_t)!is_down << i;
    }
    return bits;
}

/* Why the nodes that should run do not agree. */
static void say_disagreement(const struct drain *drain, const struct rabbit_view *view, char *why,
                             size_t size)
{
    for (unsigned i = 0; i < view->n_nodes; i++) {
        const struct node_view *node = &view->nodes[i];

        if (!(drain->wanted >> i & 1) ||
            (node->booted && node->running == drain->wanted && !node->partitioned))
            continue;
        snprintf(
            why, size, "%s %s", drain->cluster->nodes[i].plan->name,
            !node->booted ? "does not run"
            : node->partitioned
                ? "sees a network partition that cluster_partition_handling left to an operator"
                : "does not see the others as running");
        return;
    }
}

/* One look: fills every queue's state. True when nothing is left to wait for. */
static bool look_once(struct drain *drain, const struct rabbit_view *view, bool downs_count)
{
    bool agreed = rabbit_agrees(view, drain->wanted);
    bool settled = agreed;

    for (size_t q = 0; q < drain->n; q++) {
        struct drain_queue *queue = &drain->queues[q];

        queue->leader = rabbit_leader(view, q);
        queue->kind =
            queue->leader >= 0 ? view->nodes[queue->leader].queues[q].kind : QUEUE_UNKNOWN;
        queue->term = queue->leader >= 0 ? view->nodes[queue->leader].queues[q].term : 0;
        queue->ready = queue_ready(view, q, drain->wanted, queue->why, sizeof(queue->why));
        if (queue->ready == READY_LEVEL && view->nodes[queue->leader].queues[q].unacked != 0) {
            queue->ready = READY_NOT_YET;
            snprintf(queue->why, sizeof(queue->why), "%lld messages are still checked out",
                     (long long)view->nodes[queue->leader].queues[q].unacked);
        }
        if (!agreed) {
            queue->ready = READY_NOT_YET;
            say_disagreement(drain, view, queue->why, sizeof(queue->why));
        }
        settled &= queue->ready == READY_LEVEL || queue->ready == READY_GONE ||
                   (queue->ready == READY_DOWN && downs_count);
    }
    return settled;
}

static int wait_level(struct drain *drain, struct deadline deadline, struct err *err)
{
    struct deadline patience = deadline_within(deadline, DOWN_AFTER_NS);

    for (;;) {
        struct rabbit_view view;
        bool settled;

        if (rabbit_look(drain->cluster, &view, deadline, err) < 0)
            return -1;
        settled = look_once(drain, &view, deadline_passed(&patience));
        rabbit_view_release(&view);
        if (settled)
            return 0;
        if (deadline_sleep(&deadline, LOOK_EVERY_NS) < 0)
            return err_set(err, "the queues did not become level in time");
    }
}

/* No marker where it could push a real message out: a bound or an expiry by argument or policy (a
 * stream is cut by whole segments). No basic.get where the server has none: streams (540), and a
 * quorum queue with a single active consumer (405). */
static int ask_limits(struct drain *drain, unsigned node, struct deadline deadline, struct err *err)
{
    struct arena arena = {0};
    char answer[4096];
    const char *names = "";
    int result;

    for (size_t q = 0; q < drain->n; q++)
        names = arena_printf(&arena, "%s%s%s", names, q ? "," : "",
                             rabbit_binary(&arena, rabbit_queue_name(drain->cluster, q)));
    assert(2 * drain->n < sizeof(answer));
    result = rabbit_eval(
        drain->cluster, node,
        arena_printf(
            &arena,
            "L=fun(N)->{ok,A}=rabbit_amqqueue:lookup({resource,<<\"/\">>,queue,N}),A end,"
            "iolist_to_binary([[case catch "
            "[true||rabbit_stream_queue=/=amqqueue:get_type(L(N)),K<-["
            "<<\"max-length\">>,<<\"max-length-bytes\">>,"
            "<<\"message-ttl\">>,<<\"expires\">>],"
            "rabbit_queue_type_util:args_policy_lookup(K,fun(_,V)->V end,L(N))=/=undefined]"
            " of []->\"m\";_->\"-\" end,"
            "case catch {amqqueue:get_type(L(N)),lists:keyfind(<<\"x-single-active-consumer\">>,1,"
            "amqqueue:get_arguments(L(N)))} of {rabbit_quorum_queue,{_,_,true}}->\"-\";"
            "{rabbit_stream_queue,_}->\"-\";_->\"g\" end]"
            "||N<-[%s]]).",
            names),
        answer, sizeof(answer), deadline, err);
    arena_release(&arena);
    if (result < 0)
        return -1;
    for (size_t q = 0; q < drain->n && answer[2 * q]; q++) {
        drain->queues[q].may_mark = answer[2 * q] == 'm';
        drain->queues[q].may_get = answer[2 * q + 1] == 'g';
    }
    return 0;
}

/* All that the queues hold is in the audit's hands, by their own word. 1 yes, 0 not yet, -1 no
 * more. */
static int check_counts(struct drain *drain, const struct audit *audit, struct deadline deadline,
                        struct err *err)
{
    struct rabbit_view view;
    int result = 1;

    if (rabbit_look(drain->cluster, &view, deadline, err) < 0)
        return -1;
    for (unsigned i = 0; i < view.n_nodes; i++)
        if (view.nodes[i].silent)
            result = 0;
    if (result == 1 && !rabbit_agrees(&view, drain->wanted))
        result = err_set(err, "a node went away during the audit");
    for (size_t q = 0; q < drain->n && result == 1; q++) {
        const struct drain_queue *queue = &drain->queues[q];
        int leader = rabbit_leader(&view, q);
        const struct queue_view *truth = leader >= 0 ? &view.nodes[leader].queues[q] : NULL;

        if (queue->ready != READY_LEVEL)
            continue;
        if (!truth || truth->kind == QUEUE_UNKNOWN || leader != queue->leader)
            result = err_set(err, "queue %s has another leader than when the audit began",
                             rabbit_queue_name(drain->cluster, q));
        else if (truth->kind == QUEUE_STREAM)
            result = audit->queues[q].marker_seen; /* read to the marker, nothing is taken away */
        else if (truth->ready != 0 || truth->unacked != (int64_t)audit->queues[q].n)
            result = 0;
    }
    rabbit_view_release(&view);
    return result;
}

/* Queues that gave all that one consumer may hold. */
static int add_consumers(struct drain *drain, struct audit *audit, struct deadline deadline,
                         struct err *err)
{
    for (size_t q = 0; q < drain->n; q++)
        if (drain->queues[q].ready == READY_LEVEL && !audit->queues[q].is_stream &&
            audit->queues[q].n >= (size_t)audit->queues[q].consumers * UINT16_MAX &&
            audit_consume(audit, q, deadline, err) < 0)
            return -1;
    return 0;
}

static int take_all(struct drain *drain, struct audit *audit, struct deadline deadline,
                    struct err *err)
{
    for (;;) {
        long taken = audit_take(audit, TAKE_WAIT_NS, deadline, err);
        int all = taken < 0 ? -1 : check_counts(drain, audit, deadline, err);

        if (all != 0)
            return all < 0 ? -1 : 0;
        if (taken == 0 && add_consumers(drain, audit, deadline, err) < 0)
            return -1;
        if (deadline_passed(&deadline))
            return err_set(err, "the queues hold more than the audit was given");
    }
}

/* A memory or disk alarm blocks who publishes, an audit's marker too (rabbitmq.com/docs/alarms). */
static void blame_alarms(struct drain *drain, unsigned node, struct err *err)
{
    char alarms[300] = "";

    if (rabbit_eval(drain->cluster, node,
                    "iolist_to_binary(lists:join(\", \",[io_lib:format(\"~s alarm on ~s\",[R,N])"
                    "||{{resource_limit,R,N},_}<-rabbit_alarm:get_alarms()])).",
                    alarms, sizeof(alarms), deadline_in(CALL_WITHIN_NS, NULL), NULL) == 0 &&
        *alarms)
        err_prefix(err, "publishers are blocked, %s", alarms);
}

/* One round: markers, taking, the last positive answers. */
static int audit_round(struct drain *drain, struct audit *audit, struct deadline deadline,
                       struct err *err)
{
    struct deadline call = deadline_within(deadline, CALL_WITHIN_NS);

    for (size_t q = 0; q < drain->n; q++)
        audit->queues[q].is_stream = drain->queues[q].kind == QUEUE_STREAM;
    for (size_t q = 0; q < drain->n; q++)
        if (drain->queues[q].ready == READY_LEVEL && drain->queues[q].may_mark &&
            audit_marker(audit, q, call, err) < 0) {
            blame_alarms(drain, (unsigned)drain->queues[q].leader, err);
            return err_prefix(err, "queue %s", rabbit_queue_name(drain->cluster, q));
        }
    for (size_t q = 0; q < drain->n; q++)
        if (drain->queues[q].ready == READY_LEVEL && audit_consume(audit, q, call, err) < 0)
            return err_prefix(err, "queue %s", rabbit_queue_name(drain->cluster, q));
    if (take_all(drain, audit, deadline, err) < 0)
        return -1;
    for (size_t q = 0; q < drain->n; q++) {
        if (drain->queues[q].ready != READY_LEVEL)
            continue;
        if (drain->queues[q].may_get &&
            audit_is_empty(audit, q, deadline_within(deadline, CALL_WITHIN_NS), err) != 1)
            return err_prefix(err, "queue %s", rabbit_queue_name(drain->cluster, q));
        if (audit->queues[q].marked && !audit->queues[q].marker_seen)
            return err_set(err, "queue %s gave all it says it holds, but not the marker",
                           rabbit_queue_name(drain->cluster, q));
    }
    return 0;
}

static void prove(struct drain *drain, const struct audit *audit, size_t q)
{
    uint32_t unit = rabbit_unit_of(drain->cluster, q);
    const struct drain_queue *queue = &drain->queues[q];
    const struct audit_queue *taken = &audit->queues[q];
    struct drain_proof *proof = &drain->proofs[unit];
    size_t real = taken->n - taken->markers;

    *proof =
        (struct drain_proof){.unit = unit, .position = -1, .counted = -1, .epoch = queue->term};
    if (queue->ready == READY_DOWN) {
        proof->down = true;
        snprintf(proof->why, sizeof(proof->why), "%s", queue->why);
        return;
    }
    proof->proven = true;
    proof->level = real == 0 && !taken->is_stream ? DRAIN_D2 : DRAIN_D1;
    proof->counted = (int64_t)real;
    if (queue->ready == READY_GONE) {
        snprintf(proof->why, sizeof(proof->why), "%s", queue->why);
        return;
    }
    proof->position = taken->marked ? taken->marker_position : -1;
    if (taken->is_stream) {
        snprintf(proof->why, sizeof(proof->why),
                 "audit read %zu messages from the first on to the marker, all members level",
                 real);
        return;
    }
    snprintf(proof->why, sizeof(proof->why),
             "audit took %zu messages%s, then the queue itself said ready 0, unacknowledged %zu",
             real, taken->marked ? " and the marker" : " (no marker: the queue has a limit)",
             taken->n);
}

static int drain_round(struct drain *drain, struct history_writer *writer, struct deadline deadline,
                       struct err *err)
{
    struct audit audit = {0};
    unsigned node = (unsigned)__builtin_ctz(drain->wanted);
    int result = -1;

    if (wait_level(drain, deadline, err) < 0 || ask_limits(drain, node, deadline, err) < 0)
        return -1;
    if (audit_open(&audit, drain->cluster, drain->cluster->nodes[node].plan->address,
                   deadline_within(deadline, CALL_WITHIN_NS), err) == 0)
        result = audit_round(drain, &audit, deadline, err);
    for (size_t q = 0; q < drain->n && result == 0; q++) {
        prove(drain, &audit, q);
        audit_record(&audit, q, writer);
    }
    audit_close(&audit);
    return result;
}

int rabbit_drain(struct cluster *cluster, struct history_writer *audit, struct drain_proof *proofs,
                 const uint16_t *down_nodes, size_t n_down, struct deadline deadline,
                 struct err *err)
{
    struct drain drain = {.cluster = cluster,
                          .proofs = proofs,
                          .wanted = wanted_nodes(cluster, down_nodes, n_down),
                          .n = rabbit_queues(cluster)};
    int result;

    if (drain.n == 0)
        return 0;
    if (drain.wanted == 0)
        return err_set(err, "no node is left to ask");
    drain.queues = calloc(drain.n, sizeof(*drain.queues));
    if (!drain.queues)
        return err_set(err, "out of memory");
    do
        result = drain_round(&drain, audit, deadline, err);
    while (result < 0 && deadline_sleep(&deadline, LOOK_EVERY_NS) == 0);
    if (result == 0)
        rabbit_drops_end(cluster, audit, deadline);
    for (size_t q = 0; q < drain.n && result < 0; q++)
        snprintf(proofs[rabbit_unit_of(cluster, q)].why, sizeof(proofs->why), "%.80s%s%.110s",
                 drain.queues[q].why, drain.queues[q].why[0] ? "; " : "", err->text);
    free(drain.queues);
    return result;
}
