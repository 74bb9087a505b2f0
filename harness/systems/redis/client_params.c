/*
 * What a suite may say of a Redis client: keys of a client entry, and what follows from them before
 * anything runs (destinations, whether handing over settles). Pure.
 *
 *     app:    {push: jobs, confirm: {wait: 2, timeout: 200ms, every: 100}}
 *     worker: {consume: {list: jobs, mode: blmove}}
 */
#include "systems/redis/client.h"

#include <stdio.h>

#define ARG(group, member)                                                                         \
    offsetof(struct redis_client_args, group.member) - offsetof(struct redis_client_args, group)
#define SUB(group) sizeof(((struct redis_client_args *)0)->group)

static const char *const push_commands[] = {"rpush", "lpush", NULL};
static const char *const confirm_words[] = {"reply", "ignore", NULL};
static const char *const zero_words[] = {"unknown", "ok", NULL};
static const char *const take_words[] = {"blpop", "brpop", "blmove", "visibility", NULL};
static const char *const trim_words[] = {"none", "maxlen", "by_groups", NULL};
static const char *const leftover_words[] = {"own", "none", NULL};

#define ONCE                                                                                       \
    "an idempotency key beside each message, taken and written in one script (SET NX): a message " \
    "that is sent again is there once"

static const struct param push_params[] = {
    {"list", PARAM_STRING, ARG(push, list), .required = true, .help = "the list"},
    {"command", PARAM_CHOICE, ARG(push, command), .fallback = "rpush", .choices = push_commands,
     .help = "which end"},
    {"expire", PARAM_DURATION, ARG(push, expire_ns), .min = MS_NS, .max = INT64_MAX,
     .help = "PEXPIRE of the whole list after every push; without it the list does not expire"},
    {"once", PARAM_BOOL, ARG(push, once), .fallback = "false", .help = ONCE},
    {0}};
static const struct param add_params[] = {
    {"stream", PARAM_STRING, ARG(add, stream), .required = true, .help = "the stream (XADD)"},
    {"trim", PARAM_CHOICE, ARG(add, trim), .fallback = "none", .choices = trim_words,
     .help = "maxlen: XADD MAXLEN = maxlen; by_groups: XTRIM MINID below what every group has "
             "settled"},
    {"maxlen", PARAM_INT, ARG(add, maxlen), .fallback = "1000", .min = 1, .max = INT64_C(1) << 40,
     .unit = "messages", .help = "trim: maxlen keeps so many"},
    {"once", PARAM_BOOL, ARG(add, once), .fallback = "false", .help = ONCE},
    {0}};
static const struct param set_params[] = {
    {"keys", PARAM_STRING, ARG(set, keys), .required = true,
     .help = "prefix: each message is a key PREFIX:… (SET)"},
    {"ttl", PARAM_DURATION, ARG(set, ttl_ns), .min = MS_NS, .max = INT64_MAX,
     .help = "time to live of each key (SET PX); without it for ever"},
    {0}};
static const struct param publish_params[] = {{"channel", PARAM_STRING, ARG(publish, channel),
                                               .required = true, .help = "the channel (PUBLISH)"},
                                              {0}};
static const char *const multi_words[] = {"exec", "script", NULL};
static const struct param multi_params[] = {
    {"by", PARAM_CHOICE, ARG(multi, by), .fallback = "exec", .choices = multi_words,
     .help = "transactions as MULTI … EXEC, where a command that fails leaves the others standing, "
             "or as one script that checks all keys first"},
    {"mistyped", PARAM_INT, ARG(multi, mistyped), .fallback = "0", .min = 0, .max = 1000000,
     .unit = "transactions",
     .help = "one in so many transactions has a command in its middle whose key holds another "
             "type: a bug of the application; 0: none"},
    {0}};
