/*
 * The life of a data plane handle: connect, read and write without blocking, break, connect again,
 * leave. What is published and consumed on it is publish.c's and consume.c's business.
 *
 * rabbitmq-c's traps that this knows of: amqp_simple_wait_frame_noblock may leave whole frames in
 * its buffer, so poll(2) sleeps only when neither a frame is enqueued nor data buffered; its
 * buffers are reused only after amqp_maybe_release_buffers_on_channel; a blocked socket blocks its
 * publish.
 */
#include "systems/rabbitmq/client.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_WITHIN_NS (2 * SECOND_NS)
#define OPEN_WITHIN_NS (10 * SECOND_NS)
#define FLUSH_WITHIN_NS (10 * SECOND_NS)
#define OPEN_RETRY_NS (100 * MS_NS)
#define FLUSH_AT_BYTES ((size_t)32 << 10) /* sent right away: the broker may as well begin */

/* ---- keys of a client entry */

static const char *const blocked_words[] = {"unheard", "wait", NULL};
static const char *const unconfirmed_words[] = {"unknown", "forgotten", NULL};
#define PUBLISH(member) offsetof(struct publish_args, member)
static const struct param publish_params[] = {
    {"queue", PARAM_STRING, PUBLISH(queue),
     .help = "straight into this queue, by the default exchange"},
    {"exchange", PARAM_STRING, PUBLISH(exchange), .help = "or to this exchange …"},
    {"key", PARAM_STRING, PUBLISH(key), .help = "… with this routing key"},
    {"mandatory", PARAM_BOOL, PUBLISH(mandatory), .fallback = "false",
     .help = "a message without a queue comes back (basic.return): rejected"},
    {"confirm", PARAM_BOOL, PUBLISH(confirm), .fallback = "true",
     .help = "publisher confirms; without them a message is believed to be sent"},
    {"confirm_timeout", PARAM_DURATION, PUBLISH(confirm_within_ns), .max = 3600 * SECOND_NS,
     .help = "gives the connection up when a confirm has not come for so long; 0s: waits for ever"},
    {"unconfirmed", PARAM_CHOICE, PUBLISH(unconfirmed), .fallback = "unknown",
     .choices = unconfirmed_words,
     .help = "what the application takes those for whose confirm is missing when the connection "
             "breaks: forgotten ones it believes to be sent"},
    {"blocked", PARAM_CHOICE, PUBLISH(blocked), .fallback = "unheard", .choices = blocked_words,
     .help = "connection.blocked is not listened to, or publishing (and the wait for confirms) "
             "stands still until connection.unblocked"},
    {"tx", PARAM_INT, PUBLISH(tx), .fallback = "0", .max = 10000, .unit = "messages",
     .help = "instead of confirms a transaction (tx.select, tx.commit) of so many messages"},
    {"properties", PARAM_VERBATIM, PUBLISH(properties),
     .help = "of every message, AMQP's names: delivery_mode, expiration, priority …; the values of "
             "a list by turns"},
    {"headers", PARAM_VERBATIM, PUBLISH(headers),
     .help = "of every message, as a headers exchange wants them; lists by turns"},
    {0}};

#define CONSUME(member) offsetof(struct consume_args, member)
static const struct param consume_params[] = {
    {"queue", PARAM_STRING, CONSUME(queue), .required = true, .help = "which queue"},
    {"no_ack", PARAM_BOOL, CONSUME(no_ack), .fallback = "false",
     .help = "the broker forgets a message when it hands it over"},
    {"prefetch", PARAM_INT, CONSUME(prefetch), .fallback = "0", .max = 65535, .unit = "messages",
     .help = "unacknowledged at most (basic.qos); 0: no bound"},
    {"arguments", PARAM_VERBATIM, CONSUME(arguments), .help = "as in basic.consume: x-priority …"},
    {0}};

