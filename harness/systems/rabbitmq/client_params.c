/*
 * A client entry's keys: their table, and what makes no sense among them.
 *
 *     app: {publish: {queue: orders, over: stream, producer: shop}, outstanding: 50}
 */
#include "systems/rabbitmq/client.h"

#include "base/clock.h"

#include <string.h>

static const char *const over_words[] = {"amqp", "stream", NULL};
static const char *const blocked_words[] = {"unheard", "wait", NULL};
static const char *const unconfirmed_words[] = {"unknown", "forgotten", NULL};
#define PUBLISH(member) offsetof(struct publish_args, member)
static const struct param publish_params[] = {
    {"queue", PARAM_STRING, PUBLISH(queue),
     .help = "straight into this queue, by the default exchange"},
    {"exchange", PARAM_STRING, PUBLISH(exchange), .help = "or to this exchange …"},
    {"key", PARAM_STRING, PUBLISH(key), .help = "… with this routing key"},
    {"over", PARAM_CHOICE, PUBLISH(over), .fallback = "amqp", .choices = over_words,
     .help = "AMQP 0-9-1, or the stream protocol (port 5552; the plugin is started where it is "
             "spoken): its messages have publishing ids, the same when one is sent again"},
    {"producer", PARAM_STRING, PUBLISH(producer), .only = "over: stream",
     .help = "name of the producer: of what this name has stored, nothing is stored again; of "
             "several instances or workers each has a name of its own, two clients with one name "
             "take each other's messages for their own. Without one nothing is known again"},
    {"mandatory", PARAM_BOOL, PUBLISH(mandatory), .fallback = "false",
     .help = "a message without a queue comes back (basic.return): rejected"},
    {"confirm", PARAM_BOOL, PUBLISH(confirm), .fallback = "true",
     .help = "publisher confirms; without them a message is believed to be sent"},
    {"confirm_timeout", PARAM_DURATION, PUBLISH(confirm_within_ns), .max = 3600 * SECOND_NS,
     .help = "gives the connection up when a confirm has not come for so long; 0s: waits for ever"},
    {"unconfirmed", PARAM_CHOICE, PUBLISH(unconfirmed), .fallback = "unknown",
     .choices = unconfirmed_words,
     .help = "what the application takes those for whose confirm is missing when the connection "
             "breaks: forgotten ones it believes to be sent"},
    {"blocked", PARAM_CHOICE, PUBLISH(blocked), .fallback = "unheard", .choices = blocked_words,
     .help = "connection.blocked is not listened to, or publishing (and the wait for confirms) "
             "stands still until connection.unblocked"},
    {"tx", PARAM_INT, PUBLISH(tx), .fallback = "0", .max = 10000, .unit = "messages",
     .help = "instead of confirms a transaction (tx.select, tx.commit) of so many messages"},
    {"properties", PARAM_VERBATIM, PUBLISH(properties),
     .help = "of every message, AMQP's names: delivery_mode, expiration, priority …; the values of "
             "a list by turns"},
    {"headers", PARAM_VERBATIM, PUBLISH(headers),
     .help = "of every message, as a headers exchange wants them; lists by turns"},
    {0}};

#define CONSUME(member) offsetof(struct consume_args, member)
static const struct param consume_params[] = {
    {"queue", PARAM_STRING, CONSUME(queue), .required = true, .help = "which queue"},
    {"no_ack", PARAM_BOOL, CONSUME(no_ack), .fallback = "false",
     .help = "the broker forgets a message when it hands it over"},
    {"prefetch", PARAM_INT, CONSUME(prefetch), .fallback = "0", .max = 65535, .unit = "messages",
     .help = "unacknowledged at most (basic.qos); 0: no bound"},
    {"arguments", PARAM_VERBATIM, CONSUME(arguments), .help = "as in basic.consume: x-priority …"},
    {0}};

