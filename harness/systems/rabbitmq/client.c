/*
 * The life of a data plane handle: connect, read and write without blocking, break, connect again,
 * leave. What is said on the connection is its protocol's business: client_amqp.c,
 * client_stream.c.
 */
#include "systems/rabbitmq/client.h"

#include "base/clock.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_WITHIN_NS (10 * SECOND_NS)
#define FLUSH_WITHIN_NS (10 * SECOND_NS)
#define OPEN_RETRY_NS (100 * MS_NS)
#define FLUSH_AT_BYTES ((size_t)32 << 10) /* sent right away: the broker may as well begin */

/* ---- completions that wait to be told */

void client_complete(struct rabbit_client *c, struct completion done)
{
    assert(c->done_n < c->room);
    c->done[(c->done_first + c->done_n++) % c->room] = done;
}

struct completion client_completion(const struct rabbit_client *c, uint32_t slot,
                                    enum outcome outcome, enum level level, int code)
{
    unsigned first = c->spec.plan->clusters[c->spec.client->cluster].first_node;

    return (struct completion){.slot = slot,
                               .outcome = outcome,
                               .level = level,
                               .code = (int16_t)code,
                               .node = (uint16_t)(first + c->home),
                               .unit = c->unit,
                               .position = -1};
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
    if (!c->connected)
        return;
    c->connected = false;
    c->broken = true;
    c->broke_ns = clock_now_ns();
    c->protocol->broke(c, (int16_t)code);
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

static int connect_to(struct rabbit_client *c, unsigned node, struct err *err)
{
    const struct plan_node *plan = &c->spec.plan->nodes[cluster_of(c)->first_node + node];
    unsigned before = c->home;

    c->home = node;
    if (c->protocol->connect(c, plan, err) < 0) {
        c->home = before;
        return err_prefix(err, "%s", plan->name);
    }
    c->connected = true;
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

    if (c->connected)
        return 0;
    if (c->broke_ns && clock_now_ns() - c->broke_ns < c->args->recovery_ns)
        return err_set(err, "waits before it connects again");
    for (unsigned i = 0; i < n; i++)
        if (connect_to(c, (first + i) % n, err) == 0)
            return 0;
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
    c->protocol = c->args->publish.over == OVER_STREAM ? &rabbit_over_stream : &rabbit_over_amqp;
    c->limit = (size_t)c->args->outstanding;
    c->room = c->limit + OUTSTANDING_MAX;
    c->done = calloc(c->room, sizeof(*c->done));
    if (!c->done || wire_init(&c->wire, err) < 0)
        return err_set(err, "out of memory");
    if (c->protocol->open(c, err) < 0)
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
    if (c->connected && c->home == node)
        return 1;
    if (c->in_flight > 0 || c->done_n > 0 || c->spec.receives || !wire_is_empty(&c->wire))
        return 0;
    if (c->connected)
        c->protocol->disconnect(c, true);
    c->connected = false;
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
    if (!c->connected)
        return SUBMIT_BUSY;
    answer = c->protocol->send(c, send, slot, done);
    if (c->wire.end - c->wire.start >= FLUSH_AT_BYTES && c->connected &&
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

bool client_has_room(const struct rabbit_client *c)
{
    return c->kept_n < DELIVERIES_KEPT_MAX && c->done_n < HARVEST_MAX;
}

static bool can_read_now(const struct rabbit_client *c)
{
    return c->connected && client_has_room(c) && c->protocol->has_more(c);
}

/* Heartbeats both ways (AMQP 0-9-1, 4.2.7; the server's heart is the same for streams,
 * rabbit_heartbeat.erl): a word each half interval, silence of two is the end. */
static void beat(struct rabbit_client *c, int64_t now_ns)
{
    int64_t interval = c->args->heartbeat_ns;

    if (interval == 0 || !c->connected)
        return;
    if (now_ns - c->sent_ns > interval / 2 && wire_is_empty(&c->wire)) {
        c->protocol->heartbeat(c);
        c->sent_ns = now_ns;
    }
    if (now_ns - c->heard_ns > 2 * interval)
        client_break(c, AMQP_STATUS_HEARTBEAT_TIMEOUT);
}

static void write_frames(struct rabbit_client *c, int64_t now_ns)
{
    if (!c->connected || wire_is_empty(&c->wire))
        return;
    if (wire_flush(&c->wire, c->fd) < 0)
        client_break(c, AMQP_STATUS_SOCKET_ERROR);
    else if (wire_is_empty(&c->wire))
        c->sent_ns = now_ns;
}

static int wait_ms(const struct rabbit_client *c, int64_t now_ns, int64_t until_ns)
{
    int64_t at_ns = until_ns;
    int64_t due_ns = c->connected ? c->protocol->due_ns(c, now_ns) : INT64_MAX;
    int64_t ms;

    if (c->connected && c->args->heartbeat_ns && c->sent_ns + c->args->heartbeat_ns / 2 < at_ns)
        at_ns = c->sent_ns + c->args->heartbeat_ns / 2;
    if (due_ns < at_ns)
        at_ns = due_ns;
    ms = (at_ns - now_ns + MS_NS - 1) / MS_NS;
    return ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms;
}

/* Sleeps; true when the caller is wanted (wake_fd). */
static bool wait_for_more(struct rabbit_client *c, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = c->wake_fd, .events = POLLIN}, {.fd = -1}};

    if (c->connected) {
        fds[1].fd = c->fd;
        fds[1].events =
            (short)((client_has_room(c) ? POLLIN : 0) | (wire_is_empty(&c->wire) ? 0 : POLLOUT));
    }
    if (poll(fds, 2, timeout_ms) <= 0)
        return false;
    if (c->connected && (fds[1].revents & (POLLIN | POLLERR | POLLHUP))) {
        c->heard_ns = clock_now_ns();
        c->protocol->read(c);
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

        if (c->connected)
            c->protocol->tick(c, now_ns);
        beat(c, now_ns);
        write_frames(c, now_ns);
        if (can_read_now(c))
            c->protocol->read(c);
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
    c->protocol->released(c);
}

/* ---- leaving */

/* Until everything is answered; completions of that time are the recorder's to call unknown. */
static void flush(struct rabbit_client *c)
{
    struct deadline deadline = deadline_in(FLUSH_WITHIN_NS, NULL);

    while (c->connected && client_outstanding(c) > 0 && !deadline_passed(&deadline)) {
        int64_t now_ns = clock_now_ns();

        c->done_n = 0;
        c->protocol->tick(c, now_ns);
        write_frames(c, now_ns);
        if (can_read_now(c))
            c->protocol->read(c);
        else if (c->connected)
            wait_for_more(c, 5);
    }
}

static void client_close(void *self, enum close_how how)
{
    struct rabbit_client *c = self;

    if (how == CLOSE_FLUSH)
        flush(c);
    if (c->connected)
        c->protocol->disconnect(c, how == CLOSE_FLUSH && wire_is_empty(&c->wire));
    c->connected = false;
    c->protocol->close(c);
    wire_release(&c->wire);
    arena_release(&c->arena);
    free(c->done);
    memset(c, 0, sizeof(*c));
}

static void client_library(char *out, size_t size)
{
    snprintf(out, size, "librabbitmq %s", amqp_version());
}

const struct broker_ops rabbit_broker = {
    .name = "rabbitmq",
    .params = rabbit_client_params,
    .args_size = sizeof(struct rabbit_client_args),
    .send_verbs = rabbit_send_verbs,
    .receive_verbs = rabbit_receive_verbs,
    .names = rabbit_client_names,
    .hands_over = rabbit_client_hands_over,
    .senseless = rabbit_client_senseless,
    .misfit = rabbit_client_misfit,
    .library = client_library,
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
