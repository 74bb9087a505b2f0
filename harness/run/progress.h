/*
 * What a person sees while a case runs. Lines that stay: what the script does. On a terminal below
 * them one line that is written anew a few times a second, with the step and the numbers from the
 * clients' boards; elsewhere that line is a plain one, and only said when nothing else was for 5 s.
 *
 *     struct console c;
 *     console_init(&c, stderr);                  // NULL: says nothing at all
 *     console_line(&c, "ready");                 // any thread
 *     console_status(&c, &status, now_ns);       // the supervisor
 *     console_clear(&c);                         // before somebody else writes there
 *
 *       12.34s  wait: {until: primary not in [$old, none], within: 30s}
 *       12.59s  wait: {until: p…  1204 ops/s, 3500 acked, 12 in flight, 1 window open
 */
#ifndef ASSAY_RUN_PROGRESS_H
#define ASSAY_RUN_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define STATUS_EVERY_NS INT64_C(250000000)        /* on a terminal */
#define STATUS_PLAIN_AFTER_NS INT64_C(5000000000) /* elsewhere: after the last line */

struct status {
    int64_t elapsed_ns; /* of the case */
    const char *step;   /* what the script is at */
    int64_t per_s;      /* operations answered */
    int64_t acked;      /* of all so far */
    int64_t in_flight;  /* sends without a completion */
    size_t windows;     /* faults that are not over */
};

/* One line without its end, at most `columns` wide: the step is cut first, then the rest. 0: as long
 * as it is. Control characters become blanks. */
void status_text(const struct status *s, size_t columns, char *out, size_t size);

struct rate { /* of a number that rises, over the last second or more; zeroed: none yet */
    int64_t at_ns, count, per_s;
};
int64_t rate_of(struct rate *rate, int64_t count, int64_t now_ns);

struct console {
    FILE *out; /* borrowed */
    pthread_mutex_t lock;
    bool terminal;
    size_t columns;   /* of the terminal; 0: asked for each time */
    bool drawn;       /* the status stands on the last line */
    int64_t said_ns;  /* the last line */
    int64_t shown_ns; /* the last status */
    struct rate rate;
};

void console_init(struct console *c, FILE *out);
/* The status, where there is one, makes way and comes again with the next. */
void console_line(struct console *c, const char *text);
/* Is it time for another status? */
bool console_due(struct console *c, int64_t now_ns);
void console_status(struct console *c, const struct status *s, int64_t now_ns);
void console_clear(struct console *c);
void console_release(struct console *c);
/* Takes away the status line that a process which was killed left standing on this terminal. */
void console_clear_left(FILE *out);

struct run;
/* Supervisor: the status of the run as it is now, when one is due. */
void progress_tick(struct run *run);

#endif
