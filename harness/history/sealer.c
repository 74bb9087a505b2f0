/*
 * Seals raw logs behind their writers: whole blocks of committed records are packed, appended to
 * the case's `history` file in one write, and only then given back to the writer to be used again.
 * A kill between any two of these steps loses nothing and doubles nothing: each block says which
 * records of its log it holds, and a reader takes from the raw log what no whole block holds.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "history/clockerror.h"
#include "history/codec.h"
#include "history/format.h"
#include "history/history.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#define DOCUMENT_ZSTD_LEVEL 6
#define TEXTS_STEP_BYTES 65536u     /* texts are sealed by as much; the rest at the end */
#define LOOK_EVERY_NS (100 * MS_NS) /* for new logs: a folder of hundreds is long to read */
#define ROOM_BYTES (UINT64_C(1) << 20)

struct log {
    char file[WRITER_NAME_MAX + 8]; /* NAME.log */
    int fd;
    struct raw_header *header; /* mapped */
    const char *map;           /* the file, as far as it went when it was last mapped */
    size_t map_bytes;
    uint64_t sealed; /* records */
    bool emptied;
};

struct sealer {
    char folder[3072];
    int fd, texts_fd;
    uint64_t end;   /* where the next block goes */
    uint64_t room;  /* up to here the disk is reserved */
    uint64_t texts; /* bytes of raw/texts sealed */
    struct log *logs;
    size_t n_logs;
    int64_t looked_ns; /* for new ones */
    struct index_entry *index;
    size_t n_index;
    struct packer *packer;
    struct buf body;
};

static int write_at(int fd, const void *bytes, size_t n, uint64_t at)
{
    for (const char *from = bytes; n;) {
        ssize_t wrote = pwrite(fd, from, n, (off_t)at);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0) {
            errno = wrote < 0 ? errno : ENOSPC;
            return -1;
        }
        from += wrote;
        n -= (size_t)wrote;
        at += (uint64_t)wrote;
    }
    return 0;
}

static void remember(struct sealer *s, const struct block_header *header)
{
    if (s->n_index % 256 == 0) {
        s->index = realloc(s->index, (s->n_index + 256) * sizeof(*s->index));
        if (!s->index)
            abort();
    }
    s->index[s->n_index++] = (struct index_entry){.offset = s->end, .header = *header};
}

/* Keeps some disk for us, so that raw logs that filled it can still be sealed and give it back. */
static void reserve(struct sealer *s, uint64_t until)
{
    if (until <= s->room)
        return;
    if (fallocate(s->fd, FALLOC_FL_KEEP_SIZE, (off_t)s->end,
                  (off_t)(until - s->end + ROOM_BYTES)) == 0)
        s->room = until + ROOM_BYTES;
}

/* Appends one block: header, then s->body from its 64th byte on (room for the header is in front).
 * On a full disk the file is cut back to what it held. */
static int append_block(struct sealer *s, struct block_header *header, struct err *err)
{
    size_t body = s->body.n - sizeof(*header);

    header->magic = BLOCK_MAGIC;
    header->bytes = (uint32_t)body;
    header->body_check = XXH3_64bits(s->body.data + sizeof(*header), body);
    header->check = 0;
    header->check = (uint32_t)XXH3_64bits(header, sizeof(*header));
    memcpy(s->body.data, header, sizeof(*header));
    while (s->body.n % 8)
        buf_char(&s->body, 0);
    reserve(s, s->end + s->body.n);
    if (write_at(s->fd, s->body.data, s->body.n, s->end) < 0) {
        err_errno(err, "history %s/history: write", s->folder);
        if (ftruncate(s->fd, (off_t)s->end) == 0) /* else a torn block stays: readers know those */
            s->room = s->end;
        return -1;
    }
    remember(s, header);
    s->end += s->body.n;
    return 0;
}

static void begin_body(struct sealer *s)
{
    static const struct block_header room;

    buf_clear(&s->body);
    buf_add(&s->body, &room, sizeof(room));
}

