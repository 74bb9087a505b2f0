/*
 * Publishing with pipelined confirms. Tags count from 1 on every connection; an ack or nack names
 * one tag or all up to it. A message that found no queue comes back by basic.return before its ack
 * (rabbitmq.com/confirms.html): then the ack says nothing and the outcome is fail. A return carries
 * no tag, so the message is recognised by its own payload.
 *
 * Without confirms there is no answer at all: what the application believes when it moves on is
 * recorded as that. In a transaction the answer of all its messages is tx.commit-ok; one commit is
 * under way at a time, and what is left of a transaction is committed when nothing follows.
 */
#include "systems/rabbitmq/client.h"

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- properties */

struct property_name {
    const char *name;
    amqp_flags_t flag;
    size_t offset;
    enum { TEXT, U8, U64 } type;
};

#define PROPERTY(member, flag, type)                                                               \
    {                                                                                              \
#member, AMQP_BASIC_##flag##_FLAG, offsetof(amqp_basic_properties_t, member), type         \
    }
static const struct property_name property_names[] = {
    PROPERTY(content_type, CONTENT_TYPE, TEXT),
    PROPERTY(content_encoding, CONTENT_ENCODING, TEXT),
    PROPERTY(delivery_mode, DELIVERY_MODE, U8),
    PROPERTY(priority, PRIORITY, U8),
    PROPERTY(correlation_id, CORRELATION_ID, TEXT),
    PROPERTY(reply_to, REPLY_TO, TEXT),
    PROPERTY(expiration, EXPIRATION, TEXT),
    PROPERTY(message_id, MESSAGE_ID, TEXT),
    PROPERTY(timestamp, TIMESTAMP, U64),
    PROPERTY(type, TYPE, TEXT),
    PROPERTY(user_id, USER_ID, TEXT),
    PROPERTY(app_id, APP_ID, TEXT),
};

static int set_property(amqp_basic_properties_t *properties, const struct pair *pair,
                        struct err *err)
{
    for (size_t i = 0; i < sizeof(property_names) / sizeof(property_names[0]); i++) {
        const struct property_name *p = &property_names[i];
        char *at = (char *)properties + p->offset;
        amqp_bytes_t text = amqp_cstring_bytes(pair->value);
        uint64_t number = strtoull(pair->value, NULL, 10);
        uint8_t small = (uint8_t)number;

        if (strcmp(p->name, pair->key) != 0)
            continue;
        properties->_flags |= p->flag;
        if (p->type == TEXT)
            memcpy(at, &text, sizeof(text));
        else if (p->type == U8)
            memcpy(at, &small, sizeof(small));
        else
            memcpy(at, &number, sizeof(number));
        return 0;
    }
    return err_input(err, "properties: AMQP has no property \"%s\"", pair->key);
}

/* ---- where messages go */

/* What an ack of this queue means: a majority's logs, its node's disk, or its node's memory. */
static enum level level_of(const struct rabbit_client *c, const char *queue_name)
{
    const struct plan_case *plan = c->spec.plan;
    const struct rabbit_config *config = plan->clusters[c->spec.client->cluster].config;
    const struct rabbit_queue *queue = rabbit_queue_named(config, queue_name);

    if (!queue)
        return LEVEL_LEADER;
    if (strcmp(pairs_get(&queue->arguments, "x-queue-type", "classic"), "classic") != 0)
        return LEVEL_QUORUM;
    return queue->durable &&
                   strcmp(pairs_get(&c->args->publish.properties, "delivery_mode", "1"), "2") == 0
               ? LEVEL_DURABLE
               : LEVEL_LEADER;
}

long publish_find_unit(struct rabbit_client *c)
{
    const struct plan_case *plan = c->spec.plan;
    const struct publish_args *args = &c->args->publish;
    long dest = args->queue ? plan_dest_named(plan, args->queue) : -1;

    if (dest < 0 && c->spec.client->n_duties == 1)
        dest = (long)c->spec.client->duties[0];
    c->unit = dest < 0 ? NO_UNIT : plan->dests[dest].first_unit;
    return dest;
}

/* ---- a list of values is used by turns: message i has the (i mod n)th */

#define TURNS_MAX 64

static size_t values_of(const struct pairs *pairs, const char *key)
{
    size_t n = 0;

    for (size_t i = 0; i < pairs->n; i++)
        n += strcmp(pairs->items[i].key, key) == 0;
    return n;
}

/* The pairs of one turn: of every key one value. */
static struct pairs turn_of(struct arena *arena, const struct pairs *pairs, size_t turn)
{
    struct pairs out = {.items = arena_alloc(arena, (pairs->n + 1) * sizeof(*out.items))};

    for (size_t i = 0; i < pairs->n;) {
        size_t n = values_of(pairs, pairs->items[i].key);

        out.items[out.n++] = pairs->items[i + turn % n];
        i += n; /* the values of one key stand together */
    }
    return out;
}

