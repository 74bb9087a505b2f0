/*
 * Plans: what a suite becomes, that it is the same every time, and that text and plan are one.
 */
#include "plan/plan.h"
#include "plan/testing/mock_plugins.h"

#include "api/checker.h"
#include "api/fault.h"
#include "api/system.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char suite_text[] =
    "assay: 1\n"
    "inputs: {size: {value: 300B, help: of a message}}\n"
    "clusters:\n"
    "  log3:\n"
    "    mock_log: {brokers: 3}\n"
    "    server.properties: {lag: \"60000\", listeners: mine}\n"
    "    topics: {orders: {partitions: 2}, audit: {}}\n"
    "cases:\n"
    "  L01-crash:\n"
    "    about: Records die with their leader.\n"
    "    clusters: {bus: log3, kv: mock_keys}\n"
    "    workload: {mock_load: {payload: \"${size}\"}}\n"
    "    clients:\n"
    "      app: {produce: orders, library: {acks: \"1\"}, outstanding: 10}\n"
    "      work: {consume: {topic: orders, group: g}, instances: 2, restart: {after: 1s}}\n"
    "      side: {push: jobs, rate: 5k/s, autostart: false, libraries: debian-13}\n"
    "    matrix: {n: [1, 1000]}\n"
    "    script:\n"
    "      - send: {from: app, count: 500, name: before}\n"
    "      - quiesce: orders\n"
    "      - bind: {old: leader(orders/0), rest: followers(orders/0)}\n"
    "      - cut: {name: lag, between: [$old, $rest]}\n"
    "      - send: {from: app, count: \"${n}\", name: doomed, via: $old}\n"
    "      - kill: $old\n"
    "      - wait: {until: \"leader(orders/0) not in [$old, none]\", within: 30s}\n"
    "      - heal: lag\n"
    "      - start: $old\n"
    "      - start: side\n"
    "      - repeat:\n"
    "          times: 3\n"
    "          do:\n"
    "            - arm: {at: {client: one(work), step: after_effect, nth: {random: [50, 200]}}, "
    "then: kill}\n"
    "      - cut: {between: [one(work), kv], at: {step: before_settle}, for: 2s}\n"
    "      - elect: orders/0\n"
    "      - start: dead nodes\n"
    "    promise: {loss: 0, order: {by: partition}}\n"
    "    require: [acked(before) == 500, \"acked(doomed) == ${n}\"]\n"
    "    expect: {fail: {lost: acked(doomed)}, may: [offset_conflict]}\n"
    "    twins:\n"
    "      all:\n"
    "        with: {clients: {app: {library: {acks: all}}, work: {instances: 1}}}\n"
    "        require+: acked(doomed) == 0\n"
    "        expect: pass\n"
    "  L02-chaos:\n"
    "    clusters: {bus: log3}\n"
    "    workload: mock_load\n"
    "    clients: {app: {produce: orders}}\n"
    "    chaos: {faults: [cut, kill, pause], every: 5s, for: 1s..4s, at_most: 1 node, duration: "
    "60s}\n"
    "    drain: {within: 20s}\n"
    "    deadline: 3m\n"
    "    promise: {loss: {messages: 2, time: 1s}}\n"
    "    expect: {vacuous: not_exercised(loss)}\n";

static struct plan *load(uint64_t seed)
{
    struct err err = {0};
    struct plan *plan = mock_load(suite_text, seed, NULL, &err);

    if (!plan)
        fail_msg("%s", err.text);
    return plan;
}

static const struct plan_case *titled(const struct plan *plan, const char *title)
{
    for (size_t i = 0; i < plan->n; i++)
        if (strcmp(plan_case_title(plan->cases[i]), title) == 0)
            return plan->cases[i];
    fail_msg("no case %s", title);
    return NULL;
}

static void cases_twins_and_matrix_multiply(void **state)
{
    struct plan *plan = load(1);

    (void)state;
    assert_int_equal(plan->n, 5);
    assert_string_equal(plan_case_title(plan->cases[0]), "L01-crash/n=1");
    assert_string_equal(plan_case_title(plan->cases[1]), "L01-crash/n=1000");
    assert_string_equal(plan_case_title(plan->cases[2]), "L01-crash/all/n=1");
    assert_string_equal(plan_case_title(plan->cases[4]), "L02-chaos");
    plan_free(plan);
}