static int write_file_header(struct sealer *s, struct err *err)
{
    struct file_header header = {
        .magic = HISTORY_MAGIC,
        .format = HISTORY_FORMAT,
        .header_bytes = sizeof(header),
        .clock_error_ns = clock_error_measure(),
        .clock_id = CLOCK_MONOTONIC,
    };

    header.utc_anchor_ns = clock_utc_ns();
    header.monotonic_anchor_ns = clock_now_ns();
    header.check = XXH3_64bits(&header, offsetof(struct file_header, check));
    if (write_at(s->fd, &header, sizeof(header), 0) < 0)
        return err_errno(err, "history %s/history: write", s->folder);
    s->end = sizeof(header);
    reserve(s, s->end);
    return 0;
}

struct sealer *sealer_open(const char *case_folder, struct err *err)
{
    struct sealer *s = calloc(1, sizeof(*s));
    char path[4096];

    if (!s)
        abort();
    s->texts_fd = -1;
    s->packer = packer_open();
    snprintf(s->folder, sizeof(s->folder), "%s", case_folder);
    snprintf(path, sizeof(path), "%s/raw", s->folder);
    if (file_make_folders(path) < 0)
        err_errno(err, "history: create %s", path);
    snprintf(path, sizeof(path), "%s/history", s->folder);
    s->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (s->fd < 0)
        err_errno(err, "history: create %s", path);
    if (s->fd < 0 || write_file_header(s, err) < 0) {
        sealer_close(s);
        return NULL;
    }
    return s;
}

int sealer_document(struct sealer *s, const char *name, const char *text, size_t n, struct err *err)
{
    struct block_header header = {.kind = BLOCK_DOCUMENT};
    uint16_t name_bytes = (uint16_t)strlen(name);
    uint64_t size = n;
    size_t packed;

    assert(strlen(name) < WRITER_NAME_MAX);
    if (n > DOCUMENT_BYTES_MAX)
        return err_set(err, "history: document %s is larger than %llu bytes", name,
                       (unsigned long long)DOCUMENT_BYTES_MAX);
    begin_body(s);
    buf_add(&s->body, &name_bytes, sizeof(name_bytes));
    buf_text(&s->body, name);
    buf_add(&s->body, &size, sizeof(size));
    packed = ZSTD_compress(buf_reserve(&s->body, ZSTD_compressBound(n)), ZSTD_compressBound(n),
                           text, n, DOCUMENT_ZSTD_LEVEL);
    if (ZSTD_isError(packed))
        return err_set(err, "history: document %s: %s", name, ZSTD_getErrorName(packed));
    s->body.n += packed;
    return append_block(s, &header, err);
}

/* ---- raw logs */

static bool looks_like_a_log(const struct raw_header *h)
{
    return h->magic == RAW_MAGIC && h->format == HISTORY_FORMAT &&
           h->record_bytes == sizeof(struct event) && h->name_bytes < WRITER_NAME_MAX;
}

static int open_log(struct sealer *s, const char *file, struct err *err)
{
    struct block_header header = {.kind = BLOCK_WRITER, .writer = (uint32_t)s->n_logs};
    char path[4096];
    struct stat st;
    struct log *log;

    s->logs = realloc(s->logs, (s->n_logs + 1) * sizeof(*s->logs));
    if (!s->logs)
        abort();
    log = &s->logs[s->n_logs];
    *log = (struct log){.fd = -1};
    snprintf(log->file, sizeof(log->file), "%s", file);
    snprintf(path, sizeof(path), "%s/raw/%s", s->folder, file);
    log->fd = open(path, O_RDWR | O_CLOEXEC);
    if (log->fd < 0 || fstat(log->fd, &st) < 0)
        return err_errno(err, "history: open %s", path);
    if (st.st_size >= (off_t)RAW_HEADER_BYTES) {
        void *map = mmap(NULL, RAW_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, 0);

        log->header = map == MAP_FAILED ? NULL : map;
    }
    if (!log->header || !looks_like_a_log(log->header)) {
        close(log->fd);
        if (log->header)
            munmap(log->header, RAW_HEADER_BYTES);
        return err_set(err, "history: %s is not a log of format %u", path, HISTORY_FORMAT);
    }
    header.first = log->header->by;
    begin_body(s);
    buf_add(&s->body, log->header->name, log->header->name_bytes);
    if (append_block(s, &header, err) < 0) {
        munmap(log->header, RAW_HEADER_BYTES);
        close(log->fd);
        return -1;
    }
    s->n_logs++;
    return 0;
}

