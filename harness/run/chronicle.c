/* The coordinator's own log: script lines, faults, deaths, notes. */
#include "run/run.h"

#include <stdarg.h>
#include <string.h>

void chronicle(struct run *run, struct event event)
{
    event.by = BY_COORDINATOR;
    pthread_mutex_lock(&run->chronicle_lock);
    if (event.at_ns == 0)
        event.at_ns = clock_now_ns();
    if (run->chronicle)
        history_record(run->chronicle, &event);
    pthread_mutex_unlock(&run->chronicle_lock);
}

uint32_t chronicle_text(struct run *run, const char *format, ...)
{
    char text[1000];
    uint32_t ref = NO_REF;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pthread_mutex_lock(&run->chronicle_lock);
    if (run->chronicle)
        ref = history_text(run->chronicle, text);
    pthread_mutex_unlock(&run->chronicle_lock);
    return ref;
}

void chronicle_resolved(struct run *run, const char *format, ...)
{
    char text[600];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    chronicle(run, (struct event){.type = EV_SCRIPT, .ref = chronicle_text(run, "→ %s", text)});
}

void run_break(struct run *run, const struct err *err)
{
    pthread_mutex_lock(&run->lock);
    if (!run->is_broken) {
        run->is_broken = true;
        run->broken = *err;
    }
    pthread_mutex_unlock(&run->lock);
    atomic_store(&run->cancel.asked, true);
    progress(run, "broken: %s", err->text);
}
