/*
 * The two clients of a drain: a producer that sends one marker per partition, strongest
 * acknowledgement, and a fresh consumer, assigned by absolute offset, that reads the logs through
 * those markers. What it read is kept (drain.h: audited.events) until drain.c has proven it.
 * Bounded: RECORDS_MAX records a partition; beyond that the drain is not proven.
 */
#include "api/message.h"
#include "systems/kafka/client.h"
#include "systems/kafka/drain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_NS                                                                                   \
    (20 * SECOND_NS) /* the consumer got nothing for so long: the drain tries again                \
                      */
#define BATCH 1024
#define RECORDS_MAX (UINT64_C(1) << 23)
#define MARKER_SIZE 64u

static struct audited *audited_of(struct drain *d, const char *topic, int32_t partition)
{
    uint32_t unit = kafka_unit(d->plan, kafka_cluster_index(d->cluster), topic, partition);

    return unit == NO_UNIT ? NULL : &d->units[unit];
}

/* ---- markers */

static void ignore_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text;
}

static rd_kafka_t *open_client(struct drain *d, rd_kafka_type_t type, const char *const (*keys)[2],
                               size_t n, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char brokers[512], why[300] = "";
    rd_kafka_t *rk = NULL;
    bool good;

    kafka_bootstrap(d->plan, d->cluster->spec, brokers, sizeof(brokers));
    good =
        rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)) == RD_KAFKA_CONF_OK;
    for (size_t i = 0; i < n && good; i++)
        good =
            rd_kafka_conf_set(conf, keys[i][0], keys[i][1], why, sizeof(why)) == RD_KAFKA_CONF_OK;
    rd_kafka_conf_set_log_cb(conf, ignore_log);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
    if (good)
        rk = rd_kafka_new(type, conf, why, sizeof(why));
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        err_set(err, "audit client: %s", why);
    }
    return rk;
}

int kafka_audit_open(struct drain *d, struct err *err)
{
    static const char *const keys[][2] = {
        {"client.id", "assay-marker"},       {"acks", "all"},
        {"enable.idempotence", "true"},      {"linger.ms", "0"},
        {"message.timeout.ms", "30000"},     {"reconnect.backoff.ms", "20"},
        {"reconnect.backoff.max.ms", "200"}, {"retry.backoff.ms", "50"}};

    d->producer = open_client(d, RD_KAFKA_PRODUCER, keys, sizeof(keys) / sizeof(*keys), err);
    return d->producer ? 0 : -1;
}

static bool send_marker(struct drain *d, uint32_t unit)
{
    struct audited *a = &d->units[unit];
    const struct plan_unit *u = &d->plan->units[unit];
    struct msg msg = {.id = {.client = BY_AUDIT, .seq = d->next_seq++}, .flags = MSG_MARKER};
    uint8_t payload[MARKER_SIZE];
    char key[40]; /* compacted topics refuse records without one; never the same twice */
    int key_size = snprintf(key, sizeof(key), "assay-marker-%llu", (unsigned long long)msg.id.seq);
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = d->plan->dests[u->dest].name},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = (int32_t)u->index},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {payload, sizeof(payload)}},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {key, (size_t)key_size}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = a},
    };
    rd_kafka_error_t *error;

    payload_write(payload, sizeof(payload), d->plan->run, &msg);
    a->seq = msg.id.seq;
    a->epoch = kafka_partition(d->cluster, unit)->epoch;
    a->marked = false;
    error = rd_kafka_produceva(d->producer, parts, sizeof(parts) / sizeof(*parts));
    if (error) {
        snprintf(a->why, sizeof(a->why), "marker: %s", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
    return !error;
}

static unsigned take_reports(rd_kafka_event_t *event)
{
    const rd_kafka_message_t *m;
    unsigned n = 0;

    while ((m = rd_kafka_event_message_next(event))) {
        struct audited *a = m->_private;

        n++;
        a->marked = m->err == RD_KAFKA_RESP_ERR_NO_ERROR;
        a->marker = m->offset;
        if (m->err)
            snprintf(a->why, sizeof(a->why), "marker: %s", rd_kafka_err2str(m->err));
    }
    return n;
}

void kafka_audit_mark(struct drain *d)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(d->producer);
    unsigned sent = 0;

    for (uint32_t unit = 0; unit < d->plan->n_units; unit++)
        if (kafka_audit_pending(&d->units[unit]))
            sent += send_marker(d, unit);
    while (sent > 0 && !deadline_passed(&d->deadline)) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20);

        if (event && rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
            sent -= take_reports(event);
        if (event)
            rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
}

