/*
 * The recorder: writes down what goes through a broker handle, write-ahead. It decides nothing and
 * changes nothing; the one thing it adds is delivery.msg, since it has to read payloads anyway.
 *
 * A send that was answered BUSY has been invoked but has not left; offering it again under the same
 * slot records no second invoke. What never completes (close, death) is unknown: at close the
 * recorder says so, after a death the missing completion says it (JUDGING: write-ahead rule).
 */
#include "client/record.h"

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum slot_kind { SLOT_FREE, SLOT_OFFERED, SLOT_SENDING, SLOT_SETTLING, SLOT_OTHER };

struct record_slot {
    struct msg_id id;
    int64_t position;
    uint32_t ref; /* send: burst; settle: destination */
    uint32_t unit, epoch;
    uint8_t kind, attempt, flags;
};

struct recorder {
    struct broker inner;
    struct recorder_options with;
    struct record_slot *slots;
    struct msg *messages; /* of the harvest in hand */
    bool in_txn;
    struct msg_id txn_first; /* of the messages sent in it */
    int64_t txn_messages;
    int64_t beyond_limit; /* sends a declared limit had no room for at first */
};

/* ---- the clock of a worker */

int64_t worker_clock_read(struct worker_clock *clock)
{
    clock->uses = 0;
    return clock->now_ns = clock_now_ns();
}

int64_t worker_clock_recent(struct worker_clock *clock)
{
    if (++clock->uses > CLOCK_USES_MAX || clock->now_ns == 0)
        return worker_clock_read(clock);
    return clock->now_ns;
}

/* ---- sending */

static void record_invoke(struct recorder *r, const struct send *send)
{
    struct event *e = history_begin(r->with.log);
    int64_t now_ns = worker_clock_recent(r->with.clock);
    bool late = send->intended_ns != 0 && now_ns > send->intended_ns;

    *e = (struct event){.type = EV_SEND_INVOKE,
                        .at_ns = now_ns,
                        .value = late ? now_ns - send->intended_ns : 0,
                        .seq = send->msg->id.seq,
                        .client = send->msg->id.client,
                        .incarnation = send->msg->id.incarnation,
                        .worker = send->msg->id.worker,
                        .attempt = send->msg->attempt,
                        .key = send->msg->key,
                        .unit = send->unit,
                        .ref = send->burst,
                        .flags = send->msg->flags & MSG_MARKER ? EV_MARKER : 0};
    history_end(r->with.log, e);
}

static void write_sent(struct event *e, const struct record_slot *slot, const struct completion *c,
                       int64_t now_ns)
{
    *e = (struct event){.type = EV_SEND_COMPLETE,
                        .at_ns = now_ns,
                        .position = c->position,
                        .seq = slot->id.seq,
                        .unit = c->unit == NO_UNIT ? slot->unit : c->unit,
                        .epoch = c->epoch,
                        .ref = slot->ref,
                        .client = slot->id.client,
                        .incarnation = slot->id.incarnation,
                        .worker = slot->id.worker,
                        .node = c->node,
                        .code = c->code,
                        .attempt = slot->attempt,
                        .outcome_level = event_result(c->outcome, c->level)};
}

static void write_settled(struct event *e, const struct record_slot *slot,
                          const struct completion *c, int64_t now_ns)
{
    *e = (struct event){.type = EV_SETTLE_COMPLETE,
                        .at_ns = now_ns,
                        .position = slot->position,
                        .seq = slot->id.seq,
                        .unit = slot->unit,
                        .epoch = slot->epoch,
                        .ref = slot->ref,
                        .client = slot->id.client,
                        .incarnation = slot->id.incarnation,
                        .worker = slot->id.worker,
                        .code = c->code,
                        .outcome_level = event_result(c->outcome, LEVEL_NONE),
                        .flags = slot->flags};
}

/* How many events it takes: one, or none for another's message. */
static inline size_t write_completion(struct recorder *r, struct event *e,
                                      const struct completion *c, int64_t now_ns)
{
    struct record_slot *slot = &r->slots[c->slot];
    uint8_t kind = slot->kind;

    slot->kind = SLOT_FREE;
    if (kind == SLOT_OTHER)
        return 0;
    if (kind == SLOT_SETTLING)
        write_settled(e, slot, c, now_ns);
    else
        write_sent(e, slot, c, now_ns);
    return 1;
}

