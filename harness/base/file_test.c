/* Files written whole and the folders they lie in. */
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/assay-file-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[200];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void holds(const char *path, const char *text)
{
    char got[100] = "";
    FILE *in = fopen(path, "re");

    assert_non_null(in);
    got[fread(got, 1, sizeof(got) - 1, in)] = '\0';
    fclose(in);
    assert_string_equal(got, text);
}

static void a_file_is_replaced_as_a_whole(void **state)
{
    const char *path = in_folder("a");
    struct err err = {0};

    (void)state;
    assert_int_equal(file_write(path, "one, long", 9, &err), 0);
    holds(path, "one, long");
    assert_int_equal(file_replace(path, "two", 3, &err), 0);
    holds(path, "two");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); /* nothing else lay there */
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void what_cannot_be_written_is_named(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(file_write(in_folder("none/a"), "x", 1, &err), -1);
    assert_non_null(strstr(err.text, "none/a: No such file or directory"));
    assert_int_equal(file_replace("/dev/full/x", "x", 1, &err), -1);
    assert_int_equal(file_write("/dev/full", "x", 1, &err), -1);
    assert_string_equal(err.text, "/dev/full: No space left on device");
}

static void folders_are_made_on_the_way(void **state)
{
    struct err err = {0};
    struct stat st;

    (void)state;
    assert_int_equal(file_make_folders(in_folder("b/c")), 0);
    assert_int_equal(file_make_folders(in_folder("b/c")), 0); /* there already */
    assert_int_equal(file_make_parents(in_folder("b/d/e")), 0);
    assert_int_equal(stat(in_folder("b/d"), &st), 0);
    assert_int_equal(stat(in_folder("b/d/e"), &st), -1);
    assert_int_equal(file_write(in_folder("f"), "x", 1, &err), 0);
    assert_int_equal(file_make_folders(in_folder("f/g")), -1);
    unlink(in_folder("f"));
    rmdir(in_folder("b/c"));
    rmdir(in_folder("b/d"));
    rmdir(in_folder("b"));
}

static int make(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int clear(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_as_a_whole),
        cmocka_unit_test(what_cannot_be_written_is_named),
        cmocka_unit_test(folders_are_made_on_the_way),
    };

    return cmocka_run_group_tests(tests, make, clear);
}
