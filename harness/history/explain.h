/*
 * Inside of explain: what is gathered of one message's life (explain.c), and how it ended, with the
 * broker's own word for it (explain_end.c).
 */
#ifndef ASSAY_HISTORY_EXPLAIN_H
#define ASSAY_HISTORY_EXPLAIN_H

#include "api/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct history_reader;

#define UNITS_MAX 16u
#define NODES_MAX 256u
#define EVIDENCE_MAX 64u

struct span { /* of a fault window */
    uint32_t window;
    uint32_t ref; /* what it is, as the first stamp with a text says: "cut|split|redis-1,…" */
    int64_t from_ns, until_ns;
};

struct life {
    struct msg_id id;
    struct span *windows;
    size_t n_windows;
    struct event *events; /* that name it */
    size_t n;
    int64_t zero_ns, from_ns,
        until_ns; /* start of the case; first and last of the client's events */
    uint32_t units[UNITS_MAX];
    size_t n_units;
    unsigned invoked, ok, fail, unknown, believed, delivered, settled, effects, rows, in_log;
    unsigned kept_back; /* believed, though refused at once */
    int64_t position;   /* of the last ok, and who gave it */
    uint16_t node;
    bool log_audited, journal_audited;
    bool node_down[NODES_MAX];           /* at the end */
    struct event evidence[EVIDENCE_MAX]; /* EXPIRED, AUDIT_SETTLED, DRAIN, whatever their unit */
    size_t n_evidence;
};

/* First pass: what the owners of the data say at the end. Others are skipped. */
void life_evidence(struct life *life, const struct event *e);
/* Counts, stage and evidence, behind the last line of the life. */
void print_end(struct history_reader *r, const struct life *life, FILE *out);

#endif
