/*
 * One action at a time, one clock. The broker is never wrong: what it acknowledged stays, in order,
 * once; what a dead consumer had not settled comes again.
 */
#include "checkers/testing/simulate.h"

#include "base/draw.h"
#include "checkers/table.h"

#include <stdlib.h>
#include <string.h>

#define KEYS 8
#define OPEN_MAX 8
#define HELD_MAX 16

struct entry {
    struct msg_id id;
    uint8_t attempt;
    uint32_t key;
};
struct entries {
    struct entry *items;
    size_t n, size;
};

struct open_send {
    struct entry entry;
    int64_t positions[2]; /* topic, queue: -1 not there */
    uint32_t unit;
    enum outcome outcome; /* what will be answered */
};

struct producer {
    uint16_t id, incarnation;
    uint64_t next;
    struct open_send open[OPEN_MAX];
    size_t n_open;
};

struct reader { /* one (group, partition): who owns it now */
    uint32_t group, unit, epoch;
    uint16_t by;
    int64_t next, committed;
};

struct channel { /* one consumer of the queue */
    uint16_t by;
    uint32_t epoch;
    int64_t tag;
    struct {
        struct entry entry;
        int64_t tag;
        bool redelivered;
    } held[HELD_MAX];
    size_t n_held;
};

struct waiting {
    struct entry entry;
    bool redelivered;
};

struct sim {
    const struct world *w;
    const struct simulate_options *options;
    struct events *out;
    struct draw draw;
    uint64_t draws;
    int64_t now_ns;
    struct entries logs[PARTITIONS_MAX];
    struct producer producers[READER_1];
    struct reader readers[2 * PARTITIONS_MAX];
    size_t n_readers;
    struct channel channels[2];
    struct waiting *queue; /* front is queue_first */
    size_t queue_first, queue_n, queue_size;
    uint32_t epochs;
    struct entries done;    /* the journal, in commit order */
    struct table journaled; /* effects are deduplicated in the store's own transaction */
};

static uint64_t below(struct sim *s, uint64_t n)
{
    return draw_below(&s->draw, s->draws++, n);
}

static bool chance(struct sim *s, unsigned per_mille)
{
    return below(s, 1000) < per_mille;
}

static void emit(struct sim *s, struct event e)
{
    s->now_ns += 1000;
    e.at_ns = s->now_ns;
    events_add(s->out, e);
}

static struct event of_entry(const struct entry *entry)
{
    return (struct event){.client = entry->id.client,
                          .incarnation = entry->id.incarnation,
                          .worker = entry->id.worker,
                          .seq = entry->id.seq,
                          .attempt = entry->attempt,
                          .key = entry->key};
}

static size_t append(struct entries *list, const struct entry *entry)
{
    if (list->n == list->size) {
        list->size = list->size ? list->size * 2 : 256;
        list->items = realloc(list->items, list->size * sizeof(*list->items));
        if (!list->items)
            abort();
    }
    list->items[list->n++] = *entry;
    return list->n - 1;
}

static void enqueue(struct sim *s, const struct entry *entry)
{
    if (s->queue_first + s->queue_n == s->queue_size) {
        s->queue_size = s->queue_size ? s->queue_size * 2 : 256;
        s->queue = realloc(s->queue, s->queue_size * sizeof(*s->queue));
        if (!s->queue)
            abort();
    }
    s->queue[s->queue_first + s->queue_n++] = (struct waiting){*entry, false};
}

/* Back to the front, as a queue takes what its channel gave up. */
static void requeue(struct sim *s, const struct entry *entry)
{
    if (s->queue_first == 0) {
        size_t room = 64;

        while (s->queue_n + room + 1 > s->queue_size)
            s->queue_size = s->queue_size ? s->queue_size * 2 : 256;
        s->queue = realloc(s->queue, s->queue_size * sizeof(*s->queue));
        if (!s->queue)
            abort();
        memmove(s->queue + room, s->queue, s->queue_n * sizeof(*s->queue));
        s->queue_first = room;
    }
    s->queue[--s->queue_first] = (struct waiting){*entry, true};
    s->queue_n++;
}

/* ---- producers */

static bool to_topic(uint16_t id)
{
    return id < FEEDER || id >= BOTH;
}

static bool to_queue(uint16_t id)
{
    return id >= FEEDER;
}

static void arrive(struct sim *s, struct open_send *open)
{
    open->positions[0] = open->positions[1] = -1;
    if (to_topic(open->entry.id.client))
        open->positions[0] = (int64_t)append(&s->logs[open->unit], &open->entry);
    if (to_queue(open->entry.id.client)) {
        enqueue(s, &open->entry);
        open->positions[1] = 0;
    }
}

