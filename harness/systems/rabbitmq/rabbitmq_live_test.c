/* labels: servers */
/*
 * A real RabbitMQ node: forming with a policy and definitions.json, roles, publishing (acks, nacks,
 * returns, none asked for) and over the stream protocol, long messages, consuming with redelivery,
 * stale and synchronised settles, a cancelled consumer, drain and audit, kill and return. In
 * private namespaces, without the sandbox.
 */
#include "systems/rabbitmq/client.h"
#include "systems/rabbitmq/view.h"
#include "systems/testing/app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct deadline soon(void)
{
    return deadline_in(90 * SECOND_NS, NULL);
}

/* ---- looking at the node */

static bool is_led(struct live *live, const char *queue, int64_t *ready)
{
    const struct role_table *table = live_look(live);
    uint32_t unit = live_unit(live, queue);
    bool led = false;

    for (uint32_t i = 0; i < table->n_facts; i++)
        led |= table->facts[i].kind == ROLE_LEADER && table->facts[i].unit == unit;
    for (uint32_t i = 0; i < table->n_gauges; i++)
        if (table->gauges[i].kind == GAUGE_READY && table->gauges[i].unit == unit)
            *ready = table->gauges[i].value;
    return led;
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
    "      log: {arguments: {x-queue-type: stream}}\n"
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
    "      named: {publish: {queue: log, over: stream, producer: shop}}\n"
    "      lost: {publish: {queue: log, over: stream}}\n"
    "      reader: {consume: {queue: log, prefetch: 10, arguments: {x-stream-offset: first}}}\n"
    "      work: {consume: {queue: orders, prefetch: 10}, heartbeat: 1s}\n"
    "      doomed: {consume: brief}\n"
    "    script: [{send: {from: app, count: 1, name: b}}]\n"
    "    promise: {loss: 0}\n"
    "    expect: pass\n";

static void publishing(struct live *live)
{
    struct app a;

    app_open(&a, live, "app", 0);
    check(app_send(&a, 1000, 100, NO_NODE) == 1000 && a.outcomes[OUTCOME_OK] == 1000);
    check(a.last.level == LEVEL_DURABLE && a.last.code == CODE_ACK);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "shop", 0);
    check(app_send(&a, 99, 100, NO_NODE) == 99 && a.outcomes[OUTCOME_OK] == 99);
    check(app_send(&a, 1, 300000, NO_NODE) == 1 &&
          a.last.level == LEVEL_QUORUM); /* three body frames */
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "astray", 0);
    check(app_send(&a, 120, 100, NO_NODE) == 120 && a.outcomes[OUTCOME_FAIL] == 120 &&
          a.last.code == 312);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "deaf", 0);
    check(app_send(&a, 70, 100, NO_NODE) == 70 && a.outcomes[OUTCOME_BELIEVED] == 70);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "much", 0);
    check(app_send(&a, 20, 100, NO_NODE) == 20 && a.outcomes[OUTCOME_OK] == 5);
    check(a.outcomes[OUTCOME_FAIL] == 15 && a.last.code == CODE_NACK);
    app_close(&a, CLOSE_FLUSH);
}

/* A restarted client has the same name and goes on with higher ids; one without a name begins anew
 * whenever it likes. What AMQP reads is the payload as it was written. */
static void publishing_over_stream(struct live *live)
{
    struct app a;
    struct seen s;

    app_open(&a, live, "named", 0);
    check(app_send(&a, 1000, 100, NO_NODE) == 1000 && a.outcomes[OUTCOME_OK] == 1000);
    check(a.last.level == LEVEL_QUORUM && a.last.code == CODE_STREAM_CONFIRMED);
    check(app_send(&a, 1, 300000, 0) == 1 && a.outcomes[OUTCOME_OK] == 1001);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "named", 0); /* the same messages: confirmed again, and not stored */
    check(app_send(&a, 700, 100, NO_NODE) == 700 && a.outcomes[OUTCOME_OK] == 700);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "named", 1);
    check(app_send(&a, 20, 100, NO_NODE) == 20 && a.outcomes[OUTCOME_OK] == 20);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "lost", 0);
    check(app_send(&a, 3, 100, NO_NODE) == 3 && a.outcomes[OUTCOME_OK] == 3);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "reader", 0);
    s = app_consume(&a, 1024, 1024);
    check(s.delivered == 1024);
    app_close(&a, CLOSE_FLUSH);
}

static void consuming(struct live *live)
{
    struct settle how = {0};
    struct completion c;
    struct app a, b;
    struct seen s;

    app_open(&a, live, "work", 0);
    s = app_consume(&a, 10, 4);
    check(s.delivered == 10 && s.redelivered == 0 && a.outcomes[OUTCOME_OK] == 4);
    check(a.last.code == CODE_SETTLED);
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

static void cancelled(struct live *live)
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
    struct live live;
    struct err err = {0};
    int64_t ready = -1;
    struct app a;

    must(live_open(&live, "/dev/shm", suite, &err));
    must(rabbitmq_system.form(&live.cluster, soon(), &err));
    check(is_led(&live, "orders", &ready) && ready == 0);
    publishing(&live);
    publishing_over_stream(&live);
    check(is_led(&live, "orders", &ready) && ready == 100);
    check(is_led(&live, "jobs", &ready) && ready == 1000);
    consuming(&live);
    cancelled(&live);
    must(rabbitmq_system.quiesce(
        &live.cluster, live.cluster.plan->units[live_unit(&live, "orders")].dest, soon(), &err));
    check(live_drain(&live, live_unit(&live, "jobs"), NULL, 0, proofs) == 1000);
    check(proofs[live_unit(&live, "jobs")].proven &&
          proofs[live_unit(&live, "jobs")].counted == 1000);
    check(proofs[live_unit(&live, "jobs")].level == DRAIN_D1 &&
          proofs[live_unit(&live, "jobs")].position >= 0);
    check(proofs[live_unit(&live, "orders")].proven &&
          proofs[live_unit(&live, "orders")].level == DRAIN_D2);
    check(proofs[live_unit(&live, "few")].proven && proofs[live_unit(&live, "few")].counted == 5);
    check(proofs[live_unit(&live, "few")].position == -1); /* no marker: the queue is full */
    check(proofs[live_unit(&live, "brief")].proven &&
          proofs[live_unit(&live, "brief")].counted == 0);
    check(proofs[live_unit(&live, "imported")].counted == 70);
    check(live_drain(&live, live_unit(&live, "log"), NULL, 0, proofs) == 1024);

    app_open(&a, &live, "app", 1);
    check(app_send(&a, 10, 100, NO_NODE) == 10);
    live_kill(&live, 0);
    for (struct deadline d = soon(); !a.broken && !deadline_passed(&d);)
        app_poll(&a, 100 * MS_NS);
    check(a.broken);
    check(rabbit_broker.reconnect(a.handle, &err) < 0);
    must(live_start(&live, 0, &err));
    must(rabbitmq_system.rejoined(&live.cluster, &live.nodes[0], soon(), &err));
    app_reconnect(&a);
    check(app_send(&a, 10, 100, NO_NODE) == 10 && a.outcomes[OUTCOME_OK] == 20);
    app_close(&a, CLOSE_FLUSH);
    check(live_drain(&live, live_unit(&live, "jobs"), NULL, 0, proofs) == 1020);
    live_close(&live);
    return 0;
}

static void one_node(void **state)
{
    (void)state;
    assert_int_equal(live_inside(body), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_node)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
