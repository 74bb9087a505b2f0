/*
 * The cluster entry of a suite, and how a node is started. initdb runs on the node itself (0.6 s,
 * its folder is in memory), a replica begins as a base backup of the primary.
 *
 *     pg: {postgres: {nodes: 2}, postgresql.conf: {synchronous_commit: "off"}}
 *
 * The user's keys are laid over ours (postgresql.org/docs/15/runtime-config.html: the last of two
 * equal keys counts).
 */
#include "systems/postgres/postgres.h"

#include "plan/plan.h"
#include "systems/program.h"
#include "systems/server.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Debian and Ubuntu keep one folder per major version: the newest is taken. */
#define HOMES "/usr/lib/postgresql"
/* Servers refuse to run as root: inside a user namespace of its own anybody will do. */
#define SERVER_UID 1000

#define SETTING(member)                                                                            \
    offsetof(struct postgres_config, postgres.member) - offsetof(struct postgres_config, postgres)
static const struct param settings[] = {
    {"nodes", PARAM_INT, SETTING(nodes), .fallback = "1", .min = 1, .max = POSTGRES_NODES_MAX,
     .help = "a primary and its streaming replicas"},
    {"patience", PARAM_DURATION, SETTING(patience_ns), .fallback = "5s", .min = MS_NS,
     .max = INT64_C(600000000000),
     .help = "how long a client waits for an answer before it gives the connection up; a COMMIT "
             "without one is unknown"},
    {"version", PARAM_STRING, SETTING(version),
     .help = "as far as it matters: \"15\", \"15.20\"; the installed one or a root folder's "
             "(ci/roots)"},
    {"home", PARAM_STRING, SETTING(home),
     .help = "folder of postgres, initdb and pg_basebackup; default: the newest in "
             "/usr/lib/postgresql"},
    {0}};

static const struct param params[] = {
    {"postgres", PARAM_STRUCT, offsetof(struct postgres_config, postgres), .sub = settings,
     .sub_size = sizeof(((struct postgres_config *)0)->postgres), .required = true,
     .help = "nodes and version"},
    {"postgresql.conf", PARAM_VERBATIM, offsetof(struct postgres_config, conf),
     .help = "your postgresql.conf, key by key, for every node"},
    {0}};

#define OURS "the sandbox owns it"
static const struct config_rule rules[] = {
    {"postgresql.conf", "listen_addresses", CONFIG_REPLACED, OURS},
    {"postgresql.conf", "port", CONFIG_REPLACED, OURS},
    {"postgresql.conf", "*_file", CONFIG_REPLACED, OURS},
    {"postgresql.conf", "data_directory", CONFIG_REPLACED, OURS},
    {"postgresql.conf", "unix_socket_*", CONFIG_REPLACED, OURS},
    {"postgresql.conf", "ssl*", CONFIG_REPLACED, "no TLS inside the sandbox"},
    {"postgresql.conf", "log_destination", CONFIG_REPLACED, "each node's output is its log"},
    {"postgresql.conf", "logging_collector", CONFIG_REPLACED, "each node's output is its log"},
    {"postgresql.conf", "cluster_name", CONFIG_REPLACED, OURS},
    {"postgresql.conf", "primary_conninfo", CONFIG_REPLACED, "follows from nodes"},
    {"postgresql.conf", "include*", CONFIG_REFUSED,
     "other files are not read: put their keys here"},
    {"postgresql.conf", "shared_preload_libraries", CONFIG_REFUSED, "extensions are not supported"},
    {0}};

/* `given`, or the newest in the root folder ("": the machine), as it is called there; what is not
 * there is told when it is run. */
static void find_home(const char *root, const char *given, char *out, size_t size)
{
    char pattern[700];
    glob_t found;
    int newest = 0;

    snprintf(out, size, "%s", given ? given : HOMES "/bin");
    snprintf(pattern, sizeof(pattern), "%s" HOMES "/*/bin", root);
    if (given || glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *home = found.gl_pathv[i] + strlen(root);
        int major = atoi(home + strlen(HOMES "/"));

        if (major > newest)
            snprintf(out, size, "%s", home);
        newest = major > newest ? major : newest;
    }
    globfree(&found);
}

/* ---- which server */

