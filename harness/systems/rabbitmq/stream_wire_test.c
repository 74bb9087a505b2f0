/*
 * Bytes of the stream protocol: what we send is what the protocol's page draws, and nothing a peer
 * says, cut anywhere or lying about sizes, is read beyond its end.
 */
#include "systems/rabbitmq/stream_wire.h"

#include "base/draw.h"
#include "systems/rabbitmq/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- out */

static void a_request_is_as_drawn(void **state)
{
    static const uint8_t expected[] = {0, 0, 0, 20,  0,   1,   0,   1, 0, 0,   0,   7,
                                       5, 0, 4, 's', 'h', 'o', 'p', 0, 3, 'o', 'n', 'e'};
    struct stream_request r;

    (void)state;
    stream_begin(&r, STREAM_DECLARE_PUBLISHER, 7);
    stream_put(&r, 5, 1);
    stream_put_text(&r, "shop");
    stream_put_text(&r, "one");
    assert_int_equal(stream_end(&r), sizeof(expected));
    assert_memory_equal(r.bytes, expected, sizeof(expected));
    stream_begin(&r, STREAM_HEARTBEAT, 0);
    assert_int_equal(stream_end(&r), STREAM_HEAD);
}

static void a_request_that_does_not_fit_is_none(void **state)
{
    char name[STREAM_REQUEST_BYTES];
    struct stream_request r;

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    stream_begin(&r, STREAM_OPEN, 1);
    stream_put_text(&r, name);
    stream_put(&r, 1, 1); /* behind the gap: no */
    assert_int_equal(stream_end(&r), 0);
}

static void a_message_is_an_amqp_data_section(void **state)
{
    static const uint8_t expected[] = {0,  0, 0,    32,   0,    2, 0, 1, 3, 0,   0,   0,
                                       1,  0, 1,    0,    0,    0, 0, 0, 9, 0,   0,   0,
                                       11, 0, 0x53, 0x75, 0xb0, 0, 0, 0, 3, 'a', 'b', 'c'};
    uint8_t bytes[sizeof(expected)];

    (void)state;
    assert_int_equal(stream_publish_size(3), sizeof(expected));
    stream_publish_write(bytes, 3, (UINT64_C(1) << 48) + 9, "abc", 3);
    assert_memory_equal(bytes, expected, sizeof(expected));
}

/* ---- in */

/* Two ids confirmed, as the server writes it. */
static const uint8_t confirm[] = {0, 0, 0, 25, 0, 3, 0, 1, 0, 0, 0, 0, 2, 0, 0,
                                  0, 0, 0, 0,  0, 1, 0, 0, 0, 0, 0, 0, 0, 2};

static void a_frame_is_whole_or_not_there(void **state)
{
    struct stream_frame frame;

    (void)state;
    for (size_t n = 0; n < sizeof(confirm); n++) { /* a copy of its own: sanitizers watch its end */
        uint8_t *part = malloc(n + 1);

        memcpy(part, confirm, n);
        assert_int_equal(stream_frame_read(part, n, &frame), STREAM_PART);
        free(part);
    }
    assert_int_equal(stream_frame_read(confirm, sizeof(confirm), &frame), STREAM_WHOLE);
    assert_int_equal(frame.size, sizeof(confirm));
    assert_int_equal(frame.key, STREAM_PUBLISH_CONFIRM);
    assert_false(frame.response);
    assert_int_equal(stream_take(&frame, 1), 0);
    assert_int_equal(stream_take_count(&frame, 8), 2);
    assert_int_equal(stream_take(&frame, 8), 1);
    assert_int_equal(stream_take(&frame, 8), 2);
    assert_false(frame.torn);
    assert_int_equal(stream_take(&frame, 1), 0); /* nothing is left */
    assert_true(frame.torn);
}

static void responses_are_known_by_their_bit(void **state)
{
    static const uint8_t opened[] = {0, 0, 0, 10, 0x80, 21, 0, 1, 0, 0, 0, 4, 0, 1};
    struct stream_frame frame;

    (void)state;
    assert_int_equal(stream_frame_read(opened, sizeof(opened), &frame), STREAM_WHOLE);
    assert_true(frame.response);
    assert_int_equal(frame.key, STREAM_OPEN);
    assert_int_equal(stream_take(&frame, 4), 4);
    assert_int_equal(stream_take(&frame, 2), STREAM_OK);
}