#define ARGS(member) offsetof(struct rabbit_client_args, member)
static const struct param client_params[] = {
    {"publish", PARAM_STRUCT, ARGS(publish), .sub = publish_params,
     .sub_size = sizeof(struct publish_args), .shorthand = "queue", .help = "a publisher"},
    {"consume", PARAM_STRUCT, ARGS(consume), .sub = consume_params,
     .sub_size = sizeof(struct consume_args), .shorthand = "queue", .help = "a consumer"},
    {"outstanding", PARAM_INT, ARGS(outstanding), .fallback = "1000", .min = 1,
     .max = OUTSTANDING_MAX, .unit = "messages",
     .help = "published and not yet confirmed at most, per worker"},
    {"heartbeat", PARAM_DURATION, ARGS(heartbeat_ns), .fallback = "10s", .max = 3600 * SECOND_NS,
     .help = "AMQP heartbeat: twice this long without a word and the connection is given up; 0s: "
             "never"},
    /* The Java client waits 5 s, pika asks its user. At once is dangerous: a channel of 3.10 that
     * is opened between a quorum queue's leader's death and the word of the next one nacks
     * everything until the dead node is back (rabbit_fifo_client:enqueue, {badrpc, nodedown}). */
    {"recovery", PARAM_DURATION, ARGS(recovery_ns), .fallback = "2s", .max = 3600 * SECOND_NS,
     .help =
         "waits this long before it connects again (other libraries: network recovery interval)"},
    {0}};

static const char *const send_verbs[] = {"publish", NULL};
static const char *const receive_verbs[] = {"consume", NULL};

/* With an exchange its bindings decide: the suite says meant_for. */
static int client_names(const void *self, const char **sends_to, const char **reads,
                        const char **group)
{
    const struct rabbit_client_args *args = self;
    const struct publish_args *publish = &args->publish;

    *sends_to = publish->queue;
    if (!publish->queue && publish->exchange && !*publish->exchange)
        *sends_to = publish->key;
    *reads = args->consume.queue;
    *group = NULL;
    return 0;
}

static bool client_hands_over(const void *self)
{
    const struct rabbit_client_args *args = self;

    return args->consume.no_ack;
}

/* ---- completions that wait to be told */

void client_complete(struct rabbit_client *c, struct completion done)
{
    assert(c->done_n < c->room);
    c->done[(c->done_first + c->done_n++) % c->room] = done;
}

static void tell_completions(struct rabbit_client *c, struct harvest *harvest)
{
    while (c->done_n > 0 && harvest->n_completions < HARVEST_MAX) {
        harvest->completions[harvest->n_completions++] = c->done[c->done_first];
        c->done_first = (c->done_first + 1) % c->room;
        c->done_n--;
    }
}

static void tell_ownership(struct rabbit_client *c, struct harvest *harvest)
{
    struct ownership change = {.unit = c->read_unit, .epoch = c->epoch, .position = -1};

    if (c->gained) {
        change.flags = EV_GAINED;
        harvest->owners[harvest->n_owners++] = change;
    }
    if (c->lost) {
        change.flags = EV_LOST;
        harvest->owners[harvest->n_owners++] = change;
    }
    c->gained = c->lost = false;
}

/* ---- connections */

void client_break(struct rabbit_client *c, int code)
{
    if (!c->connection)
        return;
    c->broken = true;
    c->broke_ns = clock_now_ns();
    c->broken_code = (int16_t)code;
    if (c->spec.sends)
        publish_break(c, (int16_t)code);
    if (c->spec.receives)
        consume_break(c, (int16_t)code);
    /* Deliveries in the caller's hands may lie in its buffers: it goes with the next release. */
    c->dead = c->connection;
    c->connection = NULL;
}

static void bury(struct rabbit_client *c)
{
    rabbit_disconnect(c->dead, false);
    c->dead = NULL;
}

static const struct plan_cluster *cluster_of(const struct rabbit_client *c)
{
    return &c->spec.plan->clusters[c->spec.client->cluster];
}

/* Unique over the workers and incarnations of one client instance. */
static uint32_t epoch_of(const struct client_spec *spec, uint32_t connection)
{
    return (uint32_t)(spec->incarnation & 0xfff) << 20 | (uint32_t)(spec->worker & 0xff) << 12 |
           (connection & 0xfff);
}

