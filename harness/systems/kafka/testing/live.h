/*
 * Real Kafka nodes for this folder's test, without the sandbox: one private network and pid
 * namespace whose loopback carries every node's address. No cuts; kill and start only.
 *
 *     status = live_inside(body);          // runs body() as pid 1 of the namespaces, all of it
 * dies with it live_open(&live, "3.9.1", &err);     // inside: plan, layout, processes
 */
#ifndef ASSAY_KAFKA_TESTING_LIVE_H
#define ASSAY_KAFKA_TESTING_LIVE_H

#include "systems/kafka/client.h"

#define LIVE_BROKERS 3
#define LIVE_NODES (LIVE_BROKERS + 1)
#define LIVE_PARTITIONS 3

struct live {
    struct arena arena;
    struct plan_case plan;
    struct plan_cluster spec;
    struct plan_node plan_nodes[LIVE_NODES];
    struct plan_dest dests[2]; /* topic "orders" and group "tellers" on it */
    struct plan_unit units[LIVE_PARTITIONS];
    struct plan_client clients[2]; /* "app" produces, "teller" consumes */
    struct kafka_args args[2];
    struct kafka_config config;
    struct kafka_topic topic;
    struct cluster cluster;
    struct node nodes[LIVE_NODES];
    pid_t pids[LIVE_NODES];
    char folder[256];
};

int live_inside(int (*body)(void));
int live_open(struct live *live, const char *version, struct err *err);
int live_start(struct live *live, unsigned node, struct err *err);
void live_kill(struct live *live, unsigned node);
void live_close(struct live *live);

#endif
