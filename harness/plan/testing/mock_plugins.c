/*
 * Mock plugins for the tests of plan/: tables with the shapes the real ones have, operations that
 * do nothing. They stand in for the registry of run/, so that these tests need no system, fault or
 * checker to be right.
 */
#include "plan/testing/mock_plugins.h"

#include "api/broker.h"
#include "api/checker.h"
#include "api/fault.h"
#include "api/registry.h"
#include "api/system.h"
#include "api/workload.h"
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a log system: topics with partitions, groups */

struct mock_server {
    const char *version;
    int64_t brokers;
};
struct mock_topic {
    const char *name;
    int64_t partitions;
    struct pairs config;
};
struct mock_log_config {
    struct mock_server server;
    struct pairs properties;
    struct items topics;
    const char *definitions;
};

static const struct param mock_server_params[] = {
    {"version", PARAM_STRING, offsetof(struct mock_server, version), .fallback = "1.0",
     .help = "of the mock"},
    {"brokers", PARAM_INT, offsetof(struct mock_server, brokers), .fallback = "3", .min = 1,
     .max = 9, .help = "servers"},
    {0}};
static const struct param mock_topic_params[] = {
    {"partitions", PARAM_INT, offsetof(struct mock_topic, partitions), .fallback = "1", .min = 1,
     .max = 1000, .help = "how many"},
    {"config", PARAM_VERBATIM, offsetof(struct mock_topic, config), .help = "of the topic"},
    {0}};
static const struct param mock_log_params[] = {
    {"mock_log", PARAM_STRUCT, offsetof(struct mock_log_config, server), .sub = mock_server_params,
     .sub_size = sizeof(struct mock_server), .required = true, .help = "servers"},
    {"server.properties", PARAM_VERBATIM, offsetof(struct mock_log_config, properties),
     .help = "word for word"},
    {"topics", PARAM_MAP, offsetof(struct mock_log_config, topics), .sub = mock_topic_params,
     .sub_size = sizeof(struct mock_topic), .help = "topics"},
    {"definitions.json", PARAM_STRING, offsetof(struct mock_log_config, definitions),
     .help = "a file"},
    {0}};

static int mock_log_describe(const void *config, const struct layout_sink *sink, struct err *err)
{
    const struct mock_log_config *c = config;
    char name[40];

    for (int64_t i = 1; i <= c->server.brokers; i++) {
        snprintf(name, sizeof(name), "mock-%d", (int)i);
        sink->node(sink->context, name, "broker");
    }
    for (size_t i = 0; i < c->topics.n; i++) {
        const struct mock_topic *topic = (const struct mock_topic *)c->topics.items + i;

        if (strcmp(topic->name, "refused") == 0)
            return err_set(err, "topic refused: the mock does not want it");
        sink->dest(sink->context, topic->name, UNIT_LOG, (unsigned)topic->partitions);
    }
    return 0;
}

struct mock_produce {
    const char *topic;
};
struct mock_consume {
    const char *topic, *group;
};
struct mock_log_args {
    struct mock_produce produce;
    struct mock_consume consume;
    struct pairs library;
};
static const struct param mock_produce_params[] = {{"topic", PARAM_STRING,
                                                    offsetof(struct mock_produce, topic),
                                                    .required = true, .help = "where to"},
                                                   {0}};
static const struct param mock_consume_params[] = {
    {"topic", PARAM_STRING, offsetof(struct mock_consume, topic), .required = true,
     .help = "where from"},
    {"group", PARAM_STRING, offsetof(struct mock_consume, group), .help = "consumer group"},
    {0}};
static const struct param mock_log_client_params[] = {
    {"produce", PARAM_STRUCT, offsetof(struct mock_log_args, produce), .sub = mock_produce_params,
     .sub_size = sizeof(struct mock_produce), .shorthand = "topic", .help = "sends"},
    {"consume", PARAM_STRUCT, offsetof(struct mock_log_args, consume), .sub = mock_consume_params,
     .sub_size = sizeof(struct mock_consume), .shorthand = "topic", .help = "receives"},
    {"library", PARAM_VERBATIM, offsetof(struct mock_log_args, library), .help = "word for word"},
    {0}};

static int mock_log_names(const void *args, const char **sends_to, const char **reads,
                          const char **group)
{
    const struct mock_log_args *a = args;

    *sends_to = a->produce.topic;
    *reads = a->consume.topic;
    *group = a->consume.group;
    return 0;
}

static const char *const mock_produce_verbs[] = {"produce", NULL};
static const char *const mock_consume_verbs[] = {"consume", NULL};
static const struct broker_ops mock_log_broker = {
    .name = "mock_log",
    .params = mock_log_client_params,
    .args_size = sizeof(struct mock_log_args),
    .send_verbs = mock_produce_verbs,
    .receive_verbs = mock_consume_verbs,
    .names = mock_log_names,
};

struct mock_elect_args {
    const char *partition;
};
static const struct param mock_elect_params[] = {{"partition", PARAM_STRING,
                                                  offsetof(struct mock_elect_args, partition),
                                                  .required = true, .help = "which"},
                                                 {0}};
