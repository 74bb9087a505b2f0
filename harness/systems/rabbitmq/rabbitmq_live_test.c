/* labels: servers */
/*
 * A real RabbitMQ node: forming with a policy and definitions.json, roles, publishing (acks, nacks,
 * returns, none asked for), long messages, consuming with redelivery, stale and synchronised
 * settles, a cancelled consumer, drain and audit, kill and return. In private namespaces, without
 * the sandbox.
 */
#include "systems/rabbitmq/testing/live.h"

#include "history/history.h"
#include "systems/rabbitmq/client.h"
#include "systems/rabbitmq/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define DEPTH 50

/* In the namespaces' child cmocka's own checks cannot be used: say where and leave. */
#define check(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "rabbitmq_live_test.c:%d: %s\n", __LINE__, #condition);                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define must(expression) must_be((expression), #expression, &err, __LINE__)
static void must_be(int result, const char *what, const struct err *err, int line)
{
    if (result < 0) {
        fprintf(stderr, "rabbitmq_live_test.c:%d: %s: %s\n", line, what, err->text);
        exit(1);
    }
}

static struct deadline soon(void)
{
    return deadline_in(90 * SECOND_NS, NULL);
}

/* ---- a worker's part of the bargain */

struct app {
    void *handle;
    struct rabbit_live *live;
    struct client_spec spec;
    struct completion completions[HARVEST_MAX];
    struct delivery deliveries[HARVEST_MAX];
    struct ownership owners[HARVEST_MAX];
    struct harvest harvest;
    unsigned outcomes[5];
    int last_code;
    enum level last_level;
    uint64_t seq;
    bool broken;
};

static void app_open(struct app *a, struct rabbit_live *live, const char *name,
                     uint16_t incarnation)
{
    const struct plan_client *client = plan_client_named(live->cluster.plan, name);
    struct err err = {0};

    *a = (struct app){.live = live};
    a->spec = (struct client_spec){.plan = live->cluster.plan,
                                   .client = client,
                                   .client_id = client->first_id,
                                   .incarnation = incarnation,
                                   .run = live->cluster.plan->run,
                                   .sends = strcmp(client->verb, "publish") == 0,
                                   .receives = strcmp(client->verb, "consume") == 0};
    a->handle = calloc(1, rabbit_broker.size);
    a->harvest = (struct harvest){.completions = a->completions,
                                  .deliveries = a->deliveries,
                                  .owners = a->owners,
                                  .max_deliveries = HARVEST_MAX};
    must(rabbit_broker.open(a->handle, &a->spec, -1, &err));
}

static void app_close(struct app *a, enum close_how how)
{
    rabbit_broker.close(a->handle, how);
    free(a->handle);
}

static void note(struct app *a, const struct completion *c)
{
    a->outcomes[c->outcome]++;
    a->last_code = c->code;
    a->last_level = c->level;
}

static size_t app_poll(struct app *a, int64_t ns)
{
    check(rabbit_broker.poll(a->handle, &a->harvest, clock_now_ns() + ns) == 0);
    for (size_t i = 0; i < a->harvest.n_completions; i++)
        note(a, &a->completions[i]);
    a->broken |= a->harvest.broken;
    return a->harvest.n_completions;
}

/* n messages of `size` bytes, at most DEPTH outstanding; returns how many completed. */
static unsigned app_send(struct app *a, unsigned n, size_t size)
{
    struct deadline deadline = soon();
    unsigned sent = 0, completed = 0;
    char *payload = malloc(size);

    while (completed < n && !a->broken && !deadline_passed(&deadline)) {
        while (sent < n && sent - completed < DEPTH) {
            struct msg msg = {.id = {.client = a->spec.client_id,
                                     .incarnation = a->spec.incarnation,
                                     .seq = a->seq}};
            struct send send = {
                .msg = &msg, .payload = payload, .size = size, .unit = NO_UNIT, .via = NO_NODE};
            struct completion c;
            enum submit submit;

            payload_write(payload, size, a->spec.run, &msg);
            submit = rabbit_broker.send(a->handle, &send, (uint32_t)a->seq, &c);
            if (submit == SUBMIT_BUSY)
                break;
            a->seq++;
            sent++;
            if (submit == SUBMIT_DONE) {
                note(a, &c);
                completed++;
            }
        }
        completed += (unsigned)app_poll(a, 100 * MS_NS);
        rabbit_broker.release(a->handle, &a->harvest);
    }
    free(payload);
    return completed;
}

