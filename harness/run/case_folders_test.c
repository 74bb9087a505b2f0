/*
 * Which folders are cases, and in what order: numbers, not texts.
 */
#include "run/case_folders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char run[] = "/tmp/assay-case-folders-XXXXXX";

static const char *in_run(const char *name)
{
    static char path[300];

    snprintf(path, sizeof(path), "%s/%s", run, name);
    return path;
}

static void write_file(const char *name)
{
    FILE *f = fopen(in_run(name), "w");

    assert_non_null(f);
    fclose(f);
}

static void in_the_order_they_ran(void **state)
{
    static const char *const made[] = {"1000-d", "101-c", "002-b", "999-e", "001-a", "suite"};
    static const char *const wanted[] = {"001-a", "002-b", "101-c", "999-e", "1000-d"};
    struct err err = {0};
    char **folders;

    (void)state;
    assert_int_equal(case_folders(run, &folders, &err), -1);
    assert_int_equal(err.status, ERR_INPUT);
    assert_non_null(strstr(err.text, "holds no case of a run"));
    for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++)
        assert_int_equal(mkdir(in_run(made[i]), 0755), 0);
    write_file("7-notes");
    write_file("001-a/history");
    assert_int_equal(case_folders(run, &folders, &err), 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(folders[i] + strlen(run) + 1, wanted[i]);
    case_folders_free(folders, 5);
    assert_int_equal(case_folders(in_run("001-a"), &folders, &err), 1);
    assert_string_equal(folders[0], in_run("001-a"));
    case_folders_free(folders, 1);
    unlink(in_run("001-a/history"));
    unlink(in_run("7-notes"));
    for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++)
        rmdir(in_run(made[i]));
    assert_int_equal(rmdir(run), 0);
    assert_int_equal(case_folders(run, &folders, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_the_order_they_ran)};

    if (!mkdtemp(run))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
