/*
 * Sending: which message of which burst is due, in which slot it travels, what its end means.
 *
 * Open loop: the k-th message of worker w of n is due at start + (k·n + w) / rate, whatever became
 * of the ones before it; what a full slot table delays is told as lateness of the send, so that no
 * latency is left out (coordinated omission). Poisson arrivals draw their gaps from a named stream.
 */
#include "client/worker.h"

#include "base/clock.h"
#include "base/draw.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TXN_FULL_NS (5 * SECOND_NS)
#define IDLE_NS (100 * MS_NS)

/* ---- bursts */

static int64_t part_of(int64_t count, unsigned number, unsigned n)
{
    if (count < 0)
        return INT64_MAX;
    return count / n + (number < count % n ? 1 : 0);
}

static int64_t poisson_gap_ns(const struct worker *w, const struct burst_part *part,
                              double rate_per_s)
{
    char stream[96];
    struct draw draw;

    snprintf(stream, sizeof(stream), "client.%u.%u.%u.burst.%u.%u", w->client->id,
             w->client->incarnation, w->number, part->number, part->serial);
    draw = draw_stream(w->client->plan->seed, stream);
    return (int64_t)(-log(1.0 - draw_unit(&draw, (uint64_t)part->index)) / rate_per_s * 1e9);
}

/* When the message with the part's index is due. */
static void schedule(const struct worker *w, struct burst_part *part)
{
    const struct burst_request *r = &w->client->bursts[part->number];
    double n = w->client->n_workers;

    if (r->rate_per_s <= 0)
        part->next_ns = 0;
    else if (!r->poisson)
        part->next_ns =
            r->start_ns + (int64_t)(((double)part->index * n + w->number) / r->rate_per_s * 1e9);
    else
        part->next_ns = (part->index == 0 ? r->start_ns : part->next_ns) +
                        poisson_gap_ns(w, part, r->rate_per_s / n);
}

static void begin_part(struct worker *w, unsigned number)
{
    const struct burst_request *r = &w->client->bursts[number];
    struct burst_part *part = &w->parts[number];

    assert(!part->active);
    *part = (struct burst_part){.number = number,
                                .serial = r->serial,
                                .active = true,
                                .left = part_of(r->count, w->number, w->client->n_workers)};
    schedule(w, part);
    w->active[w->n_active++] = (uint8_t)number;
}

void worker_take_requests(struct worker *w)
{
    unsigned generation = atomic_load_explicit(&w->client->generation, memory_order_acquire);

    if (generation == w->generation)
        return;
    w->generation = generation;
    for (unsigned i = 0; i < BURSTS_MAX; i++) {
        struct burst_request *r = &w->client->bursts[i];
        struct burst_part *part = &w->parts[i];

        if (r->serial != part->serial && !part->active)
            begin_part(w, i);
        if (part->active && atomic_load_explicit(&r->ended, memory_order_relaxed))
            part->left = 0;
    }
}

/* A part is done when nothing is left to send and the last attempt of every message has completed.
 */
void worker_finish_parts(struct worker *w)
{
    for (unsigned i = 0; i < w->n_active;) {
        struct burst_part *part = &w->parts[w->active[i]];

        if (part->left > 0 || part->unfinished > 0) {
            i++;
            continue;
        }
        worker_board(w);
        part->active = false;
        w->active[i] = w->active[--w->n_active];
        atomic_fetch_sub(&w->client->bursts[part->number].running, 1);
        atomic_fetch_add(&w->client->board->bursts[part->number].done, 1);
    }
}

/* ---- which message next */

/* Flat out, room is used by halves or by this much: a library that completes one at a time would
 * otherwise be fed one at a time, a system call each. */
#define REFILL_MAX 64u

static bool has_room(const struct worker *w, const struct burst_part *part)
{
    uint32_t refill = (w->client->needs.outstanding + 1) / 2;

    if (refill > REFILL_MAX)
        refill = REFILL_MAX;
    return part->next_ns != 0 || w->n_free >= refill || w->n_free >= part->left;
}

static void take_order(struct worker *w, struct burst_part *part, uint32_t max,
                       struct work_order *order)
{
    uint32_t n = part->next_ns != 0 ? 1 : max < w->n_free ? max : w->n_free;

    if (n > part->left)
        n = (uint32_t)part->left;
    if (part->index == 0) /* its first invoke must not seem to lie before the burst was asked for */
        w->clock.now_ns = 0;
    *order = (struct work_order){.burst = part->number,
                                 .n = n,
                                 .via = w->client->bursts[part->number].via,
                                 .key = w->client->bursts[part->number].key,
                                 .intended_ns = part->next_ns};
    w->order_left = n;
    if (part->left != INT64_MAX)
        part->left -= n;
    part->unfinished += n;
    part->index += n;
    if (part->next_ns != 0)
        schedule(w, part);
    w->tally.sent[part->number] += n;
    w->tally.outstanding += n;
    w->tally.touched |= UINT64_C(1) << part->number;
}

