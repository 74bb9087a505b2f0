/*
 * A client's handle: librdkafka producer and consumer of one worker thread, their queues behind one
 * eventfd. producer.c and consumer.c each hold one half, client.c the ops.
 */
#ifndef ASSAY_KAFKA_CLIENT_H
#define ASSAY_KAFKA_CLIENT_H

#include "systems/kafka/kafka.h"

#define OWNERS_MAX 512

enum report_mode { REPORTS_HANDLED, REPORTS_IGNORED };
enum queue_full_mode { QUEUE_FULL_RETRY, QUEUE_FULL_IGNORE };
enum exit_mode { EXIT_FLUSH, EXIT_DROP };
enum transactions { TXN_NONE, TXN_STABLE, TXN_RANDOM };
enum membership { MEMBER_DYNAMIC, MEMBER_STATIC };
enum commit_mode {
    COMMIT_AUTO,
    COMMIT_NONE,
    COMMIT_STORE,
    COMMIT_SYNC,
    COMMIT_ASYNC,
    COMMIT_PERIODIC,
    COMMIT_TRANSACTION
};
enum commit_offset { COMMIT_NEXT, COMMIT_LAST };
enum commit_epoch { EPOCH_CARRIED, EPOCH_LEFT_OUT };
enum on_revoke { REVOKE_NOTHING, REVOKE_COMMIT };

/* A client entry's keys that are Kafka's. */
struct kafka_args {
    struct kafka_produce {
        const char *topic;
        int64_t partition; /* -1: the library's partitioner chooses by key */
        int reports;       /* enum report_mode */
        int queue_full;    /* enum queue_full_mode */
        int at_exit;       /* enum exit_mode */
        int transactions;  /* enum transactions: how the transactional.id is made */
    } produce;
    struct kafka_consume {
        const char *topic, *group;
        int membership;            /* enum membership */
        struct strings partitions; /* given: assigned by hand, no group */
        const char *from;          /* of a hand-made assignment: beginning, end or an offset */
        int commit;                /* enum commit_mode */
        int64_t every_ns;          /* COMMIT_PERIODIC */
        int offset;                /* enum commit_offset: what a commit names */
        int leader_epoch;          /* enum commit_epoch: beside it */
        int on_revoke;             /* enum on_revoke */
    } consume;
    struct pairs librdkafka;
};
/* client_params.c */
extern const struct param kafka_client_params[];
extern const char *const kafka_send_verbs[], *const kafka_receive_verbs[];
int kafka_client_names(const void *args, const char **sends_to, const char **reads,
                       const char **group);
const char *kafka_client_senseless(const void *args, unsigned instances);
int kafka_client_check(const void *args, struct err *err);
bool kafka_client_setting(const void *args, const char *key, char *out, size_t size);

/* Of librdkafka from 2.1.0 on; NULL where the library has no such call. */
struct leader_epoch_calls {
    int32_t (*of_message)(const rd_kafka_message_t *message);
    void (*carry)(rd_kafka_topic_partition_t *partition, int32_t leader_epoch);
};

/* What a commit names. */
struct kafka_position {
    int64_t offset;       /* next one to read; -1 none */
    int32_t leader_epoch; /* the message before it was read in; carried where the library can */
};

struct kafka_handle {
    const struct plan_case *plan;
    const struct plan_client *client;
    const struct kafka_args *args;
    const struct plan_cluster *cluster;
    unsigned cluster_index;
    struct client_spec spec;
    int event_fd, wake_fd;
    bool broken;

    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *reports;
    struct harvest *harvest;         /* reports go there while the library calls back; NULL: held */
    struct kafka_gather *gather;     /* not yet the library's; NULL: each send goes by itself */
    bool fatal;                      /* the library told of an error that ends its instance */
    const struct plan_node *brokers; /* by id from 1 */
    int32_t n_brokers;
    uint32_t first_unit, n_units; /* of the topic that is produced to */
    enum level level;             /* of an ok, by acks */
    size_t outstanding;           /* sends and commits that have not completed */
    struct completion *held;      /* of the open transaction: what they are worth its end decides */
    size_t n_held, held_size, held_ended; /* [0, held_ended) wait for a harvest */
    size_t reports_due;                   /* sends of the library without a report */

