/*
 * RabbitMQ as a system: one to many nodes; classic, mirrored and quorum queues, streams. What the
 * files of this folder share.
 *
 *     config.c    keys of a suite, config rules, describe     layout.c   files and command line
 *     dist.c      one question to one Erlang node             view.c     one look at all nodes
 *     amqp.c      blocking AMQP calls of the control plane    form.c     bring-up, rejoined, reset
 *     roles.c     who leads what, according to whom           drain.c    quiesce, D1 and D2
 *     audit.c     what the queues hold at the end             expiry.c   what they dropped
 *     commands.c  script verbs of this system                 outcomes.c which reply means what
 *     client_*.c  the data plane (client.h)                   rabbitmq.c ends in the ops
 *     stream_*.c  what the stream protocol needs
 *
 * Nodes: rabbit-1 …, Erlang nodes rabbit@n1 …; they find each other by an /etc/hosts of their own.
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_RABBITMQ_H
#define ASSAY_SYSTEMS_RABBITMQ_RABBITMQ_H

#include "api/broker.h"
#include "api/system.h"
#include "plan/plan.h"

#include <stdbool.h>
#include <stdint.h>

#define RABBIT_AMQP_PORT 5672
#define RABBIT_STREAM_PORT 5552
#define RABBIT_DIST_PORT 25672
#define RABBIT_MGMT_PORT 15672
#define RABBIT_NODES_MAX 16
#define RABBIT_COOKIE "assay" /* the network is private: it keeps nobody out */

/* ---- config.c: the cluster entry */
struct rabbit_queue {
    const char *name; /* first: MAP stores it here */
    bool durable, auto_delete;
    struct pairs arguments;
    int64_t leader; /* number of a node from 1; 0: the server's choice */
};
struct rabbit_binding {
    const char *queue, *key;
    struct pairs arguments;
};
struct rabbit_exchange {
    const char *name; /* first: MAP stores it here */
    const char *type;
    bool durable;
    struct pairs arguments;
    struct items bindings; /* of struct rabbit_binding */
};
struct rabbit_policy {
    const char *name, *pattern, *apply_to;
    int64_t priority;
    const struct tree *definition;
};
struct rabbit_parameter {
    const char *component, *name;
    const struct tree *value;
};
struct rabbit_config {
    struct rabbit_server {
        int64_t nodes;
        const char *version, *home;
        struct strings plugins;
    } server;
    struct pairs conf;       /* rabbitmq.conf */
    const char *advanced;    /* advanced.config, its text; NULL none */
    const char *definitions; /* definitions.json, its text; NULL none */
    struct items policies;   /* of struct rabbit_policy */
    struct items parameters; /* of struct rabbit_parameter */
    struct items queues;     /* of struct rabbit_queue */
    struct items exchanges;  /* of struct rabbit_exchange */
};

extern const struct param rabbit_params[];
extern const struct system_ops rabbitmq_system;
extern const struct config_rule rabbit_config_rules[];
extern const char *const rabbit_config_words[]; /* ends with NULL */
int rabbit_describe(const void *config, const struct layout_sink *sink, struct err *err);
/* A queue the suite declares; NULL: none of this name. */
const struct rabbit_queue *rabbit_queue_named(const struct rabbit_config *config, const char *name);
/* A tree as JSON: what looks like a number, true or false is one. Caller frees. */
char *rabbit_json(const struct tree *tree);

/* ---- layout.c */
int rabbit_layout(struct cluster *cluster, struct node *node, struct err *err);
int rabbit_version(const void *config, char *out, size_t size, struct err *err);
const void *rabbit_with_version(const void *config, const char *version, struct arena *arena,
                                struct err *err);
/* Refuses a version that nobody has. */
int rabbit_version_known(const struct rabbit_config *config, struct err *err);
int rabbit_installed(struct err *err);
/* Where the list of modules that a server loads is kept between runs; NULL: nowhere. */
#define MODULES_BYTES ((size_t)64 << 10)
char *rabbit_modules_path(const struct cluster *cluster, char *out, size_t size);
/* Its nodes were started with the plugins that cluster->plan wants. */
bool rabbit_has_its_plugins(struct cluster *cluster);

/* ---- form.c */
int rabbit_form(struct cluster *cluster, struct deadline deadline, struct err *err);
int rabbit_rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                    struct err *err);
int rabbit_reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                 struct err *err);
int rabbit_effective(struct cluster *cluster, const struct kv_sink *sink, struct deadline deadline,
                     struct err *err);

/* An operator's way out: a queue that nobody leads is deleted and declared again; one that is led
 * stays. */
int rabbit_replace_queue(struct cluster *cluster, const char *name, struct deadline deadline,
                         struct err *err);

/* ---- roles.c */
int rabbit_observe(struct cluster *cluster, struct role_table *table, struct deadline deadline,
                   struct err *err);

/* ---- drain.c */
int rabbit_quiesce(struct cluster *cluster, uint32_t dest, struct deadline deadline,
                   struct err *err);
int rabbit_drain(struct cluster *cluster, struct history_writer *audit, struct drain_proof *proofs,
                 const uint16_t *down_nodes, size_t n_down, struct deadline deadline,
                 struct err *err);

/* ---- commands.c, outcomes.c, client_params.c, client.c */
/* A client of the plan publishes to this cluster over the stream protocol. */
bool rabbit_speaks_stream(const struct plan_case *plan, const struct plan_cluster *cluster);
/* The memory alarm: publishers are blocked. */
int rabbit_squeeze(struct cluster *cluster, struct node *node, bool on, struct deadline deadline,
                   struct err *err);
extern const struct system_command rabbit_commands[];
extern const struct outcome_rule rabbit_outcomes[];
extern const struct broker_ops rabbit_broker;

#endif