/* Everything up to confirm.select and basic.consume; afterwards the library writes no more. */
static int connect_to(struct rabbit_client *c, unsigned node, struct err *err)
{
    const struct plan_node *plan = &c->spec.plan->nodes[cluster_of(c)->first_node + node];
    int heartbeat_s = (int)((c->args->heartbeat_ns + SECOND_NS - 1) / SECOND_NS);

    bury(c);
    c->connection =
        rabbit_connect(plan->address, heartbeat_s, deadline_in(CONNECT_WITHIN_NS, NULL), err);
    if (!c->connection)
        return err_prefix(err, "%s", plan->name);
    c->home = node;
    if ((c->spec.sends && publish_start(c, err) < 0) ||
        (c->spec.receives && consume_start(c, err) < 0)) {
        rabbit_disconnect(c->connection, false);
        c->connection = NULL;
        c->gained = false;
        return err_prefix(err, "%s", plan->name);
    }
    amqp_tune_connection(c->connection, amqp_get_channel_max(c->connection),
                         amqp_get_frame_max(c->connection), 0);
    c->fd = amqp_get_sockfd(c->connection);
    c->frame_max = (size_t)amqp_get_frame_max(c->connection);
    wire_reset(&c->wire);
    c->blocked = false;
    c->epoch = epoch_of(&c->spec, ++c->connections);
    c->sent_ns = c->heard_ns = clock_now_ns();
    return 0;
}

/* The first node that can be reached, beginning with the one of before. */
static int client_reconnect(void *self, struct err *err)
{
    struct rabbit_client *c = self;
    unsigned n = cluster_of(c)->n_nodes;
    unsigned first = c->home;

    if (c->connection)
        return 0;
    if (c->broke_ns && clock_now_ns() - c->broke_ns < c->args->recovery_ns)
        return err_set(err, "waits before it connects again");
    for (unsigned i = 0; i < n; i++)
        if (connect_to(c, (first + i) % n, err) == 0)
            return 0;
    c->home = first;
    return -1;
}

static int client_open(void *self, const struct client_spec *spec, int wake_fd, struct err *err)
{
    struct rabbit_client *c = self;
    struct deadline deadline = deadline_in(OPEN_WITHIN_NS, NULL);

    *c = (struct rabbit_client){.spec = *spec,
                                .args = spec->client->broker_args,
                                .wake_fd = wake_fd,
                                .fd = -1,
                                .unit = NO_UNIT,
                                .read_unit = NO_UNIT};
    c->room = (size_t)c->args->outstanding + OUTSTANDING_MAX;
    c->done = calloc(c->room, sizeof(*c->done));
    if (!c->done || wire_init(&c->wire, err) < 0)
        return err_set(err, "out of memory");
    if ((spec->sends && publish_prepare(c, err) < 0) ||
        (spec->receives && consume_prepare(c, err) < 0))
        return -1;
    while (client_reconnect(c, err) < 0)
        if (deadline_sleep(&deadline, OPEN_RETRY_NS) < 0)
            return -1;
    return 0;
}

/* `via:`: goes over to that node once nothing is in flight. 1: it is there, 0: not yet, -1: no way.
 */
static int go_to(struct rabbit_client *c, uint16_t via)
{
    unsigned node = via - cluster_of(c)->first_node;
    struct err why;

    assert(node < cluster_of(c)->n_nodes);
    if (c->connection && c->home == node)
        return 1;
    if (c->in_flight > 0 || c->done_n > 0 || c->spec.receives || !wire_is_empty(&c->wire))
        return 0;
    if (c->connection) {
        rabbit_disconnect(c->connection, true);
        c->connection = NULL;
    }
    return connect_to(c, node, &why) == 0 ? 1 : -1;
}

/* ---- operations */

static enum submit client_send(void *self, const struct send *send, uint32_t slot,
                               struct completion *done)
{
    struct rabbit_client *c = self;
    enum submit answer;