/* After so many messages it begins again: the least common multiple of the lists' lengths. */
static size_t count_turns(const struct pairs *pairs, size_t turns)
{
    for (size_t i = 0; i < pairs->n; i++) {
        size_t n = values_of(pairs, pairs->items[i].key), all = turns;

        while (all % n != 0 && all <= TURNS_MAX)
            all += turns;
        turns = all;
    }
    return turns;
}

static int prepare_turn(struct rabbit_client *c, size_t turn, struct err *err)
{
    const struct publish_args *args = &c->args->publish;
    const char *exchange = args->queue ? "" : args->exchange ? args->exchange : "";
    const char *key = args->queue ? args->queue : args->key ? args->key : "";
    struct pairs set = turn_of(&c->arena, &args->properties, turn);
    struct pairs headers = turn_of(&c->arena, &args->headers, turn);
    amqp_basic_properties_t properties = {0};

    for (size_t i = 0; i < set.n; i++)
        if (set_property(&properties, &set.items[i], err) < 0)
            return -1;
    if (headers.n > 0) {
        properties._flags |= AMQP_BASIC_HEADERS_FLAG;
        properties.headers = rabbit_table(&c->arena, &headers);
    }
    return publish_frames_init(&c->frames[turn], PUBLISH_CHANNEL, exchange, key, args->mandatory,
                               &properties, err);
}

int publish_prepare(struct rabbit_client *c, struct err *err)
{
    const struct publish_args *args = &c->args->publish;
    size_t size = 1;
    long dest;

    c->turns = count_turns(&args->headers, count_turns(&args->properties, 1));
    if (c->turns > TURNS_MAX)
        return err_input(err, "properties and headers: more than %d combinations", TURNS_MAX);
    while (size < c->limit)
        size *= 2;
    c->mask = size - 1;
    c->ring = calloc(size, sizeof(*c->ring));
    c->frames = calloc(c->turns, sizeof(*c->frames));
    if (!c->ring || !c->frames)
        return err_set(err, "out of memory");
    dest = publish_find_unit(c);
    c->level = dest < 0 ? LEVEL_LEADER : level_of(c, c->spec.plan->dests[dest].name);
    for (size_t turn = 0; turn < c->turns; turn++)
        if (prepare_turn(c, turn, err) < 0)
            return -1;
    return 0;
}

void publish_release(struct rabbit_client *c)
{
    free(c->ring);
    free(c->frames);
    c->ring = NULL;
    c->frames = NULL;
}

int publish_start(struct rabbit_client *c, struct err *err)
{
    c->next_tag = c->oldest_tag = c->return_tag = 1;
    c->in_tx = c->commits = 0;
    content_next(&c->returned);
    if (c->args->publish.tx > 0) {
        amqp_tx_select(c->connection, PUBLISH_CHANNEL);
        return rabbit_refused(c->connection, "tx.select", NULL, err) ? -1 : 0;
    }
    if (!c->args->publish.confirm)
        return 0;
    amqp_confirm_select(c->connection, PUBLISH_CHANNEL);
    return rabbit_refused(c->connection, "confirm.select", NULL, err) ? -1 : 0;
}

/* ---- sending */

/* The tx.commit of what was published so far. False: no room, or one is under way. */
static bool commit(struct rabbit_client *c)
{
    amqp_tx_commit_t method = {0};

    if (c->commits || !wire_method(&c->wire, PUBLISH_CHANNEL, AMQP_TX_COMMIT_METHOD, &method))
        return false;
    c->commits = c->next_tag;
    c->in_tx = 0;
    return true;
}

static void remember(struct rabbit_client *c, const struct send *send, uint32_t slot)
{
    struct in_flight *f = &c->ring[c->next_tag++ & c->mask];

    *f = (struct in_flight){
        .seq = send->msg->id.seq, .slot = slot, .attempt = send->msg->attempt, .open = true};
    if (c->args->publish.confirm_within_ns > 0)
        f->at_ns = clock_now_ns();
    c->in_flight++;
}

static bool stands_still(const struct rabbit_client *c)
{
    return c->blocked && c->args->publish.blocked == BLOCKED_WAITS;
}

/* A commit under way is waited for, and a slot whose confirm is late: acks need not come in order.
 */
static bool must_wait(const struct rabbit_client *c)
{
    return stands_still(c) || c->in_flight + c->done_n >= c->limit || c->commits ||
           c->ring[c->next_tag & c->mask].open;
}

enum submit publish_send(struct rabbit_client *c, const struct send *send, uint32_t slot,
                         struct completion *done)
{
    const struct publish_args *args = &c->args->publish;

    if (must_wait(c))
        return SUBMIT_BUSY;
    if (!wire_publish(&c->wire, &c->frames[send->msg->id.seq % c->turns], send->payload, send->size,
                      c->frame_max)) {
        if (wire_flush(&c->wire, c->fd) < 0)
            client_break(c, AMQP_STATUS_SOCKET_ERROR);
        return SUBMIT_BUSY; /* room comes with the next poll */
    }
    if (!args->confirm && args->tx == 0) {
        *done = client_completion(c, slot, OUTCOME_BELIEVED, LEVEL_SENT, 0);
        return SUBMIT_DONE;
    }
    remember(c, send, slot);
    if (args->tx > 0) {
        c->published_ns = clock_now_ns();
        if ((int64_t)++c->in_tx >= args->tx)
            commit(c); /* no room: the next tick does it */
    }
    return SUBMIT_QUEUED;
}

