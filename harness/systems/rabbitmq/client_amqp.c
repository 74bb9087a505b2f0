/*
 * AMQP 0-9-1 on a connection: login, frames in, heartbeats, leaving. What is published and consumed
 * on it is publish.c's and consume.c's business.
 *
 * rabbitmq-c's traps that this knows of: amqp_simple_wait_frame_noblock may leave whole frames in
 * its buffer, so poll(2) sleeps only when neither a frame is enqueued nor data buffered; its
 * buffers are reused only after amqp_maybe_release_buffers_on_channel; a blocked socket blocks its
 * publish.
 */
#include "systems/rabbitmq/client.h"

#include "base/clock.h"

#include <stdlib.h>

#define SYNC_WAITS_NS (5 * MS_NS)

/* ---- connections */

static void bury(struct rabbit_client *c)
{
    rabbit_disconnect(c->dead, false);
    c->dead = NULL;
}

static void disconnect(struct rabbit_client *c, bool orderly)
{
    rabbit_disconnect(c->connection, orderly);
    c->connection = NULL;
}

/* Everything up to confirm.select and basic.consume; afterwards the library writes no more. */
static int connect_to(struct rabbit_client *c, const struct plan_node *node, struct err *err)
{
    int heartbeat_s = (int)((c->args->heartbeat_ns + SECOND_NS - 1) / SECOND_NS);

    bury(c);
    c->connection =
        rabbit_connect(node->address, heartbeat_s, deadline_in(CONNECT_WITHIN_NS, NULL), err);
    if (!c->connection)
        return -1;
    if ((c->spec.sends && publish_start(c, err) < 0) ||
        (c->spec.receives && consume_start(c, err) < 0)) {
        disconnect(c, false);
        c->gained = false;
        return -1;
    }
    amqp_tune_connection(c->connection, amqp_get_channel_max(c->connection),
                         amqp_get_frame_max(c->connection), 0);
    c->fd = amqp_get_sockfd(c->connection);
    c->frame_max = (size_t)amqp_get_frame_max(c->connection);
    return 0;
}

static void broke(struct rabbit_client *c, int16_t code)
{
    if (c->spec.sends)
        publish_break(c, code);
    if (c->spec.receives)
        consume_break(c, code);
    /* Deliveries in the caller's hands may lie in its buffers: it goes with the next release. */
    c->dead = c->connection;
    c->connection = NULL;
}

/* ---- reading */

static int close_code(const amqp_method_t *method)
{
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD)
        return ((const amqp_channel_close_t *)method->decoded)->reply_code;
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD)
        return ((const amqp_connection_close_t *)method->decoded)->reply_code;
    return 0;
}

static void take_frame(struct rabbit_client *c, const amqp_frame_t *frame)
{
    int code = frame->frame_type == AMQP_FRAME_METHOD ? close_code(&frame->payload.method) : 0;

    if (frame->frame_type == AMQP_FRAME_METHOD &&
        (frame->payload.method.id == AMQP_CONNECTION_BLOCKED_METHOD ||
         frame->payload.method.id == AMQP_CONNECTION_UNBLOCKED_METHOD)) {
        c->blocked = frame->payload.method.id == AMQP_CONNECTION_BLOCKED_METHOD;
        c->unblocked_ns = clock_now_ns();
    }
    if (code)
        client_break(c, code);
    else if (frame->channel == PUBLISH_CHANNEL)
        publish_frame(c, frame);
    else if (frame->channel == CONSUME_CHANNEL)
        consume_frame(c, frame);
}

static bool has_more(const struct rabbit_client *c)
{
    return amqp_frames_enqueued(c->connection) || amqp_data_in_buffer(c->connection);
}

/* Reads one portion of the socket and all whole frames in it. */
static void read_frames(struct rabbit_client *c)
{
    do {
        struct timeval now = {0, 0};
        amqp_frame_t frame;
        int status = amqp_simple_wait_frame_noblock(c->connection, &frame, &now);

        if (status == AMQP_STATUS_OK)
            take_frame(c, &frame);
        else if (status != AMQP_STATUS_TIMEOUT)
            client_break(c, status);
        else
            break;
    } while (c->connected && client_has_room(c) && has_more(c));
}

static void released(struct rabbit_client *c)
{
    if (c->spec.receives)
        consume_released(c);
    if (c->connection && !c->returned.method)
        amqp_maybe_release_buffers_on_channel(c->connection, PUBLISH_CHANNEL);
    bury(c);
}

/* ---- time */

static void heartbeat(struct rabbit_client *c)
{
    wire_heartbeat(&c->wire);
}

static void tick(struct rabbit_client *c, int64_t now_ns)
{
    if (c->spec.receives)
        consume_sync(c, now_ns);
    if (c->spec.sends && c->connected)
        publish_tick(c, now_ns);
}

static int64_t due_ns(const struct rabbit_client *c, int64_t now_ns)
{
    bool sync = c->settled_end > c->settled_first && !c->sync_covers;
    int64_t sync_ns = sync ? now_ns + SYNC_WAITS_NS : INT64_MAX;
    int64_t publish_ns = c->spec.sends ? publish_due_ns(c) : INT64_MAX;

    return sync_ns < publish_ns ? sync_ns : publish_ns;
}

/* ---- life */

static int open_all(struct rabbit_client *c, struct err *err)
{
    if (c->spec.sends && publish_prepare(c, err) < 0)
        return -1;
    return c->spec.receives ? consume_prepare(c, err) : 0;
}

static void close_all(struct rabbit_client *c)
{
    bury(c);
    for (; c->kept_n > 0; c->kept_n--) {
        free(c->kept[c->kept_first].owned);
        c->kept_first = (c->kept_first + 1) % DELIVERIES_KEPT_MAX;
    }
    for (size_t i = 0; i < c->lent_n; i++)
        free(c->lent[i].owned);
    content_next(&c->incoming);
    content_next(&c->returned);
    publish_release(c);
    free(c->kept);
    free(c->lent);
    free(c->settling);
}

const struct rabbit_protocol rabbit_over_amqp = {
    .open = open_all,
    .close = close_all,
    .connect = connect_to,
    .disconnect = disconnect,
    .send = publish_send,
    .read = read_frames,
    .has_more = has_more,
    .heartbeat = heartbeat,
    .tick = tick,
    .due_ns = due_ns,
    .broke = broke,
    .released = released,
};
