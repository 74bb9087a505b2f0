/*
 * Channels: planted losses are found, a clean history stays clean, a brute-force oracle agrees.
 */
#include "api/registry.h"
#include "checkers/testing/garden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SENDERS 2u
#define READERS 2u

static const struct {
    int gaps;
} allowed = {0}, counted = {1};

static void make_world(struct world *w, const void *args)
{
    world_init(w, 1);
    w->dests[QUEUE].kind = UNIT_CHANNEL;
    world_promise(w, checker_named("subscription"), args);
}

/* ---- making histories */

static struct event sent(const struct world *w, uint8_t type, uint16_t client, uint64_t seq)
{
    return (struct event){.type = type,
                          .by = client,
                          .client = client,
                          .seq = seq,
                          .unit = w->queue_unit,
                          .node = 0,
                          .outcome_level = event_result(OUTCOME_OK, LEVEL_LEADER)};
}

static void own(const struct world *w, struct events *out, uint16_t by, uint32_t epoch,
                uint8_t flag)
{
    events_add(out,
               (struct event){
                   .type = EV_OWN, .by = by, .unit = w->queue_unit, .epoch = epoch, .flags = flag});
}

static void deliver(const struct world *w, struct events *out, uint16_t by, uint16_t client,
                    uint64_t seq, uint8_t flags)
{
    struct event e = sent(w, EV_DELIVER, client, seq);

    e.by = by;
    e.flags = flags;
    events_add(out, e);
}

struct channel {
    struct random r;
    bool on[READERS];
    uint32_t epoch[READERS];
    uint64_t seq[SENDERS];
};

/* One sender's message from invoke to answer; `faulty` lets go of deliveries at will. */
static void publish(struct channel *c, const struct world *w, struct events *out, bool faulty)
{
    uint16_t n = (uint16_t)below(&c->r, SENDERS), client = (uint16_t)(FEEDER + n);
    struct event e = sent(w, EV_SEND_COMPLETE, client, c->seq[n]++);

    events_add(out, sent(w, EV_SEND_INVOKE, client, e.seq));
    for (uint16_t k = 0; k < READERS; k++)
        if (c->on[k] && !(faulty && chance(&c->r, 150)))
            deliver(w, out, (uint16_t)(WORKER + k), client, e.seq, 0);
    if (chance(&c->r, 100))
        e.outcome_level = event_result(OUTCOME_UNKNOWN, LEVEL_NONE);
    events_add(out, e);
}

static void change(struct channel *c, const struct world *w, struct events *out)
{
    uint16_t k = (uint16_t)below(&c->r, READERS), by = (uint16_t)(WORKER + k);

    if (!c->on[k])
        own(w, out, by, ++c->epoch[k], EV_GAINED);
    else if (chance(&c->r, 700))
        own(w, out, by, c->epoch[k], EV_LOST);
    else
        events_add(out, (struct event){.type = EV_CLIENT_DEATH, .by = BY_COORDINATOR, .ref = by});
    c->on[k] = !c->on[k];
}

static void make_up(uint64_t seed, size_t steps, bool faulty, const struct world *w,
                    struct events *out)
{
    struct channel c = {.r = random_stream(seed, "channel")};

    out->n = 0;
    for (size_t i = 0; i < steps; i++)
        if (chance(&c.r, 250))
            change(&c, w, out);
        else
            publish(&c, w, out, faulty);
    for (uint16_t k = 0; k < READERS; k++)
        if (c.on[k] && !(faulty && chance(&c.r, 200)))
            deliver(w, out, (uint16_t)(WORKER + k), 99, 0, EV_MARKER);
    events_restamp(out);
}

/* ---- the oracle: what each reader was owed, event by event */

/* Time at which the subscription that is on at event i ends; 0: none is on. */
static int64_t end_of(const struct events *list, size_t i, uint16_t by)
{
    bool on = false;
    int64_t last_ns = 0, began_ns = 0;

    for (size_t k = 0; k < list->n; k++) {
        const struct event *e = &list->items[k];
        bool lost = e->type == EV_OWN && e->by == by && e->flags & EV_LOST;
        bool dead = e->type == EV_CLIENT_DEATH && e->ref == by;

        if (k >= i && !on)
            return 0;
        if (e->type == EV_DELIVER && e->by == by)
            last_ns = e->at_ns;
        if (e->type == EV_OWN && e->by == by && e->flags & EV_GAINED) {
            on = true;
            began_ns = e->at_ns;
        }
        if (on && (lost || dead) && k < i)
            on = false;
        else if (on && lost)
            return e->at_ns;
        else if (on && dead)
            return last_ns > 0 ? last_ns : began_ns;
    }
    return on ? INT64_MAX : 0;
}

