/*
 * The control plane of a system: what the coordinator and the watchers need of Kafka, RabbitMQ,
 * Redis. All calls block at most until their deadline. They run in the switch's network namespace
 * and reach every node at its plan address whatever is cut (their traffic never crosses the bridge's
 * forward path).
 *
 * Threads: one thread at a time per struct cluster. A watcher is another process and has a struct
 * cluster of its own (made from the plan, without keepers).
 */
#ifndef ASSAY_API_SYSTEM_H
#define ASSAY_API_SYSTEM_H

#include "api/event.h"
#include "api/param.h"
#include "api/role.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>

struct keeper;       /* sandbox/keeper.h */
struct plan_case;
struct plan_cluster;
struct plan_node;
struct plan_dest;
struct plan_unit;
struct history_writer;

/* How one node is started: pure function of config, node and folders. */
struct file_spec {
    const char *path;      /* relative to the node's folder, or absolute inside its mount namespace */
    const char *text;
    unsigned mode;
    bool of_version;           /* written again when the node comes back with another version */
    size_t size;               /* of text where it is not a C string (Kafka's bootstrap.checkpoint); 0: strlen(text) */
};
struct node_spec {
    const char *const *argv;   /* argv[0] absolute */
    const char *const *env;    /* NAME=VALUE, the whole environment */
    struct file_spec *files;   /* written before each first start (not at restarts) */
    size_t n_files;
    const char *hostname;      /* "n1"; NULL: the node's name */
    const char *hosts;         /* text of /etc/hosts; NULL: none needed */
    int64_t stop_within_ns;    /* SIGTERM takes this long at most before it counts as hung */
    int cpu;                   /* -1: node % ncpu */
    unsigned uid;              /* 0: as we are; else in a user namespace of its own (servers that refuse root) */
    const char *root;          /* NULL, or the root folder it runs in (systems/server.h) */
};

enum node_phase { PHASE_DOWN, PHASE_STARTING, PHASE_UP, PHASE_PAUSED, PHASE_DEAD };
struct node {
    const struct plan_node *plan;
    struct keeper *keeper;      /* NULL in a watcher */
    char data[512];             /* data folder as the node sees it (same path for all of us) */
    char log[512];              /* its stdout and stderr */
    struct node_spec spec;
    _Atomic int phase;          /* enum node_phase, written by run/ */
};

/* One running cluster. Owned by run/ (or by a watcher). */
struct cluster {
    const struct system_ops *ops;
    const struct plan_case *plan;
    const struct plan_cluster *spec;
    struct node *nodes;          /* spec->n_nodes, in plan order */
    const char *cache;           /* folder that outlives runs: class-data archives, formatted templates (flock it) */
    struct role_table *roles;    /* what the watcher saw; NULL in bring-up */
    struct arena *arena;
    void *state;                 /* the system's own; freed by release */
    const bool *dead_clients;    /* in drain: by client number: it died and was not started again; NULL: not told */
    void (*progress)(void *context, const char *line); /* may be NULL */
    void *progress_context;
};

enum drain_level { DRAIN_NONE, DRAIN_D1, DRAIN_D2, DRAIN_D3 };
struct drain_proof {             /* one per unit, recorded as EV_DRAIN by the caller */
    uint32_t unit;
    enum drain_level level;      /* proven so far */
    bool proven;
    bool down;                   /* nobody serves it: its messages are undecided */
    int64_t position;            /* marker, or -1 */
    uint32_t epoch;
    int64_t counted;             /* what the owner of the data still counts; -1 unknown */
    char why[200];
};

/* Which error code means what: one table per system, with the source of each line. Ends with a NULL name. */
struct outcome_rule {
    int code;
    const char *name;            /* "REQUEST_TIMED_OUT" */
    enum outcome outcome;
    const char *source;          /* "KIP-…", header, man page */
};
/* What the table says of `code`; OUTCOME_UNKNOWN where it says nothing: what nobody knows may have happened. */
enum outcome outcome_of_code(const struct outcome_rule *table, int code);

/* Planes: ports of their own, for `plane:`. Ends with a NULL name. */
struct plane {
    const char *name;            /* client, replication, controller, bus, mgmt */
    uint16_t ports[4];           /* zero-terminated unless full */
};

/* What a key of a user's config file means to us. Ends with a NULL pattern; first match wins; else kept. */
struct config_rule {
    const char *file;            /* "server.properties", or the client's "librdkafka" */
    const char *pattern;         /* fnmatch(3) on the key */
    enum { CONFIG_KEPT, CONFIG_REPLACED, CONFIG_REFUSED } verdict;
    const char *why;
};

struct kv_sink { void *context; void (*put)(void *context, const char *node, const char *key, const char *value); };