static bool is_log_name(const char *name)
{
    size_t n = strlen(name);

    return name[0] != '.' && n > 4 && n < WRITER_NAME_MAX + 4 && strcmp(name + n - 4, ".log") == 0;
}

static bool known(const struct sealer *s, const char *file)
{
    for (size_t i = 0; i < s->n_logs; i++)
        if (strcmp(s->logs[i].file, file) == 0)
            return true;
    return false;
}

/* Opens logs that appeared since. */
static int find_logs(struct sealer *s, struct err *err)
{
    char path[4096];
    struct dirent *entry;
    int result = 0;
    DIR *folder;

    snprintf(path, sizeof(path), "%s/raw", s->folder);
    folder = opendir(path);
    if (!folder)
        return err_errno(err, "history: open %s", path);
    while (result == 0 && (entry = readdir(folder)))
        if (is_log_name(entry->d_name) && !known(s, entry->d_name))
            result = open_log(s, entry->d_name, err);
    closedir(folder);
    return result;
}

/* ---- sealing */

static void unmap_log(struct log *log)
{
    if (log->map)
        munmap((void *)(uintptr_t)log->map, log->map_bytes);
    log->map = NULL;
    log->map_bytes = 0;
}

static int map_log(struct log *log, struct err *err)
{
    struct stat st;
    void *map;

    if (fstat(log->fd, &st) < 0)
        return err_errno(err, "history: %s", log->file);
    unmap_log(log);
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, log->fd, 0);
    if (map == MAP_FAILED)
        return err_errno(err, "history: map %s", log->file);
    log->map = map;
    log->map_bytes = (size_t)st.st_size;
    return 0;
}

/* The next records, where they lie; *n is made as small as one segment has them. The mapping is
 * read only below the cursor, which no writer cuts a log to. */
static const struct event *records(struct log *log, size_t *n, struct err *err)
{
    uint64_t piece = 0, at = raw_locate(log->header, log->sealed, &piece);

    if (!at) {
        err_set(err, "history: %s: no segment holds record %llu", log->file,
                (unsigned long long)log->sealed);
        return NULL;
    }
    *n = piece < *n ? (size_t)piece : *n;
    if (at + *n * sizeof(struct event) > log->map_bytes && map_log(log, err) < 0)
        return NULL;
    if (at + *n * sizeof(struct event) > log->map_bytes) {
        err_set(err, "history: %s is shorter than its cursor says", log->file);
        return NULL;
    }
    return (const struct event *)(const void *)(log->map + at);
}

/* Its owner is through with it and everything is sealed: only the header stays. */
static void empty(struct log *log)
{
    if (log->emptied || !atomic_load_explicit(&log->header->closed, memory_order_acquire) ||
        atomic_load_explicit(&log->header->committed, memory_order_relaxed) != log->sealed)
        return;
    log->emptied = true;
    (void)!ftruncate(log->fd, RAW_HEADER_BYTES);
}

/* Seals blocks of at least `least` events of one log. */
static int seal_log(struct sealer *s, size_t number, uint64_t least, struct err *err)
{
    struct log *log = &s->logs[number];
    uint64_t committed = atomic_load_explicit(&log->header->committed, memory_order_acquire);

    while (committed > log->sealed && committed - log->sealed >= least) {
        struct block_header header = {
            .kind = BLOCK_EVENTS_OF, .writer = (uint32_t)number, .first = log->sealed};
        uint64_t left = committed - log->sealed;
        size_t n = left < BLOCK_EVENTS ? (size_t)left : BLOCK_EVENTS;
        const struct event *events = records(log, &n, err);

        if (!events)
            return -1;
        begin_body(s);
        n = packer_pack(s->packer, events, n, &s->body, &header);
        if (n == 0)
            return err_set(err, "history: %s: record %llu is no event", log->file,
                           (unsigned long long)log->sealed);
        if (append_block(s, &header, err) < 0)
            return -1;
        log->sealed += n;
        atomic_store_explicit(&log->header->sealed, log->sealed, memory_order_release);
    }
    empty(log);
    return 0;
}

