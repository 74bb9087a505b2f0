/*
 * Feeds the reader histories that are almost right: valid sealed and raw files, mutated, and then
 * with their checksums repaired, so that what lies behind the checksums is reached.
 *
 *     history_fuzz ITERATIONS SEED     no output but a summary; a crash or a hang is the finding
 *
 * Input i of seed S is input 0 of seed S + i: `history_fuzz 1 S+i` repeats it alone. Files live in
 * a folder of their own under /dev/shm (or $TMPDIR).
 */
#include "base/buf.h"
#include "base/draw.h"
#include "history/format.h"
#include "history/history.h"
#include "history/show.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define HANG_S 20 /* one input may take so long under sanitizers on a busy machine */
#define ROUNDS_MAX 10u

static struct draw draws;
static uint64_t drawn;

static uint64_t below(uint64_t n)
{
    return draw_below(&draws, drawn++, n);
}

static void die(const char *what)
{
    fprintf(stderr, "history_fuzz: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- what is mutated */

static void record_some(struct history_writer *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct event e = {.at_ns = 1000 + (int64_t)i * 10, .seq = i, .position = i, .unit = i % 3};

        e.type = (uint8_t)(1 + (i < EVENT_TYPES - 1 ? i : i % 3));
        e.key = i % 7;
        e.outcome_level = event_result(OUTCOME_OK, LEVEL_LEADER);
        e.flags = (uint8_t)i;
        e.ref = i % 5 ? i % 4 : history_text(w, i % 2 ? "a text" : "another");
        event_normalise(&e);
        history_record(w, &e);
    }
}

/* Two writers, documents and texts; the second writer's log stays raw. */
static void make_corpus(const char *folder)
{
    static const char names[] = "node 0 n1\nunit 2 orders/2\nclient 0 app.0\nburst 1 b\nstep 3 s\n";
    struct err err = {0};
    struct sealer *s = sealer_open(folder, &err);
    struct history_writer *w = history_writer_open(folder, "a", 0, &err);

    if (!s || !w || sealer_document(s, "plan", "plan: 1\n", 8, &err) < 0 ||
        sealer_document(s, "names", names, sizeof(names) - 1, &err) < 0)
        die(err.text);
    record_some(w, 80);
    history_writer_close(w);
    if (sealer_finish(s, &err) < 0)
        die(err.text);
    sealer_close(s);
    w = history_writer_open(folder, "b", BY_COORDINATOR, &err);
    if (!w)
        die(err.text);
    record_some(w, 40);
    history_writer_close(w);
}

struct file {
    const char *path;
    int fd;
    bool mutated; /* what lies on disk is the mutant */
    struct buf bytes, mutant;
};

static void load(struct file *file, const char *folder, const char *name)
{
    struct buf path = {0};
    struct stat st;

    buf_printf(&path, "%s/%s", folder, name);
    file->path = buf_take(&path);
    file->fd = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file->fd < 0 || fstat(file->fd, &st) < 0 ||
        pread(file->fd, buf_reserve(&file->bytes, (size_t)st.st_size), (size_t)st.st_size, 0) !=
            st.st_size)
        die(file->path);
    file->bytes.n = (size_t)st.st_size;
}

static void store(const struct file *file, const struct buf *bytes)
{
    if (pwrite(file->fd, bytes->data, bytes->n, 0) != (ssize_t)bytes->n ||
        ftruncate(file->fd, (off_t)bytes->n) < 0)
        die(file->path);
}

static void restore(struct file *file)
{
    if (file->mutated)
        store(file, &file->bytes);
    file->mutated = false;
}

/* ---- mutations */

static void flip(struct buf *b)
{
    size_t at = below(b->n);

    b->data[at] = (char)(b->data[at] ^ 1 << below(8));
}

