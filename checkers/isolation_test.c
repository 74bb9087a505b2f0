/*
 * Transactions: planted bugs are found, clean histories stay clean, a brute-force oracle agrees.
 */
#include "api/registry.h"
#include "checkers/testing/garden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct promised { /* as struct isolation_args */
    struct strings promises;
};
static const char *committed_word = "read_committed", *atomic_word = "atomic",
                  *update_word = "no_lost_update";
static const struct promised committed = {{&committed_word, 1}}, atomic = {{&atomic_word, 1}},
                             updates = {{&update_word, 1}};

/* The world with one partition: unit 0 the topic's, 1 the queue. */
enum { LOG, JOBS };
#define KEYS 64

static void drains(struct events *list, bool log_too)
{
    for (uint32_t u = log_too ? LOG : JOBS; u <= JOBS; u++)
        events_add(list,
                   (struct event){.type = EV_DRAIN,
                                  .by = BY_AUDIT,
                                  .unit = u,
                                  .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D2)});
}

/* ---- a broker and a database that keep their promises */

static void end_txn(struct random *r, struct event e, struct events *out, struct events *audit)
{
    uint64_t fate = below(r, 10);
    bool aborts = fate < 2, refused = fate == 2, unknown = fate == 3;
    bool there = !aborts && !refused && (!unknown || below(r, 2));
    uint64_t first = e.seq;

    e.type = EV_TXN_INVOKE;
    e.flags = aborts ? EV_REJECT : 0;
    events_add(out, e);
    e.type = EV_TXN_COMPLETE;
    e.outcome_level = event_result(refused   ? OUTCOME_FAIL
                                   : unknown ? OUTCOME_UNKNOWN
                                             : OUTCOME_OK,
                                   LEVEL_NONE);
    if (!unknown || below(r, 2))
        events_add(out, e);
    for (uint64_t i = 0; there && i < (uint64_t)e.value; i++) {
        bool queue = e.client >= FEEDER;
        struct event m = {.client = e.client, .seq = first + i, .unit = queue ? JOBS : LOG};

        m.attempt = (uint8_t)i; /* its place, for planting */
        m.type = EV_AUDIT_LOG;
        m.by = BY_AUDIT;
        if (!queue || below(r, 10) == 0)
            events_add(audit, m);
        else
            m.flags = EV_CUMULATIVE; /* not in the audit: it must be delivered */
        m.type = EV_DELIVER;
        m.by = queue ? WORKER : READER_1;
        m.ref = queue ? QUEUE : GROUP_1;
        if (m.flags || below(r, 2))
            events_add(out, m);
    }
}

static void write_row(struct random *r, int64_t *versions, struct events *out, struct events *audit)
{
    uint32_t key = (uint32_t)below(r, KEYS);
    struct event e = {.type = EV_WRITE_COMPLETE,
                      .by = READER_1,
                      .client = (uint16_t)(READER_1 + below(r, 2)),
                      .key = key};
    uint64_t fate = below(r, 10);

    e.value = versions[key] + 1;
    e.outcome_level = event_result(fate == 0   ? OUTCOME_FAIL
                                   : fate == 1 ? OUTCOME_UNKNOWN
                                               : OUTCOME_OK,
                                   LEVEL_NONE);
    events_add(out, e);
    if (fate == 0)
        return;
    versions[key]++;
    e.type = EV_AUDIT_ENTRY;
    e.by = BY_AUDIT;
    e.epoch = (uint32_t)e.value;
    e.outcome_level = 0;
    events_add(audit, e);
}

static void simulate_txns(uint64_t seed, size_t steps, struct events *out)
{
    struct random r = random_stream(seed, "transactions");
    struct events audit = {0};
    int64_t versions[KEYS] = {0};
    uint64_t seq[READER_1] = {0};

    for (size_t i = 0; i < steps; i++) {
        uint16_t client = (uint16_t)below(&r, BOTH);

        if (below(&r, 3) == 0) {
            write_row(&r, versions, out, &audit);
            continue;
        }
        end_txn(&r,
                (struct event){.by = client,
                               .client = client,
                               .seq = seq[client],
                               .value = 2 + (int64_t)below(&r, 4)},
                out, &audit);
        seq[client] += 5;
    }
    for (size_t i = 0; i < audit.n; i++)
        events_add(out, audit.items[i]);
    drains(out, true);
    events_restamp(out);
    events_release(&audit);
}