static void invoke(struct sim *s, struct producer *p, struct open_send open)
{
    struct event e = of_entry(&open.entry);
    unsigned fate = (unsigned)below(s, 100);

    e.type = EV_SEND_INVOKE;
    e.by = p->id;
    e.unit = NO_UNIT;
    emit(s, e);
    open.outcome = fate < 88 ? OUTCOME_OK : fate < 92 ? OUTCOME_FAIL : OUTCOME_UNKNOWN;
    if (chance(s, s->options->believed))
        open.outcome = OUTCOME_BELIEVED;
    open.unit = to_topic(p->id) ? (uint32_t)(open.entry.key % s->w->queue_unit) : s->w->queue_unit;
    open.positions[0] = open.positions[1] = -1;
    if (open.outcome == OUTCOME_OK || open.outcome == OUTCOME_BELIEVED ||
        (open.outcome == OUTCOME_UNKNOWN && fate & 1))
        arrive(s, &open);
    p->open[p->n_open++] = open;
}

static void complete(struct sim *s, struct producer *p)
{
    size_t at = below(s, p->n_open); /* answers overtake each other */
    struct open_send open = p->open[at];
    struct event e = of_entry(&open.entry);

    memmove(p->open + at, p->open + at + 1, (--p->n_open - at) * sizeof(open));
    e.type = EV_SEND_COMPLETE;
    e.by = p->id;
    e.key = 0;
    e.node = (uint16_t)below(s, 3);
    e.unit = open.outcome == OUTCOME_OK ? open.unit : NO_UNIT;
    e.position = open.outcome == OUTCOME_OK && to_topic(p->id) ? open.positions[0] : -1;
    e.outcome_level =
        event_result(open.outcome, open.outcome == OUTCOME_OK ? LEVEL_QUORUM : LEVEL_NONE);
    emit(s, e);
    /* The application sends again what it knows did not arrive; the broker would have told a
     * double. */
    if (open.outcome == OUTCOME_UNKNOWN && open.positions[0] < 0 && open.positions[1] < 0 &&
        open.entry.attempt < 3 && chance(s, s->options->resends)) {
        open.entry.attempt++;
        invoke(s, p, open);
    }
}

static void produce(struct sim *s)
{
    struct producer *p = &s->producers[below(s, READER_1)];

    if (p->n_open == OPEN_MAX || (p->n_open > 0 && chance(s, 500))) {
        complete(s, p);
        return;
    }
    invoke(s, p,
           (struct open_send){
               .entry = {.id = {.seq = p->next++, .client = p->id, .incarnation = p->incarnation},
                         .key = (uint32_t)below(s, s->options->keys ? s->options->keys : KEYS)}});
}

static void producer_dies(struct sim *s)
{
    struct producer *p = &s->producers[below(s, READER_1)];

    emit(s, (struct event){.type = EV_CLIENT_DEATH,
                           .by = BY_COORDINATOR,
                           .ref = p->id,
                           .epoch = p->incarnation,
                           .code = 9});
    p->n_open = 0; /* never answered */
    p->next = 0;
    p->incarnation++;
    emit(s, (struct event){.type = EV_CLIENT_START, .by = p->id});
}

/* ---- the store: one transaction looks whether it is done already, and does it */

static void take_effect(struct sim *s, const struct entry *entry)
{
    uint64_t *done = table_put(
        &s->journaled, (uint64_t)entry->id.client << 16 | entry->id.incarnation, entry->id.seq);

    if ((*done)++ > 0)
        return;
    append(&s->done, entry);
}

/* ---- groups */

static void own(struct sim *s, struct reader *r, uint16_t by)
{
    r->by = by;
    r->epoch = ++s->epochs;
    r->next = r->committed;
    emit(s, (struct event){.type = EV_OWN,
                           .by = by,
                           .unit = r->unit,
                           .epoch = r->epoch,
                           .ref = r->group,
                           .position = r->committed,
                           .flags = (uint8_t)(EV_GAINED | (r->committed == 0 ? EV_RESET : 0))});
}

static void read_some(struct sim *s, struct reader *r)
{
    struct entries *log = &s->logs[r->unit];
    struct event e;

    if (r->next >= (int64_t)log->n)
        return;
    e = of_entry(&log->items[r->next]);
    e.type = EV_DELIVER;
    e.by = r->by;
    e.unit = r->unit;
    e.epoch = r->epoch;
    e.ref = r->group;
    e.position = r->next;
    emit(s, e);
    if (r->group == GROUP_1)
        take_effect(s, &log->items[r->next]);
    r->next++;
}

