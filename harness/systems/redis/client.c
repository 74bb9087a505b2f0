/*
 * The data plane of Redis behind broker_ops: sends (sending.c) pipelined, one write per batch;
 * confirmed by the primary's reply or by a WAIT over so many writes; consumers in reader.c.
 *
 * A WAIT answered by fewer replicas than asked for leaves the writes since the last one unknown:
 * they are on the primary and perhaps nowhere else. `treat_zero_as: ok` is the client that does not
 * look.
 *
 * When any of its connections breaks, the handle is broken as a whole: all that is open ends
 * unknown.
 */
#include "systems/redis/client.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_AT_BYTES (64u * 1024) /* appended bytes that do not wait for the next poll */

/* ---- completions */

void redis_client_complete(struct redis_client *h, uint32_t slot, enum redis_code code,
                           enum outcome outcome, enum level level, uint16_t node, int64_t position,
                           uint32_t unit)
{
    assert(h->done_tail - h->done_head < DONE_MAX && h->open_slots > 0);
    h->open_slots--;
    h->done[h->done_tail++ % DONE_MAX] = (struct completion){.slot = slot,
                                                             .outcome = outcome,
                                                             .level = level,
                                                             .code = (int16_t)code,
                                                             .node = node,
                                                             .unit = unit,
                                                             .position = position};
}

static void complete_open(struct redis_client *h, struct lane *lane, enum redis_code code)
{
    for (uint32_t i = lane->head; i != lane->tail; i++) {
        struct flight *f = lane_flight(lane, i);

        if (f->settled || (f->kind != FLIGHT_WRITE && f->kind != FLIGHT_SETTLE))
            continue;
        redis_client_complete(h, f->slot, code, OUTCOME_UNKNOWN, LEVEL_NONE, lane->node,
                              f->position, f->kind == FLIGHT_WRITE ? h->unit_send : h->unit_read);
    }
    redis_lane_close(lane);
}

void redis_client_break(struct redis_client *h, enum redis_code code)
{
    for (unsigned i = 0; i < SERVERS_MAX; i++)
        if (h->lanes[i])
            complete_open(h, h->lanes[i], code);
    if (h->take)
        complete_open(h, h->take, code);
    redis_txn_break(h, code);
    redis_reader_forget(h);
    h->current = -1;
    h->misled = false;
    h->broke = true;
}

/* ---- replies */

static void write_answered(struct redis_client *h, struct lane *lane, struct flight *f,
                           const redisReply *reply)
{
    enum redis_code code = REDIS_CODE_OK;

    if (reply->type == REDIS_REPLY_ERROR) {
        code = redis_code_of(reply->str);
        if ((code == REDIS_CODE_READONLY || code == REDIS_CODE_MOVED ||
             code == REDIS_CODE_MASTERDOWN || code == REDIS_CODE_CLUSTERDOWN) &&
            h->current >= 0 && lane == h->lanes[h->current])
            h->misled = true; /* a node named by `via:` is talked to on purpose */
    } else if (reply->type == REDIS_REPLY_STRING) {
        f->position = redis_stream_position(reply->str); /* XADD */
    } else if (h->args->publish.channel && reply->integer < h->args->confirm.receivers) {
        code = reply->integer == 0 ? REDIS_CODE_NOBODY : REDIS_CODE_FEW;
    }
    if (code == REDIS_CODE_OK && redis_waits(h->args))
        return; /* the WAIT behind it decides */
    f->settled = true;
    redis_client_complete(h, f->slot, code, redis_outcome_of(code),
                          code == REDIS_CODE_OK ? LEVEL_LEADER : LEVEL_NONE, lane->node,
                          f->position, h->unit_send);
}

/* WAIT answers how many replicas have it, WAITAOF [fsynced here, on so many replicas]. */
static bool enough(const struct redis_client_args *a, const redisReply *reply)
{
    if (!a->confirm.aof)
        return reply->integer >= a->confirm.wait;
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->integer >= 1 && reply->element[1]->integer >= a->confirm.wait;
}

