/*
 * Kafka (KRaft): brokers kafka-1 … and dedicated controllers controller-10 …; what the files of
 * this folder share. kafka.c holds the tables and the ops; read it first.
 */
#ifndef ASSAY_KAFKA_H
#define ASSAY_KAFKA_H

#include "api/broker.h"
#include "api/system.h"
#include "plan/plan.h"
#include "systems/kafka/wire.h"

#include <librdkafka/rdkafka.h>

#define CLIENT_PORT 9092
#define CONTROLLER_PORT 9093
#define REPLICATION_PORT 9094
#define BROKERS_MAX 9 /* ids 1 … 9; sets of brokers are bits of an uint32_t */
#define CONTROLLERS_MAX 9
#define FIRST_CONTROLLER_ID 10

/* ---- a cluster entry */

struct kafka_server {
    const char *version, *home;
    int64_t brokers, controllers;
};

struct kafka_topic {
    const char *name; /* key of the map; at offset 0 */
    int64_t partitions, replication_factor;
    int64_t grows_to;            /* add_partitions makes that many of them; 0: never */
    const struct tree *replicas; /* [[1, 2, 3], …]: one list a partition, preferred leader first */
    struct pairs config;
};

struct kafka_config {
    struct kafka_server kafka;
    struct pairs server_properties;
    struct items topics; /* struct kafka_topic */
};

unsigned kafka_topic_partitions(const struct kafka_topic *topic); /* it begins with */
unsigned kafka_topic_units(const struct kafka_topic *topic);      /* it may come to have */
/* Partitions a topic of the cluster begins with; 0 when there is no such topic. */
unsigned kafka_partitions_of(const struct cluster *cluster, const char *topic);
/* Broker ids of one partition as the suite lists them; 0 when it leaves the choice to Kafka. */
size_t kafka_topic_replicas(const struct kafka_topic *topic, unsigned partition, int32_t *ids,
                            size_t max);

/* ---- places of a version: jars, class-data archive, formatted template (cache.c) */

struct kafka_places {
    char java[512];
    char libs[700];
    char archive[700]; /* "" when none could be made: slower, nothing else */
    char
        *class_path; /* explicit list, sorted: the archive insists on it; freed by places_release */
    bool checkpoint; /* 4.x: log folders need a bootstrap.checkpoint */
    char *checkpoint_bytes;
    size_t checkpoint_size;
    char version[32]; /* of the jars that are there */
};
/* Finds the jars, makes archive and template where they are missing (once per version, under a
 * lock). */
int kafka_places_find(struct kafka_places *places, const struct kafka_config *config,
                      const char *cache, bool make, struct err *err);
void kafka_places_release(struct kafka_places *places);
/* Where jars are that the suite or KAFKA_HOME names; NULL: nobody does. */
const char *kafka_home(const struct kafka_config *config);
/* Version of the jars in KAFKA_HOME or `home`; of `version` otherwise. */
int kafka_version(const void *config, char *out, size_t size, struct err *err);
const void *kafka_with_version(const void *config, const char *version, struct arena *arena,
                               struct err *err);
/* Java and the default version's jars, in the cache beside our binary or in ASSAY_CACHE, are there.
 */
int kafka_installed(struct err *err);

/* ---- versions.c */
/* All of it ("4.3.1" for 4.3), or as it was written where it is none that is fetched. */
const char *kafka_version_wanted(const struct kafka_config *config);
/* INPUT when it is neither fetched by ci/roots nor in the cache, and nobody says where its jars
 * are. */
int kafka_version_known(const struct kafka_config *config, struct err *err);
const char *kafka_offers(unsigned number, bool *there); /* system_ops.offers */

/* ---- layout.c */
int kafka_layout(struct cluster *cluster, struct node *node, struct err *err);
int kafka_broker_id(const struct cluster *cluster, const struct plan_node *node);
extern const char kafka_log4j1[], kafka_log4j2[]; /* all to standard output */
extern const struct config_rule kafka_config_rules[];
extern const struct plane kafka_planes[];

/* ---- a running cluster as we see it (view.c) */

struct kafka_partition {
    int16_t error;          /* of the answer it was taken from */
    int32_t leader, epoch;  /* -1 none */
    int32_t preferred;      /* first replica */
    uint32_t replicas, isr; /* bits by broker id */
    bool known;
};

/* What one broker's Metadata says. Its own cached copy of the quorum's log, not the quorum's word.
 */
struct kafka_view {
    bool answered;
    uint32_t brokers; /* registered and unfenced, bits by id */
    int64_t log_end;  /* how far this broker has read the quorum's log, -1 unknown */
    struct kafka_partition *partitions; /* by plan unit; only units of this cluster are filled */
};

enum kafka_offset { OFFSET_START, OFFSET_HIGH_WATERMARK, OFFSET_LAST_STABLE, OFFSET_LOG_END };
struct kafka_offsets {
    int16_t error;
    int64_t offset;
    int32_t epoch;
};

