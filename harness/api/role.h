/*
 * Roles: what a node is right now, and according to whom (JUDGING: Roles). Watchers write the
 * table, everybody may read it; facts are plain words so that a torn read is impossible to misuse:
 * readers copy a fact between two equal, even sequence numbers.
 */
#ifndef ASSAY_API_ROLE_H
#define ASSAY_API_ROLE_H

#include <stdatomic.h>
#include <stdint.h>

/* In a history as EV_ROLE.code. */
enum role_kind {
    ROLE_NONE,
    ROLE_LEADER,        /* leader of a unit, by the controller quorum / sentinel majority / queue's own cluster */
    ROLE_CLAIMS_LEADER, /* acts as one, by its own word */
    ROLE_FOLLOWER,      /* replica of the unit, not its leader */
    ROLE_IN_SYNC,       /* in the ISR; synchronised mirror; online quorum member; replica whose link to the primary is up */
    ROLE_CONTROLLER,    /* active controller (Kafka), sentinel leader */
    ROLE_REGISTERED,    /* broker registered and unfenced; node running in the cluster */
    ROLE_COORDINATOR,   /* of a group: unit is the group's destination id | 1<<31 */
};

struct role_fact {
    uint32_t unit;    /* plan unit; NO_UNIT: of the whole cluster */
    uint16_t node;
    uint16_t source;  /* node that says so; NO_NODE: the quorum */
    uint16_t kind;    /* enum role_kind */
    uint16_t flags;
    uint32_t epoch;   /* leader epoch, config epoch, term: 0 where the system has none */
    int64_t seen_ns;  /* when this was last answered */
};

#define ROLE_FACTS_MAX 1024
/* Gauges a watcher keeps beside the roles: ready messages, group members … */
enum gauge_kind { GAUGE_NONE, GAUGE_READY, GAUGE_UNACKED, GAUGE_END_OFFSET, GAUGE_COMMITTED, GAUGE_OWNED, GAUGE_LAG };
struct gauge {
    uint32_t unit;   /* plan unit, or destination id | 1<<31 for a group as a whole */
    uint32_t kind;
    int64_t value;
    int64_t seen_ns;
};
#define GAUGES_MAX 512

struct role_table {            /* in shared memory, one per cluster */
    _Atomic uint32_t sequence; /* odd while the watcher writes */
    uint32_t n_facts, n_gauges;
    _Atomic uint64_t rounds;   /* complete observations so far */
    _Atomic int64_t round_began_ns;  /* of the last complete one */
    struct role_fact facts[ROLE_FACTS_MAX];
    struct gauge gauges[GAUGES_MAX];
};

/* A consistent copy of what the watcher last saw; no facts and gauges when it died in the middle of an update. */
void role_table_read(const struct role_table *table, struct role_table *copy);
/* Writers: begin, fill from scratch, end. One writer. */
void role_table_begin(struct role_table *table);
void role_table_fact(struct role_table *table, struct role_fact fact);
void role_table_gauge(struct role_table *table, struct gauge gauge);
void role_table_end(struct role_table *table);
/* begin, all of `from` (filled in private while the answers came in), end: readers wait for a copy, not for the network. */
void role_table_publish(struct role_table *table, const struct role_table *from);
/* "leader", "claims_leader" …; "?" when out of range. */
const char *role_kind_name(unsigned kind);

#endif
