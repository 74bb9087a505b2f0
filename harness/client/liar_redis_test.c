/* labels: servers */
/* The liar on a live Redis: found = told (testing/liar_live.h). */
#include "client/testing/liar_live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct lied_system redis = {"redis",
                                         "redis: {topology: standalone}",
                                         "push: jobs, outstanding: 64",
                                         "consume: {list: jobs, mode: blmove}",
                                         "{by: key, at: effect}",
                                         NULL,
                                         1,
                                         "swallow",
                                         "{by: key, at: effect}",
                                         "lost"};

static void lies_are_found(void **state)
{
    (void)state;
    liar_live(&redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies_are_found)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
