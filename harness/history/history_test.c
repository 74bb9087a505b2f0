/* Histories in good times: what is recorded is what is read, sealed or not, by writer or by time.
 */
#include "base/clock.h"
#include "history/codec.h"
#include "history/testing/folder.h"
#include "history/writer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SEED 7

static struct err err;

static struct history_writer *open_writer(const char *folder, const char *name, uint16_t by)
{
    struct history_writer *w = history_writer_open(folder, name, by, &err);

    if (!w)
        fail_msg("%s", err.text);
    return w;
}

static void check(int result)
{
    if (result < 0)
        fail_msg("%s", err.text);
}

/* ---- round trips */

static void record_drawn(const char *folder, const char *name, uint16_t by, uint64_t n)
{
    struct draw draw = draw_stream(SEED, name);
    struct history_writer *w = open_writer(folder, name, by);

    for (uint64_t i = 0; i < n; i++) {
        struct event e =
            event_draw(&draw, i, 0, (int64_t)(1000 + i * 100 + draw_below(&draw, i, 300)));

        history_record(w, &e);
    }
    assert_false(history_full(w));
    history_writer_close(w);
}

static void assert_drawn(const struct event *events, size_t n, const char *name, uint16_t by)
{
    struct draw draw = draw_stream(SEED, name);

    for (uint64_t i = 0; i < n; i++) {
        struct event e =
            event_draw(&draw, i, by, (int64_t)(1000 + i * 100 + draw_below(&draw, i, 300)));

        assert_memory_equal(&events[i], &e, sizeof(e));
    }
}

static void test_raw_round_trip(void **state)
{
    const char *folder = folder_make();
    struct history_info info;
    struct event *events;
    size_t n;

    (void)state;
    record_drawn(folder, "app-0.0.0", 3, 100000);
    n = read_all(folder, PER_WRITER, UINT64_MAX, &events, &info);
    assert_int_equal(n, 100000);
    assert_drawn(events, n, "app-0.0.0", 3);
    assert_false(info.complete);
    assert_int_equal(info.events, 100000);
    assert_string_equal(info.damage, "");
    free(events);
    folder_remove(folder);
}

static void test_sealed_round_trip(void **state)
{
    const char *folder = folder_make();
    struct sealer *s = sealer_open(folder, &err);
    struct history_info info;
    struct event *events;
    struct stat st;
    char raw[4200];
    size_t n;

    (void)state;
    assert_non_null(s);
    record_drawn(folder, "app-0.0.0", 3, 50000);
    check(sealer_step(s, &err));
    record_drawn(folder, "app-0.1.0", 3, 10);
    record_drawn(folder, "audit", BY_AUDIT, 9000);
    check(sealer_finish(s, &err));
    sealer_close(s);
    n = read_all(folder, PER_WRITER, UINT64_MAX, &events, &info);
    assert_int_equal(n, 59010);
    assert_drawn(events, 50000, "app-0.0.0", 3);
    assert_drawn(events + 50000, 10, "app-0.1.0", 3);
    assert_drawn(events + 50010, 9000, "audit", BY_AUDIT);
    assert_true(info.complete);
    assert_true(info.utc_anchor_ns > 0 && info.monotonic_anchor_ns > 0);
    assert_int_equal(info.events, 59010);
    assert_string_equal(info.damage, "");
    snprintf(raw, sizeof(raw), "%s/raw", folder);
    assert_int_equal(stat(raw, &st), -1);
    free(events);
    folder_remove(folder);
}

/* Reading only some types gives exactly those: prediction never leans on what was skipped. */
static void test_wants(void **state)
{
    const char *folder = folder_make();
    struct sealer *s = sealer_open(folder, &err);
    struct event *all, *some;
    size_t n_all, n_some, at = 0;
    uint64_t wants = WANTS(DELIVER) | WANTS(SEND_COMPLETE) | WANTS(FAULT);

    (void)state;
    record_drawn(folder, "a", 1, 30000);
    check(sealer_step(s, &err));
    n_all = read_all(folder, PER_WRITER, UINT64_MAX, &all, NULL);
    n_some = read_all(folder, PER_WRITER, wants, &some, NULL);
    for (size_t i = 0; i < n_all; i++)
        if (wants >> all[i].type & 1) {
            assert_true(at < n_some);
            assert_memory_equal(&all[i], &some[at++], sizeof(all[i]));
        }
    assert_int_equal(at, n_some);
    sealer_close(s);
    free(all);
    free(some);
    folder_remove(folder);
}

/* ---- merge */

