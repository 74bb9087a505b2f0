/*
 * How one RabbitMQ node is started: its files, environment and command line, as a function of the
 * suite's entry. The user's rabbitmq.conf is laid over ours key by key (rabbit_config_rules).
 *
 * Sources: rabbitmq-server(8), rabbitmq-env.conf(5); `erl -erl_epmd_port` (kernel, OTP 23): with it
 * and `-start_epmd false` nodes find each other without epmd, at one fixed port.
 */
#include "systems/rabbitmq/rabbitmq.h"
#include "systems/server.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the server needs here and what keeps several of them on one small machine. */
static const struct {
    const char *key, *value;
    const char *not_in; /* a version that does not know the key, or NULL */
} our_conf[] = {
    {.key = "listeners.tcp.1", .value = "0.0.0.0:5672"},
    {.key = "loopback_users", .value = "none"},
    {.key = "vm_memory_high_watermark.absolute", .value = "400MiB"},
    {.key = "disk_free_limit.absolute", .value = "50MB"},
    {.key = "log.console", .value = "true"},
    {.key = "log.file", .value = "false"},
    {.key = "log.console.use_colors", .value = "off", .not_in = "3.8"},
    {.key = "cluster_formation.peer_discovery_backend", .value = "classic_config"},
    {.key = "cluster_formation.discovery_retry_interval", .value = "100"},
};

#define FORMATION_TURN_S 5u
#define STREAM_PLUGIN "rabbitmq_stream"

/* ---- which server */

/* The server's folder as it is called in the root folder ("": the machine): the last by name. */
static int find_home(const char *root, const char *given, char *out, size_t size, struct err *err)
{
    char pattern[700];
    glob_t found = {0};
    int n = -1;

    snprintf(pattern, sizeof(pattern), "%s/usr/lib/rabbitmq/lib/rabbitmq_server-*", root);
    if (given) {
        n = snprintf(out, size, "%s", given);
    } else {
        if (glob(pattern, 0, NULL, &found) == 0)
            n = snprintf(out, size, "%s", found.gl_pathv[found.gl_pathc - 1] + strlen(root));
        globfree(&found);
    }
    if (n < 0)
        return err_set(err, "no RabbitMQ is installed (package rabbitmq-server), and "
                            "rabbitmq: {home: …} names none");
    return (size_t)n < size ? 0 : err_set(err, "home: too long");
}

/* A server says its version by the folder of its main application. */
static int installed_version(const void *self, char *out, size_t size, struct err *err)
{
    const struct rabbit_config *config = self;
    char home[512], pattern[600];
    glob_t found = {0};
    const char *name;

    if (find_home("", config->server.home, home, sizeof(home), err) < 0)
        return -1;
    snprintf(pattern, sizeof(pattern), "%s/plugins/rabbit-[0-9]*", home);
    if (glob(pattern, 0, NULL, &found) != 0) {
        globfree(&found);
        return err_set(err, "%s is no RabbitMQ server: nothing there is called plugins/rabbit-…",
                       home);
    }
    name = strrchr(found.gl_pathv[0], '/') + strlen("/rabbit-");
    snprintf(out, size, "%.*s", (int)strcspn(name, "e"), name); /* "3.10.8", also of "….ez" */
    if (*out && out[strlen(out) - 1] == '.')
        out[strlen(out) - 1] = '\0';
    globfree(&found);
    return 0;
}

static struct server_wish wish_of(const struct rabbit_config *config)
{
    return (struct server_wish){.system = "rabbitmq",
                                .version = config->server.version,
                                .own = config->server.home != NULL,
                                .installed = installed_version,
                                .config = config};
}

int rabbit_version_known(const struct rabbit_config *config, struct err *err)
{
    return server_known(wish_of(config), err);
}

const void *rabbit_with_version(const void *config, const char *version, struct arena *arena,
                                struct err *err)
{
    struct rabbit_config *other = arena_alloc(arena, sizeof(*other));

    *other = *(const struct rabbit_config *)config;
    if (other->server.home) {
        err_input(err, "the suite says where its server is: there is no other version of it");
        return NULL;
    }
    other->server.version = version;
    return rabbit_version_known(other, err) < 0 ? NULL : other;
}

int rabbit_version(const void *self, char *out, size_t size, struct err *err)
{
    return server_version(wish_of(self), out, size, err);
}

int rabbit_installed(struct err *err)
{
    const struct rabbit_config defaults = {0};
    char version[64];

    return rabbit_version(&defaults, version, sizeof(version), err);
}

