/*
 * Every suite of the project, with the real plugins: it loads, each of its plans is its own text
 * again, the same seed gives the same plan, and it is valid by the JSON schema that `assay help
 * --json-schema` prints (checked by python3-jsonschema, an independent reader of both).
 */
#include "plan/help.h"
#include "plan/plan.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static glob_t suites;

static int find_suites(void **state)
{
    (void)state;
    return glob(ASSAY_SOURCE_DIR "/suites/*.yaml", 0, NULL, &suites) != 0 ||
           glob(ASSAY_SOURCE_DIR "/suites/*/*.yaml", GLOB_APPEND, NULL, &suites) > GLOB_NOMATCH ||
           glob(ASSAY_SOURCE_DIR "/harness/suite/testdata/*.yaml", GLOB_APPEND, NULL, &suites) != 0;
}

static int forget_suites(void **state)
{
    (void)state;
    globfree(&suites);
    return 0;
}

static struct plan *load(const char *path, uint64_t seed)
{
    const struct plan_options options = {
        .suites = &path, .n_suites = 1, .seed = seed, .repeats = 2};
    struct err err = {0};
    struct plan *plan = plan_load(&options, NULL, &err);

    if (!plan)
        fail_msg("%s", err.text);
    return plan;
}

static char *printed(const char *path, uint64_t seed)
{
    struct plan *plan = load(path, seed);
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    plan_print(plan, out);
    fclose(out);
    plan_free(plan);
    return text;
}

static void plans_are_identical_per_seed(void **state)
{
    (void)state;
    for (size_t i = 0; i < suites.gl_pathc; i++) {
        char *one = printed(suites.gl_pathv[i], 5);
        char *same = printed(suites.gl_pathv[i], 5);

        assert_string_equal(one, same);
        free(one);
        free(same);
    }
}

static void each_plan_is_its_own_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < suites.gl_pathc; i++) {
        struct plan *plan = load(suites.gl_pathv[i], 1);

        for (size_t k = 0; k < plan->n; k++) {
            struct arena arena = {0};
            struct err err = {0};
            size_t n;
            char *text = plan_case_text(plan->cases[k], &n);
            struct plan_case *same = plan_case_read(text, n, &arena, &err);
            char *again = same ? plan_case_text(same, NULL) : NULL;

            if (!same)
                fail_msg("%s: %s", plan_case_title(plan->cases[k]), err.text);
            assert_string_equal(text, again);
            free(text);
            free(again);
            arena_release(&arena);
        }
        plan_free(plan);
    }
}

static void suites_are_valid_by_the_schema(void **state)
{
    static const char check[] =
        "import json, sys, yaml, jsonschema\n"
        "schema = json.load(open(sys.argv[1]))\n"
        "jsonschema.Draft202012Validator.check_schema(schema)\n"
        "v = jsonschema.Draft202012Validator(schema)\n"
        "bad = 0\n"
        "for path in sys.argv[2:]:\n"
        "    for e in v.iter_errors(yaml.safe_load(open(path))):\n"
        "        bad += 1\n"
        "        print(path, list(e.absolute_path), e.message[:300], file=sys.stderr)\n"
        "wrong = yaml.safe_load(open(sys.argv[2]))\n"
        "next(iter(wrong['cases'].values()))['promise'] = {'los': 0}\n"
        "sys.exit(1 if bad or v.is_valid(wrong) else 0)\n";
    char path[] = "/tmp/assay-schema-XXXXXX";
    char command[400];
    char *schema = help_schema();
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    FILE *python;
    int status;

    (void)state;
    if (system("python3 -c 'import jsonschema, yaml' 2>/dev/null") != 0) {
        unlink(path);
        free(schema);
        skip();
    }
    assert_non_null(file);
    fputs(schema, file);
    fclose(file);
    free(schema);
    snprintf(command, sizeof(command),
             "cd " ASSAY_SOURCE_DIR " && python3 - %s suites/*.yaml suites/*/*.yaml "
             "harness/suite/testdata/*.yaml",
             path);
    python = popen(command, "w");
    assert_non_null(python);
    fputs(check, python);
    status = pclose(python);
    unlink(path);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_identical_per_seed),
        cmocka_unit_test(each_plan_is_its_own_text),
        cmocka_unit_test(suites_are_valid_by_the_schema),
    };

    return cmocka_run_group_tests(tests, find_suites, forget_suites);
}
