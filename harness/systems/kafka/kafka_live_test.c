/* labels: servers */
/*
 * Real brokers: form, produce, observe, quiesce, group, elect, kill, restart, drain, reset. Needs
 * the jars in BUILD/cache (ci/quickstart) and root or user namespaces; versions:
 * ASSAY_KAFKA_VERSIONS="3.9.1 4.3.1".
 */
#include "systems/kafka/client.h"
#include "systems/testing/app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MESSAGES 2000
#define PARTITIONS 3
#define BROKERS 3

static const char *tested_version;

static const char suite[] =
    "assay: 1\n"
    "clusters:\n"
    "  k: {kafka: {version: \"%s\", brokers: 3}, topics: {orders: {partitions: 3,"
    " replication.factor: 3}}}\n"
    "cases:\n"
    "  one:\n"
    "    clusters: {bus: k}\n"
    "    workload: {queue: {}}\n"
    "    clients:\n"
    "      app: {produce: orders}\n"
    "      teller: {consume: {topic: orders, group: tellers, commit: sync}, librdkafka:"
    " {enable.auto.commit: \"false\", auto.offset.reset: earliest}}\n"
    "    script: [{send: {from: app, count: 1, name: b}}]\n"
    "    promise: {loss: 0}\n"
    "    expect: pass\n";

/* Reads and commits until n messages were delivered; returns how many intervals were gained. */
static unsigned read_some(struct app *a, unsigned n)
{
    struct deadline deadline = deadline_in(30 * SECOND_NS, NULL);
    unsigned got = 0, gained = 0;

    while (got < n && !deadline_passed(&deadline)) {
        app_poll(a, SECOND_NS);
        for (size_t i = 0; i < a->harvest.n_owners; i++)
            gained += (a->owners[i].flags & EV_GAINED) != 0;
        for (size_t i = 0; i < a->harvest.n_deliveries; i++) {
            struct settle settle = {.upto = &a->deliveries[i], .cumulative = true};
            struct completion c;
            bool last_of_unit = true;

            for (size_t k = i + 1; k < a->harvest.n_deliveries; k++)
                last_of_unit = last_of_unit && a->deliveries[k].unit != a->deliveries[i].unit;
            check(a->deliveries[i].epoch != 0);
            if (!last_of_unit)
                continue;
            check(a->ops->settle(a->handle, &settle, 0, &c) == SUBMIT_DONE);
            check(c.outcome == OUTCOME_OK);
        }
        got += (unsigned)a->harvest.n_deliveries;
        a->ops->release(a->handle, &a->harvest);
    }
    check(got >= n);
    return gained;
}

static long role(const struct role_table *table, enum role_kind kind, uint32_t unit,
                 unsigned *count)
{
    long node = -1;

    *count = 0;
    for (uint32_t i = 0; i < table->n_facts; i++)
        if (table->facts[i].kind == kind && table->facts[i].unit == unit) {
            node = table->facts[i].node;
            (*count)++;
        }
    return node;
}

static void drain(struct live *live, unsigned messages, enum drain_level level,
                  const uint16_t *down, size_t n_down)
{
    struct drain_proof proofs[PARTITIONS] = {0};

    check(live_drain(live, NO_UNIT, down, n_down, proofs) == messages);
    for (unsigned i = 0; i < PARTITIONS; i++)
        check(proofs[i].proven && proofs[i].level == level && proofs[i].position >= 0);
}

static void count_pair(void *context, const char *node, const char *key, const char *value)
{
    (void)node, (void)key, (void)value;
    ++*(unsigned *)context;
}

static double since(int64_t then)
{
    return (double)(clock_now_ns() - then) / 1e9;
}

static void consumes(struct live *live)
{
    struct app teller;

    app_open(&teller, live, "teller", 0);
    check(read_some(&teller, MESSAGES + 1) == PARTITIONS);
    app_close(&teller, CLOSE_FLUSH);
    drain(live, MESSAGES + 1, DRAIN_D1, NULL, 0); /* nobody read the markers: D1 only */
}

