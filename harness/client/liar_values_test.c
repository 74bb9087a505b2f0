/* labels: servers */
/*
 * The liar about values, locks, transactions and accounts, on a live Redis and SQLite: found = told
 * (testing/liar_live.h), and nothing where nothing is told. `stampede` and `retention` are not lied
 * to: how many load at once is nobody's answer, and what expired is the owner's own word.
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

static const char fences[] = "    clusters: {kv: kv, db: sqlite}\n"
                             "    workload: {lock: {locks: 16, fence: checked}}\n"
                             "    clients: {a: {holder: {}}}\n"
                             "    script: [{send: {from: a, count: 20000, name: all}}]\n"
                             "    promise: {lock: fenced}\n";

static const char updates[] = "    clusters: {cache: kv, db: sqlite}\n"
                              "    workload: {cache: {protocol: double_write, keys: 64}}\n"
                              "    clients: {W: {writer: {}}}\n"
                              "    script: [{send: {from: W, count: 20000, name: all}}]\n"
                              "    promise: {isolation: no_lost_update}\n";

/* Values that live in the cache alone. */
static const char watched[] = "    clusters: {cache: kv, db: sqlite}\n"
                              "    workload: {cache: {protocol: watch, keys: 64, ttl: 0s}}\n"
                              "    clients: {W: {writer: {}}}\n"
                              "    script: [{send: {from: W, count: 20000, name: all}}]\n"
                              "    promise: {isolation: no_lost_update}\n";

static const char accounts[] = "    clusters: {kv: kv, db: sqlite}\n"
                               "    workload: {transfer: {accounts: 1000, dedupe: none}}\n"
                               "    clients:\n"
                               "      bank: {push: transfers}\n"
                               "      teller: {consume: {list: transfers, mode: blmove}}\n"
                               "    script:\n"
                               "      - send: {from: bank, count: 10000, name: all}\n"
                               "      - wait: {settled: effects(teller), for: 3s, within: 200s}\n"
                               "    promise: {effect: exactly_once}\n";

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
                                         {"true-fences", fences},
                                         {"fences", fences},
                                         {"true-updates", updates},
                                         {"updates", updates},
                                         {"true-watched", watched},
                                         {"watched", watched},
                                         {"true-accounts", accounts},
                                         {"accounts", accounts},
                                         {"true-transactions", transactions},
                                         {"undone", transactions},
                                         {"torn", torn}};

static void lies_are_found(void **state)
{
    static const char *const honest[] = {"true-values",      "true-grants",  "true-fences",
                                         "true-updates",     "true-watched", "true-accounts",
                                         "true-transactions"};

    (void)state;
    if (!lied_installed("redis"))
        skip();
    lied_run("kv: {redis: {topology: standalone}}", cases, sizeof(cases) / sizeof(*cases),
             "values=old:200;grants=grant:200;fences=bypass:300;updates=again:300;"
             "watched=again:300;accounts=skew:100;undone=commit:5;torn=lose:900");
    for (size_t i = 0; i < sizeof(honest) / sizeof(*honest); i++)
        lied_not(honest[i]);
    lied_equal("values", "stale", lied_told("values", "old"));
    lied_equal("values", "monotonic_read", lied_told("values", "old"));
    lied_equal("values", "read_your_writes", lied_told("values", "old"));
    lied_equal("values", "resurrected", lied_told("values", "old"));
    lied_equal("grants", "two_holders", lied_told("grants", "grant"));
    lied_equal("fences", "fence_breach", lied_told("fences", "bypass"));
    lied_equal("updates", "lost_update", lied_told("updates", "again"));
    lied_equal("watched", "lost_update", lied_told("watched", "again"));
    lied_equal("accounts", "balance", lied_told("accounts", "skew"));
    lied_equal("undone", "aborted_read", 10 * lied_told("undone", "commit"));
    lied_equal("torn", "torn_transaction", lied_told("torn", "lose"));
    lied_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies_are_found)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
