/*
 * The cluster entry of a suite, and how the server is started. Its folder is made on the node
 * itself (mariadb-install-db, about a second), with small files: it lies in memory.
 *
 *     db: {mariadb: {nodes: 1}, my.cnf: {innodb_flush_log_at_trx_commit: "2"}}
 *
 * The user's keys are laid over ours: the last of two equal keys counts.
 */
#include "systems/mariadb/mariadb.h"

#include "plan/plan.h"
#include "systems/program.h"
#include "systems/server.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_HOME "/usr"
/* The server refuses to run as root: inside a user namespace of its own anybody will do. */
#define SERVER_UID 1000

#define SETTING(member)                                                                            \
    offsetof(struct mariadb_config, mariadb.member) - offsetof(struct mariadb_config, mariadb)
static const struct param settings[] = {
    {"nodes", PARAM_INT, SETTING(nodes), .fallback = "1", .min = 1, .max = 1, .help = "one server"},
    {"patience", PARAM_DURATION, SETTING(patience_ns), .fallback = "5s", .min = SECOND_NS,
     .max = INT64_C(600000000000),
     .help = "how long a client waits for an answer before it gives the connection up (whole "
             "seconds); a COMMIT without one is unknown"},
    {"version", PARAM_STRING, SETTING(version),
     .help = "as far as it matters: \"10.11\"; the installed one or a root folder's (ci/roots)"},
    {"home", PARAM_STRING, SETTING(home),
     .help = "installation with sbin/mariadbd and bin/mariadb-install-db; default: /usr"},
    {0}};

static const struct param params[] = {
    {"mariadb", PARAM_STRUCT, offsetof(struct mariadb_config, mariadb), .sub = settings,
     .sub_size = sizeof(((struct mariadb_config *)0)->mariadb), .required = true,
     .help = "nodes and version"},
    {"my.cnf", PARAM_VERBATIM, offsetof(struct mariadb_config, conf),
     .help = "keys of your my.cnf's server section"},
    {0}};

#define OURS "the sandbox owns it"
static const struct config_rule rules[] = {
    {"my.cnf", "port", CONFIG_REPLACED, OURS},
    {"my.cnf", "bind?address", CONFIG_REPLACED, OURS},
    {"my.cnf", "socket", CONFIG_REPLACED, OURS},
    {"my.cnf", "datadir", CONFIG_REPLACED, OURS},
    {"my.cnf", "basedir", CONFIG_REPLACED, OURS},
    {"my.cnf", "tmpdir", CONFIG_REPLACED, OURS},
    {"my.cnf", "pid?file", CONFIG_REPLACED, OURS},
    {"my.cnf", "user", CONFIG_REPLACED, OURS},
    {"my.cnf", "server?id", CONFIG_REPLACED, OURS},
    {"my.cnf", "log?bin", CONFIG_REPLACED, "the change stream reads it"},
    {"my.cnf", "binlog?format", CONFIG_REPLACED, "the change stream needs rows"},
    {"my.cnf", "log?error", CONFIG_REPLACED, "each node's output is its log"},
    {"my.cnf", "ssl*", CONFIG_REPLACED, "no TLS inside the sandbox"},
    {"my.cnf", "!include*", CONFIG_REFUSED, "other files are not read: put their keys here"},
    {"my.cnf", "plugin*", CONFIG_REFUSED, "plugins are not supported"},
    {0}};

static const char *home_of(const struct mariadb_config *c)
{
    return c->mariadb.home ? c->mariadb.home : DEFAULT_HOME;
}

/* ---- which server */

/* "… Ver 10.11.19-MariaDB-… for debian-linux-gnu" */
static int installed_version(const void *config, char *out, size_t size, struct err *err)
{
    const struct mariadb_config *c = config;
    char path[512], text[512], *v;

    snprintf(path, sizeof(path), "%s/sbin/mariadbd", home_of(c));
    if (program_says(path, "--version", text, sizeof(text), err) < 0)
        return -1;
    v = strstr(text, "Ver ");
    if (!v)
        return err_input(err, "%s --version says \"%.80s\", no MariaDB version", path, text);
    v += strlen("Ver ");
    v[strcspn(v, "- \n")] = '\0';
    snprintf(out, size, "%s", v);
    return 0;
}

static struct server_wish wish_of(const struct mariadb_config *c)
{
    return (struct server_wish){.system = "mariadb",
                                .version = c->mariadb.version,
                                .own = c->mariadb.home != NULL,
                                .installed = installed_version,
                                .config = c};
}

static int version(const void *config, char *out, size_t size, struct err *err)
{
    return server_version(wish_of(config), out, size, err);
}

static int describe(const void *config, const struct layout_sink *sink, struct err *err)
{
    if (server_known(wish_of(config), err) < 0)
        return -1;
    sink->node(sink->context, "mariadb-1", "server");
    return 0;
}

