/*
 * What a workload works with: one worker thread of a client process. A workload is plain sequential
 * code; it sends what bursts ask for, takes deliveries, applies effects, settles, and passes named
 * steps on its way. Recording, step gates and the liar are behind these calls.
 *
 *     while (!worker_stopping(w)) {
 *         while (worker_next_send(w, &order, 64, &until_ns))
 *             for (i = 0; i < order.n; i++)
 *                 worker_send(w, &order, &(struct message_body){.key = k, .key_seq = n}, NO_UNIT);
 *         n = worker_poll(w, until_ns, &deliveries);
 *         for (i = 0; i < n; i++) {
 *             worker_step(w, STEP_BEFORE_PROCESS, deliveries[i].msg);
 *             …worker_effect…, worker_settle(w, &deliveries[i]);
 *         }
 *     }
 *
 * All calls belong to the worker's own thread. Nothing is allocated per operation.
 */
#ifndef ASSAY_API_WORKER_H
#define ASSAY_API_WORKER_H

#include "api/broker.h"
#include "api/cache.h"
#include "api/store.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan_case;
struct plan_client;
struct worker;

/* ---- who it is; borrowed, valid while run() runs */
const struct plan_case *worker_case(const struct worker *w);
const struct plan_client *worker_client(const struct worker *w);
struct msg_id worker_identity(const struct worker *w); /* seq: the next message's number */
bool worker_sends(const struct worker *w);
bool worker_receives(const struct worker *w);
/* Destination its messages go to, and what it reads (the group where it has one); -1: none the plan
 * knows. */
long worker_target(const struct worker *w);
long worker_source(const struct worker *w);

/* A folder of the run for what its client must keep on disk; another incarnation finds it there. */
const char *worker_folder(const struct worker *w);

/* ---- when to end: asked to quit, or the log is full (then the case is broken) */
static inline bool worker_stopping(const struct worker *w);
/* Sleeps so long, or until it is to end. */
void worker_pause(const struct worker *w, int64_t for_ns);
/* Consumers: false once no more deliveries may be taken. */
bool worker_reading(const struct worker *w);

/* ---- sending */
struct work_order {
    uint32_t burst, n; /* n messages: all of them must be sent before the next order is taken */
    uint16_t via;
    int64_t intended_ns; /* open loop: when it is due (then n is 1); 0 flat out */
    uint32_t key;        /* what the script wants it done to (`repeat: {key: next}`); NO_KEY */
};
#define NO_KEY UINT32_MAX
struct message_body {
    uint32_t key;
    uint64_t key_seq;
    uint32_t version;
    bool removed; /* its key is gone (MSG_REMOVED) */
};
/* Takes the next messages that are due and have room, `max` at most; false: none now, look again at
 * *until_ns. */
bool worker_next_send(struct worker *w, struct work_order *order, uint32_t max, int64_t *until_ns);
/* Sends one as a new message (attempt 0). unit NO_UNIT: the library chooses. Later attempts and
 * their bounds follow from worker_resend_policy. */
void worker_send(struct worker *w, const struct work_order *order, const struct message_body *body,
                 uint32_t unit);
/* Passes a delivered message on to where this client sends, as it is: it keeps its identity, so
 * that what stands twice there at the end is seen. No send of this client's own: not counted, not
 * sent again. Room for HARVEST_MAX of them is there after every poll (worker_needs.outstanding). */
void worker_forward(struct worker *w, const struct delivery *d);
/* Transactions of the broker (enum txn_verb); blocks. FAIL: certainly aborted. What was sent inside
 * completes with its end. */
bool worker_has_txn(const struct worker *w);
enum outcome worker_txn(struct worker *w, enum txn_verb verb);
enum resend { RESEND_NONE, RESEND_ON_UNKNOWN, RESEND_UNTIL_OK };
/* What the application does with an attempt that ended unknown (or not ok): `attempts` in all at
 * most. */
