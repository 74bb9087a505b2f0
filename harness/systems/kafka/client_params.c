/*
 * What a suite may say of a Kafka client beside librdkafka's own keys: what the application around
 * the library does, right or wrong. Combinations that make no sense are refused when the suite is
 * loaded.
 */
#include "systems/kafka/client.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *const report_modes[] = {"handled", "ignored", NULL};
static const char *const queue_full_modes[] = {"retry", "ignore", NULL};
static const char *const exit_modes[] = {"flush", "drop", NULL};
static const char *const commit_modes[] = {"auto",  "none",     "store",       "sync",
                                           "async", "periodic", "transaction", NULL};
static const char *const commit_offsets[] = {"next", "last", NULL};
static const char *const commit_epochs[] = {"carried", "left_out", NULL};
static const char *const revoke_modes[] = {"nothing", "commit", NULL};
static const char *const transaction_ids[] = {"none", "stable", "random", NULL};
static const char *const memberships[] = {"dynamic", "static", NULL};

static const struct param produce_params[] = {
    {.key = "topic",
     .type = PARAM_STRING,
     .offset = offsetof(struct kafka_produce, topic),
     .required = true,
     .help = "topic to produce to"},
    {.key = "partition",
     .type = PARAM_INT,
     .offset = offsetof(struct kafka_produce, partition),
     .fallback = "-1",
     .min = -1,
     .max = 1000000,
     .help = "always this partition; -1: the library's partitioner chooses by key"},
    {.key = "reports",
     .type = PARAM_CHOICE,
     .offset = offsetof(struct kafka_produce, reports),
     .fallback = "handled",
     .choices = report_modes,
     .help = "delivery reports; ignored: a message is believed to be sent once rd_kafka_produce "
             "took it"},
    {.key = "queue_full",
     .type = PARAM_CHOICE,
     .offset = offsetof(struct kafka_produce, queue_full),
     .fallback = "retry",
     .choices = queue_full_modes,
     .help = "when rd_kafka_produce answers QUEUE_FULL: polls and offers it again, or goes on as "
             "if it had been taken"},
    {.key = "at_exit",
     .type = PARAM_CHOICE,
     .offset = offsetof(struct kafka_produce, at_exit),
     .fallback = "flush",
     .choices = exit_modes,
     .help = "rd_kafka_flush before the producer is destroyed, or what waits is dropped"},
    {.key = "transactions",
     .type = PARAM_CHOICE,
     .offset = offsetof(struct kafka_produce, transactions),
     .fallback = "none",
     .choices = transaction_ids,
     .help = "a transactional producer; stable: a successor has the same transactional.id and ends "
             "what its predecessor left open; random: a new one every time"},
    {0},
};
static const struct param consume_params[] = {
    {.key = "topic",
     .type = PARAM_STRING,
     .offset = offsetof(struct kafka_consume, topic),
     .required = true,
     .help = "topic to read"},
    {.key = "group",
     .type = PARAM_STRING,
     .offset = offsetof(struct kafka_consume, group),
     .help = "consumer group to join (group.id)"},
    {.key = "membership",
     .type = PARAM_CHOICE,
     .offset = offsetof(struct kafka_consume, membership),
     .fallback = "dynamic",
     .choices = memberships,
     .help = "static: every instance joins under a name of its own (group.instance.id) and takes "
             "its partitions back after a restart"},
    {.key = "partitions",
     .type = PARAM_STRINGS,
     .offset = offsetof(struct kafka_consume, partitions),
     .help = "assigned by hand instead of by a group"},
    {.key = "from",
     .type = PARAM_STRING,
     .offset = offsetof(struct kafka_consume, from),
     .fallback = "beginning",
     .only = "partitions",
     .help = "where a hand-made assignment starts: beginning, end or an offset"},
    {.key = "commit",
     .type = PARAM_CHOICE,
     .offset = offsetof(struct kafka_consume, commit),
     .fallback = "auto",
     .choices = commit_modes,
     .help = "what settling a message does; auto: what enable.auto.commit and "
             "enable.auto.offset.store leave to do "
             "(sync commit, store, or nothing); periodic: a sync commit of what is done once in "
             "`every`, and on leaving; transaction: with the transaction (workload txn)"},
    {.key = "every",
     .type = PARAM_DURATION,
     .offset = offsetof(struct kafka_consume, every_ns),
     .min = 0,
     .max = INT64_C(3600000000000),
     .only = "commit: periodic",
     .help = "how often"},
    {.key = "offset",
     .type = PARAM_CHOICE,
     .offset = offsetof(struct kafka_consume, offset),
     .fallback = "next",
     .choices = commit_offsets,
     .help = "what is committed: the next offset to read, or (wrongly) the last one read"},
    {.key = "leader_epoch",
     .type = PARAM_CHOICE,
     .offset = offsetof(struct kafka_consume, leader_epoch),
     .fallback = "carried",
     .choices = commit_epochs,
     .help = "a commit carries the leader epoch its message was read in, as that of "
             "rd_kafka_commit_message does (librdkafka from 2.1.0 on): who reads on from there "
             "asks a new leader where that epoch ended, and finds a truncated log (KIP-320); "
             "left_out: offsets alone, as lists of one's own often are"},
    {.key = "on_revoke",
     .type = PARAM_CHOICE,
     .offset = offsetof(struct kafka_consume, on_revoke),
     .fallback = "nothing",
     .choices = revoke_modes,
     .help = "what the rebalance callback does before partitions are given up: nothing, or commit "
             "what was settled"},
    {0},
};
const struct param kafka_client_params[] = {
    {.key = "produce",
     .type = PARAM_STRUCT,
     .offset = offsetof(struct kafka_args, produce),
     .sub = produce_params,
     .sub_size = sizeof(struct kafka_produce),
     .shorthand = "topic",
     .help = "send to a topic"},
    {.key = "consume",
     .type = PARAM_STRUCT,
     .offset = offsetof(struct kafka_args, consume),
     .sub = consume_params,
     .sub_size = sizeof(struct kafka_consume),
     .shorthand = "topic",
     .help = "read a topic"},
    {.key = "librdkafka",
     .type = PARAM_VERBATIM,
     .offset = offsetof(struct kafka_args, librdkafka),
     .help = "librdkafka's own configuration, kept but for what the sandbox owns"},
    {0},
};
const char *const kafka_send_verbs[] = {"produce", NULL};
const char *const kafka_receive_verbs[] = {"consume", NULL};

