/*
 * What clients do: plain sequential code over capabilities, one file each in workloads/. A workload
 * never names a product. Every worker thread of a client calls run once; it returns when the client
 * is asked to stop.
 */
#ifndef ASSAY_API_WORKLOAD_H
#define ASSAY_API_WORKLOAD_H

#include "api/cache.h"
#include "api/param.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct worker; /* api/worker.h: capabilities, steps, bursts */

/* What the engine must set up before run() is called. */
struct worker_needs {
    uint32_t outstanding;      /* sends without a completion at most, > 0 */
    uint32_t payload_bytes;    /* of every message, ≥ PAYLOAD_MIN */
    const char *store;         /* alias of the cluster effects go to; NULL: none */
    bool replica;              /* a second session of it, on a replica */
    bool versions;             /* versions written to it and loaded from it are judged: WRITE and LOAD events */
    const char *cache;         /* alias of the cluster that caches or locks; NULL: none */
    enum cache_guard guard;
    bool cache_replica;        /* the cache is read from a replica of it */
    double rate_per_s;         /* sends from the start as burst 0, over all instances; 0: only bursts */
    bool poisson;
};

struct workload_ops {
    const char *name;                   /* "queue" */
    const char *about;
    const struct param *params;         /* of `workload: {queue: {…}}` */
    size_t args_size;
    const struct param *client_params;  /* keys of a client entry that are this workload's */
    size_t client_args_size;
    const char *const *roles;           /* client keys that name a role of this workload: "reader", NULL */
    const char *const *steps;           /* named points, in order, NULL-terminated */
    /* pure: why these args make no sense together; NULL: they do. NULL here: never asked */
    const char *(*senseless)(const void *args, const void *role_args);
    /* pure */
    void (*needs)(const void *args, const void *role_args, struct worker_needs *needs);
    int (*run)(struct worker *worker, struct err *err);
};

#endif
