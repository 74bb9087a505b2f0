/*
 * A real Redis cluster for this folder's tests, without the sandbox: a private network and pid
 * namespace whose loopback carries every node's address. Kill and start, no cuts.
 *
 *     status = redis_live_inside(body);            // body() runs as pid 1 of the namespaces; all
 * of it dies with it redis_live_open(&live, suite_text, &err);    // inside: plan, layout,
 * processes; the caller calls form
 */
#ifndef ASSAY_REDIS_TESTING_LIVE_H
#define ASSAY_REDIS_TESTING_LIVE_H

#include "systems/redis/client.h"

#define LIVE_NODES 8

struct redis_live {
    struct arena arena;
    struct plan *plan;
    struct cluster cluster;
    struct node nodes[LIVE_NODES];
    pid_t pids[LIVE_NODES];
    char folder[256];
};

int redis_live_inside(int (*body)(void));
/* The first case of a suite given as text. */
int redis_live_open(struct redis_live *live, const char *suite, struct err *err);
int redis_live_start(struct redis_live *live, unsigned node, struct err *err);
void redis_live_kill(struct redis_live *live, unsigned node);
void redis_live_close(struct redis_live *live);

#endif
