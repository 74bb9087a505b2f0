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

#define BIT(field) (1u << PACKED_##field)
#define IDS (BIT(CLIENT) | BIT(INCARNATION) | BIT(WORKER))
#define PLACE (BIT(KEY) | BIT(UNIT))
#define LINKS (BIT(EPOCH) | BIT(REF))
#define ENDS (BIT(NODE) | BIT(CODE) | BIT(RESULT) | BIT(FLAGS))

INLINE bool differs(const struct shape *s, enum packed_field field)
{
    return s->differs >> field & 1;
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

    if (differs(s, field)) {
        actual += take(at, s, field);
        slot_learn(slots, slot, actual);
    } else {
        slots->items[slot].last = actual;
    }
    return actual;
}

/*
 * An event is carried as eight words, in registers: a field changed in memory and read again as
 * part of something wider waits for the store to leave the processor, once for every event.
 *
 *   word 4  unit, key   5  epoch, ref   6  client, incarnation, worker, by
 *        7  node, code (16 bits each), type, attempt, outcome and level, flags (8 each)
 */
_Static_assert(offsetof(struct event, unit) == 32 && offsetof(struct event, key) == 36, "word 4");
_Static_assert(offsetof(struct event, epoch) == 40 && offsetof(struct event, ref) == 44, "word 5");
_Static_assert(offsetof(struct event, client) == 48 && offsetof(struct event, by) == 54, "word 6");
_Static_assert(offsetof(struct event, node) == 56 && offsetof(struct event, flags) == 63, "word 7");

INLINE uint64_t get_word(const struct event *e, unsigned i)
{
    uint64_t word;

    memcpy(&word, (const char *)e + 8 * i, sizeof(word));
    return word;
}

INLINE void set_word(struct event *e, unsigned i, uint64_t word)
{
    memcpy((char *)e + 8 * i, &word, sizeof(word));
}

/* The word with the next difference added to its field of so many bits from `shift` on. Most fields
 * are as before: a test is cheaper than adding zero. */
INLINE uint64_t take_into(uint64_t word, unsigned shift, unsigned bits, const uint8_t **at,
                          const struct shape *s, enum packed_field field)
{
    uint64_t mask = (UINT64_MAX >> (64 - bits)) << shift;

    if (!differs(s, field))
        return word;
    return (word & ~mask) | ((word + (take(at, s, field) << shift)) & mask);
}

INLINE uint64_t take_ids(const uint8_t **at, const struct shape *s, struct event *last)
{
    uint64_t ids = get_word(last, 6);

    ids = take_into(ids, 0, 16, at, s, PACKED_CLIENT);
    ids = take_into(ids, 16, 16, at, s, PACKED_INCARNATION);
    ids = take_into(ids, 32, 16, at, s, PACKED_WORKER);
    set_word(last, 6, ids);
    return ids;
}

INLINE uint64_t take_unit_key(const uint8_t **at, const struct shape *s, struct event *last)
{
    uint64_t unit_key = get_word(last, 4);

    unit_key = take_into(unit_key, 32, 32, at, s, PACKED_KEY);
    unit_key = take_into(unit_key, 0, 32, at, s, PACKED_UNIT);
    set_word(last, 4, unit_key);
    return unit_key;
}

INLINE void take_links(const uint8_t **at, const struct shape *s, struct event *last)
{
    uint64_t word = get_word(last, 5);

    word = take_into(word, 0, 32, at, s, PACKED_EPOCH);
    word = take_into(word, 32, 32, at, s, PACKED_REF);
    set_word(last, 5, word);
}

/* False: no such outcome or level. */
INLINE bool take_ends(const uint8_t **at, const struct shape *s, struct event *last)
{
    uint64_t word = get_word(last, 7);

    word = take_into(word, 0, 16, at, s, PACKED_NODE);
    word = take_into(word, 16, 16, at, s, PACKED_CODE);
    word = take_into(word, 48, 8, at, s, PACKED_RESULT);
    word = take_into(word, 56, 8, at, s, PACKED_FLAGS);
    set_word(last, 7, word);
    return (word >> 48 & 15) <= OUTCOME_BELIEVED && (word >> 52 & 15) <= LEVEL_DURABLE;
}

