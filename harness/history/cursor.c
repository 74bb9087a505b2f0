/* One writer's events. Blocks that hold no wanted type are not even read. See cursor.h. */
#include "history/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void cursor_init(struct cursor *cursor, struct catalogue *catalogue, const struct source *source,
                 uint64_t wants)
{
    *cursor = (struct cursor){.catalogue = catalogue,
                              .source = source,
                              .wants = wants,
                              .raw = source->sealed,
                              .ended = false,
                              .fd = -1};
}

/* What is only needed while reading: gives it back as soon as the writer is through. */
static long end(struct cursor *cursor)
{
    if (cursor->unpacker)
        unpacker_release(cursor->unpacker);
    free(cursor->unpacker);
    cursor->unpacker = NULL;
    free(cursor->header);
    cursor->header = NULL;
    buf_release(&cursor->body);
    if (cursor->fd >= 0)
        close(cursor->fd);
    cursor->fd = -1;
    cursor->ended = true;
    return 0;
}

static bool skip_to_wanted(struct cursor *cursor)
{
    const struct source *source = cursor->source;

    while (cursor->block < source->n_blocks &&
           !(source->blocks[cursor->block].header.types & cursor->wants))
        cursor->block++;
    return cursor->block < source->n_blocks;
}

/* 0 opened, 1 damaged, -1 I/O error. */
static int open_block(struct cursor *cursor, struct err *err)
{
    const struct block_ref *block = &cursor->source->blocks[cursor->block++];
    int result = catalogue_body(cursor->catalogue, block, &cursor->body, err);

    if (result != 0)
        return result;
    if (!cursor->unpacker) {
        cursor->unpacker = calloc(1, sizeof(*cursor->unpacker));
        if (!cursor->unpacker)
            abort();
    }
    if (unpacker_begin(cursor->unpacker, cursor->source->by, cursor->body.data, cursor->body.n,
                       block->header.count) < 0) {
        catalogue_damage(cursor->catalogue, "block at byte %llu: no events",
                         (unsigned long long)block->offset);
        return 1;
    }
    cursor->unpacking = true;
    return 0;
}

static long unpack(struct cursor *cursor, struct event *out, size_t max)
{
    long n = unpacker_next(cursor->unpacker, cursor->wants, out, max);

    if (n < 0)
        catalogue_damage(cursor->catalogue, "block at byte %llu: events make no sense",
                         (unsigned long long)cursor->source->blocks[cursor->block - 1].offset);
    return n;
}

/* ---- the raw log */

static int open_raw(struct cursor *cursor, struct err *err)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/raw/%s.log", cursor->catalogue->folder, cursor->source->name);
    cursor->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (cursor->fd < 0)
        return err_errno(err, "history: open %s", path);
    cursor->header = calloc(1, sizeof(*cursor->header));
    if (!cursor->header)
        abort();
    if (pread(cursor->fd, cursor->header, sizeof(*cursor->header), 0) < 0)
        return err_errno(err, "history: read %s", path);
    return 0;
}

/* This writer's events end here, before its cursor says. */
static long raw_damage(struct cursor *cursor, uint64_t number, const char *what)
{
    catalogue_damage(cursor->catalogue, "raw/%.80s.log: record %llu %s", cursor->source->name,
                     (unsigned long long)number, what);
    cursor->raw = cursor->source->raw;
    return 0;
}

static bool raw_event_sane(const struct event *e)
{
    return e->type != EVENT_NONE && e->type < EVENT_TYPES && event_outcome(e) <= OUTCOME_BELIEVED &&
           event_level(e) <= LEVEL_DURABLE;
}

/* Keeps what is wanted of the n records in out; stops at one that is none. */
static long sift(struct cursor *cursor, struct event *out, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        struct event e = out[i];

        if (!raw_event_sane(&e)) {
            raw_damage(cursor, cursor->raw - n + i, "is no event");
            break;
        }
        if (!(cursor->wants >> e.type & 1))
            continue;
        event_normalise(&e);
        e.by = cursor->source->by;
        out[kept++] = e;
    }
    return (long)kept;
}

static long next_raw(struct cursor *cursor, struct event *out, size_t max, struct err *err)
{
    uint64_t left = cursor->source->raw - cursor->raw;
    uint64_t n = 0, at;
    ssize_t got;

    if (cursor->fd < 0 && open_raw(cursor, err) < 0)
        return -1;
    at = raw_locate(cursor->header, cursor->raw, &n);
    if (!at)
        return raw_damage(cursor, cursor->raw, "is in no segment");
    n = n < left ? n : left;
    n = n < max ? n : max;
    do
        got = pread(cursor->fd, out, n * sizeof(*out), (off_t)at);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_errno(err, "history: read raw/%s.log", cursor->source->name);
    n = (size_t)got / sizeof(*out);
    if (n == 0)
        return raw_damage(cursor, cursor->raw, "is behind the end of the file");
    cursor->raw += n;
    return sift(cursor, out, n);
}

/* ---- both */

long cursor_next(struct cursor *cursor, struct event *out, size_t max, struct err *err)
{
    while (!cursor->ended) {
        long n;

        if (cursor->unpacking) {
            n = unpack(cursor, out, max);
            if (n < 0)
                return end(cursor);
            if (n > 0)
                return n;
            cursor->unpacking = false;
        } else if (skip_to_wanted(cursor)) {
            int result = open_block(cursor, err);

            if (result != 0)
                return result < 0 ? -1 : end(cursor);
        } else if (!cursor->source->cut && cursor->raw < cursor->source->raw) {
            n = next_raw(cursor, out, max, err);
            if (n != 0)
                return n;
        } else {
            return end(cursor);
        }
    }
    return 0;
}

int64_t cursor_lower_bound(const struct cursor *cursor)
{
    const struct source *source = cursor->source;

    if (cursor->unpacking || cursor->block >= source->n_blocks)
        return INT64_MIN;
    return source->blocks[cursor->block].header.from_ns;
}

void cursor_release(struct cursor *cursor)
{
    end(cursor);
}
