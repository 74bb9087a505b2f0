/*
 * Real nodes of one system for its folder's tests, without the sandbox: private namespaces whose
 * loopback carries every node's address. Kill and start, no cuts; nodes that need a root folder
 * are not for here.
 *
 *     status = live_inside(body);                        // body() is pid 1: all of it dies with it
 *     live_open(&live, "/dev/shm", suite_text, &err);    // inside: plan, layout, processes
 *     live.cluster.ops->form(&live.cluster, …);          // is the caller's
 */
#ifndef ASSAY_SYSTEMS_TESTING_LIVE_H
#define ASSAY_SYSTEMS_TESTING_LIVE_H

#include "api/system.h"
#include "base/arena.h"
#include "plan/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#define LIVE_NODES 8

struct live {
    struct arena arena;
    struct plan *plan;
    struct plan_case *of; /* its first case */
    struct cluster cluster;
    struct node nodes[LIVE_NODES];
    pid_t pids[LIVE_NODES];
    char folder[256];
};

/* What body() says, in namespaces of its own; -1 without them. */
int live_inside(int (*body)(void));
/* The only cluster of the first case of a suite given as text; its folders are made in `where`. */
int live_open(struct live *live, const char *where, const char *suite, struct err *err);
int live_start(struct live *live, unsigned node, struct err *err);
/* And what it has started: of a cluster of one node everything but the caller. */
void live_kill(struct live *live, unsigned node);
void live_close(struct live *live);

/* In the namespaces' child cmocka's own checks cannot be used: say where and leave. */
#define check(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define must(expression) live_must((expression), #expression, &err, __FILE__, __LINE__)
void live_must(int result, const char *what, const struct err *err, const char *file, int line);

#endif