static void wait_answered(struct redis_client *h, struct lane *lane, uint32_t wait,
                          const redisReply *reply)
{
    enum redis_code code = REDIS_CODE_OK;
    enum level level = LEVEL_QUORUM;

    if (reply->type == REDIS_REPLY_ERROR) {
        code = redis_code_of(reply->str);
        if (redis_outcome_of(code) == OUTCOME_FAIL)
            code = REDIS_CODE_WAIT_SHORT; /* WAIT was refused, the writes were not */
    } else if (!enough(h->args, reply)) {
        level = LEVEL_LEADER;
        if (h->args->confirm.treat_zero_as == ZERO_UNKNOWN)
            code = REDIS_CODE_WAIT_SHORT;
    }
    for (uint32_t i = lane->head; i != wait; i++) {
        struct flight *f = lane_flight(lane, i);

        if (f->kind != FLIGHT_WRITE || f->settled)
            continue;
        f->settled = true;
        redis_client_complete(h, f->slot, code, redis_outcome_of(code), level, lane->node,
                              f->position, h->unit_send);
    }
}

static void settle_answered(struct redis_client *h, struct lane *lane, struct flight *f,
                            const redisReply *reply)
{
    bool error = reply->type == REDIS_REPLY_ERROR;
    enum redis_code code = error ? redis_code_of(reply->str) : REDIS_CODE_OK;

    f->settled = true;
    redis_client_complete(h, f->slot, code, redis_outcome_of(code), LEVEL_LEADER, lane->node, -1,
                          h->unit_read);
}

/* A subscriber that is behind leaves the rest in the socket: that the server must keep it is what a
 * slow subscriber does to it. */
static bool lane_may_read(const struct redis_client *h, const struct lane *lane)
{
    return !lane->pushed || h->n_spare > 0;
}

/* Everything that is complete in the lane's input; -1: the connection is of no use any more. */
static int take_replies(struct redis_client *h, struct lane *lane)
{
    bool broken = false, any = false;
    redisReply *reply;

    while (lane_may_read(h, lane) && (reply = redis_lane_reply(lane, &broken))) {
        uint32_t i;
        struct flight *f;

        any = true;
        if (lane->pushed && redis_channel_message(h, reply))
            continue;
        i = lane->answered++;
        f = lane_flight(lane, i);
        switch ((enum flight_kind)f->kind) {
        case FLIGHT_WRITE:
            write_answered(h, lane, f, reply);
            break;
        case FLIGHT_WAIT:
            wait_answered(h, lane, i, reply);
            break;
        case FLIGHT_SETTLE:
            settle_answered(h, lane, f, reply);
            break;
        case FLIGHT_BEGIN:
        case FLIGHT_TAKE:
        case FLIGHT_OLD:
        case FLIGHT_CLAIM:
            redis_reader_reply(h, lane, f->kind, reply);
            reply = NULL;
            break;
        case FLIGHT_EXEC:
            redis_txn_answered(h, reply);
            break;
        case FLIGHT_OTHER:
            break;
        }
        if (reply)
            redis_lane_free(lane, reply);
        while (lane->head != lane->answered &&
               (lane_flight(lane, lane->head)->settled ||
                lane_flight(lane, lane->head)->kind != FLIGHT_WRITE))
            lane->head++;
    }
    if (any)
        lane->progress_ns = lane->answered == lane->tail ? 0 : clock_now_ns();
    return broken ? -1 : 0;
}

/* ---- which lane */

static struct lane *lane_of(struct redis_client *h, unsigned server, struct err *err)
{
    const struct plan_cluster *spec = &h->plan->clusters[h->cluster];
    struct lane **lane = &h->lanes[server];

    if (!*lane)
        *lane = calloc(1, sizeof(**lane));
    if (!*lane)
        abort();
    if (!(*lane)->c && redis_lane_connect(*lane, &h->plan->nodes[spec->first_node + server],
                                          h->args->hiredis.connect_timeout_ns, err) < 0)
        return NULL;
    return *lane;
}

static int server_of(const struct redis_client *h, uint16_t node)
{
    const struct plan_cluster *spec = &h->plan->clusters[h->cluster];

    if (node < spec->first_node || node >= spec->first_node + redis_servers(spec->config))
        return -1;
    return (int)(node - spec->first_node);
}

