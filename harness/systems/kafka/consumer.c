/*
 * The receiving half of a handle: a group member, or partitions assigned by hand, read in batches.
 * An ownership interval of a group is (partition, generation): the generation is read from the
 * group metadata librdkafka serialises ("CGMDv2:", rdkafka_cgrp.c 2.0.2); where that form is not
 * met, intervals are counted.
 *
 * The batch call of 2.0.2 runs the rebalance callback in the midst of a batch: an end of ownership
 * is therefore reported behind the deliveries that came with it.
 */
#include "systems/kafka/client.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COMMITTED_MS 5000
#define COMMIT_SYNC_NS (60 * SECOND_NS)

/* ---- ownership */

static uint32_t generation(struct kafka_handle *h)
{
    static const char magic[] = "CGMDv2:";
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(h->consumer);
    rd_kafka_error_t *error;
    void *bytes = NULL;
    size_t n = 0;
    int32_t id = -1;

    if (!metadata)
        return ++h->intervals;
    error = rd_kafka_consumer_group_metadata_write(metadata, &bytes, &n);
    if (error)
        rd_kafka_error_destroy(error);
    else if (n > sizeof(magic) - 1 + sizeof(id) && memcmp(bytes, magic, sizeof(magic) - 1) == 0)
        memcpy(&id, (const char *)bytes + sizeof(magic) - 1, sizeof(id));
    rd_kafka_mem_free(h->consumer, bytes);
    rd_kafka_consumer_group_metadata_destroy(metadata);
    return id > 0 ? (uint32_t)id : ++h->intervals;
}

static void own(struct kafka_handle *h, const char *topic, int32_t partition, uint32_t epoch,
                int64_t position, unsigned flags)
{
    uint32_t unit = kafka_unit(h->plan, h->cluster_index, topic, partition);

    if (unit == NO_UNIT)
        return;
    assert(h->n_owners < OWNERS_MAX); /* describe() refuses more partitions than half of that */
    if (flags & EV_GAINED)
        h->epochs[unit] = epoch;
    else
        h->lost_any = true;
    h->owners[h->n_owners++] = (struct ownership){
        .unit = unit, .epoch = h->epochs[unit], .position = position, .flags = (uint8_t)flags};
}

static void gained(struct kafka_handle *h, rd_kafka_topic_partition_list_t *list)
{
    uint32_t epoch = generation(h);
    bool known = rd_kafka_committed(h->consumer, list, COMMITTED_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;

    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *p = &list->elems[i];

        if (!known)
            p->offset = RD_KAFKA_OFFSET_INVALID; /* the library asks again and falls back to
                                                    auto.offset.reset */
        own(h, p->topic, p->partition, epoch, p->offset >= 0 ? p->offset : -1,
            p->offset >= 0 || !known ? EV_GAINED : EV_GAINED | EV_RESET);
    }
}

static void name_position(const struct kafka_handle *h, rd_kafka_topic_partition_list_t *list,
                          uint32_t unit, struct kafka_position position)
{
    rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(
        list, h->args->consume.topic, (int32_t)h->plan->units[unit].index);

    p->offset = position.offset;
    if (h->leader_epoch.carry)
        h->leader_epoch.carry(p, position.leader_epoch);
}

rd_kafka_topic_partition_list_t *kafka_consumer_take_done(struct kafka_handle *h)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

    for (uint32_t unit = 0; unit < h->plan->n_units; unit++) {
        if (h->done[unit].offset < 0)
            continue;
        name_position(h, list, unit, h->done[unit]);
        h->done[unit].offset = -1;
    }
    if (list->cnt > 0)
        return list;
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
}

/* What was done and not committed yet; blocks. */
static void commit_done(struct kafka_handle *h)
{
    rd_kafka_topic_partition_list_t *list = kafka_consumer_take_done(h);

    if (list) {
        rd_kafka_commit(h->consumer, list, 0);
        rd_kafka_topic_partition_list_destroy(list);
    }
    h->commit_at_ns = clock_now_ns() + h->args->consume.every_ns;
}

static void lost(struct kafka_handle *h, const rd_kafka_topic_partition_list_t *list)
{
    if (h->args->consume.on_revoke == REVOKE_COMMIT && !rd_kafka_assignment_lost(h->consumer)) {
        if (h->commit == COMMIT_PERIODIC)
            commit_done(h);
        else
            rd_kafka_commit(h->consumer, NULL, 0);
    }
    for (int i = 0; i < list->cnt; i++) { /* nobody's business any more */
        uint32_t unit =
            kafka_unit(h->plan, h->cluster_index, list->elems[i].topic, list->elems[i].partition);

        if (unit != NO_UNIT)
            h->done[unit].offset = -1;
    }
    for (int i = 0; i < list->cnt; i++)
        own(h, list->elems[i].topic, list->elems[i].partition, 0, -1, EV_LOST);
}

