/*
 * Bugs planted at random sites of recorded histories: 1000 of each kind, the first, the last and
 * the edges of blocks among them. All are found, one for one; and where nothing is planted nothing
 * is.
 */
#include "api/registry.h"
#include "checkers/order.h"
#include "checkers/table.h"
#include "checkers/testing/garden.h"
#include "checkers/testing/simulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARTITIONS 4

enum fact { ACKED = 1, FAILED = 2, BELIEVED = 4 };

struct bed {
    struct world world;
    struct events clean, planted;
    struct table facts; /* (session, seq) → enum fact */
    struct event *logs[PARTITIONS];
    size_t n_log[PARTITIONS];
    size_t *pair;                /* per event: the one it is exchanged with; 0 none */
    struct table last_delivered; /* interval → last position */
    int64_t committed[DESTS][PARTITIONS];
    struct table failed_feeders; /* session → next seq to look at */
    int64_t positions[PARTITIONS];
};

static uint64_t session(const struct event *e)
{
    return (uint64_t)e->client << 32 | (uint64_t)e->incarnation << 16 | e->worker;
}

static uint64_t fact(const struct bed *g, const struct event *e)
{
    const uint64_t *bits = table_get(&g->facts, session(e), e->seq);

    return bits ? *bits : 0;
}

static void learn(struct bed *g)
{
    for (size_t i = 0; i < g->clean.n; i++) {
        const struct event *e = &g->clean.items[i];

        if (e->type == EV_SEND_COMPLETE)
            *table_put(&g->facts, session(e), e->seq) |= event_outcome(e) == OUTCOME_OK     ? ACKED
                                                         : event_outcome(e) == OUTCOME_FAIL ? FAILED
                                                         : event_outcome(e) == OUTCOME_BELIEVED
                                                             ? BELIEVED
                                                             : 0u;
        if (e->type == EV_AUDIT_LOG && e->unit < PARTITIONS) {
            g->logs[e->unit] = realloc(g->logs[e->unit], (g->n_log[e->unit] + 1) * sizeof(*e));
            g->logs[e->unit][g->n_log[e->unit]++] = *e;
        }
        if (e->type == EV_DELIVER)
            *table_put(&g->last_delivered, e->epoch, e->unit) = (uint64_t)e->position;
    }
}

/* What is true at this point of the walk. */
static void walk(struct bed *g, const struct event *e)
{
    if (e->type == EV_SETTLE_COMPLETE && e->unit < PARTITIONS && event_outcome(e) == OUTCOME_OK)
        g->committed[e->ref][e->unit] = e->position;
}

/* ---- kinds: where may it be planted, and how */

static bool in_topic(const struct bed *g, const struct event *e)
{
    (void)g;
    return e->type == EV_AUDIT_LOG && e->unit < PARTITIONS;
}

static bool acked_in_topic(struct bed *g, size_t i)
{
    return in_topic(g, &g->clean.items[i]) && fact(g, &g->clean.items[i]) & ACKED;
}

static bool believed_in_topic(struct bed *g, size_t i)
{
    return in_topic(g, &g->clean.items[i]) && fact(g, &g->clean.items[i]) == BELIEVED;
}

static void leave_out(struct bed *g, size_t i)
{
    (void)g;
    (void)i;
}

static bool any_in_topic(struct bed *g, size_t i)
{
    return in_topic(g, &g->clean.items[i]);
}

static void twice(struct bed *g, size_t i)
{
    events_add(&g->planted, g->clean.items[i]);
    events_add(&g->planted, g->clean.items[i]);
}

static void another_attempt(struct bed *g, size_t i)
{
    struct event e = g->clean.items[i];

    events_add(&g->planted, e);
    e.attempt = 9;
    events_add(&g->planted, e);
}

static bool settled_before(struct bed *g, size_t i)
{
    const struct event *e = &g->clean.items[i];

    return e->type == EV_OWN && e->flags & EV_GAINED && e->unit < PARTITIONS &&
           g->committed[e->ref][e->unit] > 0;
}

static void deliver_settled(struct bed *g, size_t i)
{
    const struct event *own = &g->clean.items[i];
    struct event e = g->logs[own->unit][g->committed[own->ref][own->unit]];

    events_add(&g->planted, *own);
    e.type = EV_DELIVER;
    e.by = own->by;
    e.epoch = own->epoch;
    e.ref = own->ref;
    e.at_ns = own->at_ns + 500;
    e.flags = 0;
    events_add(&g->planted, e);
}

