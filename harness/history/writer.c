/*
 * One thread's log of events: fixed-size records into a file-backed mapping, one cursor that is
 * release-stored behind each. What the cursor counts is there whatever happens to the process,
 * because the pages belong to the file. See format.h for the bytes.
 *
 * Left out on purpose: fsync. A history survives the death of any process, not of the machine.
 */
#include "history/writer.h"

#include "base/clock.h"
#include "base/file.h"
#include "history/format.h"
#include "history/history.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct place { /* a segment, by its number in the header's table */
    struct segment segment;
    uint64_t first; /* its records are first … first + records_of() − 1 */
};

struct history_writer {
    struct history_head head; /* first: history.h's inline half finds it there */
    struct event
        *last; /* the last record of this segment: kept for EV_FULL until there is another */
    struct raw_header *header;
    bool full;
    int fd;
    struct place places[SEGMENTS_MAX];
    unsigned n_places, current;
    struct segments *segments;
    struct texts *texts;
};

static uint64_t records_of(const struct segment *segment)
{
    return (uint64_t)segment->size / sizeof(struct event);
}

static void put(struct history_writer *w, const struct event *e)
{
    *w->head.next = *e;
    history_commit(&w->head, 1);
}

/* The end of this log: EV_FULL takes the record that was kept for it. */
static void fill_up(struct history_writer *w, int code)
{
    struct event e = {.type = EV_FULL, .at_ns = clock_now_ns(), .value = (int64_t)w->head.n};

    if (w->full)
        return;
    e.ref = texts_add(w->texts, strerror(code));
    if (!e.ref)
        e.ref = TEXT_LOST;
    put(w, &e);
    w->full = true;
    w->head.limit = w->head.next;
}

/* ---- segments: made while the sealer lags, used again once it has caught up */

/* The largest whose records are all sealed; -1: none. */
static int free_place(const struct history_writer *w)
{
    uint64_t sealed = atomic_load_explicit(&w->header->sealed, memory_order_acquire);
    int best = -1;

    for (unsigned i = 0; i < w->n_places; i++) {
        const struct place *place = &w->places[i];

        if (i != w->current && place->first + records_of(&place->segment) <= sealed &&
            (best < 0 || place->segment.size > w->places[best].segment.size))
            best = (int)i;
    }
    return best;
}

/* Small logs stay small; a sealer that lags far behind must not use up the table. */
static int64_t next_size(const struct history_writer *w)
{
    int64_t size = SEGMENT_BYTES_FIRST;

    for (unsigned i = 0; i < w->n_places && size < SEGMENT_BYTES; i++)
        size *= 4;
    return w->n_places < 16 ? size : w->n_places < 64 ? size * 4 : size * 16;
}

/* A fresh segment into the table. Its number, -1 with errno. */
static int new_place(struct history_writer *w)
{
    struct raw_segment *entry;
    struct segment segment;

    if (w->n_places == SEGMENTS_MAX) {
        errno = EFBIG;
        return -1;
    }
    if (segments_take(w->segments, next_size(w), &segment) < 0)
        return -1;
    entry = &w->header->segments[w->n_places];
    atomic_store_explicit(&entry->first, UINT64_MAX, memory_order_relaxed);
    entry->page = (uint32_t)(segment.offset / RAW_PAGE_BYTES);
    entry->pages = (uint32_t)(segment.size / RAW_PAGE_BYTES);
    w->places[w->n_places] = (struct place){.segment = segment, .first = UINT64_MAX};
    return (int)w->n_places++;
}

/* Records from number `first` on go there. */
static void use_place(struct history_writer *w, int number, uint64_t first)
{
    struct place *place = &w->places[number];
    struct event *records = (struct event *)(void *)place->segment.bytes;
    size_t n = records_of(&place->segment);

    place->first = first;
    atomic_store_explicit(&w->header->segments[number].first, first, memory_order_release);
    w->current = (unsigned)number;
    w->head.next = records;
    w->head.limit = records + n / 2;
    w->last = records + n - 1;
}

static void record_slow(struct history_writer *w, const struct event *e)
{
    int number;

    if (w->full)
        return;
    if (w->head.next < w->last) {
        if (free_place(w) < 0 && w->n_places < SEGMENTS_MAX)
            segments_ask(w->segments, next_size(w));
        w->head.limit = w->last;
        put(w, e);
        return;
    }
    number = free_place(w);
    if (number < 0)
        number = new_place(w);
    if (number < 0) {
        fill_up(w, errno);
        return;
    }
    put(w, e);
    use_place(w, number, w->head.n);
}

void history_record(struct history_writer *w, const struct event *e)
{
    assert(e->type != EVENT_NONE && e->type < EVENT_TYPES);
    if (__builtin_expect(w->head.next < w->head.limit, 1))
        put(w, e);
    else
        record_slow(w, e);
}

bool history_full(const struct history_writer *w)
{
    return w->full;
}

const bool *history_full_flag(const struct history_writer *w)
{
    return &w->full;
}

/* ---- texts, opening, closing */

