/* The scripted broker of unit tests. See mock_broker.h: nothing here talks to a server. */
#include "client/testing/mock_broker.h"

#include "base/clock.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define MOCK_PAYLOAD 100u

struct mock_script mock_script;
struct mock_seen mock_seen;

struct mock {
    int wake_fd;
    bool refused; /* the last send was answered BUSY */
    uint64_t offered, n_deliveries;
    struct open_slot {
        uint32_t slot;
        uint8_t attempt;
        bool settle;
    } open[MOCK_SLOTS]; /* in order of arrival */
    size_t n_open;
    unsigned char payloads[HARVEST_MAX][MOCK_PAYLOAD];
};

static const char *const send_verbs[] = {"produce", NULL};
static const char *const receive_verbs[] = {"consume", NULL};

static int mock_open(void *self, const struct client_spec *spec, int wake_fd, struct err *err)
{
    struct mock *m = self;

    (void)spec;
    (void)err;
    m->wake_fd = wake_fd;
    return 0;
}

static void fill(struct completion *c, uint32_t slot, uint8_t attempt, bool settle)
{
    *c = (struct completion){.slot = slot, .node = NO_NODE, .unit = NO_UNIT, .position = -1};
    c->outcome = settle ? OUTCOME_OK : attempt == 0 ? mock_script.first : mock_script.again;
    c->level = LEVEL_QUORUM;
}

static enum submit take(struct mock *m, uint32_t slot, uint8_t attempt, bool settle,
                        struct completion *c)
{
    if (mock_script.blocking) {
        fill(c, slot, attempt, settle);
        return SUBMIT_DONE;
    }
    assert(m->n_open < MOCK_SLOTS);
    for (size_t i = 0; i < m->n_open; i++)
        assert(m->open[i].slot != slot);
    m->open[m->n_open++] = (struct open_slot){slot, attempt, settle};
    return SUBMIT_QUEUED;
}

static enum submit mock_send(void *self, const struct send *send, uint32_t slot,
                             struct completion *c)
{
    struct mock *m = self;
    struct msg read;
    uint64_t number;

    if (mock_script.on_send)
        mock_script.on_send(send);
    if (mock_script.busy_every > 0 && !m->refused && ++m->offered % mock_script.busy_every == 0) {
        m->refused = true;
        return SUBMIT_BUSY;
    }
    m->refused = false;
    number = mock_seen.sends++;
    assert(number < MOCK_LOG);
    mock_seen.corrupt[number] =
        (unsigned char)payload_read(send->payload, send->size, mock_script.run, &read);
    mock_seen.log[number] = *send->msg;
    if (!mock_script.blocking && ++mock_seen.outstanding > mock_seen.outstanding_max)
        mock_seen.outstanding_max = mock_seen.outstanding;
    return take(m, slot, send->msg->attempt, false, c);
}

static enum submit mock_settle(void *self, const struct settle *settle, uint32_t slot,
                               struct completion *c)
{
    struct mock *m = self;

    if (mock_script.on_settle)
        mock_script.on_settle(settle);
    if (mock_script.busy_every > 0 && !m->refused && ++m->offered % mock_script.busy_every == 0) {
        m->refused = true;
        return SUBMIT_BUSY;
    }
    m->refused = false;
    assert(settle->upto->tag < MOCK_LOG);
    mock_seen.settled_of[settle->upto->tag]++;
    mock_seen.settles++;
    return take(m, slot, 0, true, c);
}

static void complete(struct mock *m, struct harvest *h)
{
    size_t n =
        m->n_open < mock_script.complete_per_poll ? m->n_open : mock_script.complete_per_poll;

    for (size_t i = 0; i < n && i < HARVEST_MAX; i++) {
        fill(&h->completions[h->n_completions++], m->open[i].slot, m->open[i].attempt,
             m->open[i].settle);
        if (!m->open[i].settle)
            mock_seen.outstanding--;
    }
    memmove(m->open, m->open + h->n_completions,
            (m->n_open - h->n_completions) * sizeof(m->open[0]));
    m->n_open -= h->n_completions;
}

static void deliver(struct mock *m, struct harvest *h)
{
    uint64_t n = mock_script.deliver_per_poll;

    if (!mock_script.ignores_bound && n > h->max_deliveries)
        n = h->max_deliveries;
    for (uint64_t i = 0; i < n && m->n_deliveries < mock_script.to_deliver; i++) {
        uint64_t number = m->n_deliveries++;
        struct msg msg = {.id = {.seq = number, .client = 7}, .key = 1, .key_seq = number};
        unsigned char *payload = m->payloads[i];

        payload_write(payload, MOCK_PAYLOAD, mock_script.run, &msg);
        if (mock_script.corrupt_every > 0 && number % mock_script.corrupt_every == 0)
            payload[MOCK_PAYLOAD - 1] ^= 4;
        h->deliveries[h->n_deliveries++] = (struct delivery){
            .payload = payload, .size = MOCK_PAYLOAD, .position = (int64_t)number, .tag = number};
        mock_seen.delivered++;
    }
}

static int mock_poll(void *self, struct harvest *h, int64_t until_ns)
{
    struct mock *m = self;
    struct pollfd wake = {.fd = m->wake_fd, .events = POLLIN};
    int64_t left_ns;

    h->n_completions = h->n_deliveries = h->n_owners = 0;
    h->broken = false;
    complete(m, h);
    deliver(m, h);
    left_ns = until_ns - clock_now_ns();
    if (h->n_completions == 0 && h->n_deliveries == 0 && left_ns > 0)
        (void)poll(&wake, 1, left_ns > 2 * MS_NS ? 2 : 1);
    return 0;
}

static void mock_release(void *self, struct harvest *h)
{
    struct mock *m = self;

    memset(m->payloads, 0xee, sizeof(m->payloads)); /* who still reads them sees nonsense */
    (void)h;
}

static int mock_reconnect(void *self, struct err *err)
{
    (void)self;
    (void)err;
    return 0;
}

static size_t mock_outstanding(void *self)
{
    return ((struct mock *)self)->n_open;
}

static void mock_close(void *self, enum close_how how)
{
    (void)self;
    mock_seen.closes++;
    mock_seen.how = how;
}

static enum submit mock_txn(void *self, enum txn_verb verb, uint32_t slot, struct completion *c)
{
    (void)self;
    (void)verb;
    *c = (struct completion){.slot = slot,
                             .outcome = mock_script.transactions ? OUTCOME_OK : OUTCOME_FAIL,
                             .node = NO_NODE,
                             .unit = NO_UNIT,
                             .position = -1};
    return SUBMIT_DONE;
}

static void mock_library(char *out, size_t size)
{
    snprintf(out, size, "mocklib 1.2");
}

const struct broker_ops mock_broker_ops = {
    .name = "mock",
    .send_verbs = send_verbs,
    .receive_verbs = receive_verbs,
    .library = mock_library,
    .size = sizeof(struct mock),
    .open = mock_open,
    .send = mock_send,
    .settle = mock_settle,
    .txn = mock_txn,
    .poll = mock_poll,
    .release = mock_release,
    .reconnect = mock_reconnect,
    .outstanding = mock_outstanding,
    .close = mock_close,
};
