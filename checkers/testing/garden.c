/* Planting, and agreeing with oracles. */
#include "checkers/testing/garden.h"

#include "api/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void check_list(const struct world *w, struct events *list, int64_t clock_error_ns,
                struct check_result *result)
{
    struct event_source source = events_source(list);
    struct err err = {0};

    source.clock_error_ns = clock_error_ns;
    if (check_source(&source, &w->plan, NULL, result, &err) < 0)
        fail_msg("%s", err.text);
}

/* ---- planting */

static int by_number(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x < y ? -1 : x > y;
}

struct choice {
    const size_t *sites;
    size_t *out, taken;
    bool *used;
};

static void take(struct choice *c, size_t at)
{
    if (c->used[at] || c->taken == PLANTED)
        return;
    c->used[at] = true;
    c->out[c->taken++] = c->sites[at];
}

size_t choose_sites(size_t *sites, size_t n, uint64_t seed)
{
    struct random r = random_stream(seed, "planted.sites");
    struct choice c = {sites, calloc(n + 1, sizeof(size_t)), 0, calloc(n + 1, sizeof(bool))};

    assert_true(c.out && c.used && n >= PLANTED);
    take(&c, 0);
    take(&c, n - 1);
    for (size_t i = 1; i < n; i++)
        if (sites[i] / BLOCK != sites[i - 1] / BLOCK) {
            take(&c, i);
            take(&c, i - 1);
        }
    while (c.taken < PLANTED)
        take(&c, below(&r, n));
    memcpy(sites, c.out, c.taken * sizeof(*sites));
    qsort(sites, c.taken, sizeof(*sites), by_number);
    free(c.out);
    free(c.used);
    return c.taken;
}

void expect_nothing(const struct check_result *result, const char *what)
{
    for (size_t i = 0; i < result->n; i++) {
        const struct findings *f = &result->items[i].findings;

        if (f->n > 0)
            fail_msg("%s: %s %llu in a clean history: %s", what, f->items[0].kind,
                     (unsigned long long)f->items[0].count, f->items[0].samples[0].text);
        if (f->inconclusive)
            fail_msg("%s: inconclusive: %s", what, f->why);
    }
}

static size_t plant_all(const struct seed *seed, const struct events *clean, struct events *planted,
                        uint64_t number)
{
    size_t *sites = calloc(clean->n + 1, sizeof(*sites));
    size_t n = 0, next = 0;

    assert_non_null(sites);
    for (size_t i = 0; i < clean->n; i++)
        if (seed->eligible(clean, i))
            sites[n++] = i;
    n = choose_sites(sites, n, number);
    for (size_t i = 0; i < clean->n; i++)
        if (next < n && sites[next] == i) {
            seed->plant(clean, i, planted);
            next++;
        } else {
            events_add(planted, clean->items[i]);
        }
    free(sites);
    return n;
}

void garden(const struct seed *seed, const struct events *clean, uint64_t number)
{
    struct events whole = *clean, planted = {0};
    struct check_result result;
    struct world w;
    uint64_t found;
    size_t n;

    print_message("# %s %s\n", seed->kind, seed->stage ? seed->stage : "");
    assert_true(clean->n >= 100000);
    world_init(&w, 1);
    world_promise(&w, checker_named(seed->checker), seed->args);
    check_list(&w, &whole, 100, &result);
    expect_nothing(&result, seed->kind);
    check_release(&result);
    n = plant_all(seed, clean, &planted, number);
    check_list(&w, &planted, 100, &result);
    found = seed->stage ? count_stage(&result, seed->kind, seed->stage)
                        : count_kind(&result, seed->kind);
    if (found != n)
        fail_msg("%s: %zu planted, %llu found", seed->kind, n, (unsigned long long)found);
    check_release(&result);
    events_release(&planted);
}

/* ---- oracles */

static void print_history(const struct events *list)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct event *e = &list->items[i];

        print_message("# %3zu %6lld %-15s by %u %u.%u.%u/%llu key %u unit %d pos %lld val %lld "
                      "epoch %u ref %u code %d flags %u out %u\n",
                      i, (long long)e->at_ns, event_kinds[e->type].name, e->by, e->client,
                      e->incarnation, e->worker, (unsigned long long)e->seq, e->key, (int)e->unit,
                      (long long)e->position, (long long)e->value, e->epoch, e->ref, e->code,
                      e->flags, e->outcome_level);
    }
}

static void print_findings(const struct check_result *result, const char *kind)
{
    for (size_t i = 0; i < result->n; i++)
        for (size_t k = 0; k < result->items[i].findings.n; k++) {
            const struct finding *f = &result->items[i].findings.items[k];

            for (size_t s = 0; strcmp(f->kind, kind) == 0 && s < f->n_samples; s++)
                print_message("# told: at %lld: %s\n", (long long)f->samples[s].at_ns,
                              f->samples[s].text);
        }
}

void agree_on(const struct check_result *result, const struct events *list, int64_t clock_error_ns,
              uint64_t number, struct tally *tallies, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        uint64_t found = count_kind(result, tallies[k].kind);

        tallies[k].violated += tallies[k].counted > 0;
        if (found == tallies[k].counted)
            continue;
        print_history(list);
        print_findings(result, tallies[k].kind);
        fail_msg("history %llu, clock error %lld: %s: the oracle says %llu, the checker %llu",
                 (unsigned long long)number, (long long)clock_error_ns, tallies[k].kind,
                 (unsigned long long)tallies[k].counted, (unsigned long long)found);
    }
}

void agree(const struct world *w, struct events *list, int64_t clock_error_ns, uint64_t number,
           struct tally *tallies, size_t n)
{
    struct check_result result;

    check_list(w, list, clock_error_ns, &result);
    agree_on(&result, list, clock_error_ns, number, tallies, n);
    check_release(&result);
}

uint64_t histories_wanted(void)
{
    const char *wanted = getenv("ASSAY_ORACLE_HISTORIES");

    return wanted ? strtoull(wanted, NULL, 10) : 100000;
}

void enough(const struct tally *tallies, size_t n)
{
    uint64_t all = histories_wanted();

    for (size_t k = 0; k < n; k++)
        print_message("# %s: violated in %llu of %llu\n", tallies[k].kind,
                      (unsigned long long)tallies[k].violated, (unsigned long long)all);
    for (size_t k = 0; k < n; k++)
        assert_true(tallies[k].violated * 5 >= all);
}