static int connect_primary(struct redis_client *h, struct err *err)
{
    const struct plan_cluster *spec = &h->plan->clusters[h->cluster];
    uint16_t stay =
        h->current >= 0 ? h->plan->nodes[spec->first_node + (unsigned)h->current].id : NO_NODE;
    const struct plan_node *node =
        redis_resolve(h->plan, h->cluster, h->key, stay, h->args->hiredis.connect_timeout_ns, err);

    if (!node)
        return -1;
    h->current = (int)node->index;
    h->misled = false;
    if (!lane_of(h, node->index, err))
        return -1;
    return h->receives ? redis_reader_open(h, err) : 0;
}

/* ---- sending */

static enum submit refuse(const struct redis_client *h, uint32_t slot, struct completion *c)
{
    *c = (struct completion){.slot = slot,
                             .outcome = redis_outcome_of(REDIS_CODE_REFUSED),
                             .code = REDIS_CODE_REFUSED,
                             .node = NO_NODE,
                             .unit = h->unit_send,
                             .position = -1};
    return SUBMIT_DONE;
}

static enum submit client_send(void *self, const struct send *send, uint32_t slot,
                               struct completion *c)
{
    struct redis_client *h = self;
    int server = send->via == NO_NODE ? h->current : server_of(h, send->via);
    struct lane *lane;
    enum redis_code code;

    if (h->broke || (h->misled && send->via == NO_NODE))
        return SUBMIT_BUSY; /* the next poll says so */
    lane = server < 0 ? NULL : lane_of(h, (unsigned)server, NULL);
    if (!lane)
        return refuse(h, slot, c);
    if (lane_open_flights(lane) >= FLIGHTS_MAX - 4 ||
        h->open_slots + (h->done_tail - h->done_head) >= DONE_MAX)
        return SUBMIT_BUSY;
    if (redis_txn_keeps(h))
        return redis_txn_send(h, send, slot);
    redis_send_append(h, lane, send);
    if (h->args->confirm.by == CONFIRM_IGNORE) {
        redis_lane_expect(lane, FLIGHT_OTHER, 0, h->args->hiredis.timeout_ns);
        redis_send_follow(h, lane);
        *c = (struct completion){.slot = slot,
                                 .outcome = OUTCOME_BELIEVED,
                                 .level = LEVEL_SENT,
                                 .code = REDIS_CODE_IGNORED,
                                 .node = lane->node,
                                 .unit = h->unit_send,
                                 .position = -1};
        return SUBMIT_DONE;
    }
    redis_lane_expect(lane, FLIGHT_WRITE, slot, h->args->hiredis.timeout_ns);
    redis_send_follow(h, lane);
    h->open_slots++;
    if (redis_waits(h->args) && ++lane->unconfirmed >= (uint32_t)h->args->confirm.every)
        redis_send_wait(h, lane);
    if (lane_unwritten(lane) >= WRITE_AT_BYTES && redis_lane_flush(lane, &code) < 0)
        redis_client_break(h, code);
    return SUBMIT_QUEUED;
}

static enum submit client_settle(void *self, const struct settle *settle, uint32_t slot,
                                 struct completion *c)
{
    return redis_reader_settle(self, settle, slot, c);
}

/* ---- polling */

static struct lane *nth_lane(struct redis_client *h, unsigned i)
{
    struct lane *lane = i < h->n_servers ? h->lanes[i] : h->take;

    return lane && lane->c ? lane : NULL;
}

/* Writes what was appended; a WAIT where the pipeline ran dry with writes that none covers. */
static int write_all(struct redis_client *h, enum redis_code *code)
{
    for (unsigned i = 0; i <= h->n_servers; i++) {
        struct lane *lane = nth_lane(h, i);

        if (!lane)
            continue;
        if (lane->unconfirmed > 0 && lane->answered == lane->tail)
            redis_send_wait(h, lane);
        if (redis_lane_flush(lane, code) < 0)
            return -1;
    }
    return 0;
}

