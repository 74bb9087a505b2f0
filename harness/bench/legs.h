/* What the legs of a bench have in common: leg.c sends, consume.c consumes. */
#ifndef ASSAY_BENCH_LEGS_H
#define ASSAY_BENCH_LEGS_H

#include "bench/runner.h"

/* The cluster as it was at first. */
int bench_fresh(struct bench *b, struct err *err);
/* A client of ours sends so many, and they are confirmed. */
int bench_send(struct bench *b, const struct bench_client *which, int64_t count, struct err *err);
/* The program of a leg, until it ends. */
int bench_program(struct bench *b, enum leg_kind kind, int64_t count, double seconds, bool counted,
                  struct leg *out, struct err *err);
int bench_consume_leg(struct bench *b, enum leg_kind kind, struct leg *out, struct err *err);
int bench_consume_counted(struct bench *b, enum leg_kind kind, int64_t count, struct leg *out,
                          struct err *err);

#endif
