/* RFC 1321, appendix A.5: the test suite the RFC prints. */
#include "systems/rabbitmq/md5.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, const char *expected)
{
    uint8_t digest[16];
    char hex[33];

    md5(text, strlen(text), digest);
    for (unsigned i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, expected);
}

static void rfc_1321_suite(void **state)
{
    (void)state;
    check("", "d41d8cd98f00b204e9800998ecf8427e");
    check("abc", "900150983cd24fb0d6963f7d28e17f72");
    check("message digest", "f96b697d7cb7938d525a2f31aaf161d0");
    check("12345678901234567890123456789012345678901234567890123456789012345678901234567890",
          "57edf4a22be3c955ac49da2e2107b67a");
}

static void padding_at_the_block_edge(void **state)
{
    (void)state;
    check("0123456789012345678901234567890123456789012345678901234", /* 55: length fits */
          "6e7a4fc92eb1c3f6e652425bcc8d44b5");
    check("01234567890123456789012345678901234567890123456789012345", /* 56: it does not */
          "8af270b2847610e742b0791b53648c09");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_1321_suite),
        cmocka_unit_test(padding_at_the_block_edge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
