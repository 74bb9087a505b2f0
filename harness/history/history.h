/*
 * Histories: written by many processes while a case runs, sealed behind them, read by checkers.
 *
 *     struct history_writer *w = history_writer_open(folder, "app-0.0.0", by, err);
 *     history_record(w, &event);                    // committed when it returns: survives SIGKILL
 *     uint32_t ref = history_text(w, "kill: $old"); // texts by number, for EV_*.ref
 *     history_writer_close(w);
 *
 *     struct history_reader *r = history_open(case_folder, BY_TIME, wants, err);
 *     while ((n = history_next(r, batch, BATCH, err)) > 0) …
 *
 * Folder of a case:
 *     history       sealed blocks, one file (drawn in format.h)
 *     raw/NAME.log  what is not yet sealed: fixed-size records behind a commit cursor, mapped;
 *                   segments prefaulted ahead with fallocate (a full disk is an error, not a
 *                   SIGBUS), and used again once they are sealed
 *     raw/texts     texts of all writers
 * A writer belongs to one thread. Raw logs of dead processes hold all they committed.
 */
#ifndef ASSAY_HISTORY_HISTORY_H
#define ASSAY_HISTORY_HISTORY_H

#include "api/checker.h"
#include "api/event.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* ---- writing */
struct history_writer;
/* NAME is unique in its case (client, worker, incarnation), without '/' and at most 199 bytes; a
 * log is never written over. `by` goes into every event. Open the sealer before the writers: they
 * take its clock error into their headers. */
struct history_writer *history_writer_open(const char *case_folder, const char *name, uint16_t by,
                                           struct err *err);
/* Commits one event (release store of the cursor). At the bound or on a full disk the event is not
 * taken, history_full turns true and EV_FULL is the last record (room for it is kept). */
void history_record(struct history_writer *w, const struct event *e);
/* The same for hot paths, without a copy: the record is written where it will lie.
 *     struct event *e = history_begin(w);
 *     *e = (struct event){.type = EV_DELIVER, …};   // all of it but `by`
 *     history_end(w, e); */
static inline struct event *history_begin(struct history_writer *w);
static inline void history_end(struct history_writer *w, struct event *e);
/* And several, committed together: room for at most *n of them in a row, *n lowered to what there
 * is, 1 at least. As many as were written are given to history_end_many, none is allowed. Each gets
 * its `by` from who writes it, history_by(w), and before it history_ahead. */
static inline struct event *history_begin_many(struct history_writer *w, size_t *n);
static inline void history_end_many(struct history_writer *w, struct event *first, size_t n);
static inline uint16_t history_by(const struct history_writer *w);
bool history_full(const struct history_writer *w);
const bool *history_full_flag(const struct history_writer *w); /* for who looks at it often */
/* Number of a text (of at most 8 KiB, the rest is cut), unique in its case; equal texts may get
 * equal numbers. Never 0. One system call for a new text, none for one of the last. */
uint32_t history_text(struct history_writer *w, const char *text);
void history_writer_close(struct history_writer *w); /* NULL allowed */

/* The half of a writer that is in the open for that; nobody else touches it. */
struct history_head {
    struct event *next;  /* where the next record goes */
    struct event *limit; /* from here on the slow path: look for a segment, or change to it */
    uint64_t n;          /* records so far */
    _Atomic uint64_t *committed; /* the log's cursor */
    uint16_t by;
    struct event spare; /* begun where there was no place: taken by the slow path */
};

static inline uint16_t history_by(const struct history_writer *w)
{
    return ((const struct history_head *)(const void *)w)->by;
}

static inline void history_commit(struct history_head *head, size_t n)
{
    head->next += n;
    head->n += n;
    atomic_store_explicit(head->committed, head->n, memory_order_release);
}

/* With every record: the line of a later one is asked for. No cache is warm where records go, and a
 * library's next locked instruction would wait for all of them. */
static inline void history_ahead(const struct event *e)
{
    __builtin_prefetch(e + 16, 1);
}

