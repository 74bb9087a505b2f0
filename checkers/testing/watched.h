/*
 * What a check keeps in memory, looked at while events go by: an observer of check.h.
 *
 *     struct watched watched = watched_begin();
 *     struct check_observer observer = {&watched, UINT64_MAX, watched_look};
 *     …
 *     watched.most - watched.before
 *
 * Nothing under a sanitizer: its malloc does not tell.
 */
#ifndef ASSAY_CHECKERS_TESTING_WATCHED_H
#define ASSAY_CHECKERS_TESTING_WATCHED_H

#include "api/event.h"

#include <malloc.h>
#include <stddef.h>

struct watched {
    size_t before, most;
    unsigned calls;
};

static inline size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static inline struct watched watched_begin(void)
{
    size_t now = bytes_in_use();

    return (struct watched){now, now, 0};
}

static inline void watched_look(void *self, const struct event *events, size_t n)
{
    struct watched *w = self;
    size_t now;

    (void)events;
    (void)n;
    if (w->calls++ % 256) /* malloc goes through all it has to tell */
        return;
    now = bytes_in_use();
    w->most = now > w->most ? now : w->most;
}

#endif
