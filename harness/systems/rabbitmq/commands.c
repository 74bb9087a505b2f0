/* Script verbs of RabbitMQ only: `transfer_leader: {queue: orders, to: …}`, `forget_node: $old`. */
#include "systems/rabbitmq/transfer.h"
#include "systems/rabbitmq/view.h"

#include <stdio.h>
#include <string.h>

struct transfer_args {
    const char *queue;
    struct expr *to;
};

int rabbit_transfer(struct cluster *cluster, const char *queue, unsigned node,
                    struct deadline deadline, struct err *err)
{
    struct arena arena = {0};
    char answer[500];
    int result = rabbit_eval(
        cluster, node,
        arena_printf(
            &arena,
            "{ok,A}=rabbit_amqqueue:lookup({resource,<<\"/\">>,queue,%s}),"
            "{N,_}=amqqueue:get_pid(A),{ok,_,L}=ra:members({N,node()}),"
            "iolist_to_binary(io_lib:format(\"~0p\",[ra:transfer_leadership(L,{N,node()})])).",
            rabbit_binary(&arena, queue)),
        answer, sizeof(answer), deadline, err);

    arena_release(&arena);
    if (result < 0)
        return err_prefix(err, "leader of %s", queue);
    if (strcmp(answer, "ok") != 0 && strcmp(answer, "already_leader") != 0)
        return err_set(err, "leader of %s: %s", queue, answer);
    return 0;
}

#define ARG(member) offsetof(struct transfer_args, member)
static const struct param transfer_params[] = {
    {"to", PARAM_EXPR, ARG(to), .required = true, .help = "the node that shall lead"},
    {"queue", PARAM_STRING, ARG(queue), .required = true, .help = "a quorum queue"},
    {0}};

static int run_transfer(struct cluster *cluster, const void *self, uint16_t target,
                        struct deadline deadline, struct err *err)
{
    const struct transfer_args *args = self;

    for (unsigned i = 0; i < cluster->spec->n_nodes; i++)
        if (cluster->nodes[i].plan->id == target)
            return rabbit_transfer(cluster, args->queue, i, deadline, err);
    return err_set(err, "transfer_leader: no such node in this cluster");
}

/* ---- rabbitmqctl forget_cluster_node, and what it does for quorum queues */

struct forget_args {
    struct expr *node;
};

static const struct param forget_params[] = {{"node", PARAM_EXPR,
                                              offsetof(struct forget_args, node), .required = true,
                                              .help = "the node that is gone for good"},
                                             {0}};

static int run_forget(struct cluster *cluster, const void *self, uint16_t target,
                      struct deadline deadline, struct err *err)
{
    unsigned gone = 0, n = cluster->spec->n_nodes;
    char question[400], answer[400];

    (void)self;
    while (gone < n && cluster->nodes[gone].plan->id != target)
        gone++;
    if (gone == n)
        return err_set(err, "forget_node: no such node in this cluster");
    snprintf(question, sizeof(question),
             "N=list_to_atom(\"rabbit@n%u\"),iolist_to_binary(io_lib:format(\"~0p\",["
             "case rabbit_mnesia:forget_cluster_node(N,false) of ok->rabbit_quorum_queue:"
             "shrink_all(N),ok;E->E end])).",
             gone + 1);
    for (unsigned i = 0; i < n; i++) {
        if (i == gone || rabbit_eval(cluster, i, question, answer, sizeof(answer),
                                     deadline_within(deadline, 20 * SECOND_NS), err) < 0)
            continue;
        return strcmp(answer, "ok") == 0
                   ? 0
                   : err_set(err, "forget_node %s: %s", cluster->nodes[gone].plan->name, answer);
    }
    return err_prefix(err, "forget_node: nobody is left to do it");
}

/* ---- rabbitmqctl clear_parameter: a shovel stops */

struct clear_args {
    struct expr *node;
    const char *component, *name;
};

#define CLEAR(member) offsetof(struct clear_args, member)
static const struct param clear_params[] = {
    {"node", PARAM_EXPR, CLEAR(node),
     .help = "a node of its cluster; by default the first cluster of this system"},
    {"component", PARAM_STRING, CLEAR(component), .required = true, .help = "shovel …"},
    {"name", PARAM_STRING, CLEAR(name), .required = true, .help = "of the parameter"},
    {0}};

static int run_clear(struct cluster *cluster, const void *self, uint16_t target,
                     struct deadline deadline, struct err *err)
{
    const struct clear_args *args = self;
    struct arena arena = {0};
    char answer[400];
    unsigned node = 0;
    int result;

