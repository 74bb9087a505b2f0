/* RabbitMQ, as the rest of the machine sees it. What is where: rabbitmq.h. */
#include "systems/rabbitmq/rabbitmq.h"
#include "systems/rabbitmq/view.h"

static const struct plane planes[] = {{"client", {RABBIT_AMQP_PORT, RABBIT_STREAM_PORT}},
                                      {"replication", {RABBIT_DIST_PORT}},
                                      {"mgmt", {RABBIT_MGMT_PORT}},
                                      {0}};

/* The coordinator asks rarely: between its calls it keeps no connection (a watcher does). */
static int form(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    int result = rabbit_form(cluster, deadline, err);

    rabbit_hang_up(cluster);
    return result;
}

static int rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                    struct err *err)
{
    int result = rabbit_rejoined(cluster, node, deadline, err);

    rabbit_hang_up(cluster);
    return result;
}

static int quiesce(struct cluster *cluster, uint32_t dest, struct deadline deadline,
                   struct err *err)
{
    int result = rabbit_quiesce(cluster, dest, deadline, err);

    rabbit_hang_up(cluster);
    return result;
}

static int drain(struct cluster *cluster, struct history_writer *audit, struct drain_proof *proofs,
                 const uint16_t *down_nodes, size_t n_down, struct deadline deadline,
                 struct err *err)
{
    int result = rabbit_drain(cluster, audit, proofs, down_nodes, n_down, deadline, err);

    rabbit_hang_up(cluster);
    return result;
}

static int reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                 struct err *err)
{
    int result = rabbit_reset(cluster, next, deadline, err);

    rabbit_hang_up(cluster);
    return result;
}

static int effective(struct cluster *cluster, const struct kv_sink *sink, struct deadline deadline,
                     struct err *err)
{
    int result = rabbit_effective(cluster, sink, deadline, err);

    rabbit_hang_up(cluster);
    return result;
}

static int squeeze(struct cluster *cluster, struct node *node, bool on, struct deadline deadline,
                   struct err *err)
{
    int result = rabbit_squeeze(cluster, node, on, deadline, err);

    rabbit_hang_up(cluster);
    return result;
}

static const char *const roles[] = {"leader", "claims_leader", "followers",
                                    "online", "registered",    NULL};

/* cuttlefish_error.erl and cuttlefish_generator.erl: an unknown key, a value of another type */
static const char *const blames[] = {"tried to set ", "unknown variable: ", "datatype for: ", NULL};

const struct system_ops rabbitmq_system = {
    .name = "rabbitmq",
    .about = "RabbitMQ 3.8, 3.10 and 4.0: one node or a cluster; classic, quorum and (3.x) "
             "mirrored queues, streams",
    .params = rabbit_params,
    .config_size = sizeof(struct rabbit_config),
    .planes = planes,
    .outcomes = rabbit_outcomes,
    .config_rules = rabbit_config_rules,
    .config_blames = blames,
    .config_words = rabbit_config_words,
    .commands = rabbit_commands,
    .broker = &rabbit_broker,
    .describe = rabbit_describe,
    .layout = rabbit_layout,
    .form = form,
    .rejoined = rejoined,
    .observe = rabbit_observe,
    .quiesce = quiesce,
    .drain = drain,
    .reset = reset,
    .effective = effective,
    .version = rabbit_version,
    .with_version = rabbit_with_version,
    .squeeze = squeeze,
    .release = rabbit_release,
    .drain_beside_consumers = false,
    .installed = rabbit_installed,
    .roles = roles,
};
