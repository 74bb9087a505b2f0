/*
 * Consuming: one taking command in flight on a connection of its own, settlements on the ordinary
 * one. What is read stands in a table (struct redis_source) of its own file: lists, streams,
 * channels, and the reaper, which reads nothing and gives back what others left.
 *
 * A consumer that connects first takes what an earlier life of it left unsettled (redelivered): its
 * processing list, its own pending entries; `leftovers: none` leaves them to others.
 */
#include "systems/redis/client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t redis_stream_position(const char *id)
{
    char *dash;
    unsigned long long ms = strtoull(id, &dash, 10);
    unsigned long long seq = *dash == '-' ? strtoull(dash + 1, NULL, 10) : 0;

    return (int64_t)(ms << 20 | (seq & 0xfffff));
}

/* ---- places */

void redis_reader_take(struct redis_client *h, redisReply *bulk, const char *id, bool redelivered)
{
    struct taken *t;
    uint16_t place;

    if (!bulk || bulk->type != REDIS_REPLY_STRING)
        return; /* an entry that was deleted while pending has no fields */
    assert(h->n_spare > 0);
    place = h->spare[--h->n_spare];
    t = &h->taken[place];
    t->bytes = malloc(bulk->len + 1);
    if (!t->bytes)
        abort();
    memcpy(t->bytes, bulk->str, bulk->len);
    t->size = bulk->len;
    t->order = 0;
    t->redelivered = redelivered;
    t->id[0] = '\0';
    if (*id)
        snprintf(t->id, sizeof(t->id), "%s", id);
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
    if (h->announced && h->source == &redis_channel_source)
        h->ended = h->epoch;
    for (unsigned i = 0; i < TAKEN_MAX; i++)
        free(h->taken[i].bytes);
    memset(h->taken, 0, sizeof(h->taken));
    h->queue_head = h->queue_tail = h->n_spare = 0;
    while (h->n_spare < TAKEN_MAX) {
        h->spare[h->n_spare] = (uint16_t)(TAKEN_MAX - 1 - h->n_spare);
        h->n_spare++;
    }
    h->announced = h->began = h->made_group = false;
    h->took_old = h->args->consume.leftovers == LEFTOVERS_NONE;
    h->next_ns = 0;
    snprintf(h->old_from, sizeof(h->old_from), "0");
    snprintf(h->claim_from, sizeof(h->claim_from), "0-0");
}

/* ---- connecting */

static const struct redis_source *source_of(const struct redis_client_args *a)
{
    if (a->consume.list)
        return &redis_list_source;
    if (a->consume.stream)
        return &redis_stream_source;
    return a->consume.channel ? &redis_channel_source : &redis_reaper_source;
}

int redis_reader_open(struct redis_client *h, struct err *err)
{
    const struct plan_cluster *spec = &h->plan->clusters[h->cluster];
    const struct plan_node *node = &h->plan->nodes[spec->first_node + (unsigned)h->current];

    if (!h->take)
        h->take = calloc(1, sizeof(*h->take));
    if (!h->take)
        abort();
    if (redis_lane_connect(h->take, node, h->args->hiredis.connect_timeout_ns, err) < 0)
        return -1;
    h->source = source_of(h->args);
    redis_reader_forget(h);
    /* unique per unit and client whatever worker, incarnation or connection */
    if (h->epoch == 0)
        h->epoch = ((uint32_t)h->incarnation << 16) + ((uint32_t)h->worker << 10);
    h->epoch++;
    snprintf(h->consumer, sizeof(h->consumer), "c%u.%u", h->client_id, h->worker);
    if (h->source != &redis_reaper_source) {
        redis_lane_command(h->take, "CLIENT SETNAME " READER_NAME_PREFIX "%u", h->unit_read);
        redis_lane_expect(h->take, FLIGHT_OTHER, 0, h->args->hiredis.timeout_ns);
    }
    h->source->begin(h);
    return 0;
}

/* ---- taking */

void redis_reader_ask(struct redis_client *h)
{
    uint32_t room;

    if (!h->take || !h->take->c)
        return;
    if (h->source->tend && h->next_ns != NEVER_NS && clock_now_ns() >= h->next_ns)
        h->source->tend(h);
    if (!h->source->ask || h->take->answered != h->take->tail || h->queue_head != h->queue_tail)
        return;
    room = h->source->batch(h);
    if (!h->took_old && h->n_spare >= READER_OLD_MAX) {
        if (h->source->ask_old(h))
            redis_lane_expect(h->take, FLIGHT_OLD, 0, h->args->hiredis.timeout_ns);
        else
            h->took_old = true;
    }
    if (h->took_old && h->n_spare >= room && h->source->ask(h))
        redis_lane_expect(h->take, FLIGHT_TAKE, 0,
                          h->args->hiredis.timeout_ns + READER_BLOCK_MS * MS_NS);
}

