/*
 * A plan: one suite and one seed with every draw made and nothing resolved (roles stay roles).
 * Byte-identical per suite and seed when printed. It is all that clients, checkers and reports know
 * of the suite; the history carries its text.
 *
 *     struct plan *plan = plan_load(&options, err);         // suites → cases × twins × matrix × repeats
 *     plan_print(plan, stdout);
 *     plan_case_text(c, &buf);  …  struct plan_case *same = plan_case_read(buf, n, arena, err);
 *
 * Everything is owned by the plan's arena and read-only after plan_load.
 */
#ifndef ASSAY_PLAN_PLAN_H
#define ASSAY_PLAN_PLAN_H

#include "api/param.h"
#include "api/tree.h"
#include "base/arena.h"
#include "base/err.h"
#include "plan/script.h"
#include "suite/expr.h"

#include <stdbool.h>
#include <stdio.h>

struct broker_ops;
struct checker_ops;
struct config_rule;
struct system_ops;
struct workload_ops;
struct store_ops;

/* A server. Numbered over all clusters of the case; addresses are fixed, every run has its own network. */
struct plan_node {
    uint16_t id;
    const char *name;    /* "kafka-1", "controller-10", "sentinel-2" */
    const char *kind;    /* the system's word: "broker", "controller", "sentinel", "server" */
    unsigned cluster, index; /* index: within its cluster, from 0 */
    char address[16];    /* 10.77.<cluster+1>.<index+1> */
};

/* A channel keeps nothing: what nobody hears is gone. */
enum unit_kind { UNIT_LOG, UNIT_QUEUE, UNIT_LIST, UNIT_STREAM, UNIT_KEYS, UNIT_CHANNEL };

/* What a message is meant for: a topic, a queue, a list …; or a consumer group on one. */
struct plan_dest {
    const char *name;    /* "orders", "jobs", group: "tellers" */
    unsigned cluster;
    enum unit_kind kind;
    bool group;          /* a group: units are those of `of` */
    uint32_t of;         /* group: the destination it reads */
    uint32_t first_unit, n_units;
};

/* What is judged separately: a partition, a queue, a list, a stream. */
struct plan_unit {
    const char *name;    /* "orders/0", "jobs" */
    uint32_t dest;
    uint32_t index;      /* partition number; 0 */
};

struct plan_cluster {
    const char *alias;   /* the case's word: "bus" */
    const char *name;    /* the suite's: "kafka3" */
    const struct system_ops *system;
    const void *config;  /* the system's struct, filled from its table */
    const struct tree *tree;
    unsigned first_node, n_nodes;
};

struct plan_client {
    const char *name;
    uint16_t first_id;       /* instance i is client number first_id + i */
    uint16_t instances, workers;
    bool autostart;
    const char *libraries;    /* root folder it has its shared libraries from; NULL: the machine's */
    int64_t restart_after_ns; /* -1: never by itself */
    unsigned cluster;         /* where it connects; the first that offers a broker */
    const struct broker_ops *broker;
    const void *broker_args;  /* filled from broker->params */
    const void *role_args;    /* filled from workload->client_params */
    const char *verb;         /* the key that gave it its role: "produce", "publish", "push", "consume", "reader" … */
    uint32_t *duties;         /* destinations each message it sends must reach (meant_for) */
    size_t n_duties;
    const struct tree *tree;
    char address[16];         /* instance i: last number + i */
};

struct plan_promise {
    const struct checker_ops *checker;
    const void *args;         /* filled from checker->params */
    bool always;              /* always on, not asked for */
};

struct plan_require {
    const struct expr *expr;
};

struct plan_condition {
    const struct expr *expr; /* over settings */
    const char *otherwise;   /* why the case has nothing to say when it does not hold */
};

/* In the order of the lattice; the last stands outside of it: the case was not run. */
enum verdict {
    VERDICT_PASS,
    VERDICT_VACUOUS,
    VERDICT_INCONCLUSIVE,
    VERDICT_BROKEN,
    VERDICT_FAIL,
    VERDICT_NOT_APPLICABLE
};
extern const char *const verdict_names[]; /* "pass", "vacuous", … */

struct plan_expect {
    enum verdict verdict;     /* PASS, FAIL or VACUOUS */
    const char *reason;       /* VACUOUS: "not_exercised(loss)" */
    struct expect_kind {
        const char *kind;     /* "lost" */
        enum expr_op op;
        const struct expr *bound; /* NULL: any number > 0 */
    } *kinds;
    size_t n_kinds;
    struct strings may;
};

struct plan_burst { /* every named send, background and observe */
    const char *name;
    unsigned client;
};

struct plan_case {
    const char *suite;        /* file as named */
    const char *name, *twin;  /* twin "" for the case itself */
    const char *about;
    struct pairs matrix;      /* n=1000 */
    uint64_t seed;            /* of this repeat */
    unsigned repeat;          /* 0 … */
    uint64_t run;             /* H(seed, names): goes into every payload */

