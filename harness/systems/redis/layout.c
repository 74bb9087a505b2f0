/*
 * How a Redis node is started: its config file, written once and from then on the server's own (a
 * sentinel rewrites its file and, by CONFIG REWRITE, that of a server it turned into a replica: a
 * restarted node comes back as what it was told to be last). Pure.
 *
 * The user's keys are laid over ours: a key that is kept stands in place of our line.
 */
#include "systems/redis/redis.h"

#include "systems/program.h"
#include "systems/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A text that grows in an arena. */
struct text {
    struct arena *arena;
    char *all;
};

static void add_line(struct text *t, const char *line)
{
    t->all = arena_printf(t->arena, "%s%s\n", t->all ? t->all : "", line);
}
#define LINE(t, ...) add_line(t, arena_printf((t)->arena, __VA_ARGS__))

static bool given(const struct pairs *pairs, const char *key)
{
    for (size_t i = 0; i < pairs->n; i++)
        if (strcasecmp(pairs->items[i].key, key) == 0)
            return true;
    return false;
}

static void ours(struct text *t, const struct pairs *user, const char *key, const char *value)
{
    if (!given(user, key))
        LINE(t, "%s %s", key, value);
}

static const char *address_of(const struct cluster *cluster, unsigned index)
{
    return cluster->plan->nodes[cluster->spec->first_node + index].address;
}

static void server_conf(struct text *t, const struct cluster *cluster, const struct node *node)
{
    const struct redis_config *c = redis_config(cluster);
    const struct pairs *user = &c->redis_conf;

    LINE(t, "bind %s", node->plan->address);
    LINE(t, "port %d", REDIS_PORT);
    LINE(t, "protected-mode no");
    LINE(t, "daemonize no");
    LINE(t, "dir %s", node->data);
    LINE(t, "logfile \"\"");
    LINE(t, "replica-announce-ip %s", node->plan->address);
    if (c->redis.timing == TIMING_FAST) { /* `default`: what is not said is as Redis ships it */
        /* a fresh replica must not wait 5 s for company before it is served */
        ours(t, user, "repl-diskless-sync-delay", "0");
        ours(t, user, "save", "\"\"");
        ours(t, user, "repl-ping-replica-period", "1");
        ours(t, user, "repl-timeout", "5");
        /* after a diskless sync the stream starts with the replica's next ACK, up to 1 s later */
        ours(t, user, "repl-diskless-sync", "no");
        ours(t, user, "hz", "50"); /* the end of the saving child is seen within 20 ms */
    }
    for (size_t i = 0; i < user->n; i++) {
        const struct pair *p = &user->items[i];

        if (config_is_kept(&redis_system, "redis.conf", p->key))
            LINE(t, "%s %s", p->key, p->value[0] ? p->value : "\"\"");
    }
    if (redis_is_cluster(c)) {
        LINE(t, "cluster-enabled yes");
        LINE(t, "cluster-config-file nodes.conf");
        LINE(t, "cluster-port %d", REDIS_BUS_PORT);
        return;
    }
    if (node->plan->index > 0)
        LINE(t, "replicaof %s %d", address_of(cluster, 0), REDIS_PORT);
}

/* Any 40 hex digits that are the same in every run: sentinels know each other before they first
 * meet. */
static const char *sentinel_id(struct arena *arena, unsigned index)
{
    return arena_printf(arena, "a55a%036x", index + 1);
}

/* Options that belong to the sentinel itself and name no primary (sentinel.c
 * sentinelHandleConfiguration). */
static bool names_no_primary(const char *key)
{
    static const char *const keys[] = {"deny-scripts-reconfig", "announce-hostnames", NULL};

    for (size_t i = 0; keys[i]; i++)
        if (strcasecmp(keys[i], key) == 0)
            return true;
    return false;
}

/* Keys of the server's own config that a sentinel.conf may hold (not behind `sentinel`). */
static bool plain_key(const char *key)
{
    for (const char *const *word = redis_config_words; *word; word++)
        if (strcasecmp(*word, key) == 0)
            return true;
    return false;
}

