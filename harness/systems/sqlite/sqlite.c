/*
 * SQLite as a system: the embedded default store (store.c). Nothing runs: no nodes, nothing to
 * form, watch or prove.
 */
#include "systems/sqlite/sqlite.h"

#include "api/system.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdio.h>

static const char *const synchronous_names[] = {"off", "normal", "full", NULL};

static const struct param settings_params[] = {
    {"synchronous", PARAM_CHOICE, offsetof(struct sqlite_settings, synchronous),
     .fallback = "normal", .choices = synchronous_names,
     .help = "PRAGMA synchronous of every connection"},
    {"busy_timeout", PARAM_DURATION, offsetof(struct sqlite_settings, busy_timeout_ns),
     .fallback = "10s", .min = 0, .max = INT64_C(600000000000),
     .help = "how long a transaction waits for another's write lock"},
    {0}};

static const struct param sqlite_params[] = {
    {"sqlite", PARAM_STRUCT, offsetof(struct sqlite_config, settings), .sub = settings_params,
     .sub_size = sizeof(struct sqlite_settings), .present = offsetof(struct sqlite_config, given),
     .help = "an embedded database, no server"},
    {0}};

static int sqlite_describe(const void *config, const struct layout_sink *sink, struct err *err)
{
    (void)config;
    (void)sink;
    (void)err;
    return 0;
}

static int sqlite_form(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    (void)cluster;
    (void)deadline;
    (void)err;
    return 0;
}

static int sqlite_version(const void *config, char *out, size_t size, struct err *err)
{
    (void)config;
    (void)err;
    snprintf(out, size, "%s", sqlite3_libversion());
    return 0;
}

/* Every outcome code is SQLite's own primary result code. */
static const struct outcome_rule sqlite_outcomes[] = {
    {SQLITE_BUSY, "SQLITE_BUSY", OUTCOME_FAIL,
     "sqlite.org/rescode.html#busy: the transaction stays open, rolled back here"},
    {SQLITE_FULL, "SQLITE_FULL", OUTCOME_FAIL, "sqlite.org/lang_transaction.html: rolled back"},
    {SQLITE_IOERR, "SQLITE_IOERR", OUTCOME_UNKNOWN,
     "sqlite.org/rescode.html#ioerr: may have reached the disk"},
    {0}};

const struct system_ops sqlite_system = {
    .name = "sqlite",
    .about = "embedded database in the run folder; the default store for effects",
    .params = sqlite_params,
    .config_size = sizeof(struct sqlite_config),
    .outcomes = sqlite_outcomes,
    .store = &sqlite_store,
    .describe = sqlite_describe,
    .form = sqlite_form,
    .version = sqlite_version,
};
