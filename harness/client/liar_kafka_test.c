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
    2};

static void lies_are_found(void **state)
{
    (void)state;
    liar_live(&kafka);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies_are_found)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
