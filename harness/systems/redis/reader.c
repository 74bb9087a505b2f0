/*
 * Consuming: one blocking command in flight on a connection of its own, settlements on the ordinary
 * one. BLPOP and BRPOP settle by handing over; BLMOVE keeps the message in this consumer's
 * processing list until LREM; XREADGROUP keeps it pending until XACK.
 *
 * A consumer that connects first takes what an earlier life of it left unsettled (redelivered): its
 * processing list, its own pending entries. Other consumers' leftovers are not claimed here.
 */
#include "systems/redis/client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MS 500 /* of one blocking command; also what leaving in order may wait for */
#define OLD_MAX 256  /* leftovers taken at once */

void redis_processing_name(const struct redis_client_args *args, uint16_t client_id, char *out,
                           size_t size)
{
    if (args->consume.processing)
        snprintf(out, size, "%s:%u", args->consume.processing, client_id);
    else
        snprintf(out, size, "%s:processing:%u", args->consume.list, client_id);
}

int64_t redis_stream_position(const char *id)
{
    char *dash;
    unsigned long long ms = strtoull(id, &dash, 10);
    unsigned long long seq = *dash == '-' ? strtoull(dash + 1, NULL, 10) : 0;

    return (int64_t)(ms << 20 | (seq & 0xfffff));
}

/* ---- places */

static void take_place(struct redis_client *h, redisReply *bulk, const char *id, bool redelivered)
{
    uint16_t place;

    if (!bulk || bulk->type != REDIS_REPLY_STRING)
        return; /* an entry that was deleted while pending has no fields */
    assert(h->n_spare > 0);
    place = h->spare[--h->n_spare];
    h->taken[place] =
        (struct taken){.bytes = bulk->str, .size = bulk->len, .redelivered = redelivered};
    bulk->str = NULL; /* ours now */
    snprintf(h->taken[place].id, sizeof(h->taken[place].id), "%s", id);
    h->queue[h->queue_tail++ % TAKEN_MAX] = place;
}

static void free_place(struct redis_client *h, uint16_t place)
{
    if (!h->taken[place].bytes)
        return;
    free(h->taken[place].bytes);
    h->taken[place].bytes = NULL;
    h->spare[h->n_spare++] = place;
}

void redis_reader_forget(struct redis_client *h)
{
    for (unsigned i = 0; i < TAKEN_MAX; i++)
        free(h->taken[i].bytes);
    memset(h->taken, 0, sizeof(h->taken));
    h->queue_head = h->queue_tail = h->n_spare = 0;
    while (h->n_spare < TAKEN_MAX) {
        h->spare[h->n_spare] = (uint16_t)(TAKEN_MAX - 1 - h->n_spare);
        h->n_spare++;
    }
    h->announced = h->took_old = false;
    snprintf(h->old_from, sizeof(h->old_from), "0");
}

/* ---- connecting */

int redis_reader_open(struct redis_client *h, struct err *err)
{
    const struct redis_client_args *a = h->args;
    const struct plan_cluster *spec = &h->plan->clusters[h->cluster];
    const struct plan_node *node = &h->plan->nodes[spec->first_node + (unsigned)h->current];

    if (!h->take)
        h->take = calloc(1, sizeof(*h->take));
    if (!h->take)
        abort();
    if (redis_lane_connect(h->take, node, a->hiredis.connect_timeout_ns, err) < 0)
        return -1;
    redis_reader_forget(h);
    /* unique per unit and client whatever worker, incarnation or connection */
    if (h->epoch == 0)
        h->epoch = ((uint32_t)h->incarnation << 16) + ((uint32_t)h->worker << 10);
    h->epoch++;
    snprintf(h->consumer, sizeof(h->consumer), "c%u.%u", h->client_id, h->worker);
    if (a->consume.stream) {
        redis_lane_command(h->take, "XGROUP CREATE %s %s %s MKSTREAM", a->consume.stream,
                           a->consume.group, a->consume.from);
        redis_lane_expect(h->take, FLIGHT_OTHER, 0,
                          a->hiredis.timeout_ns); /* -BUSYGROUP: it is there */
    } else if (a->consume.mode == TAKE_BLMOVE) {
        redis_processing_name(a, h->client_id, h->processing, sizeof(h->processing));
    }
    return 0;
}

/* ---- taking */