/* ---- planted */

static bool aborted(const struct events *clean, size_t i)
{
    const struct event *e = &clean->items[i];

    return e->type == EV_TXN_COMPLETE &&
           event_outcome(e) == (e->flags & EV_REJECT ? OUTCOME_OK : OUTCOME_FAIL);
}

static struct event delivery_of(const struct event *txn)
{
    bool queue = txn->client >= FEEDER;

    return (struct event){.type = EV_DELIVER,
                          .at_ns = txn->at_ns,
                          .by = queue ? WORKER : READER_2,
                          .ref = queue ? QUEUE : GROUP_2,
                          .unit = queue ? JOBS : LOG,
                          .client = txn->client,
                          .seq = txn->seq};
}

static void read_it(const struct events *clean, size_t i, struct events *out)
{
    struct event read = delivery_of(&clean->items[i]);

    if (i % 2) /* before it was known to be aborted */
        events_add(out, read);
    events_add(out, clean->items[i]);
    events_add(out, read); /* read twice is one finding */
}

static bool first_of_txn(const struct events *clean, size_t i)
{
    const struct event *e = &clean->items[i];

    return e->type == EV_AUDIT_LOG && e->unit == LOG && e->attempt == 0;
}

static void leave_out(const struct events *clean, size_t i, struct events *out)
{
    (void)clean;
    (void)i;
    (void)out;
}

static bool ok_write(const struct events *clean, size_t i)
{
    return clean->items[i].type == EV_WRITE_COMPLETE &&
           event_outcome(&clean->items[i]) == OUTCOME_OK;
}

static bool entry(const struct events *clean, size_t i)
{
    return clean->items[i].type == EV_AUDIT_ENTRY;
}

static void twice(const struct events *clean, size_t i, struct events *out)
{
    events_add(out, clean->items[i]);
    events_add(out, clean->items[i]);
}

static void every_planted_bug_is_found(void **state)
{
    static const struct seed seeds[] = {
        {"aborted_read", NULL, "isolation", &committed, aborted, read_it},
        {"torn_transaction", NULL, "isolation", &atomic, first_of_txn, leave_out},
        {"lost_update", NULL, "isolation", &updates, ok_write, twice},
        {"lost_update", NULL, "isolation", &updates, entry, twice},
    };
    struct events clean = {0};

    (void)state;
    simulate_txns(1, 30000, &clean);
    for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
        garden(&seeds[i], &clean, i);
    events_release(&clean);
}

/* ---- the oracle */

/* The completion of the transaction asked to end by event i; NULL: none. */
static const struct event *answer(const struct events *list, size_t i)
{
    for (size_t k = i + 1; k < list->n; k++) {
        const struct event *e = &list->items[k];

        if (e->client != list->items[i].client)
            continue;
        if (e->type == EV_TXN_INVOKE)
            return NULL;
        if (e->type == EV_TXN_COMPLETE && e->seq == list->items[i].seq)
            return e;
    }
    return NULL;
}

static bool is_of(const struct event *m, const struct event *txn)
{
    return m->client == txn->client && m->seq >= txn->seq &&
           m->seq < txn->seq + (uint64_t)txn->value;
}

static uint64_t aborted_reads(const struct events *list)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct event *txn = &list->items[i], *end;

        if (txn->type != EV_TXN_INVOKE || !(end = answer(list, i)))
            continue;
        if (event_outcome(end) != (end->flags & EV_REJECT ? OUTCOME_OK : OUTCOME_FAIL))
            continue;
        for (size_t k = 0; k < list->n; k++) {
            bool first = list->items[k].type == EV_DELIVER && is_of(&list->items[k], txn);

            for (size_t b = 0; b < k && first; b++)
                first = list->items[b].type != EV_DELIVER ||
                        list->items[b].client != list->items[k].client ||
                        list->items[b].seq != list->items[k].seq ||
                        list->items[b].ref != list->items[k].ref;
            count += first;
        }
    }
    return count;
}

static bool is_drained(const struct events *list, uint32_t unit)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].type == EV_DRAIN && list->items[i].unit == unit)
            return true;
    return false;
}

