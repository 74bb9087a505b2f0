/*
 * Verdicts of histories that people can read (testdata/ *.history; the name is the verdict), and
 * what is written of them against golden files. UPDATE_GOLDEN=1 rewrites those.
 */
#include "report/formats.h"
#include "report/testing/story.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TESTDATA ASSAY_SOURCE_DIR "/harness/report/testdata"

struct told { /* a story and what became of it */
    struct story *story;
    struct judgement judgement;
};

static void tell(const char *file, struct told *out)
{
    char path[600];
    struct event_source source;
    struct err err = {0};

    snprintf(path, sizeof(path), "%s/%s", TESTDATA, file);
    out->story = story_read(path, &err);
    if (!out->story)
        fail_msg("%s", err.text);
    source = story_source(out->story);
    if (judge_source(&source, story_plan(out->story), "runs/x/001", &out->judgement, &err) < 0)
        fail_msg("%s: %s", file, err.text);
}

static void forget(struct told *told)
{
    judgement_release(&told->judgement);
    story_free(told->story);
}

static int is_story(const struct dirent *entry)
{
    return strstr(entry->d_name, ".history") != NULL;
}

static void expected_status(const struct judgement *j, const char *file)
{
    static const int by_verdict[] = {0, 4, 4, 3, 1}; /* pass, vacuous, inconclusive, broken, fail */
    bool asked_for = j->plan->expect.verdict == j->verdict;
    int status = asked_for ? 0 : by_verdict[j->verdict];

    if (j->status != status || j->as_expected != asked_for)
        fail_msg("%s: status %d, not %d: %s", file, j->status, status, j->reason);
}

static void the_name_is_the_verdict(void **state)
{
    struct dirent **entries;
    int n = scandir(TESTDATA, &entries, is_story, alphasort);

    (void)state;
    assert_true(n > 10);
    for (int i = 0; i < n; i++) {
        const char *file = entries[i]->d_name;
        struct told told;
        size_t length;

        tell(file, &told);
        length = strlen(verdict_names[told.judgement.verdict]);
        if (strncmp(file, verdict_names[told.judgement.verdict], length) != 0 ||
            file[length] != '-')
            fail_msg("%s: %s: %s", file, verdict_names[told.judgement.verdict],
                     told.judgement.reason);
        expected_status(&told.judgement, file);
        forget(&told);
        free(entries[i]);
    }
    free(entries);
}

static void fails(const char *file, const char *reason, int status)
{
    struct told told;

    tell(file, &told);
    assert_int_equal(told.judgement.verdict, VERDICT_FAIL);
    assert_string_equal(told.judgement.reason, reason);
    assert_int_equal(told.judgement.status, status);
    forget(&told);
}

static void a_bound_from_above_needs_the_drain(void **state)
{
    (void)state;
    fails("upper-bound.story", "lost 1; expected lost <= 5 with the drain proven", 1);
}

static void what_may_be_found_proves_nothing_else(void **state)
{
    (void)state;
    fails("allowed.story", "lost 1 (allowed)", 0);
    fails("allowed-require.story",
          "lost 1 (allowed); but required acked(before) == 6 does not hold: it was 5", 4);
}

/* ---- golden files */

static const char *const stories[] = {"fail-K02-acks1.history",     "pass-K02-acks-all.history",
                                      "vacuous-R02-pause.history",  "inconclusive-require.history",
                                      "broken-server-died.history", "fail-fast-consumer.history",
                                      "inconclusive-keyed.history"};
#define STORIES (sizeof(stories) / sizeof(*stories))

struct golden {
    struct told told[STORIES];
    const struct judgement *cases[STORIES];
    struct run_summary run;
};

static void open_golden(struct golden *g)
{
    static const char *const not_run[] = {"never # reached"};

    memset(g, 0, sizeof(*g));
    for (size_t i = 0; i < STORIES; i++) {
        tell(stories[i], &g->told[i]);
        g->cases[i] = &g->told[i].judgement;
    }
    g->run = (struct run_summary){.cases = g->cases,
                                  .n = STORIES,
                                  .not_run = not_run,
                                  .n_not_run = 1,
                                  .suite = "suites/test.yaml",
                                  .folder = "runs/x",
                                  .seed = 7,
                                  .exit = 3};
}

static void close_golden(struct golden *g)
{
    for (size_t i = 0; i < STORIES; i++)
        forget(&g->told[i]);
}