static void test_merge(void **state)
{
    const char *folder = folder_make();
    struct sealer *s = sealer_open(folder, &err);
    struct draw draw = draw_stream(SEED, "merge");
    struct history_writer *w[12];
    uint64_t next[12] = {0};
    struct event *events;
    size_t n;

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        char name[20];

        snprintf(name, sizeof(name), "w-%u", i);
        w[i] = open_writer(folder, name, (uint16_t)i);
    }
    /* writer i is active only in its part of the time, and one of them is never sealed */
    for (uint64_t i = 0; i < 120000; i++) {
        unsigned who = (unsigned)(i / 20000 * 2 + draw_below(&draw, i, 2));
        struct event e = {.type = EV_NOTE, .at_ns = (int64_t)(i * 10), .value = (int64_t)i};

        history_record(w[who], &e);
        if (i % 30000 == 0)
            check(sealer_step(s, &err));
    }
    for (unsigned i = 0; i < 12; i++)
        history_writer_close(w[i]);
    for (int round = 0; round < 2; round++) {
        n = read_all(folder, BY_TIME, UINT64_MAX, &events, NULL);
        assert_int_equal(n, 120000);
        memset(next, 0, sizeof(next));
        for (size_t i = 0; i < n; i++)
            assert_int_equal(events[i].value, i);
        free(events);
        if (round == 0)
            check(sealer_finish(s, &err));
    }
    sealer_close(s);
    folder_remove(folder);
}

/* A stamp recorded after the fact does not overtake what its writer recorded before. */
static void test_merge_keeps_writers_order(void **state)
{
    const char *folder = folder_make();
    struct history_writer *a = open_writer(folder, "a", 0), *b = open_writer(folder, "b", 1);
    const int64_t times[] = {100, 300, 200, 400};
    struct event *events;
    size_t n;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        history_record(a, &(struct event){.type = EV_NOTE, .at_ns = times[i], .value = i});
    history_record(b, &(struct event){.type = EV_NOTE, .at_ns = 250, .value = 10});
    history_record(b, &(struct event){.type = EV_NOTE, .at_ns = 300, .value = 11});
    history_writer_close(a);
    history_writer_close(b);
    n = read_all(folder, BY_TIME, UINT64_MAX, &events, NULL);
    assert_int_equal(n, 6);
    assert_int_equal(events[0].value, 0);
    assert_int_equal(events[1].value, 10); /* 250 */
    assert_int_equal(events[2].value, 1);  /* 300 of a before 300 of b: lower number */
    assert_int_equal(events[3].value, 2);  /* 200, but recorded after 300 */
    assert_int_equal(events[4].value, 11);
    assert_int_equal(events[5].value, 3);
    free(events);
    folder_remove(folder);
}

/* ---- texts and documents */

static void *add_texts(void *argument)
{
    struct history_writer *w = argument;
    char text[64];

    for (unsigned i = 0; i < 500; i++) {
        snprintf(text, sizeof(text), "text %u of %p", i, argument);
        history_record(w,
                       &(struct event){.type = EV_NOTE, .at_ns = i, .ref = history_text(w, text)});
    }
    return NULL;
}

static void assert_texts(const char *folder)
{
    struct history_reader *r = history_open(folder, PER_WRITER, UINT64_MAX, &err);
    struct event events[100];
    unsigned seen = 0;
    long n;

    while ((n = history_next(r, events, 100, &err)) > 0)
        for (long i = 0; i < n; i++, seen++) {
            char want[64];

            snprintf(want, sizeof(want), "text %u of ", seen % 500);
            assert_int_equal(
                strncmp(history_text_of(r, events[i].by, events[i].ref), want, strlen(want)), 0);
            assert_int_equal(
                strncmp(history_text_of(r, events[i].by, events[i].ref), want, strlen(want)), 0);
        }
    assert_int_equal(seen, 1000);
    assert_string_equal(history_text_of(r, 0, 0), "");
    assert_string_equal(history_text_of(r, 0, 5), "");
    assert_string_equal(history_text_of(r, 0, 1u << 30), "");
    history_close(r);
}

