/*
 * The checkers against a brute-force oracle that shares no code, on random small histories that are
 * damaged at random: equal counts of every kind. ASSAY_ORACLE_HISTORIES sets how many (100000).
 */
#include "api/registry.h"
#include "checkers/order.h"
#include "checkers/testing/oracle.h"
#include "checkers/testing/random.h"
#include "checkers/testing/simulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARTITIONS 2

/* An event of this type at a random place, or -1. */
static long pick(struct random *r, const struct events *list, int type,
                 bool (*fits)(const struct event *))
{
    size_t from = below(r, list->n);

    for (size_t k = 0; k < list->n; k++) {
        size_t i = (from + k) % list->n;

        if (list->items[i].type == type && (!fits || fits(&list->items[i])))
            return (long)i;
    }
    return -1;
}

static bool topic(const struct event *e)
{
    return e->unit < PARTITIONS;
}

static bool queue(const struct event *e)
{
    return e->unit == PARTITIONS;
}

static bool gained(const struct event *e)
{
    return topic(e) && e->flags & EV_GAINED;
}

static bool ok_in_topic(const struct event *e)
{
    return event_outcome(e) == OUTCOME_OK && topic(e);
}

static bool refused(const struct event *e)
{
    return event_outcome(e) == OUTCOME_FAIL;
}

static bool believed(const struct event *e)
{
    return event_outcome(e) == OUTCOME_BELIEVED;
}

static void exchange(struct event *a, struct event *b)
{
    struct event kept = *a;

    a->client = b->client, a->incarnation = b->incarnation, a->seq = b->seq,
    a->attempt = b->attempt, a->key = b->key;
    b->client = kept.client, b->incarnation = kept.incarnation, b->seq = kept.seq,
    b->attempt = kept.attempt;
    b->key = kept.key;
}

/* Nothing is delivered before it is sent: the write-ahead rule, not something a broker could break.
 */
static bool sent_before(const struct events *list, size_t i, size_t place)
{
    const struct event *m = &list->items[i];

    for (size_t k = 0; k < place; k++) {
        const struct event *s = &list->items[k];

        if (s->type == EV_SEND_INVOKE && s->client == m->client &&
            s->incarnation == m->incarnation && s->seq == m->seq && s->attempt == m->attempt)
            return true;
    }
    return false;
}

/* ---- damage, one function each; what it amounts to the oracle says */

static void drop_from_log(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_AUDIT_LOG, NULL);

    if (i >= 0)
        events_remove(list, (size_t)i);
}

static void drop_believed(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_SEND_COMPLETE, believed);

    for (size_t k = 0; i >= 0 && k < list->n; k++)
        if (list->items[k].type == EV_AUDIT_LOG && list->items[k].seq == list->items[i].seq &&
            list->items[k].client == list->items[i].client &&
            list->items[k].incarnation == list->items[i].incarnation) {
            events_remove(list, k);
            return;
        }
}

static void double_in_log(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_AUDIT_LOG, NULL);
    struct event e;
    size_t last = 0;

    if (i < 0)
        return;
    e = list->items[i];
    for (size_t k = 0; k < list->n; k++)
        if (list->items[k].type == EV_AUDIT_LOG && list->items[k].unit == e.unit)
            last = k;
    e.position = list->items[last].position + (below(r, 4) > 0); /* or the same: read again */
    e.attempt = (uint8_t)(below(r, 3) == 0 ? e.attempt + 1 : e.attempt);
    events_insert(list, last + 1, e);
}

static bool same_session(const struct event *a, const struct event *b)
{
    return a->client == b->client && a->incarnation == b->incarnation;
}

static void exchange_in_log(struct random *r, struct events *list)
{
    for (int tries = 0; tries < 12; tries++) {
        long i = pick(r, list, EV_AUDIT_LOG, NULL), k = pick(r, list, EV_AUDIT_LOG, NULL);

        if (i < 0 || list->items[i].unit != list->items[k].unit || i == k ||
            (tries < 8 && !same_session(&list->items[i], &list->items[k])))
            continue;
        exchange(&list->items[i], &list->items[k]);
        return;
    }
}

static void drop_effect(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_AUDIT_EFFECT, NULL);

    if (i >= 0)
        events_remove(list, (size_t)i);
}

static void double_effect(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_AUDIT_EFFECT, NULL);

    if (i >= 0)
        events_insert(list, (size_t)i + below(r, 2), list->items[i]);
}

static void exchange_effects(struct random *r, struct events *list)
{
    for (int tries = 0; tries < 30; tries++) {
        long i = pick(r, list, EV_AUDIT_EFFECT, NULL), k = pick(r, list, EV_AUDIT_EFFECT, NULL);

        if (i < 0 || i == k || list->items[i].key != list->items[k].key ||
            (tries < 20 && !same_session(&list->items[i], &list->items[k])))
            continue;
        exchange(&list->items[i], &list->items[k]);
        return;
    }
}

