/*
 * One thread's log of events: fixed-size records into a file-backed mapping, one cursor that is
 * release-stored behind each. What the cursor counts is there whatever happens to the process,
 * because the pages belong to the file. See format.h for the bytes.
 *
 * Left out on purpose: fsync. A history survives the death of any process, not of the machine.
 */
#include "history/writer.h"

#include "base/clock.h"
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

struct history_writer {
    struct event *next;  /* where the next record goes */
    struct event *limit; /* from here on the slow path: ask for a segment, or change to it */
    struct event
        *last; /* the last record of this segment: kept for EV_FULL until there is another */
    uint64_t n;
    struct raw_header *header;
    uint16_t by;
    bool full;
    int fd;
    struct segment segment;
    struct segments *segments;
    struct texts *texts;
};

static void use_segment(struct history_writer *w, struct segment segment)
{
    struct event *records = (struct event *)(void *)segment.bytes;
    size_t n = (size_t)segment.size / sizeof(struct event);

    w->segment = segment;
    w->next = records;
    w->limit = records + n / 2;
    w->last = records + n - 1;
}

static void put(struct history_writer *w, const struct event *e)
{
    *w->next = *e;
    w->next->by = w->by;
    w->next++;
    atomic_store_explicit(&w->header->committed, ++w->n, memory_order_release);
}

/* The end of this log: EV_FULL takes the record that was kept for it. */
static void fill_up(struct history_writer *w, int code)
{
    struct event e = {.type = EV_FULL, .at_ns = clock_now_ns(), .value = (int64_t)w->n};

    if (w->full)
        return;
    e.ref = texts_add(w->texts, strerror(code));
    if (!e.ref)
        e.ref = TEXT_LOST;
    put(w, &e);
    w->full = true;
    w->limit = w->next;
}

static void record_slow(struct history_writer *w, const struct event *e)
{
    struct segment next, old = w->segment;

    if (w->full)
        return;
    if (w->next < w->last) {
        segments_ask(w->segments);
        w->limit = w->last;
        put(w, e);
        return;
    }
    if (segments_next(w->segments, &next) < 0) {
        fill_up(w, errno);
        return;
    }
    put(w, e);
    use_segment(w, next);
    segments_retire(w->segments, old);
}

void history_record(struct history_writer *w, const struct event *e)
{
    assert(e->type != EVENT_NONE && e->type < EVENT_TYPES);
    if (__builtin_expect(w->next < w->limit, 1))
        put(w, e);
    else
        record_slow(w, e);
}

bool history_full(const struct history_writer *w)
{
    return w->full;
}

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
    header->by = w->by;
    header->name_bytes = (uint16_t)strlen(name);
    header->clock_id = CLOCK_MONOTONIC;
    header->clock_error_ns = clock_error_of(case_folder);
    header->utc_anchor_ns = clock_utc_ns();
    header->monotonic_anchor_ns = clock_now_ns();
    header->pid = (uint32_t)getpid();
    memcpy(header->name, name, strlen(name));
    header->magic = RAW_MAGIC;
    w->header = header;
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
    struct segment first;

    snprintf(path, sizeof(path), "%s/raw", case_folder);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return err_errno(err, "create %s", path);
    snprintf(hidden, sizeof(hidden), "%s/raw/.%s.new", case_folder, name);
    snprintf(path, sizeof(path), "%s/raw/%s.log", case_folder, name);
    w->fd = open(hidden, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (w->fd < 0)
        return err_errno(err, "create");
    w->texts = texts_open(case_folder, err);
    if (!w->texts || write_header(w, case_folder, name, err) < 0)
        goto fail;
    w->segments = segments_open(w->fd, RAW_HEADER_BYTES, bytes_max, &first, err);
    if (!w->segments)
        goto fail;
    use_segment(w, first);
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
    w->by = by;
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

void history_writer_close(struct history_writer *w)
{
    if (!w)
        return;
    segments_close(w->segments, w->segment);
    if (w->header) {
        w->header->closed = 1;
        munmap(w->header, RAW_HEADER_BYTES);
        /* room nobody needs goes back; if not, the sealer does not mind */
        if (ftruncate(w->fd, (off_t)(RAW_HEADER_BYTES + w->n * sizeof(struct event))) < 0)
            errno = 0;
    }
    if (w->fd >= 0)
        close(w->fd);
    texts_close(w->texts);
    free(w);
}