/* "postgres (PostgreSQL) 15.20 (Debian …)" */
static int installed_version(const void *config, char *out, size_t size, struct err *err)
{
    const struct postgres_config *c = config;
    char home[500], path[512], text[512], *v;

    find_home("", c->postgres.home, home, sizeof(home));
    snprintf(path, sizeof(path), "%s/postgres", home);
    if (program_says(path, "--version", text, sizeof(text), err) < 0)
        return -1;
    v = strstr(text, "(PostgreSQL) ");
    if (!v)
        return err_input(err, "%s --version says \"%.80s\", no PostgreSQL version", path, text);
    v += strlen("(PostgreSQL) ");
    v[strcspn(v, " \n")] = '\0';
    snprintf(out, size, "%s", v);
    return 0;
}

static struct server_wish wish_of(const struct postgres_config *c)
{
    return (struct server_wish){.system = "postgres",
                                .version = c->postgres.version,
                                .own = c->postgres.home != NULL,
                                .installed = installed_version,
                                .config = c};
}

static int version(const void *config, char *out, size_t size, struct err *err)
{
    return server_version(wish_of(config), out, size, err);
}

static int describe(const void *config, const struct layout_sink *sink, struct err *err)
{
    const struct postgres_config *c = config;
    char name[32];

    if (server_known(wish_of(c), err) < 0)
        return -1;
    for (int64_t i = 1; i <= c->postgres.nodes; i++) {
        snprintf(name, sizeof(name), "postgres-%lld", (long long)i);
        sink->node(sink->context, name, i == 1 ? "primary" : "replica");
    }
    return 0;
}

/* Single quotes doubled, as the file wants it. */
static const char *quoted(struct arena *arena, const char *value)
{
    char *out = arena_alloc(arena, 2 * strlen(value) + 1);

    for (char *o = out; *value; value++) {
        if (*value == '\'')
            *o++ = '\'';
        *o++ = *value;
    }
    return out;
}

static const char *conf_text(const struct cluster *cluster, const struct node *node)
{
    const struct postgres_config *c = cluster->spec->config;
    struct arena *arena = cluster->arena;
    char *text = arena_printf(arena,
                              "listen_addresses = '%s'\nport = %d\n"
                              "unix_socket_directories = ''\nwal_level = logical\n"
                              "shared_buffers = 16MB\nmax_connections = 200\n"
                              "max_wal_senders = 16\nmax_replication_slots = 16\n"
                              "hot_standby = on\nfsync = on\nlog_timezone = 'UTC'\n"
                              "timezone = 'UTC'\n",
                              node->plan->address, POSTGRES_PORT);

    for (size_t i = 0; i < c->conf.n; i++)
        if (config_is_kept(&postgres_system, "postgresql.conf", c->conf.items[i].key))
            text = arena_printf(arena, "%s%s = '%s'\n", text, c->conf.items[i].key,
                                quoted(arena, c->conf.items[i].value));
    return text;
}

static const char hba[] = "host all all 0.0.0.0/0 trust\nhost replication all 0.0.0.0/0 trust\n";

/* Made once; a restarted node finds its folder. A base backup waits for the primary: whoever wants
 * the cluster has a deadline. */
static const char start_script[] =
    "set -e\n"
    "umask 077\n"
    "if [ ! -e data/ready ]; then\n"
    "  rm -rf data\n"
    "  if [ -z \"$PRIMARY\" ]; then\n"
    "    \"$BIN/initdb\" --no-sync -A trust -U assay -E UTF8 --no-locale -D data >/dev/null\n"
    "  else\n"
    "    until \"$BIN/pg_basebackup\" -h \"$PRIMARY\" -U assay -R -c fast -X stream --no-sync"
    " -D data 2>basebackup.log; do rm -rf data; sleep 0.1; done\n"
    "  fi\n"
    "  cp pg_hba.conf data/pg_hba.conf\n"
    "  touch data/ready\n"
    "fi\n"
    "cp postgresql.conf data/postgresql.conf\n"
    "exec \"$BIN/postgres\" -D data\n";

