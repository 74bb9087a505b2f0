/*
 * Producing, the same for every workload that sends numbered messages: what bursts ask for, a
 * sequence per key and producer worker, and the partition by key.
 *
 *     producing_open(&p, worker, &args->producing, n_keys, by_library, err);
 *     p.key_of = my_key; p.context = …;
 *     until_ns = producing_send(&p);                  // what is due, at most one poll's worth
 *     producing_release(&p);
 */
#ifndef ASSAY_WORKLOADS_PRODUCING_H
#define ASSAY_WORKLOADS_PRODUCING_H

#include "api/param.h"
#include "api/worker.h"
#include "api/workload.h"

/* Keys of a client entry that produces; `producing` is the member of its args. */
struct producing_args {
    int64_t outstanding, attempts;
    double rate_per_s;
    bool poisson;
    int resend;
};
extern const char *const producing_resends[];
#define PRODUCING_PARAMS(type)                                                                     \
    {"outstanding",                                                                                \
     PARAM_INT,                                                                                    \
     offsetof(type, producing.outstanding),                                                        \
     .fallback = "1000",                                                                           \
     .min = 1,                                                                                     \
     .max = 1000000,                                                                               \
     .unit = "messages",                                                                           \
     .help = "sends without a completion at most, per worker"},                                    \
        {"rate", PARAM_RATE, offsetof(type, producing.rate_per_s),                                 \
         .help =                                                                                   \
             "sends from its start on at this rate, over all instances; without it only what the " \
             "script asks"},                                                                       \
        {"poisson",                                                                                \
         PARAM_BOOL,                                                                               \
         offsetof(type, producing.poisson),                                                        \
         .fallback = "false",                                                                      \
         .only = "rate",                                                                           \
         .help = "arrivals of that rate are drawn, not evenly spaced"},                            \
        {"resend",                                                                                 \
         PARAM_CHOICE,                                                                             \
         offsetof(type, producing.resend),                                                         \
         .fallback = "none",                                                                       \
         .choices = producing_resends,                                                             \
         .help = "what the application sends again, as a further attempt"},                        \
    {                                                                                              \
        "attempts", PARAM_INT, offsetof(type, producing.attempts),                                 \
            .fallback = "3", .min = 1, .max = 255,                                                 \
            .help = "attempts per message at most, where it sends again"                           \
    }

void producing_needs(const struct producing_args *args, struct worker_needs *needs);

struct producing {
    struct worker *worker;
    uint32_t (*key_of)(const void *context, const struct msg_id *id); /* below n_keys; NULL: 0 */
    const void *context;
    uint64_t *key_seq; /* by key */
    uint32_t *unit_of; /* by key */
    uint32_t at_most;  /* messages a call, 0: as many as a poll's worth */
    uint32_t sent;     /* by the last call */
};

/* by_library: the product's partitioner chooses, else the workload by key, so that counts per
 * partition are exact. */
int producing_open(struct producing *p, struct worker *worker, const struct producing_args *args,
                   int64_t n_keys, bool by_library, struct err *err);
void producing_release(struct producing *p);
/* Sends what is due; returns until when a poll may wait. */
int64_t producing_send(struct producing *p);

#endif