/* ---- what time brings */

#define COMMIT_REST_NS (20 * MS_NS)

int64_t publish_due_ns(const struct rabbit_client *c)
{
    const struct publish_args *args = &c->args->publish;

    if (c->in_tx > 0 && !c->commits)
        return c->published_ns + COMMIT_REST_NS;
    if (args->confirm_within_ns > 0 && c->in_flight > 0 && !stands_still(c)) {
        int64_t since_ns = c->ring[c->oldest_tag & c->mask].at_ns;

        if (args->blocked == BLOCKED_WAITS && c->unblocked_ns > since_ns)
            since_ns = c->unblocked_ns;
        return since_ns + args->confirm_within_ns;
    }
    return INT64_MAX;
}

void publish_tick(struct rabbit_client *c, int64_t now_ns)
{
    const struct publish_args *args = &c->args->publish;

    if (now_ns < publish_due_ns(c) && (int64_t)c->in_tx < (args->tx ? args->tx : INT64_MAX))
        return;
    if (args->tx > 0)
        commit(c);
    else
        client_break(c, CODE_CONFIRM_TIMEOUT);
}

/* ---- answers */

static enum level level_of_outcome(const struct rabbit_client *c, enum outcome outcome)
{
    return outcome == OUTCOME_OK ? c->level : outcome == OUTCOME_BELIEVED ? LEVEL_SENT : LEVEL_NONE;
}

static void resolve(struct rabbit_client *c, uint64_t tag, enum outcome outcome, int code)
{
    struct in_flight *f = &c->ring[tag & c->mask];

    if (!f->open)
        return;
    f->open = false;
    c->in_flight--;
    if (f->returned && outcome == OUTCOME_OK)
        outcome = OUTCOME_FAIL, code = f->returned;
    client_complete(c, client_completion(c, f->slot, outcome, level_of_outcome(c, outcome), code));
}

static void resolve_upto(struct rabbit_client *c, uint64_t tag, bool multiple, enum outcome outcome,
                         int code)
{
    if (tag >= c->next_tag)
        return; /* of nothing we sent */
    for (uint64_t t = multiple ? c->oldest_tag : tag; t <= tag; t++)
        if (t >= c->oldest_tag)
            resolve(c, t, outcome, code);
    while (c->oldest_tag < c->next_tag && !c->ring[c->oldest_tag & c->mask].open)
        c->oldest_tag++;
}

/* Returned messages keep their order, so the search goes on from the last one found. */
static void message_returned(struct rabbit_client *c)
{
    const struct msg_id mine = {
        .client = c->spec.client_id, .incarnation = c->spec.incarnation, .worker = c->spec.worker};
    struct msg msg;
    uint64_t tag = c->return_tag > c->oldest_tag ? c->return_tag : c->oldest_tag;

    if (payload_read(c->returned.body, c->returned.size, c->spec.run, &msg) != PAYLOAD_OK ||
        msg.id.client != mine.client || msg.id.incarnation != mine.incarnation ||
        msg.id.worker != mine.worker)
        return;
    for (; tag < c->next_tag; tag++) {
        struct in_flight *f = &c->ring[tag & c->mask];

        if (f->open && f->seq == msg.id.seq && f->attempt == msg.attempt) {
            f->returned = (int16_t)c->returned.code;
            c->return_tag = tag + 1;
            return;
        }
    }
}

void publish_frame(struct rabbit_client *c, const amqp_frame_t *frame)
{
    enum content_state state = content_feed(&c->returned, frame);

    if (state == CONTENT_WHOLE) {
        message_returned(c);
        content_next(&c->returned);
    }
    if (state != CONTENT_OTHER || frame->frame_type != AMQP_FRAME_METHOD)
        return;
    if (frame->payload.method.id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *ack = frame->payload.method.decoded;

        resolve_upto(c, ack->delivery_tag, ack->multiple, OUTCOME_OK, CODE_ACK);
    } else if (frame->payload.method.id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *nack = frame->payload.method.decoded;

        resolve_upto(c, nack->delivery_tag, nack->multiple, OUTCOME_FAIL, CODE_NACK);
    } else if (frame->payload.method.id == AMQP_TX_COMMIT_OK_METHOD && c->commits) {
        resolve_upto(c, c->commits - 1, true, OUTCOME_OK, CODE_COMMITTED);
        c->commits = 0;
    }
}

/* An application that forgets them never learns: it believes that all is well. */
void publish_break(struct rabbit_client *c, int16_t code)
{
    bool forgotten = c->args->publish.unconfirmed == UNCONFIRMED_FORGOTTEN;

    for (uint64_t tag = c->oldest_tag; tag < c->next_tag; tag++)
        resolve(c, tag, forgotten ? OUTCOME_BELIEVED : OUTCOME_UNKNOWN,
                forgotten ? CODE_FORGOTTEN : code);
    c->oldest_tag = c->next_tag;
}
