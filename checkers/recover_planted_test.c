/*
 * Bugs in how faults are survived, planted at 1000 of 2400 outages, 1200 fault windows or 1100
 * sends of a history that keeps its promises: all are found, one for one and where they are, and
 * nothing where nothing is planted.
 */
#include "api/registry.h"
#include "base/clock.h"
#include "checkers/testing/garden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WINDOWS 1200u
#define UNITS 2u   /* of the world with one partition: the topic's, and the queue */
#define ROUNDS 15u /* sends to each unit from one fault to the next */
#define ROUND_NS (2 * SECOND_NS)
#define PERIOD_NS (ROUNDS * ROUND_NS)
#define FAULT_NS (20 * SECOND_NS) /* until its heal is asked for */
#define TAIL 1100u                /* rounds after the last fault has passed */
#define ALL_ROUNDS (WINDOWS * ROUNDS + TAIL)

static const struct recover_choice {
    int64_t within_ns;
    int per;
} within = {10 * SECOND_NS, 0};
#define LATE 6u /* the first round that begins later than `within` */

static const struct loss_choice {
    int64_t messages, time_ns;
} two = {2, 0}, six_seconds = {0, 6 * SECOND_NS};

struct sent {
    int64_t at_ns, takes_ns;
    enum outcome outcome;
    bool kept;
};
/* Fault w takes effect where its rounds begin: sends of round r are [r * UNITS + unit]. */
static struct sent sends[ALL_ROUNDS * UNITS];

static struct sent *send_of(size_t window, uint32_t unit, size_t round)
{
    return &sends[(window * ROUNDS + round) * UNITS + unit];
}

/* ---- what keeps the promises: refused for three rounds at most, two lost a fault */

static void grow(uint64_t seed)
{
    struct random r = random_stream(seed, "faults survived");

    for (size_t i = 0; i < ALL_ROUNDS * UNITS; i++)
        sends[i] =
            (struct sent){.at_ns = SECOND_NS + (int64_t)(i / UNITS) * ROUND_NS +
                                   (int64_t)(i % UNITS) * MS_NS + (int64_t)below(&r, 900 * MS_NS),
                          .takes_ns = MS_NS + (int64_t)below(&r, 90 * MS_NS),
                          .outcome = OUTCOME_OK,
                          .kept = true};
    for (size_t w = 0; w < WINDOWS; w++)
        for (uint32_t u = 0; u < UNITS; u++)
            for (uint64_t round = 0, n = below(&r, 4); round < n; round++)
                send_of(w, u, round)->outcome = below(&r, 2) ? OUTCOME_FAIL : OUTCOME_UNKNOWN;
}

static void use_up_the_bound(void)
{
    for (size_t w = 0; w < WINDOWS; w++)
        send_of(w, 0, 4)->kept = send_of(w, 0, 6)->kept = false;
}

/* ---- bugs; each is one finding, or as many messages as the table says */

static void stays_away(size_t w, uint32_t unit)
{
    for (size_t round = 0; round < LATE; round++)
        send_of(w, unit, round)->outcome = OUTCOME_UNKNOWN;
}

static void zombie_answers(size_t w, uint32_t unit)
{
    for (size_t round = 0; round < LATE; round++) {
        send_of(w, unit, round)->outcome = OUTCOME_OK;
        send_of(w, unit, round)->kept = false;
    }
}

static void flaps(size_t w, uint32_t unit)
{
    for (size_t round = 0; round < ROUNDS; round++)
        send_of(w, unit, round)->outcome = round % 2 ? OUTCOME_OK : OUTCOME_FAIL;
}

static void answers_late(size_t w, uint32_t unit)
{
    for (size_t round = 0; round < LATE; round++) {
        send_of(w, unit, round)->outcome = OUTCOME_OK;
        send_of(w, unit, round)->takes_ns = within.within_ns + 1;
    }
}