static uint64_t torn(const struct events *list)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct event *txn = &list->items[i];
        uint32_t unit = txn->client >= FEEDER ? JOBS : LOG;
        int64_t there = 0;

        if (txn->type != EV_TXN_INVOKE || !is_drained(list, unit))
            continue;
        for (uint64_t seq = txn->seq; seq < txn->seq + (uint64_t)txn->value; seq++)
            for (size_t k = 0; k < list->n; k++) {
                const struct event *e = &list->items[k];

                if (e->client == txn->client && e->seq == seq &&
                    (e->type == EV_AUDIT_LOG || (e->type == EV_DELIVER && e->unit == JOBS))) {
                    there++;
                    break;
                }
            }
        count += there > 0 && there < txn->value;
    }
    return count;
}

static uint64_t repeated(const struct events *list, uint32_t key, uint8_t type)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->n; i++)
        for (size_t k = 0; k < i; k++) {
            const struct event *a = &list->items[k], *b = &list->items[i];

            if (a->type == type && b->type == type && a->key == key && b->key == key &&
                a->epoch == b->epoch &&
                (type == EV_AUDIT_ENTRY ||
                 (event_outcome(a) == OUTCOME_OK && event_outcome(b) == OUTCOME_OK))) {
                count++;
                break;
            }
        }
    return count;
}

static uint64_t lost_updates(const struct events *list)
{
    uint64_t count = 0;

    for (uint32_t key = 0; key < 2; key++) {
        uint64_t writes = repeated(list, key, EV_WRITE_COMPLETE),
                 rows = repeated(list, key, EV_AUDIT_ENTRY);

        count += writes > rows ? writes : rows;
    }
    return count;
}

static void make_up(uint64_t seed, struct events *list)
{
    struct random r = random_stream(seed, "made up transactions");
    uint64_t seq[2] = {0};
    struct event open[2] = {{0}};

    list->n = 0;
    for (uint64_t n = 10 + below(&r, 25); n > 0; n--) {
        unsigned side = (unsigned)below(&r, 2);
        uint16_t client = side ? FEEDER : APP;
        struct event e = {.by = client, .client = client, .seq = seq[side]};
        enum outcome outcome = (enum outcome)(1 + below(&r, 3));

        switch (below(&r, 10)) {
        case 0:
        case 1:
            e.type = EV_TXN_INVOKE;
            e.value = 1 + (int64_t)below(&r, 3);
            e.flags = below(&r, 2) ? EV_REJECT : 0;
            seq[side] += (uint64_t)e.value;
            open[side] = e;
            break;
        case 2:
        case 3:
            if (!open[side].type)
                continue;
            e = open[side];
            e.type = EV_TXN_COMPLETE;
            e.outcome_level = event_result(outcome, LEVEL_NONE);
            open[side].type = 0;
            break;
        case 4:
        case 5:
            e.seq = below(&r, 5);
            e = delivery_of(&e);
            break;
        case 6:
            e = (struct event){.type = EV_AUDIT_LOG,
                               .by = BY_AUDIT,
                               .client = client,
                               .seq = below(&r, 5),
                               .unit = side ? JOBS : LOG};
            break;
        default:
            e.key = side;
            e.value = 1 + (int64_t)below(&r, 3);
            e.epoch = (uint32_t)e.value;
            e.type = below(&r, 2) ? EV_WRITE_COMPLETE : EV_AUDIT_ENTRY;
            e.outcome_level =
                e.type == EV_WRITE_COMPLETE ? event_result(outcome, LEVEL_NONE) : (uint8_t)0;
        }
        events_add(list, e);
    }
    drains(list, below(&r, 4) > 0);
    events_restamp(list);
}

static void the_oracle_agrees(void **state)
{
    struct tally tallies[] = {
        {.kind = "aborted_read"}, {.kind = "torn_transaction"}, {.kind = "lost_update"}};
    struct events list = {0};

    (void)state;
    for (uint64_t i = 0; i < histories_wanted(); i++) {
        struct world w;

        make_up(i, &list);
        tallies[0].counted = aborted_reads(&list);
        tallies[1].counted = torn(&list);
        tallies[2].counted = lost_updates(&list);
        world_init(&w, 1);
        world_promise(&w, checker_named("isolation"), NULL);
        agree(&w, &list, 0, i, tallies, 3);
    }
    enough(tallies, 3);
    events_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_planted_bug_is_found),
        cmocka_unit_test(the_oracle_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
