/*
 * Receiving: completions are counted, deliveries handed to the workload, settles asked for.
 *
 * A workload never has to wait inside worker_settle: no more deliveries are handed out than there
 * are settle slots free, what a library delivers beyond that waits in a bounded backlog. A broken
 * connection is made again here, every RECONNECT_NS, until it is back.
 */
#include "client/worker.h"

#include "base/clock.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLE_SLOTS (4 * HARVEST_MAX)
#define RECONNECT_NS (100 * MS_NS)
#define FLUSH_SENDS_NS (30 * SECOND_NS)
#define FLUSH_SETTLES_NS (3 * SECOND_NS)

/* ---- open and close */

int worker_receive_open(struct worker *w, struct err *err)
{
    struct harvest *h = &w->harvest;
    struct backlog *b = &w->backlog;

    h->completions = calloc(HARVEST_MAX, sizeof(*h->completions));
    h->deliveries = calloc(HARVEST_MAX, sizeof(*h->deliveries));
    h->owners = calloc(HARVEST_MAX, sizeof(*h->owners));
    b->items = calloc(BACKLOG_MAX, sizeof(*b->items));
    b->msgs = calloc(BACKLOG_MAX, sizeof(*b->msgs));
    b->handed = calloc(HARVEST_MAX, sizeof(*b->handed));
    b->handed_msgs = calloc(HARVEST_MAX, sizeof(*b->handed_msgs));
    w->n_settles = w->receives ? SETTLE_SLOTS : 1;
    w->free_settles = calloc(w->n_settles, sizeof(*w->free_settles));
    w->settles_also = calloc(w->n_settles, sizeof(*w->settles_also));
    w->late = calloc(w->n_settles, sizeof(*w->late));
    w->read = calloc(HARVEST_MAX, sizeof(*w->read));
    if (!h->completions || !h->deliveries || !h->owners || !b->items || !b->msgs || !b->handed ||
        !b->handed_msgs || !w->free_settles || !w->settles_also || !w->late || !w->read)
        return err_set(err, "out of memory");
    for (uint32_t i = 0; i < w->n_settles; i++)
        w->free_settles[i] = w->client->needs.outstanding + w->n_settles - 1 - i;
    w->n_free_settles = w->n_settles;
    return 0;
}

void worker_receive_close(struct worker *w)
{
    free(w->harvest.completions);
    free(w->harvest.deliveries);
    free(w->harvest.owners);
    free(w->backlog.items);
    free(w->backlog.msgs);
    free(w->backlog.handed);
    free(w->backlog.handed_msgs);
    free(w->free_settles);
    free(w->settles_also);
    free(w->late);
    free(w->read);
}

/* ---- harvesting */

void worker_release(struct worker *w)
{
    if (w->harvested)
        w->broker.ops->release(w->broker.self, &w->harvest);
    w->harvested = false;
    w->harvest.n_deliveries = 0;
}

static void sleep_or_wake(const struct worker *w, int64_t until_ns)
{
    struct pollfd wake = {.fd = w->wake_fd, .events = POLLIN};
    int64_t left_ns = until_ns - clock_now_ns();
    struct timespec left;

    if (left_ns > SECOND_NS)
        left_ns = SECOND_NS;
    left = (struct timespec){.tv_sec = left_ns / SECOND_NS, .tv_nsec = left_ns % SECOND_NS};
    if (left_ns > 0)
        (void)ppoll(&wake, 1, &left, NULL);
}

static void lost_connection(struct worker *w)
{
    w->broken = true;
    w->reconnect_at_ns = clock_now_ns() + RECONNECT_NS;
    w->tally.owned -= w->owned;
    w->owned = 0;
}

/* True when the handle can be used again. */
static bool reconnected(struct worker *w, int64_t until_ns)
{
    struct err err = {0};
    int64_t now_ns = clock_now_ns();

    if (now_ns < w->reconnect_at_ns) {
        sleep_or_wake(w, until_ns < w->reconnect_at_ns ? until_ns : w->reconnect_at_ns);
        return false;
    }
    w->broken = w->broker.ops->reconnect && w->broker.ops->reconnect(w->broker.self, &err) < 0;
    w->reconnect_at_ns = clock_now_ns() + RECONNECT_NS;
    worker_clock_read(&w->clock);
    return !w->broken;
}