/* A stretch of raw/texts of at least `least` bytes, as it stands. */
static int seal_texts(struct sealer *s, uint64_t least, struct err *err)
{
    struct block_header header = {.kind = BLOCK_TEXTS, .first = s->texts};
    char path[4096];
    struct stat st;
    size_t n;
    ssize_t got;

    snprintf(path, sizeof(path), "%s/raw/texts", s->folder);
    if (s->texts_fd < 0)
        s->texts_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->texts_fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, "history: open %s", path);
    if (fstat(s->texts_fd, &st) < 0)
        return err_errno(err, "history: %s", path);
    while ((uint64_t)st.st_size > s->texts && (uint64_t)st.st_size - s->texts >= least) {
        n = (size_t)((uint64_t)st.st_size - s->texts);
        n = n < BLOCK_BODY_MAX ? n : BLOCK_BODY_MAX;
        begin_body(s);
        got = pread(s->texts_fd, buf_reserve(&s->body, n), n, (off_t)s->texts);
        if (got <= 0)
            return err_errno(err, "history: read %s", path);
        s->body.n += (size_t)got;
        header.first = s->texts;
        if (append_block(s, &header, err) < 0)
            return -1;
        s->texts += (uint64_t)got;
    }
    return 0;
}

static int seal(struct sealer *s, uint64_t least_events, uint64_t least_text, struct err *err)
{
    if (seal_texts(s, least_text, err) < 0)
        return -1;
    for (size_t i = 0; i < s->n_logs; i++)
        if (seal_log(s, i, least_events, err) < 0)
            return -1;
    return 0;
}

int sealer_step(struct sealer *s, struct err *err)
{
    int64_t now_ns = clock_now_ns();

    if (now_ns - s->looked_ns >= LOOK_EVERY_NS) {
        if (find_logs(s, err) < 0)
            return -1;
        s->looked_ns = now_ns;
    }
    return seal(s, BLOCK_EVENTS, TEXTS_STEP_BYTES, err);
}

/* ---- the end */

static int write_end(struct sealer *s, struct err *err)
{
    struct block_header index = {.kind = BLOCK_INDEX, .count = (uint32_t)s->n_index};
    struct block_header end = {.kind = BLOCK_END, .first = s->end};

    begin_body(s);
    buf_add(&s->body, s->index, s->n_index * sizeof(*s->index));
    if (append_block(s, &index, err) < 0)
        return -1;
    begin_body(s);
    return append_block(s, &end, err);
}

static void close_logs(struct sealer *s)
{
    for (size_t i = 0; i < s->n_logs; i++) {
        munmap(s->logs[i].header, RAW_HEADER_BYTES);
        unmap_log(&s->logs[i]);
        close(s->logs[i].fd);
    }
    free(s->logs);
    s->logs = NULL;
    s->n_logs = 0;
}

/* Half-made logs (killed inside open) are ours to remove too; the folder stays if anything else is
 * in it. */
static int remove_raw(struct sealer *s, struct err *err)
{
    char path[4096];
    struct dirent *entry;
    DIR *folder;
    int result = 0;

    snprintf(path, sizeof(path), "%s/raw", s->folder);
    folder = opendir(path);
    if (!folder)
        return err_errno(err, "history: open %s", path);
    while ((entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(folder), entry->d_name, 0) < 0)
            result = err_errno(err, "history: remove %s/%s", path, entry->d_name);
    }
    closedir(folder);
    if (result == 0 && rmdir(path) < 0)
        result = err_errno(err, "history: remove %s", path);
    return result;
}

int sealer_finish(struct sealer *s, struct err *err)
{
    if (find_logs(s, err) < 0 || seal(s, 1, 1, err) < 0 || write_end(s, err) < 0)
        return -1;
    if (ftruncate(s->fd, (off_t)s->end) < 0) /* gives back what was reserved behind the end */
        return err_errno(err, "history %s/history: truncate", s->folder);
    close_logs(s);
    return remove_raw(s, err);
}

void sealer_close(struct sealer *s)
{
    if (!s)
        return;
    close_logs(s);
    if (s->texts_fd >= 0)
        close(s->texts_fd);
    if (s->fd >= 0)
        close(s->fd);
    packer_close(s->packer);
    buf_release(&s->body);
    free(s->index);
    free(s);
}