static void commit(struct sim *s, struct reader *r, bool surely)
{
    struct event e = {.type = EV_SETTLE_INVOKE,
                      .by = r->by,
                      .unit = r->unit,
                      .epoch = r->epoch,
                      .ref = r->group,
                      .position = r->next - 1,
                      .flags = EV_CUMULATIVE};
    bool ok = surely || chance(s, 900);

    if (r->next == r->committed)
        return;
    emit(s, e);
    e.type = EV_SETTLE_COMPLETE;
    e.outcome_level = event_result(ok ? OUTCOME_OK : OUTCOME_UNKNOWN, LEVEL_NONE);
    emit(s, e);
    if (ok || chance(s, 500))
        r->committed = r->next;
}

static void rebalance(struct sim *s)
{
    struct reader *r = &s->readers[below(s, s->n_readers)];
    uint16_t first = r->group == GROUP_1 ? READER_1 : READER_2;

    if (chance(s, 500))
        emit(s, (struct event){.type = EV_OWN,
                               .by = r->by,
                               .unit = r->unit,
                               .epoch = r->epoch,
                               .ref = r->group,
                               .position = r->next,
                               .flags = EV_LOST});
    own(s, r, (uint16_t)(first + below(s, 2)));
}

/* ---- the queue */

static void open_channel(struct sim *s, struct channel *c)
{
    c->epoch = ++s->epochs;
    c->tag = 0;
    c->n_held = 0;
    emit(s, (struct event){.type = EV_OWN,
                           .by = c->by,
                           .unit = s->w->queue_unit,
                           .epoch = c->epoch,
                           .ref = QUEUE,
                           .position = -1,
                           .flags = EV_GAINED});
}

static void close_channel(struct sim *s, struct channel *c)
{
    while (c->n_held > 0)
        requeue(s, &c->held[--c->n_held].entry);
    open_channel(s, c);
}

static void take_one(struct sim *s, struct channel *c)
{
    struct waiting taken;
    struct event e;

    if (s->queue_n == 0 || c->n_held == HELD_MAX)
        return;
    taken = s->queue[s->queue_first++];
    s->queue_n--;
    c->held[c->n_held].entry = taken.entry;
    c->held[c->n_held++].tag = ++c->tag;
    e = of_entry(&taken.entry);
    e.type = EV_DELIVER;
    e.by = c->by;
    e.unit = s->w->queue_unit;
    e.epoch = c->epoch;
    e.ref = QUEUE;
    e.position = c->tag;
    e.flags = taken.redelivered ? EV_REDELIVERED : 0;
    emit(s, e);
    take_effect(s, &taken.entry);
}

/* One consumer settles in the order of delivery: the only way that keeps a queue's order. */
static void settle_some(struct sim *s, struct channel *c)
{
    size_t n = c->n_held ? 1 + below(s, c->n_held) : 0;
    struct event e;
    bool cumulative = n > 1;

    if (n == 0)
        return;
    e = of_entry(&c->held[n - 1].entry);
    e.type = EV_SETTLE_INVOKE;
    e.by = c->by;
    e.unit = s->w->queue_unit;
    e.epoch = c->epoch;
    e.ref = QUEUE;
    e.key = 0;
    e.attempt = 0;
    e.position = c->held[n - 1].tag;
    e.flags = cumulative ? EV_CUMULATIVE : 0;
    emit(s, e);
    e.type = EV_SETTLE_COMPLETE;
    e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
    emit(s, e);
    memmove(c->held, c->held + n, (c->n_held - n) * sizeof(*c->held));
    c->n_held -= n;
}

static void consume_queue(struct sim *s)
{
    struct channel *c = &s->channels[0]; /* a single active consumer; the other takes over */

    if (chance(s, 300))
        settle_some(s, c);
    else
        take_one(s, c);
}

static void consumer_dies(struct sim *s)
{
    struct channel *c = &s->channels[0];

    emit(s, (struct event){.type = EV_CLIENT_DEATH, .by = BY_COORDINATOR, .ref = c->by, .code = 9});
    c->by = c->by == WORKER ? WORKER + 1 : WORKER;
    close_channel(s, c);
}

/* ---- the end */

