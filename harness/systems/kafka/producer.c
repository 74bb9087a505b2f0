/*
 * The sending half of a handle: rd_kafka_produce with a delivery report per message, which
 * librdkafka gives by calling back out of rd_kafka_poll, in the worker's own thread: taking them
 * from an event instead moves every message through one list more. Retries, batching, idempotence
 * and order are librdkafka's, by the suite's own keys. The library (2.0.2) does not tell the leader
 * epoch of an acknowledgement: completions carry 0.
 */
#include "systems/kafka/gather.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TXN_MS 60000
#define FLUSH_MS 30000

static enum level level_of_acks(const struct kafka_handle *h)
{
    const char *acks =
        kafka_client_key(h, "acks", kafka_client_key(h, "request.required.acks", "all"));

    if (strcmp(acks, "0") == 0)
        return LEVEL_SENT;
    return strcmp(acks, "1") == 0 ? LEVEL_LEADER : LEVEL_QUORUM;
}

static int start_transactions(struct kafka_handle *h, struct err *err)
{
    rd_kafka_error_t *error;

    if (h->args->produce.transactions == TXN_NONE)
        return 0;
    error = rd_kafka_init_transactions(h->producer, TXN_MS);
    if (!error)
        return 0;
    err_set(err, "init_transactions: %s", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return -1;
}

static void reported(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque);
static void note_error(rd_kafka_t *rk, int code, const char *why, void *opaque);

/* Several sends given to the library at once: only where nothing hangs on what each single call
 * answers. */
static bool gathers(const struct kafka_handle *h)
{
    const struct kafka_produce *how = &h->args->produce;

    return how->reports == REPORTS_HANDLED && how->queue_full == QUEUE_FULL_RETRY &&
           how->transactions == TXN_NONE;
}

int kafka_producer_open(struct kafka_handle *h, struct err *err)
{
    const struct kafka_config *config = h->cluster->config;
    rd_kafka_conf_t *conf = kafka_client_conf(h, NULL, err);
    uint64_t one = 1;
    char why[300];

    if (!conf)
        return -1;
    rd_kafka_conf_set_opaque(conf, h);
    rd_kafka_conf_set_error_cb(conf, note_error);
    if (h->args->produce.reports != REPORTS_IGNORED)
        rd_kafka_conf_set_dr_msg_cb(conf, reported);
    h->fatal = false;
    h->gather = gathers(h) ? kafka_gather_open() : NULL;
    h->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!h->producer) {
        rd_kafka_conf_destroy(conf);
        return err_input(err, "librdkafka: %s", why);
    }
    h->topic = rd_kafka_topic_new(h->producer, h->args->produce.topic, NULL);
    if (!h->topic)
        return err_set(err, "topic %s: %s", h->args->produce.topic,
                       rd_kafka_err2str(rd_kafka_last_error()));
    h->reports = rd_kafka_queue_get_main(h->producer);
    rd_kafka_queue_io_event_enable(h->reports, h->event_fd, &one, sizeof(one));
    h->level = level_of_acks(h);
    h->brokers = &h->plan->nodes[h->cluster->first_node];
    h->n_brokers = (int32_t)config->kafka.brokers;
    h->first_unit = kafka_unit(h->plan, h->cluster_index, h->args->produce.topic, 0);
    for (size_t i = 0; h->first_unit != NO_UNIT && i < h->plan->n_dests; i++)
        if (h->plan->dests[i].first_unit == h->first_unit && !h->plan->dests[i].group)
            h->n_units = h->plan->dests[i].n_units;
    return start_transactions(h, err);
}

static int32_t partition_of(const struct kafka_handle *h, uint32_t unit)
{
    if (h->args->produce.partition >=
        0) /* what the suite says beats what the workload chose by key */
        return (int32_t)h->args->produce.partition;
    return unit != NO_UNIT && h->first_unit != NO_UNIT ? (int32_t)(unit - h->first_unit)
                                                       : RD_KAFKA_PARTITION_UA;
}

