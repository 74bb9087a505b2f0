/*
 * What a suite may say of a Redis cluster: its parameter table, what becomes of each key of the
 * user's own redis.conf and sentinel.conf, and which nodes and destinations follow from it.
 *
 *     redis3: {redis: {topology: sentinel, replicas: 2, sentinels: 3},
 *              redis.conf: {appendonly: "yes"}}
 *
 * Lists, streams and key spaces need no declaration (naming one makes it); a declaration is for
 * those that no client names.
 */
#include "systems/redis/redis.h"

#include "suite/tree.h"

#include <stdio.h>
#include <string.h>

static const char *const topologies[] = {"standalone", "replication", "sentinel", "cluster", NULL};
static const char *const flavours[] = {"redis", "valkey", NULL};
static const char *const timings[] = {"fast", "default", NULL};

#define SETTING(member)                                                                            \
    offsetof(struct redis_config, redis.member) - offsetof(struct redis_config, redis)
static const struct param settings[] = {
    {"topology", PARAM_CHOICE, SETTING(topology), .fallback = "standalone", .choices = topologies,
     .help = "one server; a primary with replicas; the same watched by sentinels; Redis Cluster"},
    {"primaries", PARAM_INT, SETTING(primaries), .fallback = "3", .min = 3, .max = 5,
     .only = "topology: cluster", .help = "servers that share the slots"},
    {"replicas", PARAM_INT, SETTING(replicas), .fallback = "2", .min = 1, .max = 9,
     .only = "topology: replication | sentinel | cluster",
     .help = "replicas of the primary, of each in a cluster"},
    {"sentinels", PARAM_INT, SETTING(sentinels), .fallback = "3", .min = 1, .max = 9,
     .only = "topology: sentinel", .help = "sentinels, each on a node of its own"},
    {"timing", PARAM_CHOICE, SETTING(timing), .fallback = "fast", .choices = timings,
     .help = "fast: periods shortened, a failover takes under a second; default: as Redis ships"},
    {"version", PARAM_STRING, SETTING(version),
     .help = "as far as it matters: \"7\", \"7.0.15\"; the installed one or a root folder's "
             "(ci/roots)"},
    {"flavour", PARAM_CHOICE, SETTING(flavour), .fallback = "redis", .choices = flavours,
     .help = "valkey: Redis's continuation under its old licence, from a root folder"},
    {"binary", PARAM_STRING, SETTING(binary),
     .help = "the server to run, also as sentinel; default: /usr/bin/redis-server"},
    {0}};

static const struct param destination[] = {{0}};

const struct param redis_params[] = {
    {"redis", PARAM_STRUCT, offsetof(struct redis_config, redis), .sub = settings,
     .sub_size = sizeof(((struct redis_config *)0)->redis), .required = true,
     .help = "topology and binary"},
    {"redis.conf", PARAM_VERBATIM, offsetof(struct redis_config, redis_conf),
     .help = "your redis.conf, key by key, for every server"},
    {"sentinel.conf", PARAM_VERBATIM, offsetof(struct redis_config, sentinel_conf),
     .help = "your sentinel.conf, key by key without the primary's name: down-after-milliseconds, "
             "quorum …"},
    {"lists", PARAM_MAP, offsetof(struct redis_config, lists), .sub = destination,
     .sub_size = sizeof(struct redis_dest),
     .help = "lists that are judged though no client names them"},
    {"streams", PARAM_MAP, offsetof(struct redis_config, streams), .sub = destination,
     .sub_size = sizeof(struct redis_dest),
     .help = "streams that are judged though no client names them"},
    {"keys", PARAM_MAP, offsetof(struct redis_config, keys), .sub = destination,
     .sub_size = sizeof(struct redis_dest),
     .help = "key prefixes that are judged though no client names them"},
    {0}};

