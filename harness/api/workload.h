/*
 * What clients do: plain sequential code over capabilities, one file each in workloads/. A workload
 * never names a product. Every worker thread of a client calls run once; it returns when the client
 * is asked to stop.
 */
#ifndef ASSAY_API_WORKLOAD_H
#define ASSAY_API_WORKLOAD_H

#include "api/param.h"
#include "base/err.h"

struct worker; /* run/client.h: capabilities, steps, bursts, the recorder */

struct workload_ops {
    const char *name;                   /* "queue" */
    const char *about;
    const struct param *params;         /* of `workload: {queue: {…}}` */
    size_t args_size;
    const struct param *client_params;  /* keys of a client entry that are this workload's */
    size_t client_args_size;
    const char *const *roles;           /* client keys that name a role of this workload: "reader", NULL */
    const char *const *steps;           /* named points, in order, NULL-terminated */
    int (*run)(struct worker *worker, struct err *err);
};

#endif