/* Answered at once: refused by the call itself, or nobody waits for its report. */
static enum submit at_once(const struct send *send, uint32_t slot, enum outcome outcome,
                           rd_kafka_resp_err_t code, struct completion *c)
{
    *c = (struct completion){.slot = slot,
                             .outcome = outcome,
                             .code = (int16_t)code,
                             .node = NO_NODE,
                             .unit = send->unit,
                             .position = -1};
    return SUBMIT_DONE;
}

/* The library copies: the payload is borrowed only until we return. */
static rd_kafka_resp_err_t give(struct kafka_handle *h, const struct send *send, uint32_t slot)
{
    char digits[KEY_DIGITS];
    struct kafka_key key = kafka_key_of(digits, send->msg->key);
    int32_t partition = partition_of(h, send->unit);
    void *opaque = (void *)(uintptr_t)(slot + 1);

    if (send->msg->flags & MSG_REMOVED)
        return kafka_tombstone_send(h, partition, key, send, opaque);
    return rd_kafka_produce(h->topic, partition, RD_KAFKA_MSG_F_COPY,
                            (void *)(uintptr_t)send->payload, send->size, key.text, key.size,
                            opaque) == 0
               ? RD_KAFKA_RESP_ERR_NO_ERROR
               : rd_kafka_last_error();
}

static enum submit produce(struct kafka_handle *h, const struct send *send, uint32_t slot,
                           struct completion *c)
{
    const struct kafka_produce *how = &h->args->produce;
    rd_kafka_resp_err_t code = give(h, send, slot);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (how->reports == REPORTS_IGNORED)
            return at_once(send, slot, OUTCOME_BELIEVED, RD_KAFKA_RESP_ERR_NO_ERROR, c);
        h->outstanding++;
        h->reports_due++;
        return SUBMIT_QUEUED;
    }
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && how->queue_full == QUEUE_FULL_IGNORE)
        return at_once(send, slot, OUTCOME_BELIEVED, code, c);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        c->code = (int16_t)code;
        return SUBMIT_BUSY;
    }
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        h->broken = true;
    return at_once(send, slot, OUTCOME_FAIL, code, c); /* it never left the process */
}

/* ---- several at once */

static void hold(struct kafka_handle *h, const struct completion *c);

/* It never left the process; told with the next harvest. */
static void refused(void *handle, const rd_kafka_message_t *m)
{
    struct kafka_handle *h = handle;
    struct completion c = {.slot = (uint32_t)((uintptr_t)m->_private - 1),
                           .outcome = OUTCOME_FAIL,
                           .code = (int16_t)m->err,
                           .node = NO_NODE,
                           .unit = NO_UNIT,
                           .position = -1};

    if (m->err == RD_KAFKA_RESP_ERR__FATAL)
        h->broken = true;
    h->reports_due--;
    hold(h, &c);
    h->held_ended = h->n_held;
}

static inline enum submit gathered(struct kafka_handle *h, const struct send *send)
{
    h->outstanding++;
    h->reports_due++;
    if (!send->more)
        kafka_gather_hand_over(h->gather, h->topic, refused, h);
    return SUBMIT_QUEUED;
}

/* There is no room beside what is there: that goes to the library first. */
__attribute__((noinline)) static enum submit make_room(struct kafka_handle *h, int32_t partition,
                                                       const struct send *send, uint32_t slot,
                                                       struct completion *c)
{
    kafka_gather_hand_over(h->gather, h->topic, refused, h);
    if (h->gather->n > 0) {
        c->code = RD_KAFKA_RESP_ERR__QUEUE_FULL;
        return SUBMIT_BUSY;
    }
    if (!kafka_gather_add(h->gather, partition, send, slot))
        return produce(h, send, slot, c); /* larger than what is gathered, or a tombstone */
    return gathered(h, send);
}

enum submit kafka_producer_send(struct kafka_handle *h, const struct send *send, uint32_t slot,
                                struct completion *c)
{
    int32_t partition;

    if (!h->gather || (!send->more && h->gather->n == 0))
        return produce(h, send, slot, c);
    partition = partition_of(h, send->unit);
    if (!kafka_gather_add(h->gather, partition, send, slot))
        return make_room(h, partition, send, slot, c);
    return gathered(h, send);
}

/* ---- reports */

static uint16_t node_of(const struct kafka_handle *h, int32_t broker)
{
    return broker < 1 || broker > h->n_brokers ? NO_NODE : h->brokers[broker - 1].id;
}