/*
 * What the keeper runs: the server, and two things around it.
 * - The server insists on an epmd and starts one, though nothing here uses it; after an orderly
 * stop it would live on and the node would never count as dead.
 * - 3.10 sometimes dies early in its boot on a busy machine ("ensure_working_fhc", a race of its
 *   file handle cache). A server that dies before it has written its serial number, before any of
 *   its databases is open, gets one more try, as Debian's unit (Restart=on-failure) would give it;
 *   every later death is a death.
 */
static const char start_script[] =
    "touch \"$HOME/started\"\n"
    "serial=$RABBITMQ_MNESIA_BASE/$RABBITMQ_NODENAME/rabbit_serial\n"
    "told=\n"
    "for try in 1 2; do\n"
    "  \"$0\" \"$@\" & server=$!\n"
    "  trap 'told=yes; kill -TERM $server' TERM\n"
    "  wait $server; status=$?\n"
    "  while kill -0 $server 2>/dev/null; do wait $server; status=$?; done\n"
    "  if [ $status = 0 ] || [ \"$told\" ] || [ \"$serial\" -nt \"$HOME/started\" ]; then break; "
    "fi\n"
    "done\n"
    "epmd -kill >/dev/null 2>&1\n"
    "exit $status\n";

/* vm_memory_high_watermark.absolute and .relative are one setting: the user's replaces ours. */
static bool same_setting(const char *ours, const char *theirs)
{
    const char *dot = strchr(ours, '.');
    size_t n = dot ? (size_t)(dot - ours) : strlen(ours);

    if (strcmp(ours, theirs) == 0)
        return true;
    return (strncmp(ours, "vm_memory", 9) == 0 || strncmp(ours, "disk_free", 9) == 0) &&
           strncmp(ours, theirs, n) == 0 && (theirs[n] == '.' || !theirs[n]);
}

/* 3.x asks each peer and forms with whom it finds: one try is quickest. 4.x selects one peer, waits
 * for that one's database, and when the tries are used up stays alone for good. 3.8 has no lock
 * against nodes that form at once: each sleeps for a random time of up to a minute. Ours take
 * turns. Source: rabbitmq.com/cluster-formation.html, "Race Conditions During Initial Cluster
 * Formation". */
static const char *formation_text(struct cluster *cluster, unsigned node, const char *version)
{
    unsigned delay_s = node * FORMATION_TURN_S;
    const char *tries =
        arena_printf(cluster->arena, "cluster_formation.discovery_retry_limit = %s\n",
                     atoi(version) < 4 ? "1" : "300");

    if (!version_begins(version, "3.8"))
        return tries;
    return arena_printf(cluster->arena,
                        "%scluster_formation.randomized_startup_delay_range.min = %u\n"
                        "cluster_formation.randomized_startup_delay_range.max = %u\n",
                        tries, delay_s, delay_s);
}

static bool names(const struct strings *strings, const char *word)
{
    for (size_t i = 0; i < strings->n; i++)
        if (strcmp(strings->items[i], word) == 0)
            return true;
    return false;
}

/* Others are to reach it at the address we know it by (stream.advertised_host is what the server
 * tells who asks for a leader). */
static const char *stream_text(struct cluster *cluster, const struct rabbit_config *config,
                               unsigned node)
{
    if (!rabbit_speaks_stream(cluster->plan, cluster->spec) &&
        !names(&config->server.plugins, STREAM_PLUGIN))
        return "";
    return arena_printf(cluster->arena,
                        "stream.listeners.tcp.1 = 0.0.0.0:%d\n"
                        "stream.advertised_host = %s\n"
                        "stream.advertised_port = %d\n",
                        RABBIT_STREAM_PORT, cluster->nodes[node].plan->address, RABBIT_STREAM_PORT);
}

static const char *conf_text(struct cluster *cluster, const struct rabbit_config *config,
                             unsigned node, const char *version)
{
    const char *text = formation_text(cluster, node, version);

    for (size_t i = 0; i < sizeof(our_conf) / sizeof(our_conf[0]); i++) {
        bool left_out = our_conf[i].not_in && version_begins(version, our_conf[i].not_in);

        for (size_t k = 0; k < config->conf.n; k++)
            left_out |=
                config_is_kept(&rabbitmq_system, "rabbitmq.conf", config->conf.items[k].key) &&
                same_setting(our_conf[i].key, config->conf.items[k].key);
        if (!left_out)
            text = arena_printf(cluster->arena, "%s%s = %s\n", text, our_conf[i].key,
                                our_conf[i].value);
    }
    for (int64_t i = 1; i <= config->server.nodes; i++)
        text = arena_printf(cluster->arena,
                            "%scluster_formation.classic_config.nodes.%lld = rabbit@n%lld\n", text,
                            (long long)i, (long long)i);
    text = arena_printf(cluster->arena, "%s%s", text, stream_text(cluster, config, node));
    for (size_t k = 0; k < config->conf.n; k++)
        if (config_is_kept(&rabbitmq_system, "rabbitmq.conf", config->conf.items[k].key))
            text = arena_printf(cluster->arena, "%s%s = %s\n", text, config->conf.items[k].key,
                                config->conf.items[k].value);
    return text;
}

