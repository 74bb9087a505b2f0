/*
 * The body of an EVENTS block: events of one writer, packed so that most of them take four to eight
 * bytes and are read back at more than 10^8 a second.
 *
 *      0  u16 number of types | 2 u16 number of shapes | 4 u32 zero | 8 i64 at_ns to start from
 *     16  per type:  u8 type, u16 its field mask when it was written (events.def)
 *      …  per shape: u8 type, u64 widths: four bits per field (enum packed_field), low bits first:
 *         bytes its difference takes, 0 to 8; 0: the field is as predicted
 *      …  per event: u8 shape, then the differences, in the order of the fields
 *
 * A difference is zigzag(actual − predicted), little endian, in the field's own width. Predicted is
 *   at_ns            that of the event before, whatever its type
 *   seq              the last of (type, client, worker) + its stride
 *   position         the last of (type, unit) + its stride
 *   value            the last of (type, key, client, worker) + its stride
 *   everything else  as in the last event of that type
 * all starting from zero in each block. A stride is 0 or 1: the last step that was one of these.
 * "Of (…)" is a table of 256 slots, see the slot functions: two that meet in one cost bytes, not
 * truth. Types have tables of their own, so that a reader may skip those it does not want.
 */
#ifndef ASSAY_HISTORY_CODEC_H
#define ASSAY_HISTORY_CODEC_H

#include "api/event.h"
#include "base/buf.h"
#include "history/format.h"

#include <stdbool.h>
#include <stddef.h>

enum packed_field {
    PACKED_AT,
    PACKED_CLIENT,
    PACKED_INCARNATION,
    PACKED_WORKER,
    PACKED_SEQ,
    PACKED_ATTEMPT,
    PACKED_KEY,
    PACKED_UNIT,
    PACKED_POSITION,
    PACKED_VALUE,
    PACKED_EPOCH,
    PACKED_REF,
    PACKED_NODE,
    PACKED_CODE,
    PACKED_RESULT,
    PACKED_FLAGS,
    PACKED_FIELDS
};
_Static_assert(PACKED_FIELDS == 16, "four bits each in a u64");
_Static_assert(EVENT_TYPES <= 64, "a bit each in a u64");

#define CODEC_HEAD_BYTES 16u
#define CODEC_TYPE_BYTES 3u
#define CODEC_SHAPE_BYTES 9u
#define CODEC_SHAPES_MAX 255u
#define CODEC_SLACK 8u /* bytes that must be readable behind a body */
#define CODEC_SLOTS 256u

struct slot { /* side by side: one cache line for both */
    uint64_t last, stride;
};
struct slots {
    struct slot items[CODEC_SLOTS];
};

/* What is remembered of one type: the same on both sides. */
struct type_state {
    struct event last;
    unsigned fields; /* enum event_field */
    bool valued;     /* reading: some value was not as predicted; until then all of them are 0 */
    struct slots seq, position, value; /* reading: value is only cleared when it is needed */
};

struct packer; /* scratch memory, one per thread */
struct packer *packer_open(void);
/* Packs up to n events, as normalised, behind out->data[n]; returns how many were taken, 0 when the
 * first of them is of no type: the others end before such a one. Fills count, bytes, types,
 * from_ns, until_ns of *header. */
size_t packer_pack(struct packer *packer, const struct event *events, size_t n, struct buf *out,
                   struct block_header *header);
void packer_close(struct packer *packer);

#define SHAPE_NONE UINT16_MAX /* more bytes than any event has */
struct shape {
    uint64_t widths;
    uint16_t bytes;   /* its own number and all differences together; SHAPE_NONE */
    uint16_t differs; /* bit per packed_field whose width is not 0 */
    uint16_t fields;  /* of its type */
    uint8_t type, at_bytes;
};

struct unpacker {
    const uint8_t *at, *end;
    uint32_t left;
    uint16_t by;
    int64_t at_ns;
    struct shape shapes[256];
    struct type_state *types[EVENT_TYPES]; /* made when first seen; kept until release */
};

/* The body stays the caller's and is followed by CODEC_SLACK readable bytes. -1: not a body. */
int unpacker_begin(struct unpacker *u, uint16_t by, const void *body, size_t bytes, uint32_t count);
/* Up to max events of the wanted types; 0 at the end, -1: the bytes make no sense. */
long unpacker_next(struct unpacker *u, uint64_t wants, struct event *out, size_t max);
void unpacker_release(struct unpacker *u);

/* Parts of format 1, shared by both sides. */
static inline unsigned slot_of_seq(uint16_t client, uint16_t worker)
{
    return ((unsigned)client * 8 + worker) % CODEC_SLOTS;
}
static inline unsigned slot_of_position(uint32_t unit)
{
    return unit % CODEC_SLOTS;
}
static inline unsigned slot_of_value(uint32_t key, uint16_t client, uint16_t worker)
{
    return (key + (unsigned)client * 37 + (unsigned)worker * 101) % CODEC_SLOTS;
}
static inline uint64_t slot_predict(const struct slots *s, unsigned slot)
{
    return s->items[slot].last + s->items[slot].stride;
}
static inline void slot_learn(struct slots *s, unsigned slot, uint64_t actual)
{
    uint64_t step = actual - s->items[slot].last;

    if (step <= 1)
        s->items[slot].stride = step;
    s->items[slot].last = actual;
}

#endif
