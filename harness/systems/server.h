/*
 * Where the server of a version is: installed on the machine, or in a root folder that ci/roots
 * made from another distribution's packages (CACHE/roots/NAME, with CACHE/roots/NAME.packages
 * beside it).
 *
 *     struct server_wish wish = {.system = "redis", .version = "8.0", .installed = …};
 *     if (server_known(wish, err) < 0) …                // at load: there is no such version
 *     if (server_find(wish, &place, err) == 0)          // before it is started
 *         node->spec.root = server_root(&place, arena);  // NULL: the machine's own
 */
#ifndef ASSAY_SYSTEMS_SERVER_H
#define ASSAY_SYSTEMS_SERVER_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* One server of a root folder; the table ends with a NULL system. */
struct root_server {
    const char *system, *flavour; /* flavour: another product with the same protocol; NULL: none */
    const char *version;          /* as far as it is sure: later packages are "8.0.3" */
    const char *root;             /* folder in CACHE/roots */
    const char *package;          /* whose version is the server's */
};
extern const struct root_server root_servers[];

struct server_wish {
    const char *system, *flavour, *version; /* NULL: any */
    bool own; /* the suite says where it is (binary, home): no root folder is looked for */
    /* what is on the machine, all of its version; -1: nothing is */
    int (*installed)(const void *config, char *out, size_t size, struct err *err);
    const void *config;
};
struct server_place {
    char root[600];   /* "": the machine itself */
    char version[64]; /* all of it */
};

/* INPUT with the nearest versions there are, when no root folder can have it and the machine has
 * another. The machine is only looked at where it would be refused. */
int server_known(struct server_wish wish, struct err *err);
/* As server_known; and a root folder that is not there is refused with the command that makes it.
 */
int server_find(struct server_wish wish, struct server_place *out, struct err *err);
/* Of the server that would be found, its flavour before it: "7.0.15", "valkey 8.1.1". */
int server_version(struct server_wish wish, char *out, size_t size, struct err *err);
const char *server_root(const struct server_place *place, struct arena *arena);
/* Where root folders are, resolved; "" when there are none. */
void server_roots(char *out, size_t size);
/* Version of a root folder's server, from its list of packages: 0, or -1 when it is not there. */
int root_server_version(const struct root_server *server, char *out, size_t size, struct err *err);
/* The same of any package of a root folder. */
int root_package_version(const char *root, const char *package, char *out, size_t size,
                         struct err *err);
/* A root folder's whole path; what is not there is refused with the command that makes it. `user`
 * begins that sentence: "redis 8.0 runs from". */
int root_folder(const char *root, const char *user, char *out, size_t size, struct err *err);
/* Does `version` begin with `wanted` ("8" and "8.0" take 8.0.2)? */
bool version_begins(const char *version, const char *wanted);

/* What outlives runs (class-data archives, jars, root folders): $ASSAY_CACHE, or the folder beside
 * our binary. */
void cache_folder(char *out, size_t size);

#endif