    rd_kafka_t *consumer;
    rd_kafka_queue_t *messages, *commits;
    rd_kafka_message_t **stash;       /* HARVEST_MAX: taken from the library, handed over or not */
    size_t n_stash, handed, borrowed; /* [0, borrowed) are the caller's, [borrowed, n_stash) wait */
    const rd_kafka_topic_t *read_topic; /* of the last delivery, with its partition and unit */
    int32_t read_partition;
    uint32_t read_unit;
    enum commit_mode commit;
    struct leader_epoch_calls leader_epoch;
    struct kafka_position *done; /* COMMIT_PERIODIC, _TRANSACTION, by plan unit: to be committed */
    int64_t commit_at_ns;
    uint32_t *epochs;   /* ownership interval by plan unit, 0 never owned */
    uint32_t intervals; /* hand-made ones, counted */
    struct ownership owners[OWNERS_MAX];
    size_t n_owners;
    bool lost_any; /* an interval ended: deliveries that came before are reported first */
};

/* Ours and the user's keys into one conf; NULL with the library's own words in err. */
rd_kafka_conf_t *kafka_client_conf(const struct kafka_handle *h, const char *group,
                                   struct err *err);
const char *kafka_client_key(const struct kafka_handle *h, const char *key, const char *fallback);

/* The key as a decimal number, at the end of `digits`. Every message pays for this: printf takes as
 * long as recording does. */
#define KEY_DIGITS 10
struct kafka_key {
    char *text;
    size_t size;
};
static inline struct kafka_key kafka_key_of(char digits[KEY_DIGITS], uint32_t key)
{
    char *at = digits + KEY_DIGITS;

    for (; key >= 10; key /= 10)
        *--at = (char)('0' + key % 10);
    *--at = (char)('0' + key);
    return (struct kafka_key){at, (size_t)(digits + KEY_DIGITS - at)};
}

/* ---- leader_epoch.c */
struct leader_epoch_calls kafka_leader_epoch_calls(void);

/* ---- tombstone.c */
rd_kafka_resp_err_t kafka_tombstone_send(struct kafka_handle *h, int32_t partition,
                                         struct kafka_key key, const struct send *send,
                                         void *opaque);
/* What a record carries, in its value or a tombstone's header; lives as long as the message. */
const void *kafka_payload(const rd_kafka_message_t *m, size_t *size);

int kafka_producer_open(struct kafka_handle *h, struct err *err);
enum submit kafka_producer_send(struct kafka_handle *h, const struct send *send, uint32_t slot,
                                struct completion *c);
void kafka_producer_harvest(struct kafka_handle *h, struct harvest *harvest);
enum submit kafka_producer_txn(struct kafka_handle *h, enum txn_verb verb, struct completion *c);
void kafka_producer_close(struct kafka_handle *h, enum close_how how);

int kafka_consumer_open(struct kafka_handle *h, struct err *err);
/* What was settled and waits for the transaction, as offsets to send with it; NULL: none. */
rd_kafka_topic_partition_list_t *kafka_consumer_take_done(struct kafka_handle *h);
enum submit kafka_consumer_settle(struct kafka_handle *h, const struct settle *settle,
                                  uint32_t slot, struct completion *c);
void kafka_consumer_harvest(struct kafka_handle *h, struct harvest *harvest);
void kafka_consumer_release(struct kafka_handle *h);
void kafka_consumer_close(struct kafka_handle *h, enum close_how how);

/* JUDGING: outcome. What a delivery report means. */
enum outcome kafka_outcome(rd_kafka_resp_err_t code, rd_kafka_msg_status_t status);
/* The same for answers that carry no status; codes the table does not list are unknown. */
enum outcome kafka_outcome_of_code(rd_kafka_resp_err_t code);

#endif
