/* Made-up traffic. See traffic.h. */
#include "checkers/testing/traffic.h"

#include "api/broker.h"
#include "api/checker.h"
#include "api/registry.h"
#include "base/clock.h"
#include "checkers/order.h"
#include "history/history.h"
#include "plan/script.h"

#include <stdio.h>
#include <stdlib.h>

#define BURST 50       /* sends of one producer before their answers come */
#define ROUND 20000    /* messages between two rounds of the consumers */
#define LINGER_NS 2000 /* between two events */

struct stored {
    uint64_t seq;
    uint32_t key;
    uint16_t client; /* PRODUCERS: nothing visible */
    uint8_t lost;
};

struct traffic_unit {
    struct stored *log; /* by position */
    size_t n, size;
    size_t next, committed;
    uint32_t epoch, owner;
};

static void stop(const char *what)
{
    fprintf(stderr, "traffic: %s\n", what);
    abort();
}

static uint64_t below(struct traffic *t, uint64_t n)
{
    return draw_below(&t->draw, t->draws++, n);
}

static void record(struct traffic *t, struct history_writer *w, struct event e)
{
    e.at_ns = t->at_ns += LINGER_NS;
    history_record(w, &e);
    t->events++;
}

/* ---- producing */

static void append(struct traffic_unit *u, struct stored one)
{
    if (u->n == u->size) {
        u->size = u->size ? u->size * 2 : 1024;
        u->log = realloc(u->log, u->size * sizeof(*u->log));
        if (!u->log)
            stop("no memory");
    }
    u->log[u->n++] = one;
}

static void answer(struct traffic *t, unsigned producer, uint64_t seq, uint32_t key)
{
    uint64_t fate = below(t, 1000);
    bool ok = fate >= 20, arrived = ok || fate < 5;
    uint32_t number = key % t->n_units;
    struct traffic_unit *u = &t->units[number];
    struct event e = {.type = EV_SEND_COMPLETE,
                      .client = (uint16_t)producer,
                      .seq = seq,
                      .unit = ok ? number : NO_UNIT,
                      .position = -1,
                      .node = (uint16_t)(number % 3),
                      .ref = 1};

    if (!t->queue && below(t, 100) == 0)
        append(u, (struct stored){.client = PRODUCERS});
    if (ok && !t->queue)
        e.position = (int64_t)u->n;
    if (arrived)
        append(u, (struct stored){seq, key, (uint16_t)producer,
                                  t->lost && ok && below(t, 10000) == 0});
    e.outcome_level = event_result(ok          ? OUTCOME_OK
                                   : fate < 10 ? OUTCOME_UNKNOWN
                                               : OUTCOME_FAIL,
                                   ok ? LEVEL_QUORUM : LEVEL_NONE);
    record(t, t->writers[producer], e);
}

static void produce(struct traffic *t, unsigned producer)
{
    uint32_t keys[BURST];
    uint64_t first = t->seq[producer];

    for (unsigned i = 0; i < BURST; i++) {
        keys[i] = (uint32_t)below(t, 64 * t->n_units);
        record(t, t->writers[producer],
               (struct event){.type = EV_SEND_INVOKE,
                              .client = (uint16_t)producer,
                              .seq = t->seq[producer]++,
                              .key = keys[i],
                              .unit = NO_UNIT,
                              .ref = 1});
    }
    for (unsigned i = 0; i < BURST; i++)
        answer(t, producer, first + i, keys[i]);
    t->sent += BURST;
}

/* ---- consuming */

static void own(struct traffic *t, uint32_t number)
{
    struct traffic_unit *u = &t->units[number];

    u->next = u->committed;
    record(t, t->writers[PRODUCERS + u->owner],
           (struct event){.type = EV_OWN,
                          .unit = number,
                          .epoch = ++u->epoch,
                          .ref = 1,
                          .position = t->queue ? -1 : (int64_t)u->committed,
                          .flags = (uint8_t)(EV_GAINED | (u->committed ? 0 : EV_RESET))});
}

