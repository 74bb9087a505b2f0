/*
 * Redis 7 as a system: standalone, replication, Sentinel, Cluster; lists, streams, channels and
 * plain keys. What the files of this folder share.
 *
 *     params.c    keys of a suite, config rules, describe
 *     layout.c    argv and config files of a node
 *     control.c   one connection per node, one look at all
 *     form.c      bring-up, rejoined, reset, read back
 *     roles.c     who is primary, according to whom
 *     slots.c     whose a key is in a cluster
 *     drain.c     quiesce, D1 and D2 by marker
 *     rest.c      what consumers have left to do
 *     audit.c     what the primary holds at the end
 *     expiry.c    what was evicted or expired, by INFO's counters
 *     commands.c  failover, cluster_failover, promote, follow, kill_clients
 *     squeeze.c   fault squeeze: maxmemory below what a server holds
 *     outcomes.c  which error means what
 *     client*.c   the data plane (client.h)
 *     cache*.c    the cache capability (cache.h): versioned values, guards, locks, who is told
 *     redis.c     ends in the ops
 *
 * Nodes: redis-1 (primary at the start, in a cluster the first ones), redis-2 …, then sentinel-1 …;
 * kinds "server" and "sentinel".
 */
#ifndef ASSAY_SYSTEMS_REDIS_REDIS_H
#define ASSAY_SYSTEMS_REDIS_REDIS_H

#include "api/broker.h"
#include "api/cache.h"
#include "api/system.h"
#include "plan/plan.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

#define REDIS_PORT 6379
#define REDIS_BUS_PORT 16379
#define SENTINEL_PORT 26379
#define REDIS_MASTER "mymaster" /* the name in `sentinel monitor`, Redis's own example */
#define REDIS_NODES_MAX 32
/* As an application starts: a client tries for a while before it says it cannot. */
#define REDIS_OPEN_WITHIN_NS (10 * SECOND_NS)
#define REDIS_OPEN_RETRY_NS (20 * MS_NS)

/* ---- params.c: the cluster entry */
enum redis_topology {
    TOPOLOGY_STANDALONE,
    TOPOLOGY_REPLICATION,
    TOPOLOGY_SENTINEL,
    TOPOLOGY_CLUSTER
};
enum redis_timing { TIMING_FAST, TIMING_DEFAULT };
enum redis_flavour { FLAVOUR_REDIS, FLAVOUR_VALKEY };

struct redis_config {
    struct {
        int topology, timing;
        int64_t primaries, replicas, sentinels;
        int flavour;
        const char *version, *binary;
    } redis;
    struct pairs redis_conf, sentinel_conf;
    struct items lists, streams, keys; /* of struct redis_dest */
};
struct redis_dest {
    const char *name; /* first: MAP stores it here */
};

extern const struct param redis_params[];
extern const struct config_rule redis_config_rules[];
extern const char *const redis_config_words[]; /* ends with NULL */
/* Servers and sentinels this config asks for. */
unsigned redis_servers(const struct redis_config *config);
unsigned redis_sentinels(const struct redis_config *config);
int redis_describe(const void *config, const struct layout_sink *sink, struct err *err);

/* ---- layout.c */
int redis_layout(struct cluster *cluster, struct node *node, struct err *err);
int redis_version(const void *config, char *out, size_t size, struct err *err);
const void *redis_with_version(const void *config, const char *version, struct arena *arena,
                               struct err *err);
/* Refuses a version that nobody has. */
int redis_version_known(const struct redis_config *config, struct err *err);

