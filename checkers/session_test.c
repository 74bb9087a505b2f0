/*
 * Session promises: planted bugs are found, clean histories stay clean, a brute-force oracle
 * agrees.
 */
#include "api/registry.h"
#include "checkers/testing/garden.h"
#include "checkers/testing/keyed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* As struct session_args. */
struct promised {
    struct strings promises;
    int across;
};
static const char *writes_word = "read_your_writes", *reads_word = "monotonic_read";
static const struct promised writes = {{&writes_word, 1}, 0}, reads = {{&reads_word, 1}, 0},
                             writes_of_all = {{&writes_word, 1}, 2},
                             reads_of_clients = {{&reads_word, 1}, 1};

/* ---- planted: a session reads once more, and is served less than it just wrote or read */

static bool after_write(const struct events *clean, size_t i)
{
    const struct event *e = &clean->items[i];

    return e->type == EV_WRITE_COMPLETE && event_outcome(e) == OUTCOME_OK;
}

static bool after_read(const struct events *clean, size_t i)
{
    return clean->items[i].type == EV_READ_COMPLETE && clean->items[i].value > 0;
}

static void read_less(const struct events *clean, size_t i, struct events *out)
{
    struct event e = clean->items[i];

    events_add(out, e);
    e.seq = (UINT64_C(1) << 40) + i;
    e.type = EV_READ_INVOKE;
    e.at_ns += 200;
    events_add(out, e);
    e.type = EV_READ_COMPLETE;
    e.at_ns += 200;
    e.value--;
    e.code = SOURCE_CACHE;
    e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
    events_add(out, e);
}

static void every_planted_bug_is_found(void **state)
{
    static const struct seed seeds[] = {
        {"read_your_writes", NULL, "session", &writes, after_write, read_less},
        {"monotonic_read", NULL, "session", &reads, after_read, read_less},
        {"read_your_writes", NULL, "session", &writes_of_all, after_write, read_less},
        {"monotonic_read", NULL, "session", &reads_of_clients, after_read, read_less},
    };
    struct keyed_options options = {.seed = 2, .steps = 200000, .trouble = 1};
    struct events clean = {0};

    (void)state;
    keyed_simulate(&options, &clean);
    for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++)
        garden(&seeds[i], &clean, i);
    events_release(&clean);
}

/* ---- the oracle */

static bool same_worker(const struct event *a, const struct event *b)
{
    return a->client == b->client && a->incarnation == b->incarnation && a->worker == b->worker;
}

static bool same_session(const struct event *a, const struct event *b, int across)
{
    /* in the world of the tests numbers 0 to 3 are instances of one client */
    return across == 2 || across == 1 || same_worker(a, b);
}

static size_t invoke_of(const struct events *list, size_t i)
{
    const struct event *r = &list->items[i];

    for (size_t k = 0; k < i; k++)
        if (list->items[k].type == EV_READ_INVOKE && same_worker(&list->items[k], r) &&
            list->items[k].seq == r->seq)
            return k;
    return 0;
}

/* Reads served less than an earlier event of `type` of their session had. */
static uint64_t broken(const struct events *list, uint8_t type, int across, int64_t error_ns)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct event *r = &list->items[i];
        size_t asked;

        if (r->type != EV_READ_COMPLETE || event_outcome(r) != OUTCOME_OK)
            continue;
        asked = invoke_of(list, i);
        for (size_t k = 0; k < asked; k++) {
            const struct event *e = &list->items[k];

            if (e->type != type || e->key != r->key || event_outcome(e) != OUTCOME_OK ||
                e->value <= r->value || !same_session(e, r, across))
                continue;
            if (same_worker(e, r) || e->at_ns + error_ns < list->items[asked].at_ns) {
                count++;
                break;
            }
        }
    }
    return count;
}

static void the_oracle_agrees(void **state)
{
    static const struct promised *const promised[] = {&writes, &reads, &writes_of_all,
                                                      &reads_of_clients};
    static const uint8_t types[] = {EV_WRITE_COMPLETE, EV_READ_COMPLETE, EV_WRITE_COMPLETE,
                                    EV_READ_COMPLETE};
    struct tally tallies[4] = {
        {.kind = writes_word}, {.kind = reads_word}, {.kind = writes_word}, {.kind = reads_word}};
    static const struct keyed_shape shape = {2, 1, 3, {KEYED_WRITES, KEYED_READS, KEYED_READS}};
    struct events list = {0};

    (void)state;
    for (uint64_t i = 0; i < histories_wanted(); i++) {
        int64_t error_ns = (int64_t)(i % 4) * 1000;

        keyed_make_up(i, &shape, &list);
        for (size_t k = 0; k < 4; k++) {
            struct world w;

            tallies[k].counted = broken(&list, types[k], promised[k]->across, error_ns);
            world_init(&w, 1);
            world_promise(&w, checker_named("session"), promised[k]);
            agree(&w, &list, error_ns, i, &tallies[k], 1);
        }
    }
    enough(tallies, 4);
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