struct seen {
    unsigned delivered, redelivered;
    struct delivery last; /* payload no longer valid */
};

/* Takes until n came or nothing does for a while; settles the first `settle`. */
static struct seen app_consume(struct app *a, unsigned n, unsigned settle)
{
    struct deadline deadline = deadline_in(5 * SECOND_NS, NULL);
    struct seen s = {0};

    while (s.delivered < n && !deadline_passed(&deadline)) {
        a->harvest.max_deliveries = n - s.delivered;
        app_poll(a, 200 * MS_NS);
        for (size_t i = 0; i < a->harvest.n_deliveries; i++) {
            const struct delivery *d = &a->deliveries[i];
            struct settle how = {.upto = d};
            struct completion c;
            struct msg msg;

            check(payload_read(d->payload, d->size, a->spec.run, &msg) == PAYLOAD_OK);
            s.redelivered += (d->flags & EV_REDELIVERED) != 0;
            s.last = *d;
            if (s.delivered++ < settle)
                check(rabbit_broker.settle(a->handle, &how, s.delivered, &c) == SUBMIT_QUEUED);
        }
        rabbit_broker.release(a->handle, &a->harvest);
    }
    a->harvest.max_deliveries = 0;
    while (rabbit_broker.outstanding(a->handle) > 0 && !deadline_passed(&deadline))
        app_poll(a, 50 * MS_NS);
    return s;
}

/* ---- looking at the node */

static uint32_t unit(struct rabbit_live *live, const char *name)
{
    long found = plan_unit_named(live->cluster.plan, name);

    check(found >= 0);
    return (uint32_t)found;
}

static bool is_led(struct rabbit_live *live, const char *queue, int64_t *ready)
{
    static struct role_table table;
    struct err err = {0};
    bool led = false;

    memset(&table, 0, sizeof(table));
    role_table_begin(&table);
    must(rabbitmq_system.observe(&live->cluster, &table, soon(), &err));
    role_table_end(&table);
    for (uint32_t i = 0; i < table.n_facts; i++)
        led |= table.facts[i].kind == ROLE_LEADER && table.facts[i].unit == unit(live, queue);
    for (uint32_t i = 0; i < table.n_gauges; i++)
        if (table.gauges[i].kind == GAUGE_READY && table.gauges[i].unit == unit(live, queue))
            *ready = table.gauges[i].value;
    return led;
}

/* Drains into a history of its own; fills one proof per unit, returns what was audited of `unit`.
 */
static unsigned drain(struct rabbit_live *live, struct drain_proof *proofs, uint32_t of)
{
    struct history_writer *writer;
    struct history_reader *reader;
    struct event events[64];
    struct err err = {0};
    unsigned found = 0;
    char folder[300];
    long n;

    snprintf(folder, sizeof(folder), "%s/drain-%lld", live->folder, (long long)clock_now_ns());
    check(mkdir(folder, 0755) == 0);
    writer = history_writer_open(folder, "audit", BY_AUDIT, &err);
    check(writer);
    must(rabbitmq_system.drain(&live->cluster, writer, proofs, NULL, 0, soon(), &err));
    history_writer_close(writer);
    reader = history_open(folder, BY_TIME, UINT64_MAX, &err);
    check(reader);
    while ((n = history_next(reader, events, 64, &err)) > 0)
        for (long i = 0; i < n; i++)
            found += events[i].unit == of && !(events[i].flags & EV_MARKER);
    history_close(reader);
    return found;
}