static void one_slow_answer_among_refusals(size_t w, uint32_t unit)
{
    stays_away(w, unit);
    send_of(w, unit, 0)->outcome = OUTCOME_OK;
    send_of(w, unit, 0)->takes_ns = within.within_ns;
}

static void loses_inside(size_t w, uint32_t unit)
{
    (void)unit;
    send_of(w, 0, 8)->kept = false;
}

/* After the heal of the fault before: what is lost then is put down to this one. */
static void loses_just_before(size_t w, uint32_t unit)
{
    if (w == 0)
        loses_inside(w, unit);
    else
        send_of(w - 1, 0, 12)->kept = false;
}

static void loses_in_peace(size_t round, uint32_t unit)
{
    send_of(WINDOWS, unit, round)->kept = false;
}

enum place { OUTAGE, WINDOW, MESSAGE };

static const struct planting {
    const char *name, *kind, *checker;
    const void *args;
    enum place place;
    uint64_t found; /* by one of them */
    void (*plant)(size_t window, uint32_t unit);
} plantings[] = {
    {"stays away", "unavailable", "recover", &within, OUTAGE, 1, stays_away},
    {"zombie", "unavailable", "recover", &within, OUTAGE, 1, zombie_answers},
    {"flaps", "unavailable", "recover", &within, OUTAGE, 1, flaps},
    {"answers late", "unavailable", "recover", &within, OUTAGE, 1, answers_late},
    {"one slow answer", "unavailable", "recover", &within, OUTAGE, 1,
     one_slow_answer_among_refusals},
    {"one more", "rpo", "loss", &two, WINDOW, 3, loses_inside},
    {"one more before", "rpo", "loss", &two, WINDOW, 3, loses_just_before},
    {"longer", "rpo", "loss", &six_seconds, WINDOW, 3, loses_inside},
    {"longer before", "rpo", "loss", &six_seconds, WINDOW, 3, loses_just_before},
    {"in peace", "lost", "loss", &two, MESSAGE, 1, loses_in_peace},
};

static size_t sites_of(enum place place)
{
    return place == OUTAGE ? WINDOWS * UNITS : place == WINDOW ? WINDOWS : TAIL;
}

/* Which fault (or, where all is at peace, which round of it) and unit site i is. */
static size_t window_of(const struct planting *p, size_t site)
{
    return p->place == OUTAGE ? site / UNITS : site;
}

static uint32_t unit_of(const struct planting *p, size_t site)
{
    return p->place == OUTAGE ? (uint32_t)(site % UNITS) : 0;
}

/* ---- as a history */

static void stamp(struct events *out, size_t window, enum fault_stamp what, int64_t at_ns)
{
    events_add(out, (struct event){.type = EV_FAULT,
                                   .at_ns = at_ns,
                                   .by = BY_COORDINATOR,
                                   .epoch = (uint32_t)window + 1,
                                   .code = (int16_t)what,
                                   .node = NO_NODE,
                                   .outcome_level = event_result(OUTCOME_OK, LEVEL_NONE)});
}

static void record(const struct sent *sent, size_t i, struct events *out)
{
    uint32_t unit = (uint32_t)(i % UNITS);
    uint16_t client = unit ? FEEDER : APP;
    struct event e = {.type = EV_SEND_INVOKE,
                      .at_ns = sent->at_ns,
                      .by = client,
                      .client = client,
                      .seq = i / UNITS,
                      .unit = NO_UNIT};

    events_add(out, e);
    e.type = EV_SEND_COMPLETE;
    e.at_ns += sent->takes_ns;
    e.unit = unit;
    e.position = -1;
    e.outcome_level =
        event_result(sent->outcome, sent->outcome == OUTCOME_OK ? LEVEL_LEADER : LEVEL_NONE);
    events_add(out, e);
    if (sent->outcome != OUTCOME_OK || !sent->kept)
        return;
    e.type = EV_AUDIT_LOG;
    e.at_ns = ALL_ROUNDS * ROUND_NS + SECOND_NS + (int64_t)i;
    e.by = BY_AUDIT;
    e.position = (int64_t)e.seq;
    e.outcome_level = 0;
    events_add(out, e);
}

