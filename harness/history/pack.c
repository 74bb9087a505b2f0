/* Events into the body of a block. See codec.h for the bytes; unpack.c is the other side. */
#include "history/codec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SHAPE_PLACES 1024u /* a power of two, four times what may be in it */
#define EVENT_BYTES_MAX (1 + 8 * PACKED_FIELDS + 8) /* a difference is stored eight bytes wide */

/* What is seldom other than in the event before is looked at as words: an event's second half. */
struct half {
    uint64_t words[4];
};
#define HALF_AT offsetof(struct event, unit)
_Static_assert(HALF_AT + sizeof(struct half) == sizeof(struct event), "the second half");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "PART takes the low bits first");

#define WORD(member) ((offsetof(struct event, member) - HALF_AT) / 8)
#define PART(half, member)                                                                         \
    ((__typeof__(((struct event *)NULL)->member))((half)->words[WORD(member)] >>                   \
                                                  8 * (offsetof(struct event, member) % 8)))

struct packer {
    struct type_state types[EVENT_TYPES]; /* but for `last` */
    struct half last[EVENT_TYPES];
    bool known[EVENT_TYPES];
    uint64_t shapes[CODEC_SHAPES_MAX]; /* widths; by number */
    uint8_t shape_types[CODEC_SHAPES_MAX];
    size_t n_shapes;
    uint16_t places[SHAPE_PLACES]; /* hash table: number of a shape + 1; 0 free */
    struct buf stream;
};

/* One event on its way: its differences are written as they are found. */
struct packed {
    uint8_t *to;
    uint64_t widths;
};

struct packer *packer_open(void)
{
    struct packer *packer = calloc(1, sizeof(*packer));

    if (!packer)
        abort();
    return packer;
}