#define PAYLOADS_AHEAD 8

/* Committed together: before any of them is acted upon. */
static void record_completions(struct recorder *r, const struct completion *c, size_t n,
                               int64_t now_ns)
{
    const uint16_t by = history_by(r->with.log);

    while (n > 0) {
        size_t room = n;
        struct event *first = history_begin_many(r->with.log, &room), *e = first;

        for (const struct completion *end = c + room; c < end; c++) {
            size_t written;

            if (end - c > SLOTS_AHEAD)
                __builtin_prefetch(&r->slots[c[SLOTS_AHEAD].slot], 1);
            history_ahead(e);
            written = write_completion(r, e, c, now_ns);
            e->by = by;
            e += written;
        }
        history_end_many(r->with.log, first, (size_t)(e - first));
        n -= room;
    }
}

static void record_completion(struct recorder *r, const struct completion *c, int64_t now_ns)
{
    record_completions(r, c, 1, now_ns);
}

static enum submit recorder_send(void *self, const struct send *send, uint32_t number,
                                 struct completion *c)
{
    struct recorder *r = self;
    struct record_slot *slot = &r->slots[number];
    bool fresh = slot->kind == SLOT_FREE;
    enum submit answer;

    assert(number < r->with.slots && (slot->kind == SLOT_FREE || slot->kind == SLOT_OFFERED));
    if (send->copy) {
        slot->kind = SLOT_OTHER;
        answer = r->inner.ops->send(r->inner.self, send, number, c);
        if (answer != SUBMIT_QUEUED)
            slot->kind = SLOT_FREE;
        return answer;
    }
    if (fresh) {
        if (r->in_txn && r->txn_messages++ == 0)
            r->txn_first = send->msg->id;
        slot->id = send->msg->id;
        slot->attempt = send->msg->attempt;
        slot->ref = send->burst;
        slot->unit = send->unit;
        slot->kind = SLOT_OFFERED;
        record_invoke(r, send);
    }
    answer = r->inner.ops->send(r->inner.self, send, number, c);
    r->beyond_limit += fresh && answer == SUBMIT_BUSY && c->code != 0;
    if (answer == SUBMIT_QUEUED) {
        slot->kind = SLOT_SENDING;
    } else if (answer == SUBMIT_DONE) {
        c->slot = number;
        record_completion(r, c, worker_clock_read(r->with.clock));
    }
    return answer;
}

/* ---- settling */

static void record_settle_invoke(struct recorder *r, const struct record_slot *slot)
{
    struct event e = {.type = EV_SETTLE_INVOKE,
                      .at_ns = worker_clock_recent(r->with.clock),
                      .seq = slot->id.seq,
                      .client = slot->id.client,
                      .incarnation = slot->id.incarnation,
                      .worker = slot->id.worker,
                      .position = slot->position,
                      .unit = slot->unit,
                      .epoch = slot->epoch,
                      .ref = slot->ref,
                      .flags = slot->flags};

    history_record(r->with.log, &e);
}

static enum submit recorder_settle(void *self, const struct settle *settle, uint32_t number,
                                   struct completion *c)
{
    struct recorder *r = self;
    struct record_slot *slot = &r->slots[number];
    enum submit answer;

    assert(number < r->with.slots && (slot->kind == SLOT_FREE || slot->kind == SLOT_OFFERED));
    if (slot->kind == SLOT_FREE) {
        *slot = (struct record_slot){.kind = SLOT_OFFERED,
                                     .position = settle->upto->position,
                                     .unit = settle->upto->unit,
                                     .epoch = settle->upto->epoch,
                                     .ref = r->with.source};
        if (settle->msg)
            slot->id = settle->msg->id;
        slot->flags =
            (uint8_t)((settle->cumulative ? EV_CUMULATIVE : 0) | (settle->reject ? EV_REJECT : 0) |
                      (settle->requeue ? EV_REQUEUE : 0));
        record_settle_invoke(r, slot);
    }
    answer = r->inner.ops->settle(r->inner.self, settle, number, c);
    if (answer == SUBMIT_BUSY)
        return answer;
    slot->kind = SLOT_SETTLING;
    if (answer == SUBMIT_DONE) {
        c->slot = number;
        record_completion(r, c, worker_clock_read(r->with.clock));
    }
    return answer;
}