static void settle(struct traffic *t, uint32_t number, struct event e)
{
    struct history_writer *w = t->writers[PRODUCERS + t->units[number].owner];

    e.type = EV_SETTLE_INVOKE;
    record(t, w, e);
    e.type = EV_SETTLE_COMPLETE;
    e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
    record(t, w, e);
}

static void deliver(struct traffic *t, uint32_t number, bool settled)
{
    struct traffic_unit *u = &t->units[number];
    const struct stored *m = &u->log[u->next];
    struct event e = {.type = EV_DELIVER,
                      .client = m->client,
                      .seq = m->seq,
                      .key = m->key,
                      .unit = number,
                      .epoch = u->epoch,
                      .ref = t->queue ? 0 : 1,
                      .position = t->queue ? (int64_t)++t->tags : (int64_t)u->next};

    if (!m->lost || !t->queue) {
        record(t, t->writers[PRODUCERS + u->owner], e);
        if (t->queue && settled)
            settle(t, number, e);
    }
    u->next++;
}

/* One round on one unit; in one of hundred the owner goes before it settled, and the next one is
 * given the same again. */
static void consume(struct traffic *t, uint32_t number)
{
    struct traffic_unit *u = &t->units[number];
    bool leaves = below(t, 100) == 0 && (!t->moves_max || t->moves < t->moves_max);

    if (u->next == u->n)
        return;
    while (u->next < u->n)
        if (u->log[u->next].client == PRODUCERS)
            u->next++;
        else
            deliver(t, number, !leaves);
    if (leaves) {
        t->moves++;
        u->owner = (u->owner + 1) % CONSUMERS;
        own(t, number);
        consume(t, number);
        return;
    }
    u->committed = u->n;
    if (!t->queue)
        settle(t, number,
               (struct event){.unit = number,
                              .epoch = u->epoch,
                              .ref = 1,
                              .position = (int64_t)u->n - 1,
                              .flags = EV_CUMULATIVE});
}

/* ---- the end */

static void audit(struct traffic *t, uint32_t number)
{
    const struct traffic_unit *u = &t->units[number];

    for (size_t at = 0; at < u->n && !t->queue; at++)
        if (u->log[at].client < PRODUCERS && !u->log[at].lost)
            record(t, t->machine,
                   (struct event){.type = EV_AUDIT_LOG,
                                  .client = u->log[at].client,
                                  .seq = u->log[at].seq,
                                  .key = u->log[at].key,
                                  .unit = number,
                                  .position = (int64_t)at});
    record(t, t->machine,
           (struct event){.type = EV_DRAIN,
                          .unit = number,
                          .position = (int64_t)u->n,
                          .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D2)});
}

static void run_traffic(struct traffic *t, struct sealer *s)
{
    struct err err = {0};

    for (uint32_t u = 0; u < t->n_units; u++) {
        t->units[u].owner = u % CONSUMERS;
        own(t, u);
    }
    while (t->sent < t->messages) {
        for (unsigned i = 0; i < ROUND / BURST; i++)
            produce(t, (unsigned)below(t, PRODUCERS));
        for (uint32_t u = 0; u < t->n_units; u++)
            consume(t, u);
        if (sealer_step(s, &err) < 0)
            stop(err.text);
    }
    for (uint32_t u = 0; u < t->n_units; u++) {
        audit(t, u);
        if (sealer_step(s, &err) < 0)
            stop(err.text);
    }
}

