/* labels: servers */
/*
 * Real brokers: form, produce, observe, quiesce, group, elect, kill, restart, drain, reset. Needs
 * the jars in BUILD/cache (ci/quickstart) and CAP_SYS_ADMIN; versions:
 * ASSAY_KAFKA_VERSIONS="3.9.1 4.3.1".
 */
#include "api/message.h"
#include "history/history.h"
#include "systems/kafka/testing/live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MESSAGES 2000
#define SLOTS 500

static const char *tested_version;

#define must(expression) must_be((expression), #expression, &err, __LINE__)
static void must_be(int result, const char *what, const struct err *err, int line)
{
    if (result < 0) {
        fprintf(stderr, "line %d: %s: %s\n", line, what, err->text);
        exit(1);
    }
}

struct sender {
    struct kafka_handle handle;
    struct completion completions[HARVEST_MAX];
    struct delivery deliveries[HARVEST_MAX];
    struct ownership owners[HARVEST_MAX];
    struct harvest harvest;
};

static struct sender *open_client_of(struct live *live, unsigned client, struct err *err_out)
{
    struct sender *s = calloc(1, sizeof(*s));
    struct client_spec spec = {.plan = &live->plan,
                               .client = &live->clients[client],
                               .client_id = (uint16_t)client,
                               .sends = client == 0,
                               .receives = client == 1,
                               .run = live->plan.run};
    struct err err = {0};

    (void)err_out;
    s->harvest = (struct harvest){.completions = s->completions,
                                  .deliveries = s->deliveries,
                                  .owners = s->owners,
                                  .max_deliveries = HARVEST_MAX};
    must(kafka_broker_ops.open(&s->handle, &spec, -1, &err));
    return s;
}

static void close_client(struct sender *s)
{
    kafka_broker_ops.close(&s->handle, CLOSE_FLUSH);
    free(s);
}

/* Sends n messages with at most SLOTS outstanding; returns how many were acknowledged. */
static unsigned send_all(struct live *live, struct sender *s, unsigned n, uint64_t first)
{
    unsigned sent = 0, completed = 0, ok = 0;
    struct deadline deadline = deadline_in(60 * SECOND_NS, NULL);

    while (completed < n && !deadline_passed(&deadline)) {
        while (sent < n && sent - completed < SLOTS) {
            struct msg msg = {.id = {.seq = first + sent, .client = 0}, .key = sent % 16};
            char payload[100];
            struct completion c;
            struct send send = {.msg = &msg,
                                .payload = payload,
                                .size = sizeof(payload),
                                .unit = NO_UNIT,
                                .via = NO_NODE};

            payload_write(payload, sizeof(payload), live->plan.run, &msg);
            assert_int_equal(kafka_broker_ops.send(&s->handle, &send, sent % SLOTS, &c),
                             SUBMIT_QUEUED);
            sent++;
        }
        assert_int_equal(kafka_broker_ops.poll(&s->handle, &s->harvest, clock_now_ns() + SECOND_NS),
                         0);
        for (size_t i = 0; i < s->harvest.n_completions; i++) {
            const struct completion *c = &s->completions[i];

            ok += c->outcome == OUTCOME_OK;
            if (c->outcome == OUTCOME_OK &&
                (c->level != LEVEL_QUORUM || c->node == NO_NODE || c->position < 0))
                fail_msg("completion: level %d node %u position %lld", c->level, c->node,
                         (long long)c->position);
        }
        completed += (unsigned)s->harvest.n_completions;
        kafka_broker_ops.release(&s->handle, &s->harvest);
    }
    assert_int_equal(completed, n);
    assert_int_equal(kafka_broker_ops.outstanding(&s->handle), 0);
    return ok;
}

