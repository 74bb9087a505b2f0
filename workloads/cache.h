/*
 * Inside of workload `cache`: its parameters and one worker's state. cache.c has the table and the
 * loop, cache_reader.c what a read does, cache_writer.c what a write does, cache_relay.c who
 * carries the database's changes to the cache, cache_queue.c what goes through a queue,
 * cache_outbox.c and cache_broker.c what goes through an outbox and a broker, cache_watch.c a cache
 * that is the only copy.
 */
#ifndef ASSAY_WORKLOADS_CACHE_H
#define ASSAY_WORKLOADS_CACHE_H

#include "api/worker.h"
#include "base/draw.h"

enum cache_protocol {
    CACHE_ASIDE,         /* commit, then delete */
    CACHE_DELETE_FIRST,  /* delete, then commit */
    CACHE_DOUBLE_DELETE, /* delete, commit, delete again after a delay */
    CACHE_DOUBLE_WRITE,  /* commit, then set the new value */
    CACHE_WRITE_THROUGH, /* set inside of the transaction */
    CACHE_READ_THROUGH,  /* as aside; one loader per key at a time fills */
    CACHE_PUBSUB,        /* as aside, and local copies are told by PUBLISH */
    CACHE_TRACKING,      /* as aside, and local copies are told by the cache itself */
    CACHE_CHANGE_STREAM, /* the writer only commits: a relay follows the database's changes */
    CACHE_QUEUE,         /* commit, then into a queue: a relay deletes what it takes from there */
    CACHE_WRITE_BEHIND,  /* set, and into a queue: a relay writes the database from there */
    CACHE_OUTBOX,        /* commit with a row in an outbox: a relay deletes what it finds there */
    CACHE_BROKER,        /* commit, then a message: who consumes it deletes the entry, or sets it */
    CACHE_WATCH,         /* read, changed and set in the cache alone, between WATCH and EXEC */
};
enum cache_on_error { CACHE_IGNORE, CACHE_RETRY };
enum cache_on_gap { CACHE_KEEP, CACHE_FLUSH };
enum cache_settles { CACHE_SETTLES_AFTER, CACHE_SETTLES_BEFORE };
enum cache_tells { CACHE_TELLS_AFTER, CACHE_TELLS_BEFORE };
enum cache_relay_how { CACHE_RELAY_DELETE, CACHE_RELAY_VALUE };

struct cache_args {
    const char *db, *cache;
    int protocol, guard, on_error, on_gap, tells, settles, relay, reads, cache_reads;
    int64_t keys, ttl_ns, jitter, negative_ttl_ns, local_ttl_ns, delay_ns;
    int64_t abort_every, remove_every;
    bool single_flight;
};

enum cache_step {
    AFTER_CACHE_MISS,
    AFTER_DB_READ,
    BEFORE_CACHE_SET,
    AFTER_CACHE_SET,
    BEFORE_DB_COMMIT,
    AFTER_DB_COMMIT,
    BEFORE_CACHE_DELETE,
    AFTER_CACHE_DELETE,
    BEFORE_INVALIDATE,
    AFTER_INVALIDATE,
};

/* A copy inside the process. */
struct local_copy {
    uint64_t version;
    int64_t until_ns; /* 0: none */
};

struct cache_worker {
    struct worker *worker;
    const struct cache_args *args;
    const struct store *store, *replica;
    const struct cache *cache;
    struct draw keys, jitter, values;
    uint64_t n_ops, n_fills;
    bool sent;                /* what the write at hand told the broker decides its outcome */
    struct local_copy *local; /* by key; NULL: one level */
};

/* Sets what was read or written, as long as the suite says; records what was refused as such. */
enum outcome cache_fill(struct cache_worker *c, uint32_t key, const struct store_item *item,
                        uint64_t lease);
/* Asks until it is done, where the suite says so. What a guard refuses is answered; a server that
 * refuses (a primary without replicas, one that is none any more) is asked again. */
bool cache_again(const struct cache_worker *c, enum outcome outcome, bool guarded);
/* Tells the cache of a committed change, as `relay` says: sets the value, or deletes the entry.
 * What a guard refuses to set is done: something newer is there. */
enum outcome cache_carry(struct cache_worker *c, const struct store_item *item);
/* Takes the invalidations that have come since, then reads. */
void cache_read(struct cache_worker *c, const struct work_order *order, uint32_t key);
void cache_write(struct cache_worker *c, const struct work_order *order, uint32_t key);
/* Until the worker is asked to stop. */
int cache_relay_run(struct cache_worker *c, struct err *err);
int cache_queue_run(struct cache_worker *c);
/* Empties the outbox writers fill (protocol outbox), until the worker is asked to stop. */
int cache_outbox_run(struct cache_worker *c);
/* Consumes what writers send (protocol broker), until the worker is asked to stop. */
int cache_broker_run(struct cache_worker *c);
/* Tells the broker of a committed write, with its steps. */
void cache_send(struct cache_worker *c, const struct work_order *order,
                const struct store_item *item);
/* Acknowledged as soon as the cache has it. */
void cache_write_behind(struct cache_worker *c, const struct work_order *order, uint32_t key);
/* Made from what the cache holds, and set unless somebody changed it meanwhile. */
void cache_write_watched(struct cache_worker *c, const struct work_order *order, uint32_t key);
/* Version the next write of a key stands on, by what the cache answered when it was asked: the
 * entry's, or where there is none the database's. OUTCOME_UNKNOWN where neither answers. */
enum outcome cache_stands_on(struct cache_worker *c, uint32_t key, enum outcome cached,
                             const struct cache_value *value, uint64_t *version);
/* Tells the relay of a committed write, with its steps. */
void cache_enqueue(struct cache_worker *c, uint32_t key, uint64_t version);
/* A removal the protocol asks for, with its steps. */
void cache_invalidate(struct cache_worker *c, uint32_t key, uint64_t version);

#endif
