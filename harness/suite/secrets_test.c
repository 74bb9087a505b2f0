/* Secrets end where suites are read; everything else stays as it was written. */
#include "suite/secrets.h"

#include "suite/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;
static struct err err;

static int teardown(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static void keys_are_known_by_their_names(void **state)
{
    static const char *const secret[] = {"requirepass",   "masterauth",       "default_pass",
                                         "sasl.password", "auth-pass",        "sasl.jaas.config",
                                         "user",          "SSL.Key.Password", "primaryauth",
                                         "requirepas",    "MasterAuht",       "ssl.key.pasword",
                                         "default_pas",   "aws.secret_key",   NULL};
    static const char *const open[] = {
        "password_hashing_module", "appendonly", "users", "acks", "passive", "key", "path",
        "pause", "class", "master", "parser", NULL};

    (void)state;
    for (const char *const *key = secret; *key; key++)
        assert_true(secrets_key(*key));
    for (const char *const *key = open; *key; key++)
        assert_false(secrets_key(*key));
}

static const char *blotted(const char *text)
{
    const char *out = secrets_blotted_suite("x", text, strlen(text), &arena, &err);

    assert_non_null(out);
    return out;
}

static void a_suite_keeps_its_layout(void **state)
{
    (void)state;
    assert_string_equal(blotted("a: 1 # kept\nb: {requirepass: h2, c: 'h2'} # too\n"),
                        "a: 1 # kept\nb: {requirepass: \"(redacted)\", c: 'h2'} # too\n");
    assert_string_equal(blotted("sasl.password: \"a \\\" b\"\nümläut: {masterauth: 'it''s'}\n"),
                        "sasl.password: \"(redacted)\"\nümläut: {masterauth: \"(redacted)\"}\n");
    assert_string_equal(blotted("a: [1, 2]\n"), "a: [1, 2]\n");
}

static void what_stands_in_a_value_goes_too(void **state)
{
    (void)state;
    assert_string_equal(blotted("uri: \"amqp://bob:a@b:c@far/x and amqp://far:5672/\"\n"),
                        "uri: \"amqp://bob:(redacted)@far/x and amqp://far:5672/\"\n");
    assert_string_equal(blotted("sentinel: [\"auth-pass mymaster h2\", monitor m 1 2]\n"),
                        "sentinel:\n  - \"auth-pass (redacted)\"\n  - \"monitor m 1 2\"\n");
    assert_string_equal(blotted("about: user says no\n"), "about: user says no\n");
}

/* A secret over several lines has no place of its own: the tree is printed anew without it. */
static void what_has_no_place_goes_all_the_same(void **state)
{
    const char *text;

    (void)state;
    text = blotted("a: 1\nsasl.jaas.config: >\n  one secret\n  more\n");
    assert_null(strstr(text, "secret"));
    assert_non_null(strstr(text, "(redacted)"));
    text = blotted("definitions.json: '{\"users\": [{\"password_hash\": \"abc=\", \"name\": "
                   "\"guest\"}]}'\n");
    assert_null(strstr(text, "abc="));
    assert_non_null(strstr(text, "guest"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(keys_are_known_by_their_names, teardown),
        cmocka_unit_test_teardown(a_suite_keeps_its_layout, teardown),
        cmocka_unit_test_teardown(what_stands_in_a_value_goes_too, teardown),
        cmocka_unit_test_teardown(what_has_no_place_goes_all_the_same, teardown),
    };

    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