static inline struct event *history_begin(struct history_writer *w)
{
    struct history_head *head = (struct history_head *)(void *)w;

    return __builtin_expect(head->next < head->limit, 1) ? head->next : &head->spare;
}

static inline void history_end(struct history_writer *w, struct event *e)
{
    struct history_head *head = (struct history_head *)(void *)w;

    history_ahead(e);
    e->by = head->by;
    if (__builtin_expect(e != &head->spare, 1))
        history_commit(head, 1);
    else
        history_record(w, e);
}

static inline struct event *history_begin_many(struct history_writer *w, size_t *n)
{
    struct history_head *head = (struct history_head *)(void *)w;
    size_t room = (size_t)(head->limit - head->next);

    if (*n > room)
        *n = room > 0 ? room : 1;
    return room > 0 ? head->next : &head->spare;
}

static inline void history_end_many(struct history_writer *w, struct event *first, size_t n)
{
    struct history_head *head = (struct history_head *)(void *)w;

    if (__builtin_expect(first != &head->spare, 1))
        history_commit(head, n);
    else if (n > 0)
        history_record(w, first);
}

/* ---- sealing: the coordinator's business, one thread */
struct sealer;
struct sealer *sealer_open(const char *case_folder, struct err *err);
/* A named document into the history: "plan", "versions", "effective/kafka-1" … */
int sealer_document(struct sealer *s, const char *name, const char *text, size_t n,
                    struct err *err);
/* Seals whole blocks of what was committed so far and gives their room back to the writers; cheap
 * when nothing is there. Writers that outrun it make their logs grow, and log after log pushes the
 * servers' data out of the caches: with Kafka at 2 million messages a second its brokers needed a
 * tenth more time for each at a step every 50 ms than at one every 5 ms. */
#define SEAL_EVERY_NS 5000000
int sealer_step(struct sealer *s, struct err *err);
/* All writers are closed or dead: seals the rest, writes the index and the end mark, removes raw/.
 */
int sealer_finish(struct sealer *s, struct err *err);
void sealer_close(struct sealer *s);

/* ---- reading: sealed or not, whole or cut short */
struct history_reader;
struct history_info {
    int format;             /* version of the layout */
    bool complete;          /* has its end mark: the case ran to its end */
    uint64_t events, bytes; /* events and bytes on disk, raw logs included */
    /* "" or the first that was found: "block at byte 4096: checksum". Bodies are looked at when
     * they are read, so it is whole once history_next returned 0. */
    char damage[200];
    int64_t clock_error_ns; /* ε, cross-CPU error measured at start */
    int64_t utc_anchor_ns, monotonic_anchor_ns;
};
/* wants: bits as WANTS(…), UINT64_MAX all. PER_WRITER hands out writer after writer, in the order
 * of (by, name), and no batch holds two; BY_TIME merges all by at_ns. In both, events of one writer
 * stay in the order it recorded them, even where it stamped one earlier than the one before. */
struct history_reader *history_open(const char *case_folder, enum check_order order, uint64_t wants,
                                    struct err *err);
/* Up to max events; 0 at the end, -1 on an I/O error. Damage ends a writer's stream early and is
 * told by history_info. */
long history_next(struct history_reader *r, struct event *out, size_t max, struct err *err);
void history_info(const struct history_reader *r, struct history_info *info);
const char *history_text_of(struct history_reader *r, uint16_t by,
                            uint32_t ref); /* "" when unknown */
const char *history_document(struct history_reader *r, const char *name,
                             size_t *n); /* NULL when absent; borrowed */
size_t history_documents(struct history_reader *r, const char *const **names);
void history_close(struct history_reader *r);

/* ---- one event as text for people, or as one JSON line that another program can judge by */
struct buf;
void event_print(struct history_reader *r, const struct event *e, int64_t zero_ns, char *out,
                 size_t size);
char *event_json(struct history_reader *r, const struct event *e); /* caller frees */

#endif
