/*
 * Publishing ids: the same for a message whenever it is sent, rising over restarts, and the rule of
 * their order, held against a stream that does what osiris_writer.erl does.
 */
#include "systems/rabbitmq/stream_ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void ids_rise_over_numbers_and_restarts(void **state)
{
    const struct msg_id first = {.seq = 0}, second = {.seq = 1},
                        last = {.seq = MESSAGE_SEQ_MAX - 1}, restarted = {.incarnation = 1};

    (void)state;
    assert_true(stream_id_of(&first) > 0); /* 0: nothing was sent yet */
    assert_true(stream_id_of(&second) > stream_id_of(&first));
    assert_true(stream_id_of(&last) < stream_id_of(&restarted));
}

static void answers_may_come_in_any_order(void **state)
{
    struct stream_ids ids;
    uint32_t slot = 99;
    struct err err;

    (void)state;
    assert_int_equal(stream_ids_init(&ids, 4, &err), 0);
    assert_false(stream_ids_pop(&ids, &slot));
    assert_int_equal(stream_ids_oldest_ns(&ids), INT64_MAX);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(stream_ids_add(&ids, 10 * i + 1, i, 100 + i), IDS_ADDED);
    assert_int_equal(stream_ids_add(&ids, 100, 4, 0), IDS_FULL);
    assert_true(stream_ids_take(&ids, 11, &slot) && slot == 1);
    assert_false(stream_ids_take(&ids, 11, &slot));              /* once */
    assert_false(stream_ids_take(&ids, 12, &slot));              /* never sent */
    assert_int_equal(stream_ids_add(&ids, 100, 4, 0), IDS_FULL); /* 1 stands before it */
    assert_true(stream_ids_take(&ids, 1, &slot) && slot == 0);
    assert_int_equal(stream_ids_oldest_ns(&ids), 102);
    assert_int_equal(stream_ids_add(&ids, 100, 5, 0), IDS_ADDED);
    assert_true(stream_ids_pop(&ids, &slot) && slot == 2); /* oldest first */
    assert_true(stream_ids_pop(&ids, &slot) && slot == 3);
    assert_true(stream_ids_pop(&ids, &slot) && slot == 5);
    assert_false(stream_ids_pop(&ids, &slot));
    stream_ids_release(&ids);
}

static void on_a_connection_ids_only_rise(void **state)
{
    struct stream_ids ids;
    uint32_t slot;
    struct err err;

    (void)state;
    assert_int_equal(stream_ids_init(&ids, 8, &err), 0);
    assert_int_equal(stream_ids_add(&ids, 51, 0, 0), IDS_ADDED);
    assert_int_equal(stream_ids_add(&ids, 50, 1, 0), IDS_LATE);
    assert_int_equal(stream_ids_add(&ids, 51, 1, 0), IDS_LATE);
    assert_true(stream_ids_pop(&ids, &slot));
    assert_int_equal(stream_ids_add(&ids, 50, 1, 0), IDS_LATE); /* also when 51 is answered */
    stream_ids_restart(&ids);
    assert_int_equal(stream_ids_add(&ids, 50, 1, 0), IDS_ADDED); /* sent again on the next one */
    stream_ids_release(&ids);
}

/* ---- a stream that knows the highest id it has */

#define MESSAGES 100u

struct stream {
    uint64_t highest;
    unsigned copies[MESSAGES + 1];
};

static void store(struct stream *stream, uint64_t id)
{
    if (id <= stream->highest)
        return; /* confirmed, and not stored */
    stream->highest = id;
    stream->copies[id]++;
}

/* Whatever part of what was in flight had been stored when the connection broke: sent again in
 * order nothing is lost or twice; with a newer one first, what was not stored is lost. */
static void only_in_order_is_nothing_lost(void **state)
{
    (void)state;
    for (unsigned stored = 0; stored <= MESSAGES; stored++) {
        struct stream good = {0}, bad;
        struct stream_ids ids;
        struct err err;
        uint32_t slot, last = 0;

        assert_int_equal(stream_ids_init(&ids, MESSAGES, &err), 0);
        for (uint32_t id = 1; id < MESSAGES; id++)
            assert_int_equal(stream_ids_add(&ids, id, id, 0), IDS_ADDED);
        for (uint64_t id = 1; id < MESSAGES && id <= stored; id++)
            store(&good, id);
        bad = good;
        store(&bad, MESSAGES);
        while (stream_ids_pop(&ids, &slot)) {
            assert_true(slot > last);
            last = slot;
            store(&good, slot);
            store(&bad, slot);
        }
        store(&good, MESSAGES);
        for (unsigned id = 1; id <= MESSAGES; id++) {
            assert_int_equal(good.copies[id], 1);
            assert_int_equal(bad.copies[id], id <= stored || id == MESSAGES);
        }
        stream_ids_release(&ids);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_rise_over_numbers_and_restarts),
        cmocka_unit_test(answers_may_come_in_any_order),
        cmocka_unit_test(on_a_connection_ids_only_rise),
        cmocka_unit_test(only_in_order_is_nothing_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
