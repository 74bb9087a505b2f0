/*
 * Inside of workload `cache`: its parameters and one worker's state. cache.c has the table and the
 * loop, cache_reader.c what a read does, cache_writer.c what a write does, cache_relay.c who
 * carries the database's changes to the cache, cache_queue.c what goes through a queue.
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
    struct local_copy *local; /* by key; NULL: one level */
};

/* Sets what was read or written, as long as the suite says; records what was refused as such. */
enum outcome cache_fill(struct cache_worker *c, uint32_t key, const struct store_item *item,
                        uint64_t lease);
/* Asks until it is done, where the suite says so. What a guard refuses is answered; a server that
 * refuses (a primary without replicas, one that is none any more) is asked again. */
bool cache_again(const struct cache_worker *c, enum outcome outcome, bool guarded);
/* Takes the invalidations that have come since, then reads. */
void cache_read(struct cache_worker *c, const struct work_order *order, uint32_t key);
void cache_write(struct cache_worker *c, const struct work_order *order, uint32_t key);
/* Until the worker is asked to stop. */
int cache_relay_run(struct cache_worker *c, struct err *err);
int cache_queue_run(struct cache_worker *c);
/* Acknowledged as soon as the cache has it. */
void cache_write_behind(struct cache_worker *c, const struct work_order *order, uint32_t key);
/* Tells the relay of a committed write, with its steps. */
void cache_enqueue(struct cache_worker *c, uint32_t key, uint64_t version);
/* A removal the protocol asks for, with its steps. */
void cache_invalidate(struct cache_worker *c, uint32_t key, uint64_t version);

#endif
