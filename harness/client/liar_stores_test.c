/* labels: servers */
/*
 * The liar about what a store did, on each live store there is: found = told
 * (testing/liar_live.h), and nothing where nothing is told.
 *
 * A stampede is found where the lock of the one that loads is granted to others. That is no load
 * too many where the first has just ended, and no lie can tell when another loads: as many as told
 * at most. A client that loads twice and says once is not found by anybody who reads histories:
 * loads are what clients say of themselves, and the liar lies below the recorder, which writes down
 * every call that the client makes.
 */
#include "client/testing/liar_live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const char fences[] = "    clusters: {kv: kv, db: store}\n"
                             "    workload: {lock: {locks: 16, fence: checked}}\n"
                             "    clients: {a: {holder: {}}}\n"
                             "    script: [{send: {from: a, count: 20000, name: all}}]\n"
                             "    promise: {lock: fenced}\n";

static const char updates[] = "    clusters: {cache: kv, db: store}\n"
                              "    workload: {cache: {protocol: double_write, keys: 64}}\n"
                              "    clients: {W: {writer: {}}}\n"
                              "    script: [{send: {from: W, count: 20000, name: all}}]\n"
                              "    promise: {isolation: no_lost_update}\n";

static const char accounts[] = "    clusters: {kv: kv, db: store}\n"
                               "    workload: {transfer: {accounts: 1000, dedupe: none}}\n"
                               "    clients:\n"
                               "      bank: {push: transfers}\n"
                               "      teller: {consume: {list: transfers, mode: blmove}}\n"
                               "    script:\n"
                               "      - send: {from: bank, count: 10000, name: all}\n"
                               "      - wait: {settled: effects(teller), for: 3s, within: 200s}\n"
                               "    promise: {effect: exactly_once}\n";

/* An entry that expires under eight readers, one of which is to load it. */
static const char crowd[] =
    "    clusters: {cache: kv, db: store}\n"
    "    workload: {cache: {protocol: cache_aside, single_flight: true, keys: 1, ttl: 20ms}}\n"
    "    clients: {crowd: {reader: {rate: 4k/s}, workers: 8}}\n"
    "    script: [{quiet: {for: 8s, why: the entry expires under load}}]\n"
    "    promise: {stampede: 1}\n";

static const struct lied_case cases[] = {{"true-fences", fences},     {"fences", fences},
                                         {"true-updates", updates},   {"updates", updates},
                                         {"true-accounts", accounts}, {"accounts", accounts}};

static void lies_are_found_in(const char *name, const char *store)
{
    char clusters[128];

    if (!lied_installed("redis") || !lied_installed(name))
        skip();
    snprintf(clusters, sizeof(clusters), "kv: {redis: {topology: standalone}}\n  store: {%s}",
             store);
    lied_run(clusters, cases, sizeof(cases) / sizeof(*cases),
             "fences=bypass:300;updates=again:300;accounts=skew:100");
    lied_not("true-fences");
    lied_not("true-updates");
    lied_not("true-accounts");
    lied_equal("fences", "fence_breach", lied_told("fences", "bypass"));
    lied_equal("updates", "lost_update", lied_told("updates", "again"));
    lied_equal("accounts", "balance", lied_told("accounts", "skew"));
    lied_end();
}

static void a_granted_load_is_a_stampede(void **state)
{
    static const struct lied_case crowds[] = {{"true-crowd", crowd}, {"crowd", crowd}};

    (void)state;
    if (!lied_installed("redis") || !lied_installed("postgres"))
        skip();
    lied_run("kv: {redis: {topology: standalone}}\n  store: {postgres: {nodes: 1}}", crowds,
             sizeof(crowds) / sizeof(*crowds), "crowd=grant:1");
    lied_not("true-crowd");
    lied_some("crowd", "stampede", lied_told("crowd", "grant"));
    lied_end();
}

static void sqlite(void **state)
{
    (void)state;
    lies_are_found_in("sqlite", "sqlite: {}");
}

static void postgres(void **state)
{
    (void)state;
    lies_are_found_in("postgres", "postgres: {nodes: 1}");
}

static void mariadb(void **state)
{
    (void)state;
    lies_are_found_in("mariadb", "mariadb: {nodes: 1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_granted_load_is_a_stampede),
        cmocka_unit_test(sqlite),
        cmocka_unit_test(postgres),
        cmocka_unit_test(mariadb),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
