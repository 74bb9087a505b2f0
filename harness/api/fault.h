/*
 * One kind of harm next to its inverse. Faults are one file each in faults/ and end in their ops.
 */
#ifndef ASSAY_API_FAULT_H
#define ASSAY_API_FAULT_H

#include "api/param.h"
#include "base/clock.h"
#include "base/err.h"
#include "suite/expr.h"

struct arena;
struct child;     /* sandbox/sandbox.h */
struct node;      /* api/system.h */
struct plan_case;
struct sandbox;

/* What a target resolved to: a server or one client instance. */
struct fault_target {
    struct node *node;      /* NULL: a client */
    struct child *child;    /* NULL: a server */
    uint16_t id;            /* plan node number or client instance number */
    const char *name;       /* "kafka-1", "app" */
    const char *address;
    const void *system;     /* const struct system_ops *, for planes; NULL: a client */
};
#define FAULT_TARGETS_MAX 64
struct fault_targets {
    struct fault_target items[FAULT_TARGETS_MAX];
    size_t n;
};

/* What run/ lends a fault for one call. */
struct fault_ctx {
    struct sandbox *sandbox;
    const struct plan_case *plan;
    void *run;
    /* Roles, $names, node, client and cluster names, lists of them → targets, as of now. An empty set is an error. */
    int (*resolve)(struct fault_ctx *ctx, const struct expr *target, struct fault_targets *out, struct err *err);
    /* Every node and every client of the case: the other side of `isolate`. */
    void (*everybody)(struct fault_ctx *ctx, struct fault_targets *out);
    /* From now on the death of this target is no surprise: called before the signal. */
    void (*doomed)(struct fault_ctx *ctx, const struct fault_target *target);
    /* A server was killed, stopped or started by this fault: run/ keeps phases, epochs and the history right. */
    int (*start)(struct fault_ctx *ctx, struct node *node, struct deadline deadline, struct err *err);
    void (*died)(struct fault_ctx *ctx, const struct fault_target *target, int signal);
    void (*paused)(struct fault_ctx *ctx, const struct fault_target *target, bool paused);
    /* Live connections are about to be ended: what is outstanding then is kept. */
    void (*severs)(struct fault_ctx *ctx);
    /* The node's memory limit is lowered below what it holds, or put back; -1 also: it has none. */
    int (*squeeze)(struct fault_ctx *ctx, struct node *node, bool on, struct deadline deadline, struct err *err);
    /* A dead server's data folder is emptied, and holds again what a first start finds there. */
    int (*wipe)(struct fault_ctx *ctx, struct node *node, struct err *err);
};

/* What was seen of the effect: goes into the history and decides "bitten". */
struct witness {
    int64_t asked_ns, effective_ns; /* filled by inject and heal */
    bool effective;
    int64_t count;      /* packets dropped, processes stopped, pid */
    char text[200];
};

#define FAULT_NEEDS_MAX 3
struct fault_ops {
    const char *name;              /* the script's verb: "cut"; a scalar stands for the first parameter: `kill: $old` */
    const char *about;
    const struct param *params;
    size_t args_size, state_size;  /* args: from the table; state: one injected fault */
    const char *inverse;           /* verb that heals it: "heal", "start", "resume"; NULL: heals by itself */
    bool needs_end;                /* refused at load when neither its inverse nor `for` (struct fault_common) is there */
    /* what the machine must be able to do, as sandbox_probe and `assay doctor` call it; `assay run` refuses without it */
    const char *needs[FAULT_NEEDS_MAX + 1]; /* ends with NULL */
    /* pure; beyond the table */
    int (*validate)(const void *args, const struct plan_case *plan, struct err *err);
    /* returns when the effect is observed */
    int (*inject)(struct fault_ctx *ctx, const void *args, void *state, struct witness *w, struct deadline deadline, struct err *err);
    int (*probe)(struct fault_ctx *ctx, const void *state, struct witness *w); /* still biting? w->effective */
    int (*heal)(struct fault_ctx *ctx, void *state, struct witness *w, struct deadline deadline, struct err *err); /* idempotent; works after half an inject */
    /* chaos: may it be drawn, and args for a drawn target */
    int (*draw)(struct arena *arena, const char *target, void *args);
};

#endif
