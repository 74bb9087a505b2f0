/*
 * What queues dropped by a rule of their own, with no dead-letter exchange to catch it: the
 * server's global counters (rabbit_global_counters, "dead_letter_strategy disabled"), as they grew
 * since the case began. They count per queue type, so they are told of a queue only where it is the
 * only one of its type, or the only one with such a limit. A node that was restarted counts from 0
 * again: what it dropped before has no witness left.
 */
#include "systems/rabbitmq/view.h"

#include "history/history.h"

#include <stdio.h>
#include <string.h>

static const char *const types[DROP_TYPES] = {"classic", "quorum"};

static const struct {
    enum expiry why;
    const char *arguments[2];
} rules[DROP_RULES] = {{EXPIRY_TTL, {"x-message-ttl", NULL}},
                       {EXPIRY_MAX_LENGTH, {"x-max-length", "x-max-length-bytes"}},
                       {EXPIRY_DELIVERY_LIMIT, {"x-delivery-limit", NULL}}};

static const char question[] =
    "O=seshat:overview(rabbit_global_counters),"
    "V=fun(T,K)->maps:get(K,maps:get([{queue_type,T},{dead_letter_strategy,disabled}],O,#{}),0) "
    "end,iolist_to_binary([io_lib:format(\"~w ~w ~w \",["
    "V(T,messages_dead_lettered_expired_total),V(T,messages_dead_lettered_maxlen_total),"
    "V(T,messages_dead_lettered_delivery_limit_total)])||"
    "T<-[rabbit_classic_queue,rabbit_quorum_queue]]).";

static bool ask(struct cluster *cluster, unsigned node, struct drops *out, struct deadline deadline)
{
    int64_t *n = &out->n[0][0];
    char answer[300];
    long long v[DROP_TYPES * DROP_RULES];

    if (rabbit_eval(cluster, node, question, answer, sizeof(answer), deadline, NULL) < 0 ||
        sscanf(answer, "%lld %lld %lld %lld %lld %lld", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]) !=
            DROP_TYPES * DROP_RULES)
        return false;
    for (size_t i = 0; i < DROP_TYPES * DROP_RULES; i++)
        n[i] = v[i];
    return true;
}

void rabbit_drops_begin(struct cluster *cluster, struct deadline deadline)
{
    struct rabbit_state *state = cluster->state;

    for (unsigned i = 0; state && i < cluster->spec->n_nodes; i++)
        if (!ask(cluster, i, &state->drops[i], deadline))
            state->drops[i] = (struct drops){0};
}

/* The queue such drops are of, as its number; -1: more than one may have dropped. */
static long whose(const struct cluster *cluster, size_t type, size_t rule)
{
    const struct rabbit_config *config = cluster->spec->config;
    const struct rabbit_queue *queues = config->queues.items;
    const char *only = NULL, *limited = NULL;
    size_t n = 0, n_limited = 0;

    for (size_t i = 0; i < config->queues.n; i++) {
        const struct pairs *given = &queues[i].arguments;
        bool limits = false;

        if (strcmp(pairs_get(given, "x-queue-type", "classic"), types[type]) != 0)
            continue;
        only = queues[i].name;
        n++;
        for (size_t k = 0; k < 2 && rules[rule].arguments[k]; k++)
            limits |= pairs_get(given, rules[rule].arguments[k], NULL) != NULL;
        limited = limits ? queues[i].name : limited;
        n_limited += limits;
    }
    only = n_limited == 1 ? limited : n == 1 ? only : NULL;
    return only ? rabbit_queue_place(cluster, only) : -1;
}

static void record(const struct cluster *cluster, struct history_writer *writer, size_t type,
                   size_t rule, int64_t n)
{
    long q = n > 0 ? whose(cluster, type, rule) : -1;
    struct event e = {.type = EV_HAZARD,
                      .at_ns = clock_now_ns(),
                      .by = BY_AUDIT,
                      .code = HAZARD_LIMIT,
                      .node = NO_NODE,
                      .value = n};
    char text[120];

    if (q < 0)
        return;
    snprintf(text, sizeof(text),
             "the server counts %lld dropped, %s queue, no dead-letter exchange", (long long)n,
             types[type]);
    e.unit = rabbit_unit_of(cluster, (size_t)q);
    e.ref = history_text(writer, text);
    history_record(writer, &e);
    e.type = EV_EXPIRED;
    e.code = (int16_t)rules[rule].why;
    history_record(writer, &e);
}

void rabbit_drops_end(struct cluster *cluster, struct history_writer *writer,
                      struct deadline deadline)
{
    const struct rabbit_state *state = cluster->state;
    struct drops all = {0}, now;

    for (unsigned i = 0; state && i < cluster->spec->n_nodes; i++) {
        if (!ask(cluster, i, &now, deadline))
            continue;
        for (size_t t = 0; t < DROP_TYPES; t++)
            for (size_t r = 0; r < DROP_RULES; r++) {
                int64_t before = state->drops[i].n[t][r];

                all.n[t][r] += now.n[t][r] - (now.n[t][r] >= before ? before : 0);
            }
    }
    for (size_t t = 0; t < DROP_TYPES; t++)
        for (size_t r = 0; r < DROP_RULES; r++)
            record(cluster, writer, t, r, all.n[t][r]);
}