static const struct param confirm_params[] = {
    {"by", PARAM_CHOICE, ARG(confirm, by), .fallback = "reply", .choices = confirm_words,
     .help = "the primary's reply counts, or nobody looks at it"},
    {"wait", PARAM_INT, ARG(confirm, wait), .fallback = "0", .min = 0, .max = 9, .unit = "replicas",
     .help = "a write counts once WAIT says so many replicas have it; 0: no WAIT"},
    {"aof", PARAM_BOOL, ARG(confirm, aof), .fallback = "false",
     .help = "WAITAOF instead (Redis 7.2 and later): a write counts once it is fsynced by the "
             "primary and by so many replicas"},
    {"timeout", PARAM_DURATION, ARG(confirm, timeout_ns), .fallback = "200ms", .min = MS_NS,
     .max = 60 * SECOND_NS, .help = "of WAIT"},
    {"every", PARAM_INT, ARG(confirm, every), .fallback = "1", .min = 1, .max = 4096,
     .unit = "messages", .help = "one WAIT per so many writes, or when nothing more is to be sent"},
    {"treat_zero_as", PARAM_CHOICE, ARG(confirm, treat_zero_as), .fallback = "unknown",
     .choices = zero_words, .help = "a WAIT answered by too few: unknown, or overlooked"},
    {"receivers", PARAM_INT, ARG(confirm, receivers), .fallback = "0", .min = 0, .max = 1000,
     .unit = "subscribers",
     .help = "a PUBLISH that reached fewer counts as refused; 0: nobody looks at the number"},
    {0}};
static const struct param consume_params[] = {
    {"list", PARAM_STRING, ARG(consume, list), .help = "the list to take from"},
    {"stream", PARAM_STRING, ARG(consume, stream), .help = "the stream to read (XREADGROUP)"},
    {"group", PARAM_STRING, ARG(consume, group), .fallback = "workers", .only = "stream",
     .help = "consumer group of the stream, made when it is not there"},
    {"from", PARAM_STRING, ARG(consume, from), .fallback = "0", .only = "stream",
     .help = "where a new group starts: an id, 0 or $"},
    {"channel", PARAM_STRING, ARG(consume, channel), .help = "the channel to SUBSCRIBE to"},
    {"mode", PARAM_CHOICE, ARG(consume, mode), .fallback = "blpop", .choices = take_words,
     .only = "list",
     .help = "taken and forgotten (blpop, brpop), moved to a processing list (blmove), or "
             "held in a sorted set until their time is over (visibility)"},
    {"processing", PARAM_STRING, ARG(consume, processing), .only = "mode: blmove",
     .help = "prefix of each consumer's processing list; {LIST}:processing when not given"},
    {"lease", PARAM_DURATION, ARG(consume, lease_ns), .fallback = "1s", .min = 10 * MS_NS,
     .max = 3600 * SECOND_NS, .only = "mode: blmove",
     .help = "time to live of the key that says this consumer lives; it is renewed "
             "between messages, and a reaper takes over once it is gone"},
    {"visibility", PARAM_DURATION, ARG(consume, visibility_ns), .fallback = "30s",
     .min = 10 * MS_NS, .max = 86400 * SECOND_NS, .only = "mode: visibility",
     .help = "how long the work may take before a reaper gives the message back"},
    {"leftovers", PARAM_CHOICE, ARG(consume, leftovers), .fallback = "own",
     .choices = leftover_words,
     .help = "blmove and streams: what an earlier life of this consumer did not settle is taken "
             "first, or left alone"},
    {"noack", PARAM_BOOL, ARG(consume, noack), .fallback = "false",
     .help = "streams: XREADGROUP NOACK"},
    {"claim", PARAM_DURATION, ARG(consume, claim_ns), .min = MS_NS, .max = 86400 * SECOND_NS,
     .help = "streams: XAUTOCLAIM what others left unsettled for so long; without it never"},
    {"claim_every", PARAM_DURATION, ARG(consume, claim_every_ns), .fallback = "100ms", .min = MS_NS,
     .max = 3600 * SECOND_NS, .only = "claim", .help = "how often it looks for such"},
    {"count", PARAM_INT, ARG(consume, count), .fallback = "10", .min = 1, .max = 512,
     .only = "stream", .unit = "messages", .help = "entries per XREADGROUP and XAUTOCLAIM"},
    {0}};
static const struct param reap_params[] = {
    {"list", PARAM_STRING, ARG(reap, list), .required = true,
     .help = "the list whose unfinished messages are given back: processing lists of consumers "
             "whose lease has ended, messages whose visibility timeout has"},
    {"processing", PARAM_STRING, ARG(reap, processing),
     .help = "prefix of the processing lists; {LIST}:processing when not given"},
    {"every", PARAM_DURATION, ARG(reap, every_ns), .fallback = "100ms", .min = MS_NS,
     .max = 3600 * SECOND_NS, .help = "how often it looks"},
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
    GROUP(publish, publish_params, "channel", "send to the subscribers of a channel"),
    GROUP(multi, multi_params, "by", "transactions over a list (workload txn)"),
    GROUP(confirm, confirm_params, "by", "what makes a send count as done"),
    GROUP(consume, consume_params, "list", "receive from a list, a stream's group or a channel"),
    GROUP(reap, reap_params, "list", "give back to a list what consumers did not finish"),
    GROUP(hiredis, hiredis_params, NULL, "the library's timeouts"),
    {0}};

