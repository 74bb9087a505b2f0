/*
 * applies: conditions over what servers say they run with: each setting that is turned over turns
 * the answer over.
 */
#include "plan/plan.h"
#include "plan/testing/mock_plugins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct plan *load(const char *conditions, struct err *err)
{
    char text[2000];

    snprintf(text, sizeof(text),
             "assay: 1\n"
             "clusters:\n"
             "  log3: {mock_log: {brokers: 3}, topics: {orders: {partitions: 2}}}\n"
             "cases:\n"
             "  L01:\n"
             "    clusters: {bus: log3}\n"
             "    workload: mock_load\n"
             "    clients: {app: {produce: orders, library: {acks: \"1\"}}}\n"
             "    applies: %s\n"
             "    script: [{send: {from: app, count: 5, name: all}}]\n"
             "    promise: {loss: 0}\n",
             conditions);
    return mock_load(text, 1, NULL, err);
}

static const char *text_of(void *context, const char *alias, size_t *n)
{
    const char *text = context;

    if (strcmp(alias, "bus") != 0 || !text)
        return NULL;
    *n = strlen(text);
    return text;
}

/* 1 applies, 0 does not, -1 makes no sense; the reason in `why`. */
static char why[400];
static int answer(const char *conditions, const char *effective)
{
    struct err err = {0};
    struct plan *plan = load(conditions, &err);
    int result;

    if (!plan)
        fail_msg("%s", err.text);
    why[0] = '\0';
    result = plan_applies(plan->cases[0], text_of, (void *)(uintptr_t)effective, why, sizeof(why),
                          &err);
    if (result < 0)
        snprintf(why, sizeof(why), "%.399s", err.text);
    plan_free(plan);
    return result;
}

static void numbers_words_and_nothing(void **state)
{
    (void)state;
    assert_int_equal(answer("{\"setting(bus, limit) > 0\": no limit}", "n-1\tlimit\t5\n"), 1);
    assert_int_equal(answer("{\"setting(bus, limit) > 0\": no limit}", "n-1\tlimit\t0\n"), 0);
    assert_string_equal(why, "no limit (limit is 0)");
    assert_int_equal(answer("{\"setting(bus, sync) == yes\": off}", "n-1\tsync\tyes\n"), 1);
    assert_int_equal(answer("{\"setting(bus, sync) == yes\": off}", "n-1\tsync\tno\n"), 0);
    assert_int_equal(answer("{\"setting(bus, save) != none\": off}", "n-1\tsave\t\n"), 0);
    assert_string_equal(why, "off (save is empty)");
    assert_int_equal(answer("{\"setting(bus, save) != none\": off}", "n-1\tsave\t3600 1\n"), 1);
    assert_int_equal(answer("{\"setting(bus, how) in [a, b-c]\": x}", "n-1\thow\tb-c\n"), 1);
    assert_int_equal(answer("{\"setting(bus, how) in [a, b-c]\": x}", "n-1\thow\td\n"), 0);
}

static void what_nobody_says_is_unset(void **state)
{
    (void)state;
    assert_int_equal(answer("{\"setting(bus, limit) == unset\": set}", "n-1\tlimits\t5\n"), 1);
    assert_int_equal(answer("{\"setting(bus, limit) == unset\": set}", NULL), 1);
    assert_int_equal(answer("{\"setting(bus, limit) > 0\": x}", NULL), -1);
    assert_non_null(strstr(why, "limit is unset"));
}

/* Servers that differ are no single value; a topic's settings are not the servers'. */
static void servers_and_topics_are_told_apart(void **state)
{
    static const char text[] = "n-1\tmin.insync\t1\nn-2\tmin.insync\t1\ntopic orders\tmin.insync\t2\n"
                               "n-1\thow\ta\nn-2\thow\tb\n";

    (void)state;
    assert_int_equal(answer("{\"setting(bus, min.insync) == 1\": x}", text), 1);
    assert_int_equal(answer("{\"setting(orders, min.insync) == 2\": x}", text), 1);
    assert_int_equal(answer("{\"setting(bus, how) == mixed\": x}", text), 1);
}

static void a_clients_own_count_too(void **state)
{
    (void)state;
    assert_int_equal(answer("{\"setting(app, acks) != 0\": nobody asks}", ""), 1);
    assert_int_equal(answer("{\"setting(app, acks) == all\": only one copy}", ""), 0);
    assert_string_equal(why, "only one copy (acks is 1)");
}

static void all_must_hold(void **state)
{
    (void)state;
    assert_int_equal(answer("{\"setting(bus, a) > 0\": a, \"setting(bus, b) > 0\": b}",
                            "n-1\ta\t1\nn-1\tb\t0\n"), 0);
    assert_string_equal(why, "b (b is 0)");
}

static void slips_are_told(void **state)
{
    static const char *const wrong[][2] = {
        {"{\"setting(buss, a) > 0\": x}", "did you mean \"bus\""},
        {"{\"setting(bus) > 0\": x}", "setting takes"},
        {"{\"acked(all) > 0\": x}", "settings only"},
        {"{\"setting(bus, a) > 0\": \"\"}", "say why"},
        {"[setting]", "takes a map"}};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct err err = {0};

        assert_null(load(wrong[i][0], &err));
        assert_int_equal(err.status, ERR_INPUT);
        if (!strstr(err.text, wrong[i][1]))
            fail_msg("\"%s\" does not say \"%s\"", err.text, wrong[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_words_and_nothing),
        cmocka_unit_test(what_nobody_says_is_unset),
        cmocka_unit_test(servers_and_topics_are_told_apart),
        cmocka_unit_test(a_clients_own_count_too),
        cmocka_unit_test(all_must_hold),
        cmocka_unit_test(slips_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
