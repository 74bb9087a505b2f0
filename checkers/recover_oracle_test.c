/*
 * recover and rpo beside a brute-force oracle: small random histories with faults that overlap and
 * fail, restarts, re-sends, answers that take long, overtake each other or never come, units that
 * nobody serves at the end. Everything lies on a grid of half seconds, so that bounds are met
 * exactly. Counts and places (window, unit) must agree. Shares no code with the checkers.
 */
#include "api/registry.h"
#include "base/clock.h"
#include "checkers/testing/garden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARTITIONS 2u
#define UNITS (PARTITIONS + 1)
#define FAULTS 3
#define STEP_NS (SECOND_NS / 2)
#define STEPS 60 /* until when is sent; faults and deaths are earlier */
#define WITHIN_NS (10 * SECOND_NS)
#define QUIET_NS (5 * SECOND_NS)
#define PLACES (FAULTS * UNITS + UNITS)

static const struct recover_choice {
    int64_t within_ns;
    int per;
} within = {WITHIN_NS, 0};

static const struct loss_choice {
    int64_t messages, time_ns;
} bounds[] = {{0, 0}, {1, 0}, {0, SECOND_NS}, {2, 4 * SECOND_NS}, {1, 4 * SECOND_NS}};

/* ---- a history */

struct made {
    struct random r;
    struct events *list;
    uint64_t seq;
    int healthy_from, restart_at; /* steps */
    unsigned lossy;               /* per mille */
};

static void stamp(struct made *m, uint32_t window, enum fault_stamp what, int step)
{
    events_add(m->list, (struct event){.type = EV_FAULT,
                                       .at_ns = step * STEP_NS,
                                       .by = BY_COORDINATOR,
                                       .epoch = window,
                                       .code = (int16_t)what,
                                       .node = NO_NODE,
                                       .outcome_level = event_result(
                                           below(&m->r, 8) ? OUTCOME_OK : OUTCOME_FAIL, 0)});
}

/* Numbered as they come to mind: an earlier one may take effect later. */
static void break_things(struct made *m)
{
    for (uint32_t window = 1; window <= 1 + below(&m->r, FAULTS); window++) {
        int at = 4 + FAULTS * (int)below(&m->r, 8) + (int)window; /* no two at once */

        stamp(m, window, STAMP_DECIDED, (int)below(&m->r, (uint64_t)at));
        stamp(m, window, STAMP_EFFECTIVE, at);
        if (below(&m->r, 4))
            stamp(m, window, STAMP_HEAL_ASKED, at + (int)below(&m->r, 16));
    }
}

static enum outcome answer(struct made *m, int step)
{
    if (chance(&m->r, step < m->healthy_from ? 250 : 970))
        return OUTCOME_OK;
    return below(&m->r, 2) ? OUTCOME_FAIL : OUTCOME_UNKNOWN;
}

static void arrives(struct made *m, struct event e, uint32_t unit)
{
    e.type = EV_AUDIT_LOG;
    e.at_ns = 1000 * SECOND_NS;
    e.by = BY_AUDIT;
    e.unit = unit;
    e.position = (int64_t)e.seq;
    e.outcome_level = 0;
    if (!chance(&m->r, m->lossy))
        events_add(m->list, e);
}