static void clusters_give_nodes_and_units(void **state)
{
    struct plan *plan = load(1);
    const struct plan_case *c = titled(plan, "L01-crash/n=1");

    (void)state;
    assert_int_equal(c->n_clusters, 2);
    assert_string_equal(c->clusters[0].name, "log3");
    assert_string_equal(c->clusters[1].system->name, "mock_keys");
    assert_int_equal(c->n_nodes, 4);
    assert_string_equal(c->nodes[2].address, "10.77.1.3");
    assert_string_equal(c->nodes[3].name, "kv.mock-1"); /* the name was taken */
    assert_int_equal(plan_unit_named(c, "orders/1"), 1);
    assert_int_equal(plan_unit_named(c, "audit"), 2);
    assert_int_equal(plan_unit_named(c, "orders"), -1); /* two partitions: no bare name */
    assert_int_equal(c->dests[plan_dest_named(c, "jobs")].kind, UNIT_LIST);
    plan_free(plan);
}

static void clients_have_brokers_duties_and_groups(void **state)
{
    struct plan *plan = load(1);
    const struct plan_case *c = titled(plan, "L01-crash/n=1");
    const struct plan_client *app = plan_client_named(c, "app");
    const struct plan_client *work = plan_client_named(c, "work");
    const struct plan_client *side = plan_client_named(c, "side");
    const struct plan_dest *group = &c->dests[plan_dest_named(c, "g")];

    (void)state;
    assert_string_equal(app->verb, "produce");
    assert_int_equal(app->n_duties, 1);
    assert_string_equal(c->dests[app->duties[0]].name, "orders");
    assert_int_equal(work->first_id, 1);
    assert_int_equal(work->instances, 2);
    assert_int_equal(work->restart_after_ns, 1000000000);
    assert_int_equal(app->restart_after_ns, -1);
    assert_int_equal(work->cluster,
                     0); /* "consume" is offered by both: orders belongs to this one */
    assert_true(group->group);
    assert_int_equal(group->n_units, 2);
    assert_int_equal(side->cluster, 1);
    assert_false(side->autostart);
    assert_string_equal(side->libraries, "debian-13");
    assert_null(app->libraries);
    assert_string_equal(side->address, "10.77.100.4");
    assert_ptr_equal(plan_client_of_id(c, 2), work);
    plan_free(plan);
}

static void scripts_are_typed(void **state)
{
    struct plan *plan = load(1);
    const struct plan_case *c = titled(plan, "L01-crash/n=1000");
    const struct step *steps = c->script.items;
    const struct send_args *doomed = steps[4].args;
    const struct wait_args *wait = steps[6].args;
    const struct repeat_args *repeat = steps[10].args;
    const struct arm_args *arm = repeat->body.items[0].args;

    (void)state;
    assert_int_equal(steps[3].kind, STEP_FAULT);
    assert_string_equal(steps[3].common.name, "lag");
    assert_string_equal(steps[3].text, "cut: {name: lag, between: [$old, $rest]}");
    assert_int_equal(doomed->count, 1000);
    assert_int_equal(plan_burst_named(c, "doomed"), 2);
    assert_int_equal(wait->within_ns, INT64_C(30000000000));
    assert_int_equal(wait->until->op, OP_NOT_IN);
    assert_string_equal(((const struct start_args *)steps[9].args)->client, "side");
    assert_int_equal(repeat->times, 3);
    assert_int_equal(repeat->body.items[0].index, 11);
    assert_int_equal(arm->at.n_nths, 3);
    for (size_t i = 0; i < 3; i++)
        assert_in_range(arm->at.nths[i], 50, 200);
    assert_string_equal(steps[11].common.at.step, "before_settle");
    assert_null(steps[11].common.at.client);
    assert_int_equal(steps[11].common.for_ns, 2000000000);
    assert_int_equal(steps[12].kind, STEP_COMMAND);
    assert_true(((const struct start_args *)steps[13].args)->dead_nodes);
    plan_free(plan);
}

