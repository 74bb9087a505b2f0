/*
 * Locks: planted bugs are found, clean histories stay clean, a brute-force oracle agrees.
 */
#include "api/registry.h"
#include "checkers/testing/garden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    int how;
} exclusive = {0}, fenced = {1};

#define KEYS 16u
#define CLIENTS 8u
#define INTRUDER 12u

/* ---- a lock service that works: tokens rise, who dies is forgotten after its time to live */

struct service {
    struct random r;
    struct events *out;
    struct {
        bool held, dead;
        uint16_t by;
        uint64_t seq, expires; /* dead: step at which its time to live is over */
    } locks[KEYS];
    uint64_t seq[CLIENTS], token, step;
    uint16_t incarnation[CLIENTS];
};

static struct event of(const struct service *s, unsigned client, uint8_t type, uint32_t key)
{
    return (struct event){.type = type,
                          .by = (uint16_t)client,
                          .client = (uint16_t)client,
                          .incarnation = s->incarnation[client],
                          .seq = s->seq[client],
                          .key = key,
                          .unit = NO_UNIT,
                          .node = NO_NODE};
}

static void let_go(struct service *s, uint32_t key, uint8_t type)
{
    struct event e = of(s, s->locks[key].by, type, key);

    e.seq = s->locks[key].seq;
    events_add(s->out, e);
    s->locks[key].held = false;
}

static void ask(struct service *s, unsigned client, uint32_t key)
{
    struct event e = of(s, client, EV_LOCK_INVOKE, key);
    bool free = !s->locks[key].held && s->step >= s->locks[key].expires;
    bool unknown = chance(&s->r, 20);

    events_add(s->out, e);
    e.type = EV_LOCK_COMPLETE;
    e.value = free ? (int64_t)++s->token : 0;
    e.outcome_level = event_result(unknown ? OUTCOME_UNKNOWN
                                   : free  ? OUTCOME_OK
                                           : OUTCOME_FAIL,
                                   LEVEL_NONE);
    events_add(s->out, e);
    s->seq[client]++;
    if (!free)
        return;
    s->locks[key].held = !unknown;
    s->locks[key].expires = unknown ? s->step + 20 : 0;
    s->locks[key].by = (uint16_t)client;
    s->locks[key].seq = e.seq;
}

static void die(struct service *s, unsigned client)
{
    bool step = chance(&s->r, 500);

    if (step)
        events_add(s->out,
                   (struct event){.type = EV_STEP, .by = (uint16_t)client, .flags = EV_KILLED});
    events_add(s->out, (struct event){.type = EV_CLIENT_DEATH,
                                      .by = BY_COORDINATOR,
                                      .ref = client,
                                      .epoch = s->incarnation[client],
                                      .code = 9});
    for (uint32_t key = 0; key < KEYS; key++)
        if (s->locks[key].held && s->locks[key].by == client) {
            s->locks[key].held = false;
            s->locks[key].expires = s->step + 20;
        }
    s->incarnation[client]++;
    s->seq[client] = 0;
    events_add(s->out, (struct event){.type = EV_CLIENT_START, .by = (uint16_t)client});
}

static void audit(struct service *s)
{
    struct events *out = s->out;
    size_t n = out->n;

    for (size_t i = 0; i < n; i++)
        if (out->items[i].type == EV_LOCK_COMPLETE && event_outcome(&out->items[i]) == OUTCOME_OK) {
            struct event e = out->items[i];

            e.type = EV_AUDIT_FENCE;
            e.by = BY_AUDIT;
            e.position = (int64_t)(out->n - n);
            e.outcome_level = 0;
            e.ref = 1;
            events_add(out, e);
        }
    events_add(out,
               (struct event){.type = EV_DRAIN,
                              .by = BY_AUDIT,
                              .unit = NO_UNIT,
                              .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D3)});
}

static void serve(uint64_t seed, size_t steps, struct events *out)
{
    struct service *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    s->r = random_stream(seed, "locks");
    s->out = out;
    for (; s->step < steps; s->step++) {
        unsigned client = (unsigned)below(&s->r, CLIENTS);
        uint32_t key = (uint32_t)below(&s->r, KEYS);

        if (chance(&s->r, 5))
            die(s, client);
        else if (s->locks[key].held && chance(&s->r, 500))
            let_go(s, key, EV_LOCK_EXIT);
        else if (!s->locks[key].held || s->locks[key].by != client)
            ask(s, client, key);
    }
    audit(s);
    events_restamp(out);
    free(s);
}

/* ---- planted */

static bool got_it(const struct events *clean, size_t i)
{
    return clean->items[i].type == EV_LOCK_COMPLETE &&
           event_outcome(&clean->items[i]) == OUTCOME_OK;
}

static void intrude(const struct events *clean, size_t i, struct events *out)
{
    struct event e = clean->items[i];

    events_add(out, e);
    e.by = e.client = INTRUDER;
    e.seq = i;
    e.at_ns += 200;
    events_add(out, e);
    e.type = EV_LOCK_EXIT;
    e.outcome_level = 0;
    e.at_ns += 200;
    events_add(out, e);
}

static bool token_taken(const struct events *clean, size_t i)
{
    return clean->items[i].type == EV_AUDIT_FENCE;
}

