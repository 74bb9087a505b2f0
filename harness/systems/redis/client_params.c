/*
 * What a suite may say of a Redis client: keys of a client entry, and what follows from them before
 * anything runs (destinations, whether handing over settles). Pure.
 *
 *     app:    {push: jobs, confirm: {wait: 2, timeout: 200ms, every: 100}}
 *     worker: {consume: {list: jobs, mode: blmove}}
 */
#include "systems/redis/client.h"

#define ARG(group, member)                                                                         \
    offsetof(struct redis_client_args, group.member) - offsetof(struct redis_client_args, group)
#define SUB(group) sizeof(((struct redis_client_args *)0)->group)

static const char *const push_commands[] = {"rpush", "lpush", NULL};
static const char *const confirm_words[] = {"reply", "ignore", NULL};
static const char *const zero_words[] = {"unknown", "ok", NULL};
static const char *const take_words[] = {"blpop", "brpop", "blmove", NULL};

static const struct param push_params[] = {
    {"list", PARAM_STRING, ARG(push, list), .required = true, .help = "the list"},
    {"command", PARAM_CHOICE, ARG(push, command), .fallback = "rpush", .choices = push_commands,
     .help = "which end"},
    {0}};
static const struct param add_params[] = {
    {"stream", PARAM_STRING, ARG(add, stream), .required = true, .help = "the stream (XADD)"}, {0}};
static const struct param set_params[] = {{"keys", PARAM_STRING, ARG(set, keys), .required = true,
                                           .help = "prefix: each message is a key PREFIX:… (SET)"},
                                          {0}};
static const struct param confirm_params[] = {
    {"by", PARAM_CHOICE, ARG(confirm, by), .fallback = "reply", .choices = confirm_words,
     .help = "the primary's reply counts, or nobody looks at it"},
    {"wait", PARAM_INT, ARG(confirm, wait), .fallback = "0", .min = 0, .max = 9, .unit = "replicas",
     .help = "a write counts once WAIT says so many replicas have it; 0: no WAIT"},
    {"timeout", PARAM_DURATION, ARG(confirm, timeout_ns), .fallback = "200ms", .min = MS_NS,
     .max = 60 * SECOND_NS, .help = "of WAIT"},
    {"every", PARAM_INT, ARG(confirm, every), .fallback = "1", .min = 1, .max = 4096,
     .unit = "messages", .help = "one WAIT per so many writes, or when nothing more is to be sent"},
    {"treat_zero_as", PARAM_CHOICE, ARG(confirm, treat_zero_as), .fallback = "unknown",
     .choices = zero_words, .help = "a WAIT answered by too few: unknown, or overlooked"},
    {0}};
static const struct param consume_params[] = {
    {"list", PARAM_STRING, ARG(consume, list), .help = "the list to take from"},
    {"stream", PARAM_STRING, ARG(consume, stream), .help = "the stream to read (XREADGROUP)"},
    {"group", PARAM_STRING, ARG(consume, group), .fallback = "workers",
     .help = "consumer group of the stream, made when it is not there"},
    {"from", PARAM_STRING, ARG(consume, from), .fallback = "0",
     .help = "where a new group starts: an id, 0 or $"},
    {"mode", PARAM_CHOICE, ARG(consume, mode), .fallback = "blpop", .choices = take_words,
     .help = "lists: taken and forgotten (blpop, brpop), or moved to a processing list (blmove)"},
    {"processing", PARAM_STRING, ARG(consume, processing),
     .help = "blmove: prefix of each consumer's processing list; LIST:processing when not given"},
    {"noack", PARAM_BOOL, ARG(consume, noack), .fallback = "false",
     .help = "streams: XREADGROUP NOACK"},
    {"count", PARAM_INT, ARG(consume, count), .fallback = "10", .min = 1, .max = 512,
     .unit = "messages", .help = "streams: entries per XREADGROUP"},
    {0}};
static const struct param hiredis_params[] = {
    {"timeout", PARAM_DURATION, ARG(hiredis, timeout_ns), .fallback = "5s", .min = MS_NS,
     .max = 600 * SECOND_NS, .help = "no reply for so long: the connection is given up"},
    {"connect_timeout", PARAM_DURATION, ARG(hiredis, connect_timeout_ns), .fallback = "500ms",
     .min = MS_NS, .max = 60 * SECOND_NS, .help = "of connecting and of asking for the primary"},
    {0}};

#define GROUP(name, table, short, text)                                                            \
    {                                                                                              \
#name, PARAM_STRUCT, offsetof(struct redis_client_args, name),                             \
            .sub = table, .sub_size = SUB(name), .shorthand = short, .help = text                  \
    }
const struct param redis_client_params[] = {
    GROUP(push, push_params, "list", "send to a list"),
    GROUP(add, add_params, "stream", "send to a stream"),
    GROUP(set, set_params, "keys", "send as plain keys"),
    GROUP(confirm, confirm_params, "by", "what makes a send count as done"),
    GROUP(consume, consume_params, "list", "receive from a list or a stream's group"),
    GROUP(hiredis, hiredis_params, NULL, "the library's timeouts"),
    {0}};

int redis_client_names(const void *args, const char **sends_to, const char **reads,
                       const char **group)
{
    const struct redis_client_args *a = args;

    *sends_to = a->push.list ? a->push.list : a->add.stream ? a->add.stream : a->set.keys;
    *reads = a->consume.list ? a->consume.list : a->consume.stream;
    *group = a->consume.stream ? a->consume.group : NULL;
    return 0;
}

bool redis_client_hands_over(const void *args)
{
    const struct redis_client_args *a = args;

    if (a->consume.stream)
        return a->consume.noack;
    return a->consume.list && a->consume.mode != TAKE_BLMOVE;
}

int redis_client_implicit_kind(const void *args)
{
    const struct redis_client_args *a = args;

    if (a->push.list || a->consume.list)
        return UNIT_LIST;
    if (a->add.stream || a->consume.stream)
        return UNIT_STREAM;
    return a->set.keys ? UNIT_KEYS : -1;
}