static inline void complete(const struct kafka_handle *h, const rd_kafka_message_t *m,
                            struct completion *c)
{
    uint16_t node = node_of(h, rd_kafka_message_broker_id(m)); /* the one call: before all else */
    bool known = (uint32_t)m->partition < h->n_units; /* none of them where there is no topic */

    *c = (struct completion){
        .slot = (uint32_t)((uintptr_t)m->_private - 1),
        .outcome = OUTCOME_OK,
        .level = h->level,
        .code = (int16_t)m->err,
        .node = node,
        .unit = known ? h->first_unit + (uint32_t)m->partition : NO_UNIT,
        .position = m->offset >= 0 ? m->offset : -1,
    };
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    c->outcome = kafka_outcome(m->err, rd_kafka_message_status(m));
    c->level = c->outcome == OUTCOME_OK ? h->level : LEVEL_NONE;
    c->position = -1;
}

/* A report of a transaction's message is no promise yet; a refusal waits for the next harvest. */
static void hold(struct kafka_handle *h, const struct completion *c)
{
    if (h->n_held == h->held_size) {
        h->held_size = h->held_size ? 2 * h->held_size : 256;
        h->held = realloc(h->held, h->held_size * sizeof(*h->held));
        if (!h->held)
            abort();
    }
    h->held[h->n_held++] = *c;
}

/* The end of the transaction is the outcome of all that was sent in it. */
static void end_held(struct kafka_handle *h, enum outcome end)
{
    for (size_t i = h->held_ended; i < h->n_held; i++) {
        struct completion *c = &h->held[i];

        if (c->outcome == OUTCOME_OK && end != OUTCOME_OK) {
            c->outcome = end;
            c->level = LEVEL_NONE;
            c->position = -1;
        } else if (c->outcome == OUTCOME_UNKNOWN && end == OUTCOME_FAIL) {
            c->outcome = OUTCOME_FAIL; /* wherever it lies, it was aborted */
        }
    }
    h->held_ended = h->n_held;
}

static void harvest_held(struct kafka_handle *h, struct harvest *harvest)
{
    size_t n = 0;

    while (n < h->held_ended && harvest->n_completions < HARVEST_MAX)
        harvest->completions[harvest->n_completions++] = h->held[n++];
    if (n == 0)
        return;
    h->outstanding -= n;
    h->n_held -= n;
    h->held_ended -= n;
    memmove(h->held, h->held + n, h->n_held * sizeof(*h->held));
}

static void note_error(rd_kafka_t *rk, int code, const char *why, void *opaque)
{
    struct kafka_handle *h = opaque;

    (void)rk, (void)why;
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        h->fatal = true;
}

__attribute__((noinline)) static void reported_in_transaction(struct kafka_handle *h,
                                                              const rd_kafka_message_t *m)
{
    struct completion c;

    complete(h, m, &c);
    hold(h, &c);
}

/* Into the harvest in hand; the library is asked to keep the rest when that is full. */
static void reported(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct kafka_handle *h = opaque;
    struct harvest *harvest = h->harvest;

    assert(h->reports_due > 0);
    h->reports_due--;
    if (!harvest) {
        reported_in_transaction(h, m);
        return;
    }
    complete(h, m, &harvest->completions[harvest->n_completions++]);
    h->outstanding--;
    if (harvest->n_completions == HARVEST_MAX)
        rd_kafka_yield(rk);
}

