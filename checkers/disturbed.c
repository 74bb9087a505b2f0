/* Disturbances that are on. The definition stands in disturbed.h. */
#include "checkers/disturbed.h"

#include "checkers/volume.h"

#include <stdlib.h>

void disturbed_open(struct disturbed *d, const struct plan_case *plan)
{
    *d = (struct disturbed){.n_clients = plan->n_client_ids};
    d->clients = calloc(d->n_clients + 1, sizeof(*d->clients));
    if (!d->clients)
        abort();
}

static void count_faults(struct disturbed *d)
{
    d->active -= d->faults;
    d->faults = 0;
    for (size_t i = 0; i < d->windows.n; i++)
        d->faults += d->windows.items[i].effective && !d->windows.items[i].heal_asked_ns;
    d->active += d->faults;
}

static void stepped(struct disturbed *d, const struct event *e)
{
    struct disturbed_client *c = e->by < d->n_clients ? &d->clients[e->by] : NULL;

    if (!c)
        return;
    if (e->flags & EV_HELD) {
        c->held++;
        d->active++;
    } else if (e->flags & EV_RELEASED && c->held > 0) {
        c->held--;
        d->active--;
    }
}

static void died(struct disturbed *d, const struct event *e)
{
    struct disturbed_client *c = e->ref < d->n_clients ? &d->clients[e->ref] : NULL;

    if (!c)
        return;
    d->active -= c->held;
    c->held = 0;
    if (e->code > 0 && !c->dead) {
        c->dead = true;
        d->active++;
    }
}

static void started(struct disturbed *d, const struct event *e)
{
    if (e->by >= d->n_clients || !d->clients[e->by].dead)
        return;
    d->clients[e->by].dead = false;
    d->active--;
}

void disturbed_event(struct disturbed *d, const struct event *e)
{
    switch (e->type) {
    case EV_FAULT:
        windows_event(&d->windows, e);
        count_faults(d);
        break;
    case EV_STEP:
        stepped(d, e);
        break;
    case EV_CLIENT_DEATH:
        died(d, e);
        break;
    case EV_CLIENT_START:
        started(d, e);
        break;
    default:
        break;
    }
}

size_t disturbed_bound(const struct plan_case *plan)
{
    struct volume v = volume_of(plan);

    return (plan->n_client_ids + 1) * sizeof(struct disturbed_client) +
           (size_t)(3 * (v.windows + 1)) * sizeof(struct fault_window);
}

void disturbed_release(struct disturbed *d)
{
    windows_release(&d->windows);
    free(d->clients);
    *d = (struct disturbed){0};
}