/* Most types that have a value have none to tell: nothing to predict then, and no slot to find. */
INLINE uint64_t take_value(const uint8_t **at, const struct shape *s, struct type_state *state,
                           uint64_t unit_key, uint64_t ids)
{
    if (!state->valued) {
        if (!differs(s, PACKED_VALUE))
            return 0;
        memset(&state->value, 0, sizeof(state->value));
        state->valued = true;
    }
    return take_slot(
        at, s, PACKED_VALUE, &state->value,
        slot_of_value((uint32_t)(unit_key >> 32), (uint16_t)ids, (uint16_t)(ids >> 32)));
}

/* One wanted event; at_ns is taken already. */
INLINE bool unpack_event(const uint8_t *at, const struct shape *s, struct type_state *state,
                         int64_t at_ns, struct event *e)
{
    struct event *last = &state->last;
    uint64_t seq = 0, position = 0, value = 0, unit_key, ids;

    ids = s->differs & IDS ? take_ids(&at, s, last) : get_word(last, 6);
    if (s->fields & EF_MSG)
        seq = take_slot(&at, s, PACKED_SEQ, &state->seq,
                        slot_of_seq((uint16_t)ids, (uint16_t)(ids >> 32)));
    if (differs(s, PACKED_ATTEMPT))
        set_word(last, 7, take_into(get_word(last, 7), 40, 8, &at, s, PACKED_ATTEMPT));
    unit_key = s->differs & PLACE ? take_unit_key(&at, s, last) : get_word(last, 4);
    if (s->fields & EF_POS)
        position = take_slot(&at, s, PACKED_POSITION, &state->position,
                             slot_of_position((uint32_t)unit_key));
    if (s->fields & EF_VAL)
        value = take_value(&at, s, state, unit_key, ids);
    if (s->differs & LINKS)
        take_links(&at, s, last);
    if (s->differs & ENDS && !take_ends(&at, s, last))
        return false;
    e->at_ns = at_ns;
    e->position = (int64_t)position;
    e->value = (int64_t)value;
    e->seq = seq;
    set_word(e, 4, unit_key);
    set_word(e, 5, get_word(last, 5));
    set_word(e, 6, ids);
    set_word(e, 7, get_word(last, 7));
    return true;
}

long unpacker_next(struct unpacker *u, uint64_t wants, struct event *out, size_t max)
{
    const uint8_t *at = u->at, *const end = u->end;
    int64_t at_ns = u->at_ns;
    uint32_t left = u->left;
    size_t n = 0;

    while (n < max && left) {
        const struct shape *s = &u->shapes[*at]; /* at the end: of the slack, and too long */

        if (end - at < s->bytes)
            return -1;
        left--;
        at_ns = (int64_t)((uint64_t)at_ns + unzigzag(load(at + 1, s->at_bytes)));
        if (wants >> s->type & 1) {
            if (!unpack_event(at + 1 + s->at_bytes, s, u->types[s->type], at_ns, &out[n]))
                return -1;
            n++;
        }
        at += s->bytes;
    }
    u->at = at;
    u->at_ns = at_ns;
    u->left = left;
    if (!left && at != end)
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
        memset(state, 0, offsetof(struct type_state, value));
        state->fields = fields;
        state->last.type = at[0];
        state->last.by = u->by;
    }
    return 0;
}

static int read_shape(const struct unpacker *u, struct shape *s, const uint8_t *at, uint64_t seen)
{
    unsigned bytes = 1;

    *s = (struct shape){.type = at[0]};
    memcpy(&s->widths, at + 1, sizeof(s->widths));
    for (unsigned field = 0; field < PACKED_FIELDS; field++) {
        if (width(s, field) > 8)
            return -1;
        bytes += width(s, field);
        s->differs |= (uint16_t)((width(s, field) != 0) << field);
    }
    if (s->type >= EVENT_TYPES || !(seen >> s->type & 1))
        return -1;
    s->bytes = (uint16_t)bytes;
    s->at_bytes = (uint8_t)width(s, PACKED_AT);
    s->fields = (uint16_t)u->types[s->type]->fields;
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
        if (read_shape(u, &u->shapes[i], at, seen) < 0)
            return -1;
    for (unsigned i = head[1]; i <= CODEC_SHAPES_MAX; i++)
        u->shapes[i].bytes = SHAPE_NONE;
    u->at = at;
    u->left = count;
    return 0;
}

void unpacker_release(struct unpacker *u)
{
    for (size_t i = 0; i < EVENT_TYPES; i++) {
        free(u->types[i]);
        u->types[i] = NULL;
    }
}
