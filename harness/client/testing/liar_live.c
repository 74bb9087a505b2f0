/* The liar on a live cluster. See liar_live.h. */
#include "client/testing/liar_live.h"

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
    "losses=lose:500,corrupt:500;doubles=double:500;swaps=swap:500;denied=deny:500;"               \
    "effects=forget:500,repeat:500;twice=twice:500;unseen=%s:500"

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
            name, s->sender, s->reader, strcmp(name, "unseen") == 0 ? s->unseen_order : s->order);
}

static FILE *new_suite(void)
{
    char path[128];
    FILE *file;

    snprintf(folder, sizeof(folder), "/tmp/assay-lies-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/lies.yaml", folder);
    file = fopen(path, "we");
    assert_non_null(file);
    return file;
}

static void run_suite(FILE *suite, const char *asked)
{
    char path[128], command[512];
    json_error_t error;
    int status;

    assert_int_equal(fclose(suite), 0);
    assert_int_equal(setenv("ASSAY_LIAR", asked, 1), 0);
    snprintf(command, sizeof(command),
             "timeout 600 " ASSAY_BUILD_DIR "/assay run %s/lies.yaml --out %s/out >%s/log 2>&1",
             folder, folder, folder);
    status = system(command);
    assert_true(status >= 0);
    snprintf(path, sizeof(path), "%s/out/results.json", folder);
    results = json_load_file(path, 0, &error);
    assert_non_null(results);
}

void lied_run(const char *cluster, const struct lied_case *cases, size_t n, const char *asked)
{
    FILE *suite = new_suite();

    fprintf(suite, "assay: 1\nclusters:\n  %s\ncases:\n", cluster);
    for (size_t i = 0; i < n; i++)
        fprintf(suite, "  %s:\n    about: The liar is found out.\n%s    expect: pass\n",
                cases[i].name, cases[i].text);
    run_suite(suite, asked);
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

static size_t lied_kinds(const char *name)
{
    return json_object_size(json_object_get(case_named(name), "findings"));
}

long lied_told(const char *name, const char *lie)
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

void lied_some(const char *name, const char *kind, long lies)
{
    print_message("%s: %ld %s, told %ld\n", name, found(name, kind), kind, lies);
    assert_in_range(found(name, kind), LIES_MIN, lies);
}

void lied_equal(const char *name, const char *kind, long lies)
{
    print_message("%s: %ld %s, told %ld\n", name, found(name, kind), kind, lies);
    assert_true(lies >= LIES_MIN);
    assert_int_equal(found(name, kind), lies);
}

static void compare(const struct lied_system *s)
{
    long gone = lied_told("losses", "lose") + lied_told("losses", "corrupt");

    lied_not("honest");
    lied_equal("losses", "lost", gone);
    lied_equal("losses", "missing_effect", gone);
    lied_equal("losses", "corrupt", s->readings * lied_told("losses", "corrupt"));
    lied_equal("doubles", "duplicate_effect", lied_told("doubles", "double"));
    if (s->doubled)
        lied_equal("doubles", s->doubled, lied_told("doubles", "double"));
    lied_equal("swaps", "order", lied_told("swaps", "swap"));
    lied_equal("effects", "missing_effect", lied_told("effects", "forget"));
    lied_equal("effects", "duplicate_effect", lied_told("effects", "repeat"));
    lied_equal("twice", "duplicate_effect", lied_told("twice", "twice"));
    lied_equal("denied", "fail_visible", lied_told("denied", "deny"));
    lied_equal("unseen", "missing_effect", lied_told("unseen", s->unseen));
    lied_equal("unseen", s->unseen_is, lied_told("unseen", s->unseen));
}

void lied_not(const char *name)
{
    const char *verdict = json_string_value(json_object_get(case_named(name), "verdict"));

    print_message("%s: %s\n", name, verdict);
    assert_true(strcmp(verdict, "pass") == 0 || strcmp(verdict, "vacuous") == 0);
    assert_int_equal(lied_kinds(name), 0);
}

void lied_end(void)
{
    char command[128];

    json_decref(results);
    snprintf(command, sizeof(command), "rm -r %s", folder); /* kept when something differs */
    assert_int_equal(system(command), 0);
}

bool lied_installed(const char *name)
{
    const struct system_ops *system_ops = system_named(name);
    struct err err = {0};

    if (system_ops && (!system_ops->installed || system_ops->installed(&err) == 0))
        return true;
    print_message("%s is not installed: %s\n", name, err.text);
    return false;
}

void liar_live(const struct lied_system *s)
{
    static const char *const cases[] = {"honest",  "losses", "doubles", "swaps",
                                        "effects", "twice",  "denied",  "unseen"};
    char asked[256];
    FILE *suite;

    if (!lied_installed(s->name))
        skip();
    suite = new_suite();
    fprintf(suite, "assay: 1\nclusters:\n  it:\n    %s\ncases:\n", s->cluster);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        write_case(suite, s, cases[i]);
    snprintf(asked, sizeof(asked), ASKED, s->unseen);
    run_suite(suite, asked);
    compare(s);
    lied_end();
}
