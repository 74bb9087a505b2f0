/*
 * Where the server of a version is (server.h). The machine's own is taken before a root folder's.
 * Kafka's versions are jars and none of this page's business.
 */
#include "systems/server.h"

#include "base/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEAREST_MAX 3

const struct root_server root_servers[] = {
    {"redis", NULL, "8.0", "debian-13", "redis-server"},
    {"redis", "valkey", "8.1", "debian-13", "valkey-server"},
    {"rabbitmq", NULL, "4.0", "debian-13", "rabbitmq-server"},
    {"rabbitmq", NULL, "3.10", "debian-12", "rabbitmq-server"},
    {"rabbitmq", NULL, "3.8", "debian-11", "rabbitmq-server"},
    {"postgres", NULL, "17", "debian-13", "postgresql-17"},
    {"mariadb", NULL, "11.8", "debian-13", "mariadb-server-core"},
    {0}};

void cache_folder(char *out, size_t size)
{
    const char *chosen = getenv("ASSAY_CACHE");

    if (chosen) {
        snprintf(out, size, "%s", chosen);
        return;
    }
    if (file_self(out, size - 8) < 0)
        out[0] = '\0';
    if (strrchr(out, '/'))
        *strrchr(out, '/') = '\0';
    strcat(out, "/cache");
}

bool version_begins(const char *version, const char *wanted)
{
    size_t n = strlen(wanted);

    return strncmp(version, wanted, n) == 0 && (version[n] == '\0' || version[n] == '.');
}

/* ---- which */

static bool same_flavour(const struct root_server *server, const struct server_wish *wish)
{
    return strcmp(server->system, wish->system) == 0 &&
           strcmp(server->flavour ? server->flavour : "", wish->flavour ? wish->flavour : "") == 0;
}

/* "8.0.2" may be what 8.0 is today: server_find looks. */
static const struct root_server *root_server_of(const struct server_wish *wish)
{
    for (const struct root_server *s = root_servers; s->system; s++)
        if (same_flavour(s, wish) && (!wish->version || version_begins(s->version, wish->version) ||
                                      version_begins(wish->version, s->version)))
            return s;
    return NULL;
}

/* 8.0.2 is 8 000 002: how far apart two versions are is a difference. */
static long version_number(const char *text)
{
    long number = 0;

    for (long weight = 1000000; weight > 0; weight /= 1000) {
        char *end;

        number += weight * strtol(text, &end, 10);
        text = *end == '.' ? end + 1 : end;
    }
    return number;
}

static long version_distance(const char *a, const char *b)
{
    return labs(version_number(a) - version_number(b));
}

struct offer {
    char text[100];
    long distance;
};

/* The nearest first; at most NEAREST_MAX are kept. */
static void offer(struct offer *offers, size_t *n, const char *text, long distance)
{
    size_t at = *n;

    while (at > 0 && offers[at - 1].distance > distance)
        at--;
    if (at == NEAREST_MAX)
        return;
    if (*n < NEAREST_MAX)
        ++*n;
    memmove(&offers[at + 1], &offers[at], (*n - at - 1) * sizeof(*offers));
    snprintf(offers[at].text, sizeof(offers[at].text), "%s", text);
    offers[at].distance = distance;
}

static int unknown_version(const struct server_wish *wish, const char *installed, struct err *err)
{
    const char *wanted = wish->version ? wish->version : "";
    struct offer offers[NEAREST_MAX];
    char text[400] = "";
    size_t n = 0;

    if (installed) {
        snprintf(text, sizeof(text), "\"%s\" (installed)", installed);
        offer(offers, &n, text, version_distance(wanted, installed));
    }
    for (const struct root_server *s = root_servers; s->system; s++) {
        if (strcmp(s->system, wish->system) != 0)
            continue;
        snprintf(text, sizeof(text), s->flavour ? "\"%s\" with flavour: %s" : "\"%s\"", s->version,
                 s->flavour);
        offer(offers, &n, text, version_distance(wanted, s->version));
    }
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? ", " : "",
                 offers[i].text);
    return err_input(err, "%s: version \"%s\"%s%s is not known; the nearest: %s", wish->system,
                     wanted, wish->flavour ? " of flavour " : "",
                     wish->flavour ? wish->flavour : "", n ? text : "none");
}

/* The machine's own will do. */
static bool suits(const struct server_wish *wish, const char *installed)
{
    return (wish->own || !wish->flavour) &&
           (!wish->version || version_begins(installed, wish->version));
}