static void compare(const char *name, const struct buf *text)
{
    char path[600];
    struct buf kept = {0};
    FILE *file;
    int c;

    snprintf(path, sizeof(path), "%s/%s", TESTDATA, name);
    if (getenv("UPDATE_GOLDEN")) {
        file = fopen(path, "we");
        assert_non_null(file);
        assert_int_equal(fwrite(text->data, 1, text->n, file), text->n);
        assert_int_equal(fclose(file), 0);
    }
    file = fopen(path, "re");
    if (!file)
        fail_msg("%s is missing: UPDATE_GOLDEN=1 writes it", path);
    while ((c = fgetc(file)) != EOF)
        buf_char(&kept, (char)c);
    fclose(file);
    if (kept.n != text->n || memcmp(kept.data, text->data, text->n) != 0)
        fail_msg("%s differs; it is now:\n%s", path, text->data);
    buf_release(&kept);
}

static void golden_of(const char *name, void (*format)(const struct run_summary *, struct buf *))
{
    struct golden g;
    struct buf text = {0};

    open_golden(&g);
    format(&g.run, &text);
    compare(name, &text);
    buf_release(&text);
    close_golden(&g);
}

static void format_terminal(const struct run_summary *run, struct buf *out)
{
    for (size_t i = 0; i < run->n; i++) {
        format_case(run->cases[i], out);
        buf_char(out, '\n');
    }
    format_table(run, out);
}

static void json_is_as_agreed(void **state)
{
    (void)state;
    golden_of("golden.results.json", format_json);
}

static void tap_is_as_agreed(void **state)
{
    (void)state;
    golden_of("golden.results.tap", format_tap);
}

static void junit_is_as_agreed(void **state)
{
    (void)state;
    golden_of("golden.junit.xml", format_junit);
}

static void the_summary_is_as_agreed(void **state)
{
    (void)state;
    golden_of("golden.terminal.txt", format_terminal);
}

/* ---- what others make of them */

static int shell(const char *command)
{
    int status = system(command);

    return status < 0 ? -1 : status >> 8;
}

static void junit_holds_to_its_schema(void **state)
{
    (void)state;
    if (shell("command -v xmllint >/dev/null 2>&1") != 0)
        skip();
    assert_int_equal(shell("xmllint --noout --schema " TESTDATA "/junit.xsd " TESTDATA
                           "/golden.junit.xml >/dev/null 2>&1"),
                     0);
}

static int prove(const struct run_summary *run)
{
    char path[] = "/tmp/assay-tap-XXXXXX", command[200];
    struct buf text = {0};
    int fd = mkstemp(path), status;

    assert_true(fd >= 0);
    format_tap(run, &text);
    assert_int_equal(write(fd, text.data, text.n), (ssize_t)text.n);
    close(fd);
    snprintf(command, sizeof(command), "prove --exec cat %s >/dev/null 2>&1", path);
    status = shell(command);
    unlink(path);
    buf_release(&text);
    return status;
}

static void prove_agrees(void **state)
{
    struct golden g;
    const struct judgement *good[3];

    (void)state;
    if (shell("command -v prove >/dev/null 2>&1") != 0)
        skip();
    open_golden(&g);
    good[0] = g.cases[0];
    good[1] = g.cases[1];
    good[2] = g.cases[2];
    assert_int_not_equal(prove(&g.run), 0);
    g.run.cases = good;
    g.run.n = 3;
    assert_int_not_equal(prove(&g.run), 0); /* one was not run */
    g.run.n_not_run = 0;
    assert_int_equal(prove(&g.run), 0);
    close_golden(&g);
}

/* ---- exit status */

static void the_worst_case_decides(void **state)
{
    (void)state;
    assert_int_equal(status_worse(0, 4), 4);
    assert_int_equal(status_worse(4, 3), 3);
    assert_int_equal(status_worse(3, 1), 1);
    assert_int_equal(status_worse(1, 4), 1);
    assert_int_equal(status_worse(0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_is_the_verdict),
        cmocka_unit_test(a_bound_from_above_needs_the_drain),
        cmocka_unit_test(what_may_be_found_proves_nothing_else),
        cmocka_unit_test(json_is_as_agreed),
        cmocka_unit_test(tap_is_as_agreed),
        cmocka_unit_test(junit_is_as_agreed),
        cmocka_unit_test(the_summary_is_as_agreed),
        cmocka_unit_test(junit_holds_to_its_schema),
        cmocka_unit_test(prove_agrees),
        cmocka_unit_test(the_worst_case_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
