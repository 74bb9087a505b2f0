/*
 * What a suite may not ask of workload `cache`, and is told when it is loaded.
 */
#include "plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The sentence a case is refused with; "" when it is taken. */
static const char *refused_that_requires(const char *redis, const char *workload,
                                         const char *require)
{
    static struct err err;
    char text[1500];
    int n = snprintf(text, sizeof(text),
                     "assay: 1\ncases:\n  one:\n"
                     "    clusters: {cache: {redis: %s}, db: sqlite}\n"
                     "    workload: {cache: %s}\n"
                     "    clients: {R: {reader: {}}, W: {writer: {}}, T: {relay: {}}}\n"
                     "    script: [{observe: {client: R, for: 1s}}]\n"
                     "    promise: {stale: 500ms}\n"
                     "    require: [%s]\n",
                     redis, workload, require);
    struct plan *plan;

    err = (struct err){0};
    plan = plan_load_text(text, (size_t)n, "x", ".", 1, &err);
    plan_free(plan);
    return plan ? "" : err.text;
}

static const char *refused(const char *redis, const char *workload)
{
    return refused_that_requires(redis, workload, "reads(R) >= 1");
}

static void said(const char *sentence, const char *text)
{
    if (!strstr(sentence, text))
        fail_msg("\"%s\" does not say \"%s\"", sentence, text);
}

static const char alone[] = "{topology: standalone}";

static void write_behind_commits_what_it_took(void **state)
{
    (void)state;
    assert_string_equal(refused(alone, "{protocol: write_behind}"), "");
    said(refused(alone, "{protocol: write_behind, abort_every: 2}"),
         "suite x:6:18: client \"R\": protocol: write_behind commits later");
    said(refused(alone, "{protocol: write_behind, remove_every: 2}"),
         "it rolls nothing back and removes no row");
    assert_string_equal(refused(alone, "{protocol: queue, abort_every: 2, remove_every: 3}"), "");
}

static void watch_has_the_cache_alone(void **state)
{
    (void)state;
    assert_string_equal(refused(alone, "{protocol: watch}"), "");
    said(refused(alone, "{protocol: watch, abort_every: 2}"), "protocol: watch commits nothing");
    said(refused(alone, "{protocol: watch, remove_every: 2}"), "removes no row");
    said(refused(alone, "{protocol: watch, guard: version}"), "EXEC is the guard");
}

static void a_local_level_where_it_is_about_one(void **state)
{
    (void)state;
    said(refused(alone, "{protocol: pubsub}"), "local_ttl is missing");
    said(refused(alone, "{protocol: tracking}"), "local_ttl is missing");
    assert_string_equal(refused(alone, "{protocol: pubsub, local_ttl: 10s}"), "");
}

static void leases_where_they_are_given(void **state)
{
    (void)state;
    said(refused(alone, "{protocol: double_write, guard: lease}"), "guard: lease is for fills");
    said(refused("{topology: replication, replicas: 1}", "{guard: lease, cache_reads: replica}"),
         "guard: lease needs cache_reads: primary");
}

static void servers_that_can_be_a_cache(void **state)
{
    (void)state;
    said(refused("{topology: cluster, primaries: 3, replicas: 1}", "{}"),
         "suite x:4:23: cluster \"cache\": in a Redis Cluster each key has a primary of its own");
    said(refused(alone, "{cache_reads: replica}"), "a single Redis server has no replica");
    assert_string_equal(
        refused("{topology: sentinel, replicas: 1, sentinels: 3}", "{cache_reads: replica}"), "");
}

/* The history has no completions of theirs: fail(W) == 0 would hold whatever happened. */
static void who_sends_nothing_is_not_counted_by_messages(void **state)
{
    (void)state;
    said(refused_that_requires(alone, "{}", "fail(W) == 0"),
         "suite x:9:15: fail(W) counts messages, and client \"W\" sends none: keep it with note: "
         "{name: fail(W)}");
    assert_string_equal(refused_that_requires(alone, "{}", "hits(R) >= 1"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_behind_commits_what_it_took),
        cmocka_unit_test(watch_has_the_cache_alone),
        cmocka_unit_test(a_local_level_where_it_is_about_one),
        cmocka_unit_test(leases_where_they_are_given),
        cmocka_unit_test(servers_that_can_be_a_cache),
        cmocka_unit_test(who_sends_nothing_is_not_counted_by_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
