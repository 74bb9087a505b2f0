/* labels: servers */
/*
 * Real Redis: form, pipelined sends, WAIT, READONLY, kill, failover, consumers of lists and
 * streams, drain by marker and audit. In a private network namespace, without the sandbox.
 */
#include "history/history.h"
#include "systems/redis/testing/live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define DEPTH 16

/* In the namespaces' child cmocka's own checks cannot be used: say where and leave. */
#define check(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "redis_live_test.c:%d: %s\n", __LINE__, #condition);                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define must(expression) must_be((expression), #expression, &err, __LINE__)
static void must_be(int result, const char *what, const struct err *err, int line)
{
    if (result < 0) {
        fprintf(stderr, "redis_live_test.c:%d: %s: %s\n", line, what, err->text);
        exit(1);
    }
}

/* ---- a worker's part of the bargain */

struct app {
    struct redis_client *handle;
    struct redis_live *live;
    const struct plan_client *client;
    struct completion completions[HARVEST_MAX];
    struct delivery deliveries[HARVEST_MAX];
    struct ownership owners[HARVEST_MAX];
    struct harvest harvest;
    unsigned outcomes[5], last_code;
    uint16_t last_node;
    uint64_t seq;
    bool broken;
};

static void app_open(struct app *a, struct redis_live *live, const char *name, uint16_t incarnation)
{
    const struct plan_client *client = plan_client_named(live->cluster.plan, name);
    struct client_spec spec = {.plan = live->cluster.plan,
                               .client = client,
                               .client_id = client->first_id,
                               .incarnation = incarnation,
                               .run = live->cluster.plan->run,
                               .sends = strcmp(client->verb, "consume") != 0,
                               .receives = strcmp(client->verb, "consume") == 0};
    struct err err = {0};

    *a = (struct app){.live = live, .client = client};
    a->handle = calloc(1, redis_broker.size);
    a->harvest = (struct harvest){.completions = a->completions,
                                  .deliveries = a->deliveries,
                                  .owners = a->owners,
                                  .max_deliveries = HARVEST_MAX};
    must(redis_broker.open(a->handle, &spec, -1, &err));
}

static void app_close(struct app *a, enum close_how how)
{
    redis_broker.close(a->handle, how);
    free(a->handle);
}

static void note(struct app *a, const struct completion *c)
{
    a->outcomes[c->outcome]++;
    a->last_code = (unsigned)c->code;
    a->last_node = c->node;
}

static size_t app_poll(struct app *a, int64_t ns)
{
    check(redis_broker.poll(a->handle, &a->harvest, clock_now_ns() + ns) == 0);
    for (size_t i = 0; i < a->harvest.n_completions; i++)
        note(a, &a->completions[i]);
    a->broken |= a->harvest.broken;
    return a->harvest.n_completions;
}

/* n messages, at most DEPTH outstanding; returns how many completed (fewer when it broke). */
static unsigned app_send(struct app *a, unsigned n, uint16_t via)
{
    struct deadline deadline = deadline_in(30 * SECOND_NS, NULL);
    unsigned sent = 0, completed = 0;

    while (completed < n && !a->broken && !deadline_passed(&deadline)) {
        while (sent < n && sent - completed < DEPTH) {
            struct msg msg = {.id = {.client = a->client->first_id, .seq = a->seq}};
            char payload[100];
            struct send send = {.msg = &msg,
                                .payload = payload,
                                .size = sizeof(payload),
                                .unit = NO_UNIT,
                                .via = via};
            struct completion c;
            enum submit submit;

            payload_write(payload, sizeof(payload), a->live->cluster.plan->run, &msg);
            submit = redis_broker.send(a->handle, &send, (uint32_t)a->seq, &c);
            if (submit == SUBMIT_BUSY)
                break;
            a->seq++;
            sent++;
            if (submit == SUBMIT_DONE) {
                note(a, &c);
                completed++;
            }
        }
        completed += (unsigned)app_poll(a, SECOND_NS);
    }
    return completed;
}

static void reconnect(struct app *a)
{
    struct deadline deadline = deadline_in(10 * SECOND_NS, NULL);
    struct err err = {0};

    a->broken = false;
    while (redis_broker.reconnect(a->handle, &err) < 0)
        if (deadline_sleep(&deadline, 20 * MS_NS) < 0)
            must(-1);
}

/* ---- looking at the cluster */

static struct deadline soon(void)
{
    return deadline_in(10 * SECOND_NS, NULL);
}

static int leader(struct redis_live *l, unsigned *in_sync)
{
    static struct role_table table;
    struct err err = {0};
    int found = -1;

    role_table_begin(&table);
    must(redis_system.observe(&l->cluster, &table, soon(), &err));
    role_table_end(&table);
    *in_sync = 0;
    for (uint32_t i = 0; i < table.n_facts; i++) {
        if (table.facts[i].kind == ROLE_LEADER)
            found = table.facts[i].node;
        *in_sync += table.facts[i].kind == ROLE_IN_SYNC;
    }
    return found;
}

