/*
 * One kind of harm next to its inverse. Faults are one file each in faults/ and end in their ops.
 */
#ifndef ASSAY_API_FAULT_H
#define ASSAY_API_FAULT_H

#include "api/param.h"
#include "base/clock.h"
#include "base/err.h"
#include "suite/expr.h"

struct fault_ctx;   /* run/fault.h: resolves targets, holds keepers, clients and the switch */
struct plan_case;

/* What was seen of the effect: goes into the history and decides "bitten". */
struct witness {
    int64_t asked_ns, effective_ns; /* filled by inject and heal */
    bool effective;
    int64_t count;      /* packets dropped, processes stopped, pid */
    char text[200];
};

struct fault_ops {
    const char *name;              /* the script's verb: "cut" */
    const char *about;
    const struct param *params;
    size_t args_size, state_size;  /* args: from the table; state: one injected fault */
    const char *inverse;           /* verb that heals it: "heal", "start", "resume"; NULL: heals by itself */
    bool needs_end;                /* refused at load when neither inverse nor `for` follows */
    size_t for_offset;             /* int64_t for_ns in args; 0: no `for` */
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
