/* labels: servers */
/*
 * Real Redis: form, pipelined sends, WAIT, READONLY, kill, failover, consumers of lists and
 * streams, drain by marker and audit. In a private network namespace, without the sandbox.
 */
#include "systems/redis/client.h"
#include "systems/testing/app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A sentinel waits for its fsync, and 500 ms late is a sentinel without replicas. */
#define MEMORY "/dev/shm"

/* ---- looking at the cluster */

static struct deadline soon(void)
{
    return deadline_in(10 * SECOND_NS, NULL);
}

static int leader(struct live *l, unsigned *in_sync)
{
    const struct role_table *table = live_look(l);
    int found = -1;

    *in_sync = 0;
    for (uint32_t i = 0; i < table->n_facts; i++) {
        if (table->facts[i].kind == ROLE_LEADER)
            found = table->facts[i].node;
        *in_sync += table->facts[i].kind == ROLE_IN_SYNC;
    }
    return found;
}

/* Records of the unit of that name, markers apart. */
static unsigned drain(struct live *l, const char *name, struct drain_proof *proof)
{
    struct drain_proof proofs[8] = {0};
    uint32_t unit = live_unit(l, name);
    unsigned found = live_drain(l, unit, NULL, 0, proofs);

    *proof = proofs[unit];
    return found;
}

/* ---- sentinel: roles, READONLY, WAIT, failover, kill */

static const char sentinel_suite[] =
    "assay: 1\n"
    "clusters: {r: {redis: {topology: sentinel, replicas: 2, sentinels: 3}}}\n"
    "cases:\n"
    "  one:\n"
    "    clusters: {kv: r}\n"
    "    workload: {queue: {}}\n"
    "    clients:\n"
    "      app: {push: jobs}\n"
    "      sure: {add: log, confirm: {wait: 2, timeout: 1s, every: 8}}\n"
    "      greedy: {set: kv, confirm: {wait: 3, timeout: 50ms, every: 8}}\n"
    "      careless: {set: kv, confirm: {wait: 3, timeout: 50ms, every: 8, treat_zero_as: ok}}\n"
    "      deaf: {push: jobs, confirm: ignore}\n"
    "    script: [{send: {from: app, count: 1, name: b}}]\n"
    "    promise: {loss: 0}\n"
    "    expect: pass\n";

static void outcomes(struct live *live)
{
    struct app a;

    app_open(&a, live, "app", 0);
    check(app_send(&a, 1000, 100, NO_NODE) == 1000 && a.outcomes[OUTCOME_OK] == 1000);
    check(a.last.node == 0);
    check(app_send(&a, 20, 100, 1) == 20 && a.outcomes[OUTCOME_FAIL] == 20);
    check(a.last.code == REDIS_CODE_READONLY && a.last.node == 1);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "sure", 0);
    check(app_send(&a, 101, 100, NO_NODE) == 101 && a.outcomes[OUTCOME_OK] == 101);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "greedy", 0); /* three replicas: there are two */
    check(app_send(&a, 20, 100, NO_NODE) == 20 && a.outcomes[OUTCOME_UNKNOWN] == 20);
    check(a.last.code == REDIS_CODE_WAIT_SHORT);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "careless", 0);
    check(app_send(&a, 20, 100, NO_NODE) == 20 && a.outcomes[OUTCOME_OK] == 20);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "deaf", 0);
    check(app_send(&a, 20, 100, NO_NODE) == 20 && a.outcomes[OUTCOME_BELIEVED] == 20);
    app_close(&a, CLOSE_FLUSH);
}