/* Reads and commits until n messages were delivered; returns how many intervals were gained. */
static unsigned read_some(struct sender *s, unsigned n)
{
    struct deadline deadline = deadline_in(30 * SECOND_NS, NULL);
    unsigned got = 0, gained = 0;

    while (got < n && !deadline_passed(&deadline)) {
        assert_int_equal(kafka_broker_ops.poll(&s->handle, &s->harvest, clock_now_ns() + SECOND_NS),
                         0);
        for (size_t i = 0; i < s->harvest.n_owners; i++) {
            gained += (s->owners[i].flags & EV_GAINED) != 0;
            printf("# unit %u epoch %u position %lld flags %u\n", s->owners[i].unit,
                   s->owners[i].epoch, (long long)s->owners[i].position, s->owners[i].flags);
        }
        for (size_t i = 0; i < s->harvest.n_deliveries; i++) {
            struct settle settle = {.upto = &s->deliveries[i], .cumulative = true};
            struct completion c;
            bool last_of_unit = true;

            for (size_t k = i + 1; k < s->harvest.n_deliveries; k++)
                last_of_unit = last_of_unit && s->deliveries[k].unit != s->deliveries[i].unit;
            assert_int_not_equal(s->deliveries[i].epoch, 0);
            if (!last_of_unit)
                continue;
            assert_int_equal(kafka_broker_ops.settle(&s->handle, &settle, 0, &c), SUBMIT_DONE);
            assert_int_equal(c.outcome, OUTCOME_OK);
        }
        got += (unsigned)s->harvest.n_deliveries;
        kafka_broker_ops.release(&s->handle, &s->harvest);
    }
    assert_true(got >= n);
    return gained;
}

static struct role_table table;

static long role(enum role_kind kind, uint32_t unit, unsigned *count)
{
    long node = -1;

    *count = 0;
    for (uint32_t i = 0; i < table.n_facts; i++)
        if (table.facts[i].kind == kind && table.facts[i].unit == unit) {
            node = table.facts[i].node;
            (*count)++;
        }
    return node;
}

static void look(struct live *live)
{
    struct err err = {0};

    role_table_begin(&table);
    must(kafka_system.observe(&live->cluster, &table, deadline_in(5 * SECOND_NS, NULL), &err));
    role_table_end(&table);
}