static void count_harvest(struct worker *w, const struct harvest *h)
{
    worker_completed(w, h->completions, h->n_completions);
    for (size_t i = 0; i < h->n_owners; i++) {
        int change = h->owners[i].flags & EV_GAINED ? 1 : -1;

        w->owned += change;
        w->tally.owned += change;
    }
    w->tally.delivered += (int64_t)h->n_deliveries;
    for (size_t i = 0; i < h->n_deliveries; i++)
        if (h->deliveries[i].flags & EV_REDELIVERED)
            w->tally.redelivered++;
}

/* What is asked for by a message must be known, also where the bench has left the recorder out. */
static void read_messages(struct worker *w, struct harvest *h)
{
    for (size_t i = 0; i < h->n_deliveries; i++) {
        struct delivery *d = &h->deliveries[i];

        if (payload_read(d->payload, d->size, w->client->plan->run, &w->read[i]) == PAYLOAD_OK)
            d->msg = &w->read[i];
    }
}

/* Before the next look at the requests: a wake that came meanwhile is seen by that look, one that
 * comes later is there for the next wait. Left readable, every wait would end at once. */
static void take_wake(const struct worker *w)
{
    uint64_t count;

    (void)!read(w->wake_fd, &count, sizeof(count));
}

void worker_harvest(struct worker *w, int64_t until_ns, size_t max_deliveries)
{
    struct harvest *h = &w->harvest;
    int result;

    worker_release(w);
    h->n_completions = h->n_owners = 0;
    h->max_deliveries = max_deliveries < HARVEST_MAX ? max_deliveries : HARVEST_MAX;
    h->broken = false;
    if (w->broken && !reconnected(w, until_ns)) {
        take_wake(w);
        return;
    }
    result = w->broker.ops->poll(w->broker.self, h, until_ns);
    if (result < 0) {
        h->n_completions = h->n_owners = h->n_deliveries = 0;
        h->broken = true;
    } else {
        w->harvested = true;
    }
    if (w->client->unrecorded && w->store.ops)
        read_messages(w, h);
    count_harvest(w, h);
    if (h->n_completions == 0 && h->n_deliveries == 0 && h->n_owners == 0)
        take_wake(w);
    if (h->broken)
        lost_connection(w);
    worker_board(w);
    worker_finish_parts(w);
}

/* ---- backlog */

static void copy_delivery(struct delivery *to, struct msg *msg, const struct delivery *from)
{
    *to = *from;
    to->payload = NULL;
    to->size = 0;
    to->msg = NULL;
    if (from->msg) {
        *msg = *from->msg;
        to->msg = msg;
    }
}

static void keep_for_later(struct worker *w, size_t from)
{
    struct harvest *h = &w->harvest;
    struct backlog *b = &w->backlog;

    for (size_t i = from; i < h->n_deliveries; i++) {
        if (b->n == BACKLOG_MAX) {
            w->head.status =
                err_set(&w->err, "%u deliveries wait for a settle: the library takes no bound",
                        BACKLOG_MAX);
            break;
        }
        copy_delivery(&b->items[b->n], &b->msgs[b->n], &h->deliveries[i]);
        b->n++;
    }
    h->n_deliveries = from;
}

static size_t hand_from_backlog(struct worker *w, size_t room, const struct delivery **deliveries)
{
    struct backlog *b = &w->backlog;
    size_t n = b->n < room ? b->n : room;

    if (n > HARVEST_MAX)
        n = HARVEST_MAX;
    for (size_t i = 0; i < n; i++)
        copy_delivery(&b->handed[i], &b->handed_msgs[i], &b->items[i]);
    for (size_t i = n; i < b->n; i++)
        copy_delivery(&b->items[i - n], &b->msgs[i - n], &b->items[i]);
    b->n -= n;
    *deliveries = b->handed;
    return n;
}

/* ---- settling */

