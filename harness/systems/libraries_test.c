/*
 * Which loader starts a client, which folder it looks in first, and how a root folder that cannot
 * do it is refused. The root folder here is this machine under another name: what is run in it
 * runs.
 */
#include "systems/libraries.h"

#include "base/file.h"
#include "plan/tables.h"
#include "systems/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define USER "client work takes its libraries from"

static char cache[] = "/tmp/assay-libraries-XXXXXX";

static void in_cache(const char *command)
{
    char line[500];

    snprintf(line, sizeof(line), "cd %s && %s", cache, command);
    assert_int_equal(system(line), 0);
}

static int open_cache(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(cache));
    return setenv("ASSAY_CACHE", cache, 1);
}

static int remove_cache(void **state)
{
    (void)state;
    in_cache("rm -f roots/debian-13/usr"); /* the link, before all is removed below it */
    file_remove_tree(cache);
    return 0;
}

static void refused(const char *sentence)
{
    struct libraries libraries;
    struct err err = {0};

    assert_int_equal(libraries_find("debian-13", USER, &libraries, &err), -1);
    assert_int_equal(err.status, ERR_BROKEN);
    if (!strstr(err.text, sentence))
        fail_msg("%s", err.text);
}

static void a_folder_that_cannot_do_it_is_refused(void **state)
{
    (void)state;
    refused(USER " the root folder debian-13, which is not there: ci/roots makes it: ");
    in_cache("mkdir -p roots/debian-13");
    in_cache("echo redis-server 8.0 >roots/debian-13.packages");
    refused("debian-13.packages lists no package librdkafka1: ci/roots makes the folder "
            "anew");
    in_cache("printf '%s\\n' 'librdkafka1 2.8.0' 'librabbitmq4 0.15.0' >roots/debian-13.packages");
    refused("No such file or directory"); /* its loader */
}

static void its_loader_runs_our_own_binary(void **state)
{
    struct libraries libraries;
    struct err err = {0};
    char self[PATH_MAX], command[4 * PATH_MAX], said[PATH_MAX] = "";
    FILE *out;

    (void)state;
    in_cache("ln -s /usr roots/debian-13/usr");
    if (libraries_find("debian-13", USER, &libraries, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(file_self(self, sizeof(self)), 0);
    assert_string_equal(libraries.self, self);
    snprintf(command, sizeof(command), "%s --library-path %s %s self", libraries.loader,
             libraries.folder, libraries.self);
    out = popen(command, "r");
    assert_non_null(out);
    assert_non_null(fgets(said, sizeof(said), out));
    assert_int_equal(pclose(out), 0);
    assert_string_equal(said, self); /* not the loader, which /proc/self/exe is there */
}

static void every_word_of_the_language_has_its_packages(void **state)
{
    const struct param *p = client_params;

    (void)state;
    while (p->key && strcmp(p->key, "libraries") != 0)
        p++;
    assert_non_null(p->key);
    for (size_t i = 1; p->choices[i]; i++) {
        const struct library_package *l = library_packages;

        while (l->root && strcmp(l->root, p->choices[i]) != 0)
            l++;
        assert_non_null(l->root);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_that_cannot_do_it_is_refused),
        cmocka_unit_test(its_loader_runs_our_own_binary),
        cmocka_unit_test(every_word_of_the_language_has_its_packages),
    };
    char self[PATH_MAX];

    if (argc == 2 && strcmp(argv[1], "self") == 0)
        return file_self(self, sizeof(self)) == 0 && fputs(self, stdout) >= 0 ? 0 : 1;
    return cmocka_run_group_tests(tests, open_cache, remove_cache);
}
