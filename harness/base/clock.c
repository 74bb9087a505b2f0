/* The monotonic clock and deadlines on it. See clock.h. */
#include "base/clock.h"

#include <time.h>

#define CANCEL_LOOK_NS (20 * MS_NS)

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

int64_t clock_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_utc_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

struct deadline deadline_in(int64_t ns, const struct cancel *cancel)
{
    return (struct deadline){.at_ns = clock_now_ns() + ns, .cancel = cancel};
}

struct deadline deadline_within(struct deadline outer, int64_t ns)
{
    int64_t at_ns = clock_now_ns() + ns;

    if (at_ns < outer.at_ns)
        outer.at_ns = at_ns;
    return outer;
}

static bool cancelled(const struct deadline *deadline)
{
    return deadline->cancel && atomic_load_explicit(&deadline->cancel->asked, memory_order_relaxed);
}

bool deadline_passed(const struct deadline *deadline)
{
    return cancelled(deadline) || clock_now_ns() >= deadline->at_ns;
}

int deadline_left_ms(const struct deadline *deadline)
{
    int64_t left = deadline->at_ns - clock_now_ns();

    if (left <= 0 || cancelled(deadline))
        return 0;
    left = (left + MS_NS - 1) / MS_NS;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

int deadline_sleep(const struct deadline *deadline, int64_t ns)
{
    int64_t until = clock_now_ns() + ns;

    if (until > deadline->at_ns)
        until = deadline->at_ns;
    for (int64_t now = clock_now_ns(); now < until; now = clock_now_ns()) {
        int64_t slice = until - now < CANCEL_LOOK_NS ? until - now : CANCEL_LOOK_NS;
        struct timespec ts = {.tv_sec = slice / SECOND_NS, .tv_nsec = slice % SECOND_NS};

        if (cancelled(deadline))
            return -1;
        nanosleep(&ts, NULL);
    }
    return deadline_passed(deadline) ? -1 : 0;
}