bool worker_next_send(struct worker *w, struct work_order *order, uint32_t max, int64_t *until_ns)
{
    int64_t now_ns = worker_clock_recent(&w->clock);

    *until_ns = now_ns + IDLE_NS;
    worker_take_requests(w);
    if (w->n_free == 0 || w->broken || w->n_retry > 0)
        return false;
    for (unsigned i = 0; i < w->n_active; i++) {
        struct burst_part *part = &w->parts[w->active[(w->turn + i) % w->n_active]];

        if (part->left == 0 || !has_room(w, part))
            continue;
        if (part->next_ns > now_ns) {
            *until_ns = part->next_ns < *until_ns ? part->next_ns : *until_ns;
            continue;
        }
        take_order(w, part, max, order);
        w->turn += i + 1;
        return true;
    }
    return false;
}

/* ---- sending */

static void completed_slot(struct worker *w, uint32_t number, enum outcome outcome);
/* Every message passes here: calls between these few functions would cost it more than they do. */
#define HOT __attribute__((always_inline)) static inline

/* Offers the message in a slot to the library; BUSY keeps it in the retry list. */
HOT void offer(struct worker *w, uint32_t number, bool more)
{
    struct send_slot *slot = &w->slots[number];
    struct send send = {.msg = &slot->msg,
                        .payload = w->payload,
                        .size = w->client->needs.payload_bytes,
                        .unit = slot->unit,
                        .via = slot->via,
                        .burst = slot->burst,
                        .intended_ns = slot->intended_ns,
                        .more = more,
                        .copy = slot->copy};
    struct completion c = {.slot = number, .node = NO_NODE, .unit = NO_UNIT, .position = -1};

    payload_write(w->payload, send.size, w->client->plan->run, &slot->msg);
    switch (w->broker.ops->send(w->broker.self, &send, number, &c)) {
    case SUBMIT_DONE:
        completed_slot(w, number, c.outcome);
        break;
    case SUBMIT_BUSY:
        w->retry[w->n_retry++] = number;
        break;
    case SUBMIT_QUEUED:
        break;
    }
}

void worker_send(struct worker *w, const struct work_order *order, const struct message_body *body,
                 uint32_t unit)
{
    uint32_t number;
    struct send_slot *slot;
    bool more;

    assert(w->n_free > 0);
    number = w->free_slots[--w->n_free];
    slot = &w->slots[number];
    if (w->n_free > SLOTS_AHEAD)
        __builtin_prefetch(&w->slots[w->free_slots[w->n_free - SLOTS_AHEAD]], 1);
    *slot = (struct send_slot){.msg = {.id = w->me,
                                       .flags = body->removed ? MSG_REMOVED : 0,
                                       .key = body->key,
                                       .key_seq = body->key_seq,
                                       .version = body->version},
                               .intended_ns = order->intended_ns,
                               .burst = order->burst,
                               .unit = unit,
                               .via = order->via,
                               .best = OUTCOME_NONE};
    w->me.seq++;
    more = w->order_left > 1;
    w->order_left -= more;
    if (w->n_retry > 0) /* the library is full: what comes later stays behind */
        w->retry[w->n_retry++] = number;
    else
        offer(w, number, more);
}

void worker_forward(struct worker *w, const struct delivery *d)
{
    uint32_t number;

    assert(w->n_free > 0 && d->msg);
    number = w->free_slots[--w->n_free];
    w->slots[number] =
        (struct send_slot){.msg = *d->msg, .unit = NO_UNIT, .via = NO_NODE, .copy = true};
    if (w->n_retry > 0)
        w->retry[w->n_retry++] = number;
    else
        offer(w, number, false);
}

/* ---- transactions */

bool worker_has_txn(const struct worker *w)
{
    return w->broker.ops->txn != NULL;
}

enum outcome worker_txn(struct worker *w, enum txn_verb verb)
{
    struct deadline full = deadline_in(TXN_FULL_NS, NULL);
    struct completion c = {.node = NO_NODE, .unit = NO_UNIT, .position = -1};

    if (w->broken)
        return OUTCOME_FAIL;
    while (w->n_retry > 0 && deadline_sleep(&full, MS_NS) == 0)
        worker_offer_again(w);
    /* blocking libraries: the answer is there when the call returns */
    if (w->broker.ops->txn(w->broker.self, verb, w->client->needs.outstanding, &c) != SUBMIT_DONE)
        return OUTCOME_UNKNOWN;
    return c.outcome;
}