static const struct system_command mock_commands[] = {{.name = "elect",
                                                       .params = mock_elect_params,
                                                       .size = sizeof(struct mock_elect_args),
                                                       .help = "elects"},
                                                      {0}};
static const struct config_rule mock_rules[] = {
    {"server.properties", "listeners", CONFIG_REPLACED, "the sandbox owns it"},
    {"server.properties", "plugin.*", CONFIG_REFUSED, "no plugins here"},
    {0}};
static const char *const mock_roles[] = {"leader", "followers", "isr", "others", NULL};

static const struct system_ops mock_log_system = {
    .name = "mock_log",
    .about = "a log that is not there",
    .params = mock_log_params,
    .config_size = sizeof(struct mock_log_config),
    .config_rules = mock_rules,
    .commands = mock_commands,
    .broker = &mock_log_broker,
    .describe = mock_log_describe,
    .roles = mock_roles,
};

/* ---- a key system: lists are made by naming them */

struct mock_keys_config {
    int64_t unused;
};
static const struct param mock_keys_sub[] = {{0}};
static const struct param mock_keys_params[] = {
    {"mock_keys", PARAM_STRUCT, offsetof(struct mock_keys_config, unused), .sub = mock_keys_sub,
     .sub_size = sizeof(int64_t), .help = "nothing to say"},
    {0}};
struct mock_keys_args {
    const char *push, *consume;
};
static const struct param mock_keys_client_params[] = {
    {"push", PARAM_STRING, offsetof(struct mock_keys_args, push), .help = "sends"},
    {"consume", PARAM_STRING, offsetof(struct mock_keys_args, consume), .help = "receives"},
    {0}};

static int mock_keys_describe(const void *config, const struct layout_sink *sink, struct err *err)
{
    (void)config;
    (void)err;
    sink->node(sink->context, "mock-1", "server");
    return 0;
}

static int mock_keys_names(const void *args, const char **sends_to, const char **reads,
                           const char **group)
{
    const struct mock_keys_args *a = args;

    *sends_to = a->push;
    *reads = a->consume;
    *group = NULL;
    return 0;
}

static int mock_keys_kind(const void *args)
{
    (void)args;
    return UNIT_LIST;
}

static const char *const mock_push_verbs[] = {"push", NULL};
static const struct broker_ops mock_keys_broker = {
    .name = "mock_keys",
    .params = mock_keys_client_params,
    .args_size = sizeof(struct mock_keys_args),
    .send_verbs = mock_push_verbs,
    .receive_verbs = mock_consume_verbs,
    .names = mock_keys_names,
    .implicit_kind = mock_keys_kind,
};
static const struct system_ops mock_keys_system = {
    .name = "mock_keys",
    .about = "keys that are not there",
    .params = mock_keys_params,
    .config_size = sizeof(struct mock_keys_config),
    .broker = &mock_keys_broker,
    .describe = mock_keys_describe,
};

/* ---- workload, faults, checkers */

struct mock_load_args {
    int64_t payload_bytes;
    const char *effect;
};
static const struct param mock_load_params[] = {
    {"payload", PARAM_SIZE, offsetof(struct mock_load_args, payload_bytes), .fallback = "200B",
     .min = 56, .max = 1 << 20, .help = "size"},
    {"effect", PARAM_STRING, offsetof(struct mock_load_args, effect), .help = "journal"},
    {0}};
struct mock_role_args {
    int64_t outstanding;
    double rate;
};
static const struct param mock_role_params[] = {
    {"outstanding", PARAM_INT, offsetof(struct mock_role_args, outstanding), .fallback = "1000",
     .min = 1, .help = "at most"},
    {"rate", PARAM_RATE, offsetof(struct mock_role_args, rate), .help = "open loop"},
    {0}};
static const char *const mock_steps[] = {"before_process", "after_effect", "before_settle", NULL};
static const struct workload_ops mock_load_workload = {
    .name = "mock_load",
    .about = "nothing done",
    .params = mock_load_params,
    .args_size = sizeof(struct mock_load_args),
    .client_params = mock_role_params,
    .client_args_size = sizeof(struct mock_role_args),
    .steps = mock_steps,
};

struct mock_cut_args {
    struct expr *between, *isolate;
    bool one_way;
};
static const struct param mock_cut_params[] = {
    {"between", PARAM_EXPR, offsetof(struct mock_cut_args, between), .help = "two sides"},
    {"isolate", PARAM_EXPR, offsetof(struct mock_cut_args, isolate), .help = "one"},
    {"one_way", PARAM_BOOL, offsetof(struct mock_cut_args, one_way), .fallback = "false",
     .help = "only there"},
    {0}};
struct mock_target_args {
    struct expr *target;
};
static const struct param mock_target_params[] = {{"target", PARAM_EXPR,
                                                   offsetof(struct mock_target_args, target),
                                                   .required = true, .help = "whom"},
                                                  {0}};

static int mock_cut_validate(const void *args, const struct plan_case *plan, struct err *err)
{
    const struct mock_cut_args *a = args;

    (void)plan;
    return a->between || a->isolate ? 0 : err_set(err, "cut: no shape");
}