static void ask_old(struct redis_client *h)
{
    const struct redis_client_args *a = h->args;

    if (a->consume.stream && !a->consume.noack)
        redis_lane_command(h->take, "XREADGROUP GROUP %s %s COUNT %d STREAMS %s %s",
                           a->consume.group, h->consumer, OLD_MAX, a->consume.stream, h->old_from);
    else if (a->consume.list && a->consume.mode == TAKE_BLMOVE && h->worker == 0)
        redis_lane_command(h->take, "LRANGE %s 0 %d", h->processing, OLD_MAX - 1);
    else
        h->took_old = true;
    if (!h->took_old)
        redis_lane_expect(h->take, FLIGHT_OLD, 0, a->hiredis.timeout_ns);
}

static void ask_new(struct redis_client *h)
{
    const struct redis_client_args *a = h->args;

    if (a->consume.stream)
        redis_lane_command(h->take, "XREADGROUP GROUP %s %s COUNT %lld BLOCK %d %sSTREAMS %s >",
                           a->consume.group, h->consumer, (long long)a->consume.count, BLOCK_MS,
                           a->consume.noack ? "NOACK " : "", a->consume.stream);
    else if (a->consume.mode == TAKE_BLMOVE)
        redis_lane_command(h->take, "BLMOVE %s %s LEFT RIGHT %.1f", a->consume.list, h->processing,
                           BLOCK_MS / 1000.0);
    else
        redis_lane_command(h->take, "%s %s %.1f", a->consume.mode == TAKE_BRPOP ? "BRPOP" : "BLPOP",
                           a->consume.list, BLOCK_MS / 1000.0);
    redis_lane_expect(h->take, FLIGHT_TAKE, 0, a->hiredis.timeout_ns + BLOCK_MS * MS_NS);
}

void redis_reader_ask(struct redis_client *h)
{
    uint32_t room = h->args->consume.stream ? (uint32_t)h->args->consume.count : 1;

    if (!h->take || !h->take->c || h->take->answered != h->take->tail ||
        h->queue_head != h->queue_tail)
        return;
    if (!h->took_old && h->n_spare >= OLD_MAX)
        ask_old(h);
    if (h->took_old && h->n_spare >= room && h->take->answered == h->take->tail)
        ask_new(h);
}

/* [[stream, [[id, [field, value …]] …]]] */
static size_t take_entries(struct redis_client *h, redisReply *reply, bool old)
{
    redisReply *entries;

    if (reply->elements < 1 || reply->element[0]->elements < 2)
        return 0;
    entries = reply->element[0]->element[1];
    for (size_t i = 0; i < entries->elements; i++) {
        redisReply *entry = entries->element[i];
        redisReply *fields = entry->elements == 2 ? entry->element[1] : NULL;

        snprintf(h->old_from, sizeof(h->old_from), "%s", entry->element[0]->str);
        if (fields && fields->type == REDIS_REPLY_ARRAY && fields->elements >= 2)
            take_place(h, fields->element[1], entry->element[0]->str, old);
    }
    return entries->elements;
}

static void take_new(struct redis_client *h, redisReply *reply)
{
    if (h->args->consume.stream) {
        if (reply->type == REDIS_REPLY_ARRAY)
            take_entries(h, reply, false);
    } else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        take_place(h, reply->element[1], "", false);
    } else if (reply->type == REDIS_REPLY_STRING) {
        take_place(h, reply, "", false);
    }
}

static void take_old(struct redis_client *h, redisReply *reply)
{
    if (h->args->consume.stream) {
        h->took_old = take_entries(h, reply, true) < OLD_MAX;
        return;
    }
    for (size_t i = 0; i < reply->elements; i++)
        take_place(h, reply->element[i], "", true);
    h->took_old = true;
}

void redis_reader_reply(struct redis_client *h, enum flight_kind kind, redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR)
        h->misled =
            true; /* READONLY, UNBLOCKED, NOGROUP …: connect again, where the primary is now */
    else if (kind == FLIGHT_OLD)
        take_old(h, reply);
    else
        take_new(h, reply);
    redis_lane_free(h->take, reply);
}

/* ---- handing over */

