/* labels: servers */
/* The liar on a live Kafka: found = told (testing/liar_live.h). */
#include "client/testing/liar_live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct lied_system kafka = {
    "kafka",
    "kafka: {version: \"3.9.1\", brokers: 3, controllers: 1}\n"
    "    topics: {jobs: {partitions: 2, replication.factor: 3}}",
    "produce: jobs, outstanding: 500, librdkafka: {acks: all, enable.idempotence: \"true\"}",
    "consume: {topic: jobs, group: g}, settle_every: 100, librdkafka: {auto.offset.reset: "
    "earliest, "
    "enable.auto.commit: \"false\", enable.auto.offset.store: \"false\"}",
    "{by: partition, at: log}",
    "duplicate_delivery",
    2,
    "skip",
    "{by: partition, at: delivery}",
    "order"};

/* Batches of ten, every tenth is undone. */
static const char transactions[] =
    "    clusters: {bus: bus}\n"
    "    workload: {txn: {}}\n"
    "    clients:\n"
    "      app: {produce: {topic: jobs, transactions: stable}, batch: 10, abort_every: 10, "
    "librdkafka: {acks: all, linger.ms: \"0\"}}\n"
    "      work:\n"
    "        consume: {topic: jobs, group: g, commit: sync}\n"
    "        librdkafka: {enable.auto.commit: \"false\", auto.offset.reset: earliest, "
    "isolation.level: read_committed}\n"
    "    script: [{send: {from: app, count: 20000, name: all}}]\n"
    "    drain: {within: 120s}\n"
    "    promise: {isolation: [read_committed, atomic]}\n";

/* None is undone: a message that is missing of one that was is no tear. */
static const char torn[] =
    "    clusters: {bus: bus}\n"
    "    workload: {txn: {}}\n"
    "    clients: {app: {produce: {topic: jobs, transactions: stable}, batch: 10, "
    "librdkafka: {acks: all, linger.ms: \"0\"}}}\n"
    "    script: [{send: {from: app, count: 20000, name: all}}]\n"
    "    drain: {within: 120s}\n"
    "    promise: {isolation: atomic}\n";

static void lies_are_found(void **state)
{
    (void)state;
    liar_live(&kafka);
}

static void lies_about_transactions_are_found(void **state)
{
    static const struct lied_case cases[] = {
        {"true-transactions", transactions}, {"undone", transactions}, {"torn", torn}};

    (void)state;
    if (!lied_installed("kafka"))
        skip();
    lied_run("bus:\n    kafka: {version: \"3.9.1\", brokers: 1, controllers: 1}\n"
             "    topics: {jobs: {partitions: 1}}",
             cases, sizeof(cases) / sizeof(*cases), "undone=commit:5;torn=lose:900");
    lied_not("true-transactions");
    lied_equal("undone", "aborted_read", 10 * lied_told("undone", "commit"));
    lied_equal("torn", "torn_transaction", lied_told("torn", "lose"));
    lied_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_are_found),
        cmocka_unit_test(lies_about_transactions_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
