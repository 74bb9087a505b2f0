/* Growable buffers: always terminated, and JSON strings any parser takes. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_growth(void **state)
{
    struct buf b = {0};

    (void)state;
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(b.n, strlen(b.data));
    assert_string_equal(b.data + b.n - 5, "9999,");
    buf_clear(&b);
    assert_string_equal(b.data, "");
    buf_text(&b, "x");
    assert_string_equal(b.data, "x");
    buf_release(&b);
    assert_null(b.data);
}

static void test_take_of_nothing(void **state)
{
    struct buf b = {0};
    char *text = buf_take(&b);

    (void)state;
    assert_string_equal(text, "");
    free(text);
}

static void test_json(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_json(&b, "a\"b\\c\n\t\x01\x7f ε \xff\xc3 \xed\xa0\x80 \xf0\x9f\x90\xa6");
    assert_string_equal(b.data, "\"a\\\"b\\\\c\\n\\t\\u0001\\u007f ε \\ufffd\\ufffd "
                                "\\ufffd\\ufffd\\ufffd \xf0\x9f\x90\xa6\"");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_take_of_nothing),
        cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