void packer_close(struct packer *packer)
{
    if (!packer)
        return;
    buf_release(&packer->stream);
    free(packer);
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

/* Bytes for a number of so many bits; 5, 6 and 7 become 8: fewer shapes, and such differences are
 * rare. */
static unsigned width_of(uint64_t raw)
{
    static const uint8_t by_byte[8] = {1, 2, 3, 4, 8, 8, 8, 8};

    return by_byte[(63 - (unsigned)__builtin_clzll(raw)) / 8];
}

static inline void differ(struct packed *p, enum packed_field field, int64_t difference)
{
    uint64_t raw = zigzag(difference);
    unsigned width;

    if (raw == 0)
        return;
    width = width_of(raw);
    memcpy(p->to, &raw, sizeof(raw));
    p->to += width;
    p->widths |= (uint64_t)width << (4 * field);
}

static inline void differ_slot(struct packed *p, enum packed_field field, struct slots *slots,
                               unsigned slot, uint64_t actual)
{
    differ(p, field, (int64_t)(actual - slot_predict(slots, slot)));
    slot_learn(slots, slot, actual);
}

static inline struct half half_of(const struct event *e)
{
    struct half half;

    memcpy(&half, (const char *)e + HALF_AT, sizeof(half));
    return half;
}

/* As event_normalise has it. */
static inline struct half normal_half_of(const struct event *e)
{
    struct half half = half_of(e), mask = half_of(&event_masks[e->type]);

    half.words[0] &= mask.words[0];
    half.words[1] &= mask.words[1];
    half.words[2] &= mask.words[2];
    half.words[3] &= mask.words[3];
    return half;
}

static void difference(struct packed *p, struct type_state *state, const struct event *e,
                       const struct half *last, const struct half *now, int64_t at_ns)
{
#define DIFFER(field, member, type) differ(p, field, (type)(PART(now, member) - PART(last, member)))
#define DIFFERS(member) (now->words[WORD(member)] != last->words[WORD(member)])
    bool how_differs = DIFFERS(node);

    differ(p, PACKED_AT, (int64_t)((uint64_t)e->at_ns - (uint64_t)at_ns));
    if (DIFFERS(client)) {
        DIFFER(PACKED_CLIENT, client, int16_t);
        DIFFER(PACKED_INCARNATION, incarnation, int16_t);
        DIFFER(PACKED_WORKER, worker, int16_t);
    }
    if (state->fields & EF_MSG)
        differ_slot(p, PACKED_SEQ, &state->seq, slot_of_seq(e->client, e->worker), e->seq);
    if (how_differs)
        DIFFER(PACKED_ATTEMPT, attempt, int8_t);
    if (DIFFERS(unit)) {
        DIFFER(PACKED_KEY, key, int32_t);
        DIFFER(PACKED_UNIT, unit, int32_t);
    }
    if (state->fields & EF_POS)
        differ_slot(p, PACKED_POSITION, &state->position, slot_of_position(PART(now, unit)),
                    (uint64_t)e->position);
    if (state->fields & EF_VAL)
        differ_slot(p, PACKED_VALUE, &state->value,
                    slot_of_value(PART(now, key), PART(now, client), PART(now, worker)),
                    (uint64_t)e->value);
    if (DIFFERS(epoch)) {
        DIFFER(PACKED_EPOCH, epoch, int32_t);
        DIFFER(PACKED_REF, ref, int32_t);
    }
    if (how_differs) {
        DIFFER(PACKED_NODE, node, int16_t);
        DIFFER(PACKED_CODE, code, int16_t);
        DIFFER(PACKED_RESULT, outcome_level, int8_t);
        DIFFER(PACKED_FLAGS, flags, int8_t);
    }
#undef DIFFER
#undef DIFFERS
}

/* Number of the shape, made when new; -1: there is no room for another. */
static int shape_number(struct packer *packer, uint8_t type, uint64_t widths)
{
    uint64_t place = ((widths + type) * UINT64_C(0x9e3779b97f4a7c15)) >> 54;

    for (;; place = (place + 1) % SHAPE_PLACES) {
        size_t n = packer->places[place];

        if (n == 0)
            break;
        if (packer->shapes[n - 1] == widths && packer->shape_types[n - 1] == type)
            return (int)n - 1;
    }
    if (packer->n_shapes == CODEC_SHAPES_MAX)
        return -1;
    packer->shapes[packer->n_shapes] = widths;
    packer->shape_types[packer->n_shapes++] = type;
    packer->places[place] = (uint16_t)packer->n_shapes;
    return (int)packer->n_shapes - 1;
}

/* Appends one event where there is room for EVENT_BYTES_MAX; false: it has a shape there is no room
 * for, and the block ends before it. */
static bool pack_event(struct packer *packer, struct type_state *state, const struct event *e,
                       int64_t at_ns)
{
    uint8_t *start = (uint8_t *)packer->stream.data + packer->stream.n;
    struct half *last = &packer->last[e->type], now = normal_half_of(e);
    struct packed packed = {.to = start + 1};
    int shape;

    difference(&packed, state, e, last, &now, at_ns);
    shape = shape_number(packer, e->type, packed.widths);
    if (shape < 0)
        return false;
    *start = (uint8_t)shape;
    packer->stream.n += (size_t)(packed.to - start);
    *last = now;
    return true;
}

static void begin(struct packer *packer, size_t n)
{
    memset(packer->known, 0, sizeof(packer->known));
    memset(packer->places, 0, sizeof(packer->places));
    packer->n_shapes = 0;
    buf_clear(&packer->stream);
    buf_reserve(&packer->stream, n * EVENT_BYTES_MAX);
}

static struct type_state *state_of(struct packer *packer, uint8_t type)
{
    struct type_state *state = &packer->types[type];

    if (!packer->known[type]) {
        memset(state, 0, sizeof(*state));
        packer->last[type] = (struct half){{0}};
        state->fields = event_kinds[type].fields;
        packer->known[type] = true;
    }
    return state;
}

/* Head, types and shapes in front of the stream. */
static void write_body(const struct packer *packer, int64_t from_ns, struct buf *out)
{
    uint16_t head[4] = {0, (uint16_t)packer->n_shapes, 0, 0};

    for (unsigned type = 0; type < EVENT_TYPES; type++)
        head[0] = (uint16_t)(head[0] + packer->known[type]);
    buf_add(out, head, sizeof(head));
    buf_add(out, &from_ns, sizeof(from_ns));
    for (unsigned type = 0; type < EVENT_TYPES; type++) {
        uint16_t fields = (uint16_t)packer->types[type].fields;

        if (!packer->known[type])
            continue;
        buf_char(out, (char)type);
        buf_add(out, &fields, sizeof(fields));
    }
    for (size_t i = 0; i < packer->n_shapes; i++) {
        buf_char(out, (char)packer->shape_types[i]);
        buf_add(out, &packer->shapes[i], sizeof(packer->shapes[i]));
    }
    buf_add(out, packer->stream.data, packer->stream.n);
}

size_t packer_pack(struct packer *packer, const struct event *events, size_t n, struct buf *out,
                   struct block_header *header)
{
    size_t before = out->n;
    int64_t at_ns = events[0].at_ns;
    size_t i;

    assert(n > 0);
    begin(packer, n);
    header->types = 0;
    header->from_ns = header->until_ns = at_ns;
    for (i = 0; i < n; i++) {
        const struct event *e = &events[i];

        if (e->type == EVENT_NONE || e->type >= EVENT_TYPES ||
            !pack_event(packer, state_of(packer, e->type), e, at_ns))
            break;
        at_ns = e->at_ns;
        header->types |= UINT64_C(1) << e->type;
        header->from_ns = at_ns < header->from_ns ? at_ns : header->from_ns;
        header->until_ns = at_ns > header->until_ns ? at_ns : header->until_ns;
    }
    write_body(packer, events[0].at_ns, out);
    header->count = (uint32_t)i;
    header->bytes = (uint32_t)(out->n - before);
    return i;
}
