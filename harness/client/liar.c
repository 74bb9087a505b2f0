/*
 * Known lies for the tests of the checkers (liar.h). Which send or delivery is lied about follows
 * from draws by its number; each is written to lies.jsonl before its effect can be seen, one
 * write(2) a line. A lie is told about first attempts of ordinary messages only: markers and
 * re-sends stay true, so that told and found can be compared one by one.
 *
 * A swap needs a second message for the same unit: the first is held back (and says QUEUED) until
 * the next send to that unit has gone, or until the next poll, when it goes alone and no lie was
 * told.
 */
#include "client/liar.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAYLOAD_KEPT_MAX 65536
#define DOUBLED_KEPT 256
#define TWICE_ROOM 64 /* of a harvest, for what is handed up twice */

struct held {
    bool there;
    struct msg msg;
    struct send send;
    uint32_t slot;
    unsigned char payload[PAYLOAD_KEPT_MAX];
};

/* A send whose ok will be said to be a refusal. */
struct denied {
    bool there;
    struct msg_id id;
};

struct doubled {
    uint64_t tag;
    bool settled; /* once: one more is to come */
};

struct liar {
    struct broker inner;
    struct lies lies;
    uint64_t run, n_deliveries, n_aborts;
    struct msg_id last; /* sent */
    uint32_t slots;     /* of the layers above; what they know nothing of uses the one beyond */
    struct completion faked[HARVEST_MAX]; /* of lost sends, handed out by the next poll */
    size_t n_faked;
    struct held held;
    bool extra_open;       /* the extra slot is in use */
    struct denied *denied; /* by slot, the extra one's too */
    unsigned char payload[PAYLOAD_KEPT_MAX];
    struct delivery *deliveries;          /* of this harvest, as handed up */
    struct doubled doubled[DOUBLED_KEPT]; /* handed up twice and not yet settled twice */
    uint32_t n_doubled;
};

/* ---- sends */

static enum submit lose(struct liar *l, const struct send *send, uint32_t slot,
                        struct completion *c)
{
    (void)c;
    if (l->n_faked == HARVEST_MAX)
        return SUBMIT_BUSY;
    lies_confess(&l->lies, LIE_LOSE, &send->msg->id, NULL);
    l->faked[l->n_faked++] = (struct completion){.slot = slot,
                                                 .outcome = OUTCOME_OK,
                                                 .level = LEVEL_QUORUM,
                                                 .node = NO_NODE,
                                                 .unit = send->unit,
                                                 .position = -1};
    return SUBMIT_QUEUED;
}

static enum submit send_twice(struct liar *l, const struct send *send, uint32_t slot,
                              struct completion *c)
{
    struct completion extra = {.slot = l->slots};
    enum submit answer = l->inner.ops->send(l->inner.self, send, slot, c);
    enum submit again;

    if (answer == SUBMIT_BUSY)
        return answer;
    again = l->inner.ops->send(l->inner.self, send, l->slots, &extra);
    if (again == SUBMIT_BUSY)
        return answer; /* no room: then it was no lie */
    l->extra_open = again == SUBMIT_QUEUED;
    lies_confess(&l->lies, LIE_DOUBLE, &send->msg->id, NULL);
    return answer;
}

static enum submit send_corrupt(struct liar *l, const struct send *send, uint32_t slot,
                                struct completion *c)
{
    struct send changed = *send;
    enum submit answer;

    memcpy(l->payload, send->payload, send->size);
    l->payload[send->size - 1] ^= 1;
    changed.payload = l->payload;
    answer = l->inner.ops->send(l->inner.self, &changed, slot, c);
    if (answer != SUBMIT_BUSY)
        lies_confess(&l->lies, LIE_CORRUPT, &send->msg->id, NULL);
    return answer;
}

static void deny(struct liar *l, struct completion *c)
{
    struct denied *d = &l->denied[c->slot];

    if (d->there && c->outcome == OUTCOME_OK) {
        lies_confess(&l->lies, LIE_DENY, &d->id, NULL);
        c->outcome = OUTCOME_FAIL;
        c->level = LEVEL_NONE;
        c->position = -1;
    }
    d->there = false;
}

static enum submit send_to_deny(struct liar *l, const struct send *send, uint32_t slot,
                                struct completion *c)
{
    enum submit answer = l->inner.ops->send(l->inner.self, send, slot, c);

    if (answer == SUBMIT_BUSY)
        return answer;
    l->denied[slot] = (struct denied){true, send->msg->id};
    if (answer == SUBMIT_DONE)
        deny(l, c);
    return answer;
}

static enum submit hold_back(struct liar *l, const struct send *send, uint32_t slot)
{
    struct held *h = &l->held;

    h->there = true;
    h->msg = *send->msg;
    h->send = *send;
    h->send.msg = &h->msg;
    h->send.payload = h->payload;
    h->slot = slot;
    memcpy(h->payload, send->payload, send->size);
    return SUBMIT_QUEUED;
}

