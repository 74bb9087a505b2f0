/* Payloads: what is written is read; any flipped bit, cut or foreign payload is told as such. */
#include "api/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RUN UINT64_C(0x1122334455667788)

static const struct msg message = {
    .id = {.seq = MESSAGE_SEQ_MAX - 5, .client = 3, .incarnation = 2, .worker = 1},
    .attempt = 1,
    .flags = MSG_MARKER,
    .key = 77,
    .key_seq = 99,
    .version = 12,
};

static void test_round_trip(void **state)
{
    unsigned char bytes[300];
    struct msg back;

    (void)state;
    for (size_t size = PAYLOAD_MIN; size < sizeof(bytes); size++) {
        payload_write(bytes, size, RUN, &message);
        memset(&back, 0, sizeof(back));
        assert_int_equal(payload_read(bytes, size, RUN, &back), PAYLOAD_OK);
        assert_int_equal(back.id.seq, message.id.seq);
        assert_int_equal(back.id.client, 3);
        assert_int_equal(back.id.incarnation, 2);
        assert_int_equal(back.id.worker, 1);
        assert_int_equal(back.attempt, 1);
        assert_int_equal(back.flags, MSG_MARKER);
        assert_int_equal(back.key, 77);
        assert_int_equal(back.key_seq, 99);
        assert_int_equal(back.version, 12);
    }
}

static void test_every_flipped_bit_is_seen(void **state)
{
    unsigned char bytes[103];
    struct msg back;

    (void)state;
    payload_write(bytes, sizeof(bytes), RUN, &message);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ 1u << bit % 8);
        assert_int_equal(payload_read(bytes, sizeof(bytes), RUN, &back), PAYLOAD_CORRUPT);
        bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ 1u << bit % 8);
    }
}

static void test_cut_and_lengthened(void **state)
{
    unsigned char bytes[210] = {0};
    struct msg back;

    (void)state;
    payload_write(bytes, 200, RUN, &message);
    for (size_t size = 16; size < 200; size++)
        assert_int_equal(payload_read(bytes, size, RUN, &back), PAYLOAD_CORRUPT);
    assert_int_equal(payload_read(bytes, 201, RUN, &back), PAYLOAD_CORRUPT);
}

static void test_foreign(void **state)
{
    unsigned char bytes[100];
    struct msg back;

    (void)state;
    payload_write(bytes, sizeof(bytes), RUN + 1, &message);
    assert_int_equal(payload_read(bytes, sizeof(bytes), RUN, &back), PAYLOAD_FOREIGN);
    assert_int_equal(payload_read("hello", 5, RUN, &back), PAYLOAD_FOREIGN);
    assert_int_equal(payload_read("", 0, RUN, &back), PAYLOAD_FOREIGN);
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(payload_read(bytes, sizeof(bytes), RUN, &back), PAYLOAD_FOREIGN);
}

/* The bytes themselves, as message.h draws them: other languages write them too. The checksum
 * is done here bit by bit. */
static void test_layout(void **state)
{
    unsigned char bytes[PAYLOAD_MIN];
    static const unsigned char head[] = {'A',  'S',  'Y',  '1',  0, 0, 0, 0, 0x88, 0x77, 0x66, 0x55,
                                         0x44, 0x33, 0x22, 0x11, 3, 0, 2, 0, 1,    0,    1,    1};
    uint32_t crc = UINT32_MAX, stored;

    (void)state;
    payload_write(bytes, sizeof(bytes), RUN, &message);
    assert_memory_equal(bytes, head, sizeof(head));
    for (size_t i = 0; i < 52; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    memcpy(&stored, bytes + 52, sizeof(stored));
    assert_int_equal(stored, ~crc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_flipped_bit_is_seen),
        cmocka_unit_test(test_cut_and_lengthened),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_layout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