static int mock_draw(struct arena *arena, const char *target, void *args)
{
    (void)arena;
    (void)target;
    (void)args;
    return 0;
}

static const struct fault_ops mock_cut_fault = {.name = "cut",
                                                .about = "cuts",
                                                .params = mock_cut_params,
                                                .args_size = sizeof(struct mock_cut_args),
                                                .inverse = "heal",
                                                .needs_end = true,
                                                .validate = mock_cut_validate,
                                                .draw = mock_draw};
static const struct fault_ops mock_kill_fault = {.name = "kill",
                                                 .about = "kills",
                                                 .params = mock_target_params,
                                                 .args_size = sizeof(struct mock_target_args),
                                                 .inverse = "start",
                                                 .draw = mock_draw};
static const struct fault_ops mock_pause_fault = {.name = "pause",
                                                  .about = "pauses",
                                                  .params = mock_target_params,
                                                  .args_size = sizeof(struct mock_target_args),
                                                  .inverse = "resume",
                                                  .needs_end = true,
                                                  .draw = mock_draw};

struct mock_loss_args {
    int64_t messages, time_ns;
};
static const struct param mock_loss_params[] = {
    {"messages", PARAM_INT, offsetof(struct mock_loss_args, messages), .fallback = "0",
     .help = "at most"},
    {"time", PARAM_DURATION, offsetof(struct mock_loss_args, time_ns), .fallback = "0s",
     .help = "span"},
    {0}};
struct mock_order_args {
    int by, at;
};
static const char *const mock_bys[] = {"partition", "key", NULL};
static const char *const mock_ats[] = {"log", "delivery", NULL};
static const struct param mock_order_params[] = {
    {"by", PARAM_CHOICE, offsetof(struct mock_order_args, by), .choices = mock_bys,
     .required = true, .help = "within what"},
    {"at", PARAM_CHOICE, offsetof(struct mock_order_args, at), .choices = mock_ats,
     .fallback = "log", .help = "seen where"},
    {0}};
static const char *const mock_loss_kinds[] = {"lost", "lost_intent", NULL};
static const char *const mock_order_kinds[] = {"order", NULL};
static const char *const mock_always_kinds[] = {"corrupt", "offset_conflict", NULL};
/* A byte for each message of the first step. */
static size_t mock_loss_bound(const struct plan_case *plan, const void *args)
{
    const struct step *first = plan->script.n ? &plan->script.items[0] : NULL;
    const struct send_args *send = first && first->kind == STEP_SEND ? first->args : NULL;

    (void)args;
    return send ? (size_t)send->count : 0;
}

static const struct checker_ops mock_loss_checker = {.name = "loss",
                                                     .property = "loss",
                                                     .kinds = mock_loss_kinds,
                                                     .about = "lost messages",
                                                     .params = mock_loss_params,
                                                     .args_size = sizeof(struct mock_loss_args),
                                                     .bound = mock_loss_bound,
                                                     .shorthand = "messages"};
static const struct checker_ops mock_order_checker = {.name = "order",
                                                      .property = "order",
                                                      .kinds = mock_order_kinds,
                                                      .about = "order",
                                                      .params = mock_order_params,
                                                      .args_size = sizeof(struct mock_order_args)};
static const struct checker_ops mock_always_checker = {
    .name = "always", .kinds = mock_always_kinds, .about = "always on"};

/* ---- the registry these tests see */

const struct system_ops *const all_systems[] = {&mock_log_system, &mock_keys_system, NULL};
const struct workload_ops *const all_workloads[] = {&mock_load_workload, NULL};
const struct fault_ops *const all_faults[] = {&mock_cut_fault, &mock_kill_fault, &mock_pause_fault,
                                              NULL};
const struct checker_ops *const all_checkers[] = {&mock_loss_checker, &mock_order_checker,
                                                  &mock_always_checker, NULL};

#define NAMED(kind)                                                                                \
    const struct kind##_ops *kind##_named(const char *name)                                        \
    {                                                                                              \
        for (size_t i = 0; all_##kind##s[i]; i++)                                                  \
            if (strcmp(all_##kind##s[i]->name, name) == 0)                                         \
                return all_##kind##s[i];                                                           \
        return NULL;                                                                               \
    }
NAMED(system)
NAMED(workload)
NAMED(fault)
NAMED(checker)

/* ---- loading a text as a suite */

struct plan *mock_load(const char *text, uint64_t seed, FILE *warn, struct err *err)
{
    char path[] = "/tmp/assay-plan-test-XXXXXX";
    const char *suites[] = {path};
    const struct plan_options options = {
        .suites = suites, .n_suites = 1, .seed = seed, .repeats = 1};
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    struct plan *plan;

    if (!file)
        abort();
    fputs(text, file);
    fclose(file);
    plan = plan_load(&options, warn, err);
    unlink(path);
    if (!plan) { /* the file's name is nothing to compare with */
        char *at = strstr(err->text, path);

        if (at) {
            memmove(at + 1, at + strlen(path), strlen(at + strlen(path)) + 1);
            *at = 'x';
        }
    }
    return plan;
}
