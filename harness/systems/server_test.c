/* Which version is where: the machine's own, a root folder's, nobody's; and how it is said. */
#include "systems/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static int has_7(const void *config, char *out, size_t size, struct err *err)
{
    (void)config;
    (void)err;
    snprintf(out, size, "7.0.15");
    return 0;
}

static int has_none(const void *config, char *out, size_t size, struct err *err)
{
    (void)config;
    (void)out;
    (void)size;
    return err_set(err, "no server here");
}

static struct server_wish redis(const char *version, const char *flavour)
{
    return (struct server_wish){
        .system = "redis", .version = version, .flavour = flavour, .installed = has_7};
}

static void unknown_versions_get_the_nearest(void **state)
{
    struct server_wish wish = redis("6.2", NULL);
    struct err err = {0};

    (void)state;
    assert_int_equal(server_known(wish, &err), -1);
    assert_int_equal(err.status, ERR_INPUT);
    assert_string_equal(err.text, "redis: version \"6.2\" is not known; the nearest: \"7.0.15\" "
                                  "(installed), \"8.0\", \"8.1\" with flavour: valkey");
    wish = redis("8.2", NULL);
    wish.installed = has_none;
    assert_int_equal(server_known(wish, &err), -1);
    assert_string_equal(err.text, "redis: version \"8.2\" is not known; the nearest: \"8.1\" with "
                                  "flavour: valkey, \"8.0\"");
    wish = redis("7.0", "valkey"); /* what is installed is of the other flavour */
    assert_int_equal(server_known(wish, &err), -1);
    wish = (struct server_wish){.system = "sqlite", .version = "2", .installed = has_none};
    assert_int_equal(server_known(wish, &err), -1);
    assert_string_equal(err.text, "sqlite: version \"2\" is not known; the nearest: none");
}

static void known_versions_are_taken(void **state)
{
    static const char *const taken[] = {NULL, "7", "7.0", "7.0.15", "8", "8.0", "8.0.2"};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
        struct server_wish wish = redis(taken[i], NULL);

        assert_int_equal(server_known(wish, &err), 0);
    }
    assert_true(version_begins("8.0.2", "8.0") && version_begins("8.0", "8.0"));
    assert_false(version_begins("8.0.2", "8.0.20") || version_begins("8.01", "8.0"));
}

static void write_packages(const char *cache)
{
    char path[200];
    FILE *out;

    snprintf(path, sizeof(path), "mkdir -p %s/roots/debian-13", cache);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof(path), "%s/roots/debian-13.packages", cache);
    out = fopen(path, "we");
    assert_non_null(out);
    fputs("redis-server 5:8.0.2-3+deb13u2\nvalkey-server 8.1.1+dfsg1-3\n", out);
    fclose(out);
}

static void a_version_is_found_where_it_is(void **state)
{
    char cache[] = "/tmp/assay-server-XXXXXX", line[100];
    struct server_place place;
    struct server_wish wish = redis("8.0", NULL);
    struct err err = {0};

    (void)state;
    assert_non_null(mkdtemp(cache));
    setenv("ASSAY_CACHE", cache, 1);
    assert_int_equal(server_find(wish, &place, &err), -1);
    assert_int_equal(err.status, ERR_BROKEN);
    assert_non_null(strstr(err.text, "redis 8.0 runs from the root folder debian-13, which is not "
                                     "there: ci/roots makes it: "));
    write_packages(cache);
    assert_int_equal(server_find(wish, &place, &err), 0);
    assert_string_equal(place.version, "8.0.2");
    assert_non_null(strstr(place.root, "/roots/debian-13"));
    wish = redis("8.1", "valkey");
    assert_int_equal(server_find(wish, &place, &err), 0);
    assert_string_equal(place.version, "8.1.1");
    wish = redis("7", NULL);
    assert_int_equal(server_find(wish, &place, &err), 0);
    assert_string_equal(place.root, "");
    assert_string_equal(place.version, "7.0.15");
    wish = redis("8.0.9", NULL);
    assert_int_equal(server_find(wish, &place, &err), -1);
    assert_int_equal(err.status, ERR_INPUT);
    wish.own = true; /* a binary was named */
    assert_int_equal(server_find(wish, &place, &err), -1);
    assert_string_equal(err.text, "redis: the server named there is version 7.0.15, the suite "
                                  "asks for 8.0.9");
    wish = redis(NULL, NULL);
    wish.installed = has_none;
    assert_int_equal(server_find(wish, &place, &err), -1);
    assert_string_equal(err.text, "no server here");
    snprintf(line, sizeof(line), "rm -r %s", cache);
    assert_int_equal(system(line), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_versions_get_the_nearest),
        cmocka_unit_test(known_versions_are_taken),
        cmocka_unit_test(a_version_is_found_where_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