static void finish_consumers(struct sim *s)
{
    for (size_t i = 0; i < s->n_readers; i++) {
        while (s->readers[i].next < (int64_t)s->logs[s->readers[i].unit].n)
            read_some(s, &s->readers[i]);
        commit(s, &s->readers[i], true);
    }
    if (s->options->leave_rest) {
        close_channel(s, &s->channels[0]);
        return;
    }
    while (s->queue_n > 0 || s->channels[0].n_held > 0) {
        take_one(s, &s->channels[0]);
        if (s->queue_n == 0 || s->channels[0].n_held == HELD_MAX)
            settle_some(s, &s->channels[0]);
    }
}

static void proof(struct sim *s, uint32_t unit, enum drain_level level)
{
    emit(s, (struct event){.type = EV_DRAIN,
                           .by = BY_COORDINATOR,
                           .unit = unit,
                           .position = -1,
                           .value = -1,
                           .outcome_level = event_result(OUTCOME_OK, (enum level)level)});
}

static void audit(struct sim *s)
{
    struct event e;

    for (uint32_t u = 0; u < s->w->queue_unit; u++)
        for (size_t i = 0; i < s->logs[u].n; i++) {
            e = of_entry(&s->logs[u].items[i]);
            e.type = EV_AUDIT_LOG;
            e.by = BY_AUDIT;
            e.unit = u;
            e.position = (int64_t)i;
            emit(s, e);
        }
    for (size_t i = 0; i < s->queue_n; i++) {
        const struct waiting *left = &s->queue[s->queue_first + i];

        e = of_entry(&left->entry);
        e.type = EV_AUDIT_LOG;
        e.by = BY_AUDIT;
        e.unit = s->w->queue_unit;
        e.position = (int64_t)i;
        e.flags = left->redelivered ? EV_REDELIVERED : 0;
        emit(s, e);
    }
    for (size_t i = 0; i < s->n_readers; i++)
        emit(s, (struct event){.type = EV_AUDIT_SETTLED,
                               .by = BY_AUDIT,
                               .unit = s->readers[i].unit,
                               .ref = s->readers[i].group,
                               .position = s->readers[i].committed});
    for (uint32_t u = 0; u < s->w->queue_unit; u++)
        proof(s, u, DRAIN_D2);
    proof(s, s->w->queue_unit, s->options->leave_rest ? DRAIN_D1 : DRAIN_D2);
    for (size_t i = 0; i < s->done.n; i++) {
        e = of_entry(&s->done.items[i]);
        e.type = EV_AUDIT_EFFECT;
        e.by = BY_AUDIT;
        e.attempt = 0;
        e.position = (int64_t)i + 1;
        e.value = (int64_t)i + 1;
        emit(s, e);
    }
    proof(s, NO_UNIT, DRAIN_D3);
}

static void start(struct sim *s)
{
    for (uint16_t i = 0; i < READER_1; i++)
        s->producers[i] = (struct producer){.id = i};
    for (uint32_t u = 0; u < s->w->queue_unit; u++)
        for (uint32_t g = GROUP_1; g <= GROUP_2; g++) {
            s->readers[s->n_readers] = (struct reader){.group = g, .unit = u};
            own(s, &s->readers[s->n_readers++], g == GROUP_1 ? READER_1 : READER_2);
        }
    s->channels[0].by = WORKER;
    open_channel(s, &s->channels[0]);
}

void simulate(const struct world *w, const struct simulate_options *options, struct events *out)
{
    struct sim *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->w = w;
    s->options = options;
    s->out = out;
    s->draw = draw_stream(options->seed, "simulate");
    out->n = 0;
    start(s);
    for (size_t i = 0; i < options->steps; i++) {
        struct reader *r = &s->readers[below(s, s->n_readers)];

        switch (below(s, 8)) {
        case 0:
        case 1:
        case 2:
            produce(s);
            break;
        case 3:
        case 4:
            read_some(s, r);
            break;
        case 5:
            if (chance(s, 300))
                commit(s, r, false);
            else
                read_some(s, r);
            break;
        default:
            consume_queue(s);
            break;
        }
        if (chance(s, options->trouble))
            (i % 3 == 0 ? producer_dies : i % 3 == 1 ? rebalance : consumer_dies)(s);
    }
    for (uint16_t i = 0; i < READER_1; i++)
        while (s->producers[i].n_open > 0)
            complete(s, &s->producers[i]);
    finish_consumers(s);
    audit(s);
    for (size_t u = 0; u < PARTITIONS_MAX; u++)
        free(s->logs[u].items);
    free(s->done.items);
    free(s->queue);
    table_release(&s->journaled);
    free(s);
}