#define ARGS(member) offsetof(struct rabbit_client_args, member)
const struct param rabbit_client_params[] = {
    {"publish", PARAM_STRUCT, ARGS(publish), .sub = publish_params,
     .sub_size = sizeof(struct publish_args), .shorthand = "queue", .help = "a publisher"},
    {"consume", PARAM_STRUCT, ARGS(consume), .sub = consume_params,
     .sub_size = sizeof(struct consume_args), .shorthand = "queue", .help = "a consumer"},
    {"outstanding", PARAM_INT, ARGS(outstanding), .fallback = "1000", .min = 1,
     .max = OUTSTANDING_MAX, .unit = "messages",
     .help = "published and not yet confirmed at most, per worker"},
    {"heartbeat", PARAM_DURATION, ARGS(heartbeat_ns), .fallback = "10s", .max = 3600 * SECOND_NS,
     .help = "AMQP heartbeat: twice this long without a word and the connection is given up; 0s: "
             "never"},
    /* The Java client waits 5 s, pika asks its user. At once is dangerous: a channel of 3.10 that
     * is opened between a quorum queue's leader's death and the word of the next one nacks
     * everything until the dead node is back (rabbit_fifo_client:enqueue, {badrpc, nodedown}). */
    {"recovery", PARAM_DURATION, ARGS(recovery_ns), .fallback = "2s", .max = 3600 * SECOND_NS,
     .help =
         "waits this long before it connects again (other libraries: network recovery interval)"},
    {0}};

const char *const rabbit_send_verbs[] = {"publish", NULL};
const char *const rabbit_receive_verbs[] = {"consume", NULL};

/* With an exchange its bindings decide: the suite says meant_for. */
int rabbit_client_names(const void *self, const char **sends_to, const char **reads,
                        const char **group)
{
    const struct rabbit_client_args *args = self;
    const struct publish_args *publish = &args->publish;

    *sends_to = publish->queue;
    if (!publish->queue && publish->exchange && !*publish->exchange)
        *sends_to = publish->key;
    *reads = args->consume.queue;
    *group = NULL;
    return 0;
}

bool rabbit_client_hands_over(const void *self)
{
    const struct rabbit_client_args *args = self;

    return args->consume.no_ack;
}

/* ---- what makes no sense */

/* Without what tells instances apart; the server takes 255 bytes in all (PROTOCOL.adoc). */
#define PRODUCER_NAME_MAX 200

static const char *senseless_over_stream(const struct publish_args *p)
{
    if (!p->queue || p->exchange || p->key)
        return "over: stream goes straight to a stream, which queue: names: the stream protocol "
               "has no exchanges";
    if (p->tx > 0)
        return "over: stream: the stream protocol has no transactions: tx: is AMQP's";
    if (p->mandatory)
        return "over: stream: nothing is routed there that could come back: mandatory: is AMQP's";
    if (!p->confirm)
        return "over: stream: the stream protocol confirms every message: confirm: false is AMQP's";
    if (p->properties.n > 0 || p->headers.n > 0)
        return "over: stream: messages go as a payload alone: properties: and headers: are AMQP's";
    if (p->blocked != BLOCKED_UNHEARD)
        return "over: stream: nobody is told that he is blocked: blocked: is AMQP's";
    if (p->unconfirmed != UNCONFIRMED_UNKNOWN)
        return "over: stream: what has no confirm stays unknown: unconfirmed: is AMQP's";
    if (p->producer && (!*p->producer || strlen(p->producer) > PRODUCER_NAME_MAX))
        return "producer: a name of 1 to 200 bytes";
    return NULL;
}

const char *rabbit_client_senseless(const void *self, unsigned instances)
{
    const struct rabbit_client_args *args = self;

    (void)instances;
    if (args->publish.over != OVER_STREAM)
        return NULL;
    if (args->consume.queue)
        return "over: stream: its connection only publishes: consume with another client";
    return senseless_over_stream(&args->publish);
}

const char *rabbit_client_misfit(const void *self, int kind)
{
    const struct rabbit_client_args *args = self;

    return args->publish.over == OVER_STREAM && kind != UNIT_STREAM
               ? "over: stream needs a stream: arguments: {x-queue-type: stream}"
               : NULL;
}

bool rabbit_speaks_stream(const struct plan_case *plan, const struct plan_cluster *cluster)
{
    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct plan_client *client = &plan->clients[i];
        const struct rabbit_client_args *args = client->broker_args;

        if (client->broker == &rabbit_broker && &plan->clusters[client->cluster] == cluster &&
            args->publish.over == OVER_STREAM)
            return true;
    }
    return false;
}