/* Its answer, or none; then perhaps again. */
static void attempt(struct made *m, struct event e, int step, uint32_t unit)
{
    int until = step + (int)(below(&m->r, 4) ? below(&m->r, 2) : below(&m->r, 20));
    enum outcome outcome = answer(m, until);

    e.type = EV_SEND_INVOKE;
    e.at_ns = step * STEP_NS;
    e.unit = NO_UNIT;
    events_add(m->list, e);
    if (below(&m->r, 20) == 0)
        return;
    e.type = EV_SEND_COMPLETE;
    e.at_ns = until * STEP_NS;
    e.unit = outcome == OUTCOME_OK || below(&m->r, 2) ? unit : NO_UNIT;
    e.outcome_level = event_result(outcome, outcome == OUTCOME_OK ? LEVEL_LEADER : LEVEL_NONE);
    events_add(m->list, e);
    if (outcome != OUTCOME_OK && e.attempt < 2 && below(&m->r, 3) == 0) {
        e.attempt++;
        e.outcome_level = 0;
        attempt(m, e, until, unit);
        return;
    }
    if (outcome != OUTCOME_OK && below(&m->r, 2))
        return;
    if (e.client < FEEDER || e.client >= BOTH)
        arrives(m, e, unit);
    if (e.client >= FEEDER)
        arrives(m, e, PARTITIONS);
}

static void send_one(struct made *m)
{
    static const uint16_t clients[] = {APP, APP, APP + 1, FEEDER, FEEDER, BOTH};
    int step = (int)below(&m->r, STEPS);
    struct event e = {.client = clients[below(&m->r, 6)], .seq = m->seq++, .position = -1};

    e.by = e.client;
    e.incarnation = step >= m->restart_at;
    attempt(m, e, step,
            e.client >= FEEDER && e.client < BOTH ? PARTITIONS
                                                  : (uint32_t)below(&m->r, PARTITIONS));
}

static void drain(struct made *m)
{
    for (uint32_t u = 0; u < UNITS; u++) {
        uint64_t fate = below(&m->r, 24);
        struct event e = {.at_ns = 2000 * SECOND_NS,
                          .by = BY_COORDINATOR,
                          .unit = u,
                          .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D1)};

        e.type = fate == 0 ? EV_UNIT_DOWN : EV_DRAIN;
        if (fate != 1) /* else nothing is proven */
            events_add(m->list, e);
    }
}

/* What was added first stays first among equals: invokes before their completions. */
static void sort_by_time(struct events *list)
{
    for (size_t i = 1; i < list->n; i++) {
        struct event e = list->items[i];
        size_t at = i;

        for (; at > 0 && list->items[at - 1].at_ns > e.at_ns; at--)
            list->items[at] = list->items[at - 1];
        list->items[at] = e;
    }
}

static void make_up(uint64_t seed, struct events *list)
{
    struct made m = {.r = random_stream(seed, "made up outages"), .list = list};

    list->n = 0;
    m.healthy_from = (int)below(&m.r, 2 * STEPS) - STEPS;
    m.lossy = below(&m.r, 2) ? 400 : 0;
    m.restart_at = (int)below(&m.r, 2 * STEPS);
    break_things(&m);
    for (uint64_t n = 6 + below(&m.r, 24); n > 0; n--)
        send_one(&m);
    drain(&m);
    sort_by_time(list);
}

/* ---- the definitions */

static bool same(const struct event *a, const struct event *b)
{
    return a->client == b->client && a->incarnation == b->incarnation && a->seq == b->seq;
}

static bool owes(const struct event *e, uint32_t dest)
{
    return dest == QUEUE ? e->client >= FEEDER : e->client < FEEDER || e->client >= BOTH;
}

static bool drained(const struct events *list, uint32_t unit)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].type == EV_DRAIN && list->items[i].unit == unit)
            return true;
    return false;
}

/* {m ok} minus {m in the final audit}, where that is known to be complete. */
static bool lost_at(const struct events *list, const struct event *m, uint32_t dest)
{
    if (event_outcome(m) != OUTCOME_OK || !owes(m, dest) ||
        !drained(list, dest == QUEUE ? PARTITIONS : m->unit))
        return false;
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].type == EV_AUDIT_LOG && same(&list->items[i], m) &&
            (list->items[i].unit == PARTITIONS) == (dest == QUEUE))
            return false;
    return true;
}