static bool acked_effect(struct bed *g, size_t i)
{
    return g->clean.items[i].type == EV_AUDIT_EFFECT && fact(g, &g->clean.items[i]) & ACKED;
}

static bool effect(struct bed *g, size_t i)
{
    return g->clean.items[i].type == EV_AUDIT_EFFECT;
}

static void become(struct event *e, const struct event *other)
{
    e->client = other->client;
    e->incarnation = other->incarnation;
    e->worker = other->worker;
    e->seq = other->seq;
    e->attempt = other->attempt;
    e->key = other->key;
}

/* The next event of the same kind and stream, if neither is taken. */
static bool find_pair(struct bed *g, size_t i,
                      bool (*same)(const struct event *, const struct event *))
{
    if (g->pair[i])
        return false;
    for (size_t k = i + 1; k < g->clean.n && k < i + 300; k++)
        if (same(&g->clean.items[i], &g->clean.items[k])) {
            if (g->pair[k])
                return false;
            g->pair[i] = k;
            g->pair[k] = i;
            return true;
        }
    return false;
}

static bool same_log_stream(const struct event *a, const struct event *b)
{
    return b->type == EV_AUDIT_LOG && a->unit == b->unit && session(a) == session(b);
}

static bool same_effect_stream(const struct event *a, const struct event *b)
{
    return b->type == EV_AUDIT_EFFECT && a->key == b->key && session(a) == session(b);
}

static bool log_pair(struct bed *g, size_t i)
{
    return in_topic(g, &g->clean.items[i]) && find_pair(g, i, same_log_stream);
}

static bool effect_pair(struct bed *g, size_t i)
{
    return g->clean.items[i].type == EV_AUDIT_EFFECT && find_pair(g, i, same_effect_stream);
}

static void exchange(struct bed *g, size_t i)
{
    struct event kept = g->clean.items[i], *other = &g->clean.items[g->pair[i]];
    struct event e = kept;

    become(&e, other);
    become(other, &kept);
    events_add(&g->planted, e);
}

static bool delivered(struct bed *g, size_t i)
{
    const struct event *e = &g->clean.items[i];

    return e->type == EV_DELIVER && e->unit < PARTITIONS && e->position > 0;
}

static void deliver_earlier(struct bed *g, size_t i)
{
    struct event e = g->clean.items[i];

    events_add(&g->planted, e);
    become(&e, &g->logs[e.unit][e.position - 1]);
    e.position--;
    events_add(&g->planted, e);
}

static bool delivered_amid(struct bed *g, size_t i)
{
    const struct event *e = &g->clean.items[i];

    return delivered(g, i) && e->position % 3 == 1 &&
           (int64_t)*table_get(&g->last_delivered, e->epoch, e->unit) > e->position;
}

static bool settled_in_queue(struct bed *g, size_t i)
{
    const struct event *e = &g->clean.items[i];
    uint64_t *next;
    struct event z = *e;

    if (e->type != EV_SETTLE_COMPLETE || e->unit != PARTITIONS)
        return false;
    next = table_put(&g->failed_feeders, session(e), 0);
    for (z.seq = *next; z.seq < e->seq && fact(g, &z) != FAILED; z.seq++)
        ;
    *next = z.seq + 1 < e->seq ? z.seq + 1 : e->seq;
    if (z.seq >= e->seq)
        return false;
    g->pair[i] = (size_t)z.seq + 1;
    return true;
}

static void refused_comes_back(struct bed *g, size_t i)
{
    struct event e = g->clean.items[i];

    events_add(&g->planted, e);
    e.type = EV_DELIVER;
    e.seq = g->pair[i] - 1;
    e.flags = EV_REDELIVERED;
    e.outcome_level = 0;
    e.position = 1000000 + (int64_t)i;
    events_add(&g->planted, e);
}

static bool anywhere(struct bed *g, size_t i)
{
    (void)g;
    (void)i;
    return true;
}

