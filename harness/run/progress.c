/* Progress on standard error; progress.h. Widths are counted in characters of UTF-8, each one wide. */
#include "run/progress.h"

#include "run/run.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_UNKNOWN 80
#define STEP_LEAST 8 /* fewer columns of a step say nothing */
#define ERASE_REST "\033[K"

/* ---- the text */

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += begins_character(*text);
    return n;
}

/* How many bytes of it are `columns` wide. */
static size_t bytes_of(const char *text, size_t columns)
{
    size_t i = 0;

    for (; text[i]; i++)
        if (begins_character(text[i]) && columns-- == 0)
            break;
    return i;
}

static void blank_controls(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            *text = ' ';
}

/* The step as far as `room` columns hold it, "" when that would be next to nothing. */
static void fit_step(const char *step, size_t room, char *out, size_t size)
{
    if (width_of(step) <= room)
        snprintf(out, size, "%s  ", step);
    else if (room < STEP_LEAST)
        snprintf(out, size, "%s", "");
    else
        snprintf(out, size, "%.*s…  ", (int)bytes_of(step, room - 1), step);
}

void status_text(const struct status *s, size_t columns, char *out, size_t size)
{
    char elapsed[40], numbers[200], step[1000];
    size_t taken;

    snprintf(elapsed, sizeof(elapsed), "  %6.2fs  ", (double)s->elapsed_ns / 1e9);
    snprintf(numbers, sizeof(numbers), "%lld ops/s, %lld acked, %lld in flight, %zu window%s open",
             (long long)s->per_s, (long long)s->acked, (long long)s->in_flight, s->windows,
             s->windows == 1 ? "" : "s");
    taken = strlen(elapsed) + strlen("  ") + strlen(numbers);
    if (columns == 0)
        columns = SIZE_MAX;
    fit_step(s->step, columns > taken ? columns - taken : 0, step, sizeof(step));
    snprintf(out, size, "%s%s%s", elapsed, step, numbers);
    out[bytes_of(out, columns)] = '\0';
    blank_controls(out);
}

int64_t rate_of(struct rate *rate, int64_t count, int64_t now_ns)
{
    int64_t passed_ns = now_ns - rate->at_ns;

    if (rate->at_ns == 0) {
        *rate = (struct rate){now_ns, count, 0};
    } else if (passed_ns >= SECOND_NS) {
        rate->per_s = (int64_t)((double)(count - rate->count) * 1e9 / (double)passed_ns + 0.5);
        rate->at_ns = now_ns;
        rate->count = count;
    }
    return rate->per_s;
}

/* ---- where it is written */

void console_init(struct console *c, FILE *out)
{
    const char *term = getenv("TERM");

    *c = (struct console){.out = out, .said_ns = clock_now_ns()};
    c->terminal = out && isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
    pthread_mutex_init(&c->lock, NULL);
}

void console_release(struct console *c)
{
    console_clear(c);
    pthread_mutex_destroy(&c->lock);
}

/* Asked each time: windows change their size. */
static size_t columns_of(const struct console *c)
{
    struct winsize size;

    if (c->columns > 0)
        return c->columns;
    return ioctl(fileno(c->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                            : COLUMNS_UNKNOWN;
}

/* Under the lock. */
static void clear(struct console *c)
{
    if (c->drawn)
        fputs("\r" ERASE_REST, c->out);
    c->drawn = false;
}

void console_clear(struct console *c)
{
    if (!c->out)
        return;
    pthread_mutex_lock(&c->lock);
    clear(c);
    fflush(c->out);
    pthread_mutex_unlock(&c->lock);
}

void console_clear_left(FILE *out)
{
    struct console left;

    console_init(&left, out);
    left.drawn = left.terminal;
    console_release(&left);
}

void console_line(struct console *c, const char *text)
{
    if (!c->out)
        return;
    pthread_mutex_lock(&c->lock);
    clear(c);
    fprintf(c->out, "%s\n", text);
    fflush(c->out);
    c->said_ns = clock_now_ns();
    pthread_mutex_unlock(&c->lock);
}

bool console_due(struct console *c, int64_t now_ns)
{
    bool due;

    if (!c->out)
        return false;
    pthread_mutex_lock(&c->lock);
    due = now_ns - c->shown_ns >= STATUS_EVERY_NS;
    if (due)
        c->shown_ns = now_ns;
    pthread_mutex_unlock(&c->lock);
    return due;
}

/* The last column stays free: a character there makes some terminals begin another line. */
static void draw(struct console *c, const struct status *s)
{
    char text[1300];

    status_text(s, columns_of(c) - 1, text, sizeof(text));
    fprintf(c->out, "\r%s" ERASE_REST, text);
    fflush(c->out);
    c->drawn = true;
}

static void say(struct console *c, const struct status *s, int64_t now_ns)
{
    char text[1300];

    if (now_ns - c->said_ns < STATUS_PLAIN_AFTER_NS)
        return;
    status_text(s, 0, text, sizeof(text));
    fprintf(c->out, "%s\n", text);
    fflush(c->out);
    c->said_ns = now_ns;
}

void console_status(struct console *c, const struct status *s, int64_t now_ns)
{
    if (!c->out)
        return;
    pthread_mutex_lock(&c->lock);
    if (c->terminal)
        draw(c, s);
    else
        say(c, s, now_ns);
    pthread_mutex_unlock(&c->lock);
}

/* ---- of a run */

void progress(struct run *run, const char *format, ...)
{
    char text[1000], line[1040];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(line, sizeof(line), "  %6.2fs  %s", (double)(clock_now_ns() - run->began_ns) / 1e9,
             text);
    console_line(&run->console, line);
}

void progress_tick(struct run *run)
{
    const char *doing = run->doing;
    int64_t now_ns = clock_now_ns(), answered = 0;
    struct status s = {.elapsed_ns = now_ns - run->began_ns,
                       .step = doing ? doing : "starting clients"};

    if (!console_due(&run->console, now_ns))
        return;
    for (unsigned b = 0; b < BURSTS_MAX; b++) {
        struct burst_count count = fleet_count(run, b);

        answered += count.ok + count.fail;
        s.acked += count.ok;
    }
    s.in_flight = fleet_outstanding(run);
    s.per_s = rate_of(&run->console.rate, answered, now_ns);
    s.windows = windows_unhealed(run);
    console_status(&run->console, &s, now_ns);
}