static void rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                      rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct kafka_handle *h = opaque;
    const char *protocol = rd_kafka_rebalance_protocol(rk);
    bool cooperative = protocol && strcmp(protocol, "COOPERATIVE") == 0;
    rd_kafka_error_t *error = NULL;

    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        gained(h, list);
        if (cooperative)
            error = rd_kafka_incremental_assign(rk, list);
        else
            rd_kafka_assign(rk, list);
    } else {
        lost(h, list);
        if (cooperative)
            error = rd_kafka_incremental_unassign(rk, list);
        else
            rd_kafka_assign(rk, NULL);
    }
    if (error)
        rd_kafka_error_destroy(error);
}

/* ---- open */

static int64_t start_of(const char *from)
{
    if (!from || strcmp(from, "beginning") == 0)
        return RD_KAFKA_OFFSET_BEGINNING;
    return strcmp(from, "end") == 0 ? RD_KAFKA_OFFSET_END : strtoll(from, NULL, 10);
}

static rd_kafka_resp_err_t assign_by_hand(struct kafka_handle *h,
                                          rd_kafka_topic_partition_list_t *list)
{
    const struct kafka_consume *consume = &h->args->consume;

    h->intervals = (uint32_t)h->spec.incarnation << 8 | (uint32_t)(h->spec.worker + 1);
    for (size_t i = 0; i < consume->partitions.n; i++) {
        int32_t partition = (int32_t)strtol(consume->partitions.items[i], NULL, 10);

        rd_kafka_topic_partition_list_add(list, consume->topic, partition)->offset =
            start_of(consume->from);
        own(h, consume->topic, partition, h->intervals,
            start_of(consume->from) >= 0 ? start_of(consume->from) : -1, EV_GAINED);
    }
    return rd_kafka_assign(h->consumer, list);
}