int server_known(struct server_wish wish, struct err *err)
{
    char installed[64];
    bool there;

    if (wish.own || (!wish.version && !wish.flavour) || root_server_of(&wish))
        return 0;
    there = wish.installed(wish.config, installed, sizeof(installed), NULL) == 0;
    return there && suits(&wish, installed) ? 0
                                            : unknown_version(&wish, there ? installed : NULL, err);
}

/* ---- where */

static int root_path(const char *name, const char *suffix, char *out, size_t size, struct err *err)
{
    char cache[400], path[500], *real;

    cache_folder(cache, sizeof(cache));
    snprintf(path, sizeof(path), "%s/roots/%s%s", cache, name, suffix);
    real = realpath(path, NULL);
    if (!real)
        return err_errno(err, "%s", path);
    if (strlen(real) >= size) {
        free(real);
        errno = ENAMETOOLONG;
        return err_errno(err, "%s", path);
    }
    strcpy(out, real);
    free(real);
    return 0;
}

void server_roots(char *out, size_t size)
{
    if (root_path("", "", out, size, NULL) < 0)
        out[0] = '\0';
}

/* "5:8.0.2-3+deb13u2" is 8.0.2, as its upstream calls it. */
static void upstream_version(const char *debian, char *out, size_t size)
{
    const char *colon = strchr(debian, ':');

    if (colon)
        debian = colon + 1;
    snprintf(out, size, "%.*s", (int)strcspn(debian, "-+~ \n"), debian);
}

int root_package_version(const char *root, const char *package, char *out, size_t size,
                         struct err *err)
{
    char path[600], line[300], wanted[100];
    int found = 0;
    FILE *in;

    if (root_path(root, ".packages", path, sizeof(path), err) < 0)
        return -1;
    in = fopen(path, "re");
    if (!in)
        return err_errno(err, "%s", path);
    snprintf(wanted, sizeof(wanted), "%s ", package);
    while (!found && fgets(line, sizeof(line), in))
        if (strncmp(line, wanted, strlen(wanted)) == 0) {
            upstream_version(line + strlen(wanted), out, size);
            found = 1;
        }
    fclose(in);
    return found ? 0
                 : err_set(err, "%s lists no package %s: ci/roots makes the folder anew", path,
                           package);
}

int root_server_version(const struct root_server *server, char *out, size_t size, struct err *err)
{
    return root_package_version(server->root, server->package, out, size, err);
}

int root_folder(const char *root, const char *user, char *out, size_t size, struct err *err)
{
    char list[600]; /* written last: without it the folder is not whole */

    if (root_path(root, ".packages", list, sizeof(list), err) < 0 ||
        root_path(root, "", out, size, err) < 0)
        return err_prefix(err, "%s the root folder %s, which is not there: ci/roots makes it", user,
                          root);
    return 0;
}

/* 0: the machine's own is it, 1: look among the root folders. */
static int find_installed(const struct server_wish *wish, struct server_place *out, struct err *err)
{
    struct err why = {0};

    out->root[0] = '\0';
    if (wish->installed(wish->config, out->version, sizeof(out->version), &why) == 0) {
        if (suits(wish, out->version))
            return 0;
        if (wish->own)
            return err_input(err, "%s: the server named there is version %s, the suite asks for %s",
                             wish->system, out->version, wish->version);
        if (root_server_of(wish))
            return 1;
        return unknown_version(wish, out->version, err);
    }
    if (root_server_of(wish) && !wish->own && (wish->version || wish->flavour))
        return 1;
    if (err)
        *err = why;
    return -1;
}

int server_find(struct server_wish wish, struct server_place *out, struct err *err)
{
    const struct root_server *server = root_server_of(&wish);
    int result = find_installed(&wish, out, err);
    char user[100];

    if (result <= 0)
        return result;
    snprintf(user, sizeof(user), "%s %s runs from", server->flavour ? server->flavour : wish.system,
             server->version);
    if (root_folder(server->root, user, out->root, sizeof(out->root), err) < 0 ||
        root_server_version(server, out->version, sizeof(out->version), err) < 0)
        return -1;
    if (wish.version && !version_begins(out->version, wish.version) &&
        !version_begins(wish.version, out->version))
        return err_input(err,
                         "%s %s is wanted, the root folder %s has %s (ci/roots --again makes "
                         "it anew)",
                         wish.system, wish.version, server->root, out->version);
    return 0;
}

int server_version(struct server_wish wish, char *out, size_t size, struct err *err)
{
    struct server_place place;

    if (server_find(wish, &place, err) < 0)
        return -1;
    snprintf(out, size, "%s%s%s", wish.flavour ? wish.flavour : "", wish.flavour ? " " : "",
             place.version);
    return 0;
}

const char *server_root(const struct server_place *place, struct arena *arena)
{
    return place->root[0] ? arena_strdup(arena, place->root) : NULL;
}
