/*
 * The body of a block back into events: the one loop all checkers wait for. Nothing in it is
 * trusted: a body with a right checksum may still be nonsense, and is then refused, not followed.
 */
#include "history/codec.h"

#include <stdlib.h>
#include <string.h>

/* The compiler counts their callers, not how often they run. */
#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t load(const uint8_t *at, unsigned bytes)
{
    static const uint64_t masks[9] = {0,
                                      0xff,
                                      0xffff,
                                      0xffffff,
                                      0xffffffff,
                                      UINT64_C(0xffffffffff),
                                      UINT64_C(0xffffffffffff),
                                      UINT64_C(0xffffffffffffff),
                                      UINT64_MAX};
    uint64_t word;

    memcpy(&word, at, 8);
    return word & masks[bytes];
}

INLINE uint64_t unzigzag(uint64_t raw)
{
    return raw >> 1 ^ (0 - (raw & 1));
}

INLINE unsigned width(const struct shape *s, enum packed_field field)
{
    return (unsigned)(s->widths >> (4 * field)) & 15;
}

/* The next difference of an event; moves *at behind it. */
INLINE uint64_t take(const uint8_t **at, const struct shape *s, enum packed_field field)
{
    unsigned bytes = width(s, field);
    uint64_t difference = unzigzag(load(*at, bytes));

    *at += bytes;
    return difference;
}

INLINE uint64_t take_slot(const uint8_t **at, const struct shape *s, enum packed_field field,
                          struct slots *slots, unsigned slot)
{
    uint64_t actual = slot_predict(slots, slot);

    if (width(s, field)) {
        actual += take(at, s, field);
        slot_learn(slots, slot, actual);
    } else {
        slots->last[slot] = actual;
    }
    return actual;
}

static void take_ids(const uint8_t **at, const struct shape *s, struct event *e)
{
    e->client = (uint16_t)(e->client + take(at, s, PACKED_CLIENT));
    e->incarnation = (uint16_t)(e->incarnation + take(at, s, PACKED_INCARNATION));
    e->worker = (uint16_t)(e->worker + take(at, s, PACKED_WORKER));
}

static bool take_rare(const uint8_t **at, const struct shape *s, struct event *e)
{
    e->epoch = (uint32_t)(e->epoch + take(at, s, PACKED_EPOCH));
    e->ref = (uint32_t)(e->ref + take(at, s, PACKED_REF));
    e->node = (uint16_t)(e->node + take(at, s, PACKED_NODE));
    e->code = (int16_t)((uint64_t)e->code + take(at, s, PACKED_CODE));
    e->outcome_level = (uint8_t)(e->outcome_level + take(at, s, PACKED_RESULT));
    e->flags = (uint8_t)(e->flags + take(at, s, PACKED_FLAGS));
    return event_outcome(e) <= OUTCOME_BELIEVED && event_level(e) <= LEVEL_DURABLE;
}

/* One wanted event; at_ns is taken already. */
INLINE bool unpack_event(const uint8_t *at, const struct shape *s, struct type_state *state,
                         int64_t at_ns, struct event *e)
{
    *e = state->last;
    e->at_ns = at_ns;
    if (s->ids)
        take_ids(&at, s, e);
    if (state->fields & EF_MSG)
        e->seq = take_slot(&at, s, PACKED_SEQ, &state->seq, slot_of_seq(e));
    if (s->widths >> (4 * PACKED_ATTEMPT) & 0xfff) {
        e->attempt = (uint8_t)(e->attempt + take(&at, s, PACKED_ATTEMPT));
        e->key = (uint32_t)(e->key + take(&at, s, PACKED_KEY));
        e->unit = (uint32_t)(e->unit + take(&at, s, PACKED_UNIT));
    }
    if (state->fields & EF_POS)
        e->position =
            (int64_t)take_slot(&at, s, PACKED_POSITION, &state->position, slot_of_position(e));
    if (state->fields & EF_VAL)
        e->value = (int64_t)take_slot(&at, s, PACKED_VALUE, &state->value, slot_of_value(e));
    if (s->rare && !take_rare(&at, s, e))
        return false;
    state->last = *e;
    return true;
}