static bool offer_settle(struct worker *w, const struct delivery *d, struct settle_how how,
                         uint32_t slot)
{
    struct settle settle = {.upto = d,
                            .msg = d->msg,
                            .cumulative = how.cumulative,
                            .reject = how.reject,
                            .requeue = how.requeue};
    struct completion c = {.slot = slot, .node = NO_NODE, .unit = NO_UNIT, .position = -1};

    switch (w->broker.ops->settle(w->broker.self, &settle, slot, &c)) {
    case SUBMIT_DONE:
        c.slot = slot;
        worker_completed(w, &c, 1);
        return true;
    case SUBMIT_QUEUED:
        return true;
    case SUBMIT_BUSY:
        break;
    }
    return false;
}

void worker_settle(struct worker *w, const struct delivery *d, struct settle_how how)
{
    uint32_t slot;
    struct late_settle *late;

    if (w->hands_over)
        return;
    assert(w->n_free_settles > 0); /* one settle for each delivery handed out */
    slot = w->free_settles[--w->n_free_settles];
    w->settles_also[slot - w->client->needs.outstanding] = how.also;
    if (w->n_late == 0 && offer_settle(w, d, how, slot))
        return;
    late = &w->late[w->n_late++];
    late->how = how;
    late->slot = slot;
    copy_delivery(&late->delivery, &late->msg, d);
}

static void settle_late(struct worker *w)
{
    uint32_t done = 0;

    while (done < w->n_late && !w->broken) {
        struct late_settle *late = &w->late[done];

        late->delivery.msg = late->delivery.msg ? &late->msg : NULL; /* it may have moved */
        if (!offer_settle(w, &late->delivery, late->how, late->slot))
            break;
        done++;
    }
    if (done > 0)
        memmove(w->late, w->late + done, (w->n_late - done) * sizeof(*w->late));
    w->n_late -= done;
}

/* ---- what the workload calls */

/* Without a broker there is nothing to harvest, only orders to wait for. */
static void idle(struct worker *w, int64_t until_ns)
{
    worker_board(w);
    worker_finish_parts(w);
    sleep_or_wake(w, until_ns);
    take_wake(w);
}

/* The drain must not take somebody for idle who works long on what he was given. */
static size_t hand_over(struct worker *w, size_t n)
{
    if (w->busy != (n > 0))
        atomic_fetch_add(&w->client->board->busy, n > 0 ? 1 : -1);
    w->busy = n > 0;
    return n;
}

size_t worker_poll(struct worker *w, int64_t until_ns, const struct delivery **deliveries)
{
    size_t room = w->hands_over ? HARVEST_MAX : w->n_free_settles;

    hand_over(w, 0);
    worker_take_requests(w);
    if (!w->broker.ops) {
        idle(w, until_ns);
        return 0;
    }
    settle_late(w);
    worker_offer_again(w);
    if (w->n_late > 0 || w->n_retry > 0)
        until_ns = clock_now_ns() + MS_NS; /* the library was full: look again soon */
    if (!worker_reading(w))
        room = 0;
    if (w->backlog.n > 0 && room > 0) {
        worker_harvest(w, 0, 0);
        keep_for_later(w, 0);
        return hand_over(w, hand_from_backlog(w, room, deliveries));
    }
    worker_harvest(w, until_ns, w->receives ? room : 0);
    if (w->harvest.n_deliveries > room)
        keep_for_later(w, room);
    *deliveries = w->harvest.deliveries;
    return hand_over(w, w->harvest.n_deliveries);
}

static bool flushed(const struct worker *w, int64_t began_ns)
{
    int64_t waited_ns = clock_now_ns() - began_ns;
    bool sends = w->n_free < w->client->needs.outstanding;
    bool settles = w->n_free_settles < w->n_settles;

    return w->broken ||
           !((sends && waited_ns < FLUSH_SENDS_NS) || (settles && waited_ns < FLUSH_SETTLES_NS));
}

void worker_flush(struct worker *w)
{
    int64_t began_ns = clock_now_ns();

    while (!flushed(w, began_ns)) {
        settle_late(w);
        worker_offer_again(w);
        worker_harvest(w, clock_now_ns() + 10 * MS_NS, 0);
    }
    worker_release(w);
    worker_board(w);
    hand_over(w, 0);
}
