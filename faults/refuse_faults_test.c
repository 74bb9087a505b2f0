/*
 * What faults themselves refuse at load, with exact sentences: shapes a cut does not have, and what
 * the systems of the case cannot do. On the real faults and systems; nothing is started.
 */
#include "plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The step stands at 9:9, behind the clusters and clients that are given. */
#define CASE(clusters, workload, clients, step)                                                    \
    "assay: 1\n"                                                                                   \
    "cases:\n"                                                                                     \
    "  C:\n"                                                                                       \
    "    clusters: {c: " clusters "}\n"                                                            \
    "    workload: {queue: " workload "}\n"                                                        \
    "    clients: {app: " clients "}\n"                                                            \
    "    promise: {loss: 0}\n"                                                                     \
    "    script:\n"                                                                                \
    "      - " step "\n"
#define REDIS(step)                                                                                \
    CASE("{redis: {topology: standalone}}", "{structure: list}", "{push: jobs, confirm: reply}",   \
         step)
#define KAFKA(step)                                                                                \
    CASE("{kafka: {brokers: 1, controllers: 1}, topics: {orders: {partitions: 1}}}", "{}",         \
         "{produce: orders}", step)

struct refusal {
    const char *what, *suite, *sentence; /* no sentence: it is taken */
};

static const struct refusal refusals[] = {
    {"cut without a shape", REDIS("cut: {for: 1s}"),
     "suite x:9:9: cut: takes one of between, isolate, halves, ring, bridge"},
    {"cut of two shapes", REDIS("cut: {isolate: primary, halves: primary, for: 1s}"),
     "suite x:9:9: cut: takes one of between, isolate, halves, ring, bridge"},
    {"cut between one side", REDIS("cut: {between: [primary], for: 1s}"),
     "suite x:9:9: cut: between takes two sides: [$old, $rest]"},
    {"cut on a plane that no system here has",
     REDIS("cut: {isolate: primary, plane: mgmt, for: 1s}"),
     "suite x:9:9: cut: no system of this case has a plane \"mgmt\""},
    {"cut on a plane that is misspelt", REDIS("cut: {isolate: primary, plane: clinet, for: 1s}"),
     "suite x:9:9: cut: no system of this case has a plane \"clinet\" (did you mean \"client\"?)"},
    {"a plane that Kafka has not", KAFKA("cut: {isolate: kafka-1, plane: bus, for: 1s}"),
     "suite x:9:9: cut: no system of this case has a plane \"bus\""},
    {"the same plane where a system has it", REDIS("cut: {isolate: primary, plane: bus, for: 1s}"),
     NULL},
    {"squeeze of systems without a memory limit", KAFKA("squeeze: {target: kafka-1, for: 1s}"),
     "suite x:9:9: squeeze: no system of this case has a memory limit to lower"},
    {"squeeze where there is a limit", REDIS("squeeze: {target: primary, for: 1s}"), NULL},
    {"squeeze without end", REDIS("squeeze: primary"),
     "suite x:9:9: squeeze is never healed: give it a name and heal: it, or say for: 3s"},
    {"rate without end", REDIS("rate: {of: primary, kbit: 64}"),
     "suite x:9:9: rate is never healed: give it a name and heal: it, or say for: 3s"},
    {"a role the system has not", REDIS("kill: isr(jobs)"),
     "suite x:9:15: no system of this case has the role \"isr\""},
};

static void each_refusal_has_its_sentence(void **state)
{
    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        const struct refusal *r = &refusals[i];
        struct err err = {0};
        struct plan *plan = plan_load_text(r->suite, strlen(r->suite), "x", ".", 1, &err);
        bool as_expected =
            r->sentence ? !plan && err.status == ERR_INPUT && strcmp(err.text, r->sentence) == 0
                        : plan != NULL;

        if (!as_expected) {
            print_error("%s:\n  expected %s\n  got      %s\n", r->what,
                        r->sentence ? r->sentence : "a plan", plan ? "a plan" : err.text);
            wrong++;
        }
        plan_free(plan);
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_refusal_has_its_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
