/* Takes everything that is left. See audit.h. */
#include "systems/rabbitmq/audit.h"

#include "history/history.h"
#include "systems/rabbitmq/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARKER_BYTES 64

int audit_open(struct audit *audit, struct cluster *cluster, const char *address,
               struct deadline deadline, struct err *err)
{
    *audit = (struct audit){.cluster = cluster,
                            .n = rabbit_queues(cluster),
                            .nonce = (uint64_t)clock_now_ns() & MESSAGE_SEQ_MAX};
    audit->queues = calloc(audit->n + 1, sizeof(*audit->queues));
    if (!audit->queues)
        return err_set(err, "out of memory");
    audit->connection = rabbit_connect(address, 0, deadline, err);
    if (!audit->connection)
        return -1;
    /* Without a bound a quorum queue takes its own, 2000 (rabbit_quorum_queue.erl,
     * UNLIMITED_PREFETCH_COUNT). */
    amqp_basic_qos(audit->connection, 1, 0, UINT16_MAX, false);
    if (rabbit_refused(audit->connection, "basic.qos", NULL, err))
        return -1;
    amqp_confirm_select(audit->connection, 1);
    return rabbit_refused(audit->connection, "confirm.select", NULL, err) ? -1 : 0;
}

void audit_close(struct audit *audit)
{
    rabbit_disconnect(audit->connection, true);
    content_next(&audit->content);
    for (size_t q = 0; audit->queues && q < audit->n; q++)
        free(audit->queues[q].events);
    free(audit->queues);
    memset(audit, 0, sizeof(*audit));
}

/* ---- what was taken */

static struct event *room_for(struct audit_queue *queue)
{
    if (queue->n == queue->room) {
        queue->room = queue->room ? 2 * queue->room : 256;
        queue->events = realloc(queue->events, queue->room * sizeof(*queue->events));
        if (!queue->events)
            abort();
    }
    return &queue->events[queue->n++];
}

static void note_marker(struct audit *audit, struct audit_queue *queue, const struct event *e)
{
    queue->markers++;
    if (e->seq == audit->nonce) {
        queue->marker_seen = true;
        queue->marker_position = e->position;
    }
}

static void take(struct audit *audit, size_t q, const struct content *content)
{
    struct audit_queue *queue = &audit->queues[q];
    struct event *e = room_for(queue);
    struct msg msg;
    enum payload_check check =
        payload_read(content->body, content->size, audit->cluster->plan->run, &msg);

    *e = (struct event){.type = EV_CORRUPT,
                        .at_ns = clock_now_ns(),
                        .by = BY_AUDIT,
                        .position = queue->is_stream ? content->offset : (int64_t)queue->n - 1,
                        .unit = rabbit_unit_of(audit->cluster, q),
                        .code = check == PAYLOAD_FOREIGN ? 2 : 1};
    if (check != PAYLOAD_OK)
        return;
    e->type = EV_AUDIT_LOG;
    e->code = 0;
    e->client = msg.id.client;
    e->incarnation = msg.id.incarnation;
    e->worker = msg.id.worker;
    e->seq = msg.id.seq;
    e->attempt = msg.attempt;
    e->key = msg.key;
    e->value = (int64_t)msg.key_seq;
    e->flags = (uint8_t)((content->redelivered ? EV_REDELIVERED : 0) |
                         (content->dead_lettered ? EV_REJECT : 0) |
                         (msg.flags & MSG_MARKER ? EV_MARKER : 0));
    if (msg.flags & MSG_MARKER)
        note_marker(audit, queue, e);
}

void audit_record(const struct audit *audit, size_t q, struct history_writer *writer)
{
    for (size_t i = 0; i < audit->queues[q].n; i++)
        history_record(writer, &audit->queues[q].events[i]);
}

/* ---- frames */

static int next_frame(struct audit *audit, amqp_frame_t *frame, int64_t wait_ns, struct err *err)
{
    struct timeval wait = {.tv_sec = wait_ns / SECOND_NS, .tv_usec = wait_ns % SECOND_NS / US_NS};
    int status = amqp_simple_wait_frame_noblock(audit->connection, frame, &wait);

    if (status == AMQP_STATUS_OK)
        return 1;
    if (status == AMQP_STATUS_TIMEOUT)
        return 0;
    return err_set(err, "audit: %s", amqp_error_string2(status));
}

static int closed_by(const amqp_frame_t *frame, struct err *err)
{
    const amqp_method_t *m = &frame->payload.method;

    if (frame->frame_type != AMQP_FRAME_METHOD)
        return 0;
    if (m->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = m->decoded;

        return err_set(err, "audit: %u %.*s", close->reply_code, (int)close->reply_text.len,
                       (char *)close->reply_text.bytes);
    }
    if (m->id == AMQP_CONNECTION_CLOSE_METHOD)
        return err_set(err, "audit: the node closed the connection");
    if (m->id == AMQP_BASIC_CANCEL_METHOD)
        return err_set(err, "audit: the node cancelled the consumer: a queue went away");
    return 0;
}

/* One frame; messages are taken. 1 a frame came (*other: it is no part of a message), 0 none in
 * time. */
static int pump(struct audit *audit, amqp_frame_t *frame, bool *other, int64_t wait_ns, long *taken,
                struct err *err)
{
    int got = next_frame(audit, frame, wait_ns, err);
    enum content_state state;