/* ---- the story */

static const char suite[] =
    "assay: 1\n"
    "clusters:\n"
    "  r:\n"
    "    rabbitmq: {nodes: 1}\n"
    "    rabbitmq.conf: {consumer_timeout: \"60000\", listeners.tcp.default: \"1\"}\n"
    "    definitions.json: '{\"queues\": [{\"name\": \"imported\", \"vhost\": \"/\", \"durable\": "
    "true,"
    " \"auto_delete\": false, \"arguments\": {}}]}'\n"
    "    policies: [{name: few, pattern: ^few$, apply-to: queues, definition: {max-length: 5,"
    " overflow: reject-publish}}]\n"
    "    queues:\n"
    "      jobs: {arguments: {x-queue-type: classic}}\n"
    "      orders: {arguments: {x-queue-type: quorum}, leader: 1}\n"
    "      few: {}\n"
    "      brief: {durable: false}\n"
    "    exchanges: {shop: {type: topic, bindings: [{queue: orders, key: \"order.#\"}]}}\n"
    "cases:\n"
    "  one:\n"
    "    clusters: {bus: r}\n"
    "    workload: {queue: {}}\n"
    "    clients:\n"
    "      app: {publish: {queue: jobs, properties: {delivery_mode: \"2\"}}}\n"
    "      shop: {publish: {exchange: shop, key: order.new}, meant_for: [orders]}\n"
    "      astray: {publish: {exchange: shop, key: nowhere, mandatory: true}, meant_for: "
    "[orders]}\n"
    "      deaf: {publish: {queue: imported, confirm: false}}\n"
    "      much: {publish: few, outstanding: 1}\n"
    "      gone: {publish: brief}\n"
    "      work: {consume: {queue: orders, prefetch: 10}, heartbeat: 1s}\n"
    "      doomed: {consume: brief}\n"
    "    script: [{send: {from: app, count: 1, name: b}}]\n"
    "    promise: {loss: 0}\n"
    "    expect: pass\n";

static void publishing(struct rabbit_live *live)
{
    struct app a;

    app_open(&a, live, "app", 0);
    check(app_send(&a, 1000, 100) == 1000 && a.outcomes[OUTCOME_OK] == 1000);
    check(a.last_level == LEVEL_DURABLE && a.last_code == CODE_ACK);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "shop", 0);
    check(app_send(&a, 99, 100) == 99 && a.outcomes[OUTCOME_OK] == 99);
    check(app_send(&a, 1, 300000) == 1 && a.last_level == LEVEL_QUORUM); /* three body frames */
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "astray", 0);
    check(app_send(&a, 120, 100) == 120 && a.outcomes[OUTCOME_FAIL] == 120 && a.last_code == 312);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "deaf", 0);
    check(app_send(&a, 70, 100) == 70 && a.outcomes[OUTCOME_BELIEVED] == 70);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "much", 0);
    check(app_send(&a, 20, 100) == 20 && a.outcomes[OUTCOME_OK] == 5);
    check(a.outcomes[OUTCOME_FAIL] == 15 && a.last_code == CODE_NACK);
    app_close(&a, CLOSE_FLUSH);
}

static void consuming(struct rabbit_live *live)
{
    struct settle how = {0};
    struct completion c;
    struct app a, b;
    struct seen s;

    app_open(&a, live, "work", 0);
    s = app_consume(&a, 10, 4);
    check(s.delivered == 10 && s.redelivered == 0 && a.outcomes[OUTCOME_OK] == 4);
    check(a.last_code == CODE_SETTLED);
    app_close(&a, CLOSE_ABRUPT); /* six go back */
    app_open(&b, live, "work", 1);
    how.upto = &s.last; /* a delivery of the connection that is gone */
    check(rabbit_broker.settle(b.handle, &how, 0, &c) == SUBMIT_DONE);
    check(c.outcome == OUTCOME_FAIL && c.code == CODE_STALE);
    app_poll(&b, 3 * SECOND_NS); /* idle for longer than two heartbeats */
    rabbit_broker.release(b.handle, &b.harvest);
    check(!b.broken);
    app_close(&b, CLOSE_ABRUPT);
    app_open(&a, live, "work", 2);
    s = app_consume(&a, 96, 96);
    check(s.delivered == 96 && s.redelivered >= 6 && a.outcomes[OUTCOME_OK] == 96);
    app_close(&a, CLOSE_FLUSH);
}

