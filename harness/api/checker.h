/*
 * Who judges: one file per property in checkers/, a function of history and plan, one pass,
 * bounded memory. Definitions: JUDGING.md; each file repeats its own with a counter-example.
 */
#ifndef ASSAY_API_CHECKER_H
#define ASSAY_API_CHECKER_H

#include "api/event.h"
#include "api/param.h"
#include "api/system.h"
#include "base/err.h"

struct plan_case;
struct expr;

#define SAMPLES_MAX 10
struct finding_sample {
    struct msg_id message;   /* seq UINT64_MAX: none */
    uint32_t unit;
    int64_t at_ns;           /* when it was promised (or done) */
    uint32_t window;         /* fault window it falls into; 0 none */
    uint16_t node;           /* who acknowledged; NO_NODE */
    char text[240];          /* a sentence: "acknowledged by kafka-1 at offset 512 …, not in the final log" */
    char stage[40];
};

/* One kind of violation ("lost", "offset_conflict"): counted always, sampled up to SAMPLES_MAX.
 * Stages split a kind where JUDGING wants it reported apart (a retry from a re-send). */
#define STAGES_MAX 10
struct finding {
    const char *kind;
    const char *checker;
    uint64_t count;
    struct { char name[40]; uint64_t count; } stages[STAGES_MAX];
    size_t n_stages;
    size_t n_samples;
    struct finding_sample samples[SAMPLES_MAX];
};

struct findings {
    struct finding *items; size_t n;
    uint64_t undecided;              /* messages whose unit nobody served, reads between the bounds … */
    bool inconclusive;               /* drain not proven, bound reached */
    char why[200];
    const char *current;             /* name of the checker that is adding; set by the driver */
    int64_t exercised;               /* hazard counter of this checker's promise; -1: not for this checker to say */
    char told[240];                  /* numbers worth telling beside them: shares of ages; "" none */
};

/* Adds `count` of `kind` (a literal of the checker's `kinds`); `sample` may be NULL. With a sample whose
 * `stage` is set the count goes to that stage too. */
void findings_add(struct findings *f, const char *kind, uint64_t count, const struct finding_sample *sample);
/* What a checker collected on its way goes out at the end; `from` is empty then. */
void findings_move(struct findings *to, struct findings *from);
void findings_inconclusive(struct findings *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void findings_release(struct findings *f);

/* Results of checkers that ran before (`after`): rpo and recover are second passes after lost. */
struct results;
const struct findings *results_of(const struct results *r, const char *checker);
/* The finished checker's own state, for those that know its header; NULL when it did not run. */
const void *results_self(const struct results *r, const char *checker);
/* ε of `→` (JUDGING: Time): x is before y iff complete(x) + ε < invoke(y); 0 suffices where one thread did
 * both. Where the history does not say it, this: a hundred times what machines measure that keep one time. */
#define CLOCK_ERROR_UNKNOWN_NS INT64_C(10000)
int64_t results_clock_error_ns(const struct results *r);

enum check_order { PER_WRITER, BY_TIME };

struct checker_ops {
    const char *name;                 /* "loss" */
    const char *property;             /* key in `promise:`; NULL: always on */
    const char *const *kinds;         /* findings it may report, NULL-terminated */
    const char *about;
    const struct param *params;       /* of the promise's value */
    const char *shorthand;            /* a bare scalar stands for this key: `loss: 0` = `loss: {messages: 0}` */
    size_t args_size, size;
    uint64_t wants;                   /* bit per event_type: others are not handed over */
    enum drain_level needs;
    const char *const *after;         /* checkers that must have finished; NULL none */
    enum check_order order;
    size_t (*bound)(const struct plan_case *plan, const void *args);  /* bytes it may take at most */
    /* Refuses at load what the table cannot: destinations nobody has, promises that need another. NULL: nothing. */
    int (*validate)(const struct plan_case *plan, const void *args, struct err *err);
    int (*open)(void *self, const struct plan_case *plan, const void *args, const struct results *earlier, struct err *err);
    void (*events)(void *self, const struct event *events, size_t n);
    /* Asked at the end of a pass; true: it wants to see the same events once more before it finishes (details of
     * the few messages that turned out suspicious, so that no time or place is kept for all). NULL: never. */
    bool (*again)(void *self, const struct drain_proof *proofs);
    /* proofs: one per plan unit, as read from the history's EV_DRAIN, and one more behind them (unit NO_UNIT) for the stores */
    void (*finish)(void *self, const struct drain_proof *proofs, struct findings *out);
    void (*close)(void *self);
};
#define WANTS(type) (UINT64_C(1) << EV_##type)

#endif
