/* What the driver's share counts: our own CPU time, from the script's begin to its end. */
#include "run/run.h"

#include "history/testing/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static int64_t own_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

/* However long that takes on this machine. */
static void burn(int64_t ns)
{
    int64_t until_ns = own_ns() + ns;

    while (own_ns() < until_ns)
        ;
}

static void only_the_script_counts(void **state)
{
    static const struct plan_case plan;
    static struct run run;
    const char *folder = folder_make();
    struct history_info info;
    struct event *events;
    struct err err = {0};
    int64_t used_ns;

    (void)state;
    run.plan = &plan;
    pthread_mutex_init(&run.arena_lock, NULL);
    pthread_mutex_init(&run.chronicle_lock, NULL);
    run.chronicle = history_writer_open(folder, "coordinator", BY_COORDINATOR, &err);
    assert_non_null(run.chronicle);
    driver_init(&run.driver);

    burn(300 * MS_NS);
    driver_look(&run); /* not begun: nothing to look at */
    driver_begin(&run);
    assert_int_equal(run.driver.used_ns, 0);
    burn(20 * MS_NS);
    driver_look(&run);
    used_ns = run.driver.used_ns;
    assert_in_range(used_ns, 20 * MS_NS, 200 * MS_NS);
    burn(20 * MS_NS);
    driver_end(&run);
    burn(20 * MS_NS);
    used_ns = run.driver.used_ns;
    driver_look(&run); /* over */
    assert_int_equal(run.driver.used_ns, used_ns);

    history_writer_close(run.chronicle);
    assert_int_equal(read_all(folder, PER_WRITER, UINT64_MAX, &events, &info), 1);
    assert_int_equal(events[0].type, EV_DRIVER);
    assert_int_equal(events[0].value, used_ns);
    assert_in_range(used_ns, 40 * MS_NS, 250 * MS_NS);
    assert_true(events[0].position >= 40 * MS_NS && events[0].code >= 1);
    free(events);
    driver_release(&run.driver);
    arena_release(&run.arena);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_the_script_counts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