int kafka_client_names(const void *opaque, const char **sends_to, const char **reads,
                       const char **group)
{
    const struct kafka_args *args = opaque;

    *sends_to = args->produce.topic;
    *reads = args->consume.topic;
    *group = args->consume.group;
    return 0;
}

/* ---- what makes no sense */

static bool is(const struct pairs *keys, const char *key, const char *fallback, bool wanted)
{
    const char *value = pairs_get(keys, key, fallback);
    bool yes =
        strcasecmp(value, "true") == 0 || strcasecmp(value, "t") == 0 || strcmp(value, "1") == 0;

    return yes == wanted;
}

static const char *senseless_producer(const struct kafka_args *args)
{
    const struct kafka_produce *p = &args->produce;

    if (p->reports == REPORTS_HANDLED && p->at_exit == EXIT_DROP)
        return "at_exit: drop with reports: handled: who waits for reports leaves nothing behind";
    if (pairs_get(&args->librdkafka, "transactional.id", NULL))
        return "transactional.id: say produce: {transactions: stable}: every worker needs its own";
    if (p->reports == REPORTS_IGNORED && p->transactions != TXN_NONE)
        return "reports: ignored: a transaction's commit waits for every report";
    if (p->transactions == TXN_NONE && args->consume.commit == COMMIT_TRANSACTION)
        return "commit: transaction needs produce: {transactions: stable}";
    return NULL;
}

static bool commits_by_itself(const struct kafka_consume *c, const struct pairs *keys)
{
    return c->commit == COMMIT_AUTO && is(keys, "enable.auto.commit", "true", true) &&
           is(keys, "enable.auto.offset.store", "true", true);
}

static const char *senseless_consumer(const struct kafka_args *args, unsigned instances)
{
    const struct kafka_consume *c = &args->consume;
    const struct pairs *keys = &args->librdkafka;

    if (c->group && c->partitions.n > 0)
        return "group and partitions exclude each other: a group assigns partitions itself";
    if (!c->group && c->partitions.n == 0)
        return "needs group: or partitions:";
    if (!c->group && c->membership == MEMBER_STATIC)
        return "membership: is of groups";
    if (!c->group && c->commit != COMMIT_AUTO && c->commit != COMMIT_NONE)
        return "commit: without group: there is nobody to commit to";
    if (c->commit == COMMIT_PERIODIC && c->every_ns == 0)
        return "commit: periodic needs every:";
    if (c->commit == COMMIT_TRANSACTION && !args->produce.topic)
        return "commit: transaction: it produces nothing";
    if (c->commit == COMMIT_TRANSACTION && is(keys, "enable.auto.commit", "true", true))
        return "commit: transaction beside enable.auto.commit true: the library would commit too";
    if (c->commit == COMMIT_PERIODIC && is(keys, "enable.auto.commit", "true", true))
        return "commit: periodic beside enable.auto.commit true: the library would commit too";
    if (instances > 1 && pairs_get(keys, "group.instance.id", NULL))
        return "one group.instance.id for several instances: they would fence each other; say "
               "membership: static";
    if (c->commit == COMMIT_STORE && is(keys, "enable.auto.commit", "true", false))
        return "commit: store with enable.auto.commit false: nobody would commit what is stored";
    if (c->commit == COMMIT_STORE && is(keys, "enable.auto.offset.store", "true", true))
        return "commit: store needs enable.auto.offset.store false: else the library has stored "
               "the message when it hands it over";
    if (c->offset == COMMIT_LAST && commits_by_itself(c, keys))
        return "offset: last: here the library stores and commits by itself, and rightly";
    if (c->leader_epoch == EPOCH_LEFT_OUT &&
        (!c->group || c->commit == COMMIT_NONE || commits_by_itself(c, keys)))
        return "leader_epoch: left_out: here the application commits nothing";
    return NULL;
}

const char *kafka_client_senseless(const void *opaque, unsigned instances)
{
    const struct kafka_args *args = opaque;
    const char *why = args->produce.topic ? senseless_producer(args) : NULL;

    return why || !args->consume.topic ? why : senseless_consumer(args, instances);
}