static char *word_off(char *text)
{
    text += strcspn(text, " ");
    if (*text)
        *text++ = '\0';
    return text + strspn(text, " ");
}

/* Our short form `quorum: "2"` or a line of a real file, `sentinel: down-after-milliseconds NAME
 * 500`: both as option and value, the primary's name taken off. */
static struct pair sentinel_option(struct arena *arena, const struct pair *p)
{
    char *key, *value;

    if (strcasecmp(p->key, "sentinel") != 0)
        return *p;
    key = arena_strdup(arena, p->value);
    value = word_off(key);
    if (!names_no_primary(key))
        value = word_off(value);
    return (struct pair){.key = key, .value = value, .mark = p->mark};
}

static const char *sentinel_value(struct arena *arena, const struct pairs *user, const char *key)
{
    const char *found = NULL;

    for (size_t i = 0; i < user->n; i++) {
        struct pair option = sentinel_option(arena, &user->items[i]);

        if (strcasecmp(option.key, key) == 0)
            found = option.value;
    }
    return found;
}

/* The user's quorum: `quorum: "2"`, or the last word of a `monitor` line; else the majority. */
static long quorum_of(struct arena *arena, const struct redis_config *c)
{
    const char *text = sentinel_value(arena, &c->sentinel_conf, "quorum");
    const char *monitor = sentinel_value(arena, &c->sentinel_conf, "monitor");

    if (!text && monitor && strrchr(monitor, ' '))
        text = strrchr(monitor, ' ') + 1;
    return text && atol(text) > 0 ? atol(text) : (long)redis_sentinels(c) / 2 + 1;
}

static void sentinel_ours(struct text *t, const struct pairs *user, const char *key, int value_ms)
{
    if (!sentinel_value(t->arena, user, key))
        LINE(t, "sentinel %s %s %d", key, REDIS_MASTER, value_ms);
}

static void sentinel_user_lines(struct text *t, const struct pairs *user)
{
    for (size_t i = 0; i < user->n; i++) {
        struct pair option = sentinel_option(t->arena, &user->items[i]);

        if (!config_is_kept(&redis_system, "sentinel.conf", option.key) ||
            strcasecmp(option.key, "quorum") == 0)
            continue;
        if (plain_key(option.key))
            LINE(t, "%s %s", option.key, option.value);
        else if (names_no_primary(option.key))
            LINE(t, "sentinel %s %s", option.key, option.value);
        else
            LINE(t, "sentinel %s %s %s", option.key, REDIS_MASTER, option.value);
    }
}

static void sentinel_conf(struct text *t, const struct cluster *cluster, const struct node *node)
{
    const struct redis_config *c = redis_config(cluster);
    const struct pairs *user = &c->sentinel_conf;
    unsigned servers = redis_servers(c);

    LINE(t, "bind %s", node->plan->address);
    LINE(t, "port %d", SENTINEL_PORT);
    LINE(t, "protected-mode no");
    LINE(t, "daemonize no");
    LINE(t, "dir %s", node->data);
    LINE(t, "logfile \"\"");
    LINE(t, "sentinel myid %s", sentinel_id(t->arena, node->plan->index - servers));
    LINE(t, "sentinel announce-ip %s", node->plan->address);
    LINE(t, "sentinel monitor %s %s %d %ld", REDIS_MASTER, address_of(cluster, 0), REDIS_PORT,
         quorum_of(t->arena, c));
    if (c->redis.timing == TIMING_FAST) {
        sentinel_ours(t, user, "down-after-milliseconds", 500);
        sentinel_ours(t, user, "failover-timeout", 1000);
    }
    sentinel_user_lines(t, user);
    /* what discovery would find out within its periods (2 to 10 s) */
    for (unsigned i = 1; i < servers; i++)
        LINE(t, "sentinel known-replica %s %s %d", REDIS_MASTER, address_of(cluster, i),
             REDIS_PORT);
    for (unsigned i = servers; i < cluster->spec->n_nodes; i++)
        if (i != node->plan->index)
            LINE(t, "sentinel known-sentinel %s %s %d %s", REDIS_MASTER, address_of(cluster, i),
                 SENTINEL_PORT, sentinel_id(t->arena, i - servers));
}