uint32_t history_text(struct history_writer *w, const char *text)
{
    uint32_t ref = texts_add(w->texts, text);

    if (ref)
        return ref;
    fill_up(w, errno);
    return TEXT_LOST;
}

/* ε of the case as the sealed file's header has it, -1 when there is none yet. */
static int64_t clock_error_of(const char *case_folder)
{
    char path[4096];
    struct file_header header;
    int64_t error_ns = -1;
    int fd;

    snprintf(path, sizeof(path), "%s/history", case_folder);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
        header.magic == HISTORY_MAGIC)
        error_ns = header.clock_error_ns;
    close(fd);
    return error_ns;
}

static int write_header(struct history_writer *w, const char *case_folder, const char *name,
                        struct err *err)
{
    struct raw_header *header;

    errno = posix_fallocate(w->fd, 0, RAW_HEADER_BYTES);
    if (errno)
        return err_errno(err, "reserve room");
    header = mmap(NULL, RAW_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
    if (header == MAP_FAILED)
        return err_errno(err, "map");
    header->format = HISTORY_FORMAT;
    header->record_bytes = sizeof(struct event);
    header->by = w->head.by;
    header->name_bytes = (uint16_t)strlen(name);
    header->clock_id = CLOCK_MONOTONIC;
    header->clock_error_ns = clock_error_of(case_folder);
    header->utc_anchor_ns = clock_utc_ns();
    header->monotonic_anchor_ns = clock_now_ns();
    header->pid = (uint32_t)getpid();
    memcpy(header->name, name, strlen(name));
    header->magic = RAW_MAGIC;
    w->header = header;
    w->head.committed = &header->committed;
    return 0;
}

/* A log appears under its name only once it is whole, and never in the place of another. */
static int publish(const char *hidden, const char *path, struct err *err)
{
    if (renameat2(AT_FDCWD, hidden, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EINVAL && access(path, F_OK) < 0 && rename(hidden, path) == 0)
        return 0;
    return err_errno(err, "create");
}

static int open_log(struct history_writer *w, const char *case_folder, const char *name,
                    int64_t bytes_max, struct err *err)
{
    char hidden[4096], path[4096];
    int first;

    snprintf(path, sizeof(path), "%s/raw", case_folder);
    if (file_make_folders(path) < 0)
        return err_errno(err, "create %s", path);
    snprintf(hidden, sizeof(hidden), "%s/raw/.%s.new", case_folder, name);
    snprintf(path, sizeof(path), "%s/raw/%s.log", case_folder, name);
    w->fd = open(hidden, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (w->fd < 0)
        return err_errno(err, "create");
    w->texts = texts_open(case_folder, err);
    if (!w->texts || write_header(w, case_folder, name, err) < 0)
        goto fail;
    w->segments = segments_open(w->fd, RAW_HEADER_BYTES, bytes_max, err);
    if (!w->segments)
        goto fail;
    first = new_place(w);
    if (first < 0) {
        err_errno(err, "reserve room");
        goto fail;
    }
    use_place(w, first, 0);
    if (publish(hidden, path, err) == 0)
        return 0;
fail:
    unlink(hidden);
    return -1;
}

struct history_writer *history_writer_open_bounded(const char *case_folder, const char *name,
                                                   uint16_t by, int64_t bytes_max, struct err *err)
{
    struct history_writer *w = calloc(1, sizeof(*w));

    assert(*name && *name != '.' && !strchr(name, '/') && strlen(name) < WRITER_NAME_MAX);
    if (!w)
        abort();
    w->fd = -1;
    w->head.by = by;
    if (open_log(w, case_folder, name, bytes_max, err) < 0) {
        err_prefix(err, "history log %s/raw/%s.log", case_folder, name);
        history_writer_close(w);
        return NULL;
    }
    return w;
}

struct history_writer *history_writer_open(const char *case_folder, const char *name, uint16_t by,
                                           struct err *err)
{
    return history_writer_open_bounded(case_folder, name, by, RAW_BYTES_MAX, err);
}

/* Room behind the last record goes back to the disk, where it is the end of the file; if not, the
 * sealer does not mind. */
static void give_back(struct history_writer *w)
{
    const struct place *place = &w->places[w->current];
    off_t end = (off_t)(place->segment.offset +
                        (int64_t)((w->head.n - place->first) * sizeof(struct event)));

    for (unsigned i = 0; i < w->n_places; i++)
        if (w->places[i].segment.offset > place->segment.offset)
            return;
    (void)!ftruncate(w->fd, end);
}

void history_writer_close(struct history_writer *w)
{
    if (!w)
        return;
    segments_close(w->segments);
    if (w->n_places)
        give_back(w);
    for (unsigned i = 0; i < w->n_places; i++)
        segment_unmap(&w->places[i].segment);
    if (w->header) {
        atomic_store_explicit(&w->header->closed, 1, memory_order_release);
        munmap(w->header, RAW_HEADER_BYTES);
    }
    if (w->fd >= 0)
        close(w->fd);
    texts_close(w->texts);
    free(w);
}