static void corrupt(struct bed *g, size_t i)
{
    struct event e = g->clean.items[i];

    events_add(&g->planted, e);
    events_add(&g->planted,
               (struct event){.type = EV_CORRUPT, .at_ns = e.at_ns, .by = READER_1, .code = 1});
}

static void stranger(struct bed *g, size_t i)
{
    struct event e = g->clean.items[i];

    events_add(&g->planted, e);
    events_add(&g->planted, (struct event){.type = EV_DELIVER,
                                           .at_ns = e.at_ns,
                                           .by = WORKER,
                                           .unit = PARTITIONS,
                                           .ref = QUEUE,
                                           .client = APP,
                                           .incarnation = i % 2 ? 60000 : 0,
                                           .seq = (UINT64_C(1) << 33) + i,
                                           .position = 1});
}

static bool refused(struct bed *g, size_t i)
{
    const struct event *e = &g->clean.items[i];

    (void)g;
    return e->type == EV_SEND_COMPLETE && event_outcome(e) == OUTCOME_FAIL;
}

static void refused_is_there(struct bed *g, size_t i)
{
    struct event e = g->clean.items[i];

    events_add(&g->planted, e);
    e.type = EV_DELIVER;
    e.by = WORKER;
    e.unit = PARTITIONS;
    e.position = 1;
    e.outcome_level = 0;
    events_add(&g->planted, e);
}

static bool acked_behind(struct bed *g, size_t i)
{
    const struct event *e = &g->clean.items[i];

    (void)g;
    return e->type == EV_SEND_COMPLETE && event_outcome(e) == OUTCOME_OK && e->position > 0;
}

static void ack_elsewhere(struct bed *g, size_t i)
{
    struct event e = g->clean.items[i];

    e.position--;
    events_add(&g->planted, e);
}

static void start_earlier(struct bed *g, size_t i)
{
    struct event e = g->clean.items[i];

    e.position = g->committed[e.ref][e.unit] - 1;
    events_add(&g->planted, e);
}

static const struct order_args at_log = {BY_PARTITION, AT_LOG, EACH_PRODUCER},
                               at_delivery = {BY_PARTITION, AT_DELIVERY, EACH_PRODUCER},
                               at_effect = {BY_KEY, AT_EFFECT, EACH_PRODUCER};

static const struct planting {
    const char *kind, *stage, *checker;
    const void *args;
    bool (*eligible)(struct bed *, size_t);
    void (*plant)(struct bed *, size_t);
    unsigned believed, trouble, resends;
    bool renumber; /* the audit's positions follow what stands there */
} plantings[] = {
    {"lost", NULL, "loss", NULL, acked_in_topic, leave_out, 0, 2, 500, false},
    {"lost_intent", NULL, "loss", NULL, believed_in_topic, leave_out, 300, 2, 500, false},
    {"duplicate_delivery", "retry", "delivery", NULL, any_in_topic, twice, 0, 2, 500, true},
    {"duplicate_delivery", "re-send", "delivery", NULL, any_in_topic, another_attempt, 0, 2, 500,
     true},
    {"duplicate_delivery", "settled before", "delivery", NULL, settled_before, deliver_settled, 0,
     30, 500, false},
    {"missing_effect", NULL, "effect", NULL, acked_effect, leave_out, 0, 2, 500, false},
    {"duplicate_effect", NULL, "effect", NULL, effect, twice, 0, 2, 500, false},
    {"order", "log", "order", &at_log, log_pair, exchange, 0, 2, 0, false},
    {"order", "delivery", "order", &at_delivery, delivered, deliver_earlier, 0, 2, 500, false},
    {"order", "skipped", "order", &at_delivery, delivered_amid, leave_out, 0, 2, 500, false},
    {"order", "effect", "order", &at_effect, effect_pair, exchange, 0, 2, 0, false},
    {"redelivery_order", NULL, "order", &at_delivery, settled_in_queue, refused_comes_back, 0, 2,
     500, false},
    {"corrupt", NULL, "always", NULL, anywhere, corrupt, 0, 2, 500, false},
    {"phantom", NULL, "always", NULL, anywhere, stranger, 0, 2, 500, false},
    {"fail_visible", NULL, "always", NULL, refused, refused_is_there, 0, 2, 500, false},
    {"offset_conflict", NULL, "always", NULL, acked_behind, ack_elsewhere, 0, 2, 500, false},
    {"offset_regress", NULL, "always", NULL, settled_before, start_earlier, 0, 30, 500, false},
};