    if (send->via != NO_NODE && !c->broken) {
        int there = go_to(c, send->via);

        if (there == 0)
            return SUBMIT_BUSY;
        if (there < 0) {
            *done = (struct completion){.slot = slot,
                                        .outcome = OUTCOME_FAIL,
                                        .code = CODE_NOT_CONNECTED,
                                        .node = NO_NODE,
                                        .unit = c->unit,
                                        .position = -1};
            return SUBMIT_DONE;
        }
    }
    if (!c->connection)
        return SUBMIT_BUSY;
    answer = publish_send(c, send, slot, done);
    if (c->wire.end - c->wire.start >= FLUSH_AT_BYTES && c->connection &&
        wire_flush(&c->wire, c->fd) < 0 && answer == SUBMIT_QUEUED)
        client_break(c, AMQP_STATUS_SOCKET_ERROR);
    return answer;
}

static enum submit client_settle(void *self, const struct settle *settle, uint32_t slot,
                                 struct completion *done)
{
    struct rabbit_client *c = self;
    enum submit answer = consume_settle(c, settle, slot, done);

    /* At once, as other libraries do: what its consumer does next may take long, or kill it. */
    if (answer == SUBMIT_QUEUED && wire_flush(&c->wire, c->fd) < 0)
        client_break(c, AMQP_STATUS_SOCKET_ERROR);
    return answer;
}

static size_t client_outstanding(void *self)
{
    struct rabbit_client *c = self;

    return c->in_flight + (size_t)(c->settled_end - c->settled_first) + c->done_n +
           !wire_is_empty(&c->wire);
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

static bool has_room(const struct rabbit_client *c)
{
    return c->kept_n < DELIVERIES_KEPT_MAX && c->done_n < HARVEST_MAX;
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
    } while (c->connection && has_room(c) &&
             (amqp_frames_enqueued(c->connection) || amqp_data_in_buffer(c->connection)));
}

static bool can_read_now(const struct rabbit_client *c)
{
    return c->connection && has_room(c) &&
           (amqp_frames_enqueued(c->connection) || amqp_data_in_buffer(c->connection));
}

/* Heartbeats both ways (AMQP 0-9-1, 4.2.7): a word each half interval, silence of two is the end.
 */
static void beat(struct rabbit_client *c, int64_t now_ns)
{
    int64_t interval = c->args->heartbeat_ns;

    if (interval == 0 || !c->connection)
        return;
    if (now_ns - c->sent_ns > interval / 2 && wire_is_empty(&c->wire)) {
        wire_heartbeat(&c->wire);
        c->sent_ns = now_ns;
    }
    if (now_ns - c->heard_ns > 2 * interval)
        client_break(c, AMQP_STATUS_HEARTBEAT_TIMEOUT);
}

static void write_frames(struct rabbit_client *c, int64_t now_ns)
{
    if (!c->connection || wire_is_empty(&c->wire))
        return;
    if (wire_flush(&c->wire, c->fd) < 0)
        client_break(c, AMQP_STATUS_SOCKET_ERROR);
    else if (wire_is_empty(&c->wire))
        c->sent_ns = now_ns;
}

static int wait_ms(const struct rabbit_client *c, int64_t now_ns, int64_t until_ns)
{
    int64_t at_ns = until_ns;
    int64_t ms;

    if (c->connection && c->args->heartbeat_ns && c->sent_ns + c->args->heartbeat_ns / 2 < at_ns)
        at_ns = c->sent_ns + c->args->heartbeat_ns / 2;
    if (c->connection && c->spec.sends && publish_due_ns(c) < at_ns)
        at_ns = publish_due_ns(c);
    if (c->settled_end > c->settled_first && !c->sync_covers && at_ns > now_ns + 5 * MS_NS)
        at_ns = now_ns + 5 * MS_NS; /* a sync is due */
    ms = (at_ns - now_ns + MS_NS - 1) / MS_NS;
    return ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms;
}

