/*
 * The stream protocol on a connection: a publisher whose messages have publishing ids, pipelined,
 * confirmed one by one. What a name and ids are worth, and why their order matters: stream_ids.h.
 *
 * A confirm says that a majority has the message, or had it before under the same name and id. When
 * the stream's leader dies the server says MetadataUpdate and the publisher is void: what was in
 * flight is unknown, and a new publisher is declared on a new connection, as after a broken one.
 *
 * Left out: batches of messages in one entry, super streams, the leader's
 * address (Metadata): the connection goes where the client is told, as AMQP's does.
 */
#include "systems/rabbitmq/client.h"
#include "systems/rabbitmq/stream_ids.h"
#include "systems/rabbitmq/stream_link.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISHER 0 /* the only one of its connection */

struct rabbit_stream {
    struct stream_link link;
    struct stream_ids ids;
    char producer[256]; /* "": none */
};

_Static_assert(offsetof(struct rabbit_stream, link) == 0, "where its test puts a socket");

/* ---- who publishes */

/* A name is one worker's: two that count by themselves would take each other's messages for their
 * own. An only worker has the name as it is written. */
static void name_producer(const struct rabbit_client *c, char *out, size_t size)
{
    const struct plan_client *client = c->spec.client;
    const char *name = c->args->publish.producer;

    if (!name || client->instances * client->workers == 1)
        snprintf(out, size, "%s", name ? name : "");
    else
        snprintf(out, size, "%s-%u.%u", name, c->spec.client_id - client->first_id + 1u,
                 c->spec.worker);
}

static int open_stream(struct rabbit_client *c, struct err *err)
{
    struct rabbit_stream *s = calloc(1, sizeof(*s));

    if (!s)
        return err_set(err, "out of memory");
    c->stream = s;
    s->link.fd = -1;
    publish_find_unit(c);
    c->level = LEVEL_QUORUM;
    name_producer(c, s->producer, sizeof(s->producer));
    if (stream_link_init(&s->link, err) < 0)
        return -1;
    return stream_ids_init(&s->ids, c->limit, err);
}

static void close_stream(struct rabbit_client *c)
{
    stream_link_release(&c->stream->link);
    stream_ids_release(&c->stream->ids);
    free(c->stream);
}

static int connect_to(struct rabbit_client *c, const struct plan_node *node, struct err *err)
{
    struct rabbit_stream *s = c->stream;
    struct deadline deadline = deadline_in(CONNECT_WITHIN_NS, NULL);
    const struct stream_login how = {.heartbeat_s =
                                         (int)((c->args->heartbeat_ns + SECOND_NS - 1) / SECOND_NS),
                                     .publisher = PUBLISHER,
                                     .producer = s->producer,
                                     .stream = c->args->publish.queue};

    if (stream_link_connect(&s->link, node->address, deadline, err) < 0)
        return -1;
    if (stream_link_login(&s->link, &how, deadline, err) < 0) {
        stream_link_hang_up(&s->link, false);
        return -1;
    }
    stream_ids_restart(&s->ids);
    c->fd = s->link.fd;
    return 0;
}

static void disconnect(struct rabbit_client *c, bool orderly)
{
    stream_link_hang_up(&c->stream->link, orderly);
}

/* ---- publishing */

static enum submit refused(const struct rabbit_client *c, uint32_t slot, int code,
                           struct completion *done)
{
    *done = client_completion(c, slot, OUTCOME_FAIL, LEVEL_NONE, code);
    return SUBMIT_DONE;
}

static enum submit stream_send(struct rabbit_client *c, const struct send *send, uint32_t slot,
                               struct completion *done)
{
    struct rabbit_stream *s = c->stream;
    uint64_t id = stream_id_of(&send->msg->id);
    size_t size = stream_publish_size(send->size);
    bool timed = c->args->publish.confirm_within_ns > 0;
    uint8_t *at;

    if (c->in_flight + c->done_n >= c->limit)
        return SUBMIT_BUSY;
    if (size - 4 > s->link.frame_max || size > WIRE_BYTES)
        return refused(c, slot, CODE_STREAM_TOO_LONG, done);
    at = wire_reserve(&c->wire, size);
    if (!at) {
        if (wire_flush(&c->wire, c->fd) < 0)
            client_break(c, AMQP_STATUS_SOCKET_ERROR);
        return SUBMIT_BUSY; /* room comes with the next poll */
    }
    switch (stream_ids_add(&s->ids, id, slot, timed ? clock_now_ns() : 0)) {
    case IDS_FULL:
        return SUBMIT_BUSY;
    case IDS_LATE:
        return refused(c, slot, CODE_STREAM_LATE, done);
    case IDS_ADDED:
        break;
    }
    stream_publish_write(at, PUBLISHER, id, send->payload, send->size);
    c->wire.end += size;
    c->in_flight++;
    return SUBMIT_QUEUED;
}

/* ---- answers */

static void resolve(struct rabbit_client *c, uint32_t slot, enum outcome outcome, int code)
{
    c->in_flight--;
    client_complete(c, client_completion(c, slot, outcome,
                                         outcome == OUTCOME_OK ? c->level : LEVEL_NONE, code));
}