struct kafka_state {
    const struct plan_case *plan; /* the arrays below are sized by it */
    struct wire
        wires[BROKERS_MAX + CONTROLLERS_MAX]; /* by node index, client or controller plane */
    rd_kafka_t *admin;
    struct kafka_view views[BROKERS_MAX + 1]; /* by broker id; [0]: the best of them, see view.c */
    int32_t controller;            /* id of the metadata leader as the quorum says, -1 unknown */
    uint32_t asleep;               /* nodes that did not answer lately: asked with a short limit */
    struct kafka_offsets *offsets; /* scratch, by plan unit */
    int64_t *ends;                 /* by plan unit: the last high watermark a leader told */
    bool *wanted;                  /* scratch, by plan unit */
};

struct kafka_state *kafka_state(struct cluster *cluster);
void kafka_release(struct cluster *cluster);

unsigned kafka_brokers(const struct cluster *cluster);
unsigned kafka_cluster_index(const struct cluster *cluster);
/* A topic of this cluster, not a group. */
bool kafka_is_topic(const struct cluster *cluster, uint32_t dest);
bool kafka_is_group(const struct cluster *cluster, uint32_t dest);
/* Plan unit of a partition; NO_UNIT when the plan does not know it. */
uint32_t kafka_unit(const struct plan_case *plan, unsigned cluster, const char *topic,
                    int32_t partition);
/* Plan node of a broker or controller id; NO_NODE when there is none. */
uint16_t kafka_node_of(const struct cluster *cluster, int32_t id);
struct node *kafka_broker(struct cluster *cluster, int32_t id);

/* One request to one node and its answer. */
int kafka_ask(struct cluster *cluster, unsigned node_index, enum wire_api api, int16_t version,
              const struct wire_body *body, struct wire_view *answer, struct deadline deadline,
              struct err *err);
/* Metadata of every broker and the metadata leader; never fails: who did not answer is not
 * `answered`. */
void kafka_look(struct cluster *cluster, struct deadline deadline);
/* The best partition row of the last look (views[0]). */
const struct kafka_partition *kafka_partition(struct cluster *cluster, uint32_t unit);

/* One broker's answer for all units of the cluster whose bit in `wanted` is set; out is by plan
 * unit. LOG_END is answered by any replica about its own log, the others by the leader only. */
int kafka_list_offsets(struct cluster *cluster, int32_t broker, enum kafka_offset what,
                       const bool *wanted, struct kafka_offsets *out, struct deadline deadline,
                       struct err *err);
/* The group's committed position of every unit of its topic, by plan unit; -1 none. */
int kafka_committed(struct cluster *cluster, uint32_t group, int64_t *out, struct deadline deadline,
                    struct err *err);
struct kafka_group {
    char state[32];          /* "Stable", "Empty", "Dead" … */
    int32_t coordinator;     /* broker id */
    unsigned members, owned; /* owned: partitions of the group's topic assigned to members */
};
int kafka_group(struct cluster *cluster, uint32_t group, struct kafka_group *out,
                struct deadline deadline, struct err *err);

/* ---- admin.c: librdkafka's admin API, blocking */
/* `only`: this one; NULL: all the cluster is declared with */
int kafka_create_topics(struct cluster *cluster, const char *only, struct deadline deadline,
                        struct err *err);
int kafka_delete_topics(struct cluster *cluster, const char *only, struct deadline deadline,
                        struct err *err);
int kafka_delete_group(struct cluster *cluster, const char *group, struct deadline deadline,
                       struct err *err);
int kafka_effective(struct cluster *cluster, const struct kv_sink *sink, struct deadline deadline,
                    struct err *err);
rd_kafka_t *kafka_admin(struct cluster *cluster, struct err *err);
/* "10.77.1.1:9092,10.77.1.2:9092" */
void kafka_bootstrap(const struct plan_case *plan, const struct plan_cluster *cluster, char *out,
                     size_t size);

/* ---- form.c */
int kafka_form(struct cluster *cluster, struct deadline deadline, struct err *err);
int kafka_rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                   struct err *err);
int kafka_quiesce(struct cluster *cluster, uint32_t dest, struct deadline deadline,
                  struct err *err);
int kafka_reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                struct err *err);

/* ---- observe.c, drain.c, command.c */
int kafka_observe(struct cluster *cluster, struct role_table *table, struct deadline deadline,
                  struct err *err);
int kafka_drain(struct cluster *cluster, struct history_writer *audit, struct drain_proof *proofs,
                const uint16_t *down_nodes, size_t n_down, struct deadline deadline,
                struct err *err);
extern const struct system_command kafka_commands[];

/* topics.c: script verbs of topics */
struct kafka_topic_args {
    const char *topic;
    struct pairs config; /* alter */
};
extern const struct param kafka_alter_params[], kafka_topic_params[];
int kafka_alter(struct cluster *cluster, const void *args, uint16_t target,
                struct deadline deadline, struct err *err);
int kafka_add_partitions(struct cluster *cluster, const void *args, uint16_t target,
                         struct deadline deadline, struct err *err);
const char *kafka_renews(const struct system_command *command, const void *args);
int kafka_recreate(struct cluster *cluster, const void *args, uint16_t target,
                   struct deadline deadline, struct err *err);

/* ---- the data plane: client.c, producer.c, consumer.c, outcome.c */
extern const struct system_ops kafka_system;
extern const struct broker_ops kafka_broker_ops;
extern const struct outcome_rule kafka_outcomes[];

#endif