static void old_token(const struct events *clean, size_t i, struct events *out)
{
    struct event e = clean->items[i];

    events_add(out, e);
    e.value--;
    events_add(out, e);
}

static void every_planted_bug_is_found(void **state)
{
    static const struct seed seeds[] = {
        {"two_holders", NULL, "lock", &exclusive, got_it, intrude},
        {"fence_breach", NULL, "lock", &fenced, token_taken, old_token},
    };
    struct events clean = {0};

    (void)state;
    serve(1, 120000, &clean);
    for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
        garden(&seeds[i], &clean, i);
    events_release(&clean);
}

/* ---- the oracle */

static bool mine(const struct event *a, const struct event *b)
{
    return a->client == b->client && a->incarnation == b->incarnation && a->worker == b->worker;
}

/* When the hold that began with event i ended for certain. */
static int64_t end_of(const struct events *list, size_t i)
{
    const struct event *a = &list->items[i];

    for (size_t k = i + 1; k < list->n; k++) {
        const struct event *e = &list->items[k];

        if (e->type == EV_LOCK_EXIT && mine(a, e) && e->seq == a->seq && e->key == a->key)
            return e->at_ns;
        if (e->type == EV_CLIENT_DEATH && e->ref == a->client && e->epoch == a->incarnation)
            return e->at_ns;
        if ((e->type == EV_CLIENT_STOP || (e->type == EV_STEP && e->flags & EV_KILLED)) &&
            e->by == a->client)
            return e->at_ns;
    }
    return INT64_MAX;
}

static uint64_t two_holders(const struct events *list, int64_t error_ns)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->n; i++) {
        bool met = false;

        for (size_t k = 0; k < i && !met && got_it(list, i); k++) {
            int64_t first = end_of(list, i), second;

            if (!got_it(list, k) || mine(&list->items[i], &list->items[k]) ||
                list->items[i].key != list->items[k].key)
                continue;
            second = end_of(list, k);
            met = list->items[i].at_ns + error_ns < (first < second ? first : second);
        }
        count += met;
    }
    return count;
}

static uint64_t breaches(const struct events *list)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->n; i++)
        for (size_t k = 0; k < i; k++)
            if (token_taken(list, i) && token_taken(list, k) &&
                list->items[i].key == list->items[k].key &&
                list->items[i].ref == list->items[k].ref &&
                list->items[i].value < list->items[k].value) {
                count++;
                break;
            }
    return count;
}

/* Anything goes: holds that overlap, end, never end, clients that die and come back. */
static void make_up(uint64_t seed, struct events *list)
{
    struct random r = random_stream(seed, "made up locks");
    size_t n = 8 + below(&r, 24);
    uint64_t seq = 0;

    list->n = 0;
    for (size_t i = 0; i < n; i++) {
        struct event e = {.by = (uint16_t)below(&r, 3),
                          .key = (uint32_t)below(&r, 2),
                          .worker = (uint16_t)below(&r, 2),
                          .unit = NO_UNIT,
                          .value = (int64_t)below(&r, 6),
                          .ref = 1,
                          .seq = seq++};

        e.client = e.by;
        e.incarnation = (uint16_t)(i > n / 2 && below(&r, 2));
        switch (below(&r, 10)) {
        case 0:
            e.type = EV_CLIENT_DEATH;
            e.ref = e.client;
            e.epoch = e.incarnation;
            break;
        case 1:
            e.type = below(&r, 2) ? EV_STEP : EV_CLIENT_STOP;
            e.flags = (uint8_t)(1u << below(&r, 3));
            break;
        case 2:
        case 3:
            e.type = EV_AUDIT_FENCE;
            break;
        case 4:
        case 5:
        case 6:
            e.type = EV_LOCK_EXIT;
            for (size_t tries = 0; tries < 4 && i > 0; tries++) {
                const struct event *a = &list->items[below(&r, i)];

                if (a->type == EV_LOCK_COMPLETE) {
                    e = *a;
                    e.type = EV_LOCK_EXIT;
                    break;
                }
            }
            break;
        default:
            e.type = EV_LOCK_COMPLETE;
            e.outcome_level = event_result(below(&r, 5) ? OUTCOME_OK : OUTCOME_UNKNOWN, LEVEL_NONE);
        }
        events_add(list, e);
    }
    events_add(list, (struct event){.type = EV_DRAIN,
                                    .unit = NO_UNIT,
                                    .outcome_level = event_result(OUTCOME_OK, LEVEL_DURABLE)});
    events_restamp(list);
}

static void the_oracle_agrees(void **state)
{
    struct tally both[] = {{.kind = "two_holders"}, {.kind = "fence_breach"}};
    struct events list = {0};

    (void)state;
    for (uint64_t i = 0; i < histories_wanted(); i++) {
        int64_t error_ns = (int64_t)(i % 4) * 1000;
        struct world w;

        make_up(i, &list);
        both[0].counted = two_holders(&list, error_ns);
        both[1].counted = breaches(&list);
        world_init(&w, 1);
        world_promise(&w, checker_named("lock"), &exclusive);
        agree(&w, &list, error_ns, i, both, 1);
        world_init(&w, 1);
        world_promise(&w, checker_named("lock"), &fenced);
        agree(&w, &list, error_ns, i, both + 1, 1);
    }
    enough(both, 2);
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
