/* Names and field masks of all events, from events.def; names of the numbers inside them. */
#include "api/event.h"

#include <assert.h>
#include <stddef.h>

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

void event_normalise(struct event *e)
{
    unsigned fields;

    assert(e->type != EVENT_NONE && e->type < EVENT_TYPES);
    fields = event_kinds[e->type].fields;
    if (!(fields & EF_MSG)) {
        e->client = e->incarnation = e->worker = 0;
        e->seq = 0;
    }
    e->attempt = fields & EF_ATT ? e->attempt : 0;
    e->key = fields & EF_KEY ? e->key : 0;
    e->position = fields & EF_POS ? e->position : 0;
    e->value = fields & EF_VAL ? e->value : 0;
    e->unit = fields & EF_UNIT ? e->unit : 0;
    e->epoch = fields & EF_EPOCH ? e->epoch : 0;
    e->ref = fields & EF_REF ? e->ref : 0;
    e->node = fields & EF_NODE ? e->node : 0;
    e->code = fields & EF_CODE ? e->code : (int16_t)0;
    e->flags = fields & EF_FLG ? e->flags : 0;
    if (!(fields & EF_OUT))
        e->outcome_level &= 0xf0;
    if (!(fields & EF_LEV))
        e->outcome_level &= 0x0f;
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
    static const char *const names[] = {"?",       "ttl",            "retention", "max_length",
                                        "evicted", "delivery_limit", "compact"};

    return NAME_OF(names, expiry);
}

const char *hazard_name(int hazard)
{
    static const char *const names[] = {"?",          "takeover",    "restart",  "limit",
                                        "unroutable", "outstanding", "unsettled",
                                        "exit",       "wiped",       "severed"};

    return NAME_OF(names, hazard);
}
