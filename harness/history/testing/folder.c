/* See folder.h. */
#include "history/testing/folder.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *folder_make(void)
{
    static char paths[8][4096];
    static unsigned next;
    char *path = paths[next++ % 8];
    const char *base = getenv("TMPDIR");

    snprintf(path, sizeof(paths[0]), "%s/history-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path))
        abort();
    return path;
}

void folder_remove(const char *path)
{
    file_remove_tree(path);
}

/* Mostly small, sometimes anything. */
static uint64_t magnitude(const struct draw *draw, uint64_t index)
{
    uint64_t word = draw_u64(draw, index);

    return word >> (word % 64);
}

struct event event_draw(const struct draw *draw, uint64_t index, uint16_t by, int64_t at_ns)
{
    uint64_t i = index * 16;
    struct event e = {.at_ns = at_ns, .by = by};

    e.type = (uint8_t)(1 + draw_below(draw, i, EVENT_TYPES - 1));
    e.position = (int64_t)magnitude(draw, i + 1) - 3;
    e.value = -(int64_t)magnitude(draw, i + 2);
    e.seq = magnitude(draw, i + 3) & MESSAGE_SEQ_MAX;
    e.unit = (uint32_t)magnitude(draw, i + 4) - 1;
    e.key = (uint32_t)magnitude(draw, i + 5);
    e.epoch = (uint32_t)magnitude(draw, i + 6);
    e.ref = (uint32_t)magnitude(draw, i + 7);
    e.client = (uint16_t)magnitude(draw, i + 8);
    e.incarnation = (uint16_t)magnitude(draw, i + 9);
    e.worker = (uint16_t)draw_below(draw, i + 10, 4);
    e.node = (uint16_t)magnitude(draw, i + 11);
    e.code = (int16_t)magnitude(draw, i + 12);
    e.attempt = (uint8_t)draw_below(draw, i + 13, 3);
    e.outcome_level = event_result((enum outcome)draw_below(draw, i + 14, OUTCOME_BELIEVED + 1),
                                   (enum level)draw_below(draw, i + 14, LEVEL_DURABLE + 1));
    e.flags = (uint8_t)magnitude(draw, i + 15);
    event_normalise(&e);
    return e;
}

size_t read_all(const char *folder, enum check_order order, uint64_t wants, struct event **events,
                struct history_info *info)
{
    struct err err = {0};
    struct history_reader *r = history_open(folder, order, wants, &err);
    size_t n = 0, size = 0;
    long got;

    *events = NULL;
    if (!r) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    do {
        if (size - n < 1000) {
            size = size ? size * 2 : 4096;
            *events = realloc(*events, size * sizeof(**events));
            if (!*events)
                abort();
        }
        got = history_next(r, *events + n, 777, &err);
        n += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    if (info)
        history_info(r, info);
    history_close(r);
    if (got < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return n;
}
