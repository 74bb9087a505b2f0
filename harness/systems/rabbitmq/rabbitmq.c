/* RabbitMQ, as the rest of the machine sees it. What is where: rabbitmq.h. */
#include "systems/rabbitmq/rabbitmq.h"
#include "systems/rabbitmq/view.h"

static const struct plane planes[] = {{"client", {RABBIT_AMQP_PORT}},
                                      {"replication", {RABBIT_DIST_PORT}},
                                      {"mgmt", {RABBIT_MGMT_PORT}},
                                      {0}};

static const char *const roles[] = {"leader", "claims_leader", "followers",
                                    "online", "registered",    NULL};

const struct system_ops rabbitmq_system = {
    .name = "rabbitmq",
    .about = "RabbitMQ 3.10: one node or a cluster; classic, mirrored and quorum queues",
    .params = rabbit_params,
    .config_size = sizeof(struct rabbit_config),
    .planes = planes,
    .outcomes = rabbit_outcomes,
    .config_rules = rabbit_config_rules,
    .commands = rabbit_commands,
    .broker = &rabbit_broker,
    .describe = rabbit_describe,
    .layout = rabbit_layout,
    .form = rabbit_form,
    .rejoined = rabbit_rejoined,
    .observe = rabbit_observe,
    .quiesce = rabbit_quiesce,
    .drain = rabbit_drain,
    .reset = rabbit_reset,
    .effective = rabbit_effective,
    .version = rabbit_version,
    .release = rabbit_release,
    .drain_beside_consumers = false,
    .installed = rabbit_installed,
    .roles = roles,
};