static void loses_a_leader(struct live *live, struct app *app, long leader)
{
    struct err err = {0};
    int64_t began = clock_now_ns();
    uint16_t down = (uint16_t)leader;
    unsigned n;
    long now;

    live_kill(live, (unsigned)leader);
    do
        now = role(live_look(live), ROLE_LEADER, 0, &n);
    while ((now == leader || n == 0) && since(began) < 30);
    printf("# new leader after %.2f s\n", since(began));
    check(n == 1 && now != leader);
    check(app_send(app, 500, 100, NO_NODE) == 500);
    check(app->outcomes[OUTCOME_OK] == MESSAGES + 501 && app->with_place == MESSAGES + 501);
    check(app->by_level[LEVEL_QUORUM] == MESSAGES + 501);
    drain(live, MESSAGES + 501, DRAIN_D1, &down, 1);
    began = clock_now_ns();
    must(live_start(live, (unsigned)leader, &err));
    must(kafka_system.rejoined(&live->cluster, &live->nodes[leader],
                               deadline_in(60 * SECOND_NS, NULL), &err));
    printf("# rejoined after %.2f s\n", since(began));
    must(kafka_system.quiesce(&live->cluster, 0, deadline_in(20 * SECOND_NS, NULL), &err));
}

/* As the next case finds it, which has no group: nobody reads, D2 is trivially so. */
static void begins_anew(struct live *live)
{
    struct err err = {0};
    struct app app;

    must(kafka_system.reset(&live->cluster, live->of, deadline_in(60 * SECOND_NS, NULL), &err));
    app_open(&app, live, "app", 0);
    check(app_send(&app, 100, 100, NO_NODE) == 100 && app.outcomes[OUTCOME_OK] == 100);
    app_close(&app, CLOSE_FLUSH);
    live->of->n_dests = 1;
    live->of->n_clients = 1;
    drain(live, 100, DRAIN_D2, NULL, 0);
}

static int life(void)
{
    static struct live live;
    const struct role_table *table;
    struct err err = {0};
    static struct app app;
    char text[1000];
    unsigned n, pairs = 0;
    struct kv_sink sink = {.context = &pairs, .put = count_pair};
    int64_t began;
    long leader;

    snprintf(text, sizeof(text), suite, tested_version);
    must(live_open(&live, "/tmp", text, &err));
    began = clock_now_ns();
    must(kafka_system.form(&live.cluster, deadline_in(60 * SECOND_NS, NULL), &err));
    printf("# %s formed after %.2f s\n", tested_version, since(began));
    app_open(&app, &live, "app", 0);
    check(app_send(&app, 1, 100, NO_NODE) == 1 && app.outcomes[OUTCOME_OK] == 1);
    printf("# first acknowledgement after %.2f s\n", since(began));
    check(app_send(&app, MESSAGES, 100, NO_NODE) == MESSAGES);
    check(app.outcomes[OUTCOME_OK] == MESSAGES + 1 && app.with_place == MESSAGES + 1);
    check(app.by_level[LEVEL_QUORUM] == MESSAGES + 1);

    must(kafka_system.quiesce(&live.cluster, 0, deadline_in(10 * SECOND_NS, NULL), &err));
    table = live_look(&live);
    check(role(table, ROLE_CONTROLLER, NO_UNIT, &n) == BROKERS);
    role(table, ROLE_REGISTERED, NO_UNIT, &n);
    check(n == BROKERS);
    leader = role(table, ROLE_LEADER, 0, &n);
    check(n == 1);
    check(role(table, ROLE_CLAIMS_LEADER, 0, &n) == leader && n == 1);
    role(table, ROLE_IN_SYNC, 0, &n);
    check(n == BROKERS);
    must(kafka_system.effective(&live.cluster, &sink, deadline_in(10 * SECOND_NS, NULL), &err));
    check(pairs > 0);

    consumes(&live);
    loses_a_leader(&live, &app, leader);
    app_close(&app, CLOSE_FLUSH);
    begins_anew(&live);
    live_close(&live);
    return 0;
}

static void test_life(void **state)
{
    (void)state;
    assert_int_equal(live_inside(life), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_life)};
    const char *versions = getenv("ASSAY_KAFKA_VERSIONS");
    char *list = strdup(versions ? versions : "3.9.1");
    int failed = 0;

    for (char *v = strtok(list, " "); v; v = strtok(NULL, " ")) {
        tested_version = v;
        failed |= cmocka_run_group_tests_name(tested_version, tests, NULL, NULL);
    }
    free(list);
    return failed;
}
