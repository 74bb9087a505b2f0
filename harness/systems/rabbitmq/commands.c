/* Script verbs of RabbitMQ only: `transfer_leader: {queue: orders, to: …}`. */
#include "systems/rabbitmq/transfer.h"
#include "systems/rabbitmq/view.h"

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

const struct system_command rabbit_commands[] = {
    {"transfer_leader", transfer_params, sizeof(struct transfer_args),
     "moves the leader of a quorum queue", run_transfer},
    {0}};