static void test_texts(void **state)
{
    const char *folder = folder_make();
    struct sealer *s = sealer_open(folder, &err);
    struct history_writer *w[2] = {open_writer(folder, "a", 0), open_writer(folder, "b", 0)};
    pthread_t threads[2];
    uint32_t ref;

    (void)state;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, add_texts, w[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ref = history_text(w[0], "again");
    assert_int_equal(history_text(w[0], "again"), ref);
    history_writer_close(w[0]);
    history_writer_close(w[1]);
    assert_texts(folder);
    check(sealer_finish(s, &err));
    sealer_close(s);
    assert_texts(folder);
    folder_remove(folder);
}

static void test_long_text_is_cut(void **state)
{
    const char *folder = folder_make();
    struct history_writer *w = open_writer(folder, "a", 0);
    struct history_reader *r;
    char *text = malloc(20001);
    uint32_t ref;

    (void)state;
    memset(text, 'x', 20000);
    text[20000] = '\0';
    ref = history_text(w, text);
    history_writer_close(w);
    r = history_open(folder, PER_WRITER, UINT64_MAX, &err);
    assert_int_equal(strlen(history_text_of(r, 0, ref)), TEXT_MAX);
    history_close(r);
    free(text);
    folder_remove(folder);
}

static void test_documents(void **state)
{
    const char *folder = folder_make();
    struct sealer *s = sealer_open(folder, &err);
    struct history_reader *r;
    const char *const *names;
    size_t n = 0;

    (void)state;
    check(sealer_document(s, "plan", "seed: 1\n", 8, &err));
    check(sealer_document(s, "empty", "", 0, &err));
    check(sealer_document(s, "plan", "seed: 2\n", 8, &err));
    sealer_close(s); /* killed before its end: documents are there */
    r = history_open(folder, PER_WRITER, UINT64_MAX, &err);
    assert_int_equal(history_documents(r, &names), 2);
    assert_string_equal(names[0], "plan");
    assert_string_equal(history_document(r, "plan", &n), "seed: 2\n");
    assert_int_equal(n, 8);
    assert_string_equal(history_document(r, "empty", &n), "");
    assert_int_equal(n, 0);
    assert_null(history_document(r, "other", &n));
    history_close(r);
    folder_remove(folder);
}

/* ---- sealing while writing */

struct busy {
    struct history_writer *w;
    uint64_t n;
    _Atomic bool done;
};

static void *write_busily(void *argument)
{
    struct busy *busy = argument;

    for (uint64_t i = 0; i < busy->n; i++) {
        history_record(busy->w, &(struct event){
                                    .type = EV_NOTE, .at_ns = clock_now_ns(), .value = (int64_t)i});
        if (i % 20000 == 0)
            usleep(1000); /* so that the sealer catches up now and then, and room is used again */
    }
    atomic_store(&busy->done, true);
    return NULL;
}

static void test_sealing_while_writing(void **state)
{
    const char *folder = folder_make();
    struct sealer *s = sealer_open(folder, &err);
    struct busy busy[2] = {{.w = open_writer(folder, "a", 0), .n = 700000},
                           {.w = open_writer(folder, "b", 1), .n = 700000}};
    pthread_t threads[2];
    struct history_info info;
    struct event *events;
    size_t n;

    (void)state;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, write_busily, &busy[i]);
    while (!atomic_load(&busy[0].done) || !atomic_load(&busy[1].done)) {
        check(sealer_step(s, &err));
        usleep(500);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        history_writer_close(busy[i].w);
    }
    check(sealer_step(s, &err));
    n = read_all(folder, PER_WRITER, UINT64_MAX, &events, &info); /* blocks and the raw rest */
    assert_int_equal(n, 1400000);
    assert_string_equal(info.damage, "");
    for (size_t i = 0; i < n; i++)
        assert_int_equal(events[i].value, i % 700000);
    free(events);
    check(sealer_finish(s, &err));
    sealer_close(s);
    folder_remove(folder);
}

/* A log whose sealer keeps up uses the same room again and again. */
static void test_room_is_used_again(void **state)
{
    const char *folder = folder_make();
    struct sealer *s = sealer_open(folder, &err);
    struct history_writer *w = open_writer(folder, "a", 0);
    struct event *events;
    struct history_info info;
    char raw[4200];
    struct stat st;
    size_t n;

    (void)state;
    for (int64_t i = 0; i < 1000000; i++) {
        history_record(w, &(struct event){.type = EV_NOTE, .at_ns = i, .value = i});
        if (i % 10000 == 0)
            check(sealer_step(s, &err));
    }
    snprintf(raw, sizeof(raw), "%s/raw/a.log", folder);
    assert_int_equal(stat(raw, &st), 0);
    assert_true(st.st_size < 5 << 20); /* 64 MB were written */
    history_writer_close(w);
    n = read_all(folder, PER_WRITER, UINT64_MAX, &events, &info); /* blocks, and out of the ring */
    assert_int_equal(n, 1000000);
    assert_string_equal(info.damage, "");
    for (size_t i = 0; i < n; i++)
        assert_int_equal(events[i].value, i);
    free(events);
    check(sealer_finish(s, &err));
    sealer_close(s);
    folder_remove(folder);
}

/* ---- size */

