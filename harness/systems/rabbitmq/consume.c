/*
 * Consuming with manual acknowledgement, or none. AMQP acks have no answer: a settle is ok only
 * once a synchronous call, sent after it on the same channel, has returned. That call is a passive
 * queue.declare: it goes from the channel's process to the queue's, behind the acks, so that its
 * answer says the queue has seen them (channel.flow would only ask the channel).
 *
 * A delivery tag is worth something on the connection it came by only: settling a delivery of an
 * earlier one is answered "fail" without a byte sent (the broker has put it back already).
 */
#include "systems/rabbitmq/client.h"

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A sync costs the broker a call to the queue: at most one per this, unless many acks wait. */
#define SYNC_EVERY_NS (5 * MS_NS)
#define SYNC_WAITING_MAX 1024

int consume_prepare(struct rabbit_client *c, struct err *err)
{
    long dest = plan_dest_named(c->spec.plan, c->args->consume.queue);

    c->read_unit = dest < 0 ? NO_UNIT : c->spec.plan->dests[dest].first_unit;
    c->kept = calloc(DELIVERIES_KEPT_MAX, sizeof(*c->kept));
    c->lent = calloc(HARVEST_MAX, sizeof(*c->lent));
    c->settling = calloc(OUTSTANDING_MAX, sizeof(*c->settling));
    return c->kept && c->lent && c->settling ? 0 : err_set(err, "out of memory");
}

int consume_start(struct rabbit_client *c, struct err *err)
{
    const struct consume_args *args = &c->args->consume;

    c->sync_covers = 0;
    content_next(&c->incoming);
    amqp_channel_open(c->connection, CONSUME_CHANNEL);
    if (rabbit_refused(c->connection, "open a channel", NULL, err))
        return -1;
    if (args->prefetch > 0) {
        amqp_basic_qos(c->connection, CONSUME_CHANNEL, 0, (uint16_t)args->prefetch, false);
        if (rabbit_refused(c->connection, "basic.qos", NULL, err))
            return -1;
    }
    amqp_basic_consume(c->connection, CONSUME_CHANNEL, amqp_cstring_bytes(args->queue),
                       amqp_empty_bytes, false, args->no_ack, false,
                       rabbit_table(&c->arena, &args->arguments));
    if (rabbit_refused(c->connection, "basic.consume", NULL, err))
        return -1;
    c->gained = true;
    return 0;
}

/* ---- deliveries */

static void keep(struct rabbit_client *c)
{
    struct kept *kept;

    assert(c->kept_n < DELIVERIES_KEPT_MAX);
    kept = &c->kept[(c->kept_first + c->kept_n++) % DELIVERIES_KEPT_MAX];
    *kept =
        (struct kept){.delivery = {.payload = c->incoming.body,
                                   .size = c->incoming.size,
                                   .unit = c->read_unit,
                                   .position = c->incoming.offset >= 0 ? c->incoming.offset
                                                                       : (int64_t)c->incoming.tag,
                                   .epoch = c->epoch,
                                   .flags = c->incoming.redelivered ? EV_REDELIVERED : 0,
                                   .tag = c->incoming.tag},
                      .owned = c->incoming.owned ? c->incoming.body : NULL};
    c->incoming.owned = false;
}

void consume_hand_out(struct rabbit_client *c, struct harvest *harvest)
{
    size_t max = harvest->max_deliveries < HARVEST_MAX ? harvest->max_deliveries : HARVEST_MAX;

    while (harvest->n_deliveries < max && c->kept_n > 0) {
        struct kept *kept = &c->kept[c->kept_first];

        harvest->deliveries[harvest->n_deliveries++] = kept->delivery;
        if (kept->owned)
            c->lent[c->lent_n++] = *kept;
        c->kept_first = (c->kept_first + 1) % DELIVERIES_KEPT_MAX;
        c->kept_n--;
    }
}

/* What stays behind must not point into buffers that the library is about to reuse. */
static void own_what_is_kept(struct rabbit_client *c)
{
    for (size_t i = 0; i < c->kept_n; i++) {
        struct kept *kept = &c->kept[(c->kept_first + i) % DELIVERIES_KEPT_MAX];

        if (kept->owned)
            continue;
        kept->owned = malloc(kept->delivery.size + 1);
        if (!kept->owned)
            abort();
        memcpy(kept->owned, kept->delivery.payload, kept->delivery.size);
        kept->delivery.payload = kept->owned;
    }
}

