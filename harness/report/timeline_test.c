/*
 * A recorded case becomes a script again: what was drawn, resolved and waited for stands in it, and
 * the script of a replay becomes the same script once more.
 */
#include "report/timeline.h"

#include "api/event.h"
#include "base/clock.h"
#include "history/history.h"
#include "history/testing/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char suite[] =
    "assay: 1\n"
    "clusters:\n"
    "  three: {redis: {topology: sentinel, replicas: 2, sentinels: 3},\n"
    "          redis.conf: {requirepass: hunter2, proc-title-template: \"$${x}\"}}\n"
    "cases:\n"
    "  drawn:\n"
    "    clusters: {kv: three}\n"
    "    workload: {queue: {structure: list}}\n"
    "    clients: {app: {push: jobs, rate: 100/s}, work: {consume: jobs, instances: 2, workers: 1}}\n"
    "    script:\n"
    "      - bind: {old: primary, rest: others(primary)}\n"
    "      - cut: {name: split, between: [$old, $rest], one_way: true}\n"
    "      - wait: {until: \"primary not in [$old, none]\", within: 30s}\n"
    "      - heal: split\n"
    "      - arm: {at: {client: one(work), step: before_process, nth: {random: [3, 9]}}, then: "
    "hold, within: 5s}\n"
    "      - chaos: {faults: [kill], every: 4s, for: 1s, duration: 4s, "
    "settle: 3s}\n"
    "    promise: {loss: 0}\n"
    "    expect: pass\n";

static struct err err;

static struct event says(struct history_writer *w, int64_t ms, unsigned type, const char *text)
{
    return (struct event){.type = (uint8_t)type,
                          .at_ns = SECOND_NS + ms * MS_NS,
                          .outcome_level = event_result(OUTCOME_OK, LEVEL_NONE),
                          .node = NO_NODE,
                          .ref = history_text(w, text)};
}

static void put(struct history_writer *w, struct event event)
{
    history_record(w, &event);
}

static void stamp(struct history_writer *w, int64_t ms, uint32_t window, int code, int step,
                  const char *text)
{
    struct event event = says(w, ms, EV_FAULT, text);

    event.epoch = window;
    event.code = (int16_t)code;
    event.value = step;
    put(w, event);
}

static void begin_step(struct history_writer *w, int64_t ms, const struct plan_case *c, size_t i)
{
    put(w, says(w, ms, EV_SCRIPT, c->script.items[i].text));
}

static void record(const char *folder, const struct plan_case *c)
{
    struct sealer *s = sealer_open(folder, &err);
    struct history_writer *w = history_writer_open(folder, "coordinator", BY_COORDINATOR, &err);
    struct event waited;
    size_t n;
    char *plan = plan_case_text(c, &n);

    assert_int_equal(sealer_document(s, "plan", plan, n, &err), 0);
    free(plan);
    begin_step(w, 0, c, 0);
    put(w, says(w, 1, EV_SCRIPT, "$old = redis-2"));
    put(w, says(w, 1, EV_SCRIPT, "$rest = redis-1,redis-3"));
    begin_step(w, 2, c, 1);
    stamp(w, 2, 1, STAMP_DECIDED, 2, "cut|split|redis-2,redis-1,redis-3");
    stamp(w, 3, 1, STAMP_ASKED, 0, "redis-2 / redis-1,redis-3");
    stamp(w, 4, 1, STAMP_EFFECTIVE, 0, "");
    begin_step(w, 5, c, 2);
    waited = says(w, 1805, EV_WAITED, "wait");
    waited.value = 1800 * MS_NS;
    put(w, waited);
    begin_step(w, 1806, c, 3);
    stamp(w, 1806, 1, STAMP_HEAL_DECIDED, 0, "");
    begin_step(w, 1810, c, 4);
    put(w, says(w, 1810, EV_SCRIPT, "→ work-2 at 7"));
    begin_step(w, 1811, c, 5);
    stamp(w, 2500, 2, STAMP_DECIDED, 6, "kill||redis-3");
    stamp(w, 2500, 2, STAMP_ASKED, 0, "redis-3");
    stamp(w, 2501, 2, STAMP_EFFECTIVE, 0, "");
    stamp(w, 3511, 2, STAMP_HEAL_DECIDED, 0, "");
    stamp(w, 3512, 2, STAMP_HEAL_EFFECTIVE, 0, "");
    history_writer_close(w);
    assert_int_equal(sealer_finish(s, &err), 0);
    sealer_close(s);
}

static const char expected[] =
    "    script:\n"
    "      - bind: {old: redis-2, rest: \"[redis-1, redis-3]\"}\n"
    "      - quiet: {until: 2ms, why: recorded}\n"
    "      # cut redis-2 / redis-1,redis-3: decided 0.002000, asked 0.003000, effective 0.004000, "
    "heal decided 1.806000\n"
    "      - cut: {name: split, between: [redis-2, \"[redis-1, redis-3]\"], one_way: true}\n"
    "      # held after 1.800 s\n"
    "      - wait: {until: \"primary not in [$old, none]\", within: 30s}\n"
    "      - quiet: {until: 1806ms, why: recorded}\n"
    "      - heal: split\n"
    "      - quiet: {until: 1810ms, why: recorded}\n"
    "      - arm: {at: {client: work-2, step: before_process, nth: 7}, then: hold, within: 5s}\n"
    "      - quiet: {until: 2500ms, why: recorded}\n"
    "      # kill redis-3: decided 2.500000, asked 2.500000, effective 2.501000, heal decided "
    "3.511000, heal effective 3.512000\n"
    "      - kill: {target: redis-3, for: 1010ms}\n"
    "      - quiet: {until: 6512ms, why: recorded}\n";

static void what_happened_is_a_script_again(void **state)
{
    const char *folder = folder_make();
    struct plan *plan = plan_load_text(suite, sizeof(suite) - 1, "x.yaml", ".", 1, &err);
    struct arena arena = {0};
    struct timeline timeline;
    struct plan_case *again;
    struct plan *other;
    char *text;
    size_t n;

    (void)state;
    if (!plan)
        fail_msg("%s", err.text);
    record(folder, plan->cases[0]);
    if (timeline_read(folder, &timeline, &err) < 0)
        fail_msg("%s", err.text);
    assert_false(timeline.stopped);
    text = timeline_text(&timeline, &n);
    if (!strstr(text, expected))
        fail_msg("it is now:\n%s", text);
    assert_null(strstr(text, "hunter2"));
    again = timeline_case(&timeline, &arena, &err);
    if (!again)
        fail_msg("%s", err.text);
    assert_int_equal(again->seed, plan->cases[0]->seed);
    assert_int_equal(again->script.n, 11);
    other = plan_load_text(text, n, "timeline.yaml", ".", 1, &err); /* and a suite of its own */
    if (!other)
        fail_msg("%s", err.text);
    plan_free(other);
    free(text);
    arena_release(&arena);
    timeline_release(&timeline);
    plan_free(plan);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_happened_is_a_script_again),
    };

    return cmocka_run_group_tests_name("timeline", tests, NULL, NULL);
}