/* What no server says today is no other code because a completion's has 16 bits. */
static int take_code(struct stream_frame *frame)
{
    uint64_t code = stream_take(frame, 2);

    return STREAM_CODE(code < INT16_MAX - 1000 ? (int)code : INT16_MAX - 1000);
}

static void confirmed(struct rabbit_client *c, struct stream_frame *frame)
{
    bool ours = stream_take(frame, 1) == PUBLISHER;
    uint32_t slot;

    for (size_t n = stream_take_count(frame, 8); n > 0; n--) {
        uint64_t id = stream_take(frame, 8);

        if (ours && stream_ids_take(&c->stream->ids, id, &slot))
            resolve(c, slot, OUTCOME_OK, CODE_STREAM_CONFIRMED);
    }
}

static void refused_by_server(struct rabbit_client *c, struct stream_frame *frame)
{
    bool ours = stream_take(frame, 1) == PUBLISHER;
    uint32_t slot;

    for (size_t n = stream_take_count(frame, 10); n > 0; n--) {
        uint64_t id = stream_take(frame, 8);
        int code = take_code(frame);

        if (ours && stream_ids_take(&c->stream->ids, id, &slot))
            resolve(c, slot, outcome_of_code(rabbit_outcomes, code), code);
    }
}

/* Something became of a stream, and its publishers are gone with it: of ours? */
static void metadata_update(struct rabbit_client *c, struct stream_frame *frame)
{
    int code = take_code(frame);

    if (stream_take_is(frame, c->args->publish.queue))
        client_break(c, code);
}

/* Whatever the reason: it says nothing of what was in flight, as the same code of one message does.
 */
static void closed_by_server(struct rabbit_client *c)
{
    client_break(c, CODE_STREAM_CLOSED);
}

static void take_frame(struct rabbit_client *c, struct stream_frame *frame)
{
    if (frame->response)
        return; /* of a call that was given up */
    switch (frame->key) {
    case STREAM_PUBLISH_CONFIRM:
        confirmed(c, frame);
        break;
    case STREAM_PUBLISH_ERROR:
        refused_by_server(c, frame);
        break;
    case STREAM_METADATA_UPDATE:
        metadata_update(c, frame);
        break;
    case STREAM_CLOSE:
        closed_by_server(c);
        break;
    case STREAM_HEARTBEAT:
        break;
    default:
        frame->torn = true; /* nothing else comes to a publisher unasked */
    }
    if (frame->torn)
        client_break(c, CODE_STREAM_NONSENSE);
}

static bool has_more(const struct rabbit_client *c)
{
    return stream_link_has_more(&c->stream->link);
}

static void read_frames(struct rabbit_client *c)
{
    int code;

    if (!has_more(c) && !stream_link_read(&c->stream->link, &code)) {
        client_break(c, code);
        return;
    }
    while (c->connected && client_has_room(c)) {
        struct stream_frame frame;
        enum stream_found found = stream_link_next(&c->stream->link, &frame);

        if (found == STREAM_PART)
            return;
        if (found == STREAM_NONSENSE)
            client_break(c, CODE_STREAM_NONSENSE);
        else
            take_frame(c, &frame);
    }
}

/* Oldest first: what is sent again keeps its order. */
static void broke(struct rabbit_client *c, int16_t code)
{
    uint32_t slot;

    while (stream_ids_pop(&c->stream->ids, &slot))
        resolve(c, slot, OUTCOME_UNKNOWN, code);
    stream_link_hang_up(&c->stream->link, false);
}

/* ---- time */

static void heartbeat(struct rabbit_client *c)
{
    struct stream_request r;
    uint8_t *at;

    stream_begin(&r, STREAM_HEARTBEAT, 0);
    at = wire_reserve(&c->wire, stream_end(&r));
    if (!at)
        return;
    memcpy(at, r.bytes, r.n);
    c->wire.end += r.n;
}

static int64_t due_ns(const struct rabbit_client *c, int64_t now_ns)
{
    int64_t oldest_ns = stream_ids_oldest_ns(&c->stream->ids);

    (void)now_ns;
    return c->args->publish.confirm_within_ns > 0 && oldest_ns != INT64_MAX
               ? oldest_ns + c->args->publish.confirm_within_ns
               : INT64_MAX;
}

static void tick(struct rabbit_client *c, int64_t now_ns)
{
    if (now_ns >= due_ns(c, now_ns))
        client_break(c, CODE_CONFIRM_TIMEOUT);
}

static void released(struct rabbit_client *c)
{
    (void)c; /* nothing is handed out */
}

const struct rabbit_protocol rabbit_over_stream = {
    .open = open_stream,
    .close = close_stream,
    .connect = connect_to,
    .disconnect = disconnect,
    .send = stream_send,
    .read = read_frames,
    .has_more = has_more,
    .heartbeat = heartbeat,
    .tick = tick,
    .due_ns = due_ns,
    .broke = broke,
    .released = released,
};