static void interesting(struct buf *b)
{
    static const uint64_t words[] = {
        0,          1,         0x7f,       0x80,           0xff, 0x7fff, 0xffff,  0x7fffffff,
        0xffffffff, INT64_MAX, UINT64_MAX, UINT64_MAX - 7, 64,   8192,   1u << 26};
    size_t bytes = (size_t)1 << below(4);
    uint64_t word = words[below(sizeof(words) / sizeof(words[0]))];

    if (b->n >= bytes)
        memcpy(b->data + below(b->n - bytes + 1), &word, bytes);
}

static void move(struct buf *b)
{
    size_t n = 1 + below(b->n < 200 ? b->n : 200);

    memmove(b->data + below(b->n - n + 1), b->data + below(b->n - n + 1), n);
}

static void shorten(struct buf *b)
{
    b->n -= below(b->n) / (1 + below(16));
}

static void insert(struct buf *b)
{
    size_t at = below(b->n + 1) / 8 * 8;
    size_t n = 8 * (1 + below(32));

    buf_reserve(b, n);
    memmove(b->data + at + n, b->data + at, b->n - at);
    if (below(2))
        memset(b->data + at, 0, n);
    b->n += n;
}

static void cut_out(struct buf *b)
{
    size_t at = below(b->n) / 8 * 8;
    size_t n = 8 * (1 + below(32));

    n = n < b->n - at ? n : b->n - at;
    memmove(b->data + at, b->data + at + n, b->n - at - n);
    b->n -= n;
}

static void mutate(struct buf *b)
{
    static void (*const ways[])(struct buf *) = {flip, interesting, flip,    interesting,
                                                 move, insert,      cut_out, shorten};

    for (uint64_t i = 1 + below(ROUNDS_MAX); i && b->n; i--)
        ways[below(i == 1 ? 8 : 5)](b);
}

/* ---- repairs */

static void repair_block(struct buf *b, size_t at, struct block_header *header)
{
    memcpy(header, b->data + at, sizeof(*header));
    header->magic = BLOCK_MAGIC;
    if (header->bytes > b->n - at - sizeof(*header))
        header->bytes = (uint32_t)(b->n - at - sizeof(*header));
    header->body_check = XXH3_64bits(b->data + at + sizeof(*header), header->bytes);
    header->check = 0;
    header->check = (uint32_t)XXH3_64bits(header, sizeof(*header));
    memcpy(b->data + at, header, sizeof(*header));
}

/* Entries of an index whose blocks have new headers. */
static void repair_index(struct buf *b, size_t at, const struct block_header *header)
{
    char *body = b->data + at + sizeof(*header);

    for (size_t i = 0; i + sizeof(struct index_entry) <= header->bytes;
         i += sizeof(struct index_entry)) {
        struct index_entry entry;

        memcpy(&entry, body + i, sizeof(entry));
        if (entry.offset + sizeof(entry.header) <= at && entry.offset < at)
            memcpy(&entry.header, b->data + entry.offset, sizeof(entry.header));
        memcpy(body + i, &entry, sizeof(entry));
    }
}

static void repair(struct buf *b)
{
    struct file_header file;
    struct block_header header;
    size_t at = sizeof(file);
    uint64_t index = 0;

    if (b->n < sizeof(file))
        return;
    memcpy(&file, b->data, sizeof(file));
    file.magic = HISTORY_MAGIC;
    file.format = below(50) ? HISTORY_FORMAT : file.format;
    file.check = XXH3_64bits(&file, offsetof(struct file_header, check));
    memcpy(b->data, &file, sizeof(file));
    while (at + sizeof(header) <= b->n) {
        memcpy(&header, b->data + at, sizeof(header));
        if (header.kind == BLOCK_INDEX) {
            index = at;
            header.bytes = header.bytes <= b->n - at - sizeof(header) ? header.bytes : 0;
            repair_index(b, at, &header);
        }
        if (header.kind == BLOCK_END && below(4)) {
            header.first = index;
            memcpy(b->data + at, &header, sizeof(header));
        }
        repair_block(b, at, &header);
        at += sizeof(header) + (size_t)block_padded(header.bytes);
    }
}

