/* What a status line says and how wide it is, and that it never stands beside another line. */
#include "run/progress.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct status waiting = {.elapsed_ns = 12340 * MS_NS,
                                      .step = "wait: {until: primary not in [$old, none]}",
                                      .per_s = 1204,
                                      .acked = 3500,
                                      .in_flight = 12,
                                      .windows = 1};

static void says(const struct status *s, size_t columns, const char *expected)
{
    char text[300];

    status_text(s, columns, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void everything_is_said(void **state)
{
    struct status s = waiting;

    (void)state;
    says(&s, 0,
         "   12.34s  wait: {until: primary not in [$old, none]}  1204 ops/s, 3500 acked, 12 in "
         "flight, 1 window open");
    s.windows = 0;
    s.step = "ready";
    says(&s, 200, "   12.34s  ready  1204 ops/s, 3500 acked, 12 in flight, 0 windows open");
}

/* The step first, then all of it: the numbers are what changes. */
static void width_is_respected(void **state)
{
    struct status s = waiting;
    char text[300];

    (void)state;
    says(&s, 80,
         "   12.34s  wait: {until: p…  1204 ops/s, 3500 acked, 12 in flight, 1 window open");
    says(&s, 65, "   12.34s  1204 ops/s, 3500 acked, 12 in flight, 1 window open");
    says(&s, 20, "   12.34s  1204 ops/");
    for (size_t columns = 1; columns < 140; columns++) {
        size_t width = 0;

        status_text(&s, columns, text, sizeof(text));
        for (const char *c = text; *c; c++)
            width += ((unsigned char)*c & 0xc0) != 0x80;
        assert_true(width <= columns);
    }
}

static void characters_stay_whole(void **state)
{
    struct status s = waiting;

    (void)state;
    s.step = "note: éééééééééééééééééééé";
    says(&s, 80,
         "   12.34s  note: ééééééééé…  1204 ops/s, 3500 acked, 12 in flight, 1 window open");
    s.step = "note: a\nb\033c";
    says(&s, 0, "   12.34s  note: a b c  1204 ops/s, 3500 acked, 12 in flight, 1 window open");
}

static void a_rate_is_of_the_last_second(void **state)
{
    struct rate rate = {0};
    int64_t t = 100 * SECOND_NS;

    (void)state;
    assert_int_equal(rate_of(&rate, 1000, t), 0); /* there is nothing to compare with yet */
    assert_int_equal(rate_of(&rate, 1500, t + SECOND_NS / 2), 0);
    assert_int_equal(rate_of(&rate, 3000, t + SECOND_NS), 2000);
    assert_int_equal(rate_of(&rate, 9000, t + SECOND_NS + 1), 2000);
    assert_int_equal(rate_of(&rate, 3000, t + 3 * SECOND_NS), 0);
}

/* ---- where it is written */

struct screen {
    struct console console;
    char *text;
    size_t n;
};

static void open_screen(struct screen *s, bool terminal)
{
    console_init(&s->console, open_memstream(&s->text, &s->n));
    assert_false(s->console.terminal); /* memory is none */
    s->console.terminal = terminal;
    s->console.columns = 66;
}

static void shows(struct screen *s, const char *expected)
{
    fflush(s->console.out);
    assert_string_equal(s->text, expected);
    console_release(&s->console);
    fclose(s->console.out);
    free(s->text);
}

#define SHORT "   12.34s  1204 ops/s, 3500 acked, 12 in flight, 1 window open"

static void on_a_terminal_it_is_written_anew(void **state)
{
    struct screen s;

    (void)state;
    open_screen(&s, true);
    console_line(&s.console, "one");
    console_status(&s.console, &waiting, 1);
    console_status(&s.console, &waiting, 2);
    console_line(&s.console, "two"); /* it makes way */
    console_line(&s.console, "three");
    console_status(&s.console, &waiting, 3);
    console_clear(&s.console);
    console_clear(&s.console);
    shows(&s,
          "one\n\r" SHORT "\033[K\r" SHORT "\033[K\r\033[Ktwo\nthree\n\r" SHORT "\033[K\r\033[K");
}

static void elsewhere_it_is_rare_and_plain(void **state)
{
    struct screen s;
    int64_t now_ns;

    (void)state;
    open_screen(&s, false);
    console_line(&s.console, "one");
    now_ns = s.console.said_ns;
    console_status(&s.console, &waiting, now_ns + STATUS_PLAIN_AFTER_NS - 1);
    console_status(&s.console, &waiting, now_ns + STATUS_PLAIN_AFTER_NS);
    console_status(&s.console, &waiting, now_ns + 2 * STATUS_PLAIN_AFTER_NS - 1);
    console_clear(&s.console);
    shows(&s, "one\n   12.34s  wait: {until: primary not in [$old, none]}  1204 ops/s, 3500 acked, "
              "12 in flight, 1 window open\n");
}

static void quiet_says_nothing(void **state)
{
    struct console c;

    (void)state;
    console_init(&c, NULL);
    console_line(&c, "one");
    assert_false(console_due(&c, SECOND_NS));
    console_status(&c, &waiting, SECOND_NS);
    console_release(&c);
}

static void it_is_due_a_few_times_a_second(void **state)
{
    struct screen s;
    unsigned times = 0;

    (void)state;
    open_screen(&s, true);
    for (int64_t at_ns = SECOND_NS; at_ns < 2 * SECOND_NS; at_ns += 10 * MS_NS)
        times += console_due(&s.console, at_ns);
    assert_int_equal(times, 4);
    shows(&s, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_said),
        cmocka_unit_test(width_is_respected),
        cmocka_unit_test(characters_stay_whole),
        cmocka_unit_test(a_rate_is_of_the_last_second),
        cmocka_unit_test(on_a_terminal_it_is_written_anew),
        cmocka_unit_test(elsewhere_it_is_rare_and_plain),
        cmocka_unit_test(quiet_says_nothing),
        cmocka_unit_test(it_is_due_a_few_times_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