/* Sleeps; true when the caller is wanted (wake_fd). */
static bool wait_for_more(struct rabbit_client *c, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = c->wake_fd, .events = POLLIN}, {.fd = -1}};

    if (c->connection) {
        fds[1].fd = c->fd;
        fds[1].events =
            (short)((has_room(c) ? POLLIN : 0) | (wire_is_empty(&c->wire) ? 0 : POLLOUT));
    }
    if (poll(fds, 2, timeout_ms) <= 0)
        return false;
    if (c->connection && (fds[1].revents & (POLLIN | POLLERR | POLLHUP))) {
        c->heard_ns = clock_now_ns();
        read_frames(c);
    }
    return fds[0].revents != 0;
}

static bool harvest_is_empty(const struct harvest *h)
{
    return h->n_completions == 0 && h->n_deliveries == 0 && h->n_owners == 0 && !h->broken;
}

static void fill(struct rabbit_client *c, struct harvest *harvest)
{
    tell_completions(c, harvest);
    consume_hand_out(c, harvest);
    tell_ownership(c, harvest);
    if (c->broken && c->done_n == 0) { /* told last: by then every open slot was completed */
        harvest->broken = true;
        c->broken = false;
    }
}

static int client_poll(void *self, struct harvest *harvest, int64_t until_ns)
{
    struct rabbit_client *c = self;
    bool wanted = false;

    harvest->n_completions = harvest->n_deliveries = harvest->n_owners = 0;
    harvest->broken = false;
    for (;;) {
        int64_t now_ns = clock_now_ns();

        if (c->spec.receives && c->connection)
            consume_sync(c, now_ns);
        if (c->spec.sends && c->connection)
            publish_tick(c, now_ns);
        beat(c, now_ns);
        write_frames(c, now_ns);
        if (can_read_now(c))
            read_frames(c);
        fill(c, harvest);
        if (!harvest_is_empty(harvest) || wanted || (now_ns >= until_ns && until_ns != INT64_MAX))
            return 0;
        wanted = wait_for_more(c, wait_ms(c, now_ns, until_ns));
    }
}

static void client_release(void *self, struct harvest *harvest)
{
    struct rabbit_client *c = self;

    (void)harvest;
    if (c->spec.receives)
        consume_released(c);
    if (c->connection && !c->returned.method)
        amqp_maybe_release_buffers_on_channel(c->connection, PUBLISH_CHANNEL);
    bury(c);
}

/* ---- leaving */

/* Until everything is answered; completions of that time are the recorder's to call unknown. */
static void flush(struct rabbit_client *c)
{
    struct deadline deadline = deadline_in(FLUSH_WITHIN_NS, NULL);

    while (c->connection && client_outstanding(c) > 0 && !deadline_passed(&deadline)) {
        int64_t now_ns = clock_now_ns();

        c->done_n = 0;
        if (c->spec.receives)
            consume_sync(c, now_ns);
        if (c->spec.sends)
            publish_tick(c, now_ns);
        write_frames(c, now_ns);
        if (can_read_now(c))
            read_frames(c);
        else if (c->connection)
            wait_for_more(c, 5);
    }
}

static void client_close(void *self, enum close_how how)
{
    struct rabbit_client *c = self;

    if (how == CLOSE_FLUSH)
        flush(c);
    rabbit_disconnect(c->connection, how == CLOSE_FLUSH && wire_is_empty(&c->wire));
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
    wire_release(&c->wire);
    arena_release(&c->arena);
    free(c->done);
    free(c->kept);
    free(c->lent);
    free(c->settling);
    memset(c, 0, sizeof(*c));
}

const struct broker_ops rabbit_broker = {
    .name = "rabbitmq",
    .params = client_params,
    .args_size = sizeof(struct rabbit_client_args),
    .send_verbs = send_verbs,
    .receive_verbs = receive_verbs,
    .names = client_names,
    .hands_over = client_hands_over,
    .size = sizeof(struct rabbit_client),
    .open = client_open,
    .send = client_send,
    .settle = client_settle,
    .poll = client_poll,
    .release = client_release,
    .reconnect = client_reconnect,
    .outstanding = client_outstanding,
    .close = client_close,
};