void consume_released(struct rabbit_client *c)
{
    for (size_t i = 0; i < c->lent_n; i++)
        free(c->lent[i].owned);
    c->lent_n = 0;
    if (!c->connection || c->incoming.method)
        return; /* a message under way has its first frames in there */
    own_what_is_kept(c);
    amqp_maybe_release_buffers_on_channel(c->connection, CONSUME_CHANNEL);
}

/* ---- settling */

static bool write_settle(struct rabbit_client *c, const struct settle *settle)
{
    amqp_basic_ack_t ack = {settle->upto->tag, settle->cumulative};
    amqp_basic_nack_t nack = {settle->upto->tag, settle->cumulative, settle->requeue};

    if (settle->reject)
        return wire_method(&c->wire, CONSUME_CHANNEL, AMQP_BASIC_NACK_METHOD, &nack);
    return wire_method(&c->wire, CONSUME_CHANNEL, AMQP_BASIC_ACK_METHOD, &ack);
}

enum submit consume_settle(struct rabbit_client *c, const struct settle *settle, uint32_t slot,
                           struct completion *done)
{
    *done =
        (struct completion){.slot = slot, .unit = c->read_unit, .position = -1, .node = NO_NODE};
    if (c->args->consume.no_ack) {
        done->outcome = OUTCOME_OK; /* the broker forgot it when it handed it over */
        return SUBMIT_DONE;
    }
    if (!c->connection || settle->upto->epoch != c->epoch) {
        done->outcome = OUTCOME_FAIL;
        done->code = CODE_STALE;
        return SUBMIT_DONE;
    }
    if (c->settled_end - c->settled_first + c->done_n >= OUTSTANDING_MAX ||
        !write_settle(c, settle))
        return SUBMIT_BUSY;
    c->settling[c->settled_end++ % OUTSTANDING_MAX] = slot;
    return SUBMIT_QUEUED;
}

void consume_sync(struct rabbit_client *c, int64_t now_ns)
{
    amqp_queue_declare_t declare = {.queue = amqp_cstring_bytes(c->args->consume.queue),
                                    .passive = true};
    uint64_t waiting = c->settled_end - c->settled_first;

    if (c->sync_covers || waiting == 0 ||
        (now_ns - c->synced_ns < SYNC_EVERY_NS && waiting < SYNC_WAITING_MAX))
        return;
    if (!wire_method(&c->wire, CONSUME_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &declare))
        return;
    c->sync_covers = c->settled_end;
    c->synced_ns = now_ns;
}

static void settle_upto(struct rabbit_client *c, uint64_t end, enum outcome outcome, int16_t code)
{
    while (c->settled_first < end)
        client_complete(
            c, (struct completion){.slot = c->settling[c->settled_first++ % OUTSTANDING_MAX],
                                   .outcome = outcome,
                                   .code = code,
                                   .unit = c->read_unit,
                                   .position = -1,
                                   .node = NO_NODE});
}

/* ---- frames */

void consume_frame(struct rabbit_client *c, const amqp_frame_t *frame)
{
    enum content_state state = content_feed(&c->incoming, frame);

    if (state == CONTENT_WHOLE) {
        keep(c);
        content_next(&c->incoming);
    }
    if (state != CONTENT_OTHER || frame->frame_type != AMQP_FRAME_METHOD)
        return;
    if (frame->payload.method.id == AMQP_QUEUE_DECLARE_OK_METHOD) {
        settle_upto(c, c->sync_covers, OUTCOME_OK, CODE_SETTLED);
        c->sync_covers = 0;
    } else if (frame->payload.method.id == AMQP_BASIC_CANCEL_METHOD) {
        client_break(c, CODE_CANCELLED);
    }
}

/* Deliveries that nobody took are void: the broker gives them to somebody again. With no_ack they
 * are this process's only copy and stay. */
void consume_break(struct rabbit_client *c, int16_t code)
{
    settle_upto(c, c->settled_end, OUTCOME_UNKNOWN, code);
    c->sync_covers = 0;
    content_next(&c->incoming);
    own_what_is_kept(c);
    while (!c->args->consume.no_ack && c->kept_n > 0) {
        free(c->kept[c->kept_first].owned);
        c->kept_first = (c->kept_first + 1) % DELIVERIES_KEPT_MAX;
        c->kept_n--;
    }
    c->lost = true;
}