/* ---- control.c: cluster->state */
/* What one INFO says of keys that are gone (expiry.c). */
struct redis_counts {
    bool known;
    char run_id[64], replid[64]; /* of the process, of the history of its data */
    char policy[32];             /* maxmemory_policy */
    int64_t maxmemory;           /* bytes */
    int64_t full_syncs;
    int64_t gone[EXPIRY_EVICTED + 1]; /* keys, by EXPIRY_TTL and EXPIRY_EVICTED */
    int64_t sets;                     /* calls of commands that make a string */
    int64_t keys;                     /* there now */
};
struct redis_state {
    redisContext *links[REDIS_NODES_MAX];
    struct redis_counts counts[REDIS_NODES_MAX]; /* of servers, when the case began */
};
/* What one node answered in one look. */
struct redis_view {
    bool answered;
    bool sentinel;
    /* a server's ROLE */
    bool primary;      /* by its own word */
    bool linked;       /* a replica whose link is up and synchronised */
    bool connecting;   /* a replica waiting for its next try to connect */
    int of;            /* a replica's primary, index in the cluster; -1: none of ours */
    int64_t offset;    /* replication offset, -1 unknown */
    unsigned replicas; /* a primary's linked replicas */
    /* a sentinel's word */
    int names;                               /* the primary it names, index in the cluster; -1 */
    uint32_t epoch;                          /* its configuration epoch */
    int64_t knows_replicas, knows_sentinels; /* -1 unknown */
    bool steady; /* its flags of the primary are just "master": neither down nor failing over */
};
static inline const struct redis_config *redis_config(const struct cluster *cluster)
{
    return cluster->spec->config;
}
/* Sends one command to node `index` and waits for its answer until the deadline (at most 2 s).
 * NULL: no answer, err says why and the connection is made anew next time. An error reply is an
 * answer. */
redisReply *redis_ask(struct cluster *cluster, unsigned index, struct deadline deadline,
                      struct err *err, const char *format, ...);
/* As redis_ask, and an error reply is an error too. */
redisReply *redis_want(struct cluster *cluster, unsigned index, struct deadline deadline,
                       struct err *err, const char *format, ...);
/* ROLE of every server and the word of every sentinel, all asked at once; never longer than 400 ms.
 */
void redis_look(struct cluster *cluster, struct redis_view *views, struct deadline deadline);
/* Index in the cluster of the node at `address`; -1. */
int redis_node_at(const struct cluster *cluster, const char *address);
void redis_release(struct cluster *cluster);

/* ---- roles.c */
/* The primary: the sentinels' majority (of all there are), or without sentinels the only one that
 * says so; -1: nobody. *epoch may be NULL. */
int redis_primary(const struct cluster *cluster, const struct redis_view *views, uint32_t *epoch);
int redis_observe(struct cluster *cluster, struct role_table *table, struct deadline deadline,
                  struct err *err);

/* ---- squeeze.c: as system_ops.squeeze */
int redis_squeeze(struct cluster *cluster, struct node *node, bool on, struct deadline deadline,
                  struct err *err);

/* ---- slots.c: topology cluster */
static inline bool redis_is_cluster(const struct redis_config *config)
{
    return config->redis.topology == TOPOLOGY_CLUSTER;
}
unsigned redis_slot_of(const char *key);
/* Who serves the slot by this answer to CLUSTER SLOTS; NULL: nobody. */
const char *redis_slot_address(const redisReply *slots, unsigned slot);
/* Index of the server that more than half of all name for the key's slot; -1. */
int redis_owner(struct cluster *cluster, const char *key, struct deadline deadline);
/* At the start: primaries first, replica after replica. */
unsigned redis_cluster_primary_of(const struct redis_config *config, unsigned index);
const char *redis_nodes_conf(const struct cluster *cluster, unsigned self);

/* ---- form.c */
int redis_form(struct cluster *cluster, struct deadline deadline, struct err *err);
int redis_rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                   struct err *err);
int redis_reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                struct err *err);
int redis_effective(struct cluster *cluster, const struct kv_sink *sink, struct deadline deadline,
                    struct err *err);

/* ---- drain.c, audit.c */
int redis_quiesce(struct cluster *cluster, uint32_t dest, struct deadline deadline,
                  struct err *err);
int redis_drain(struct cluster *cluster, struct history_writer *audit, struct drain_proof *proofs,
                const uint16_t *down_nodes, size_t n_down, struct deadline deadline,
                struct err *err);
