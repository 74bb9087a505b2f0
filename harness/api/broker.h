/*
 * The data plane of a system, behind one interface: what workloads send, settle and receive with.
 * A handle belongs to one worker thread. Nothing is allocated per operation.
 *
 *     void *h = calloc(1, ops->size);
 *     ops->open(h, &spec, wake_fd, err);
 *     switch (ops->send(h, &send, slot, &done)) {
 *     case SUBMIT_DONE:   handle(&done); break;                  // blocking libraries
 *     case SUBMIT_QUEUED: break;                                 // a completion with this slot follows by poll
 *     case SUBMIT_BUSY:   poll first, then again;
 *     }
 *     ops->poll(h, &harvest, until_ns);  …  ops->release(h, &harvest);
 *     ops->close(h, CLOSE_FLUSH);
 *
 * Exactly one completion per queued slot, for ever: at close every open slot completes (unknown).
 * Recording, step gates and the liar are decorators with the same ops.
 */
#ifndef ASSAY_API_BROKER_H
#define ASSAY_API_BROKER_H

#include "api/event.h"
#include "api/message.h"
#include "api/param.h"
#include "base/err.h"

struct plan_case;
struct plan_client;

struct client_spec {
    const struct plan_case *plan;
    const struct plan_client *client; /* broker_args filled from the broker's own table */
    uint16_t client_id;               /* of this instance */
    uint16_t incarnation, worker;
    bool sends, receives;             /* what this handle is for */
    uint64_t run;
    const char *folder;               /* for what the library must keep on disk; may be NULL */
};

/* BUSY: no room now; `code` of the completion says which declared limit was hit (QUEUE_FULL), 0 none. */
enum submit { SUBMIT_DONE, SUBMIT_QUEUED, SUBMIT_BUSY };

struct send {
    const struct msg *msg;
    const void *payload;   /* borrowed until the call returns */
    size_t size;
    uint32_t unit;         /* NO_UNIT: the library's partitioner chooses by key */
    uint16_t via;          /* NO_NODE, or the node to talk to (`via:`) */
    uint32_t burst;        /* for the recorder, as is intended_ns: drivers look at neither */
    int64_t intended_ns;   /* open loop: when it was due; 0 flat out */
    bool more;             /* another send follows at once: a driver may give its library both together */
    bool copy;             /* for the recorder: another's message passed on, no send of this client's own */
};

struct completion {
    uint32_t slot;
    enum outcome outcome;
    enum level level;
    int16_t code;          /* the system's, explained by its outcome table */
    uint16_t node;         /* who acknowledged; NO_NODE unknown */
    uint32_t unit;
    int64_t position;      /* -1 unknown */
    uint32_t epoch;
};

struct delivery {
    const void *payload;   /* borrowed until release */
    size_t size;
    uint32_t unit;
    int64_t position;      /* offset; delivery tag; list and stream position where there is one */
    uint32_t epoch;        /* ownership interval: generation; channel number; 0 */
    uint8_t flags;         /* EV_REDELIVERED */
    uint64_t tag;          /* what settle wants back; valid after release, as are unit and position */
    const struct msg *msg; /* set by the recorder, drivers leave it NULL; NULL there: corrupt or foreign */
};

struct ownership {
    uint32_t unit, epoch;
    int64_t position;      /* -1 unknown */
    uint8_t flags;         /* EV_GAINED or EV_LOST, EV_RESET */
};

#define HARVEST_MAX 1024
struct harvest {           /* arrays of HARVEST_MAX owned by the caller; counts set by poll */
    struct completion *completions; size_t n_completions;
    struct delivery *deliveries;    size_t n_deliveries;
    struct ownership *owners;       size_t n_owners;
    size_t max_deliveries; /* set by the caller: 0 asks for completions and ownership only */
    bool broken;           /* the connection is gone: every open slot completed as unknown, unsettled deliveries are void */
};

struct settle {
    const struct delivery *upto; /* tag, unit, position are used */
    const struct msg *msg;       /* may be NULL */
    bool cumulative, reject, requeue;
};

enum txn_verb { TXN_BEGIN, TXN_SEND_OFFSETS, TXN_COMMIT, TXN_ABORT };
enum close_how { CLOSE_FLUSH /* wait for what is outstanding, leave in order */, CLOSE_ABRUPT };

struct broker_ops {
    const char *name;             /* "kafka" */
    const struct param *params;   /* keys of a client entry that are this broker's: {"produce", STRUCT}, {"librdkafka", VERBATIM} … */
    size_t args_size;
    const char *const *send_verbs;    /* keys that make a client a sender: "produce", NULL */
    const char *const *receive_verbs; /* "consume", NULL */
    /* pure: destinations named in args: what it sends to (duties unless meant_for), what it reads, its group. NULL where none */
    int (*names)(const void *args, const char **sends_to, const char **reads, const char **group);
    /* pure: a delivery is settled by being handed over (no_ack, BRPOP): nobody calls settle. NULL: never */
    bool (*hands_over)(const void *args);
    /* pure: where naming a destination makes it (a Redis key): its enum unit_kind, one unit, so that the suite
     * need not declare it; NULL or -1: it must be declared */
    int (*implicit_kind)(const void *args);
    /* pure: why these args make no sense together, for so many instances; NULL: they do. NULL here: never asked */
    const char *(*senseless)(const void *args, unsigned instances);
    /* pure: why it cannot send to a destination of this kind (enum unit_kind); NULL: it can. NULL here: never asked */
    const char *(*misfit)(const void *args, int unit_kind);
    /* pure: whether the client library takes the user's own words; err with status INPUT and their mark. NULL: all */
    int (*check)(const void *args, struct err *err);
    /* pure: what the client library makes of one of its keys, other names and defaults included; false: it has no
     * such key. NULL: the user's own words are all there is */
    bool (*setting)(const void *args, const char *key, char *out, size_t size);
    /* pure: name and version the client library has at run time: "librdkafka 2.0.2", one word each. NULL: it tells none */
    void (*library)(char *out, size_t size);
    size_t size;                  /* of a handle */
    int (*open)(void *self, const struct client_spec *spec, int wake_fd, struct err *err); /* *spec ends with the call: copied */
    enum submit (*send)(void *self, const struct send *send, uint32_t slot, struct completion *c);
    enum submit (*settle)(void *self, const struct settle *settle, uint32_t slot, struct completion *c);
    enum submit (*txn)(void *self, enum txn_verb verb, uint32_t slot, struct completion *c); /* NULL: not offered */
    /* waits until something is there, wake_fd is readable or until_ns; -1: err of the handle, see last_error */
    int (*poll)(void *self, struct harvest *harvest, int64_t until_ns);
    void (*release)(void *self, struct harvest *harvest);
    /* a broken handle connects again (a new ownership epoch); -1: not yet */
    int (*reconnect)(void *self, struct err *err);
    size_t (*outstanding)(void *self);
    void (*close)(void *self, enum close_how how);
};

#endif