static void twins_share_script_and_draws(void **state)
{
    struct plan *plan = load(7);
    const struct plan_case *bad = titled(plan, "L01-crash/n=1");
    const struct plan_case *good = titled(plan, "L01-crash/all/n=1");
    const struct repeat_args *a = bad->script.items[10].args;
    const struct repeat_args *b = good->script.items[10].args;

    (void)state;
    assert_int_equal(((const struct arm_args *)a->body.items[0].args)->at.nths[2],
                     ((const struct arm_args *)b->body.items[0].args)->at.nths[2]);
    assert_int_equal(good->seed, bad->seed);
    assert_int_not_equal(good->run, bad->run);
    assert_int_equal(good->clients[1].instances, 1);
    assert_int_equal(bad->n_require, 2);
    assert_int_equal(good->n_require, 3);
    assert_int_equal(bad->expect.verdict, VERDICT_FAIL);
    assert_string_equal(bad->expect.kinds[0].kind, "lost");
    assert_string_equal(bad->expect.may.items[0], "offset_conflict");
    assert_int_equal(good->expect.verdict, VERDICT_PASS);
    plan_free(plan);
}

static void chaos_is_drawn(void **state)
{
    struct plan *plan = load(1);
    const struct plan_case *c = titled(plan, "L02-chaos");
    const struct chaos_args *chaos = c->script.items[0].args;
    int64_t end_ns = 0;

    (void)state;
    assert_int_equal(c->script.items[0].kind, STEP_CHAOS);
    assert_in_range(chaos->n, 8, 12);
    for (size_t i = 0; i < chaos->n; i++) {
        assert_true(chaos->events[i].at_ns >= end_ns); /* at_most: 1 node */
        assert_in_range(chaos->events[i].for_ns, 1000000000, 4000000000);
        end_ns = chaos->events[i].at_ns + chaos->events[i].for_ns;
        assert_string_equal(chaos->events[i].target, "any node");
    }
    assert_true(end_ns <= chaos->duration_ns);
    assert_int_equal(c->deadline_ns, INT64_C(180000000000));
    assert_int_equal(c->drain_within_ns, INT64_C(20000000000));
    assert_string_equal(c->expect.reason, "not_exercised(loss)");
    plan_free(plan);
}

static void always_on_checkers_come_last(void **state)
{
    struct plan *plan = load(1);
    const struct plan_case *c = titled(plan, "L01-crash/n=1");

    (void)state;
    assert_int_equal(c->n_promises, 3);
    assert_string_equal(c->promises[0].checker->name, "loss");
    assert_false(c->promises[1].always);
    assert_string_equal(c->promises[2].checker->name, "always");
    assert_true(c->promises[2].always);
    plan_free(plan);
}

static char *printed(uint64_t seed)
{
    struct plan *plan = load(seed);
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    for (size_t i = 0; i < plan->n; i++) /* the suite's file has another name every time */
        ((struct tree *)(uintptr_t)plan->cases[i]->tree->items[1])->text = "x";
    plan_print(plan, out);
    fclose(out);
    plan_free(plan);
    return text;
}

static void plans_are_identical_per_seed(void **state)
{
    char *one = printed(1);
    char *same = printed(1);
    char *other = printed(2);

    (void)state;
    assert_string_equal(one, same);
    assert_string_not_equal(one, other);
    free(one);
    free(same);
    free(other);
}

static void text_and_plan_are_one(void **state)
{
    struct plan *plan = load(3);

    (void)state;
    for (size_t i = 0; i < plan->n; i++) {
        struct arena arena = {0};
        struct err err = {0};
        size_t n, again_n;
        char *text = plan_case_text(plan->cases[i], &n);
        struct plan_case *same = plan_case_read(text, n, &arena, &err);
        char *again;

        if (!same)
            fail_msg("%s", err.text);
        again = plan_case_text(same, &again_n);
        assert_int_equal(n, again_n);
        assert_string_equal(text, again);
        assert_string_equal(plan_case_title(same), plan_case_title(plan->cases[i]));
        assert_true(same->run == plan->cases[i]->run);
        assert_int_equal(same->n_units, plan->cases[i]->n_units);
        free(text);
        free(again);
        arena_release(&arena);
    }
    plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_twins_and_matrix_multiply),
        cmocka_unit_test(clusters_give_nodes_and_units),
        cmocka_unit_test(clients_have_brokers_duties_and_groups),
        cmocka_unit_test(scripts_are_typed),
        cmocka_unit_test(twins_share_script_and_draws),
        cmocka_unit_test(chaos_is_drawn),
        cmocka_unit_test(always_on_checkers_come_last),
        cmocka_unit_test(plans_are_identical_per_seed),
        cmocka_unit_test(text_and_plan_are_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