static void cancelled(struct rabbit_live *live)
{
    char answer[100];
    struct app a;
    struct err err = {0};

    app_open(&a, live, "doomed", 0);
    must(rabbit_eval(&live->cluster, 0,
                     "{ok,Q}=rabbit_amqqueue:lookup({resource,<<\"/\">>,queue,<<\"brief\">>}),"
                     "{ok,_}=rabbit_amqqueue:delete(Q,false,false,<<\"test\">>),\"ok\".",
                     answer, sizeof(answer), soon(), &err));
    for (struct deadline d = soon(); !a.broken;) {
        app_poll(&a, 50 * MS_NS);
        check(!deadline_passed(&d));
    }
    app_close(&a, CLOSE_FLUSH);
}

static int body(void)
{
    struct drain_proof proofs[8] = {0};
    struct rabbit_live live;
    struct err err = {0};
    int64_t ready = -1;
    struct app a;

    must(rabbit_live_open(&live, suite, &err));
    must(rabbitmq_system.form(&live.cluster, soon(), &err));
    check(is_led(&live, "orders", &ready) && ready == 0);
    publishing(&live);
    check(is_led(&live, "orders", &ready) && ready == 100);
    check(is_led(&live, "jobs", &ready) && ready == 1000);
    consuming(&live);
    cancelled(&live);
    must(rabbitmq_system.quiesce(
        &live.cluster, live.cluster.plan->units[unit(&live, "orders")].dest, soon(), &err));
    check(drain(&live, proofs, unit(&live, "jobs")) == 1000);
    check(proofs[unit(&live, "jobs")].proven && proofs[unit(&live, "jobs")].counted == 1000);
    check(proofs[unit(&live, "jobs")].level == DRAIN_D1 &&
          proofs[unit(&live, "jobs")].position >= 0);
    check(proofs[unit(&live, "orders")].proven && proofs[unit(&live, "orders")].level == DRAIN_D2);
    check(proofs[unit(&live, "few")].proven && proofs[unit(&live, "few")].counted == 5);
    check(proofs[unit(&live, "few")].position == -1); /* no marker: the queue is full */
    check(proofs[unit(&live, "brief")].proven && proofs[unit(&live, "brief")].counted == 0);
    check(proofs[unit(&live, "imported")].counted == 70);

    app_open(&a, &live, "app", 1);
    check(app_send(&a, 10, 100) == 10);
    rabbit_live_kill(&live);
    for (struct deadline d = soon(); !a.broken && !deadline_passed(&d);)
        app_poll(&a, 100 * MS_NS);
    check(a.broken);
    check(rabbit_broker.reconnect(a.handle, &err) < 0);
    must(rabbit_live_start(&live, &err));
    must(rabbitmq_system.rejoined(&live.cluster, &live.node, soon(), &err));
    a.broken = false;
    for (struct deadline d = soon(); rabbit_broker.reconnect(a.handle, &err) < 0;)
        check(deadline_sleep(&d, 50 * MS_NS) == 0);
    check(app_send(&a, 10, 100) == 10 && a.outcomes[OUTCOME_OK] == 20);
    app_close(&a, CLOSE_FLUSH);
    check(drain(&live, proofs, unit(&live, "jobs")) == 1020);
    rabbit_live_close(&live);
    return 0;
}

static void one_node(void **state)
{
    (void)state;
    assert_int_equal(rabbit_live_inside(body), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_node)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