    *other = false;
    if (got <= 0)
        return got;
    if (closed_by(frame, err) < 0)
        return -1;
    state = content_feed(&audit->content, frame);
    *other = state == CONTENT_OTHER;
    if (state != CONTENT_WHOLE)
        return 1;
    if (audit->content.method != AMQP_BASIC_RETURN_METHOD) {
        size_t q = (size_t)strtoul(audit->content.consumer, NULL, 10);

        if (q < audit->n) {
            take(audit, q, &audit->content);
            ++*taken;
            if (audit->queues[q].is_stream) /* asks for more */
                amqp_basic_ack(audit->connection, 1, audit->content.tag, false);
        }
    }
    content_next(&audit->content);
    amqp_maybe_release_buffers_on_channel(audit->connection, 1);
    return 1;
}

long audit_take(struct audit *audit, int64_t wait_ns, struct deadline deadline, struct err *err)
{
    amqp_frame_t frame;
    long taken = 0;
    bool other;
    int got;

    do
        got = pump(audit, &frame, &other, wait_ns, &taken, err);
    while (got > 0 && !deadline_passed(&deadline));
    return got < 0 ? -1 : taken;
}

/* ---- asking */

int audit_consume(struct audit *audit, size_t q, struct deadline deadline, struct err *err)
{
    struct arena arena = {0};
    amqp_basic_consume_t consume = {
        .queue = amqp_cstring_bytes(rabbit_queue_name(audit->cluster, q)),
        .consumer_tag =
            amqp_cstring_bytes(arena_printf(&arena, "%zu-%u", q, audit->queues[q].consumers)),
    };
    bool ok = false;
    int status;

    if (audit->queues[q].is_stream)
        rabbit_table_put(&arena, &consume.arguments, "x-stream-offset", "first");
    status = amqp_send_method(audit->connection, 1, AMQP_BASIC_CONSUME_METHOD, &consume);
    arena_release(&arena);
    if (status != AMQP_STATUS_OK)
        return err_set(err, "audit: %s", amqp_error_string2(status));
    while (!ok) {
        amqp_frame_t frame;
        bool other;
        long taken = 0;

        if (pump(audit, &frame, &other, 50 * MS_NS, &taken, err) < 0)
            return -1;
        ok = other && frame.frame_type == AMQP_FRAME_METHOD &&
             frame.payload.method.id == AMQP_BASIC_CONSUME_OK_METHOD;
        if (!ok && deadline_passed(&deadline))
            return err_set(err, "audit: basic.consume was not answered");
    }
    audit->queues[q].consumers++;
    return 0;
}

/* Waits for the marker's confirm: 0 ack, -1 nack, return, or silence. */
static int wait_confirm(struct audit *audit, struct deadline deadline, struct err *err)
{
    bool returned = false;

    for (;;) {
        amqp_frame_t frame;
        bool other;
        long taken = 0;
        int got = pump(audit, &frame, &other, 50 * MS_NS, &taken, err);

        if (got < 0)
            return -1;
        returned |= got && frame.frame_type == AMQP_FRAME_METHOD &&
                    frame.payload.method.id == AMQP_BASIC_RETURN_METHOD;
        if (other && frame.frame_type == AMQP_FRAME_METHOD) {
            if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD)
                return returned ? err_set(err, "the marker was returned: no such queue") : 0;
            if (frame.payload.method.id == AMQP_BASIC_NACK_METHOD)
                return err_set(err, "the marker was refused (nack)");
        }
        if (deadline_passed(&deadline))
            return err_set(err, "the marker was not confirmed");
    }
}

int audit_marker(struct audit *audit, size_t q, struct deadline deadline, struct err *err)
{
    struct msg msg = {.id = {.client = BY_AUDIT, .worker = (uint16_t)q, .seq = audit->nonce},
                      .flags = MSG_MARKER};
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    uint8_t payload[MARKER_BYTES];
    int status;

    payload_write(payload, sizeof(payload), audit->cluster->plan->run, &msg);
    status = amqp_basic_publish(audit->connection, 1, amqp_empty_bytes,
                                amqp_cstring_bytes(rabbit_queue_name(audit->cluster, q)), true,
                                false, &properties, (amqp_bytes_t){sizeof(payload), payload});
    if (status != AMQP_STATUS_OK)
        return err_set(err, "marker: %s", amqp_error_string2(status));
    if (wait_confirm(audit, deadline, err) < 0)
        return -1;
    audit->queues[q].marked = true;
    return 0;
}

int audit_is_empty(struct audit *audit, size_t q, struct deadline deadline, struct err *err)
{
    amqp_basic_get_t get = {.queue = amqp_cstring_bytes(rabbit_queue_name(audit->cluster, q))};
    int status = amqp_send_method(audit->connection, 1, AMQP_BASIC_GET_METHOD, &get);

    if (status != AMQP_STATUS_OK)
        return err_set(err, "audit: %s", amqp_error_string2(status));
    for (;;) {
        amqp_frame_t frame;
        int got = next_frame(audit, &frame, 50 * MS_NS, err);

        if (got < 0 || (got > 0 && closed_by(&frame, err) < 0))
            return -1;
        if (got == 0 && deadline_passed(&deadline))
            return err_set(err, "audit: basic.get was not answered");
        if (got == 0)
            continue;
        if (frame.frame_type == AMQP_FRAME_METHOD &&
            frame.payload.method.id == AMQP_BASIC_GET_EMPTY_METHOD)
            return 1;
        if (content_feed(&audit->content, &frame) == CONTENT_WHOLE) {
            bool was_get = audit->content.method == AMQP_BASIC_GET_OK_METHOD;

            take(audit, was_get ? q : (size_t)strtoul(audit->content.consumer, NULL, 10),
                 &audit->content);
            content_next(&audit->content);
            if (was_get)
                return 0;
        }
    }
}
