/*
 * Memory that lives as long as one suite, one plan or one reply and is freed as a whole.
 *
 *     struct arena arena = {0};
 *     char *name = arena_printf(&arena, "%s/%u", topic, partition);
 *     arena_release(&arena);
 */
#ifndef ASSAY_BASE_ARENA_H
#define ASSAY_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks;
};

/* Zeroed, aligned for any type; never NULL (out of memory aborts). */
void *arena_alloc(struct arena *arena, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t n);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Everything is given back at once; the room stays for what comes next. */
void arena_reset(struct arena *arena);
void arena_release(struct arena *arena); /* accepts a zeroed struct */

#endif