/* Waits for a socket, the wake or the time; reads what is there. 1: woken, -1: broken. */
static int wait_and_read(struct redis_client *h, int64_t until_ns, enum redis_code *code)
{
    struct pollfd fds[SERVERS_MAX + 2];
    struct lane *lanes[SERVERS_MAX + 2];
    int64_t now_ns = clock_now_ns(), due_ns = until_ns;
    struct timespec ts;
    nfds_t n = 0;

    for (unsigned i = 0; i <= h->n_servers; i++) {
        struct lane *lane = nth_lane(h, i);

        if (!lane)
            continue;
        if (redis_lane_due_ns(lane) < due_ns)
            due_ns = redis_lane_due_ns(lane);
        fds[n] = (struct pollfd){.fd = lane->c->fd,
                                 .events = (short)((lane_may_read(h, lane) ? POLLIN : 0) |
                                                   (lane_unwritten(lane) ? POLLOUT : 0))};
        lanes[n++] = lane;
    }
    if (h->reading && redis_reader_due_ns(h) < due_ns)
        due_ns = redis_reader_due_ns(h);
    fds[n] = (struct pollfd){.fd = h->wake_fd, .events = POLLIN}; /* -1 is ignored by poll(2) */
    due_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    ts = (struct timespec){.tv_sec = due_ns / SECOND_NS, .tv_nsec = due_ns % SECOND_NS};
    if (ppoll(fds, n + 1, &ts, NULL) < 0)
        return 1; /* EINTR: let the caller look around */
    for (nfds_t i = 0; i < n; i++) {
        if (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) {
            int gone = redis_lane_read(lanes[i], code);

            /* what was answered before the connection ended counts */
            if (take_replies(h, lanes[i]) < 0 || gone < 0)
                return -1;
        } else if (redis_lane_due_ns(lanes[i]) <= clock_now_ns()) {
            *code = REDIS_CODE_TIMEOUT;
            return -1;
        }
    }
    return fds[n].revents ? 1 : 0;
}

static bool idle(struct redis_client *h)
{
    for (unsigned i = 0; i <= h->n_servers; i++) {
        struct lane *lane = nth_lane(h, i);

        if (lane && lane->head != lane->tail && lane != h->take)
            return false;
    }
    return true;
}

static bool give(struct redis_client *h, struct harvest *harvest)
{
    while (h->done_head != h->done_tail && harvest->n_completions < HARVEST_MAX)
        harvest->completions[harvest->n_completions++] = h->done[h->done_head++ % DONE_MAX];
    if (h->ended) {
        harvest->owners[harvest->n_owners++] = (struct ownership){
            .unit = h->unit_read, .epoch = h->ended, .position = -1, .flags = EV_LOST};
        h->ended = 0;
    }
    if (h->broke && h->done_head == h->done_tail) {
        harvest->broken = true;
        h->broke = false;
    }
    if (h->receives)
        redis_reader_harvest(h, harvest);
    return harvest->broken || harvest->n_completions || harvest->n_deliveries || harvest->n_owners;
}

void redis_client_turn(struct redis_client *h, int64_t until_ns)
{
    enum redis_code code = REDIS_CODE_CLOSED;

    if (write_all(h, &code) < 0 || wait_and_read(h, until_ns, &code) < 0)
        redis_client_break(h, code);
}

static int client_poll(void *self, struct harvest *harvest, int64_t until_ns)
{
    struct redis_client *h = self;
    enum redis_code code = REDIS_CODE_CLOSED;

    harvest->n_completions = harvest->n_deliveries = harvest->n_owners = 0;
    harvest->broken = false;
    for (;;) {
        int woken = 0;

        h->reading = h->receives && harvest->max_deliveries > 0;
        if (h->reading)
            redis_reader_ask(h);
        if (h->take && h->take->c && h->take->pushed && take_replies(h, h->take) < 0)
            redis_client_break(h, code); /* what was read before there was room for it */
        if (write_all(h, &code) < 0)
            redis_client_break(h, code);
        if (give(h, harvest))
            return 0;
        woken = wait_and_read(h, until_ns, &code);
        if (woken < 0)
            redis_client_break(h, code);
        else if (h->misled && idle(h))
            redis_client_break(
                h, REDIS_CODE_READONLY); /* nothing is open: only the connection changes */
        if (give(h, harvest) || woken > 0 || clock_now_ns() >= until_ns)
            return 0;
    }
}