void traffic_write(struct traffic *t, const char *folder)
{
    struct err err = {0};
    struct sealer *s = sealer_open(folder, &err);
    char name[32];

    if (!s)
        stop(err.text);
    for (unsigned i = 0; i <= PRODUCERS + CONSUMERS; i++) {
        bool machine = i == PRODUCERS + CONSUMERS;
        struct history_writer **w = machine ? &t->machine : &t->writers[i];

        snprintf(name, sizeof(name), "writer-%u", i);
        *w = history_writer_open(folder, name, machine ? BY_AUDIT : (uint16_t)i, &err);
        if (!*w)
            stop(err.text);
    }
    t->units = calloc(t->n_units, sizeof(*t->units));
    if (!t->units)
        stop("no memory");
    t->at_ns = SECOND_NS;
    t->draw = draw_stream(1, "check bench");
    run_traffic(t, s);
    for (unsigned i = 0; i < PRODUCERS + CONSUMERS; i++)
        history_writer_close(t->writers[i]);
    history_writer_close(t->machine);
    if (sealer_finish(s, &err) < 0)
        stop(err.text);
    sealer_close(s);
    for (uint32_t u = 0; u < t->n_units; u++)
        free(t->units[u].log);
    free(t->units);
    t->units = NULL;
}

/* ---- the plan it is judged by: made by hand, no suite and no server */

static int names(const void *args, const char **sends_to, const char **reads, const char **group)
{
    *sends_to = NULL;
    *reads = args;
    *group = NULL;
    return 0;
}

const struct plan_case *traffic_plan(struct traffic *t)
{
    static const struct broker_ops broker = {.name = "bench", .names = names};
    static const struct order_args at_log = {BY_PARTITION, AT_LOG, EACH_PRODUCER},
                                   at_delivery = {BY_PARTITION, AT_DELIVERY, EACH_PRODUCER};
    static uint32_t duties[] = {0};
    static struct plan_node nodes[3] = {
        {.id = 0, .name = "n1"}, {.id = 1, .name = "n2"}, {.id = 2, .name = "n3"}};
    static struct plan_dest dests[2];
    static struct plan_cluster clusters[1] = {{.alias = "bus", .name = "bus", .n_nodes = 3}};
    static struct plan_client clients[2];
    static struct plan_promise promises[3];
    static struct send_args send;
    static struct step steps[1] = {{.kind = STEP_SEND, .verb = "send", .args = &send}};
    static struct plan_case plan;
    struct plan_unit *units = calloc(t->n_units, sizeof(*units));

    t->plan_units = units;
    if (!units)
        stop("no memory");
    for (uint32_t i = 0; i < t->n_units; i++)
        units[i] = (struct plan_unit){.name = "orders", .index = i};
    dests[0] = (struct plan_dest){
        .name = "orders", .kind = t->queue ? UNIT_QUEUE : UNIT_LOG, .n_units = t->n_units};
    dests[1] = dests[0];
    dests[1].name = "readers";
    dests[1].group = true;
    clients[0] = (struct plan_client){.name = "app",
                                      .instances = PRODUCERS,
                                      .workers = 1,
                                      .broker = &broker,
                                      .duties = duties,
                                      .n_duties = 1};
    clients[1] = (struct plan_client){.name = "reader",
                                      .first_id = PRODUCERS,
                                      .workers = 1,
                                      .instances = CONSUMERS,
                                      .broker = &broker,
                                      .broker_args = "orders"};
    send.count = (int64_t)t->messages + BURST * ROUND / BURST;
    promises[0].checker = checker_named("loss");
    promises[1].checker = checker_named("delivery");
    promises[2].checker = checker_named("order");
    promises[2].args = t->queue ? &at_delivery : &at_log;
    plan = (struct plan_case){.suite = "bench",
                              .name = "bench",
                              .twin = "",
                              .title = "bench",
                              .clusters = clusters,
                              .n_clusters = 1,
                              .nodes = nodes,
                              .n_nodes = 3,
                              .dests = dests,
                              .n_dests = 2,
                              .units = units,
                              .n_units = t->n_units,
                              .clients = clients,
                              .n_clients = 2,
                              .n_client_ids = PRODUCERS + CONSUMERS,
                              .promises = promises,
                              .n_promises = 3,
                              .script = {steps, 1},
                              .deadline_ns = 600 * SECOND_NS};
    return &plan;
}

void traffic_release(struct traffic *t)
{
    free(t->plan_units);
    t->plan_units = NULL;
}