static int by_time(const void *a, const void *b)
{
    const struct event *x = a, *y = b;

    return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

static void write_down(struct events *out)
{
    out->n = 0;
    for (size_t w = 0; w < WINDOWS; w++) {
        int64_t at_ns = SECOND_NS + (int64_t)w * PERIOD_NS;

        stamp(out, w, STAMP_EFFECTIVE, at_ns);
        stamp(out, w, STAMP_HEAL_ASKED, at_ns + FAULT_NS);
    }
    for (size_t i = 0; i < ALL_ROUNDS * UNITS; i++)
        record(&sends[i], i, out);
    for (uint32_t u = 0; u < UNITS; u++)
        events_add(out,
                   (struct event){.type = EV_DRAIN,
                                  .at_ns = 2 * ALL_ROUNDS * ROUND_NS,
                                  .by = BY_COORDINATOR,
                                  .unit = u,
                                  .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D1)});
    qsort(out->items, out->n, sizeof(*out->items), by_time);
}

/* ---- planting */

static void judge(const struct planting *p, struct events *list, struct check_result *result)
{
    struct world w;

    world_init(&w, 1);
    world_promise(&w, checker_named(p->checker), p->args);
    write_down(list);
    assert_true(list->n >= 100000);
    check_list(&w, list, 0, result);
}

static size_t plant_all(const struct planting *p, uint64_t seed, size_t *sites)
{
    size_t n = sites_of(p->place);

    for (size_t i = 0; i < n; i++)
        sites[i] = i;
    n = choose_sites(sites, n, seed);
    for (size_t i = 0; i < n; i++)
        p->plant(window_of(p, sites[i]), unit_of(p, sites[i]));
    return n;
}

/* Findings are told in the order of time: the samples are of the first sites. */
static void expect_places(const struct planting *p, const struct finding *f, const size_t *sites)
{
    assert_int_equal(f->n_samples, SAMPLES_MAX);
    for (size_t i = 0; i < f->n_samples; i++) {
        const struct finding_sample *s = &f->samples[i];

        if (p->place == MESSAGE) {
            assert_int_equal(s->message.client, APP);
            assert_int_equal(s->message.seq, WINDOWS * ROUNDS + sites[i]);
            assert_int_equal(s->window, 0);
            continue;
        }
        assert_int_equal(s->window, window_of(p, sites[i]) + 1);
        assert_int_equal(s->unit, unit_of(p, sites[i]));
    }
}

static void one_planting(const struct planting *p, uint64_t seed, struct events *list)
{
    static size_t sites[WINDOWS * UNITS];
    struct check_result result;
    const struct findings *f;
    size_t n;

    print_message("# %s: %s\n", p->kind, p->name);
    grow(seed);
    if (p->place != OUTAGE)
        use_up_the_bound();
    judge(p, list, &result);
    expect_nothing(&result, p->name);
    if (p->place == OUTAGE)
        assert_true(result.items[0].findings.exercised >= (int64_t)(WINDOWS * UNITS));
    check_release(&result);
    n = plant_all(p, seed, sites);
    judge(p, list, &result);
    f = &result.items[0].findings;
    if (f->n != 1 || count_kind(&result, p->kind) != p->found * n)
        fail_msg("%s, %s: %zu planted, %llu found", p->kind, p->name, n,
                 (unsigned long long)count_kind(&result, p->kind));
    expect_places(p, &f->items[0], sites);
    check_release(&result);
}

static void every_planted_bug_is_found(void **state)
{
    struct events list = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(plantings) / sizeof(*plantings); i++)
        one_planting(&plantings[i], i + 1, &list);
    events_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_planted_bug_is_found)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