long unpacker_next(struct unpacker *u, uint64_t wants, struct event *out, size_t max)
{
    size_t n = 0;

    while (n < max && u->left) {
        const struct shape *s;
        const uint8_t *at = u->at;

        if (at >= u->end || *at >= u->n_shapes)
            return -1;
        s = &u->shapes[*at++];
        if ((size_t)(u->end - at) < s->bytes)
            return -1;
        u->at = at + s->bytes;
        u->left--;
        u->at_ns = (int64_t)((uint64_t)u->at_ns + unzigzag(load(at, s->at_bytes)));
        if (!(wants >> s->type & 1))
            continue;
        if (!unpack_event(at + s->at_bytes, s, u->types[s->type], u->at_ns, &out[n]))
            return -1;
        n++;
    }
    if (!u->left && u->at != u->end)
        return -1;
    return (long)n;
}

static int read_types(struct unpacker *u, const uint8_t *at, size_t n, uint64_t *seen)
{
    for (; n; n--, at += CODEC_TYPE_BYTES) {
        struct type_state *state;
        uint16_t fields;

        if (at[0] == EVENT_NONE || at[0] >= EVENT_TYPES || *seen >> at[0] & 1)
            return -1;
        *seen |= UINT64_C(1) << at[0];
        memcpy(&fields, at + 1, sizeof(fields));
        if (!u->types[at[0]])
            u->types[at[0]] = malloc(sizeof(*state));
        state = u->types[at[0]];
        if (!state)
            abort();
        memset(state, 0, sizeof(*state));
        state->fields = fields;
        state->last.type = at[0];
        state->last.by = u->by;
    }
    return 0;
}

static int read_shape(struct shape *s, const uint8_t *at, uint64_t seen)
{
    unsigned bytes = 0;

    *s = (struct shape){.type = at[0]};
    memcpy(&s->widths, at + 1, sizeof(s->widths));
    for (unsigned field = 0; field < PACKED_FIELDS; field++) {
        if (width(s, field) > 8)
            return -1;
        bytes += width(s, field);
    }
    if (s->type >= EVENT_TYPES || !(seen >> s->type & 1))
        return -1;
    s->bytes = (uint8_t)bytes;
    s->at_bytes = (uint8_t)width(s, PACKED_AT);
    s->ids = s->widths >> (4 * PACKED_CLIENT) & 0xfff;
    s->rare = s->widths >> (4 * PACKED_EPOCH) != 0;
    return 0;
}

int unpacker_begin(struct unpacker *u, uint16_t by, const void *body, size_t bytes, uint32_t count)
{
    const uint8_t *at = body;
    uint16_t head[2];
    uint64_t seen = 0;

    if (bytes < CODEC_HEAD_BYTES)
        return -1;
    memcpy(head, at, sizeof(head));
    memcpy(&u->at_ns, at + 8, sizeof(u->at_ns));
    if (head[0] >= EVENT_TYPES || head[1] > CODEC_SHAPES_MAX ||
        bytes < CODEC_HEAD_BYTES + head[0] * CODEC_TYPE_BYTES + head[1] * CODEC_SHAPE_BYTES)
        return -1;
    u->by = by;
    u->end = at + bytes;
    at += CODEC_HEAD_BYTES;
    if (read_types(u, at, head[0], &seen) < 0)
        return -1;
    at += head[0] * CODEC_TYPE_BYTES;
    for (unsigned i = 0; i < head[1]; i++, at += CODEC_SHAPE_BYTES)
        if (read_shape(&u->shapes[i], at, seen) < 0)
            return -1;
    u->at = at;
    u->left = count;
    u->n_shapes = head[1];
    return 0;
}

void unpacker_release(struct unpacker *u)
{
    for (size_t i = 0; i < EVENT_TYPES; i++) {
        free(u->types[i]);
        u->types[i] = NULL;
    }
}