    struct plan_cluster *clusters; size_t n_clusters;
    struct plan_node *nodes;       size_t n_nodes;
    struct plan_dest *dests;       size_t n_dests;
    struct plan_unit *units;       size_t n_units;
    struct plan_client *clients;   size_t n_clients;
    struct plan_burst *bursts;     size_t n_bursts;  /* burst numbers are index + 1 */
    unsigned n_client_ids;

    const struct workload_ops *workload;
    const void *workload_args;
    struct step_list script;
    struct plan_promise *promises; size_t n_promises;
    struct plan_require *require;  size_t n_require;
    struct plan_condition *applies; size_t n_applies; /* all must hold, or the case is not run */
    struct plan_expect expect;
    int64_t drain_within_ns;       /* default 60 s */
    struct strings final_down;     /* final: {down: [$old]} */
    int64_t deadline_ns;           /* of the whole case, default 10 min */
    const struct tree *tree;       /* the expanded case, as plan_case_text prints it */
    const char *title;             /* see plan_case_title */
};

struct plan {
    struct arena arena;
    struct plan_case **cases;
    size_t n;
    uint64_t seed;
};

#define CHECK_MEMORY_BYTES (UINT64_C(4) << 30)

struct plan_options {
    const char *const *suites; size_t n_suites;
    /* --case, any number, any may match; none: all. Matched against "name", "name/twin", "name/twin/n=1";
     * a glob that matches a name takes its twins too */
    const char *const *case_globs; size_t n_case_globs;
    uint64_t seed;                  /* default 1 */
    unsigned repeats;               /* ≥ 1 */
    const struct pair *set; size_t n_set; /* --set INPUT=VALUE */
    uint64_t memory_bytes;          /* --memory: what the checkers of a case may take together; 0: CHECK_MEMORY_BYTES */
};

/* Errors are ERR_INPUT with file:line:col. Warnings go to `warn` (may be NULL), one per line. */
struct plan *plan_load(const struct plan_options *options, FILE *warn, struct err *err);
/* One suite from memory, all its cases; files by reference are looked up in `folder`. For tests. */
struct plan *plan_load_text(const char *text, size_t n, const char *file, const char *folder,
                            uint64_t seed, struct err *err);
void plan_free(struct plan *plan);
void plan_print(const struct plan *plan, FILE *out);

/* One case as self-contained text (canonical YAML, files and inputs resolved) and back: what history and
 * clients carry. plan_case_read(plan_case_text(c)) prints the same bytes again. */
char *plan_case_text(const struct plan_case *c, size_t *n); /* caller frees */
struct plan_case *plan_case_read(const char *text, size_t n, struct arena *arena, struct err *err);
/* Names for the numbers in a history's events, its document "names" (history/names.h). Caller frees. */
char *plan_case_names(const struct plan_case *c, size_t *n);

/* What a cluster's servers say they run with, as the history keeps it; NULL: they said nothing. */
typedef const char *(*effective_text)(void *context, const char *alias, size_t *n);
/* Is there anything to be tested? 1; 0 with the reason in `why`; -1 a condition makes no sense of a value. */
int plan_applies(const struct plan_case *c, effective_text text, void *context, char *why,
                 size_t size, struct err *err);

/* Keys of the team's own config files that the sandbox has a value of its own for, or no use. */
struct replaced_keys {
    struct replaced_key {
        const char *where;     /* the cluster's alias or the client's name */
        const char *file;      /* "server.properties", "librdkafka" */
        const char *key, *why;
    } *items;
    size_t n;
};
struct replaced_keys plan_replaced_keys(const struct plan_case *c, struct arena *arena);
/* The rule for one key of a team's file; NULL: it is kept. */
const struct config_rule *config_rule_of(const struct system_ops *system, const char *file,
                                         const char *key);
bool config_is_kept(const struct system_ops *system, const char *file, const char *key);

/* Look-ups; NULL or -1 when there is none. */
const struct plan_client *plan_client_named(const struct plan_case *c, const char *name);
const struct plan_client *plan_client_of_id(const struct plan_case *c, uint16_t id);
const struct plan_cluster *plan_cluster_named(const struct plan_case *c, const char *alias);
long plan_dest_named(const struct plan_case *c, const char *name);
/* The destination it reads; of a group member what the group reads. */
long plan_client_reads(const struct plan_case *c, const struct plan_client *client);
/* Handing over settles: no_ack, BRPOP. */
bool plan_client_hands_over(const struct plan_client *client);
long plan_unit_named(const struct plan_case *c, const char *name); /* "orders/0", "jobs"; a topic with one partition by its bare name too */
long plan_node_named(const struct plan_case *c, const char *name);
long plan_burst_named(const struct plan_case *c, const char *name); /* number, from 1 */
/* "K02-acks1-leader-crash/acks-all" (with "/n=1000" for matrices): how a case is called everywhere. */
const char *plan_case_title(const struct plan_case *c);

#endif