static bool was_handed(const struct events *list, uint16_t by, const struct event *m, bool marker)
{
    for (size_t k = 0; k < list->n; k++) {
        const struct event *e = &list->items[k];

        if (e->type == EV_DELIVER && e->by == by &&
            (marker ? e->flags & EV_MARKER : e->client == m->client && e->seq == m->seq))
            return true;
    }
    return false;
}

/* From its first subscription to the end of its last one. */
static bool between(const struct events *list, uint16_t by, const struct event *invoke,
                    const struct event *done)
{
    int64_t first_ns = 0, last_ns = 0;

    for (size_t k = 0; k < list->n; k++)
        if (list->items[k].type == EV_OWN && list->items[k].by == by &&
            list->items[k].flags & EV_GAINED) {
            first_ns = first_ns ? first_ns : list->items[k].at_ns;
            last_ns = end_of(list, k + 1, by);
        }
    return first_ns && first_ns < invoke->at_ns && done->at_ns < last_ns;
}

static uint64_t lost(const struct events *list, bool gaps)
{
    uint64_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct event *done = &list->items[i];
        size_t from = i;

        if (done->type != EV_SEND_COMPLETE || event_outcome(done) != OUTCOME_OK)
            continue;
        while (list->items[from].type != EV_SEND_INVOKE)
            from--;
        for (uint16_t by = WORKER; by < WORKER + READERS; by++) {
            int64_t end_ns = end_of(list, from, by);
            bool inside = end_ns && done->at_ns < end_ns;

            if (was_handed(list, by, done, false))
                continue;
            if (inside)
                n += end_ns != INT64_MAX || was_handed(list, by, done, true);
            else
                n += gaps && between(list, by, &list->items[from], done);
        }
    }
    return n;
}

static void the_oracle_agrees(void **state)
{
    struct tally tally = {.kind = "lost"};
    struct events list = {0};

    (void)state;
    for (uint64_t i = 0; i < histories_wanted(); i++) {
        bool gaps = i % 2;
        struct world w;

        make_world(&w, gaps ? (const void *)&counted : &allowed);
        make_up(i, 6 + i % 12, true, &w, &list);
        tally.counted = lost(&list, gaps);
        agree(&w, &list, 0, i, &tally, 1);
    }
    enough(&tally, 1);
    events_release(&list);
}

/* ---- planted: a delivery taken away, inside of a subscription that goes on */

static void a_delivery_taken_away_is_a_loss(void **state)
{
    struct events list = {0};
    struct check_result result;
    uint64_t planted = 0;
    struct world w;

    (void)state;
    make_world(&w, &allowed);
    own(&w, &list, WORKER, 1, EV_GAINED);
    for (uint64_t seq = 0; seq < 50000; seq++) {
        events_add(&list, sent(&w, EV_SEND_INVOKE, FEEDER, seq));
        if (seq % 41 != 7)
            deliver(&w, &list, WORKER, FEEDER, seq, 0);
        else
            planted++;
        events_add(&list, sent(&w, EV_SEND_COMPLETE, FEEDER, seq));
    }
    deliver(&w, &list, WORKER, 99, 0, EV_MARKER);
    events_restamp(&list);
    check_list(&w, &list, 0, &result);
    assert_true(planted >= PLANTED);
    assert_int_equal(count_kind(&result, "lost"), planted);
    check_release(&result);
    events_release(&list);
}

static void a_clean_channel_stays_clean(void **state)
{
    struct events list = {0};
    struct check_result result;
    struct world w;

    (void)state;
    make_world(&w, &allowed);
    make_up(1, 100000, false, &w, &list);
    check_list(&w, &list, 0, &result);
    expect_nothing(&result, "clean channel");
    check_release(&result);
    events_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_channel_stays_clean),
        cmocka_unit_test(a_delivery_taken_away_is_a_loss),
        cmocka_unit_test(the_oracle_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
