/*
 * Events: all a history consists of, clients, faults, roles and proofs alike (events.def is the
 * list). Fixed size, no pointers; texts are referred to by number (history/history.h).
 */
#ifndef ASSAY_API_EVENT_H
#define ASSAY_API_EVENT_H

#include "api/message.h"

#include <stdint.h>

#define NO_UNIT UINT32_MAX
#define NO_NODE UINT16_MAX
#define NO_REF 0u
/* Writers ("by"): client instances from 0 as numbered by the plan, the machine's own from the top. */
#define BY_COORDINATOR UINT16_C(0xffff)
#define BY_AUDIT UINT16_C(0xfffe)
#define BY_WATCHER(cluster) ((uint16_t)(0xfff0 - (cluster)))

enum event_type {
    EVENT_NONE, /* never stored */
#define EVENT(ident, name, fields, doc) EV_##ident,
#include "api/events.def"
#undef EVENT
    EVENT_TYPES
};

enum outcome { OUTCOME_NONE, OUTCOME_OK, OUTCOME_FAIL, OUTCOME_UNKNOWN, OUTCOME_BELIEVED };
/* How strong an ok is (JUDGING: completion). For drain events: 1, 2, 3 = D1, D2, D3. */
enum level { LEVEL_NONE, LEVEL_SENT, LEVEL_LEADER, LEVEL_QUORUM, LEVEL_DURABLE };

enum event_flags {
    EV_REDELIVERED = 1,
    EV_MARKER = 2,
    EV_CUMULATIVE = 4,
    EV_REJECT = 8,
    EV_REQUEUE = 16,
    EV_GAINED = 32,
    EV_LOST = 64,
    EV_RESET = 128,
    /* EV_STEP only */
    EV_HELD = 1,
    EV_RELEASED = 2,
    EV_KILLED = 4,
};

/* How the text of a WAITED begins that is no wait's: a step could not be done. */
#define SCRIPT_STOPPED "the script stopped: "

/* The six stamps of a window and what else is said of it (JUDGING: Time). */
enum fault_stamp {
    STAMP_DECIDED = 1,
    STAMP_ASKED,
    STAMP_EFFECTIVE,
    STAMP_BITTEN, /* the witness rose before the heal */
    STAMP_PROBED, /* still biting at the end of the window */
    STAMP_HEAL_DECIDED,
    STAMP_HEAL_ASKED,
    STAMP_HEAL_EFFECTIVE,
};

enum node_state { NODE_DOWN, NODE_STARTING, NODE_UP, NODE_PAUSED, NODE_DEAD };

/* What a promise was put to (JUDGING: Exercised). */
enum hazard {
    HAZARD_TAKEOVER = 1, /* writes attempted and absent from the survivors at a takeover */
    HAZARD_RESTART,      /* acknowledged and present at a death */
    HAZARD_LIMIT,        /* attempts beyond a length, ttl or memory limit */
    HAZARD_UNROUTABLE,   /* attempts without a route */
    HAZARD_OUTSTANDING,  /* confirms outstanding at a kill */
    HAZARD_UNSETTLED,    /* deliveries handed out and not settled when their consumer was killed; unit: of what it read */
    HAZARD_EXIT,         /* in the library's hands, waited for by nobody, when the client left */
    HAZARD_WIPED,        /* the disk of a dead server was replaced: node */
    HAZARD_SEVERED,      /* sends outstanding when connections were reset */
};

/* Who answered a read, or which cache was filled. */
enum read_source { SOURCE_NONE, SOURCE_STORE, SOURCE_REPLICA, SOURCE_CACHE, SOURCE_LOCAL /* in the process */ };

/* Why a message is gone by a rule of the product (JUDGING: retention). */
enum expiry {
    EXPIRY_NONE,
    EXPIRY_TTL,
    EXPIRY_RETENTION,
    EXPIRY_MAX_LENGTH,
    EXPIRY_EVICTED,
    EXPIRY_DELIVERY_LIMIT,
    EXPIRY_COMPACTED,
};
/* As the value of EV_EXPIRED: whatever of the unit is not there. */
#define EXPIRED_WHOLE (-1)

struct event {
    int64_t at_ns;       /* CLOCK_MONOTONIC, taken by the thread that acts */
    int64_t position;
    int64_t value;
    uint64_t seq;        /* with client, incarnation, worker: the message */
    uint32_t unit;       /* plan's unit number */
    uint32_t key;
    uint32_t epoch;      /* leader epoch, ownership interval, window: see events.def */
    uint32_t ref;        /* text, burst, destination …: see events.def */
    uint16_t client, incarnation, worker;
    uint16_t by;         /* who wrote it: client instance or BY_… */
    uint16_t node;       /* plan's node number, over all clusters of the case */
    int16_t code;
    uint8_t type;        /* enum event_type */
    uint8_t attempt;
    uint8_t outcome_level; /* outcome in the low, level in the high four bits */
    uint8_t flags;
};
_Static_assert(sizeof(struct event) == 64, "one cache line");

static inline enum outcome event_outcome(const struct event *e)
{
    return (enum outcome)(e->outcome_level & 15);
}
static inline enum level event_level(const struct event *e)
{
    return (enum level)(e->outcome_level >> 4);
}
static inline uint8_t event_result(enum outcome outcome, enum level level)
{
    return (uint8_t)((unsigned)outcome | (unsigned)level << 4);
}

/* Of EV_DRIVER: CPU time in percent of what all its cores had. */
#define DRIVER_BUSY_PERCENT 80 /* above it a driver measures its own slowness */
static inline double event_driver_percent(const struct event *e)
{
    return e->position > 0 && e->code > 0 ? 100.0 * (double)e->value / (double)e->position / e->code : 0;
}

/* Bits of the field masks in events.def. */
enum event_field {
    EF_MSG = 1, EF_ATT = 2, EF_KEY = 4, EF_POS = 8, EF_VAL = 16, EF_UNIT = 32, EF_EPOCH = 64,
    EF_REF = 128, EF_NODE = 256, EF_CODE = 512, EF_OUT = 1024, EF_LEV = 2048, EF_FLG = 4096,
};

struct event_kind {
    const char *name; /* "send_invoke" */
    unsigned fields;  /* enum event_field */
    const char *doc;
};
/* Indexed by type; [EVENT_NONE] and out-of-range must not be asked for. */
extern const struct event_kind event_kinds[EVENT_TYPES];
/* All ones in the members a type has. */
extern const struct event event_masks[EVENT_TYPES];
/* Members its type does not have become zero: what a history gives back. */
void event_normalise(struct event *e);

/* Words for numbers, as text and JSON have them; "?" when out of range. */
const char *outcome_name(unsigned outcome);      /* "none", "ok", "fail", "unknown", "believed" */
const char *level_name(unsigned level);          /* "none", "sent", "leader", "quorum", "durable" */
const char *fault_stamp_name(int stamp);         /* "decided", "asked", "effective", "bitten" … */
const char *node_state_name(int state);          /* "down", "starting", "up", "paused", "dead" */
const char *source_name(int source);             /* "the store", "a replica", "the cache" … */
const char *expiry_name(int expiry);             /* "ttl", "retention", "max_length" … */
const char *hazard_name(int hazard);             /* "takeover", "restart" … */

#endif
