/*
 * The bytes of a history, format 1. Everything is little endian and 8-byte aligned; sizes in bytes.
 * The fields of events are not repeated here: they come from api/events.def.
 *
 * ---- raw/NAME.log: one writer's records, written through a mapping by its owner alone
 *
 *        0  struct raw_header, one page: magic "ASSAYRAW", format, who writes, clock
 *     1024  committed: how many records there are. Release-stored after each record: it is all
 *           that decides what counts after a SIGKILL
 *     1088  sealed: so many of them are in the sealed file. Stored by the sealer after the block was
 *           written; only tells the writer what it may use again, no reader believes it
 *     1152  segment table: where in the file which records lie. A segment whose records are sealed
 *           is used again, so that a log neither grows nor asks the kernel for fresh pages
 *     4096  segments, arrays of struct event, reserved with fallocate and prefaulted
 *
 * ---- raw/texts: texts of all writers, appended with O_APPEND in one write each; a text's number
 *      is one more than the byte its entry starts at: unique in the whole case, and found without
 *      an index. A write cut short by a kill leaves an entry nobody refers to.
 *
 *        0  length u32 | 4 xxh3 of the text, low 32 bits | 8 the text, no NUL
 *
 * ---- history: the sealed file
 *
 *        0  struct file_header
 *       64  blocks: struct block_header, body, zeroes up to a multiple of 8
 *      end  an INDEX block and, as the last 64 bytes, an END block: both only when the case ended
 *
 *   WRITER    body: its name. `writer` numbers count from 0; `first` holds its `by`
 *   EVENTS    body: events of one writer in its order, packed (codec.h). `first`: number of the
 *             first in the writer's log, `count`: how many, so what is sealed needs no other account
 *   TEXTS     body: a stretch of raw/texts, verbatim; `first`: where it starts
 *   DOCUMENT  body: u16 name length, name, u64 size of the text, text as one zstd frame; the last of
 *             equal names counts
 *   INDEX     body: struct index_entry of every block before it
 *   END       no body; `first`: offset of the INDEX block, `count`: 0
 */
#ifndef ASSAY_HISTORY_FORMAT_H
#define ASSAY_HISTORY_FORMAT_H

#include "api/event.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "histories are little endian");

#define HISTORY_FORMAT 1u
#define RAW_MAGIC UINT64_C(0x5741525941535341)     /* "ASSAYRAW" */
#define HISTORY_MAGIC UINT64_C(0x5349485941535341) /* "ASSAYHIS" */
#define BLOCK_MAGIC UINT32_C(0x314b4c42)           /* "BLK1" */

#define WRITER_NAME_MAX 200u
#define TEXT_MAX 8192u       /* bytes of one text; longer ones are cut */
#define TEXT_LOST UINT32_MAX /* the disk was full: "(text lost)" */
#define TEXTS_BYTES_MAX (UINT32_C(256) << 20)
#define BLOCK_EVENTS 8192u                  /* events in a whole block: 512 KiB of raw log */
#define BLOCK_BODY_MAX (UINT32_C(64) << 20) /* more is damage */
#define DOCUMENT_BYTES_MAX (UINT64_C(64) << 20)
#define SEGMENT_BYTES (INT64_C(1) << 20)
#define SEGMENT_BYTES_FIRST                                                                        \
    (INT64_C(64) << 10) /* each next one is four times as large, up to SEGMENT_BYTES */
#define SEGMENTS_MAX 184u
#define RAW_BYTES_MAX (INT64_C(16) << 30) /* bound of one log: 2^28 events */

#define RAW_HEADER_BYTES 4096u
#define RAW_PAGE_BYTES 4096u
struct raw_segment {
    _Atomic uint64_t first; /* number of its first record; UINT64_MAX while it changes hands */
    uint32_t page, pages;   /* where in the file; pages 0: not in use */
};
_Static_assert(sizeof(struct raw_segment) == 16, "as drawn");