/* Drains into a history of its own; returns the records of `unit`, markers apart. */
static unsigned drain(struct redis_live *l, uint32_t unit, struct drain_proof *proof)
{
    struct drain_proof proofs[8] = {0};
    struct history_writer *writer;
    struct history_reader *reader;
    struct event events[64];
    unsigned found = 0, markers = 0;
    struct err err = {0};
    char folder[300];
    long n;

    snprintf(folder, sizeof(folder), "%s/drain-%lld", l->folder, (long long)clock_now_ns());
    check(mkdir(folder, 0755) == 0);
    writer = history_writer_open(folder, "audit", BY_AUDIT, &err);
    check(writer);
    must(redis_system.drain(&l->cluster, writer, proofs, NULL, 0, soon(), &err));
    history_writer_close(writer);
    reader = history_open(folder, BY_TIME, UINT64_MAX, &err);
    check(reader);
    while ((n = history_next(reader, events, 64, &err)) > 0)
        for (long i = 0; i < n; i++) {
            check(events[i].type == EV_AUDIT_LOG);
            if (events[i].unit != unit)
                continue;
            markers += (events[i].flags & EV_MARKER) != 0;
            found += !(events[i].flags & EV_MARKER);
        }
    history_close(reader);
    *proof = proofs[unit];
    if (!proof->proven)
        fprintf(stderr, "drain of unit %u: %s\n", unit, proof->why);
    check(!proof->proven || markers >= 1);
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

static void outcomes(struct redis_live *live)
{
    struct app a;

    app_open(&a, live, "app", 0);
    check(app_send(&a, 1000, NO_NODE) == 1000 && a.outcomes[OUTCOME_OK] == 1000);
    check(a.last_node == 0);
    check(app_send(&a, 20, 1) == 20 && a.outcomes[OUTCOME_FAIL] == 20);
    check(a.last_code == REDIS_CODE_READONLY && a.last_node == 1);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "sure", 0);
    check(app_send(&a, 101, NO_NODE) == 101 && a.outcomes[OUTCOME_OK] == 101);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "greedy", 0); /* three replicas: there are two */
    check(app_send(&a, 20, NO_NODE) == 20 && a.outcomes[OUTCOME_UNKNOWN] == 20);
    check(a.last_code == REDIS_CODE_WAIT_SHORT);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "careless", 0);
    check(app_send(&a, 20, NO_NODE) == 20 && a.outcomes[OUTCOME_OK] == 20);
    app_close(&a, CLOSE_FLUSH);
    app_open(&a, live, "deaf", 0);
    check(app_send(&a, 20, NO_NODE) == 20 && a.outcomes[OUTCOME_BELIEVED] == 20);
    app_close(&a, CLOSE_FLUSH);
}

static uint32_t unit(struct redis_live *live, const char *name)
{
    long found = plan_unit_named(live->cluster.plan, name);

    check(found >= 0);
    return (uint32_t)found;
}

static void run_command(struct redis_live *live, const char *name, uint16_t target)
{
    char args[64] = {0};
    struct err err = {0};

    for (const struct system_command *c = redis_commands; c->name; c++)
        if (strcmp(c->name, name) == 0) {
            must(c->run(&live->cluster, args, target, soon(), &err));
            return;
        }
    check(false); /* no such command */
}

static int sentinel_body(void)
{
    struct redis_live live;
    struct drain_proof proof;
    struct err err = {0};
    struct app a;
    unsigned in_sync;
    int64_t began_ns;
    int now;

    must(redis_live_open(&live, sentinel_suite, &err));
    began_ns = clock_now_ns();
    must(redis_system.form(&live.cluster, soon(), &err));
    printf("# formed in %lld ms\n", (long long)((clock_now_ns() - began_ns) / MS_NS));
    check(leader(&live, &in_sync) == 0 && in_sync == 2);
    outcomes(&live);
    must(redis_system.quiesce(&live.cluster, 0, soon(), &err));
    check(drain(&live, unit(&live, "jobs"), &proof) == 1020 && proof.proven);
    check(proof.level == DRAIN_D1 && proof.counted == 1020);
    check(drain(&live, unit(&live, "log"), &proof) == 101 && proof.proven);
    check(drain(&live, unit(&live, "kv"), &proof) == 40 && proof.proven);

    app_open(&a, &live, "app", 1);
    run_command(&live, "failover", NO_NODE);
    for (struct deadline d = soon(); (now = leader(&live, &in_sync)) <= 0 || in_sync < 2;)
        check(deadline_sleep(&d, 20 * MS_NS) == 0); /* until the old one follows it acknowledges */
    /* the old primary closes its clients or says READONLY: never a wrong ok, then the new one is
     * found */
    app_send(&a, 50, NO_NODE);
    check(a.broken && a.outcomes[OUTCOME_OK] == 0);
    reconnect(&a);
    check(app_send(&a, 50, NO_NODE) == 50 && a.outcomes[OUTCOME_OK] == 50);
    check(a.last_node == now);
    redis_live_kill(&live, (unsigned)now);
    app_send(&a, 50, NO_NODE);
    check(a.broken && a.outcomes[OUTCOME_OK] == 50);
    must(redis_live_start(&live, (unsigned)now, &err));
    must(redis_system.rejoined(&live.cluster, &live.nodes[now], soon(), &err));
    reconnect(&a);
    app_close(&a, CLOSE_FLUSH);
    drain(&live, unit(&live, "kv"), &proof);
    check(proof.proven);
    redis_live_close(&live);
    return 0;
}