void redis_limits(struct cluster *cluster, bool on, struct deadline deadline);
int redis_mark(struct cluster *cluster, struct deadline deadline, struct err *err);
/* ---- rest.c: what consumers of `dest` have left to do, by the word of primary `primary` */
struct redis_rest {
    bool read;     /* somebody consumes it */
    int64_t open;  /* may still be taken; -1 not known */
    int64_t stuck; /* held for the dead, and nobody takes over */
};
struct redis_rest redis_rest(struct cluster *cluster, unsigned primary,
                             const struct plan_dest *dest, struct deadline deadline);
/* Every record of `unit` as primary `index` holds it → events; *saw_marker when `marker` was among
 * them. */
struct redis_audit {
    struct cluster *cluster;
    struct history_writer *log;
    unsigned primary;
    struct msg_id marker;
    bool saw_marker;
    int64_t records;
};
int redis_audit_unit(struct redis_audit *audit, uint32_t unit, struct deadline deadline,
                     struct err *err);

/* ---- expiry.c */
/* The value of one line of INFO, "key:value"; false: there is none. */
bool redis_info_field(const char *info, const char *key, char *out, size_t size);
/* From INFO all; a counter that is not there leaves it not known. */
void redis_counts_read(const char *info, struct redis_counts *out);
/* How many keys of the unit are certainly gone by *why, which is written where that is above 0. */
int64_t redis_keys_gone(const struct plan_case *plan, uint32_t unit,
                        const struct redis_counts *before, const struct redis_counts *after,
                        enum expiry *why);
/* When a case begins; and when a unit was audited, marker and all: what went in between is told as
 * EV_EXPIRED. A server that does not answer is not told of. */
void redis_counts_begin(struct cluster *cluster, struct deadline deadline);
void redis_counts_end(const struct redis_audit *audit, uint32_t unit, struct deadline deadline);
struct redis_gone {
    enum expiry why;
    int64_t n;      /* messages, or keys */
    bool whole;     /* the unit's one key: all of the unit that is missing */
    char text[200]; /* the server's words */
};
void redis_record_gone(const struct redis_audit *audit, uint32_t unit,
                       const struct redis_gone *gone);

/* ---- commands.c */
extern const struct system_command redis_commands[];

/* ---- outcomes.c */
enum redis_code {
    REDIS_CODE_OK,
    REDIS_CODE_READONLY,
    REDIS_CODE_LOADING,
    REDIS_CODE_MASTERDOWN,
    REDIS_CODE_NOREPLICAS,
    REDIS_CODE_OOM,
    REDIS_CODE_MISCONF,
    REDIS_CODE_WRONGTYPE,
    REDIS_CODE_MOVED,
    REDIS_CODE_ASK,
    REDIS_CODE_CLUSTERDOWN,
    REDIS_CODE_TRYAGAIN,
    REDIS_CODE_BUSY,
    REDIS_CODE_NOAUTH,
    REDIS_CODE_NOPERM,
    REDIS_CODE_ERR,
    REDIS_CODE_UNBLOCKED,
    REDIS_CODE_OTHER,
    REDIS_CODE_TIMEOUT,
    REDIS_CODE_RESET,
    REDIS_CODE_CLOSED,
    REDIS_CODE_REFUSED,
    REDIS_CODE_WAIT_SHORT,
    REDIS_CODE_IGNORED,
    REDIS_CODE_NOBODY,
    REDIS_CODE_FEW,
    REDIS_CODE_DISCARDED,
    REDIS_CODE_EXECABORT,
};
extern const struct cache_ops redis_cache_ops; /* cache.c */
extern const struct outcome_rule redis_outcomes[];
/* The code of an error reply ("READONLY You can't …"), and what the table says of a code. */
enum redis_code redis_code_of(const char *error);
enum outcome redis_outcome_of(enum redis_code code);

/* ---- client.c */
extern const struct broker_ops redis_broker;

/* ---- redis.c */
extern const struct system_ops redis_system;

#endif
