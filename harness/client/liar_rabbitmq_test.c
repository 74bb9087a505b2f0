/* labels: servers */
/* The liar on a live RabbitMQ: found = told (testing/liar_live.h). */
#include "client/testing/liar_live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct lied_system rabbitmq = {
    "rabbitmq",
    "rabbitmq: {nodes: 1}\n    queues: {jobs: {durable: true, arguments: {x-queue-type: quorum}}}",
    "publish: {queue: jobs, confirm: true}, outstanding: 200",
    "consume: {queue: jobs, prefetch: 100}",
    "{by: key, at: effect}",
    NULL,
    1,
    "swallow",
    "{by: key, at: effect}",
    "lost"};

static void lies_are_found(void **state)
{
    (void)state;
    liar_live(&rabbitmq);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies_are_found)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