void worker_offer_again(struct worker *w)
{
    uint32_t n = w->n_retry;

    if (w->broken)
        return;
    w->n_retry = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t before = w->n_retry;

        offer(w, w->retry[i], false);
        if (w->n_retry == before)
            continue;
        /* still busy: the rest keeps its order behind it */
        memmove(w->retry + w->n_retry, w->retry + i + 1, (n - i - 1) * sizeof(*w->retry));
        w->n_retry += n - i - 1;
        return;
    }
}

/* ---- completions */

/* Of attempts of which the last did not end well. */
static uint8_t better(uint8_t best, enum outcome outcome)
{
    if (best == OUTCOME_OK)
        return OUTCOME_OK;
    if (best == OUTCOME_UNKNOWN || outcome == OUTCOME_UNKNOWN)
        return OUTCOME_UNKNOWN;
    return (uint8_t)outcome;
}

static bool sends_again(const struct worker *w, const struct send_slot *slot, enum outcome outcome)
{
    if (w->resend == RESEND_NONE || slot->msg.attempt + 1u >= w->attempts_max || worker_stopping(w))
        return false;
    return outcome == OUTCOME_UNKNOWN || (w->resend == RESEND_UNTIL_OK && outcome == OUTCOME_FAIL);
}

/*
 * Again in the order of numbers, so before what was only offered yet: an older message that comes
 * after newer ones is out of order in a log, and where a product knows messages by rising ids (a
 * stream's publishing ids) it is taken for one that is there.
 */
static void wait_again(struct worker *w, uint32_t number)
{
    uint64_t seq = w->slots[number].msg.id.seq;
    uint32_t at = w->n_retry++;

    for (; at > 0; at--) {
        const struct send_slot *before = &w->slots[w->retry[at - 1]];

        if (before->copy || before->msg.id.seq < seq)
            break;
        w->retry[at] = w->retry[at - 1];
    }
    w->retry[at] = number;
}

/* An attempt that did not end well; true: the message's slot is wanted for another. */
__attribute__((noinline)) static bool tries_again(struct worker *w, uint32_t number,
                                                  enum outcome outcome)
{
    struct send_slot *slot = &w->slots[number];

    slot->best = better(slot->best, outcome);
    if (!sends_again(w, slot, outcome))
        return false;
    slot->msg.attempt++;
    slot->intended_ns = 0;
    wait_again(w, number);
    return true;
}

HOT void complete(struct worker *w, uint32_t number, enum outcome outcome)
{
    struct send_slot *slot = &w->slots[number];

    if (slot->copy) {
        w->free_slots[w->n_free++] = number;
        return;
    }
    if (outcome == OUTCOME_OK)
        slot->best = OUTCOME_OK;
    else if (tries_again(w, number, outcome))
        return;
    w->parts[slot->burst].unfinished--;
    w->tally.ended[slot->burst][slot->best]++;
    w->tally.outstanding--;
    w->tally.touched |= UINT64_C(1) << slot->burst;
    w->free_slots[w->n_free++] = number;
}

static void completed_slot(struct worker *w, uint32_t number, enum outcome outcome)
{
    complete(w, number, outcome);
}

void worker_completed(struct worker *w, const struct completion *c, size_t n)
{
    uint32_t settles_from = w->client->needs.outstanding;

    for (const struct completion *end = c + n; c < end; c++) {
        if (end - c > SLOTS_AHEAD && c[SLOTS_AHEAD].slot < settles_from)
            __builtin_prefetch(&w->slots[c[SLOTS_AHEAD].slot], 1);
        if (c->slot < settles_from) {
            complete(w, c->slot, c->outcome);
            continue;
        }
        if (c->outcome == OUTCOME_OK)
            w->tally.settled += 1 + w->settles_also[c->slot - settles_from];
        w->free_settles[w->n_free_settles++] = c->slot;
    }
}

void worker_did(struct worker *w, const struct work_order *order, enum outcome outcome, bool hit)
{
    w->parts[order->burst].unfinished--;
    w->tally.ended[order->burst][outcome]++;
    w->tally.hits[order->burst] += hit;
    w->tally.outstanding--;
    w->tally.touched |= UINT64_C(1) << order->burst;
    worker_board(w); /* who is never idle never polls, and is to be seen at work all the same */
}

void worker_resend_policy(struct worker *w, enum resend policy, unsigned attempts)
{
    w->resend = policy;
    w->attempts_max = attempts > 255 ? 255 : attempts;
}