/* ---- transactions: only their ends are told, and of those that hold messages of this client */

static void record_txn(struct recorder *r, enum event_type type, enum txn_verb verb,
                       const struct completion *c)
{
    struct event e = {.type = (uint8_t)type,
                      .at_ns = worker_clock_read(r->with.clock),
                      .value = r->txn_messages,
                      .seq = r->txn_first.seq,
                      .client = r->txn_first.client,
                      .incarnation = r->txn_first.incarnation,
                      .worker = r->txn_first.worker,
                      .flags = verb == TXN_ABORT ? EV_REJECT : 0};

    if (c) {
        e.code = c->code;
        e.outcome_level = event_result(c->outcome, LEVEL_NONE);
    }
    history_record(r->with.log, &e);
}

static enum submit recorder_txn(void *self, enum txn_verb verb, uint32_t number,
                                struct completion *c)
{
    struct recorder *r = self;
    bool ends = (verb == TXN_COMMIT || verb == TXN_ABORT) && r->txn_messages > 0;
    enum submit answer;

    if (verb == TXN_BEGIN)
        r->txn_messages = 0;
    if (ends)
        record_txn(r, EV_TXN_INVOKE, verb, NULL);
    answer = r->inner.ops->txn(r->inner.self, verb, number, c);
    if (ends && answer == SUBMIT_DONE)
        record_txn(r, EV_TXN_COMPLETE, verb, c);
    r->in_txn = verb == TXN_BEGIN || (r->in_txn && verb == TXN_SEND_OFFSETS);
    return answer;
}

/* ---- receiving */

static void write_damage(struct event *e, const struct delivery *d, enum payload_check check,
                         int64_t now_ns)
{
    *e = (struct event){.type = EV_CORRUPT,
                        .at_ns = now_ns,
                        .position = d->position,
                        .unit = d->unit,
                        .epoch = d->epoch,
                        .code = check == PAYLOAD_CORRUPT ? 1 : 2};
}

static inline void write_delivery(const struct recorder *r, struct event *e, struct delivery *d,
                                  struct msg *msg, int64_t now_ns)
{
    enum payload_check check = payload_read(d->payload, d->size, r->with.run, msg);

    if (__builtin_expect(check != PAYLOAD_OK, 0)) {
        d->msg = NULL;
        write_damage(e, d, check, now_ns);
        return;
    }
    d->msg = msg;
    *e = (struct event){.type = EV_DELIVER,
                        .at_ns = now_ns,
                        .position = d->position,
                        .value = (int64_t)msg->key_seq,
                        .seq = msg->id.seq,
                        .unit = d->unit,
                        .key = msg->key,
                        .epoch = d->epoch,
                        .ref = r->with.source,
                        .client = msg->id.client,
                        .incarnation = msg->id.incarnation,
                        .worker = msg->id.worker,
                        .attempt = msg->attempt,
                        .flags = (uint8_t)(d->flags | (msg->flags & MSG_MARKER ? EV_MARKER : 0))};
}

/* Committed together: before any of them is handed over. */
static void record_deliveries(struct recorder *r, struct delivery *d, size_t n, int64_t now_ns)
{
    struct msg *msg = r->messages;
    const uint16_t by = history_by(r->with.log);

    while (n > 0) {
        size_t room = n;
        struct event *first = history_begin_many(r->with.log, &room);

        for (size_t i = 0; i < room; i++) {
            history_ahead(&first[i]);
            if (room - i > PAYLOADS_AHEAD) /* nobody has read it yet: its line is still to come */
                __builtin_prefetch(d[PAYLOADS_AHEAD].payload);
            write_delivery(r, &first[i], d++, msg++, now_ns);
            first[i].by = by;
        }
        history_end_many(r->with.log, first, room);
        n -= room;
    }
}