static int try_command(struct live *live, const char *name, uint16_t target, struct err *err)
{
    char args[64] = {0};

    for (const struct system_command *c = redis_commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c->run(&live->cluster, args, target, soon(), err);
    check(false); /* no such command */
    return -1;
}

static void run_command(struct live *live, const char *name, uint16_t target)
{
    struct err err = {0};

    must(try_command(live, name, target, &err));
}

static bool refuses(struct live *live, const char *name, uint16_t target, const char *why)
{
    struct err err = {0};

    return try_command(live, name, target, &err) < 0 && strstr(err.text, why);
}

static int sentinel_body(void)
{
    struct live live;
    struct drain_proof proof;
    struct err err = {0};
    struct app a;
    unsigned in_sync;
    int64_t began_ns;
    int now;

    must(live_open(&live, MEMORY, sentinel_suite, &err));
    began_ns = clock_now_ns();
    must(redis_system.form(&live.cluster, soon(), &err));
    printf("# formed in %lld ms\n", (long long)((clock_now_ns() - began_ns) / MS_NS));
    check(leader(&live, &in_sync) == 0 && in_sync == 2);
    outcomes(&live);
    must(redis_system.quiesce(&live.cluster, 0, soon(), &err));
    check(drain(&live, "jobs", &proof) == 1020 && proof.proven);
    check(proof.level == DRAIN_D1 && proof.counted == 1020);
    check(drain(&live, "log", &proof) == 101 && proof.proven);
    check(drain(&live, "kv", &proof) == 40 && proof.proven);

    app_open(&a, &live, "app", 1);
    run_command(&live, "failover", NO_NODE);
    for (struct deadline d = soon(); (now = leader(&live, &in_sync)) <= 0 || in_sync < 2;)
        check(deadline_sleep(&d, 20 * MS_NS) == 0); /* until the old one follows it acknowledges */
    /* the old primary closes its clients or says READONLY: never a wrong ok, then the new one is
     * found */
    app_send(&a, 50, 100, NO_NODE);
    check(a.broken && a.outcomes[OUTCOME_OK] == 0);
    app_reconnect(&a);
    check(app_send(&a, 50, 100, NO_NODE) == 50 && a.outcomes[OUTCOME_OK] == 50);
    check(a.last.node == now);
    live_kill(&live, (unsigned)now);
    app_send(&a, 50, 100, NO_NODE);
    check(a.broken && a.outcomes[OUTCOME_OK] == 50);
    must(live_start(&live, (unsigned)now, &err));
    must(redis_system.rejoined(&live.cluster, &live.nodes[now], soon(), &err));
    app_reconnect(&a);
    app_close(&a, CLOSE_FLUSH);
    drain(&live, "kv", &proof);
    check(proof.proven);
    live_close(&live);
    return 0;
}

static void test_sentinel(void **state)
{
    (void)state;
    assert_int_equal(live_inside(sentinel_body), 0);
}

/* ---- consumers */

static const char consumer_suite[] =
    "assay: 1\n"
    "clusters: {r: {redis: {topology: replication, replicas: 1}}}\n"
    "cases:\n"
    "  one:\n"
    "    clusters: {kv: r}\n"
    "    workload: {queue: {}}\n"
    "    clients:\n"
    "      a: {push: popped}\n"
    "      b: {push: moved}\n"
    "      c: {add: log}\n"
    "      pop: {consume: popped}\n"
    "      move: {consume: {list: moved, mode: blmove}}\n"
    "      group: {consume: {stream: log, group: g}}\n"
    "    script: [{send: {from: a, count: 1, name: x}}]\n"
    "    promise: {loss: 0}\n"
    "    expect: pass\n";

static void fill(struct live *live, const char *client)
{
    struct app a;

    app_open(&a, live, client, 0);
    check(app_send(&a, 100, 100, NO_NODE) == 100 && a.outcomes[OUTCOME_OK] == 100);
    app_close(&a, CLOSE_FLUSH);
}

/* Ten taken and four settled, then the consumer dies; its next life gets the six again, then the
 * rest. */
static void dies_and_comes_back(struct live *live, const char *client)
{
    struct seen s;
    struct app a;

    app_open(&a, live, client, 0);
    s = app_consume(&a, 10, 4);
    check(s.delivered == 10 && s.redelivered == 0 && s.in_order && a.outcomes[OUTCOME_OK] == 4);
    app_close(&a, CLOSE_ABRUPT);
    app_open(&a, live, client, 1);
    s = app_consume(&a, 96, 96);
    check(s.delivered == 96 && s.redelivered == 6 && s.in_order);
    check(a.outcomes[OUTCOME_OK] == 96);
    app_close(&a, CLOSE_FLUSH);
}

static int consumer_body(void)
{
    struct live live;
    struct drain_proof proof;
    struct err err = {0};
    struct seen s;
    struct app a;
    unsigned in_sync;

    must(live_open(&live, MEMORY, consumer_suite, &err));
    must(redis_system.form(&live.cluster, soon(), &err));
    fill(&live, "a");
    fill(&live, "b");
    fill(&live, "c");
    app_open(&a, &live, "pop", 0);
    s = app_consume(&a, 40, 0);
    check(s.delivered == 40 && s.in_order);
    app_close(&a, CLOSE_FLUSH); /* what it popped and was not asked for goes back */
    check(drain(&live, "popped", &proof) == 60 && proof.proven);
    check(proof.level == DRAIN_D1);
    dies_and_comes_back(&live, "move");
    check(drain(&live, "popped", &proof) == 60 && proof.proven);
    check(refuses(&live, "cluster_failover", 1, "no Redis Cluster"));
    run_command(&live, "promote", 1);
    check(leader(&live, &in_sync) == 1);
    dies_and_comes_back(&live, "group");
    must(redis_system.quiesce(&live.cluster, 0, soon(), &err));
    check(drain(&live, "log", &proof) == 100 && proof.proven);
    check(redis_system.reset(&live.cluster, NULL, soon(), &err) < 0); /* not as at the start */
    live_close(&live);
    return 0;
}

static void test_consumers(void **state)
{
    (void)state;
    assert_int_equal(live_inside(consumer_body), 0);
}

/* ---- Redis Cluster: what cannot be moved. Without namespaces of their own all nodes send from one
 * address, take it for each other's and never form: a move that succeeds is in suites/moves.yaml. */

static const char cluster_suite[] =
    "assay: 1\n"
    "clusters: {r: {redis: {topology: cluster, primaries: 3, replicas: 1}}}\n"
    "cases:\n"
    "  one:\n"
    "    clusters: {kv: r}\n"
    "    workload: {queue: {}}\n"
    "    clients: {app: {push: jobs}}\n"
    "    script: [{send: {from: app, count: 1, name: b}}]\n"
    "    promise: {loss: 0}\n"
    "    expect: pass\n";

static int cluster_body(void)
{
    struct live live;
    struct err err = {0};

    must(live_open(&live, MEMORY, cluster_suite, &err));
    must(redis_system.rejoined(&live.cluster, &live.nodes[0], soon(), &err));
    check(refuses(&live, "failover", NO_NODE, "cluster_failover"));
    check(refuses(&live, "cluster_failover", 0, "is a primary already"));
    live_close(&live);
    return 0;
}

static void test_cluster(void **state)
{
    (void)state;
    assert_int_equal(live_inside(cluster_body), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentinel),
        cmocka_unit_test(test_consumers),
        cmocka_unit_test(test_cluster),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