void worker_resend_policy(struct worker *w, enum resend policy, unsigned attempts);

/* ---- receiving: completions are counted, deliveries are handed over and borrowed until the next
 * call */
size_t worker_poll(struct worker *w, int64_t until_ns, const struct delivery **deliveries);
struct settle_how {
    bool cumulative, reject, requeue;
    uint32_t also; /* cumulative: so many deliveries besides this one are settled by it */
};
/* Asks for settlement; its answer is recorded when it comes. No-op where handing over settles. */
void worker_settle(struct worker *w, const struct delivery *d, struct settle_how how);

/* ---- effects: one journal row in a transaction of its own. OUTCOME_FAIL: certainly not applied.
 */
bool worker_has_store(const struct worker *w);
enum outcome worker_effect(struct worker *w, const struct delivery *d);

/* ---- databases and caches: handles of this worker, called directly. What they do is recorded
 * behind their ops: a COMMIT with the messages it journals and the versions it gives, reads, fills,
 * locks. NULL ops: the workload asked for none (worker_needs). */
struct store {
    const struct store_ops *ops;
    void *self;
};
struct cache {
    const struct cache_ops *ops;
    void *self;
};
const struct store *worker_store(const struct worker *w);
const struct store *worker_replica(const struct worker *w);
const struct cache *worker_cache(const struct worker *w);
/* One of an order's n that was no send (a read, a write, a lock) is done; hit: a cache served it.
 */
void worker_did(struct worker *w, const struct work_order *order, enum outcome outcome, bool hit);
/* What the application was served, between these two: READ events, ages are judged by them. */
void worker_read_invoke(struct worker *w, const struct work_order *order, uint32_t key);
void worker_read_complete(struct worker *w, const struct work_order *order, uint32_t key,
                          uint64_t version, enum read_source source, enum outcome outcome);
/* A write of the workload's own making, between these two: WRITE events as a store's are. For what
 * is acknowledged before the store has it. */
void worker_write_invoke(struct worker *w, uint32_t key, uint64_t version);
void worker_write_complete(struct worker *w, uint32_t key, uint64_t version, enum outcome outcome);
/* A cache inside of this process is about to hold this version of a key, or (-1 - version) to drop
 * it for a write of that version: said before anybody can read it there. */
void worker_fill_local(struct worker *w, uint32_t key, int64_t version);

/* ---- steps, by their number in workload_ops.steps; msg may be NULL */
static inline void worker_step(struct worker *w, unsigned step, const struct msg *msg);
/* For one of several tasks that share this thread: false while the gate holds it, to be asked again
 * with the same `at` (zeroed before). A hold catches the nth of them alone, the others pass. */
struct step_wait {
    int64_t nth;
    uint32_t round;
    bool held;
};
bool worker_step_passed(struct worker *w, unsigned step, const struct msg *msg,
                        struct step_wait *at);

/* ---- the half of a worker that is in the open for what every message passes: its first member */
struct worker_gate {
    _Alignas(8) _Atomic uint32_t armed; /* not 0 while it is */
    unsigned char rest[44];
};
struct worker_head {
    const struct worker_gate *gates; /* by step */
    const atomic_bool *asked;        /* to stop */
    const bool *log_full;
    int status; /* negative: it failed */
};
void worker_step_armed(struct worker *w, unsigned step, const struct msg *msg);

static inline void worker_step(struct worker *w, unsigned step, const struct msg *msg)
{
    const struct worker_head *head = (const struct worker_head *)(const void *)w;

    if (__builtin_expect(atomic_load_explicit(&head->gates[step].armed, memory_order_relaxed) != 0,
                         0))
        worker_step_armed(w, step, msg);
}

static inline bool worker_stopping(const struct worker *w)
{
    const struct worker_head *head = (const struct worker_head *)(const void *)w;

    return atomic_load_explicit(head->asked, memory_order_relaxed) || head->status < 0 ||
           *head->log_full;
}

#endif
