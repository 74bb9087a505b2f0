/*
 * Inside of workload transfer: its parameters and parts.
 *
 *     transfer.c         parameters, what a message means, the loop; ends in the ops
 *     transfer_ledger.c  one message → one database transaction, by the chosen way to deduplicate
 *     transfer_settle.c  when what was taken is settled
 *     transfer_tasks.c   several messages in flight in one worker, and what may be settled then
 */
#ifndef ASSAY_WORKLOADS_TRANSFER_H
#define ASSAY_WORKLOADS_TRANSFER_H

#include "api/worker.h"
#include "base/draw.h"
#include "workloads/producing.h"

enum dedupe {
    DEDUPE_NONE,
    DEDUPE_UNIQUE,
    DEDUPE_SAME_TRANSACTION,
    DEDUPE_VERSION,
    DEDUPE_CHECKED_BEFORE,
    DEDUPE_REDIS_BEFORE,
    DEDUPE_REDIS_AFTER,
    DEDUPE_FENCING
};
enum settle_mode {
    SETTLE_AFTER_WORK,
    SETTLE_BEFORE_WORK,
    SETTLE_PERIODIC,
    SETTLE_AUTOMATIC,
    SETTLE_LOWEST_CONTIGUOUS,
    SETTLE_HIGHEST_DONE
};
enum unknown_commit { UNKNOWN_RETRY, UNKNOWN_DONE, UNKNOWN_ASK };
enum balance_read { READ_INSIDE, READ_OUTSIDE };

struct transfer_args {
    int64_t payload_bytes, accounts, initial, amount, tasks;
    int64_t mark_ttl_ns, settle_every_ns, work_ns;
    const char *db, *marks;
    int dedupe, settle, on_unknown_commit, balance;
};
struct transfer_client_args {
    struct producing_args producing;
};

/* In the order a message passes them (settle: after_work). */
enum transfer_step {
    BEFORE_PROCESS,
    AFTER_CHECK,
    AFTER_DB_READ,
    BEFORE_DB_COMMIT,
    AFTER_EFFECT,
    AFTER_MARK,
    BEFORE_SETTLE,
    AFTER_SETTLE
};

/* What a message asks for: a function of who it is, so that a copy asks for the same. */
struct transfer {
    uint32_t from, to;
    int64_t amount;
};
struct transfer transfer_of(const struct transfer_args *args, const struct msg_id *id);

/* ---- transfer_ledger.c */
enum applied {
    APPLIED,
    DUPLICATE, /* somebody applied it before: may be settled */
    FENCED,    /* a later owner has written: not ours any more */
    GIVEN_UP   /* asked to stop meanwhile: neither known nor settled */
};
struct ledger {
    struct worker *worker;
    const struct transfer_args *args;
};
/* Makes the accounts when they are not there. */
int ledger_open(struct ledger *l, struct worker *worker, struct err *err);
enum applied ledger_apply(struct ledger *l, const struct delivery *d);

/* ---- transfer_settle.c */
struct settling {
    struct worker *worker;
    enum settle_mode mode;
    bool log; /* settling is cumulative by nature: an offset */
    int64_t every_ns, due_ns;
    struct delivery *pending; /* periodic: by plan unit (logs), or in order */
    struct msg *msgs;
    size_t n, max;
};
int settling_open(struct settling *s, struct worker *worker, const struct transfer_args *args,
                  struct err *err);
void settling_release(struct settling *s);
/* Settles this one (and in a log all before it), passing the steps. */
void settling_now(struct settling *s, const struct delivery *d, bool cumulative);
/* It was dealt with: settles it now or when its time comes. */
void settling_done(struct settling *s, const struct delivery *d);
/* Periodic: what is due, or everything. */
void settling_tick(struct settling *s, bool all);

/* ---- transfer_tasks.c */
#define WINDOW_MAX (4 * HARVEST_MAX)
struct task;
struct tasks {
    struct worker *worker;
    struct ledger *ledger;
    struct settling *settling;
    struct draw draw;
    uint64_t turns;
    size_t most;         /* in flight at once */
    struct task *window; /* ring: taken and not settled, in order of arrival */
    size_t head, n;
    struct tasks_unit {  /* by plan unit */
        int64_t highest; /* settled up to here */
        uint32_t epoch;
    } * units;
};
int tasks_open(struct tasks *t, struct ledger *ledger, struct settling *settling, struct err *err);
void tasks_release(struct tasks *t);
bool tasks_room(const struct tasks *t); /* for one more poll's worth */
void tasks_add(struct tasks *t, const struct delivery *d);
/* One of those in flight is worked on; false: none can go on right now. */
bool tasks_step(struct tasks *t);

#endif
