/* The role table: readers get a whole update or the one before, and do not wait for a dead writer.
 */
#include "api/role.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 3000u

static struct role_table table, private_table, copy;
static _Atomic bool done;

/* Round r writes r facts, all of them with epoch r. */
static void *write_rounds(void *argument)
{
    (void)argument;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        role_table_begin(&private_table);
        for (uint32_t i = 0; i < round % 50; i++)
            role_table_fact(&private_table, (struct role_fact){.unit = i, .epoch = round});
        role_table_gauge(&private_table, (struct gauge){.value = round});
        role_table_end(&private_table);
        atomic_store(&private_table.round_began_ns, round);
        role_table_publish(&table, &private_table);
    }
    atomic_store(&done, true);
    return NULL;
}

static void test_reader_never_sees_half(void **state)
{
    pthread_t thread;
    uint64_t last = 0;

    (void)state;
    pthread_create(&thread, NULL, write_rounds, NULL);
    do {
        uint64_t round;

        role_table_read(&table, &copy);
        round = atomic_load(&copy.rounds);
        if (copy.n_gauges == 0)
            continue;
        assert_true(round >= last);
        assert_int_equal(copy.gauges[0].value, round);
        assert_int_equal(atomic_load(&copy.round_began_ns), round);
        assert_int_equal(copy.n_facts, round % 50);
        for (uint32_t i = 0; i < copy.n_facts; i++)
            assert_int_equal(copy.facts[i].epoch, round);
        last = round;
    } while (!atomic_load(&done));
    pthread_join(thread, NULL);
    role_table_read(&table, &copy);
    assert_int_equal(atomic_load(&copy.rounds), ROUNDS);
}

static void test_dead_writer(void **state)
{
    (void)state;
    role_table_begin(&table);
    role_table_fact(&table, (struct role_fact){.unit = 1});
    /* and here it was killed */
    role_table_read(&table, &copy);
    assert_int_equal(copy.n_facts, 0);
    assert_int_equal(copy.n_gauges, 0);
    role_table_begin(&table); /* its successor */
    role_table_fact(&table, (struct role_fact){.unit = 2});
    role_table_end(&table);
    role_table_read(&table, &copy);
    assert_int_equal(copy.n_facts, 1);
    assert_int_equal(copy.facts[0].unit, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_never_sees_half),
        cmocka_unit_test(test_dead_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