/* Sends what was held back; its completion, when there at once, goes out with the next poll. */
static bool let_go(struct liar *l)
{
    struct completion c = {.slot = l->held.slot, .node = NO_NODE, .unit = NO_UNIT, .position = -1};
    enum submit answer;

    if (l->n_faked == HARVEST_MAX)
        return false;
    answer = l->inner.ops->send(l->inner.self, &l->held.send, l->held.slot, &c);
    if (answer == SUBMIT_BUSY)
        return false;
    l->held.there = false;
    c.slot = l->held.slot;
    if (answer == SUBMIT_DONE)
        l->faked[l->n_faked++] = c;
    return true;
}

/* A send while another is held back: to the same unit it goes first, elsewhere order is free
 * anyway. */
static enum submit overtake(struct liar *l, const struct send *send, uint32_t slot,
                            struct completion *c)
{
    enum submit answer = l->inner.ops->send(l->inner.self, send, slot, c);
    bool same = send->unit == l->held.send.unit;

    if (answer == SUBMIT_BUSY || !same)
        return answer;
    lies_confess(&l->lies, LIE_SWAP, &l->held.msg.id, &send->msg->id);
    (void)let_go(l); /* BUSY: the next poll tries again */
    return answer;
}

static enum submit liar_send(void *self, const struct send *send, uint32_t slot,
                             struct completion *c)
{
    struct liar *l = self;
    uint64_t index = send->msg->id.seq;

    l->last = send->msg->id;
    if (l->held.there)
        return overtake(l, send, slot, c);
    if (send->msg->attempt > 0 || send->msg->flags || send->size > PAYLOAD_KEPT_MAX)
        return l->inner.ops->send(l->inner.self, send, slot, c);
    if (lies_tempt(&l->lies, LIE_LOSE, index))
        return lose(l, send, slot, c);
    if (lies_tempt(&l->lies, LIE_CORRUPT, index))
        return send_corrupt(l, send, slot, c);
    if (lies_tempt(&l->lies, LIE_DENY, index))
        return send_to_deny(l, send, slot, c);
    if (lies_tempt(&l->lies, LIE_DOUBLE, index) && !l->extra_open)
        return send_twice(l, send, slot, c);
    if (lies_tempt(&l->lies, LIE_SWAP, index))
        return hold_back(l, send, slot);
    return l->inner.ops->send(l->inner.self, send, slot, c);
}

/* ---- deliveries and completions */

/* Completions of the extra copies are nobody's business above. */
static void drop_extra(struct liar *l, struct harvest *h)
{
    size_t kept = 0;

    for (size_t i = 0; i < h->n_completions; i++)
        if (h->completions[i].slot == l->slots)
            l->extra_open = false;
        else
            h->completions[kept++] = h->completions[i];
    h->n_completions = kept;
}

static void add_faked(struct liar *l, struct harvest *h)
{
    size_t n = HARVEST_MAX - h->n_completions;

    if (n > l->n_faked)
        n = l->n_faked;
    memcpy(h->completions + h->n_completions, l->faked, n * sizeof(*l->faked));
    h->n_completions += n;
    memmove(l->faked, l->faked + n, (l->n_faked - n) * sizeof(*l->faked));
    l->n_faked -= n;
}

static void deny_some(struct liar *l, struct harvest *h)
{
    for (size_t i = 0; i < h->n_completions; i++)
        deny(l, &h->completions[i]);
}

/* Settled behind the application's back; false: no room to say so, then it was no lie. */
static bool swallow(struct liar *l, const struct delivery *d, const struct msg *msg)
{
    struct settle settle = {.upto = d, .msg = msg};
    struct completion extra = {.slot = l->slots};
    enum submit answer;

    if (l->extra_open)
        return false;
    answer = l->inner.ops->settle(l->inner.self, &settle, l->slots, &extra);
    if (answer == SUBMIT_BUSY)
        return false;
    l->extra_open = answer == SUBMIT_QUEUED;
    lies_confess(&l->lies, LIE_SWALLOW, &msg->id, NULL);
    return true;
}

/* Forgets a delivery, or hands it up twice. A skipped one is never settled by itself. */
static void change_deliveries(struct liar *l, struct harvest *h)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n_deliveries; i++) {
        const struct delivery *d = &h->deliveries[i];
        uint64_t index = l->n_deliveries++;
        struct msg msg;
        bool mine = payload_read(d->payload, d->size, l->run, &msg) == PAYLOAD_OK && msg.flags == 0;

        if (mine && lies_tempt(&l->lies, LIE_SKIP, index)) {
            lies_confess(&l->lies, LIE_SKIP, &msg.id, NULL);
            continue;
        }
        if (mine && lies_tempt(&l->lies, LIE_SWALLOW, index) && swallow(l, d, &msg))
            continue;
        l->deliveries[n++] = *d;
        if (mine && l->n_doubled < DOUBLED_KEPT && n + (h->n_deliveries - i) < HARVEST_MAX &&
            lies_tempt(&l->lies, LIE_TWICE, index)) {
            lies_confess(&l->lies, LIE_TWICE, &msg.id, NULL);
            l->doubled[l->n_doubled++] = (struct doubled){.tag = d->tag};
            l->deliveries[n++] = *d;
        }
        if (n == HARVEST_MAX)
            break;
    }
    memcpy(h->deliveries, l->deliveries, n * sizeof(*l->deliveries));
    h->n_deliveries = n;
}

