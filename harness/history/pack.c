/* Events into the body of a block. See codec.h for the bytes; unpack.c is the other side. */
#include "history/codec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct packer {
    struct type_state types[EVENT_TYPES];
    bool known[EVENT_TYPES];
    uint64_t shapes[CODEC_SHAPES_MAX]; /* widths; by number */
    uint8_t shape_types[CODEC_SHAPES_MAX];
    size_t n_shapes;
    uint8_t last_shape[EVENT_TYPES]; /* where the search starts */
    struct buf stream;
};

/* One event on its way: differences by field, and the widths they make. */
struct packed {
    uint64_t raw[PACKED_FIELDS];
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

/* 5, 6 and 7 become 8: fewer shapes, and such differences are rare. */
static unsigned width_of(uint64_t raw)
{
    if (raw == 0)
        return 0;
    if (raw < UINT64_C(1) << 8)
        return 1;
    if (raw < UINT64_C(1) << 16)
        return 2;
    if (raw < UINT64_C(1) << 24)
        return 3;
    return raw < UINT64_C(1) << 32 ? 4 : 8;
}

static void differ(struct packed *p, enum packed_field field, int64_t difference)
{
    p->raw[field] = zigzag(difference);
    p->widths |= (uint64_t)width_of(p->raw[field]) << (4 * field);
}

static void differ_slot(struct packed *p, enum packed_field field, struct slots *slots,
                        unsigned slot, uint64_t actual)
{
    differ(p, field, (int64_t)(actual - slot_predict(slots, slot)));
    slot_learn(slots, slot, actual);
}

static void difference(struct packed *p, struct type_state *state, const struct event *e,
                       int64_t at_ns)
{
    const struct event *last = &state->last;

    p->widths = 0;
    differ(p, PACKED_AT, (int64_t)((uint64_t)e->at_ns - (uint64_t)at_ns));
    differ(p, PACKED_CLIENT, (int16_t)(e->client - last->client));
    differ(p, PACKED_INCARNATION, (int16_t)(e->incarnation - last->incarnation));
    differ(p, PACKED_WORKER, (int16_t)(e->worker - last->worker));
    if (state->fields & EF_MSG)
        differ_slot(p, PACKED_SEQ, &state->seq, slot_of_seq(e), e->seq);
    differ(p, PACKED_ATTEMPT, (int8_t)(e->attempt - last->attempt));
    differ(p, PACKED_KEY, (int32_t)(e->key - last->key));
    differ(p, PACKED_UNIT, (int32_t)(e->unit - last->unit));
    if (state->fields & EF_POS)
        differ_slot(p, PACKED_POSITION, &state->position, slot_of_position(e),
                    (uint64_t)e->position);
    if (state->fields & EF_VAL)
        differ_slot(p, PACKED_VALUE, &state->value, slot_of_value(e), (uint64_t)e->value);
    differ(p, PACKED_EPOCH, (int32_t)(e->epoch - last->epoch));
    differ(p, PACKED_REF, (int32_t)(e->ref - last->ref));
    differ(p, PACKED_NODE, (int16_t)(e->node - last->node));
    differ(p, PACKED_CODE, (int16_t)(e->code - last->code));
    differ(p, PACKED_RESULT, (int8_t)(e->outcome_level - last->outcome_level));
    differ(p, PACKED_FLAGS, (int8_t)(e->flags - last->flags));
}

/* Number of the shape, made when new; -1: there is no room for another. */
static int shape_number(struct packer *packer, uint8_t type, uint64_t widths)
{
    size_t n = packer->last_shape[type];

    if (n < packer->n_shapes && packer->shapes[n] == widths && packer->shape_types[n] == type)
        return (int)n;
    for (n = 0; n < packer->n_shapes; n++)
        if (packer->shapes[n] == widths && packer->shape_types[n] == type)
            break;
    if (n == CODEC_SHAPES_MAX)
        return -1;
    if (n == packer->n_shapes) {
        packer->shapes[n] = widths;
        packer->shape_types[n] = type;
        packer->n_shapes++;
    }
    packer->last_shape[type] = (uint8_t)n;
    return (int)n;
}

static void write_event(struct buf *stream, int shape, const struct packed *p)
{
    uint8_t *start = buf_reserve(stream, 1 + 8 * PACKED_FIELDS + 8);
    uint8_t *to = start;

    *to++ = (uint8_t)shape;
    for (unsigned field = 0; field < PACKED_FIELDS; field++) {
        memcpy(to, &p->raw[field], 8);
        to += p->widths >> (4 * field) & 15;
    }
    stream->n += (size_t)(to - start);
}

static void begin(struct packer *packer)
{
    memset(packer->known, 0, sizeof(packer->known));
    memset(packer->last_shape, 0, sizeof(packer->last_shape));
    packer->n_shapes = 0;
    buf_clear(&packer->stream);
}

static struct type_state *state_of(struct packer *packer, uint8_t type)
{
    struct type_state *state = &packer->types[type];

    if (!packer->known[type]) {
        memset(state, 0, sizeof(*state));
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
    begin(packer);
    header->types = 0;
    header->from_ns = header->until_ns = at_ns;
    for (i = 0; i < n; i++) {
        const struct event *e = &events[i];
        struct type_state *state = state_of(packer, e->type);
        struct packed packed = {.widths = 0};
        int shape;

        difference(&packed, state, e, at_ns);
        shape = shape_number(packer, e->type, packed.widths);
        if (shape < 0)
            break;
        write_event(&packer->stream, shape, &packed);
        state->last = *e;
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
