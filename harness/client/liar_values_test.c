/* labels: servers */
/*
 * The liar about values, locks and transactions, on a live Redis and SQLite: found = told
 * (testing/liar_live.h), and nothing where nothing is told. What stores are lied about is
 * liar_stores_test.c.
 *
 * What expired is said by the audit, which is the coordinator's and not lied to: a lie about it
 * would be a broker that says "expired" of what it lost, and no history could tell the two apart.
 * What can be told is that a declared rule nobody saw at work excuses nothing: `declared`.
 */
#include "client/testing/liar_live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* 30000 reads. Nobody writes meanwhile: what is read between a commit and the cache's value of it
 * is old without any lie. */
static const char values[] =
    "    clusters: {cache: kv, db: sqlite}\n"
    "    workload: {cache: {protocol: double_write, guard: version, keys: 16, ttl: 600s}}\n"
    "    clients: {R: {reader: {rate: 2k/s}, autostart: false}, W: {writer: {}}}\n"
    "    script:\n"
    "      - repeat:\n"
    "          times: 5\n"
    "          do: [{send: {from: W, count: 100}}, {observe: {client: R, for: 3s}}]\n"
    "    promise:\n"
    "      stale: 300ms\n"
    "      session: {promises: [read_your_writes, monotonic_read], across: all}\n"
    "      cache: never_back\n";

/* One is inside all the time, the other asks 20000 times. */
static const char grants[] = "    clusters: {kv: kv, db: sqlite}\n"
                             "    workload: {lock: {ttl: 600s, retry: 1ms, patience: 1ms}}\n"
                             "    clients: {a: {holder: {}}, b: {holder: {}}}\n"
                             "    script:\n"
                             "      - hold: {at: {client: a, step: inside}}\n"
                             "      - background: {from: a, count: 1, name: first}\n"
                             "      - wait: {until: held(a) == 1, within: 10s}\n"
                             "      - send: {from: b, count: 10000, name: asked}\n"
                             "      - release: a\n"
                             "      - wait: {until: completed(first) == 1, within: 10s}\n"
                             "    promise: {lock: exclusive}\n";

/* Nothing expires: what is not there was lost, whatever may be taken away. */
static const char declared[] = "    clusters: {kv: kv, ledger: sqlite}\n"
                               "    workload: {queue: {payload: 100B, effect: ledger}}\n"
                               "    clients:\n"
                               "      app: {push: jobs, outstanding: 64}\n"
                               "      work: {consume: {list: jobs, mode: blmove}}\n"
                               "    script:\n"
                               "      - send: {from: app, count: 20000, name: all}\n"
                               "      - wait: {settled: effects(work), for: 3s, within: 200s}\n"
                               "    promise: {loss: 0, retention: {jobs: [ttl, evicted]}}\n";

/* Values that live in the cache alone. */
static const char watched[] = "    clusters: {cache: kv, db: sqlite}\n"
                              "    workload: {cache: {protocol: watch, keys: 64, ttl: 0s}}\n"
                              "    clients: {W: {writer: {}}}\n"
                              "    script: [{send: {from: W, count: 20000, name: all}}]\n"
                              "    promise: {isolation: no_lost_update}\n";

/* Batches of ten, every tenth is undone. */
static const char transactions[] =
    "    clusters: {kv: kv}\n"
    "    workload: {txn: {}}\n"
    "    clients:\n"
    "      app: {push: jobs, confirm: reply, multi: {by: exec}, batch: 10, abort_every: 10}\n"
    "      work: {consume: {list: jobs, mode: blmove}}\n"
    "    script: [{send: {from: app, count: 20000, name: all}}]\n"
    "    promise: {isolation: [read_committed, atomic]}\n";

/* None is undone: a message that is missing of one that was is no tear. */
static const char torn[] =
    "    clusters: {kv: kv}\n"
    "    workload: {txn: {}}\n"
    "    clients: {app: {push: jobs, confirm: reply, multi: {by: exec}, batch: 10}}\n"
    "    script: [{send: {from: app, count: 20000, name: all}}]\n"
    "    promise: {isolation: atomic}\n";

static const struct lied_case cases[] = {{"true-values", values},
                                         {"values", values},
                                         {"true-grants", grants},
                                         {"grants", grants},
                                         {"true-declared", declared},
                                         {"declared", declared},
                                         {"true-watched", watched},
                                         {"watched", watched},
                                         {"true-transactions", transactions},
                                         {"undone", transactions},
                                         {"torn", torn}};

static void lies_are_found(void **state)
{
    static const char *const honest[] = {"true-values", "true-grants", "true-declared",
                                         "true-watched", "true-transactions"};

    (void)state;
    if (!lied_installed("redis"))
        skip();
    lied_run("kv: {redis: {topology: standalone}}", cases, sizeof(cases) / sizeof(*cases),
             "values=old:200;grants=grant:200;declared=lose:500;watched=again:300;"
             "undone=commit:5;torn=lose:900");
    for (size_t i = 0; i < sizeof(honest) / sizeof(*honest); i++)
        lied_not(honest[i]);
    lied_equal("values", "stale", lied_told("values", "old"));
    lied_equal("values", "monotonic_read", lied_told("values", "old"));
    lied_equal("values", "read_your_writes", lied_told("values", "old"));
    lied_equal("values", "resurrected", lied_told("values", "old"));
    lied_equal("grants", "two_holders", lied_told("grants", "grant"));
    lied_equal("declared", "lost", lied_told("declared", "lose"));
    lied_equal("watched", "lost_update", lied_told("watched", "again"));
    lied_equal("undone", "aborted_read", 10 * lied_told("undone", "commit"));
    lied_equal("torn", "torn_transaction", lied_told("torn", "lose"));
    lied_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies_are_found)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