/* ---- which server */

static const char *binary_of(const struct redis_config *c)
{
    if (c->redis.binary)
        return c->redis.binary;
    return c->redis.flavour == FLAVOUR_VALKEY ? "/usr/bin/valkey-server" : "/usr/bin/redis-server";
}

/* What the machine's own binary says it is: "Redis server v=7.0.15 …", "Valkey server v=8.1.1 …".
 */
static int installed_version(const void *config, char *out, size_t size, struct err *err)
{
    const char *binary = binary_of(config);
    char text[512], *v;

    if (program_says(binary, "--version", text, sizeof(text), err) < 0)
        return err_prefix(err, "redis binary");
    v = strstr(text, "v=");
    if (!v)
        return err_input(err, "%s --version says \"%.80s\", no Redis version", binary, text);
    v += 2;
    v[strcspn(v, " \n")] = '\0';
    snprintf(out, size, "%s", v);
    return 0;
}

static struct server_wish wish_of(const struct redis_config *c)
{
    return (struct server_wish){.system = "redis",
                                .flavour = c->redis.flavour == FLAVOUR_VALKEY ? "valkey" : NULL,
                                .version = c->redis.version,
                                .own = c->redis.binary != NULL,
                                .installed = installed_version,
                                .config = c};
}

int redis_version_known(const struct redis_config *c, struct err *err)
{
    return server_known(wish_of(c), err);
}

const void *redis_with_version(const void *config, const char *version, struct arena *arena,
                               struct err *err)
{
    struct redis_config *other = arena_alloc(arena, sizeof(*other));

    *other = *(const struct redis_config *)config;
    if (other->redis.binary) {
        err_input(err,
                  "the suite says which binary its nodes are: there is no other version of it");
        return NULL;
    }
    other->redis.version = version;
    return redis_version_known(other, err) < 0 ? NULL : other;
}

int redis_version(const void *config, char *out, size_t size, struct err *err)
{
    return server_version(wish_of(config), out, size, err);
}

int redis_layout(struct cluster *cluster, struct node *node, struct err *err)
{
    const struct redis_config *c = redis_config(cluster);
    struct arena *arena = cluster->arena;
    bool sentinel = node->plan->index >= redis_servers(c);
    struct text conf = {.arena = arena};
    const char **argv = arena_alloc(arena, 4 * sizeof(*argv));
    const char **env = arena_alloc(arena, 4 * sizeof(*env));
    struct file_spec *file = arena_alloc(arena, 2 * sizeof(*file));
    struct server_place place = {0}; /* the machine's own, whatever its version */

    if (cluster->spec->n_nodes > REDIS_NODES_MAX)
        return err_set(err, "more than %d nodes in one Redis cluster", REDIS_NODES_MAX);
    if ((c->redis.version || c->redis.flavour == FLAVOUR_VALKEY) &&
        server_find(wish_of(c), &place, err) < 0)
        return -1;
    if (sentinel)
        sentinel_conf(&conf, cluster, node);
    else
        server_conf(&conf, cluster, node);
    file->path = sentinel ? "sentinel.conf" : "redis.conf";
    file->text = conf.all;
    file->mode = 0644;
    if (redis_is_cluster(c))
        file[1] = (struct file_spec){.path = "nodes.conf",
                                     .text = redis_nodes_conf(cluster, node->plan->index),
                                     .mode = 0644};
    argv[0] = binary_of(c);
    argv[1] = arena_printf(arena, "%s/%s", node->data, file->path);
    argv[2] = sentinel ? "--sentinel" : NULL;
    env[0] = "PATH=/usr/local/bin:/usr/bin:/bin";
    env[1] = "LC_ALL=C";
    env[2] = arena_printf(arena, "HOME=%s", node->data);
    node->spec = (struct node_spec){.argv = argv,
                                    .env = env,
                                    .files = file,
                                    .n_files = redis_is_cluster(c) ? 2 : 1,
                                    .stop_within_ns = 5 * SECOND_NS,
                                    .cpu = -1,
                                    .root = server_root(&place, arena)};
    return 0;
}
