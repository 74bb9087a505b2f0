/*
 * Finds what a case's folder holds. A whole history is found through its index; one without an end
 * mark, or with a damaged index, by walking from block to block; behind a damaged header by looking
 * for the next one that is whole. What the walk finds is then the same list either way.
 */
#include "history/catalogue.h"

#include "history/codec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#define TEXTS_GAP_MAX (BLOCK_BODY_MAX / 16)

void catalogue_damage(struct catalogue *c, const char *format, ...)
{
    va_list args;

    if (c->damage[0])
        return;
    va_start(args, format);
    vsnprintf(c->damage, sizeof(c->damage), format, args);
    va_end(args);
}

/* Bytes read, short only at the end of the file; -1 on an I/O error. */
static ssize_t read_at(int fd, void *to, size_t n, uint64_t at)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = pread(fd, (char *)to + done, n - done, (off_t)(at + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static bool header_whole(const struct block_header *header)
{
    struct block_header copy = *header;

    copy.check = 0;
    return header->magic == BLOCK_MAGIC && header->bytes <= BLOCK_BODY_MAX &&
           header->check == (uint32_t)XXH3_64bits(&copy, sizeof(copy));
}

int catalogue_body(struct catalogue *c, const struct block_ref *block, struct buf *to,
                   struct err *err)
{
    static const char slack[CODEC_SLACK];
    size_t n = block->header.bytes;
    ssize_t got;

    buf_clear(to);
    got = read_at(c->fd, buf_reserve(to, n + sizeof(slack)), n,
                  block->offset + sizeof(block->header));
    if (got < 0)
        return err_errno(err, "history %s/history: read", c->folder);
    if ((size_t)got != n || XXH3_64bits(to->data, n) != block->header.body_check) {
        catalogue_damage(c, "block at byte %llu: checksum", (unsigned long long)block->offset);
        return 1;
    }
    to->n = n;
    buf_add(to, slack, sizeof(slack));
    to->n = n;
    return 0;
}

/* ---- what blocks say */

static struct source *add_source(struct catalogue *c, const char *name, size_t n, uint16_t by)
{
    struct source *source;

    if (c->n_sources % 64 == 0) {
        c->sources = realloc(c->sources, (c->n_sources + 64) * sizeof(*c->sources));
        if (!c->sources)
            abort();
    }
    source = &c->sources[c->n_sources++];
    *source = (struct source){.by = by};
    memcpy(source->name, name, n);
    return source;
}

static int take_writer(struct catalogue *c, const struct block_ref *block, struct err *err)
{
    struct buf name = {0};
    int result = catalogue_body(c, block, &name, err);

    if (block->header.writer != c->n_sources || block->header.bytes >= WRITER_NAME_MAX)
        catalogue_damage(c, "block at byte %llu: writer %u out of turn",
                         (unsigned long long)block->offset, block->header.writer);
    else
        add_source(c, name.data, result == 0 ? name.n : 0, (uint16_t)block->header.first);
    buf_release(&name);
    return result < 0 ? -1 : 0;
}

static void take_events(struct catalogue *c, const struct block_ref *block)
{
    const struct block_header *header = &block->header;
    struct source *source;

    if (header->writer >= c->n_sources || header->count == 0 || header->count > header->bytes) {
        catalogue_damage(c, "block at byte %llu: events of no writer",
                         (unsigned long long)block->offset);
        return;
    }
    source = &c->sources[header->writer];
    if (!source->cut && header->first != source->sealed) {
        catalogue_damage(c, "block at byte %llu: events %llu to %llu of writer %s are missing",
                         (unsigned long long)block->offset, (unsigned long long)source->sealed,
                         (unsigned long long)header->first, source->name);
        source->cut = true;
    }
    if (source->cut)
        return;
    if (source->n_blocks % 32 == 0) {
        source->blocks = realloc(source->blocks, (source->n_blocks + 32) * sizeof(*source->blocks));
        if (!source->blocks)
            abort();
    }
    source->blocks[source->n_blocks++] = *block;
    source->sealed += header->count;
}

/* A stretch that is damaged or missing leaves zeroes: the numbers of later texts stay right. */
static int take_texts(struct catalogue *c, const struct block_ref *block, struct err *err)
{
    struct buf body = {0};
    int result;

    if (block->header.first < c->texts.n || block->header.first - c->texts.n > TEXTS_GAP_MAX) {
        catalogue_damage(c, "block at byte %llu: texts out of turn",
                         (unsigned long long)block->offset);
        return 0;
    }
    if (block->header.first > c->texts.n)
        catalogue_damage(c, "block at byte %llu: texts are missing",
                         (unsigned long long)block->offset);
    while (c->texts.n < block->header.first)
        buf_char(&c->texts, 0);
    result = catalogue_body(c, block, &body, err);
    if (result == 0)
        buf_add(&c->texts, body.data, body.n);
    buf_release(&body);
    return result < 0 ? -1 : 0;
}

static struct document *document_named(struct catalogue *c, const char *name)
{
    for (size_t i = 0; i < c->n_documents; i++)
        if (strcmp(c->documents[i].name, name) == 0)
            return &c->documents[i];
    return NULL;
}

static int take_document(struct catalogue *c, const struct block_ref *block, struct err *err)
{
    char name[WRITER_NAME_MAX] = "";
    struct document *document;
    uint16_t n = 0;
    ssize_t got = read_at(c->fd, &n, sizeof(n), block->offset + sizeof(block->header));

    if (got == (ssize_t)sizeof(n) && n < sizeof(name))
        got = read_at(c->fd, name, n, block->offset + sizeof(block->header) + sizeof(n));
    if (got < 0)
        return err_errno(err, "history %s/history: read", c->folder);
    if (!name[0] || n >= sizeof(name)) {
        catalogue_damage(c, "block at byte %llu: document without a name",
                         (unsigned long long)block->offset);
        return 0;
    }
    document = document_named(c, name);
    if (!document) {
        c->documents = realloc(c->documents, (c->n_documents + 1) * sizeof(*c->documents));
        if (!c->documents)
            abort();
        document = &c->documents[c->n_documents++];
        *document = (struct document){.n = 0};
        memcpy(document->name, name, sizeof(name));
    }
    document->block = *block;
    return 0;
}

static int take_block(struct catalogue *c, const struct block_ref *block, struct err *err)
{
    switch ((enum block_kind)block->header.kind) {
    case BLOCK_WRITER:
        return take_writer(c, block, err);
    case BLOCK_EVENTS_OF:
        take_events(c, block);
        return 0;
    case BLOCK_TEXTS:
        return take_texts(c, block, err);
    case BLOCK_DOCUMENT:
        return take_document(c, block, err);
    case BLOCK_INDEX:
        return 0;
    case BLOCK_END:
        c->complete = true;
        return 0;
    }
    catalogue_damage(c, "block at byte %llu: kind %u", (unsigned long long)block->offset,
                     block->header.kind);
    return 0;
}

/* ---- finding blocks */

/* Looks for a whole header from `at` on; the size of the file when there is none. */
static uint64_t next_header(struct catalogue *c, uint64_t at)
{
    char chunk[8192];
    struct block_header header;

    while (at + sizeof(header) <= c->size) {
        ssize_t got = read_at(c->fd, chunk, sizeof(chunk), at);

        if (got < (ssize_t)sizeof(header))
            break;
        for (size_t i = 0; i + sizeof(header) <= (size_t)got; i += 8) {
            memcpy(&header, chunk + i, sizeof(header));
            if (header_whole(&header))
                return at + i;
        }
        at += (uint64_t)got - sizeof(header) + 8;
    }
    return c->size;
}

static int walk(struct catalogue *c, struct err *err)
{
    struct block_ref block = {.offset = sizeof(struct file_header)};

    while (block.offset + sizeof(block.header) <= c->size) {
        uint64_t next;

        if (read_at(c->fd, &block.header, sizeof(block.header), block.offset) < 0)
            return err_errno(err, "history %s/history: read", c->folder);
        if (!header_whole(&block.header)) {
            next = next_header(c, block.offset + 8);
            if (next < c->size) /* else the last block was cut short while it was written */
                catalogue_damage(c, "block at byte %llu: header", (unsigned long long)block.offset);
            block.offset = next;
            continue;
        }
        next = block.offset + sizeof(block.header) + block_padded(block.header.bytes);
        if (next > c->size)
            break;
        if (take_block(c, &block, err) < 0)
            return -1;
        block.offset = next;
    }
    return 0;
}

/* 1: read through the index; 0: there is none that is whole; -1: I/O error. */
static int by_index(struct catalogue *c, struct err *err)
{
    struct block_ref end, index;
    struct buf body = {0};
    int result = 0;

    end.offset = c->size - sizeof(end.header);
    if (c->size < sizeof(struct file_header) + 2 * sizeof(end.header) ||
        read_at(c->fd, &end.header, sizeof(end.header), end.offset) < 0 ||
        !header_whole(&end.header) || end.header.kind != BLOCK_END || end.header.first > end.offset)
        return 0;
    index.offset = end.header.first;
    if (read_at(c->fd, &index.header, sizeof(index.header), index.offset) < 0 ||
        !header_whole(&index.header) || index.header.kind != BLOCK_INDEX ||
        index.header.bytes != (uint64_t)index.header.count * sizeof(struct index_entry)) {
        catalogue_damage(c, "index");
        return 0;
    }
    if (catalogue_body(c, &index, &body, err) != 0) {
        buf_release(&body);
        return 0;
    }
    for (uint32_t i = 0; result == 0 && i < index.header.count; i++) {
        struct index_entry entry;
        struct block_ref block;

        memcpy(&entry, body.data + i * sizeof(entry), sizeof(entry));
        block = (struct block_ref){.offset = entry.offset, .header = entry.header};
        if (!header_whole(&entry.header) || entry.offset >= c->size)
            catalogue_damage(c, "index: entry %u", i);
        else
            result = take_block(c, &block, err);
    }
    buf_release(&body);
    c->complete = true;
    return result < 0 ? -1 : 1;
}

static int open_sealed(struct catalogue *c, struct err *err)
{
    char path[4096];
    struct stat st;
    int found;

    snprintf(path, sizeof(path), "%s/history", c->folder);
    c->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (c->fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, "history: open %s", path);
    if (fstat(c->fd, &st) < 0)
        return err_errno(err, "history: %s", path);
    c->size = (uint64_t)st.st_size;
    if (c->size < sizeof(c->header))
        return 0; /* killed while it was made: all there is is raw */
    if (read_at(c->fd, &c->header, sizeof(c->header), 0) < 0)
        return err_errno(err, "history: read %s", path);
    if (c->header.check != XXH3_64bits(&c->header, offsetof(struct file_header, check)) ||
        c->header.magic != HISTORY_MAGIC) {
        catalogue_damage(c, "file header");
        c->header = (struct file_header){.format = HISTORY_FORMAT, .clock_error_ns = -1};
    } else if (c->header.format != HISTORY_FORMAT) {
        return err_set(err, "history: %s has format %u, this program reads %u", path,
                       c->header.format, HISTORY_FORMAT);
    }
    found = by_index(c, err);
    return found < 0 ? -1 : found ? 0 : walk(c, err);
}

/* ---- raw logs */

static struct source *source_named(struct catalogue *c, const char *name)
{
    for (size_t i = 0; i < c->n_sources; i++)
        if (strcmp(c->sources[i].name, name) == 0)
            return &c->sources[i];
    return NULL;
}

/* Records up to this number may lie in its segments. */
static uint64_t raw_room(const struct raw_header *header)
{
    uint64_t room = 0;

    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        uint64_t first = header->segments[i].first;
        uint64_t n = (uint64_t)header->segments[i].pages * (RAW_PAGE_BYTES / sizeof(struct event));

        if (n && first < UINT64_MAX - n && first + n > room)
            room = first + n;
    }
    return room;
}

static void take_raw_header(struct catalogue *c, const char *file, const struct raw_header *header)
{
    uint64_t committed = header->committed;
    uint64_t room = raw_room(header);
    struct source *source;

    if (header->magic != RAW_MAGIC || header->format != HISTORY_FORMAT ||
        header->record_bytes != sizeof(struct event) || header->name_bytes == 0 ||
        header->name_bytes >= WRITER_NAME_MAX || memchr(header->name, 0, header->name_bytes)) {
        catalogue_damage(c, "raw/%.80s: header", file);
        return;
    }
    if (committed > room) {
        catalogue_damage(c, "raw/%.80s: cursor at %llu, room for %llu", file,
                         (unsigned long long)committed, (unsigned long long)room);
        committed = room;
    }
    if (!c->header.utc_anchor_ns) { /* nothing sealed: the clock as this writer knew it */
        c->header.clock_error_ns = header->clock_error_ns;
        c->header.utc_anchor_ns = header->utc_anchor_ns;
        c->header.monotonic_anchor_ns = header->monotonic_anchor_ns;
    }
    source = source_named(c, header->name);
    if (!source)
        source = add_source(c, header->name, header->name_bytes, header->by);
    source->raw = committed;
}

static int open_raw_log(struct catalogue *c, const char *file, struct err *err)
{
    struct raw_header header;
    char path[4096];
    struct stat st;
    size_t n = strlen(file);
    int fd;

    snprintf(path, sizeof(path), "%s/raw/%s", c->folder, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        if (fd >= 0)
            close(fd);
        return err_errno(err, "history: open %s", path);
    }
    c->raw_bytes += (uint64_t)st.st_blocks * 512;
    if (read_at(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
        catalogue_damage(c, "raw/%.80s: header", file);
    else if (n - 4 != header.name_bytes || memcmp(file, header.name, n - 4) != 0)
        catalogue_damage(c, "raw/%.80s: header has another name", file);
    else
        take_raw_header(c, file, &header);
    close(fd);
    return 0;
}

/* What raw/texts has behind the texts that are sealed. */
static int open_raw_texts(struct catalogue *c, struct err *err)
{
    char path[4096];
    struct stat st;
    size_t n;
    ssize_t got;
    int fd;

    snprintf(path, sizeof(path), "%s/raw/texts", c->folder);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, "history: open %s", path);
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size > c->texts.n) {
        n = (size_t)((uint64_t)st.st_size - c->texts.n);
        n = n < TEXTS_BYTES_MAX ? n : TEXTS_BYTES_MAX;
        got = read_at(fd, buf_reserve(&c->texts, n), n, c->texts.n);
        c->texts.n += got > 0 ? (size_t)got : 0;
        c->texts.data[c->texts.n] = '\0';
        c->raw_bytes += (uint64_t)st.st_blocks * 512;
    }
    close(fd);
    return 0;
}

static int open_raw(struct catalogue *c, struct err *err)
{
    char path[4096];
    struct dirent *entry;
    int result = 0;
    DIR *folder;

    snprintf(path, sizeof(path), "%s/raw", c->folder);
    folder = opendir(path);
    if (!folder) {
        if (errno != ENOENT)
            return err_errno(err, "history: open %s", path);
        return c->fd < 0 ? err_set(err, "history: %s holds none", c->folder) : 0;
    }
    while (result == 0 && (entry = readdir(folder))) {
        size_t n = strlen(entry->d_name);

        if (entry->d_name[0] != '.' && n > 4 && strcmp(entry->d_name + n - 4, ".log") == 0)
            result = open_raw_log(c, entry->d_name, err);
    }
    closedir(folder);
    return result < 0 ? -1 : open_raw_texts(c, err);
}

/* ---- all of it */

static int compare_sources(const void *a, const void *b)
{
    const struct source *left = a, *right = b;

    if (left->by != right->by)
        return left->by < right->by ? -1 : 1;
    return strverscmp(left->name, right->name);
}

int catalogue_open(struct catalogue *c, const char *case_folder, struct err *err)
{
    *c = (struct catalogue){.fd = -1, .header = {.format = HISTORY_FORMAT, .clock_error_ns = -1}};
    snprintf(c->folder, sizeof(c->folder), "%s", case_folder);
    if (open_sealed(c, err) < 0 || open_raw(c, err) < 0)
        return -1;
    if (c->n_sources)
        qsort(c->sources, c->n_sources, sizeof(*c->sources), compare_sources);
    for (size_t i = 0; i < c->n_sources; i++) {
        const struct source *source = &c->sources[i];

        c->events += source->sealed;
        if (!source->cut && source->raw > source->sealed)
            c->events += source->raw - source->sealed;
    }
    return 0;
}

void catalogue_release(struct catalogue *c)
{
    for (size_t i = 0; i < c->n_sources; i++)
        free(c->sources[i].blocks);
    for (size_t i = 0; i < c->n_documents; i++)
        free(c->documents[i].text);
    free(c->sources);
    free(c->documents);
    buf_release(&c->texts);
    if (c->fd >= 0)
        close(c->fd);
    *c = (struct catalogue){.fd = -1};
}

const char *catalogue_text(struct catalogue *c, uint32_t ref)
{
    const uint32_t seen = UINT32_C(1) << 31; /* in length: text moved down by four, NUL behind it */
    struct text_entry entry;
    char *at;

    if (ref == TEXT_LOST)
        return "(text lost)";
    if (ref == NO_REF || ref - 1 + sizeof(entry) > c->texts.n)
        return "";
    at = c->texts.data + (ref - 1);
    memcpy(&entry, at, sizeof(entry));
    if (entry.length & seen)
        return at + sizeof(entry.length);
    if (entry.length > TEXT_MAX || ref - 1 + sizeof(entry) + entry.length > c->texts.n ||
        entry.check != (uint32_t)XXH3_64bits(at + sizeof(entry), entry.length))
        return "";
    memmove(at + sizeof(entry.length), at + sizeof(entry), entry.length);
    at[sizeof(entry.length) + entry.length] = '\0';
    entry.length |= seen;
    memcpy(at, &entry.length, sizeof(entry.length));
    return at + sizeof(entry.length);
}

/* Unpacks a document's body: u16 name length, name, u64 size, zstd frame. */
static bool unpack_document(struct document *document, const struct buf *body)
{
    uint64_t size;
    uint16_t n = 0;
    size_t head;

    if (body->n < sizeof(n) + sizeof(size))
        return false;
    memcpy(&n, body->data, sizeof(n));
    head = sizeof(n) + n + sizeof(size);
    if (body->n < head)
        return false;
    memcpy(&size, body->data + sizeof(n) + n, sizeof(size));
    if (size > DOCUMENT_BYTES_MAX ||
        size != ZSTD_getFrameContentSize(body->data + head, body->n - head))
        return false;
    document->text = malloc(size + 1);
    if (!document->text)
        abort();
    document->text[size] = '\0';
    document->n = size;
    return ZSTD_decompress(document->text, size, body->data + head, body->n - head) == size;
}

const char *catalogue_document(struct catalogue *c, const char *name, size_t *n)
{
    struct document *document = document_named(c, name);
    struct buf body = {0};

    if (!document)
        return NULL;
    if (!document->text) {
        struct err err;
        int result = catalogue_body(c, &document->block, &body, &err);

        if (result != 0 || !unpack_document(document, &body)) {
            catalogue_damage(c, "document %.100s", name);
            free(document->text);
            document->text = NULL;
        }
        buf_release(&body);
    }
    if (document->text && n)
        *n = document->n;
    return document->text;
}