static void record_ownership(struct recorder *r, const struct ownership *o, int64_t now_ns)
{
    struct event e = {.type = EV_OWN,
                      .at_ns = now_ns,
                      .position = o->position,
                      .unit = o->unit,
                      .epoch = o->epoch,
                      .ref = r->with.source,
                      .flags = o->flags};

    history_record(r->with.log, &e);
}

static int recorder_poll(void *self, struct harvest *harvest, int64_t until_ns)
{
    struct recorder *r = self;
    int result = r->inner.ops->poll(r->inner.self, harvest, until_ns);
    int64_t now_ns = worker_clock_read(r->with.clock);

    if (result < 0)
        return result;
    for (size_t i = 0; i < harvest->n_owners; i++)
        record_ownership(r, &harvest->owners[i], now_ns);
    record_completions(r, harvest->completions, harvest->n_completions, now_ns);
    assert(harvest->n_deliveries <= HARVEST_MAX);
    record_deliveries(r, harvest->deliveries, harvest->n_deliveries, now_ns);
    return result;
}

static void recorder_release(void *self, struct harvest *harvest)
{
    struct recorder *r = self;

    r->inner.ops->release(r->inner.self, harvest);
}

/* ---- life */

static int recorder_open(void *self, const struct client_spec *spec, int wake_fd, struct err *err)
{
    (void)self;
    (void)spec;
    (void)wake_fd;
    return err_set(err, "a recorder is made by recorder_wrap");
}

static int recorder_reconnect(void *self, struct err *err)
{
    struct recorder *r = self;

    return r->inner.ops->reconnect(r->inner.self, err);
}

static size_t recorder_outstanding(void *self)
{
    struct recorder *r = self;

    return r->inner.ops->outstanding(r->inner.self);
}

/* What the promises were put to on this side of the wire (enum hazard). */
static void record_hazard(struct recorder *r, enum hazard hazard, int64_t n)
{
    struct event e = {.type = EV_HAZARD,
                      .at_ns = worker_clock_read(r->with.clock),
                      .value = n,
                      .unit = NO_UNIT,
                      .node = NO_NODE,
                      .code = (int16_t)hazard};

    if (n > 0)
        history_record(r->with.log, &e);
}

/* What the library still holds though nobody waits for its completion. */
static int64_t unasked(const struct recorder *r)
{
    int64_t n = (int64_t)r->inner.ops->outstanding(r->inner.self);

    for (uint32_t i = 0; i < r->with.slots; i++)
        n -= r->slots[i].kind > SLOT_OFFERED;
    return n;
}

static void recorder_close(void *self, enum close_how how)
{
    struct recorder *r = self;
    int64_t now_ns;

    record_hazard(r, HAZARD_LIMIT, r->beyond_limit);
    record_hazard(r, HAZARD_EXIT, unasked(r));
    r->inner.ops->close(r->inner.self, how);
    free(r->inner.self);
    now_ns = worker_clock_read(r->with.clock);
    for (uint32_t i = 0; i < r->with.slots; i++)
        if (r->slots[i].kind != SLOT_FREE) {
            struct completion c = {.slot = i,
                                   .outcome = OUTCOME_UNKNOWN,
                                   .node = NO_NODE,
                                   .unit = NO_UNIT,
                                   .position = -1};

            record_completion(r, &c, now_ns);
        }
    free(r->slots);
    free(r->messages);
}

static const struct broker_ops recorder_ops = {
    .name = "recorder",
    .size = sizeof(struct recorder),
    .open = recorder_open,
    .send = recorder_send,
    .settle = recorder_settle,
    .txn = recorder_txn,
    .poll = recorder_poll,
    .release = recorder_release,
    .reconnect = recorder_reconnect,
    .outstanding = recorder_outstanding,
    .close = recorder_close,
};

struct broker recorder_wrap(struct broker inner, const struct recorder_options *options)
{
    struct recorder *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->inner = inner;
    r->with = *options;
    r->slots = calloc(options->slots, sizeof(*r->slots));
    r->messages = calloc(HARVEST_MAX, sizeof(*r->messages));
    if (!r->slots || !r->messages)
        abort();
    return (struct broker){.ops = &recorder_ops, .self = r};
}