/* A script verb of this system only: SENTINEL FAILOVER, preferred election, stop_app … Ends with a NULL name. */
struct system_command {
    const char *name;            /* "failover" */
    const struct param *params;
    size_t size;
    const char *help;
    int (*run)(struct cluster *cluster, const void *args, uint16_t target /* node or NO_NODE */,
               struct deadline deadline, struct err *err);
};

/* Reports what config implies: called by the plan with a callback per thing, in order. */
struct layout_sink {
    void *context;
    void (*node)(void *context, const char *name, const char *kind);
    /* enum unit_kind; units = partitions, 1 for a queue or list */
    void (*dest)(void *context, const char *name, int unit_kind, unsigned units);
};

struct system_ops {
    const char *name;                       /* "kafka": also the key in `clusters:` */
    const char *about;
    const struct param *params;             /* of a whole cluster entry: {"kafka", STRUCT}, {"server.properties", VERBATIM}, {"topics", MAP} … */
    size_t config_size;
    const struct plane *planes;
    const struct outcome_rule *outcomes;
    const struct config_rule *config_rules;
    const struct system_command *commands;
    /* pure: the destination a command deletes and makes again (recorded as EV_UNIT_NEW); NULL: none, as is no op */
    const char *(*renews)(const struct system_command *command, const void *args);
    const struct broker_ops *broker;        /* NULL: offers none */
    const struct store_ops *store;
    const struct cache_ops *cache;
    /* pure; config is checked beyond its table; err with status INPUT */
    int (*describe)(const void *config, const struct layout_sink *sink, struct err *err);
    /* pure; fills node->spec from cluster->arena; node->data and log are set */
    int (*layout)(struct cluster *cluster, struct node *node, struct err *err);
    /* all nodes are started: wait until the cluster formed, make topics, queues …; ready for a first op */
    int (*form)(struct cluster *cluster, struct deadline deadline, struct err *err);
    /* node was started again: the system itself says so with a new epoch (registered, online, ROLE) */
    int (*rejoined)(struct cluster *cluster, struct node *node, struct deadline deadline, struct err *err);
    /* one complete look at roles and gauges (role_table_fact between begin and end are done by the caller) */
    int (*observe)(struct cluster *cluster, struct role_table *table, struct deadline deadline, struct err *err);
    int (*quiesce)(struct cluster *cluster, uint32_t dest, struct deadline deadline, struct err *err);
    /* all faults healed, senders gone, consumers not yet: sends what proves to a living consumer that it was handed
     * everything before (pub/sub markers); NULL: nothing needs that */
    int (*mark)(struct cluster *cluster, struct deadline deadline, struct err *err);
    /* all faults healed, clients closed or dead: prove D1 (and D2 where consumers exist) for every unit; then
     * the audit: every record of the final log or queue as EV_AUDIT_LOG (+ AUDIT_SETTLED, CORRUPT) into `audit`,
     * ending at the proven horizon. proofs has plan->n_units entries; down_nodes are dead on purpose. */
    int (*drain)(struct cluster *cluster, struct history_writer *audit, struct drain_proof *proofs,
                 const uint16_t *down_nodes, size_t n_down, struct deadline deadline, struct err *err);
    /* between cases on a reused cluster: topics, queues, keys made anew; -1: bring up a new one */
    int (*reset)(struct cluster *cluster, const struct plan_case *next, struct deadline deadline, struct err *err);
    int (*effective)(struct cluster *cluster, const struct kv_sink *sink, struct deadline deadline, struct err *err);
    /* version string of binary or jar: known before start */
    int (*version)(const void *config, char *out, size_t size, struct err *err);
    /* pure: a copy of config with that version, for a node that comes back with it (start: {version}); NULL: err
     * (INPUT) says what there is. Op NULL: its nodes keep their version */
    const void *(*with_version)(const void *config, const char *version, struct arena *arena, struct err *err);
    /* default binaries are there (assay doctor): 0, or -1 and err says what to install; NULL: nothing is needed */
    int (*installed)(struct err *err);
    /* the versions ci/roots fetches, by number from 0 until NULL, and which are there (assay doctor); NULL: they are
     * packages of root folders (systems/server.h), or there is one */
    const char *(*offers)(unsigned number, bool *there);
    void (*release)(struct cluster *cluster);
    /* fault squeeze: the node's memory limit below what it holds (returns when the node says so), and back;
     * NULL: it has none */
    int (*squeeze)(struct cluster *cluster, struct node *node, bool on, struct deadline deadline, struct err *err);
    /* true: drain is asked while consumers still run (Kafka: committed > marker, D2); false: all clients have left by then */
    bool drain_beside_consumers;
    /* what stands right before a key in its log when a line of its config kept it from starting, and the keys it
     * knows, for the nearest word; each NULL-terminated, NULL: not told */
    const char *const *config_blames, *const *config_words;
    /* role words it can answer ("leader", "isr", "controller" …), NULL-terminated: others are refused at load;
     * NULL: not told, all are taken */
    const char *const *roles;
};

#endif
