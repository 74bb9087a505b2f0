/* Names and field masks of all events, from events.def; names of the numbers inside them. */
#include "api/event.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define MSG EF_MSG
#define ATT EF_ATT
#define KEY EF_KEY
#define POS EF_POS
#define VAL EF_VAL
#define UNIT EF_UNIT
#define EPOCH EF_EPOCH
#define REF EF_REF
#define NODE EF_NODE
#define CODE EF_CODE
#define OUT EF_OUT
#define LEV EF_LEV
#define FLG EF_FLG

const struct event_kind event_kinds[EVENT_TYPES] = {
    [EVENT_NONE] = {"none", 0, "never stored"},
#define EVENT(ident, name, fields, doc) [EV_##ident] = {name, fields, doc},
#include "api/events.def"
#undef EVENT
};

#define HAS(fields, field) (((fields) & (field)) != 0)
#define HALF(fields, field, bits) (((fields) & (field)) ? (bits) : 0)

const struct event event_masks[EVENT_TYPES] = {
#define EVENT(ident, name, fields, doc)                                                            \
    [EV_##ident] = {                                                                               \
        .at_ns = -1,                                                                               \
        .position = -HAS(fields, POS),                                                             \
        .value = -HAS(fields, VAL),                                                                \
        .seq = HAS(fields, MSG) * UINT64_MAX,                                                      \
        .unit = HAS(fields, UNIT) * UINT32_MAX,                                                    \
        .key = HAS(fields, KEY) * UINT32_MAX,                                                      \
        .epoch = HAS(fields, EPOCH) * UINT32_MAX,                                                  \
        .ref = HAS(fields, REF) * UINT32_MAX,                                                      \
        .client = HAS(fields, MSG) * UINT16_MAX,                                                   \
        .incarnation = HAS(fields, MSG) * UINT16_MAX,                                              \
        .worker = HAS(fields, MSG) * UINT16_MAX,                                                   \
        .by = UINT16_MAX,                                                                          \
        .node = HAS(fields, NODE) * UINT16_MAX,                                                    \
        .code = -HAS(fields, CODE),                                                                \
        .type = UINT8_MAX,                                                                         \
        .attempt = HAS(fields, ATT) * UINT8_MAX,                                                   \
        .outcome_level = HALF(fields, OUT, 0x0f) | HALF(fields, LEV, 0xf0),                        \
        .flags = HAS(fields, FLG) * UINT8_MAX,                                                     \
    },
#include "api/events.def"
#undef EVENT
};

/* As words, which are fewer than members and need no branch. */
void event_normalise(struct event *e)
{
    uint64_t words[sizeof(*e) / sizeof(uint64_t)], mask[sizeof(*e) / sizeof(uint64_t)];

    assert(e->type != EVENT_NONE && e->type < EVENT_TYPES);
    memcpy(words, e, sizeof(words));
    memcpy(mask, &event_masks[e->type], sizeof(mask));
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        words[i] &= mask[i];
    memcpy(e, words, sizeof(words));
}

#define NAME_OF(names, i) ((size_t)(i) < sizeof(names) / sizeof((names)[0]) ? (names)[i] : "?")

const char *outcome_name(unsigned outcome)
{
    static const char *const names[] = {"none", "ok", "fail", "unknown", "believed"};

    return NAME_OF(names, outcome);
}

const char *level_name(unsigned level)
{
    static const char *const names[] = {"none", "sent", "leader", "quorum", "durable"};

    return NAME_OF(names, level);
}

const char *fault_stamp_name(int stamp)
{
    static const char *const names[] = {
        "?",      "decided",      "asked",      "effective",     "bitten",
        "probed", "heal_decided", "heal_asked", "heal_effective"};

    return NAME_OF(names, stamp);
}

const char *node_state_name(int state)
{
    static const char *const names[] = {"down", "starting", "up", "paused", "dead"};

    return NAME_OF(names, state);
}

const char *source_name(int source)
{
    static const char *const names[] = {"?", "the store", "a replica", "the cache",
                                        "the cache of its process"};

    return NAME_OF(names, source);
}

const char *expiry_name(int expiry)
{
    static const char *const names[] = {
        "?", "ttl", "retention", "max_length", "evicted", "delivery_limit", "compact"};

    return NAME_OF(names, expiry);
}

const char *hazard_name(int hazard)
{
    static const char *const names[] = {"?",          "takeover",    "restart",   "limit",
                                        "unroutable", "outstanding", "unsettled", "exit",
                                        "wiped",      "severed"};

    return NAME_OF(names, hazard);
}
