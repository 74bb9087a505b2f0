/*
 * `assay bench`: what recording costs. One cluster, legs on it in the order A B B A …: our client
 * as it always runs, the same client without the recorder, and a bare loop that calls only the
 * library (systems/NAME/bare). Ratios of pairs, their median and its interval (bench_stats.h).
 */
#ifndef ASSAY_RUN_BENCH_H
#define ASSAY_RUN_BENCH_H

#include "base/err.h"
#include "run/run.h"

#include <stdbool.h>

enum leg_kind { LEG_RECORDED, LEG_UNRECORDED, LEG_BARE, LEG_KINDS };

struct bench_system {
    const char *name;
    const char *suite; /* one case, cluster "it", client 0 sends */
    const char *bare;  /* program beside the binary */
    /* fills argv from [1] on, NULL behind; text is room for what must be printed */
    void (*bare_args)(const struct plan_case *plan, int64_t count, double seconds,
                      const char **argv, char (*text)[64]);
};

struct bench {
    const struct bench_system *system;
    const struct plan_case *plan;
    struct sandbox *box;
    struct cluster_slot *slot;
    char folder[200];
    char programs[400]; /* folder of our binary and of the bare ones */
    double leg_seconds, warm_seconds;
    unsigned pairs;
    bool instructions;
    double rate_per_s; /* of the last leg of our own */
    unsigned legs;     /* run so far: names of folders */
};

struct leg {
    double messages, seconds, cpu_seconds;
};
/* One timed leg. */
int bench_leg(struct bench *b, enum leg_kind kind, struct leg *out, struct err *err);
/* Client instructions per message, counted by valgrind over two lengths of a run so that its start
 * and end cancel. -1 with err: no valgrind, or it could not run it. */
int bench_instructions(struct bench *b, enum leg_kind kind, double *per_message, struct err *err);

#endif