static void client_release(void *self, struct harvest *harvest)
{
    redis_reader_release(self, harvest);
    harvest->n_deliveries = 0;
}

/* ---- life */

static uint32_t unit_named(const struct plan_case *plan, const char *name)
{
    long unit = name ? plan_unit_named(plan, name) : -1;

    return unit < 0 ? NO_UNIT : (uint32_t)unit;
}

/* As an application starts: it tries for a while before it gives up. */
static int connect_patiently(struct redis_client *h, struct err *err)
{
    struct deadline deadline = deadline_in(REDIS_OPEN_WITHIN_NS, NULL);

    while (connect_primary(h, err) < 0)
        if (deadline_sleep(&deadline, REDIS_OPEN_RETRY_NS) < 0)
            return -1;
    return 0;
}

static int client_open(void *self, const struct client_spec *spec, int wake_fd, struct err *err)
{
    struct redis_client *h = self;
    const char *sends_to, *reads, *group;

    *h = (struct redis_client){.plan = spec->plan,
                               .args = spec->client->broker_args,
                               .cluster = spec->client->cluster,
                               .n_servers = redis_servers(
                                   spec->plan->clusters[spec->client->cluster].config),
                               .client_id = spec->client_id,
                               .incarnation = spec->incarnation,
                               .worker = spec->worker,
                               .wake_fd = wake_fd,
                               .sends = spec->sends,
                               .receives = spec->receives,
                               .current = -1};
    redis_client_names(h->args, &sends_to, &reads, &group);
    h->key = sends_to ? sends_to : reads;
    h->unit_send = unit_named(spec->plan, sends_to);
    h->unit_read = unit_named(spec->plan, reads);
    h->done = calloc(DONE_MAX, sizeof(*h->done));
    if (!h->done)
        abort();
    signal(SIGPIPE, SIG_IGN); /* hiredis writes with write(2) */
    return connect_patiently(h, err);
}

static int client_reconnect(void *self, struct err *err)
{
    return connect_primary(self, err);
}

static size_t client_outstanding(void *self)
{
    const struct redis_client *h = self;

    return h->open_slots;
}

static void client_close(void *self, enum close_how how)
{
    struct redis_client *h = self;

    if (how == CLOSE_FLUSH) {
        struct completion completions[HARVEST_MAX];
        struct ownership owners[4];
        struct harvest harvest = {.completions = completions, .owners = owners};
        int64_t until_ns = clock_now_ns() + 2 * h->args->hiredis.timeout_ns;

        while (h->open_slots > 0 && clock_now_ns() < until_ns)
            client_poll(h, &harvest, until_ns);
        redis_reader_give_back(h);
    }
    redis_client_break(h, REDIS_CODE_CLOSED);
    for (unsigned i = 0; i < SERVERS_MAX; i++)
        redis_lane_release(h->lanes[i]);
    redis_lane_release(h->take);
    redis_txn_release(h);
    redis_command_release(&h->asking);
    free(h->done);
    *h = (struct redis_client){.current = -1};
}

static const char *const send_verbs[] = {"push", "add", "set", "publish", NULL};
static const char *const receive_verbs[] = {"consume", "reap", NULL};

const struct broker_ops redis_broker = {
    .name = "redis",
    .params = redis_client_params,
    .args_size = sizeof(struct redis_client_args),
    .send_verbs = send_verbs,
    .receive_verbs = receive_verbs,
    .names = redis_client_names,
    .hands_over = redis_client_hands_over,
    .implicit_kind = redis_client_implicit_kind,
    .senseless = redis_client_senseless,
    .size = sizeof(struct redis_client),
    .open = client_open,
    .send = client_send,
    .settle = client_settle,
    .txn = redis_client_txn,
    .poll = client_poll,
    .release = client_release,
    .reconnect = client_reconnect,
    .outstanding = client_outstanding,
    .close = client_close,
};