/* Nodes of its own cluster as Erlang calls them, others as a shovel's URI does. */
static const char *hosts_text(struct cluster *cluster)
{
    const struct plan_case *plan = cluster->plan;
    const char *text = "127.0.0.1 localhost\n";

    for (unsigned i = 0; i < cluster->spec->n_nodes; i++)
        text = arena_printf(cluster->arena, "%s%s n%u\n", text, cluster->nodes[i].plan->address,
                            i + 1);
    for (size_t i = 0; i < plan->n_nodes; i++)
        if (&plan->clusters[plan->nodes[i].cluster] != cluster->spec)
            text = arena_printf(cluster->arena, "%s%s %s-%u\n", text, plan->nodes[i].address,
                                plan->clusters[plan->nodes[i].cluster].alias,
                                plan->nodes[i].index + 1);
    return text;
}

#define PLUGINS_FILE "enabled_plugins"

/* Those of the suite, and what its clients speak. */
static const char *plugins_text(struct cluster *cluster, const struct rabbit_config *config)
{
    const struct strings *plugins = &config->server.plugins;
    const char *text = "";

    for (size_t i = 0; i < plugins->n; i++)
        text = arena_printf(cluster->arena, "%s%s%s", text, i ? "," : "", plugins->items[i]);
    if (rabbit_speaks_stream(cluster->plan, cluster->spec) && !names(plugins, STREAM_PLUGIN))
        text = arena_printf(cluster->arena, "%s%s%s", text, *text ? "," : "", STREAM_PLUGIN);
    return arena_printf(cluster->arena, "[%s].\n", text);
}

bool rabbit_has_its_plugins(struct cluster *cluster)
{
    const struct node_spec *spec = &cluster->nodes[0].spec;

    for (size_t i = 0; i < spec->n_files; i++)
        if (strcmp(spec->files[i].path, PLUGINS_FILE) == 0)
            return strcmp(spec->files[i].text, plugins_text(cluster, cluster->spec->config)) == 0;
    return false;
}

/*
 * Half of a boot's CPU goes into loading some 950 modules one by one: each load copies the whole
 * table of exports. The list of an earlier boot (form.c keeps it in the cache) loads them in one
 * go, 4.7 s → 2.7 s of CPU. Only the server itself does so (it has a -pa), not the throwaway Erlang
 * that it starts for its epmd. Without a list, or with a wrong one, boots are as slow as ever.
 */
static const char preload[] =
    "ERL_AFLAGS=-eval case(init:get_argument(pa))of{ok,_}->catch(code:ensure_modules_loaded(hd("
    "element(2,file:consult(os:getenv(\\\"HOME\\\")++\\\"/modules\\\")))));_->[]end.";

char *rabbit_modules_path(const struct cluster *cluster, char *out, size_t size)
{
    const struct rabbit_config *config = cluster->spec->config;
    char version[64];

    if (!cluster->cache || rabbit_version(config, version, sizeof(version), NULL) < 0)
        return NULL;
    snprintf(out, size, "%s/rabbitmq-%s.modules", cluster->cache, version);
    return out;
}

static const char *modules_list(struct cluster *cluster)
{
    char path[600], *text;
    FILE *in = rabbit_modules_path(cluster, path, sizeof(path)) ? fopen(path, "re") : NULL;
    size_t n;

    if (!in)
        return NULL;
    text = arena_alloc(cluster->arena, MODULES_BYTES);
    n = fread(text, 1, MODULES_BYTES - 1, in);
    fclose(in);
    return n > 0 ? text : NULL;
}

