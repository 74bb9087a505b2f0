/* See producing.h. */
#include "workloads/producing.h"

#include "base/draw.h"
#include "plan/plan.h"

#include <stdlib.h>

#define SENDS_PER_POLL 128

static uint32_t unit_for(const struct plan_dest *dest, bool by_library, uint32_t key)
{
    struct draw spread = draw_stream(0, "queue.unit");

    if (!dest || dest->n_units == 0 || by_library)
        return NO_UNIT;
    return dest->first_unit + (uint32_t)draw_below(&spread, key, dest->n_units);
}

const char *const producing_resends[] = {"none", "on_unknown", "until_ok", NULL};

void producing_needs(const struct producing_args *args, struct worker_needs *needs)
{
    needs->outstanding = (uint32_t)args->outstanding;
    needs->rate_per_s = args->rate_per_s;
    needs->poisson = args->poisson;
}

int producing_open(struct producing *p, struct worker *worker, const struct producing_args *args,
                   int64_t n_keys, bool by_library, struct err *err)
{
    const struct plan_case *plan = worker_case(worker);
    long target = worker_target(worker);

    *p = (struct producing){.worker = worker};
    p->key_seq = calloc((size_t)n_keys, sizeof(*p->key_seq));
    p->unit_of = calloc((size_t)n_keys, sizeof(*p->unit_of));
    if (!p->key_seq || !p->unit_of)
        return err_set(err, "out of memory for %lld keys", (long long)n_keys);
    for (uint32_t key = 0; key < n_keys; key++)
        p->unit_of[key] = unit_for(target < 0 ? NULL : &plan->dests[target], by_library, key);
    worker_resend_policy(worker, (enum resend)args->resend, (unsigned)args->attempts);
    return 0;
}

void producing_release(struct producing *p)
{
    free(p->key_seq);
    free(p->unit_of);
}

static void send_one(struct producing *p, const struct work_order *order)
{
    struct message_body body = {.key = 0};

    if (p->key_of) {
        struct msg_id id = worker_identity(p->worker);

        body.key = p->key_of(p->context, &id);
    }
    body.key_seq = p->key_seq[body.key]++;
    worker_send(p->worker, order, &body, p->unit_of[body.key]);
}

int64_t producing_send(struct producing *p)
{
    struct work_order order;
    int64_t until_ns = 0;
    uint32_t most = p->at_most > 0 ? p->at_most : SENDS_PER_POLL;

    p->sent = 0;
    while (p->sent < most) {
        if (!worker_next_send(p->worker, &order, most - p->sent, &until_ns))
            return p->sent == 0 ? until_ns : 0;
        for (uint32_t i = 0; i < order.n; i++)
            send_one(p, &order);
        p->sent += order.n;
    }
    return 0;
}