static void deliver_again(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_DELIVER, NULL);
    size_t to, owner;
    struct event e;

    if (i < 0)
        return;
    e = list->items[i];
    to = (size_t)i + 1 + below(r, list->n - (size_t)i);
    for (owner = to; owner-- > 0;) /* whoever owns it then */
        if (list->items[owner].type == EV_OWN && list->items[owner].unit == e.unit &&
            list->items[owner].ref == e.ref && list->items[owner].flags & EV_GAINED)
            break;
    if (owner == SIZE_MAX)
        return;
    e.by = list->items[owner].by;
    e.epoch = list->items[owner].epoch;
    if (queue(&e)) {
        e.flags = below(r, 2) ? EV_REDELIVERED : 0;
        e.position = 1000 + (int64_t)to;
    }
    events_insert(list, to, e);
}

static bool cumulative_in_queue(const struct event *e)
{
    return queue(e) && e->flags & EV_CUMULATIVE;
}

/* Only the last of several is settled, and one of the others comes back. */
static void settle_out_of_order(struct random *r, struct events *list)
{
    long i = -1;
    struct event e;

    for (int tries = 0; tries < 8; tries++) {
        i = pick(r, list, EV_SETTLE_INVOKE, cumulative_in_queue);
        for (long k = i; i >= 0 && k-- > 0;) {
            e = list->items[k];
            if (e.type != EV_DELIVER || !queue(&e) || e.by != list->items[i].by ||
                e.epoch != list->items[i].epoch || !same_session(&e, &list->items[i]) ||
                e.seq >= list->items[i].seq)
                continue;
            list->items[i].flags = list->items[i + 1].flags = 0; /* its answer follows at once */
            e.flags = EV_REDELIVERED;
            e.position = 4000 + i;
            events_insert(list, (size_t)i + 2, e);
            return;
        }
    }
}

static void skip_delivery(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_DELIVER, topic);

    if (i >= 0)
        events_remove(list, (size_t)i);
}

static void exchange_deliveries(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_DELIVER, queue), k = pick(r, list, EV_DELIVER, queue);

    if (i >= 0 && k >= 0 && list->items[i].epoch == list->items[k].epoch &&
        sent_before(list, (size_t)i, (size_t)k) && sent_before(list, (size_t)k, (size_t)i))
        exchange(&list->items[i], &list->items[k]);
}

static void spoil(struct random *r, struct events *list)
{
    events_insert(list, below(r, list->n),
                  (struct event){.type = EV_CORRUPT, .by = READER_1, .code = 1});
}

static void invent(struct random *r, struct events *list)
{
    long i = pick(r, list, below(r, 2) ? EV_DELIVER : EV_AUDIT_LOG, queue);
    struct event e;

    if (i < 0)
        return;
    e = list->items[i];
    e.seq += 5000 + below(r, 2);
    e.position = e.type == EV_DELIVER ? 2000 + i : e.position;
    events_insert(list, (size_t)i + 1, e);
}

static void show_refused(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_SEND_COMPLETE, refused);
    struct event e;

    if (i < 0)
        return;
    e = list->items[i];
    e.type = EV_DELIVER;
    e.by = WORKER;
    e.unit = PARTITIONS;
    e.ref = QUEUE;
    e.epoch = 99999;
    e.position = 3000 + i;
    e.outcome_level = 0;
    events_insert(list, (size_t)i + below(r, list->n - (size_t)i), e);
}

static void ack_elsewhere(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_SEND_COMPLETE, ok_in_topic);

    if (i >= 0)
        list->items[i].position = (int64_t)below(r, 8);
}

static void start_elsewhere(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_OWN, gained);

    if (i >= 0)
        list->items[i].position = (int64_t)below(r, 8);
}

static void lose_commit(struct random *r, struct events *list)
{
    long i = pick(r, list, EV_AUDIT_SETTLED, NULL);

    if (i >= 0)
        list->items[i].position = (int64_t)below(r, 3);
}

static void (*const damages[])(struct random *, struct events *) = {drop_from_log,
                                                                    drop_believed,
                                                                    double_in_log,
                                                                    exchange_in_log,
                                                                    drop_effect,
                                                                    double_effect,
                                                                    exchange_effects,
                                                                    deliver_again,
                                                                    skip_delivery,
                                                                    exchange_deliveries,
                                                                    settle_out_of_order,
                                                                    settle_out_of_order,
                                                                    settle_out_of_order,
                                                                    settle_out_of_order,
                                                                    spoil,
                                                                    invent,
                                                                    show_refused,
                                                                    ack_elsewhere,
                                                                    start_elsewhere,
                                                                    lose_commit};

/* ---- one history */