static const char *const *environment(struct cluster *cluster, const struct node *node,
                                      const struct rabbit_config *config)
{
    struct arena *arena = cluster->arena;
    const char *tick = pairs_get(&config->conf, "net_ticktime", "60"); /* the server's own */
    const char **env = arena_alloc(arena, 20 * sizeof(*env));
    size_t n = 0;

    env[n++] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    env[n++] = "LANG=C.UTF-8";
    env[n++] = "RABBITMQ_CONF_ENV_FILE=/nonexistent";
    env[n++] = "RABBITMQ_ALLOW_INPUT=1";
    env[n++] = "ERL_CRASH_DUMP=/dev/null";
    env[n++] = preload;
    env[n++] = "ERL_EPMD_RELAXED_COMMAND_CHECK=1"; /* so that epmd -kill is obeyed */
    env[n++] = arena_printf(arena, "HOME=%s", node->data);
    env[n++] = arena_printf(arena, "RABBITMQ_NODENAME=rabbit@n%u", node->plan->index + 1);
    env[n++] = arena_printf(arena, "RABBITMQ_MNESIA_BASE=%s/mnesia", node->data);
    env[n++] = arena_printf(arena, "RABBITMQ_LOG_BASE=%s/log", node->data);
    env[n++] = arena_printf(arena, "RABBITMQ_CONFIG_FILE=%s/rabbitmq.conf", node->data);
    if (config->advanced)
        env[n++] =
            arena_printf(arena, "RABBITMQ_ADVANCED_CONFIG_FILE=%s/advanced.config", node->data);
    env[n++] = arena_printf(arena, "RABBITMQ_ENABLED_PLUGINS_FILE=%s/enabled_plugins", node->data);
    env[n++] = arena_printf(arena, "RABBITMQ_PID_FILE=%s/pid", node->data);
    env[n++] = arena_printf(arena,
                            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel net_ticktime %s "
                            "-start_epmd false -erl_epmd_port %d",
                            tick, RABBIT_DIST_PORT);
    env[n] = NULL;
    return env;
}

/* A server that lacks a plugin it is to start dies of it, in many words. */
static int check_stream_plugin(struct cluster *cluster, const struct server_place *place,
                               const char *home, struct err *err)
{
    char pattern[1300];
    glob_t found = {0};
    bool there;

    if (!rabbit_speaks_stream(cluster->plan, cluster->spec))
        return 0;
    snprintf(pattern, sizeof(pattern), "%s%s/plugins/" STREAM_PLUGIN "-[0-9]*", place->root, home);
    there = glob(pattern, 0, NULL, &found) == 0;
    globfree(&found);
    return there ? 0
                 : err_input(err,
                             "cluster \"%s\": RabbitMQ %s has no plugin " STREAM_PLUGIN
                             " (it came with 3.9), and a client publishes over: stream",
                             cluster->spec->alias, place->version);
}

int rabbit_layout(struct cluster *cluster, struct node *node, struct err *err)
{
    const struct rabbit_config *config = cluster->spec->config;
    struct arena *arena = cluster->arena;
    const char **argv = arena_alloc(arena, 6 * sizeof(*argv));
    struct file_spec *files = arena_alloc(arena, 5 * sizeof(*files));
    const char *modules = modules_list(cluster);
    struct server_place place;
    char home[512], outside[1200];
    size_t n = 0;

    if (server_find(wish_of(config), &place, err) < 0 ||
        find_home(place.root, config->server.home, home, sizeof(home), err) < 0 ||
        check_stream_plugin(cluster, &place, home, err) < 0)
        return -1;
    argv[0] = "/bin/sh";
    argv[1] = "-c";
    argv[2] = start_script;
    argv[3] = arena_printf(arena, "%s/sbin/rabbitmq-server", home);
    argv[4] = "-noinput";
    snprintf(outside, sizeof(outside), "%s%s", place.root, argv[3]);
    if (access(outside, X_OK) < 0)
        return err_errno(err, "%s", outside);
    files[n++] = (struct file_spec){.path = ".erlang.cookie", .text = RABBIT_COOKIE, .mode = 0400};
    files[n++] =
        (struct file_spec){.path = "rabbitmq.conf",
                           .text = conf_text(cluster, config, node->plan->index, place.version),
                           .mode = 0644,
                           .of_version = true};
    files[n++] = (struct file_spec){
        .path = PLUGINS_FILE, .text = plugins_text(cluster, config), .mode = 0644};
    if (modules)
        files[n++] = (struct file_spec){.path = "modules", .text = modules, .mode = 0644};
    if (config->advanced)
        files[n++] =
            (struct file_spec){.path = "advanced.config", .text = config->advanced, .mode = 0644};
    node->spec = (struct node_spec){
        .argv = argv,
        .env = environment(cluster, node, config),
        .files = files,
        .n_files = n,
        .hostname = arena_printf(arena, "n%u", node->plan->index + 1),
        .hosts = hosts_text(cluster),
        .stop_within_ns = 20 * SECOND_NS,
        .cpu = -1,
        .root = server_root(&place, arena),
    };
    return 0;
}