static void nonsense_is_told_from_a_part(void **state)
{
    static const uint8_t short_one[] = {0, 0, 0, 3}, long_one[] = {0, 0x10, 0, 1},
                         huge[] = {0xff, 0xff, 0xff, 0xff}, version[] = {0, 0, 0, 4, 0, 23, 0, 9};
    struct stream_frame frame;

    (void)state;
    assert_int_equal(stream_frame_read(short_one, sizeof(short_one), &frame), STREAM_NONSENSE);
    assert_int_equal(stream_frame_read(long_one, sizeof(long_one), &frame), STREAM_NONSENSE);
    assert_int_equal(stream_frame_read(huge, sizeof(huge), &frame), STREAM_NONSENSE);
    assert_int_equal(stream_frame_read(version, sizeof(version), &frame), STREAM_NONSENSE);
    assert_int_equal(stream_frame_read((const uint8_t *)"HTTP/1.1", 8, &frame), STREAM_NONSENSE);
}

static void counts_and_lengths_are_not_trusted(void **state)
{
    static const uint32_t counts[] = {0, 1, 3, 0x20000002, UINT32_MAX};
    uint8_t bytes[sizeof(confirm)];
    struct stream_frame frame;

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        memcpy(bytes, confirm, sizeof(bytes));
        wire_store(bytes + 9, counts[i], 4);
        assert_int_equal(stream_frame_read(bytes, sizeof(bytes), &frame), STREAM_WHOLE);
        stream_take(&frame, 1);
        assert_int_equal(stream_take_count(&frame, 8), 0);
        assert_true(frame.torn);
    }
    memcpy(bytes, confirm, sizeof(bytes));
    wire_store(bytes + 8, 0xffff, 2); /* a text that would end far away */
    assert_int_equal(stream_frame_read(bytes, sizeof(bytes), &frame), STREAM_WHOLE);
    assert_false(stream_take_is(&frame, "orders"));
    assert_true(frame.torn);
}

/* Bytes of a frame turned over by the seed, taken in every way: nothing behind it is read. */
static void whatever_comes_is_read_within_its_bounds(void **state)
{
    struct draw draw = draw_stream(1, "stream_wire_test");
    unsigned whole = 0;

    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        uint8_t *bytes = malloc(sizeof(confirm)); /* of its own: sanitizers watch its end */
        struct stream_frame frame;

        memcpy(bytes, confirm, sizeof(confirm));
        for (uint64_t k = 0; k < 3; k++)
            bytes[draw_below(&draw, 8 * i + k, sizeof(confirm))] =
                (uint8_t)draw_u64(&draw, 8 * i + 4 + k);
        if (stream_frame_read(bytes, sizeof(confirm), &frame) == STREAM_WHOLE) {
            whole++;
            assert_true(frame.size <= sizeof(confirm));
            stream_take(&frame, 1);
            stream_take_is(&frame, "orders");
            for (size_t n = stream_take_count(&frame, 8); n > 0; n--)
                stream_take(&frame, 8);
            stream_take(&frame, 8);
            assert_true(frame.at <= frame.end && frame.end == bytes + frame.size);
        }
        free(bytes);
    }
    assert_in_range(whole, 1000, 19000); /* both ways were gone */
}

static void codes_have_names(void **state)
{
    (void)state;
    assert_string_equal(stream_code_name(STREAM_NOT_AVAILABLE), "STREAM_NOT_AVAILABLE");
    assert_string_equal(stream_code_name(STREAM_PUBLISHER_DOES_NOT_EXIST),
                        "PUBLISHER_DOES_NOT_EXIST");
    assert_string_equal(stream_code_name(0xffff), "an unknown code");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_as_drawn),
        cmocka_unit_test(a_request_that_does_not_fit_is_none),
        cmocka_unit_test(a_message_is_an_amqp_data_section),
        cmocka_unit_test(a_frame_is_whole_or_not_there),
        cmocka_unit_test(responses_are_known_by_their_bit),
        cmocka_unit_test(nonsense_is_told_from_a_part),
        cmocka_unit_test(counts_and_lengths_are_not_trusted),
        cmocka_unit_test(whatever_comes_is_read_within_its_bounds),
        cmocka_unit_test(codes_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