static const char *conf_text(const struct cluster *cluster, const struct node *node)
{
    const struct mariadb_config *c = cluster->spec->config;
    struct arena *arena = cluster->arena;
    char *text = arena_printf(
        arena,
        "[mariadbd]\nbind-address=%s\nport=%d\ndatadir=%s/data\nsocket=%s/socket\n"
        "pid-file=%s/pid\ntmpdir=%s\ninit-file=%s/users.sql\nskip-name-resolve\n"
        "server-id=%d\nlog-bin=binlog\nbinlog-format=ROW\nbinlog-row-metadata=FULL\n"
        "binlog-row-image=FULL\ninnodb-buffer-pool-size=32M\ninnodb-log-file-size=16M\n"
        "performance-schema=OFF\nmax-connections=300\n",
        node->plan->address, MARIADB_PORT, node->data, node->data, node->data, node->data,
        node->data, MARIADB_SERVER_ID);

    for (size_t i = 0; i < c->conf.n; i++)
        if (config_is_kept(&mariadb_system, "my.cnf", c->conf.items[i].key))
            text = arena_printf(arena, "%s%s=%s\n", text, c->conf.items[i].key,
                                c->conf.items[i].value);
    return text;
}

/* Read at every start. */
static const char users[] = "CREATE DATABASE IF NOT EXISTS assay;\n"
                            "CREATE USER IF NOT EXISTS assay@'%';\n"
                            "GRANT ALL ON *.* TO assay@'%' WITH GRANT OPTION;\n";

static const char start_script[] =
    "set -e\n"
    "umask 077\n"
    "if [ ! -e ready ]; then\n"
    "  rm -rf data\n"
    "  \"$HOME_OF/bin/mariadb-install-db\" --no-defaults --basedir=\"$HOME_OF\""
    " --datadir=\"$PWD/data\" --auth-root-authentication-method=normal --skip-test-db"
    " --innodb-log-file-size=16M --tmpdir=\"$PWD\" >install.log 2>&1 || { cat install.log; exit 1; "
    "}\n"
    "  touch ready\n"
    "fi\n"
    "exec \"$HOME_OF/sbin/mariadbd\" --defaults-file=\"$PWD/my.cnf\"\n";

static int layout(struct cluster *cluster, struct node *node, struct err *err)
{
    const struct mariadb_config *c = cluster->spec->config;
    struct arena *arena = cluster->arena;
    const char **argv = arena_alloc(arena, 4 * sizeof(*argv));
    const char **env = arena_alloc(arena, 5 * sizeof(*env));
    struct file_spec *files = arena_alloc(arena, 3 * sizeof(*files));
    struct server_place place;

    if (server_find(wish_of(c), &place, err) < 0)
        return -1;
    files[0] = (struct file_spec){.path = "start.sh", .text = start_script, .mode = 0755};
    files[1] = (struct file_spec){.path = "my.cnf", .text = conf_text(cluster, node), .mode = 0644};
    files[2] = (struct file_spec){.path = "users.sql", .text = users, .mode = 0644};
    argv[0] = "/bin/sh";
    argv[1] = "-c";
    argv[2] = arena_printf(arena, "cd '%s' && exec /bin/sh ./start.sh", node->data);
    env[0] = "PATH=/usr/local/bin:/usr/bin:/bin";
    env[1] = "LC_ALL=C";
    env[2] = arena_printf(arena, "HOME=%s", node->data);
    env[3] = arena_printf(arena, "HOME_OF=%s", home_of(c));
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
    if (access(DEFAULT_HOME "/sbin/mariadbd", X_OK) < 0)
        return err_set(err, DEFAULT_HOME "/sbin/mariadbd is not there: apt install mariadb-server");
    return 0;
}

static const struct plane planes[] = {{"client", {MARIADB_PORT}}, {0}};

/* Codes are the client's and server's own error numbers (errmsg.h, mysqld_error.h). */
const struct outcome_rule mariadb_outcomes[] = {
    {2013, "CR_SERVER_LOST", OUTCOME_UNKNOWN,
     "no answer after COMMIT, or none in time: it may have taken effect"},
    {2006, "CR_SERVER_GONE_ERROR", OUTCOME_UNKNOWN,
     "client_com.html: the connection was found broken; the COMMIT may have been sent"},
    {1213, "ER_LOCK_DEADLOCK", OUTCOME_FAIL, "innodb: the whole transaction was rolled back"},
    {1205, "ER_LOCK_WAIT_TIMEOUT", OUTCOME_FAIL, "innodb: rolled back here"},
    {1053, "ER_SERVER_SHUTDOWN", OUTCOME_UNKNOWN, "may have been written to the binary log"},
    {1927, "ER_CONNECTION_KILLED", OUTCOME_UNKNOWN, "killed while it was committing"},
    {1180, "ER_ERROR_DURING_COMMIT", OUTCOME_UNKNOWN,
     "handler.cc ha_commit_trans: one engine may have committed"},
    {1, "no transaction", OUTCOME_FAIL, "it was rolled back before COMMIT was asked"},
    {0}};

static const char *const roles[] = {"primary", "claims_primary", "registered", NULL};

const struct system_ops mariadb_system = {
    .name = "mariadb",
    .about = "MariaDB: one server; journal, accounts, change stream out of its binary log",
    .params = params,
    .config_size = sizeof(struct mariadb_config),
    .planes = planes,
    .outcomes = mariadb_outcomes,
    .config_rules = rules,
    .store = &mariadb_store,
    .describe = describe,
    .layout = layout,
    .form = mariadb_form,
    .rejoined = mariadb_rejoined,
    .observe = mariadb_observe,
    .reset = mariadb_reset,
    .effective = mariadb_effective,
    .version = version,
    .installed = installed,
    .release = mariadb_release,
    .roles = roles,
};
