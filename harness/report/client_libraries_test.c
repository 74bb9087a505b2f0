/* What clients run on: told by each of them, said once. */
#include "report/client_libraries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void every_version_is_said_once(void **state)
{
    struct client_libraries libraries = {0};
    char lines[200] = "kafka: 3.9.1\n";

    (void)state;
    client_libraries_told(&libraries, "librdkafka 2.8.0");
    client_libraries_told(&libraries, "librabbitmq 0.11.0");
    client_libraries_told(&libraries, "librdkafka 2.0.2");
    client_libraries_told(&libraries, "librdkafka 2.8.0");
    client_libraries_told(&libraries, "librdkafka 2.4.0");
    client_libraries_lines(&libraries, lines, sizeof(lines));
    assert_string_equal(lines, "kafka: 3.9.1\nlibrdkafka: 2.0.2 and 2.4.0 and 2.8.0\n"
                               "librabbitmq: 0.11.0\n");
}

static void what_is_no_name_and_version_is_passed_over(void **state)
{
    static const char *const texts[] = {
        "",
        "librdkafka",
        "librdkafka ",
        " 2.8.0",
        "librdkafka 0123456789012345678901234567890123456789",
        "a-name-of-sixty-letters-and-more-than-that-which-no-library-has 1"};
    struct client_libraries libraries = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        client_libraries_told(&libraries, texts[i]);
    assert_int_equal(libraries.n, 0);
}

static void more_than_there_is_room_for(void **state)
{
    struct client_libraries libraries = {0};
    char text[100], lines[60] = "";

    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "lib%d %d", i % 10, i);
        client_libraries_told(&libraries, text);
        snprintf(text, sizeof(text), "lib0 1.%d", i);
        client_libraries_told(&libraries, text);
    }
    assert_int_equal(libraries.n, CLIENT_LIBRARIES_MAX);
    assert_int_equal(libraries.items[0].n, LIBRARY_VERSIONS_MAX);
    client_libraries_lines(&libraries, lines, sizeof(lines));
    assert_int_equal(strlen(lines), sizeof(lines) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_said_once),
        cmocka_unit_test(what_is_no_name_and_version_is_passed_over),
        cmocka_unit_test(more_than_there_is_room_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