static int liar_poll(void *self, struct harvest *harvest, int64_t until_ns)
{
    struct liar *l = self;
    int result;

    if (l->held.there)
        (void)let_go(l);
    if (l->lies.one_in[LIE_TWICE] && harvest->max_deliveries > HARVEST_MAX - TWICE_ROOM)
        harvest->max_deliveries = HARVEST_MAX - TWICE_ROOM;
    result = l->inner.ops->poll(l->inner.self, harvest, l->n_faked > 0 ? 0 : until_ns);
    if (result < 0)
        return result;
    drop_extra(l, harvest);
    deny_some(l, harvest);
    add_faked(l, harvest);
    if (l->lies.one_in[LIE_SKIP] || l->lies.one_in[LIE_SWALLOW] || l->lies.one_in[LIE_TWICE])
        change_deliveries(l, harvest);
    return result;
}

/* ---- the rest is true */

static int liar_open(void *self, const struct client_spec *spec, int wake_fd, struct err *err)
{
    (void)self;
    (void)spec;
    (void)wake_fd;
    return err_set(err, "a liar is made by liar_wrap");
}

/* The second settle of a delivery handed up twice is ours to answer: a broker may call it an error.
 * Then its tag is forgotten, since libraries use tags again. */
static bool settled_before(struct liar *l, const struct settle *settle)
{
    for (uint32_t i = 0; i < l->n_doubled && !settle->cumulative; i++) {
        struct doubled *d = &l->doubled[i];

        if (d->tag != settle->upto->tag)
            continue;
        if (d->settled) {
            *d = l->doubled[--l->n_doubled];
            return true;
        }
        d->settled = true;
        return false;
    }
    return false;
}

static enum submit liar_settle(void *self, const struct settle *settle, uint32_t slot,
                               struct completion *c)
{
    struct liar *l = self;

    if (settled_before(l, settle)) {
        *c = (struct completion){
            .slot = slot, .outcome = OUTCOME_OK, .node = NO_NODE, .unit = NO_UNIT, .position = -1};
        return SUBMIT_DONE;
    }
    return l->inner.ops->settle(l->inner.self, settle, slot, c);
}

/* What was asked to be undone is done. Its messages are told of by the last of them. */
static enum submit liar_txn(void *self, enum txn_verb verb, uint32_t slot, struct completion *c)
{
    struct liar *l = self;
    bool lies = verb == TXN_ABORT && lies_tempt(&l->lies, LIE_COMMIT, l->n_aborts);
    enum submit answer = l->inner.ops->txn(l->inner.self, lies ? TXN_COMMIT : verb, slot, c);

    if (answer == SUBMIT_BUSY)
        return answer;
    l->n_aborts += verb == TXN_ABORT;
    if (lies)
        lies_confess(&l->lies, LIE_COMMIT, &l->last, NULL);
    return answer;
}

static void liar_release(void *self, struct harvest *harvest)
{
    struct liar *l = self;

    l->inner.ops->release(l->inner.self, harvest);
}

static int liar_reconnect(void *self, struct err *err)
{
    struct liar *l = self;

    return l->inner.ops->reconnect(l->inner.self, err);
}

static size_t liar_outstanding(void *self)
{
    struct liar *l = self;

    return l->inner.ops->outstanding(l->inner.self) + l->n_faked + l->held.there;
}

static void liar_close(void *self, enum close_how how)
{
    struct liar *l = self;

    l->inner.ops->close(l->inner.self, how);
    free(l->inner.self);
    close(l->lies.fd);
    free(l->deliveries);
    free(l->denied);
}

static const struct broker_ops liar_ops = {
    .name = "liar",
    .size = sizeof(struct liar),
    .open = liar_open,
    .send = liar_send,
    .settle = liar_settle,
    .txn = liar_txn,
    .poll = liar_poll,
    .release = liar_release,
    .reconnect = liar_reconnect,
    .outstanding = liar_outstanding,
    .close = liar_close,
};

struct broker liar_wrap(struct broker inner, const struct liar_options *options,
                        const struct client_spec *spec, uint32_t slots)
{
    struct liar *l = calloc(1, sizeof(*l));

    if (!l)
        abort();
    l->inner = inner;
    l->run = spec->run;
    l->slots = slots;
    l->deliveries = calloc(HARVEST_MAX, sizeof(*l->deliveries));
    l->denied = calloc(slots + 1u, sizeof(*l->denied));
    if (!l->deliveries || !l->denied)
        abort();
    lies_open(&l->lies, options, spec);
    return (struct broker){.ops = &liar_ops, .self = l};
}