#define OURS "the sandbox owns it"
const struct config_rule redis_config_rules[] = {
    {"redis.conf", "port", CONFIG_REPLACED, OURS},
    {"redis.conf", "bind*", CONFIG_REPLACED, OURS},
    {"redis.conf", "dir", CONFIG_REPLACED, OURS},
    {"redis.conf", "unixsocket*", CONFIG_REPLACED, OURS},
    {"redis.conf", "daemonize", CONFIG_REPLACED, OURS},
    {"redis.conf", "supervised", CONFIG_REPLACED, OURS},
    {"redis.conf", "pidfile", CONFIG_REPLACED, OURS},
    {"redis.conf", "logfile", CONFIG_REPLACED, "each node's output is its log"},
    {"redis.conf", "syslog-*", CONFIG_REPLACED, "each node's output is its log"},
    {"redis.conf", "protected-mode", CONFIG_REPLACED, "the network is private"},
    {"redis.conf", "*_cpulist", CONFIG_REPLACED, "nodes are pinned by the harness"},
    {"redis.conf", "oom-score-adj*", CONFIG_REPLACED, "needs a privilege"},
    {"redis.conf", "replicaof", CONFIG_REPLACED, "follows from topology"},
    {"redis.conf", "slaveof", CONFIG_REPLACED, "follows from topology"},
    {"redis.conf", "*-announce-*", CONFIG_REPLACED, OURS},
    {"redis.conf", "tls-*", CONFIG_REPLACED, "no TLS inside the sandbox"},
    {"redis.conf", "requirepass", CONFIG_REPLACED, "no passwords inside the sandbox"},
    {"redis.conf", "masterauth", CONFIG_REPLACED, "no passwords inside the sandbox"},
    {"redis.conf", "masteruser", CONFIG_REPLACED, "no passwords inside the sandbox"},
    {"redis.conf", "user", CONFIG_REPLACED, "no passwords inside the sandbox"},
    {"redis.conf", "aclfile", CONFIG_REPLACED, "no passwords inside the sandbox"},
    {"redis.conf", "include", CONFIG_REFUSED, "other files are not read: put their keys here"},
    {"redis.conf", "loadmodule", CONFIG_REFUSED, "modules are not supported"},
    {"redis.conf", "rename-command", CONFIG_REFUSED, "the harness needs the commands' own names"},
    {"redis.conf", "cluster-enabled", CONFIG_REPLACED, "follows from topology"},
    {"redis.conf", "cluster-config-file", CONFIG_REPLACED, OURS},
    {"redis.conf", "cluster-port", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "port", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "bind*", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "dir", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "daemonize", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "supervised", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "pidfile", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "logfile", CONFIG_REPLACED, "each node's output is its log"},
    {"sentinel.conf", "syslog-*", CONFIG_REPLACED, "each node's output is its log"},
    {"sentinel.conf", "protected-mode", CONFIG_REPLACED, "the network is private"},
    {"sentinel.conf", "tls-*", CONFIG_REPLACED, "no TLS inside the sandbox"},
    {"sentinel.conf", "requirepass", CONFIG_REPLACED, "no passwords inside the sandbox"},
    {"sentinel.conf", "auth-*", CONFIG_REPLACED, "no passwords inside the sandbox"},
    {"sentinel.conf", "sentinel-*", CONFIG_REPLACED, "no passwords inside the sandbox"},
    {"sentinel.conf", "user", CONFIG_REPLACED, "no passwords inside the sandbox"},
    {"sentinel.conf", "aclfile", CONFIG_REPLACED, "no passwords inside the sandbox"},
    {"sentinel.conf", "monitor", CONFIG_REPLACED, "the primary is ours; its quorum is kept"},
    {"sentinel.conf", "myid", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "known-*", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "announce-*", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "resolve-hostnames", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "*-epoch", CONFIG_REPLACED, OURS},
    {"sentinel.conf", "rename-command", CONFIG_REFUSED,
     "the harness needs the commands' own names"},
    {"sentinel.conf", "*-script", CONFIG_REFUSED, "scripts are not run"},
    {"sentinel.conf", "include", CONFIG_REFUSED, "other files are not read: put their keys here"},
    {0}};

unsigned redis_servers(const struct redis_config *config)
{
    if (config->redis.topology == TOPOLOGY_STANDALONE)
        return 1;
    if (config->redis.topology == TOPOLOGY_CLUSTER)
        return (unsigned)(config->redis.primaries * (1 + config->redis.replicas));
    return 1 + (unsigned)config->redis.replicas;
}

unsigned redis_sentinels(const struct redis_config *config)
{
    return config->redis.topology == TOPOLOGY_SENTINEL ? (unsigned)config->redis.sentinels : 0;
}

/* Texts that would start a line of their own. */
static int check_pairs(const char *file, const struct pairs *pairs, struct err *err)
{
    for (size_t i = 0; i < pairs->n; i++) {
        const struct pair *p = &pairs->items[i];

        if (strpbrk(p->key, " \t\r\n") || strpbrk(p->value, "\r\n"))
            return mark_err(err, &p->mark, "%s: key \"%s\" is not one line of a config file", file,
                            p->key);
    }
    return 0;
}

static void name_dests(const struct items *items, int unit_kind, const struct layout_sink *sink)
{
    const struct redis_dest *dests = items->items;

    for (size_t i = 0; i < items->n; i++)
        sink->dest(sink->context, dests[i].name, unit_kind, 1);
}

int redis_describe(const void *config, const struct layout_sink *sink, struct err *err)
{
    const struct redis_config *c = config;
    char name[32];

    if (check_pairs("redis.conf", &c->redis_conf, err) < 0 ||
        check_pairs("sentinel.conf", &c->sentinel_conf, err) < 0)
        return -1;
    if (redis_version_known(c, err) < 0)
        return -1;
    if (redis_servers(c) > 10)
        return err_input(err, "redis: %u servers are more than 10: fewer primaries or replicas",
                         redis_servers(c));
    for (unsigned i = 0; i < redis_servers(c); i++) {
        snprintf(name, sizeof(name), "redis-%u", i + 1);
        sink->node(sink->context, name, "server");
    }
    for (unsigned i = 0; i < redis_sentinels(c); i++) {
        snprintf(name, sizeof(name), "sentinel-%u", i + 1);
        sink->node(sink->context, name, "sentinel");
    }
    name_dests(&c->lists, UNIT_LIST, sink);
    name_dests(&c->streams, UNIT_STREAM, sink);
    name_dests(&c->keys, UNIT_KEYS, sink);
    return 0;
}
