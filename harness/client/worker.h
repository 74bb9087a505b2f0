/*
 * Inside of a client process: the process and its worker threads. What workloads see of it is
 * api/worker.h.
 *
 * Threads: main (opens everything, then is the control thread) and one per worker. Shared between
 * them: `bursts` (written by control, published by `generation`), the flags `stopping` and
 * `stop_reading`, and the board in shared memory; all else in a worker is its own.
 */
#ifndef ASSAY_CLIENT_WORKER_H
#define ASSAY_CLIENT_WORKER_H

#include "api/store.h"
#include "api/worker.h"
#include "api/workload.h"
#include "base/arena.h"
#include "client/contract.h"
#include "client/liar.h"
#include "client/record.h"
#include "plan/plan.h"

#include <pthread.h>
#include <stdatomic.h>

/* What the coordinator asked for; a worker keeps its own part of it. */
struct burst_request {
    atomic_uint serial; /* counts requests of this burst number, 0: never asked; written last */
    int64_t count;      /* -1 open */
    double rate_per_s;
    bool poisson;
    uint16_t via;
    uint32_t key;
    int64_t start_ns;
    atomic_bool ended;
    atomic_uint running; /* workers that have not finished their part */
};

struct client {
    struct arena arena;
    struct plan_case *plan;
    const struct plan_client *spec;
    struct worker_needs needs;
    const char *folder;
    uint16_t id, incarnation;
    bool unrecorded; /* the bench's other leg: no recorder on the handle */
    int control;
    struct client_board *board;
    struct burst_request bursts[BURSTS_MAX];
    atomic_uint generation; /* raised after a change of bursts or flags */
    atomic_bool stopping, stop_reading;
    struct worker *workers;
    unsigned n_workers;
    const struct liar_options *lies; /* NULL but in tests */
};

/* A worker's part of one burst. */
struct burst_part {
    uint32_t number, serial;
    int64_t left;       /* to be sent; INT64_MAX when open */
    int64_t unfinished; /* messages whose last attempt has not completed */
    int64_t next_ns;    /* open loop: when the next one is due; 0 flat out */
    int64_t index;      /* of the next one in the schedule */
    bool active;
};

/* A message on its way. Settles have slots of their own above the sends' numbers. */
struct send_slot {
    struct msg msg;
    int64_t intended_ns;
    uint32_t burst, unit;
    uint16_t via;
    uint8_t best; /* enum outcome over the attempts so far */
    bool copy;    /* another's message, passed on */
};

/* A settle the library had no room for. */
struct late_settle {
    struct delivery delivery;
    struct msg msg;
    struct settle_how how;
    uint32_t slot;
};

/* Deliveries beyond what could be settled: kept for later without their payload. */
struct backlog {
    struct delivery *items;
    struct msg *msgs;
    size_t n;
    struct delivery *handed; /* the part in the workload's hands */
    struct msg *handed_msgs;
};
#define BACKLOG_MAX (16 * HARVEST_MAX)

/* Counters not yet on the board: raised once per poll, not once per event. */
struct tally {
    int64_t sent[BURSTS_MAX], ended[BURSTS_MAX][OUTCOME_BELIEVED + 1];
    uint64_t touched; /* bit per burst */
    int64_t reads[BURSTS_MAX], hits[BURSTS_MAX];
    int64_t outstanding, delivered, redelivered, effects, settled, owned, unknown_commits;
};

struct worker {
    struct worker_head head; /* first: worker.h's inline half finds it there */
    struct client *client;
    uint16_t number;
    pthread_t thread;
    struct err err; /* of head.status */
    int wake_fd;

    struct history_writer *log;
    struct worker_clock clock;
    struct broker broker;
    bool broken;
    int64_t reconnect_at_ns;
    int64_t owned;
    struct store store, replica; /* ops NULL: none, as of the cache */
    struct cache cache;
    struct operations { /* so far, of each kind: their numbers in the history */
        uint64_t writes, loads, reads, fills, locks;
    } operations;

    bool sends, receives, hands_over; /* with a broker, all of them false without one */
    bool has_role;                    /* one of the workload's own: reader, writer … */
    long target, source;
    struct msg_id me; /* seq: of the next message */
    void *payload;

    unsigned generation;
    struct burst_part parts[BURSTS_MAX];
    uint8_t active[BURSTS_MAX]; /* numbers of active parts */
    unsigned n_active, turn;
    enum resend resend;
    unsigned attempts_max;

    struct send_slot *slots;
    uint32_t *free_slots, n_free;
    uint32_t order_left;      /* messages of the order in hand still to be sent */
    uint32_t *retry, n_retry; /* slots to offer (again) */
    uint32_t *free_settles, n_free_settles, n_settles;
    uint32_t *settles_also; /* by settle slot, from 0 */

    struct late_settle *late; /* in order, offered again before anything else */
    uint32_t n_late;

    struct harvest harvest;
    struct msg *read; /* of the harvest, unrecorded: else the recorder has them */
    bool harvested;   /* not yet released */
    bool busy;        /* counted on the board */
    struct backlog backlog;

    struct tally tally;
};

/* client.c */
/* Works until told to quit: plan, spec, folder, ids, control and board are set. -1: answered and
 * printed. */
int client_work(struct client *client, struct err *err);
void client_release(struct client *client);
/* worker.c */
int worker_open(struct worker *w, struct client *client, unsigned number, struct err *err);
void *worker_main(void *worker);
void worker_close(struct worker *w); /* after its thread has ended */
void worker_wake(struct worker *w);
void worker_board(struct worker *w); /* puts the tally on the board */
/* send.c */
void worker_take_requests(struct worker *w);
void worker_completed(struct worker *w, const struct completion *c, size_t n);
void worker_offer_again(struct worker *w);
void worker_finish_parts(struct worker *w);
/* receive.c */
void worker_harvest(struct worker *w, int64_t until_ns, size_t max_deliveries);
void worker_release(struct worker *w);
int worker_receive_open(struct worker *w, struct err *err);
void worker_receive_close(struct worker *w);
/* Waits for what is outstanding; deliveries that still come are not processed. */
void worker_flush(struct worker *w);
/* stores.c */
int worker_stores_open(struct worker *w, struct err *err);
struct client_spec worker_spec(const struct worker *w);
void worker_stores_close(struct worker *w);

#endif