static int layout(struct cluster *cluster, struct node *node, struct err *err)
{
    const struct postgres_config *c = cluster->spec->config;
    struct arena *arena = cluster->arena;
    const char **argv = arena_alloc(arena, 5 * sizeof(*argv));
    const char **env = arena_alloc(arena, 6 * sizeof(*env));
    struct file_spec *files = arena_alloc(arena, 3 * sizeof(*files));
    const char *primary = cluster->plan->nodes[cluster->spec->first_node].address;
    struct server_place place;
    char home[512];

    if (server_find(wish_of(c), &place, err) < 0)
        return -1;
    find_home(place.root, c->postgres.home, home, sizeof(home));
    files[0] = (struct file_spec){.path = "start.sh", .text = start_script, .mode = 0755};
    files[1] = (struct file_spec){
        .path = "postgresql.conf", .text = conf_text(cluster, node), .mode = 0644};
    files[2] = (struct file_spec){.path = "pg_hba.conf", .text = hba, .mode = 0644};
    argv[0] = "/bin/sh";
    argv[1] = "-c";
    argv[2] = arena_printf(arena, "cd '%s' && exec /bin/sh ./start.sh", node->data);
    env[0] = "PATH=/usr/local/bin:/usr/bin:/bin";
    env[1] = "LC_ALL=C";
    env[2] = arena_printf(arena, "HOME=%s", node->data);
    env[3] = arena_printf(arena, "BIN=%s", home);
    env[4] = arena_printf(arena, "PRIMARY=%s", node->plan->index == 0 ? "" : primary);
    node->spec = (struct node_spec){.argv = argv,
                                    .env = env,
                                    .files = files,
                                    .n_files = 3,
                                    .stop_within_ns = 10 * SECOND_NS,
                                    .cpu = -1,
                                    .uid = SERVER_UID,
                                    .root = server_root(&place, arena)};
    return 0;
}

static int installed(struct err *err)
{
    char home[500], path[512];

    find_home("", NULL, home, sizeof(home));
    snprintf(path, sizeof(path), "%s/postgres", home);
    if (access(path, X_OK) < 0)
        return err_set(err, "%s is not there: apt install postgresql", path);
    return 0;
}

static const struct plane planes[] = {
    {"client", {POSTGRES_PORT}}, {"replication", {POSTGRES_PORT}}, {0}};

const struct outcome_rule postgres_outcomes[] = {
    {POSTGRES_LOST, "connection lost", OUTCOME_UNKNOWN,
     "protocol-flow.html: no ReadyForQuery after COMMIT, it may have taken effect"},
    {POSTGRES_TIMEOUT, "no answer in time", OUTCOME_UNKNOWN, "the client gave the connection up"},
    {POSTGRES_ROLLED_BACK, "ROLLBACK", OUTCOME_FAIL,
     "sql-commit.html: COMMIT of a failed transaction answers ROLLBACK"},
    {POSTGRES_CONFLICT, "40001, 40P01", OUTCOME_FAIL,
     "errcodes-appendix.html: serialisation failure, deadlock; the transaction is rolled back"},
    {POSTGRES_UNIQUE, "23505", OUTCOME_FAIL, "errcodes-appendix.html: deferred constraint"},
    {POSTGRES_SHUTDOWN, "57P01, 57P02, 57P03", OUTCOME_UNKNOWN,
     "xact.c RecordTransactionCommit: terminated while it waits for a replica, it is committed "
     "locally"},
    {POSTGRES_READ_ONLY, "25006", OUTCOME_FAIL, "errcodes-appendix.html: refused before it ran"},
    {POSTGRES_OTHER, "other error", OUTCOME_UNKNOWN, "not in this table: nothing is claimed"},
    {0}};

static const char *const roles[] = {"primary", "claims_primary", "replicas", "registered", NULL};

const struct system_ops postgres_system = {
    .name = "postgres",
    .about = "PostgreSQL: a primary with streaming replicas; journal, accounts, change stream",
    .params = params,
    .config_size = sizeof(struct postgres_config),
    .planes = planes,
    .outcomes = postgres_outcomes,
    .config_rules = rules,
    .commands = postgres_commands,
    .store = &postgres_store,
    .describe = describe,
    .layout = layout,
    .form = postgres_form,
    .rejoined = postgres_rejoined,
    .observe = postgres_observe,
    .reset = postgres_reset,
    .effective = postgres_effective,
    .version = version,
    .installed = installed,
    .release = postgres_release,
    .roles = roles,
};
