/*
 * The case's memory, shared by the script, what runs beside it (triggers, timed heals, background
 * steps) and the drain: an arena alone knows no threads.
 */
#include "run/run.h"

void *run_alloc(struct run *run, size_t size)
{
    void *memory;

    pthread_mutex_lock(&run->arena_lock);
    memory = arena_alloc(&run->arena, size);
    pthread_mutex_unlock(&run->arena_lock);
    return memory;
}

struct expr *run_parse(struct run *run, const char *text, const struct tree_mark *mark,
                       struct err *err)
{
    struct expr *e;

    pthread_mutex_lock(&run->arena_lock);
    e = expr_parse(text, &run->arena, mark, err);
    pthread_mutex_unlock(&run->arena_lock);
    return e;
}
