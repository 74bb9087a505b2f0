/*
 * Memory of loss, delivery and order on recorded histories over 1000 units:
 * within what checker_ops.bound says from the plan alone, and within JUDGING's two bits a message
 * (loss: state; delivery: log and group; order: log) where nothing folds, and far below where it
 * does. ASSAY_MEMORY_MESSAGES sets how many.
 */
#include "checkers/check.h"
#include "checkers/testing/traffic.h"
#include "checkers/testing/watched.h"
#include "history/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Bytes the whole check took at most, its reader's included; the checkers named are judged alone.
 */
static size_t measured(const char *folder, struct plan_case plan, size_t first, size_t n)
{
    struct err err = {0};
    struct history_reader *r = history_open(folder, BY_TIME, UINT64_MAX, &err);
    struct watched watched;
    struct check_observer observer = {&watched, UINT64_MAX, watched_look};
    struct check_result result;

    assert_non_null(r);
    plan.promises += first;
    plan.n_promises = n;
    watched = watched_begin();
    if (check_history(folder, r, &plan, &observer, &result, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < result.n; i++) {
        if (result.items[i].findings.inconclusive)
            fail_msg("%s: %s", result.items[i].ops->name, result.items[i].findings.why);
    }
    check_release(&result);
    history_close(r);
    return watched.most - watched.before;
}

static uint64_t messages(void)
{
    const char *set = getenv("ASSAY_MEMORY_MESSAGES");

    return set ? strtoull(set, NULL, 10) : 500000;
}

#define CHECKERS 3

/* What each checker takes, beside the reader; held against its bound. */
static void take(bool queue, uint64_t n, size_t *bytes)
{
    struct traffic t = {.queue = queue, .messages = n, .n_units = 1000, .moves_max = 200};
    char folder[] = "/tmp/assay-memory-test-XXXXXX", path[64];
    const struct plan_case *plan = traffic_plan(&t);
    size_t reader;

    assert_non_null(mkdtemp(folder));
    assert_int_equal(plan->n_promises, CHECKERS);
    traffic_write(&t, folder);
    reader = measured(folder, *plan, 0, 0);
    for (size_t i = 0; i < CHECKERS; i++) {
        const struct checker_ops *ops = plan->promises[i].checker;
        size_t bound = ops->bound(plan, plan->promises[i].args);

        bytes[i] = measured(folder, *plan, i, 1);
        bytes[i] -= bytes[i] < reader ? bytes[i] : reader;
        printf("# %s, %llu messages, %s: %zu KiB, at most %zu\n", queue ? "queues" : "log",
               (unsigned long long)t.sent, ops->name, bytes[i] >> 10, bound >> 10);
        assert_true(bytes[i] <= bound);
    }
    snprintf(path, sizeof(path), "%s/history", folder);
    unlink(path);
    rmdir(folder);
    traffic_release(&t);
}

/* What units, sessions and owners take does not grow with the messages: the difference does. */
static void judge(bool queue, const double *bits_at_most)
{
    size_t few[CHECKERS], many[CHECKERS];
    uint64_t n = messages();

    take(queue, n, few);
    take(queue, 3 * n, many);
    if (few[0] == 0)
        skip(); /* a sanitizer's malloc tells nothing */
    for (size_t i = 0; i < CHECKERS; i++) {
        double bits = 8 * ((double)many[i] - (double)few[i]) / (2 * (double)n);

        printf("#   %.2f bits a message\n", bits);
        if (bits > bits_at_most[i])
            fail_msg("%.2f bits a message, %.2f allowed", bits, bits_at_most[i]);
    }
}

#define HEADERS 1.05 /* of chunks, and the lists of them */

static void of_a_log(void **state)
{
    (void)state;
    judge(false, (const double[]){2 * HEADERS, 4 * HEADERS, 2 * HEADERS});
}

static void of_queues(void **state)
{
    (void)state;
    judge(true, (const double[]){2 * HEADERS, 4 * HEADERS, 2 * HEADERS});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_a_log), cmocka_unit_test(of_queues)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
