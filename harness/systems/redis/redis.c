/*
 * Redis behind system_ops: the table of the folder's parts. See redis.h for who does what.
 */
#include "systems/redis/redis.h"

#include <unistd.h>

/* Replication and clients share the server's port: a plane of either between two servers is the
 * same. */
static const struct plane planes[] = {{"client", {REDIS_PORT}},
                                      {"replication", {REDIS_PORT}},
                                      {"controller", {SENTINEL_PORT}},
                                      {"bus", {REDIS_BUS_PORT}},
                                      {0}};

static const char *const roles[] = {"primary",    "claims_primary", "replicas",  "in_sync",
                                    "registered", "leader",         "followers", NULL};

static int installed(struct err *err)
{
    if (access("/usr/bin/redis-server", X_OK) < 0)
        return err_set(err, "/usr/bin/redis-server is not there: apt install redis-server");
    return 0;
}

/* config.c: ">>> 'appendfsync sometimes'" between where it stood and what is wrong with it */
static const char *const blames[] = {">>> '", ">>> 'sentinel ", NULL};

const struct system_ops redis_system = {
    .name = "redis",
    .about = "Redis 7 and 8, Valkey: standalone, replication, Sentinel, Cluster; lists, streams, "
             "channels and "
             "plain keys",
    .params = redis_params,
    .config_size = sizeof(struct redis_config),
    .planes = planes,
    .outcomes = redis_outcomes,
    .config_rules = redis_config_rules,
    .config_blames = blames,
    .config_words = redis_config_words,
    .commands = redis_commands,
    .broker = &redis_broker,
    .cache = &redis_cache_ops,
    .installed = installed,
    .roles = roles,
    .describe = redis_describe,
    .layout = redis_layout,
    .form = redis_form,
    .rejoined = redis_rejoined,
    .observe = redis_observe,
    .quiesce = redis_quiesce,
    .mark = redis_mark,
    .drain = redis_drain,
    .reset = redis_reset,
    .effective = redis_effective,
    .version = redis_version,
    .with_version = redis_with_version,
    .release = redis_release,
    .squeeze = redis_squeeze,
};