/* Lets the library call back; a harvest has room for one report at least. NULL: they are held. */
static void take_reports(struct kafka_handle *h, struct harvest *harvest, int timeout_ms)
{
    h->harvest = harvest;
    rd_kafka_poll(h->producer, timeout_ms);
    h->harvest = NULL;
    if (h->fatal && !h->broken) {
        h->broken = true;
        rd_kafka_purge(h->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    }
}

void kafka_producer_harvest(struct kafka_handle *h, struct harvest *harvest)
{
    if (h->gather)
        kafka_gather_hand_over(h->gather, h->topic, refused, h);
    harvest_held(h, harvest);
    if (h->producer && harvest->n_completions < HARVEST_MAX)
        take_reports(h, h->args->produce.transactions == TXN_NONE ? harvest : NULL, 0);
}

/* ---- transactions */

/* What was settled, not the consumer's position: that counts what waits in our stash, too. */
static rd_kafka_error_t *send_offsets(struct kafka_handle *h)
{
    rd_kafka_topic_partition_list_t *done = h->consumer ? kafka_consumer_take_done(h) : NULL;
    rd_kafka_consumer_group_metadata_t *group;
    rd_kafka_error_t *error;

    if (!done)
        return NULL;
    group = rd_kafka_consumer_group_metadata(h->consumer);
    error = rd_kafka_send_offsets_to_transaction(h->producer, done, group, TXN_MS);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(done);
    return error;
}

/* A commit flushes, and while it does somebody has to take the reports: they are taken before. */
static void await_reports(struct kafka_handle *h)
{
    struct deadline deadline = deadline_in(TXN_MS * MS_NS, NULL);

    while (h->reports_due > 0 && !h->broken && !deadline_passed(&deadline))
        take_reports(h, NULL, 20);
}

static void abort_failed(struct kafka_handle *h)
{
    rd_kafka_error_t *error = rd_kafka_abort_transaction(h->producer, TXN_MS);

    if (error)
        rd_kafka_error_destroy(error);
}

enum submit kafka_producer_txn(struct kafka_handle *h, enum txn_verb verb, struct completion *c)
{
    rd_kafka_error_t *error = NULL;

    *c = (struct completion){
        .outcome = OUTCOME_OK, .node = NO_NODE, .unit = NO_UNIT, .position = -1};
    if (verb == TXN_COMMIT || verb == TXN_ABORT)
        await_reports(h);
    switch (verb) {
    case TXN_BEGIN:
        error = rd_kafka_begin_transaction(h->producer);
        break;
    case TXN_SEND_OFFSETS:
        error = send_offsets(h);
        break;
    case TXN_COMMIT:
        error = rd_kafka_commit_transaction(h->producer, TXN_MS);
        c->level = LEVEL_QUORUM;
        break;
    case TXN_ABORT:
        error = rd_kafka_abort_transaction(h->producer, TXN_MS);
        break;
    }
    if (!error) {
        if (verb == TXN_COMMIT || verb == TXN_ABORT)
            end_held(h, verb == TXN_COMMIT ? OUTCOME_OK : OUTCOME_FAIL);
        return SUBMIT_DONE;
    }
    c->code = (int16_t)rd_kafka_error_code(error);
    c->level = LEVEL_NONE;
    /* a transaction that must be aborted did not commit; a time-out or a lost answer tells nothing
     */
    c->outcome = rd_kafka_error_txn_requires_abort(error) ? OUTCOME_FAIL : OUTCOME_UNKNOWN;
    h->broken = h->broken || rd_kafka_error_is_fatal(error);
    rd_kafka_error_destroy(error);
    if (verb == TXN_COMMIT && c->outcome == OUTCOME_FAIL)
        abort_failed(h);
    if (verb == TXN_COMMIT || verb == TXN_ABORT) {
        end_held(h, verb == TXN_COMMIT ? c->outcome : OUTCOME_UNKNOWN);
        h->broken = h->broken || h->consumer; /* its offsets begin again at the committed ones */
    }
    return SUBMIT_DONE;
}

void kafka_producer_close(struct kafka_handle *h, enum close_how how)
{
    if (!h->producer)
        return;
    if (how == CLOSE_ABRUPT || h->outstanding > 0)
        rd_kafka_purge(h->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                        RD_KAFKA_PURGE_F_NON_BLOCKING);
    else if (h->args->produce.at_exit == EXIT_FLUSH) /* what nobody waits for the report of */
        rd_kafka_flush(h->producer, FLUSH_MS);
    if (h->reports)
        rd_kafka_queue_destroy(h->reports);
    if (h->topic)
        rd_kafka_topic_destroy(h->topic);
    rd_kafka_destroy(h->producer);
    free(h->gather);
    free(h->held);
    h->gather = NULL;
    h->held = NULL;
    h->n_held = h->held_size = h->held_ended = h->reports_due = 0;
    h->producer = NULL;
    h->reports = NULL;
    h->topic = NULL;
    h->outstanding = 0;
}
