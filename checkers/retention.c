/*
 * retention: {orders: compact, jobs: [ttl, max_length]}                    findings: none of its
 * own
 *
 * Declares which rules of the product may take acknowledged messages away, per destination: ttl,
 * retention, max_length, evicted, delivery_limit, compact. What is gone by one of them, on the word
 * of the owner of the data, is not lost; what is gone by another is `lost`, stage expired(RULE).
 *
 * Counter-example: a topic declared `compact` whose newest record of a key is missing: compaction
 * keeps that one, so it is lost (expiry.h).
 *
 * Exercised: messages that expired as declared. Memory: none; loss counts them. Leaves out: whether
 * something that should have expired still stands.
 */
#include "checkers/retention.h"

#include "api/checker.h"
#include "checkers/expiry.h"
#include "checkers/loss.h"
#include "plan/plan.h"

#include <string.h>

struct retention {
    const void *loss;
};

static bool promised(const struct plan_case *plan, const char *checker)
{
    for (size_t i = 0; i < plan->n_promises; i++)
        if (strcmp(plan->promises[i].checker->name, checker) == 0)
            return true;
    return false;
}

static int retention_validate(const struct plan_case *plan, const void *args, struct err *err)
{
    const struct pairs *declared = &((const struct retention_args *)args)->declared;

    if (!promised(plan, "loss"))
        return err_input(err, "says what loss may leave out: promise loss too");
    for (size_t i = 0; i < declared->n; i++) {
        if (plan_dest_named(plan, declared->items[i].key) < 0)
            return err_input(err, "no topic, queue, list or stream is called \"%s\"",
                             declared->items[i].key);
        if (expiry_of_word(declared->items[i].value) == EXPIRY_NONE)
            return err_input(err,
                             "\"%s\" is none of ttl, retention, max_length, evicted, "
                             "delivery_limit, compact",
                             declared->items[i].value);
    }
    return 0;
}

static int retention_open(void *self, const struct plan_case *plan, const void *args,
                          const struct results *earlier, struct err *err)
{
    struct retention *s = self;

    (void)plan;
    (void)args;
    (void)err;
    s->loss = results_self(earlier, "loss");
    return 0;
}

static void retention_events(void *self, const struct event *events, size_t n)
{
    (void)self;
    (void)events;
    (void)n;
}

static void retention_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    const struct retention *s = self;

    (void)proofs;
    out->exercised = loss_expired(s->loss);
}

static void retention_close(void *self)
{
    (void)self;
}

static size_t retention_bound(const struct plan_case *plan, const void *args)
{
    (void)plan;
    (void)args;
    return sizeof(struct retention);
}

static const struct param params[] = {
    {"*", PARAM_VERBATIM, offsetof(struct retention_args, declared),
     .help = "ttl, retention, max_length, evicted, delivery_limit or compact, or several: what may "
             "take messages of this destination away"},
    {0}};

const struct checker_ops retention_checker = {
    .name = "retention",
    .property = "retention",
    .kinds = (const char *const[]){NULL},
    .about = "What may expire, and by which rule of the product: that is not lost",
    .params = params,
    .args_size = sizeof(struct retention_args),
    .size = sizeof(struct retention),
    .wants = 0,
    .needs = DRAIN_D1,
    .after = (const char *const[]){"loss", NULL},
    .order = BY_TIME,
    .bound = retention_bound,
    .validate = retention_validate,
    .open = retention_open,
    .events = retention_events,
    .finish = retention_finish,
    .close = retention_close,
};