/* ---- planting */

static void renumber(struct bed *g, size_t from)
{
    for (size_t i = from; i < g->planted.n; i++) {
        struct event *e = &g->planted.items[i];

        if (in_topic(g, e))
            e->position = g->positions[e->unit]++;
    }
}

static size_t plant_all(struct bed *g, const struct planting *p, size_t *sites, uint64_t seed)
{
    size_t n = 0, next = 0;

    for (size_t i = 0; i < g->clean.n; i++) {
        walk(g, &g->clean.items[i]);
        if (p->eligible(g, i))
            sites[n++] = i;
    }
    n = choose_sites(sites, n, seed);
    memset(g->committed, 0, sizeof(g->committed));
    for (size_t i = 0; i < g->clean.n; i++) {
        size_t from = g->planted.n;

        walk(g, &g->clean.items[i]);
        if (next < n && sites[next] == i) {
            p->plant(g, i);
            next++;
        } else {
            events_add(&g->planted, g->clean.items[i]);
        }
        if (p->renumber)
            renumber(g, from);
    }
    return n;
}

static void release(struct bed *g)
{
    events_release(&g->clean);
    events_release(&g->planted);
    table_release(&g->facts);
    table_release(&g->last_delivered);
    table_release(&g->failed_feeders);
    for (size_t u = 0; u < PARTITIONS; u++)
        free(g->logs[u]);
    free(g->pair);
}

static void one_planting(const struct planting *p, uint64_t seed)
{
    struct bed g = {0};
    struct simulate_options options = {.seed = seed,
                                       .steps = p->plant == refused_comes_back ? 600000 : 160000,
                                       .believed = p->believed,
                                       .trouble = p->trouble,
                                       .resends = p->resends};
    struct check_result result;
    size_t *sites, n;

    world_init(&g.world, PARTITIONS);
    world_promise(&g.world, checker_named(p->checker), p->args);
    simulate(&g.world, &options, &g.clean);
    assert_true(g.clean.n >= 100000);
    check_list(&g.world, &g.clean, 0, &result);
    expect_nothing(&result, p->kind);
    check_release(&result);
    learn(&g);
    g.pair = calloc(g.clean.n + 1, sizeof(*g.pair));
    sites = calloc(g.clean.n + 1, sizeof(*sites));
    assert_true(sites && g.pair);
    n = plant_all(&g, p, sites, seed);
    check_list(&g.world, &g.planted, 0, &result);
    if ((p->stage ? count_stage(&result, p->kind, p->stage) : count_kind(&result, p->kind)) != n)
        fail_msg("%s %s: %zu planted, %llu found", p->kind, p->stage ? p->stage : "", n,
                 (unsigned long long)(p->stage ? count_stage(&result, p->kind, p->stage)
                                               : count_kind(&result, p->kind)));
    check_release(&result);
    free(sites);
    release(&g);
}

static void every_planted_bug_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(plantings) / sizeof(*plantings); i++) {
        print_message("# %s %s\n", plantings[i].kind, plantings[i].stage ? plantings[i].stage : "");
        one_planting(&plantings[i], 1000 + i);
    }
}

/* All checkers together over clean histories of many shapes. */
static void clean_stays_clean(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct bed g = {0};
        struct simulate_options options = {
            .seed = seed, .steps = 20000, .trouble = (unsigned)(seed % 5) * 10};
        struct check_result result;

        world_init(&g.world, 1 + (unsigned)seed % PARTITIONS);
        world_promise(&g.world, checker_named("loss"), NULL);
        world_promise(&g.world, checker_named("delivery"), NULL);
        world_promise(&g.world, checker_named("effect"), NULL);
        world_promise(&g.world, checker_named("order"),
                      seed % 3 == 0   ? (const void *)&at_log
                      : seed % 3 == 1 ? (const void *)&at_delivery
                                      : (const void *)&at_effect);
        world_promise(&g.world, checker_named("always"), NULL);
        simulate(&g.world, &options, &g.clean);
        check_list(&g.world, &g.clean, 0, &result);
        expect_nothing(&result, "all");
        check_release(&result);
        release(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_stays_clean),
        cmocka_unit_test(every_planted_bug_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