    while (node + 1 < cluster->spec->n_nodes && cluster->nodes[node].plan->id != target)
        node++;
    result = rabbit_eval(cluster, target == NO_NODE ? 0 : node,
                         arena_printf(&arena,
                                      "iolist_to_binary(io_lib:format(\"~0p\",["
                                      "rabbit_runtime_parameters:clear(<<\"/\">>,%s,%s,"
                                      "<<\"assay\">>)])).",
                                      rabbit_binary(&arena, args->component),
                                      rabbit_binary(&arena, args->name)),
                         answer, sizeof(answer), deadline, err);
    arena_release(&arena);
    if (result < 0)
        return err_prefix(err, "clear_parameter");
    return strcmp(answer, "ok") == 0 ? 0 : err_set(err, "clear_parameter: %s", answer);
}

/* ---- the memory alarm (rabbitmqctl set_vm_memory_high_watermark) */

#define ALARM_EVERY_NS (20 * MS_NS)

int rabbit_squeeze(struct cluster *cluster, struct node *node, bool on, struct deadline deadline,
                   struct err *err)
{
    char question[400], answer[200];

    snprintf(question, sizeof(question),
             "vm_memory_monitor:set_vm_memory_high_watermark(%s),"
             "iolist_to_binary(io_lib:format(\"~0p\",[[A||{{resource_limit,memory,N},_}=A<-"
             "rabbit_alarm:get_alarms(),N==node()]=/=[]])).",
             on ? "{absolute,1}"
                : "element(2,application:get_env(rabbit,vm_memory_high_watermark))");
    for (;;) {
        if (rabbit_eval(cluster, node->plan->index, question, answer, sizeof(answer), deadline,
                        err) < 0)
            return -1;
        if (strcmp(answer, on ? "true" : "false") == 0)
            return 0;
        if (deadline_sleep(&deadline, ALARM_EVERY_NS) < 0)
            return err_set(err, "node %s: its memory alarm is %s", node->plan->name, answer);
    }
}

/* ---- delete and declare again what nobody leads any more */

struct replace_args {
    const char *queue;
};

static const struct param replace_params[] = {
    {"queue", PARAM_STRING, offsetof(struct replace_args, queue), .required = true,
     .help = "deleted and declared again where nobody leads it or can be elected to"},
    {0}};

static int run_replace(struct cluster *cluster, const void *self, uint16_t target,
                       struct deadline deadline, struct err *err)
{
    const struct replace_args *args = self;

    (void)target;
    return rabbit_replace_queue(cluster, args->queue, deadline, err);
}

/* ---- rabbitmqctl sync_queue: a policy with ha-sync-mode manual leaves it to an operator */

static int run_sync(struct cluster *cluster, const void *self, uint16_t target,
                    struct deadline deadline, struct err *err)
{
    const struct replace_args *args = self;
    struct arena arena = {0};
    char answer[400];
    int result = rabbit_eval(cluster, 0,
                             arena_printf(&arena,
                                          "{ok,Q}=rabbit_amqqueue:lookup({resource,<<\"/\">>,"
                                          "queue,%s}),iolist_to_binary(io_lib:format(\"~0p\","
                                          "[rabbit_amqqueue:sync_mirrors(Q)])).",
                                          rabbit_binary(&arena, args->queue)),
                             answer, sizeof(answer), deadline, err);

    (void)target;
    arena_release(&arena);
    if (result < 0)
        return err_prefix(err, "sync_queue %s", args->queue);
    return strcmp(answer, "ok") == 0 ? 0 : err_set(err, "sync_queue %s: %s", args->queue, answer);
}

static const struct param sync_params[] = {{"queue", PARAM_STRING,
                                            offsetof(struct replace_args, queue), .required = true,
                                            .help = "a mirrored queue"},
                                           {0}};

const struct system_command rabbit_commands[] = {
    {"sync_queue", sync_params, sizeof(struct replace_args),
     "mirrors of a queue fetch what they lack, as an operator asks for", run_sync},
    {"replace_queue", replace_params, sizeof(struct replace_args),
     "an operator's way out: a queue that nobody leads or can be elected to lead is deleted and "
     "declared again",
     run_replace},
    {"clear_parameter", clear_params, sizeof(struct clear_args),
     "takes a runtime parameter away: a dynamic shovel stops", run_clear},
    {"forget_node", forget_params, sizeof(struct forget_args),
     "a node that is gone for good is taken out of the cluster and of its quorum queues",
     run_forget},
    {"transfer_leader", transfer_params, sizeof(struct transfer_args),
     "moves the leader of a quorum queue", run_transfer},
    {0}};