static int join(struct kafka_handle *h, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_resp_err_t code;

    if (h->args->consume.partitions.n > 0) {
        code = assign_by_hand(h, list);
    } else {
        rd_kafka_topic_partition_list_add(list, h->args->consume.topic, RD_KAFKA_PARTITION_UA);
        code = rd_kafka_subscribe(h->consumer, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code
               ? err_set(err, "subscribe to %s: %s", h->args->consume.topic, rd_kafka_err2str(code))
               : 0;
}

static bool is_true(const struct kafka_handle *h, const char *key)
{
    const char *value = kafka_client_key(h, key, "true"); /* both keys asked for default to true */

    return strcasecmp(value, "true") == 0 || strcasecmp(value, "t") == 0 || strcmp(value, "1") == 0;
}

/* Left alone, settling does what the library's own keys leave to do. */
static enum commit_mode commit_mode(const struct kafka_handle *h)
{
    if (h->args->consume.partitions.n > 0)
        return COMMIT_NONE;
    if (h->args->consume.commit != COMMIT_AUTO)
        return (enum commit_mode)h->args->consume.commit;
    if (!is_true(h, "enable.auto.commit"))
        return COMMIT_SYNC;
    return is_true(h, "enable.auto.offset.store") ? COMMIT_NONE : COMMIT_STORE;
}

int kafka_consumer_open(struct kafka_handle *h, struct err *err)
{
    const char *group = h->args->consume.group;
    rd_kafka_conf_t *conf = kafka_client_conf(h, group ? group : "assay-by-hand", err);
    uint64_t one = 1;
    char why[300];

    if (!conf)
        return -1;
    if (!group) /* positions of hand-made assignments are nobody's */
        rd_kafka_conf_set(conf, "enable.auto.commit", "false", why, sizeof(why));
    rd_kafka_conf_set_rebalance_cb(conf, rebalance);
    rd_kafka_conf_set_opaque(conf, h);
    h->stash = calloc(HARVEST_MAX, sizeof(*h->stash));
    h->epochs = calloc(h->plan->n_units + 1, sizeof(*h->epochs));
    h->done = calloc(h->plan->n_units + 1, sizeof(*h->done));
    if (!h->stash || !h->epochs || !h->done)
        abort();
    for (size_t i = 0; i < h->plan->n_units; i++)
        h->done[i].offset = -1;
    h->commit_at_ns = clock_now_ns() + h->args->consume.every_ns;
    h->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (!h->consumer) {
        rd_kafka_conf_destroy(conf);
        return err_input(err, "librdkafka: %s", why);
    }
    rd_kafka_poll_set_consumer(h->consumer);
    h->messages = rd_kafka_queue_get_consumer(h->consumer);
    h->commits = rd_kafka_queue_new(h->consumer);
    rd_kafka_queue_io_event_enable(h->messages, h->event_fd, &one, sizeof(one));
    rd_kafka_queue_io_event_enable(h->commits, h->event_fd, &one, sizeof(one));
    h->commit = commit_mode(h);
    if (h->commit != COMMIT_NONE && h->args->consume.leader_epoch == EPOCH_CARRIED)
        h->leader_epoch = kafka_leader_epoch_calls();
    return join(h, err);
}

/* ---- settle */

static struct kafka_position to_commit(const struct kafka_handle *h, const struct delivery *d)
{
    return (struct kafka_position){
        .offset = h->args->consume.offset == COMMIT_LAST ? d->position : d->position + 1,
        .leader_epoch = (int32_t)d->tag};
}

static rd_kafka_topic_partition_list_t *offset_list(const struct kafka_handle *h,
                                                    const struct delivery *d)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    name_position(h, list, d->unit, to_commit(h, d));
    return list;
}

static enum submit done(struct completion *c, const struct delivery *d, uint32_t slot,
                        enum outcome outcome, rd_kafka_resp_err_t code)
{
    *c = (struct completion){.slot = slot,
                             .outcome = outcome,
                             .code = (int16_t)code,
                             .node = NO_NODE,
                             .unit = d->unit,
                             .position = d->position};
    return SUBMIT_DONE;
}

/* Own queue and limit: rd_kafka_commit() waits for a coordinator that may never come. */
static rd_kafka_resp_err_t commit_and_wait(struct kafka_handle *h,
                                           const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(h->consumer);
    struct deadline deadline = deadline_in(COMMIT_SYNC_NS, NULL);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(h->consumer, list, queue, NULL, NULL);
    rd_kafka_event_t *event = code ? NULL : rd_kafka_queue_poll(queue, deadline_left_ms(&deadline));

    if (event)
        code = rd_kafka_event_error(event);
    else if (!code)
        code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    return code;
}

enum submit kafka_consumer_settle(struct kafka_handle *h, const struct settle *settle,
                                  uint32_t slot, struct completion *c)
{
    const struct delivery *d = settle->upto;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;

    /* there is no rejecting; what the library commits by itself is nobody's promise yet */
    if (!h->consumer || h->commit == COMMIT_NONE || settle->reject)
        return done(c, d, slot, OUTCOME_BELIEVED, RD_KAFKA_RESP_ERR_NO_ERROR);
    if (h->commit == COMMIT_PERIODIC || h->commit == COMMIT_TRANSACTION) {
        h->done[d->unit] = to_commit(h, d);
        if (h->commit == COMMIT_PERIODIC && clock_now_ns() >= h->commit_at_ns)
            commit_done(h);
        return done(c, d, slot, OUTCOME_BELIEVED, RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    list = offset_list(h, d);
    if (h->commit == COMMIT_STORE) {
        code = rd_kafka_offsets_store(h->consumer, list);
        rd_kafka_topic_partition_list_destroy(list);
        return done(c, d, slot, code ? OUTCOME_FAIL : OUTCOME_BELIEVED, code);
    }
    if (h->commit == COMMIT_SYNC) {
        code = commit_and_wait(h, list);
        rd_kafka_topic_partition_list_destroy(list);
        return done(c, d, slot, kafka_outcome_of_code(code), code);
    }
    code =
        rd_kafka_commit_queue(h->consumer, list, h->commits, NULL, (void *)(uintptr_t)(slot + 1));
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return done(c, d, slot, OUTCOME_FAIL, code);
    h->outstanding++;
    return SUBMIT_QUEUED;
}

static void take_commits(struct kafka_handle *h, struct harvest *harvest)
{
    while (harvest->n_completions < HARVEST_MAX) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(h->commits, 0);

        if (!event)
            return;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT) {
            rd_kafka_resp_err_t code = rd_kafka_event_error(event);

            harvest->completions[harvest->n_completions++] =
                (struct completion){.slot = (uint32_t)((uintptr_t)rd_kafka_event_opaque(event) - 1),
                                    .outcome = kafka_outcome_of_code(code),
                                    .code = (int16_t)code,
                                    .node = NO_NODE,
                                    .unit = NO_UNIT,
                                    .position = -1};
            h->outstanding--;
        }
        rd_kafka_event_destroy(event);
    }
}

/* ---- deliveries */

/* Errors travel among the messages; the library's log tells them, they are no deliveries. */
static void drop_errors(struct kafka_handle *h)
{
    rd_kafka_message_t **m = h->stash, **end = m + h->n_stash;
    size_t kept;

    while (m < end && !(*m)->err)
        m++;
    kept = (size_t)(m - h->stash);
    for (size_t i = kept; i < h->n_stash; i++) {
        if (h->stash[i]->err) {
            if (h->stash[i]->err == RD_KAFKA_RESP_ERR__FATAL)
                h->broken = true;
            rd_kafka_message_destroy(h->stash[i]);
        } else {
            h->stash[kept++] = h->stash[i];
        }
    }
    h->n_stash = kept;
}

/* Batches come partition by partition: the name is looked up where another begins. */
static uint32_t unit_of(struct kafka_handle *h, const rd_kafka_message_t *m)
{
    if (m->rkt != h->read_topic || m->partition != h->read_partition) {
        h->read_topic = m->rkt;
        h->read_partition = m->partition;
        h->read_unit =
            kafka_unit(h->plan, h->cluster_index, rd_kafka_topic_name(m->rkt), m->partition);
    }
    return h->read_unit;
}

static void hand_over(struct kafka_handle *h, struct harvest *harvest)
{
    size_t most = harvest->max_deliveries < HARVEST_MAX ? harvest->max_deliveries : HARVEST_MAX;
    size_t n = h->n_stash - h->borrowed;
    struct delivery *d = harvest->deliveries + harvest->n_deliveries;
    rd_kafka_message_t **next = h->stash + h->borrowed;
    const rd_kafka_topic_t *topic = NULL;
    int32_t partition = -1;
    uint32_t unit = NO_UNIT, epoch = 0;

    if (n > most - harvest->n_deliveries)
        n = most - harvest->n_deliveries;
    for (rd_kafka_message_t **end = next + n; next < end; next++, d++) {
        const rd_kafka_message_t *m = *next;

        if (m->rkt != topic || m->partition != partition) {
            topic = m->rkt;
            partition = m->partition;
            unit = unit_of(h, m);
            epoch = unit == NO_UNIT ? 0 : h->epochs[unit];
        }
        *d = (struct delivery){.payload = m->payload,
                               .size = m->len,
                               .unit = unit,
                               .position = m->offset,
                               .epoch = epoch};
        if (!m->payload)
            d->payload = kafka_payload(m, &d->size);
        if (h->leader_epoch.of_message)
            d->tag = (uint32_t)h->leader_epoch.of_message(m);
    }
    h->borrowed += n;
    harvest->n_deliveries += n;
}

static void report_owners(struct kafka_handle *h, struct harvest *harvest)
{
    for (size_t i = 0; i < h->n_owners && harvest->n_owners < HARVEST_MAX; i++)
        harvest->owners[harvest->n_owners++] = h->owners[i];
    h->n_owners = 0;
    h->lost_any = false;
}

/* Not handed over yet: the library is not asked for more, as an application that is busy would not.
 */
void kafka_consumer_harvest(struct kafka_handle *h, struct harvest *harvest)
{
    if (!h->consumer)
        return;
    take_commits(h, harvest);
    if (h->commit == COMMIT_PERIODIC && clock_now_ns() >= h->commit_at_ns)
        commit_done(h);
    if (h->n_stash == h->borrowed) {
        size_t most = harvest->max_deliveries < HARVEST_MAX ? harvest->max_deliveries : HARVEST_MAX;
        ssize_t n;

        assert(h->borrowed == 0); /* release() comes between two polls */
        if (h->n_owners > 0) {
            report_owners(h, harvest); /* ends that waited behind the last batch */
        }
        n = rd_kafka_consume_batch_queue(h->messages, 0, h->stash, most > 0 ? most : 1);
        h->n_stash = n > 0 ? (size_t)n : 0;
        drop_errors(h);
    }
    if (!h->lost_any || h->n_stash == 0)
        report_owners(h, harvest);
    hand_over(h, harvest);
}

void kafka_consumer_release(struct kafka_handle *h)
{
    for (rd_kafka_message_t **m = h->stash, **end = m + h->borrowed; m < end; m++)
        rd_kafka_message_destroy(*m);
    memmove(h->stash, h->stash + h->borrowed, (h->n_stash - h->borrowed) * sizeof(*h->stash));
    h->n_stash -= h->borrowed;
    h->borrowed = 0;
}

void kafka_consumer_close(struct kafka_handle *h, enum close_how how)
{
    if (!h->consumer)
        return;
    h->borrowed = h->n_stash;
    kafka_consumer_release(h);
    if (how == CLOSE_FLUSH && h->commit == COMMIT_PERIODIC)
        commit_done(h);
    if (how == CLOSE_FLUSH)
        rd_kafka_consumer_close(h->consumer); /* commits what is stored, leaves the group */
    rd_kafka_queue_destroy(h->messages);
    rd_kafka_queue_destroy(h->commits);
    rd_kafka_destroy_flags(h->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(h->stash);
    free(h->epochs);
    free(h->done);
    h->read_topic = NULL; /* another session may find another topic at its address */
    h->done = NULL;
    h->consumer = NULL;
    h->stash = NULL;
    h->epochs = NULL;
    h->n_owners = 0;
}