void kafka_audit_close(struct drain *d)
{
    if (!d->producer)
        return;
    rd_kafka_purge(d->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(d->producer);
    d->producer = NULL;
}

/* ---- the audit consumer */

static struct event *next_event(struct audited *a)
{
    if (a->n == a->size) {
        size_t size = a->size ? 2 * a->size : 4096;
        struct event *more =
            a->size >= RECORDS_MAX ? NULL : realloc(a->events, size * sizeof(*more));

        if (!more)
            return NULL;
        a->events = more;
        a->size = size;
    }
    return &a->events[a->n++];
}

static void keep_record(struct drain *d, struct audited *a, const rd_kafka_message_t *m)
{
    struct msg msg;
    size_t size;
    const void *payload = kafka_payload(m, &size);
    enum payload_check check = payload_read(payload, size, d->plan->run, &msg);
    struct event *e = next_event(a);

    if (!e) {
        snprintf(a->why, sizeof(a->why), "more than %llu records", (unsigned long long)RECORDS_MAX);
        return;
    }
    *e = (struct event){.type = EV_CORRUPT,
                        .by = BY_AUDIT,
                        .position = m->offset,
                        .unit = (uint32_t)(a - d->units),
                        .epoch = (uint32_t)a->epoch,
                        .code = check == PAYLOAD_CORRUPT ? 1 : 2};
    if (check == PAYLOAD_OK) {
        e->type = EV_AUDIT_LOG;
        e->code = 0;
        e->client = msg.id.client;
        e->incarnation = msg.id.incarnation;
        e->worker = msg.id.worker;
        e->seq = msg.id.seq;
        e->attempt = msg.attempt;
        e->key = msg.key;
        e->value = (int64_t)msg.key_seq;
        e->flags = msg.flags & MSG_MARKER ? EV_MARKER : 0;
    }
    if (m->offset == a->marker) {
        a->complete = check == PAYLOAD_OK && msg.id.client == BY_AUDIT && msg.id.seq == a->seq;
        if (!a->complete)
            snprintf(a->why, sizeof(a->why), "another record lies at the marker's offset %lld",
                     (long long)a->marker);
    }
}

/* Marker passed or error: nothing more to come of this partition. */
static bool take_record(struct drain *d, const rd_kafka_message_t *m)
{
    struct audited *a = m->rkt ? audited_of(d, rd_kafka_topic_name(m->rkt), m->partition) : NULL;

    if (!a || !kafka_audit_pending(a) || !a->marked || a->complete)
        return false;
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return false;
    if (m->err) {
        snprintf(a->why, sizeof(a->why), "audit read: %s", rd_kafka_message_errstr(m));
        a->marked = false;
        return true;
    }
    if (m->offset <= a->marker)
        keep_record(d, a, m);
    if (m->offset >= a->marker && !a->complete)
        a->marked = false; /* the marker is not where it was acknowledged: again */
    return m->offset >= a->marker;
}

static size_t assign(struct drain *d, rd_kafka_t *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(64);
    size_t n = 0;

    for (uint32_t unit = 0; unit < d->plan->n_units; unit++) {
        struct audited *a = &d->units[unit];
        const struct plan_unit *u = &d->plan->units[unit];

        if (!kafka_audit_pending(a) || !a->marked)
            continue;
        a->n = 0;
        a->complete = false;
        rd_kafka_topic_partition_list_add(list, d->plan->dests[u->dest].name, (int32_t)u->index)
            ->offset = a->start;
        n++;
    }
    if (n > 0)
        rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return n;
}

int kafka_audit_read(struct drain *d, struct err *err)
{
    static const char *const keys[][2] = {{"client.id", "assay-audit"},
                                          {"group.id", "assay-audit"},
                                          {"enable.auto.commit", "false"},
                                          {"auto.offset.reset", "error"},
                                          {"isolation.level", "read_committed"},
                                          {"check.crcs", "true"},
                                          {"fetch.wait.max.ms", "20"},
                                          {"fetch.error.backoff.ms", "50"},
                                          {"queued.max.messages.kbytes", "16384"},
                                          {"reconnect.backoff.ms", "20"},
                                          {"reconnect.backoff.max.ms", "200"}};
    static rd_kafka_message_t *batch[BATCH]; /* one drain at a time a process */
    rd_kafka_t *consumer =
        open_client(d, RD_KAFKA_CONSUMER, keys, sizeof(keys) / sizeof(*keys), err);
    struct deadline quiet = deadline_within(d->deadline, QUIET_NS);
    rd_kafka_queue_t *queue;
    size_t left;

    if (!consumer)
        return -1;
    queue = rd_kafka_queue_get_consumer(consumer);
    left = assign(d, consumer);
    while (left > 0 && !deadline_passed(&quiet)) {
        ssize_t n = rd_kafka_consume_batch_queue(queue, 50, batch, BATCH);

        for (ssize_t i = 0; i < n; i++) {
            left -= take_record(d, batch[i]);
            rd_kafka_message_destroy(batch[i]);
        }
        if (n > 0)
            quiet = deadline_within(d->deadline, QUIET_NS);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy_flags(consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return 0;
}