/* Did the attempt that completed at `i` go to this unit? When it was asked; -1: not of the unit. */
static int64_t asked_ns(const struct events *list, size_t i, uint32_t unit)
{
    const struct event *c = &list->items[i];

    if (c->type != EV_SEND_COMPLETE || !owes(c, unit == PARTITIONS ? QUEUE : TOPIC) ||
        (unit < PARTITIONS && c->unit != unit))
        return -1;
    for (size_t k = 0; k < i; k++)
        if (list->items[k].type == EV_SEND_INVOKE && same(&list->items[k], c) &&
            list->items[k].attempt == c->attempt)
            return list->items[k].at_ns;
    return -1;
}

static bool worked(const struct events *list, size_t i, int64_t invoked_ns)
{
    const struct event *c = &list->items[i];

    return event_outcome(c) == OUTCOME_OK && !lost_at(list, c, TOPIC) && !lost_at(list, c, QUEUE) &&
           c->at_ns - invoked_ns <= WITHIN_NS;
}

/* Nothing was refused from `since_ns` until operation i was answered, nor for five seconds then. */
static bool lasts(const struct events *list, size_t i, uint32_t unit, int64_t since_ns,
                  int64_t fault_ns)
{
    for (size_t k = 0; k < list->n; k++) {
        int64_t at_ns = list->items[k].at_ns, invoked_ns = asked_ns(list, k, unit);

        if (invoked_ns >= fault_ns && !worked(list, k, invoked_ns) && at_ns >= since_ns &&
            at_ns < list->items[i].at_ns + QUIET_NS)
            return false;
    }
    return true;
}

struct told {
    uint64_t count;
    uint64_t places[PLACES]; /* window and unit */
    size_t n;
    bool inconclusive;
};

static uint64_t place(uint32_t window, uint32_t unit)
{
    return (uint64_t)window << 32 | unit;
}

static void tell(struct told *t, uint64_t count, uint64_t where)
{
    t->count += count;
    t->places[t->n++] = where;
}

static void outage(const struct events *list, const struct event *fault, uint32_t unit,
                   struct told *t)
{
    int64_t first_ns = -1, last_ns = -1;

    for (size_t i = 0; i < list->n; i++) {
        int64_t invoked_ns = asked_ns(list, i, unit);

        if (invoked_ns < fault->at_ns)
            continue;
        last_ns = list->items[i].at_ns;
        if (worked(list, i, invoked_ns) && (first_ns < 0 || invoked_ns < first_ns) &&
            lasts(list, i, unit, invoked_ns, fault->at_ns))
            first_ns = invoked_ns;
    }
    if (last_ns < 0 || (first_ns >= 0 && first_ns - fault->at_ns <= WITHIN_NS))
        return;
    if (first_ns < 0 && last_ns - fault->at_ns <= WITHIN_NS)
        t->inconclusive = true; /* nobody asked long enough */
    else
        tell(t, 1, place(fault->epoch, unit));
}

static bool took_effect(const struct event *e)
{
    return e->type == EV_FAULT && e->code == STAMP_EFFECTIVE && event_outcome(e) == OUTCOME_OK;
}

static struct told unavailable(const struct events *list)
{
    struct told t = {0};
    bool any = false;

    for (size_t i = 0; i < list->n; i++)
        for (uint32_t u = 0; u < UNITS && took_effect(&list->items[i]); u++) {
            outage(list, &list->items[i], u, &t);
            any = true;
        }
    for (size_t i = 0; i < list->n && any; i++)
        if (list->items[i].type == EV_UNIT_DOWN)
            tell(&t, 1, place(0, list->items[i].unit));
    return t;
}

static bool healed_before(const struct events *list, uint32_t window, int64_t at_ns)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].type == EV_FAULT && list->items[i].code == STAMP_HEAL_ASKED &&
            list->items[i].epoch == window && list->items[i].at_ns < at_ns)
            return true;
    return false;
}