int redis_client_names(const void *args, const char **sends_to, const char **reads,
                       const char **group)
{
    const struct redis_client_args *a = args;

    *sends_to = a->push.list    ? a->push.list
                : a->add.stream ? a->add.stream
                : a->set.keys   ? a->set.keys
                                : a->publish.channel;
    *reads = a->consume.list      ? a->consume.list
             : a->consume.stream  ? a->consume.stream
             : a->consume.channel ? a->consume.channel
                                  : a->reap.list;
    *group = a->consume.stream ? a->consume.group : NULL;
    return 0;
}

bool redis_client_hands_over(const void *args)
{
    const struct redis_client_args *a = args;

    if (a->consume.stream)
        return a->consume.noack;
    if (a->consume.list)
        return a->consume.mode == TAKE_BLPOP || a->consume.mode == TAKE_BRPOP;
    return a->consume.channel;
}

int redis_client_implicit_kind(const void *args)
{
    const struct redis_client_args *a = args;

    if (a->push.list || a->consume.list || a->reap.list)
        return UNIT_LIST;
    if (a->add.stream || a->consume.stream)
        return UNIT_STREAM;
    if (a->publish.channel || a->consume.channel)
        return UNIT_CHANNEL;
    return a->set.keys ? UNIT_KEYS : -1;
}

/* ---- what makes no sense together */

static unsigned given(const char *a, const char *b, const char *c, const char *d)
{
    return (a ? 1u : 0u) + (b ? 1u : 0u) + (c ? 1u : 0u) + (d ? 1u : 0u);
}

static const char *senseless_sender(const struct redis_client_args *a)
{
    if (given(a->push.list, a->add.stream, a->set.keys, a->publish.channel) > 1)
        return "one of push, add, set and publish is enough: a client sends to one place";
    if ((a->multi.mistyped > 0 || a->multi.by != MULTI_EXEC) && !a->push.list)
        return "multi: is about transactions over a list: it needs push:";
    if (a->publish.channel && redis_waits(a))
        return "WAIT counts replicas of what is stored; a PUBLISH stores nothing";
    if (!a->publish.channel && a->confirm.receivers > 0)
        return "confirm: receivers: is the answer of PUBLISH";
    if (a->confirm.by == CONFIRM_IGNORE && (redis_waits(a) || a->confirm.receivers > 0))
        return "confirm: by: ignore looks at no answer, so wait: and receivers: mean nothing";
    return NULL;
}

static const char *senseless_reader(const struct redis_client_args *a)
{
    if (given(a->consume.list, a->consume.stream, a->consume.channel, NULL) > 1)
        return "consume: takes one of list, stream and channel";
    if (a->consume.noack && !a->consume.stream)
        return "noack: is an option of XREADGROUP: it needs a stream";
    if (a->consume.claim_ns > 0 && !a->consume.stream)
        return "claim: is XAUTOCLAIM: it needs a stream";
    if (a->consume.claim_ns > 0 && a->consume.noack)
        return "claim: with noack: nothing is ever left pending that could be claimed";
    if (a->reap.list && given(a->consume.list, a->consume.stream, a->consume.channel, NULL) > 0)
        return "reap: is a client of its own, beside the consumers";
    return NULL;
}

const char *redis_client_senseless(const void *args, unsigned instances)
{
    const char *why = senseless_sender(args);

    (void)instances;
    return why ? why : senseless_reader(args);
}

/* ---- names beside a list, in its slot */

void redis_processing_name(const struct redis_client_args *args, uint16_t client_id, char *out,
                           size_t size)
{
    if (args->consume.processing)
        snprintf(out, size, "%s:%u", args->consume.processing, client_id);
    else
        snprintf(out, size, "{%s}:processing:%u", args->consume.list, client_id);
}

void redis_alive_name(const char *list, uint16_t client_id, char *out, size_t size)
{
    snprintf(out, size, "{%s}:alive:%u", list, client_id);
}

void redis_unacked_name(const char *list, char *out, size_t size)
{
    snprintf(out, size, "{%s}:unacked", list);
}
