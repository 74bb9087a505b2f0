/* labels: sandbox */
/* The probe answers for everything the sandbox needs, says how or names a fix, and leaves no trace.
 */
#include "sandbox/sandbox.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_says_how_or_what_to_do),
        cmocka_unit_test(what_a_cut_needs_is_there_where_the_sandbox_runs),
        cmocka_unit_test(the_list_is_bounded_by_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
