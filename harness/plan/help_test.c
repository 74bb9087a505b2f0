/*
 * Help from tables: the text of one topic word for word, every topic and plugin is found, the
 * schema names what the tables name.
 */
#include "plan/help.h"
#include "plan/testing/mock_plugins.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *help_text(const char *topic)
{
    struct nearest near;
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    int status = help_print(topic, out, &near);

    fclose(out);
    if (status < 0)
        fail_msg("no help about %s", topic);
    return text;
}

static void a_topic_is_its_table(void **state)
{
    char *text = help_text("mock_load");

    (void)state;
    assert_string_equal(
        text, "workload mock_load: nothing done\n\n"
              "  payload                    size; default 200B\n"
              "                             a size such as 200B or 64KiB, 56B … 1048576B\n"
              "  effect                     journal\n"
              "                             text\n"
              "\nin clients:\n"
              "  outstanding                at most; default 1000\n"
              "                             a whole number such as 500 or 10k, at least 1\n"
              "  rate                       open loop\n"
              "                             a rate such as 5k/s\n"
              "\nsteps: before_process after_effect before_settle\n");
    free(text);
}

static void every_name_has_help(void **state)
{
    static const char *const names[] = {
        "systems",     "workloads", "clients",  "script",    "faults",    "promises", "checkers",
        "expressions", "case",      "mock_log", "mock_keys", "mock_load", "cut",      "kill",
        "suite",       "twins",     "inputs",   "expect",    "loss",      "order",    "always",
        "send",        "wait",      "chaos",    "elect"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char *text = help_text(names[i]);

        assert_true(strlen(text) > 20);
        free(text);
    }
}

static void a_slip_gets_the_nearest_word(void **state)
{
    struct nearest near;
    FILE *out = fopen("/dev/null", "w");

    (void)state;
    assert_int_equal(help_print("fualts", out, &near), -1);
    assert_string_equal(nearest_hint(&near), " (did you mean \"faults\"?)");
    fclose(out);
}

static void the_schema_names_what_the_tables_name(void **state)
{
    char *text = help_schema();
    json_error_t error;
    json_t *schema = json_loads(text, 0, &error);
    json_t *defs = json_object_get(schema, "$defs");
    json_t *client = json_object_get(json_object_get(defs, "client"), "properties");
    json_t *steps = json_object_get(
        json_object_get(json_object_get(json_object_get(defs, "script"), "items"), "properties"),
        "cut");

    (void)state;
    assert_non_null(schema);
    assert_string_equal(json_string_value(json_object_get(schema, "$schema")),
                        "https://json-schema.org/draft/2020-12/schema");
    assert_non_null(json_object_get(client, "produce"));
    assert_non_null(json_object_get(client, "push"));
    assert_non_null(json_object_get(client, "autostart"));
    assert_non_null(steps);
    json_decref(schema);
    free(text);
}

/* Whose type is a reference, too: ci/coverage knows by it what a suite leaves as it is. */
static void a_key_has_its_help_and_default_in_the_schema(void **state)
{
    char *text = help_schema();
    json_t *schema = json_loads(text, 0, NULL);
    json_t *client = json_object_get(json_object_get(schema, "$defs"), "client");
    json_t *key = json_object_get(json_object_get(client, "properties"), "autostart");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(key, "$ref")), "#/$defs/bool");
    assert_string_equal(json_string_value(json_object_get(key, "default")), "true");
    assert_non_null(json_object_get(key, "description"));
    json_decref(schema);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_its_table),
        cmocka_unit_test(every_name_has_help),
        cmocka_unit_test(a_slip_gets_the_nearest_word),
        cmocka_unit_test(the_schema_names_what_the_tables_name),
        cmocka_unit_test(a_key_has_its_help_and_default_in_the_schema),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