/* A settle names the message that was delivered under its tag, whatever was exchanged. */
static void repair_settles(struct events *list)
{
    for (size_t i = 0; i < list->n; i++) {
        struct event *s = &list->items[i];

        if ((s->type != EV_SETTLE_INVOKE && s->type != EV_SETTLE_COMPLETE) || !queue(s))
            continue;
        for (size_t k = 0; k < i; k++) {
            const struct event *d = &list->items[k];

            if (d->type == EV_DELIVER && d->by == s->by && d->epoch == s->epoch && queue(d) &&
                d->position == s->position)
                s->client = d->client, s->incarnation = d->incarnation, s->seq = d->seq;
        }
    }
}

static void print_history(const struct events *list)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct event *e = &list->items[i];

        print_message("# %3zu %-15s by %u %u.%u/%llu+%u key %u unit %d pos %lld epoch %u ref %u "
                      "flags %u out %u\n",
                      i, event_kinds[e->type].name, e->by, e->client, e->incarnation,
                      (unsigned long long)e->seq, e->attempt, e->key, (int)e->unit,
                      (long long)e->position, e->epoch, e->ref, e->flags, e->outcome_level);
    }
}

static void print_findings(const struct check_result *result, const char *kind)
{
    for (size_t i = 0; i < result->n; i++)
        for (size_t k = 0; k < result->items[i].findings.n; k++) {
            const struct finding *f = &result->items[i].findings.items[k];

            for (size_t s = 0; strcmp(f->kind, kind) == 0 && s < f->n_samples; s++)
                print_message("# told: %u.%u/%llu at %lld: %s\n", f->samples[s].message.client,
                              f->samples[s].message.incarnation,
                              (unsigned long long)f->samples[s].message.seq,
                              (long long)f->samples[s].at_ns / 1000 - 1, f->samples[s].text);
        }
}

static void compare(const struct world *w, struct events *list, uint64_t seed, uint64_t *violated)
{
    struct event_source source = events_source(list);
    uint64_t counts[ORACLE_KINDS];
    struct check_result result;
    struct err err = {0};

    oracle(w, list, (enum oracle_order)(seed % 3), counts);
    if (check_source(&source, &w->plan, NULL, &result, &err) < 0)
        fail_msg("%s", err.text);
    for (int k = 0; k < ORACLE_KINDS; k++) {
        violated[k] += counts[k] > 0;
        if (count_kind(&result, oracle_names[k]) == counts[k])
            continue;
        print_history(list);
        print_findings(&result, oracle_names[k]);
        fail_msg("history %llu: %s: the oracle says %llu, the checker %llu",
                 (unsigned long long)seed, oracle_names[k], (unsigned long long)counts[k],
                 (unsigned long long)count_kind(&result, oracle_names[k]));
    }
    check_release(&result);
}

static void one_history(uint64_t seed, struct events *list, uint64_t *violated)
{
    static const struct order_args order[] = {{BY_PARTITION, AT_LOG, EACH_PRODUCER},
                                              {BY_PARTITION, AT_DELIVERY, EACH_PRODUCER},
                                              {BY_KEY, AT_EFFECT, EACH_PRODUCER}};
    struct simulate_options options = {.seed = seed,
                                       .steps = 40 + seed % 64,
                                       .believed = 150,
                                       .trouble = 60,
                                       .resends = 500,
                                       .keys = 2,
                                       .leave_rest = seed % 4 == 0};
    struct random r = random_stream(seed, "damage");
    struct world w;

    world_init(&w, PARTITIONS);
    world_promise(&w, checker_named("loss"), NULL);
    world_promise(&w, checker_named("delivery"), NULL);
    world_promise(&w, checker_named("effect"), NULL);
    world_promise(&w, checker_named("order"), &order[seed % 3]);
    world_promise(&w, checker_named("always"), NULL);
    simulate(&w, &options, list);
    for (size_t d = 0; d < sizeof(damages) / sizeof(*damages); d++)
        for (uint64_t times = below(&r, 4); times > 1; times--)
            damages[d](&r, list);
    repair_settles(list);
    events_restamp(list);
    compare(&w, list, seed, violated);
}

static void the_oracle_agrees(void **state)
{
    const char *wanted = getenv("ASSAY_ORACLE_HISTORIES");
    uint64_t n = wanted ? strtoull(wanted, NULL, 10) : 100000, violated[ORACLE_KINDS] = {0};
    struct events list = {0};

    (void)state;
    for (uint64_t seed = 0; seed < n; seed++)
        one_history(seed, &list, violated);
    for (int k = 0; k < ORACLE_KINDS; k++)
        print_message("# %s: violated in %llu of %llu\n", oracle_names[k],
                      (unsigned long long)violated[k], (unsigned long long)n);
    for (int k = 0; k < ORACLE_KINDS; k++)
        assert_true(violated[k] * 5 >= n);
    events_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_oracle_agrees)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