static void test_sentinel(void **state)
{
    (void)state;
    assert_int_equal(redis_live_inside(sentinel_body), 0);
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

struct seen {
    unsigned delivered, redelivered, settled;
    uint64_t next_seq;
    bool in_order;
};

/* Takes up to n, settles the first `settle` of them. */
static struct seen consume(struct app *a, unsigned n, unsigned settle)
{
    struct deadline deadline = deadline_in(5 * SECOND_NS, NULL);
    struct seen s = {.in_order = true};

    while (s.delivered < n && !deadline_passed(&deadline)) {
        a->harvest.max_deliveries = n - s.delivered;
        app_poll(a, 200 * MS_NS);
        for (size_t i = 0; i < a->harvest.n_deliveries; i++) {
            const struct delivery *d = &a->deliveries[i];
            struct settle how = {.upto = d};
            struct completion c;
            struct msg msg;

            check(payload_read(d->payload, d->size, a->live->cluster.plan->run, &msg) ==
                  PAYLOAD_OK);
            s.in_order &= s.delivered == 0 || msg.id.seq == s.next_seq;
            s.next_seq = msg.id.seq + 1;
            s.delivered++;
            s.redelivered += (d->flags & EV_REDELIVERED) != 0;
            if (s.settled < settle) {
                check(redis_broker.settle(a->handle, &how, s.settled, &c) == SUBMIT_QUEUED);
                s.settled++;
            }
        }
        redis_broker.release(a->handle, &a->harvest);
    }
    a->harvest.max_deliveries = 0;
    while (redis_broker.outstanding(a->handle) > 0 && !deadline_passed(&deadline))
        app_poll(a, 100 * MS_NS);
    return s;
}

static void fill(struct redis_live *live, const char *client)
{
    struct app a;

    app_open(&a, live, client, 0);
    check(app_send(&a, 100, NO_NODE) == 100 && a.outcomes[OUTCOME_OK] == 100);
    app_close(&a, CLOSE_FLUSH);
}

/* Ten taken and four settled, then the consumer dies; its next life gets the six again, then the
 * rest. */
static void dies_and_comes_back(struct redis_live *live, const char *client)
{
    struct seen s;
    struct app a;

    app_open(&a, live, client, 0);
    s = consume(&a, 10, 4);
    check(s.delivered == 10 && s.redelivered == 0 && s.in_order && a.outcomes[OUTCOME_OK] == 4);
    app_close(&a, CLOSE_ABRUPT);
    app_open(&a, live, client, 1);
    s = consume(&a, 96, 96);
    check(s.delivered == 96 && s.redelivered == 6 && s.in_order);
    check(a.outcomes[OUTCOME_OK] == 96);
    app_close(&a, CLOSE_FLUSH);
}

static int consumer_body(void)
{
    struct redis_live live;
    struct drain_proof proof;
    struct err err = {0};
    struct seen s;
    struct app a;
    unsigned in_sync;

    must(redis_live_open(&live, consumer_suite, &err));
    must(redis_system.form(&live.cluster, soon(), &err));
    fill(&live, "a");
    fill(&live, "b");
    fill(&live, "c");
    app_open(&a, &live, "pop", 0);
    s = consume(&a, 40, 0);
    check(s.delivered == 40 && s.in_order);
    app_close(&a, CLOSE_FLUSH); /* what it popped and was not asked for goes back */
    check(drain(&live, unit(&live, "popped"), &proof) == 60 && proof.proven);
    check(proof.level == DRAIN_D1);
    dies_and_comes_back(&live, "move");
    check(drain(&live, unit(&live, "popped"), &proof) == 60 && proof.proven);
    run_command(&live, "promote", 1);
    check(leader(&live, &in_sync) == 1);
    dies_and_comes_back(&live, "group");
    must(redis_system.quiesce(&live.cluster, 0, soon(), &err));
    check(drain(&live, unit(&live, "log"), &proof) == 100 && proof.proven);
    check(redis_system.reset(&live.cluster, NULL, soon(), &err) < 0); /* not as at the start */
    redis_live_close(&live);
    return 0;
}

static void test_consumers(void **state)
{
    (void)state;
    assert_int_equal(redis_live_inside(consumer_body), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentinel),
        cmocka_unit_test(test_consumers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
