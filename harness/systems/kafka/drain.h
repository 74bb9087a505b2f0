/*
 * What drain.c (the proof) and audit.c (markers and the reading of logs) share.
 */
#ifndef ASSAY_KAFKA_DRAIN_H
#define ASSAY_KAFKA_DRAIN_H

#include "systems/kafka/kafka.h"

struct audited { /* one partition */
    bool ours, down, marked, complete, proven;
    int64_t start, marker; /* offsets */
    int32_t epoch;
    uint64_t seq;         /* of the marker's message */
    struct event *events; /* what the log holds, in its order */
    size_t n, size;
    char why[200];
};

struct drain {
    struct cluster *cluster;
    const struct plan_case *plan;
    struct audited *units; /* by plan unit */
    uint32_t up;           /* brokers that should be there, bits by id */
    uint64_t next_seq;
    struct deadline deadline;
    rd_kafka_t *producer;
};

static inline bool kafka_audit_pending(const struct audited *a)
{
    return a->ours && !a->down && !a->proven;
}

int kafka_audit_open(struct drain *d, struct err *err);
void kafka_audit_close(struct drain *d);
/* Every pending unit gets a fresh marker; those that were acknowledged are `marked` afterwards. */
void kafka_audit_mark(struct drain *d);
/* Reads every marked unit from its start through its marker; `complete` where the marker was there.
 */
int kafka_audit_read(struct drain *d, struct err *err);

#endif