/* The fault an acknowledgement is put down to: the earliest that is on, else the next; 0 none. */
static uint32_t window_of(const struct events *list, int64_t at_ns)
{
    uint32_t on = 0, next = 0;

    for (size_t i = list->n; i-- > 0;) { /* so that the earliest is left */
        const struct event *e = &list->items[i];

        if (took_effect(e) && e->at_ns > at_ns)
            next = e->epoch;
        else if (took_effect(e) && !healed_before(list, e->epoch, at_ns))
            on = e->epoch;
    }
    return on ? on : next;
}

/* Lost duties of a window (0: of none), and when the first and last were acknowledged. */
static uint64_t lost_in(const struct events *list, uint32_t window, int64_t *span_ns)
{
    uint64_t count = 0;
    int64_t first_ns = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct event *e = &list->items[i];
        unsigned gone = e->type == EV_SEND_COMPLETE
                            ? (unsigned)lost_at(list, e, TOPIC) + lost_at(list, e, QUEUE)
                            : 0;

        if (!gone || window_of(list, e->at_ns) != window)
            continue;
        first_ns = count ? first_ns : e->at_ns;
        *span_ns = e->at_ns - first_ns;
        count += gone;
    }
    return count;
}

static struct told beyond(const struct events *list, const struct loss_choice *bound)
{
    struct told t = {0};

    for (uint32_t window = 1; window <= FAULTS; window++) {
        int64_t span_ns = 0;
        uint64_t count = lost_in(list, window, &span_ns);

        if ((bound->messages && count > (uint64_t)bound->messages) ||
            (bound->time_ns && span_ns > bound->time_ns))
            tell(&t, count, window);
    }
    return t;
}

static uint64_t lost(const struct events *list, const struct loss_choice *bound)
{
    bool none_allowed = !bound->messages && !bound->time_ns;
    uint64_t count = 0;
    int64_t span_ns;

    for (uint32_t window = 0; window <= (none_allowed ? FAULTS : 0); window++)
        count += lost_in(list, window, &span_ns);
    return count;
}

/* ---- agreeing */

static bool has(const struct told *t, uint64_t where)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->places[i] == where)
            return true;
    return false;
}

static void same_places(const struct findings *f, const char *kind, bool by_unit,
                        const struct told *t, uint64_t number)
{
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; strcmp(f->items[i].kind, kind) == 0 && k < f->items[i].n_samples; k++) {
            const struct finding_sample *s = &f->items[i].samples[k];

            if (!has(t, by_unit ? place(s->window, s->unit) : s->window))
                fail_msg("history %llu: %s is not there: %s", (unsigned long long)number, kind,
                         s->text);
        }
}

static void one_history(uint64_t number, struct events *list, struct tally *tallies)
{
    const struct loss_choice *bound = &bounds[number % (sizeof(bounds) / sizeof(*bounds))];
    struct told out, past;
    struct check_result result;
    struct world w;

    make_up(number, list);
    out = unavailable(list);
    past = beyond(list, bound);
    tallies[0].counted = out.count;
    tallies[1].counted = past.count;
    tallies[2].counted = lost(list, bound);
    world_init(&w, PARTITIONS);
    world_promise(&w, checker_named("loss"), bound);
    world_promise(&w, checker_named("recover"), &within);
    check_list(&w, list, 0, &result);
    agree_on(&result, list, 0, number, tallies, 3);
    same_places(&result.items[0].findings, "rpo", false, &past, number);
    same_places(&result.items[1].findings, "unavailable", true, &out, number);
    if (result.items[1].findings.inconclusive != out.inconclusive)
        fail_msg("history %llu: asked long enough, or not?", (unsigned long long)number);
    check_release(&result);
}

static void the_oracle_agrees(void **state)
{
    struct tally tallies[] = {{.kind = "unavailable"}, {.kind = "rpo"}, {.kind = "lost"}};
    struct events list = {0};

    (void)state;
    for (uint64_t i = 0; i < histories_wanted(); i++)
        one_history(i, &list, tallies);
    enough(tallies, 3);
    events_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_oracle_agrees)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
