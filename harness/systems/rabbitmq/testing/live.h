/*
 * One real RabbitMQ node for this folder's tests, without the sandbox: private network, pid, mount
 * and uts namespaces whose loopback carries the node's address. Kill and start, no cuts.
 *
 *     status = rabbit_live_inside(body);       // body() runs as pid 1 of the namespaces
 *     rabbit_live_open(&live, suite_text, &err);    // inside: plan, layout, process; the caller
 * forms
 */
#ifndef ASSAY_RABBITMQ_TESTING_LIVE_H
#define ASSAY_RABBITMQ_TESTING_LIVE_H

#include "systems/rabbitmq/rabbitmq.h"

#include <sys/types.h>

struct rabbit_live {
    struct arena arena;
    struct plan *plan;
    struct cluster cluster;
    struct node node;
    pid_t pid;
    char folder[256];
};

int rabbit_live_inside(int (*body)(void));
/* The first case of a suite given as text; its only cluster has one node. */
int rabbit_live_open(struct rabbit_live *live, const char *suite, struct err *err);
int rabbit_live_start(struct rabbit_live *live, struct err *err);
void rabbit_live_kill(struct rabbit_live *live);
void rabbit_live_close(struct rabbit_live *live);

#endif