void redis_reader_reply(struct redis_client *h, struct lane *lane, enum flight_kind kind,
                        redisReply *reply)
{
    if (kind == FLIGHT_BEGIN)
        h->source->begun(h, reply);
    else if (reply->type == REDIS_REPLY_ERROR)
        h->misled =
            true; /* READONLY, UNBLOCKED, NOGROUP …: connect again, where the primary is now */
    else
        h->source->take(h, kind, reply);
    redis_lane_free(lane, reply);
}

int64_t redis_reader_due_ns(const struct redis_client *h)
{
    return h->take && h->take->c && h->next_ns > 0 ? h->next_ns : INT64_MAX;
}

/* ---- handing over */

static void announce(struct redis_client *h, struct harvest *harvest)
{
    uint8_t flags = h->made_group ? EV_GAINED | EV_RESET : EV_GAINED;

    if (h->announced || !h->began)
        return;
    harvest->owners[harvest->n_owners++] =
        (struct ownership){.unit = h->unit_read, .epoch = h->epoch, .position = -1, .flags = flags};
    h->announced = true;
}

void redis_reader_harvest(struct redis_client *h, struct harvest *harvest)
{
    if (harvest->broken)
        return;
    announce(h, harvest);
    while (h->queue_head != h->queue_tail && harvest->n_deliveries < harvest->max_deliveries &&
           harvest->n_deliveries < HARVEST_MAX) {
        uint16_t place = h->queue[h->queue_head++ % TAKEN_MAX];
        struct taken *t = &h->taken[place];

        t->order = ++h->handed;
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

/* ---- settling */

/* `cumulative`: everything handed over before it, too. */
static void settle_earlier(struct redis_client *h, struct lane *lane, const struct taken *upto)
{
    for (unsigned i = 0; i < TAKEN_MAX; i++) {
        struct taken *t = &h->taken[i];

        if (!t->bytes || t->order == 0 || t->order >= upto->order ||
            lane_open_flights(lane) >= FLIGHTS_MAX - 4)
            continue;
        h->source->settle(h, lane, t);
        redis_lane_expect(lane, FLIGHT_OTHER, 0, h->args->hiredis.timeout_ns);
        free_place(h, (uint16_t)i);
    }
}

/* Handing a message back to the list is not offered: a rejected one is dropped, or stays where it
 * is. */
enum submit redis_reader_settle(struct redis_client *h, const struct settle *settle, uint32_t slot,
                                struct completion *c)
{
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
    if (lane_open_flights(lane) >= FLIGHTS_MAX - 4 ||
        h->open_slots + (h->done_tail - h->done_head) >= DONE_MAX)
        return SUBMIT_BUSY;
    if (settle->cumulative)
        settle_earlier(h, lane, t);
    h->source->settle(h, lane, t);
    redis_lane_expect(lane, FLIGHT_SETTLE, slot, h->args->hiredis.timeout_ns);
    h->open_slots++;
    free_place(h, place);
    return SUBMIT_QUEUED;
}

/* ---- leaving in order */

static void wait_replies(struct redis_client *h, struct harvest *harvest)
{
    const struct broker_ops *ops = &redis_broker;
    int64_t until_ns = clock_now_ns() + h->args->hiredis.timeout_ns + READER_BLOCK_MS * MS_NS;

    /* in short looks: an empty answer is nothing poll would come back for */
    while (h->take->c && h->take->answered != h->take->tail && clock_now_ns() < until_ns)
        ops->poll(h, harvest, clock_now_ns() + 5 * MS_NS);
}

void redis_reader_give_back(struct redis_client *h)
{
    struct completion completions[HARVEST_MAX];
    struct ownership owners[4];
    struct harvest harvest = {.completions = completions, .owners = owners};

    if (!h->take || !h->take->c)
        return;
    wait_replies(h, &harvest);
    while (h->source->put_back && h->take->c && h->queue_head != h->queue_tail) {
        h->source->put_back(h, &h->taken[h->queue[--h->queue_tail % TAKEN_MAX]]);
        redis_lane_expect(h->take, FLIGHT_OTHER, 0, h->args->hiredis.timeout_ns);
    }
    wait_replies(h, &harvest);
}
