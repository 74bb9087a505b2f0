/* labels: sandbox */
/* The probe answers for everything the sandbox needs, says how or names a fix, and leaves no trace.
 */
#include "sandbox/sandbox.h"

#include "api/fault.h"
#include "api/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void every_answer_says_how_or_what_to_do(void **state)
{
    (void)state;
    struct capability found[48];
    size_t n = sandbox_probe(found, 48);
    assert_true(n >= 10);
    for (size_t i = 0; i < n; i++) {
        printf("# %-18s %-3s %s%s%s\n", found[i].name, found[i].yes ? "yes" : "no", found[i].how,
               found[i].fix[0] ? "; fix: " : "", found[i].fix);
        assert_true(found[i].how[0]);
        assert_int_equal(found[i].yes, !found[i].fix[0]);
    }
}

static void what_a_cut_needs_is_there_where_the_sandbox_runs(void **state)
{
    (void)state;
    static const char *const needed[] = {"namespaces", "bridge",       "veth", "nft bridge family",
                                         "tbf",        "SOCK_DESTROY", "pidfd"};
    struct capability found[48];
    size_t n = sandbox_probe(found, 48);
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        for (size_t k = 0; k < n; k++)
            if (strcmp(needed[i], found[k].name) == 0)
                assert_true(found[k].yes);
}

static void the_list_is_bounded_by_the_caller(void **state)
{
    (void)state;
    struct capability found[3];
    assert_int_equal(sandbox_probe(found, 3), 3);
    assert_int_equal(sandbox_probe(found, 0), 0);
}

static void one_is_tried_as_all_are(void **state)
{
    (void)state;
    struct capability found[48], one;
    size_t n = sandbox_probe(found, 48);
    for (size_t i = 0; i < n; i++) {
        assert_true(sandbox_probe_one(found[i].name, &one));
        assert_string_equal(one.name, found[i].name);
        assert_int_equal(one.yes, found[i].yes);
        assert_string_equal(one.how, found[i].how);
        assert_string_equal(one.fix, found[i].fix);
    }
    assert_false(sandbox_probe_one("no such capability", &one));
}

/* A need that the probe does not know would be an assertion at some user's run. */
static void every_need_of_a_fault_is_a_name_of_the_probe(void **state)
{
    (void)state;
    struct capability one;
    for (size_t i = 0; all_faults[i]; i++)
        for (const char *const *need = all_faults[i]->needs; *need; need++)
            if (!sandbox_probe_one(*need, &one))
                fail_msg("%s needs \"%s\", which the probe does not know", all_faults[i]->name,
                         *need);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_says_how_or_what_to_do),
        cmocka_unit_test(what_a_cut_needs_is_there_where_the_sandbox_runs),
        cmocka_unit_test(the_list_is_bounded_by_the_caller),
        cmocka_unit_test(one_is_tried_as_all_are),
        cmocka_unit_test(every_need_of_a_fault_is_a_name_of_the_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