static void drain(struct live *live, unsigned messages, enum drain_level level,
                  const uint16_t *down, size_t n_down)
{
    struct drain_proof proofs[LIVE_PARTITIONS] = {0};
    struct err err = {0};
    struct history_reader *reader;
    struct history_writer *writer;
    struct event batch[256];
    static unsigned nth;
    char folder[300], raw[320];
    unsigned found = 0, markers = 0;
    long n;

    snprintf(folder, sizeof(folder), "%s/case-%u", live->folder, nth++);
    snprintf(raw, sizeof(raw), "%s/raw", folder);
    mkdir(folder, 0755);
    mkdir(raw, 0755);
    writer = history_writer_open(folder, "audit", BY_AUDIT, &err);
    must(writer ? 0 : -1);
    must(kafka_system.drain(&live->cluster, writer, proofs, down, n_down,
                            deadline_in(60 * SECOND_NS, NULL), &err));
    history_writer_close(writer);
    for (unsigned i = 0; i < LIVE_PARTITIONS; i++) {
        printf("# unit %u: level %d proven %d marker %lld epoch %u counted %lld %s\n", i,
               proofs[i].level, proofs[i].proven, (long long)proofs[i].position, proofs[i].epoch,
               (long long)proofs[i].counted, proofs[i].why);
        assert_true(proofs[i].proven);
        assert_int_equal(proofs[i].level, level);
    }
    reader = history_open(folder, PER_WRITER, WANTS(AUDIT_LOG), &err);
    must(reader ? 0 : -1);
    while ((n = history_next(reader, batch, 256, &err)) > 0)
        for (long i = 0; i < n; i++) {
            markers += (batch[i].flags & EV_MARKER) != 0;
            found += (batch[i].flags & EV_MARKER) == 0;
        }
    history_close(reader);
    assert_int_equal(found, messages);
    assert_true(markers >= LIVE_PARTITIONS);
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

static void test_life(void **state)
{
    static const struct pair commit_pairs[] = {{.key = "enable.auto.commit", .value = "false"},
                                               {.key = "auto.offset.reset", .value = "earliest"}};
    static struct live live;
    struct err err = {0};
    struct sender *app, *teller;
    int64_t began = clock_now_ns();
    unsigned n, ok, pairs = 0;
    struct kv_sink sink = {.context = &pairs, .put = count_pair};
    long leader;
    uint16_t down;

    (void)state;
    must(live_open(&live, tested_version, &err));
    live.args[1].librdkafka =
        (struct pairs){.items = (struct pair *)(uintptr_t)commit_pairs, .n = 2};
    began = clock_now_ns();
    must(kafka_system.form(&live.cluster, deadline_in(60 * SECOND_NS, NULL), &err));
    printf("# %s formed after %.2f s\n", tested_version, since(began));
    app = open_client_of(&live, 0, &err);
    assert_int_equal(send_all(&live, app, 1, 0), 1);
    printf("# first acknowledgement after %.2f s\n", since(began));
    assert_int_equal(send_all(&live, app, MESSAGES, 1), MESSAGES);

    must(kafka_system.quiesce(&live.cluster, 0, deadline_in(10 * SECOND_NS, NULL), &err));
    look(&live);
    assert_int_equal(role(ROLE_CONTROLLER, NO_UNIT, &n), LIVE_BROKERS);
    role(ROLE_REGISTERED, NO_UNIT, &n);
    assert_int_equal(n, LIVE_BROKERS);
    leader = role(ROLE_LEADER, 0, &n);
    assert_int_equal(n, 1);
    assert_int_equal(role(ROLE_CLAIMS_LEADER, 0, &n), leader);
    assert_int_equal(n, 1);
    role(ROLE_IN_SYNC, 0, &n);
    assert_int_equal(n, 3);
    must(kafka_system.effective(&live.cluster, &sink, deadline_in(10 * SECOND_NS, NULL), &err));
    printf("# %u effective settings\n", pairs);

    teller = open_client_of(&live, 1, &err);
    assert_int_equal(read_some(teller, MESSAGES + 1), LIVE_PARTITIONS);
    look(&live);
    for (uint32_t i = 0; i < table.n_gauges; i++)
        printf("# gauge kind %u unit %x value %lld\n", table.gauges[i].kind, table.gauges[i].unit,
               (long long)table.gauges[i].value);
    close_client(teller);
    drain(&live, MESSAGES + 1, DRAIN_D1, NULL, 0); /* nobody read the markers: D1 only */

    began = clock_now_ns();
    down = (uint16_t)leader;
    live_kill(&live, (unsigned)leader);
    do
        look(&live);
    while ((role(ROLE_LEADER, 0, &n) == leader || n == 0) && since(began) < 30);
    printf("# new leader after %.2f s\n", since(began));
    assert_int_not_equal(role(ROLE_LEADER, 0, &n), leader);
    ok = send_all(&live, app, 500, MESSAGES + 1);
    assert_int_equal(ok, 500);
    drain(&live, MESSAGES + 501, DRAIN_D1, &down, 1);
    began = clock_now_ns();
    must(live_start(&live, (unsigned)leader, &err));
    must(kafka_system.rejoined(&live.cluster, &live.nodes[leader],
                               deadline_in(60 * SECOND_NS, NULL), &err));
    printf("# rejoined after %.2f s\n", since(began));
    must(kafka_system.quiesce(&live.cluster, 0, deadline_in(20 * SECOND_NS, NULL), &err));
    close_client(app);

    began = clock_now_ns();
    must(kafka_system.reset(&live.cluster, &live.plan, deadline_in(60 * SECOND_NS, NULL), &err));
    printf("# reset after %.2f s\n", since(began));
    app = open_client_of(&live, 0, &err);
    assert_int_equal(send_all(&live, app, 100, 0), 100);
    close_client(app);
    live.plan.n_dests = 1; /* without the group: nobody reads, D2 is trivially so */
    live.plan.n_clients = 1;
    drain(&live, 100, DRAIN_D2, NULL, 0);
    live_close(&live);
}

static int body(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_life)};

    return cmocka_run_group_tests_name(tested_version, tests, NULL, NULL);
}

int main(void)
{
    const char *versions = getenv("ASSAY_KAFKA_VERSIONS");
    char *list = strdup(versions ? versions : "3.9.1");
    int failed = 0;

    for (char *v = strtok(list, " "); v; v = strtok(NULL, " ")) {
        tested_version = v;
        failed |= live_inside(body) != 0;
    }
    free(list);
    return failed;
}
