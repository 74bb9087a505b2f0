/*
 * When what was taken is settled (but for tasks side by side, transfer_tasks.c). Periodic settling
 * of a log remembers the last done of each partition; of a queue everything done since.
 */
#include "workloads/transfer.h"

#include "base/clock.h"
#include "plan/plan.h"

#include <stdlib.h>

int settling_open(struct settling *s, struct worker *worker, const struct transfer_args *args,
                  struct err *err)
{
    const struct plan_case *plan = worker_case(worker);
    long source = worker_source(worker);

    *s = (struct settling){.worker = worker,
                           .mode = (enum settle_mode)args->settle,
                           .every_ns = args->settle_every_ns,
                           .due_ns = clock_now_ns() + args->settle_every_ns};
    s->log = source >= 0 && plan->dests[source].kind == UNIT_LOG;
    s->max = s->log ? plan->n_units : HARVEST_MAX;
    s->pending = calloc(s->max + 1, sizeof(*s->pending));
    s->msgs = calloc(s->max + 1, sizeof(*s->msgs));
    return s->pending && s->msgs ? 0 : err_set(err, "out of memory");
}

void settling_release(struct settling *s)
{
    free(s->pending);
    free(s->msgs);
}

void settling_now(struct settling *s, const struct delivery *d, bool cumulative)
{
    worker_step(s->worker, BEFORE_SETTLE, d->msg);
    worker_settle(s->worker, d, (struct settle_how){.cumulative = cumulative || s->log});
    worker_step(s->worker, AFTER_SETTLE, d->msg);
}

static void remember(struct settling *s, const struct delivery *d)
{
    size_t at = s->log ? 0 : s->n;

    while (at < s->n && s->pending[at].unit != d->unit)
        at++;
    s->pending[at] = *d;
    s->pending[at].payload = NULL;
    if (d->msg) {
        s->msgs[at] = *d->msg;
        s->pending[at].msg = &s->msgs[at];
    }
    if (at == s->n)
        s->n++;
}

void settling_done(struct settling *s, const struct delivery *d)
{
    switch (s->mode) {
    case SETTLE_AUTOMATIC:
        break;
    case SETTLE_PERIODIC:
        remember(s, d);
        if (s->n == s->max && !s->log)
            settling_tick(s, true);
        break;
    default:
        settling_now(s, d, false);
        break;
    }
}

void settling_tick(struct settling *s, bool all)
{
    if (s->n == 0 || (!all && clock_now_ns() < s->due_ns))
        return;
    for (size_t i = 0; i < s->n; i++)
        settling_now(s, &s->pending[i], false);
    s->n = 0;
    s->due_ns = clock_now_ns() + s->every_ns;
}