/* A consumer-producer pair with keys, partitions and realistic times: ≤ 24 bytes an operation are
 * promised (DESIGN: History), ≤ 10 are wanted. */
static void test_bytes_per_operation(void **state)
{
    const char *folder = folder_make();
    struct sealer *s = sealer_open(folder, &err);
    struct history_writer *w = open_writer(folder, "app", 0);
    struct draw draw = draw_stream(SEED, "size");
    int64_t at_ns = clock_now_ns(), positions[6] = {0};
    const uint64_t n = 200000;
    struct stat st;
    char path[4200];
    double each;

    (void)state;
    for (uint64_t i = 0; i < n; i++) {
        struct event e = {.type = EV_SEND_INVOKE, .seq = i, .unit = NO_UNIT, .ref = 1};
        unsigned unit = (unsigned)draw_below(&draw, 3 * i, 6);

        e.key = (uint32_t)draw_below(&draw, 3 * i + 1, 64);
        e.at_ns = at_ns += draw_range(&draw, 3 * i + 2, 200, 90000);
        history_record(w, &e);
        e.type = EV_SEND_COMPLETE;
        e.at_ns = at_ns += 900;
        e.unit = unit;
        e.position = positions[unit]++;
        e.node = (uint16_t)(unit % 3);
        e.epoch = 5 + unit % 3;
        e.outcome_level = event_result(OUTCOME_OK, LEVEL_QUORUM);
        history_record(w, &e);
    }
    history_writer_close(w);
    check(sealer_finish(s, &err));
    sealer_close(s);
    snprintf(path, sizeof(path), "%s/history", folder);
    assert_int_equal(stat(path, &st), 0);
    each = (double)st.st_blocks * 512 / (double)n;
    print_message("%.2f bytes an operation, on disk\n", each);
    assert_true(each <= 12);
    folder_remove(folder);
}

/* ---- refusals */

static void test_a_log_is_never_written_over(void **state)
{
    const char *folder = folder_make();
    struct history_writer *w = open_writer(folder, "a", 0);

    (void)state;
    assert_null(history_writer_open(folder, "a", 0, &err));
    assert_non_null(strstr(err.text, "raw/a.log"));
    assert_non_null(strstr(err.text, "File exists"));
    history_writer_close(w);
    folder_remove(folder);
}

static void test_no_history(void **state)
{
    const char *folder = folder_make();

    (void)state;
    assert_null(history_open(folder, BY_TIME, UINT64_MAX, &err));
    assert_non_null(strstr(err.text, "holds none"));
    folder_remove(folder);
}

/* A history of format 1 as it was recorded then: must be read by every later program. */
static void test_format_1_sample(void **state)
{
    const char *folder = ASSAY_SOURCE_DIR "/harness/history/testdata/format-1";
    struct draw draw = draw_stream(1, "format-1");
    struct history_info info;
    struct history_reader *r;
    struct event *events;
    size_t n = read_all(folder, PER_WRITER, UINT64_MAX, &events, &info);

    (void)state;
    assert_int_equal(info.format, 1);
    assert_true(info.complete);
    assert_string_equal(info.damage, "");
    assert_int_equal(n, 2 * 300);
    for (size_t i = 0; i < 300; i++) {
        /* types and masks may grow later: only what the sample's own events.def had is compared */
        assert_int_equal(events[i].by, 0);
        assert_int_equal(events[i].seq, i);
        assert_int_equal(events[i].type, i % 2 ? EV_SEND_COMPLETE : EV_SEND_INVOKE);
        assert_int_equal(events[i].key, i % 2 ? 0 : draw_below(&draw, i, 1000));
        assert_int_equal(events[300 + i].by, BY_COORDINATOR);
        assert_int_equal(events[300 + i].type, EV_NOTE);
        assert_int_equal(events[300 + i].value, (int64_t)i - 100);
    }
    free(events);
    r = history_open(folder, BY_TIME, UINT64_MAX, &err);
    assert_string_equal(history_document(r, "plan", NULL), "format 1 sample\n");
    assert_int_equal(history_next(r, &(struct event){0}, 1, &err), 1);
    assert_string_equal(history_text_of(r, 0, 1), "a note");
    history_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw_round_trip),
        cmocka_unit_test(test_sealed_round_trip),
        cmocka_unit_test(test_wants),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_merge_keeps_writers_order),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_long_text_is_cut),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_sealing_while_writing),
        cmocka_unit_test(test_room_is_used_again),
        cmocka_unit_test(test_bytes_per_operation),
        cmocka_unit_test(test_a_log_is_never_written_over),
        cmocka_unit_test(test_no_history),
        cmocka_unit_test(test_format_1_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