static void repair_texts(struct buf *b)
{
    size_t at = 0;

    while (at + sizeof(struct text_entry) <= b->n) {
        struct text_entry entry;

        memcpy(&entry, b->data + at, sizeof(entry));
        if (entry.length > b->n - at - sizeof(entry))
            break;
        entry.check = (uint32_t)XXH3_64bits(b->data + at + sizeof(entry), entry.length);
        memcpy(b->data + at, &entry, sizeof(entry));
        at += sizeof(entry) + entry.length;
    }
}

/* ---- reading */

static uint64_t events_read, damaged, refused;

static void read_events(struct history_reader *r)
{
    struct event batch[64];
    struct err err = {0};
    char line[300];
    long n;

    while ((n = history_next(r, batch, 1 + below(64), &err)) > 0) {
        const struct event *e = &batch[below((uint64_t)n)];
        char *json = event_json(r, e);

        event_print(r, e, 0, line, sizeof(line));
        if (history_text_of(r, e->by, e->ref)[0] == '\x01')
            events_read++;
        free(json);
        events_read += (uint64_t)n;
    }
}

static void read_history(const char *folder)
{
    enum check_order order = below(2) ? BY_TIME : PER_WRITER;
    struct err err = {0};
    struct history_reader *r;
    struct history_info info;
    const char *const *names;

    r = history_open(folder, order, below(2) ? UINT64_MAX : draw_u64(&draws, drawn++), &err);
    if (!r) {
        refused++;
        return;
    }
    for (size_t i = history_documents(r, &names); i-- > 0;)
        history_document(r, names[i], NULL);
    read_events(r);
    history_info(r, &info);
    damaged += info.damage[0] != '\0';
    history_close(r);
}

/* Now and then the whole of what `show` and `explain` do. */
static void show_history(const char *folder, FILE *nowhere)
{
    struct err err;

    show_json(folder, nowhere, &err);
    show_text(folder, nowhere, &err);
    show_message(folder, below(2) ? "app/3" : "client1.0.0.2/3", nowhere, &err);
}

static void one_input(struct file *sealed, struct file *raw, struct file *texts)
{
    struct file *victim = below(4) ? sealed : below(4) ? raw : texts;

    buf_clear(&victim->mutant);
    buf_add(&victim->mutant, victim->bytes.data, victim->bytes.n);
    mutate(&victim->mutant);
    if (victim == sealed && below(10))
        repair(&victim->mutant);
    if (victim == texts && below(10))
        repair_texts(&victim->mutant);
    store(victim, &victim->mutant);
    victim->mutated = true;
    if (victim != sealed)
        restore(sealed);
    if (victim != raw)
        restore(raw);
    if (victim != texts)
        restore(texts);
}

static void release(struct file *file)
{
    unlink(file->path);
    close(file->fd);
    buf_release(&file->bytes);
    buf_release(&file->mutant);
    free((void *)(uintptr_t)file->path);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    char folder[256], raw_folder[300];
    struct file sealed = {0}, raw = {0}, texts = {0};
    FILE *nowhere = fopen("/dev/null", "we");

    snprintf(folder, sizeof(folder), "%s/history-fuzz-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/dev/shm");
    if (!nowhere || !mkdtemp(folder))
        die(folder);
    make_corpus(folder);
    load(&sealed, folder, "history");
    load(&raw, folder, "raw/b.log");
    load(&texts, folder, "raw/texts");
    for (uint64_t i = 0; i < n; i++) {
        draws = draw_stream(seed + i, "history_fuzz");
        drawn = 0;
        alarm(HANG_S);
        one_input(&sealed, &raw, &texts);
        read_history(folder);
        if (below(100) == 0)
            show_history(folder, nowhere);
    }
    alarm(0);
    printf("%llu inputs: %llu events read, %llu damaged, %llu refused\n", (unsigned long long)n,
           (unsigned long long)events_read, (unsigned long long)damaged,
           (unsigned long long)refused);
    release(&sealed);
    release(&raw);
    release(&texts);
    fclose(nowhere);
    snprintf(raw_folder, sizeof(raw_folder), "%s/raw", folder);
    rmdir(raw_folder);
    rmdir(folder);
    return 0;
}
