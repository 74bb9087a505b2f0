/* The liar on a live cluster. See liar_live.h. */
#include "run/testing/liar_live.h"

#include "api/registry.h"
#include "api/system.h"

#include <assert.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MESSAGES "20000"
#define LIES_MIN 20
#define ASKED                                                                                      \
    "losses=lose:500,corrupt:500;doubles=double:500;swaps=swap:500;"                               \
    "effects=forget:500,repeat:500;twice=twice:500"

static char folder[64];
static json_t *results;

/* ---- running */

static void write_case(FILE *file, const struct lied_system *s, const char *name)
{
    fprintf(file,
            "  %s:\n"
            "    about: The liar is found out.\n"
            "    clusters: {it: it, ledger: sqlite}\n"
            "    workload: {queue: {payload: 100B, effect: ledger}}\n"
            "    clients:\n"
            "      app: {%s}\n"
            "      work: {%s, workers: 1}\n"
            "    script:\n"
            "      - send: {from: app, count: " MESSAGES ", name: all}\n"
            "      - wait: {settled: effects(work), for: 5s, within: 200s}\n"
            "    drain: {within: 120s}\n"
            "    promise: {loss: 0, delivery: once, effect: exactly_once, order: %s}\n"
            "    require: [acked(all) == " MESSAGES "]\n"
            "    expect: pass\n",
            name, s->sender, s->reader, s->order);
}

static void run_suite(const struct lied_system *s)
{
    static const char *const cases[] = {"honest", "losses", "doubles", "swaps", "effects", "twice"};
    char path[128], command[512];
    json_error_t error;
    FILE *file;
    int status;

    snprintf(folder, sizeof(folder), "/tmp/assay-lies-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/lies.yaml", folder);
    file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, "assay: 1\nclusters:\n  it:\n    %s\ncases:\n", s->cluster);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        write_case(file, s, cases[i]);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof(command),
             "ASSAY_LIAR='" ASKED "' timeout 280 " ASSAY_BUILD_DIR
             "/assay run %s --out %s/out >%s/log 2>&1",
             path, folder, folder);
    status = system(command);
    assert_true(status >= 0);
    snprintf(path, sizeof(path), "%s/out/results.json", folder);
    results = json_load_file(path, 0, &error);
    assert_non_null(results);
}

/* ---- comparing */

static json_t *case_named(const char *name)
{
    size_t i;
    json_t *c;

    json_array_foreach(json_object_get(results, "cases"), i,
                       c) if (strcmp(json_string_value(json_object_get(c, "name")), name) ==
                              0) return c;
    fail_msg("case %s did not run", name);
    return NULL;
}

static long found(const char *name, const char *kind)
{
    json_t *finding = json_object_get(json_object_get(case_named(name), "findings"), kind);

    return (long)json_integer_value(json_object_get(finding, "count"));
}

static size_t kinds_found(const char *name)
{
    return json_object_size(json_object_get(case_named(name), "findings"));
}

static long told(const char *name, const char *lie)
{
    char command[256], out[32] = "0";
    FILE *pipe;

    snprintf(command, sizeof(command),
             "cat %s/out/*-%s/lies.jsonl 2>/dev/null | grep -c '\"lie\":\"%s\"'", folder, name,
             lie);
    pipe = popen(command, "re");
    assert_non_null(pipe);
    (void)!fgets(out, sizeof(out), pipe);
    (void)pclose(pipe);
    return strtol(out, NULL, 10);
}

static void equal(const char *name, const char *kind, long lies)
{
    print_message("%s: %ld %s, told %ld\n", name, found(name, kind), kind, lies);
    assert_true(lies >= LIES_MIN);
    assert_int_equal(found(name, kind), lies);
}

static void compare(const struct lied_system *s)
{
    long gone = told("losses", "lose") + told("losses", "corrupt");

    assert_int_equal(kinds_found("honest"), 0);
    equal("losses", "lost", gone);
    equal("losses", "missing_effect", gone);
    equal("losses", "corrupt", s->readings * told("losses", "corrupt"));
    equal("doubles", "duplicate_effect", told("doubles", "double"));
    if (s->doubled)
        equal("doubles", s->doubled, told("doubles", "double"));
    equal("swaps", "order", told("swaps", "swap"));
    equal("effects", "missing_effect", told("effects", "forget"));
    equal("effects", "duplicate_effect", told("effects", "repeat"));
    equal("twice", "duplicate_effect", told("twice", "twice"));
}

void liar_live(const struct lied_system *s)
{
    const struct system_ops *system_ops = system_named(s->name);
    struct err err = {0};
    char command[128];

    if (!system_ops || (system_ops->installed && system_ops->installed(&err) < 0)) {
        print_message("%s is not installed: %s\n", s->name, err.text);
        skip();
    }
    run_suite(s);
    compare(s);
    json_decref(results);
    snprintf(command, sizeof(command), "rm -r %s", folder); /* kept when something differs */
    assert_int_equal(system(command), 0);
}
