/*
 * What a machine cannot inject is refused with its place, the capability's name as `assay doctor`
 * shows it and the fix; what no case needs is not tried, and nothing is tried twice. The machine is
 * a mock that lacks what the test says; the faults are the real ones.
 */
#include "run/needs.h"

#include "sandbox/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "assay: 1\n"                                                                                   \
    "cases:\n"                                                                                     \
    "  C:\n"                                                                                       \
    "    clusters: {kv: {redis: {topology: standalone}}}\n"                                        \
    "    workload: {queue: {structure: list}}\n"                                                   \
    "    clients: {app: {push: jobs, confirm: reply}, work: {consume: {list: jobs}}}\n"            \
    "    promise: {loss: 0}\n"
#define SCRIPT(steps) HEAD "    script:\n" steps /* steps begin on line 9 */

/* ---- the mock machine: it can do everything but what stands in `mock_lacks` */

static const char *mock_lacks[3];
static char mock_tried[300]; /* names in the order they were asked for, each with a comma */

static bool mock_probe_one(const char *name, struct capability *out)
{
    *out = (struct capability){.name = name, .yes = true};
    for (size_t i = 0; i < sizeof(mock_lacks) / sizeof(*mock_lacks); i++)
        if (mock_lacks[i] && strcmp(mock_lacks[i], name) == 0)
            out->yes = false;
    snprintf(out->how, sizeof(out->how), "mock of %s (%s)", name, out->yes ? "done" : "refused");
    if (!out->yes)
        snprintf(out->fix, sizeof(out->fix), "mock-modprobe %s", name);
    strcat(mock_tried, name);
    strcat(mock_tried, ",");
    return true;
}

/* Asks the mock machine, which lacks these two (NULL: nothing), what it says to a suite. */
static int ask(const char *suite, const char *lack, const char *and, struct err *err)
{
    struct plan *plan = plan_load_text(suite, strlen(suite), "x", ".", 1, err);
    int result;

    if (!plan)
        fail_msg("%s", err->text);
    mock_lacks[0] = lack;
    mock_lacks[1] = and;
    mock_tried[0] = '\0';
    result = needs_met(plan, mock_probe_one, err);
    plan_free(plan);
    return result;
}

struct refusal {
    const char *what, *lack, *suite, *sentence;
};

static const struct refusal refusals[] = {
    {"cut", "nft bridge family", SCRIPT("      - cut: {isolate: primary, for: 1s}\n"),
     "suite x:9:9: cut needs \"nft bridge family\", which assay doctor says no to: mock of nft "
     "bridge family (refused); fix: mock-modprobe nft bridge family"},
    {"rate, behind what can be done", "tbf",
     SCRIPT("      - kill: primary\n"
            "      - rate: {of: primary, kbit: 64, for: 1s}\n"),
     "suite x:10:9: rate needs \"tbf\", which assay doctor says no to: mock of tbf (refused); fix: "
     "mock-modprobe tbf"},
    {"reset", "SOCK_DESTROY", SCRIPT("      - reset: primary\n"),
     "suite x:9:9: reset needs \"SOCK_DESTROY\", which assay doctor says no to: mock of "
     "SOCK_DESTROY (refused); fix: mock-modprobe SOCK_DESTROY"},
    {"the second need of crash", "SOCK_DESTROY", SCRIPT("      - crash: primary\n"),
     "suite x:9:9: crash needs \"SOCK_DESTROY\", which assay doctor says no to: mock of "
     "SOCK_DESTROY (refused); fix: mock-modprobe SOCK_DESTROY"},
    {"inside repeat", "tbf",
     SCRIPT("      - repeat:\n"
            "          times: 2\n"
            "          do:\n"
            "            - rate: {of: primary, kbit: 64, for: 1s}\n"),
     "suite x:12:15: rate needs \"tbf\", which assay doctor says no to: mock of tbf (refused); "
     "fix: mock-modprobe tbf"},
    {"armed", "pidfd",
     SCRIPT("      - arm: {at: {client: work, step: before_process}, then: kill, within: 1s}\n"),
     "suite x:9:9: kill needs \"pidfd\", which assay doctor says no to: mock of pidfd (refused); "
     "fix: mock-modprobe pidfd"},
    {"drawn by chaos", "nft bridge family",
     HEAD "    chaos: {faults: [cut], every: 5s, for: 1s, duration: 20s}\n",
     "suite x:8:12: cut needs \"nft bridge family\", which assay doctor says no to: mock of nft "
     "bridge family (refused); fix: mock-modprobe nft bridge family"},
};

static void each_fault_is_refused_with_its_sentence(void **state)
{
    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        const struct refusal *r = &refusals[i];
        struct err err = {0};
        int result = ask(r->suite, r->lack, NULL, &err);

        if (result < 0 && err.status == ERR_INPUT && strcmp(err.text, r->sentence) == 0)
            continue;
        print_error("%s:\n  expected %s\n  got      %s\n", r->what, r->sentence, err.text);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void what_is_not_needed_is_not_tried_and_nothing_twice(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(ask(SCRIPT("      - cut: {isolate: primary, for: 1s}\n"
                                "      - crash: primary\n"
                                "      - cut: {isolate: primary, for: 1s}\n"),
                         "tbf", NULL, &err),
                     0);
    assert_string_equal(mock_tried, "nft bridge family,SOCK_DESTROY,pidfd,");
    assert_int_equal(
        ask(SCRIPT("      - send: {from: app, count: 1, name: a}\n"), "tbf", NULL, &err), 0);
    assert_string_equal(mock_tried, "");
}

/* Every try inside fails then, and none of their fixes would help. */
static void without_namespaces_the_sandbox_has_the_word(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(ask(SCRIPT("      - reset: primary\n"), "SOCK_DESTROY", "namespaces", &err),
                     0);
    assert_string_equal(mock_tried, "SOCK_DESTROY,namespaces,");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_refused_with_its_sentence),
        cmocka_unit_test(what_is_not_needed_is_not_tried_and_nothing_twice),
        cmocka_unit_test(without_namespaces_the_sandbox_has_the_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