void redis_reader_harvest(struct redis_client *h, struct harvest *harvest)
{
    if (harvest->broken)
        return;
    if (!h->announced && h->take && h->take->c) {
        harvest->owners[harvest->n_owners++] = (struct ownership){
            .unit = h->unit_read, .epoch = h->epoch, .position = -1, .flags = EV_GAINED};
        h->announced = true;
    }
    while (h->queue_head != h->queue_tail && harvest->n_deliveries < harvest->max_deliveries &&
           harvest->n_deliveries < HARVEST_MAX) {
        uint16_t place = h->queue[h->queue_head++ % TAKEN_MAX];
        const struct taken *t = &h->taken[place];

        harvest->deliveries[harvest->n_deliveries++] =
            (struct delivery){.payload = t->bytes,
                              .size = t->size,
                              .unit = h->unit_read,
                              .position = t->id[0] ? redis_stream_position(t->id) : -1,
                              .epoch = h->epoch,
                              .flags = t->redelivered ? EV_REDELIVERED : 0,
                              .tag = (uint64_t)h->epoch << 32 | place};
    }
}

void redis_reader_release(struct redis_client *h, const struct harvest *harvest)
{
    if (!redis_client_hands_over(h->args))
        return; /* payloads stay until they are settled: LREM needs them */
    for (size_t i = 0; i < harvest->n_deliveries; i++)
        if (harvest->deliveries[i].tag >> 32 == h->epoch)
            free_place(h, (uint16_t)harvest->deliveries[i].tag);
}

/* Handing a message back to the list is not offered: a rejected one is dropped, or stays where it
 * is. */
enum submit redis_reader_settle(struct redis_client *h, const struct settle *settle, uint32_t slot,
                                struct completion *c)
{
    const struct redis_client_args *a = h->args;
    uint16_t place = (uint16_t)(settle->upto->tag & (TAKEN_MAX - 1));
    struct taken *t = &h->taken[place];
    struct lane *lane = h->current >= 0 ? h->lanes[h->current] : NULL;

    if (settle->upto->tag >> 32 != h->epoch || !t->bytes || !lane || !lane->c ||
        (settle->reject && settle->requeue)) {
        *c = (struct completion){.slot = slot,
                                 .outcome = redis_outcome_of(REDIS_CODE_REFUSED),
                                 .code = REDIS_CODE_REFUSED,
                                 .node = NO_NODE,
                                 .unit = h->unit_read,
                                 .position = -1};
        return SUBMIT_DONE;
    }
    if (lane_open_flights(lane) >= FLIGHTS_MAX - 2 ||
        h->open_slots + (h->done_tail - h->done_head) >= DONE_MAX)
        return SUBMIT_BUSY;
    if (a->consume.stream)
        redis_lane_command(lane, "XACK %s %s %s", a->consume.stream, a->consume.group, t->id);
    else
        redis_lane_command(lane, "LREM %s 1 %b", h->processing, t->bytes, t->size);
    redis_lane_expect(lane, FLIGHT_SETTLE, slot, a->hiredis.timeout_ns);
    h->open_slots++;
    free_place(h, place);
    return SUBMIT_QUEUED;
}

/* ---- leaving in order */

static void wait_replies(struct redis_client *h, struct harvest *harvest)
{
    const struct broker_ops *ops = &redis_broker;
    int64_t until_ns = clock_now_ns() + h->args->hiredis.timeout_ns + BLOCK_MS * MS_NS;

    while (h->take->c && h->take->answered != h->take->tail && clock_now_ns() < until_ns)
        ops->poll(h, harvest, until_ns);
}

void redis_reader_give_back(struct redis_client *h)
{
    struct completion completions[HARVEST_MAX];
    struct ownership owners[4];
    struct harvest harvest = {.completions = completions, .owners = owners};
    const struct redis_client_args *a = h->args;

    if (!h->take || !h->take->c)
        return;
    wait_replies(h, &harvest);
    if (!a->consume.list || a->consume.mode == TAKE_BLMOVE)
        return; /* pending and processing messages wait where they are */
    while (h->take->c && h->queue_head != h->queue_tail) {
        const struct taken *t = &h->taken[h->queue[--h->queue_tail % TAKEN_MAX]];

        redis_lane_command(h->take, "%s %s %b", a->consume.mode == TAKE_BRPOP ? "RPUSH" : "LPUSH",
                           a->consume.list, t->bytes, t->size);
        redis_lane_expect(h->take, FLIGHT_OTHER, 0, a->hiredis.timeout_ns);
    }
    wait_replies(h, &harvest);
}