struct raw_header {
    uint64_t magic;
    uint32_t format;
    uint32_t record_bytes; /* sizeof(struct event) */
    uint16_t by;
    uint16_t name_bytes;
    uint32_t clock_id;                          /* CLOCK_MONOTONIC */
    int64_t clock_error_ns;                     /* ε of the case, -1 not measured */
    int64_t utc_anchor_ns, monotonic_anchor_ns; /* read together at open */
    uint32_t pid;
    _Atomic uint32_t closed; /* 1: its owner closed it in order */
    char name[WRITER_NAME_MAX];
    char pad0[1024 - 56 - WRITER_NAME_MAX];
    _Atomic uint64_t committed;
    char pad1[56];
    _Atomic uint64_t sealed;
    char pad2[56];
    struct raw_segment segments[SEGMENTS_MAX];
};
_Static_assert(offsetof(struct raw_header, record_bytes) == 12, "as drawn");
_Static_assert(offsetof(struct raw_header, by) == 16, "as drawn");
_Static_assert(offsetof(struct raw_header, clock_error_ns) == 24, "as drawn");
_Static_assert(offsetof(struct raw_header, pid) == 48, "as drawn");
_Static_assert(offsetof(struct raw_header, name) == 56, "as drawn");
_Static_assert(offsetof(struct raw_header, committed) == 1024, "as drawn");
_Static_assert(offsetof(struct raw_header, sealed) == 1088, "as drawn");
_Static_assert(offsetof(struct raw_header, segments) == 1152, "as drawn");
_Static_assert(sizeof(struct raw_header) == RAW_HEADER_BYTES, "one page");

/* Where record `number` lies: its offset in the file, and how many records from it on lie there in
 * one piece. 0: no segment holds it. */
uint64_t raw_locate(const struct raw_header *header, uint64_t number, uint64_t *n);

struct text_entry {
    uint32_t length;
    uint32_t check;
};
_Static_assert(sizeof(struct text_entry) == 8, "as drawn");

struct file_header {
    uint64_t magic;
    uint32_t format;
    uint32_t header_bytes;
    int64_t clock_error_ns;
    int64_t utc_anchor_ns, monotonic_anchor_ns;
    uint32_t clock_id;
    uint32_t pad;
    uint64_t reserved;
    uint64_t check; /* xxh3 of the 56 bytes before */
};
_Static_assert(offsetof(struct file_header, clock_error_ns) == 16, "as drawn");
_Static_assert(offsetof(struct file_header, check) == 56, "as drawn");
_Static_assert(sizeof(struct file_header) == 64, "as drawn");

enum block_kind {
    BLOCK_WRITER = 1,
    BLOCK_EVENTS_OF,
    BLOCK_TEXTS,
    BLOCK_DOCUMENT,
    BLOCK_INDEX,
    BLOCK_END
};

struct block_header {
    uint32_t magic;
    uint16_t kind; /* enum block_kind */
    uint16_t pad;
    uint32_t writer;
    uint32_t bytes; /* of the body, without the zeroes behind it */
    uint32_t count;
    uint32_t check; /* of this header with `check` zero: xxh3, low 32 bits */
    uint64_t first;
    uint64_t types;            /* EVENTS: bit per event type inside */
    int64_t from_ns, until_ns; /* EVENTS: earliest and latest at_ns inside */
    uint64_t body_check;       /* xxh3 of the body */
};
_Static_assert(offsetof(struct block_header, writer) == 8, "as drawn");
_Static_assert(offsetof(struct block_header, check) == 20, "as drawn");
_Static_assert(offsetof(struct block_header, first) == 24, "as drawn");
_Static_assert(offsetof(struct block_header, body_check) == 56, "as drawn");
_Static_assert(sizeof(struct block_header) == 64, "as drawn");

struct index_entry {
    uint64_t offset; /* of the block's header */
    struct block_header header;
};
_Static_assert(sizeof(struct index_entry) == 72, "as drawn");

static inline uint64_t block_padded(uint64_t bytes)
{
    return (bytes + 7) & ~UINT64_C(7);
}

#endif
