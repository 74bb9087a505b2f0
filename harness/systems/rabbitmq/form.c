/*
 * From started nodes to a cluster with its queues, and back to that state: bring-up, a node that
 * came back, the next case on the same cluster, the config read back.
 *
 * Ready means: every node says it is booted, all of them name exactly each other as running, and
 * every queue has its leader where the suite wants it.
 */
#include "base/file.h"
#include "systems/rabbitmq/amqp.h"
#include "systems/rabbitmq/transfer.h"
#include "systems/rabbitmq/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_EVERY_NS (30 * MS_NS)
/* An election takes seconds on a busy machine; the whole command has a minute. */
#define ELECTED_WITHIN_NS (25 * SECOND_NS)
#define LOST_FOR_NS (3 * SECOND_NS) /* longer than a busy node is silent (view.c) */
#define CALL_WITHIN_NS (5 * SECOND_NS)

static uint32_t all_nodes(const struct cluster *cluster)
{
    return (uint32_t)((UINT64_C(1) << cluster->spec->n_nodes) - 1);
}

/* ---- waiting */

static void say_who_is_missing(const struct cluster *cluster, const struct rabbit_view *view,
                               struct err *err)
{
    for (unsigned i = 0; i < view->n_nodes; i++)
        if (!view->nodes[i].booted) {
            err_set(err, "node %s: %s", cluster->nodes[i].plan->name,
                    view->nodes[i].answered ? "is up but has not finished booting"
                                            : "does not answer at its distribution port yet");
            return;
        }
    err_set(err, "the nodes do not agree on who runs (%s sees %u of %u)",
            cluster->nodes[0].plan->name, (unsigned)__builtin_popcount(view->nodes[0].running),
            view->n_nodes);
}

static int wait_formed(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    for (;;) {
        struct rabbit_view view;
        bool formed;

        if (rabbit_look(cluster, &view, deadline, err) < 0)
            return -1;
        formed = rabbit_agrees(&view, all_nodes(cluster));
        if (!formed)
            say_who_is_missing(cluster, &view, err);
        rabbit_view_release(&view);
        if (formed)
            return 0;
        if (deadline_sleep(&deadline, LOOK_EVERY_NS) < 0)
            return err_prefix(err, "the cluster did not form");
    }
}

/* A queue that nobody uses may have expired before it was looked for. */
static bool has_expired(const struct rabbit_view *view, size_t q, const struct rabbit_queue *queue)
{
    return pairs_get(&queue->arguments, "x-expires", NULL) &&
           view->nodes[0].queues[q].kind == QUEUE_GONE;
}

/* Queue q leads from where the suite wants it (anywhere when it does not say). */
static int wait_leader(struct cluster *cluster, const struct rabbit_queue *queue,
                       struct deadline deadline, struct err *err)
{
    size_t q = (size_t)rabbit_queue_place(cluster, queue->name);
    bool asked = false;

    for (;;) {
        struct rabbit_view view;
        bool expired;
        int leader;

        if (rabbit_look(cluster, &view, deadline, err) < 0)
            return -1;
        leader = rabbit_leader(&view, q);
        expired = has_expired(&view, q, queue);
        rabbit_view_release(&view);
        if (expired || (leader >= 0 && (queue->leader == 0 || leader == queue->leader - 1)))
            return 0;
        if (leader >= 0 && !asked)
            asked = rabbit_transfer(cluster, queue->name, (unsigned)queue->leader - 1, deadline,
                                    err) == 0;
        if (deadline_sleep(&deadline, LOOK_EVERY_NS) < 0)
            return err_set(err, "queue %s: %s", queue->name,
                           leader < 0 ? "has no leader" : "is led by another node than asked");
    }
}

/* ---- making things */

static int set_policy(struct cluster *cluster, const struct rabbit_policy *policy,
                      struct deadline deadline, struct err *err)
{
    struct arena arena = {0};
    char *definition = rabbit_json(policy->definition);
    char answer[1000];
    int result = rabbit_eval(
        cluster, 0,
        arena_printf(&arena,
                     "case rabbit_policy:parse_set(<<\"/\">>,%s,%s,%s,%lld,%s,<<\"assay\">>) of "
                     "ok->\"ok\";E->iolist_to_binary(io_lib:format(\"~0p\",[E])) end.",
                     rabbit_binary(&arena, policy->name), rabbit_binary(&arena, policy->pattern),
                     rabbit_binary(&arena, definition), (long long)policy->priority,
                     rabbit_binary(&arena, policy->apply_to)),
        answer, sizeof(answer), deadline, err);

    free(definition);
    arena_release(&arena);
    if (result < 0)
        return err_prefix(err, "policy %s", policy->name);
    return strcmp(answer, "ok") == 0 ? 0 : err_input(err, "policy %s: %s", policy->name, answer);
}

static int set_parameter(struct cluster *cluster, const struct rabbit_parameter *parameter,
                         struct deadline deadline, struct err *err)
{
    struct arena arena = {0};
    char *value = rabbit_json(parameter->value);
    char answer[1000];
    int result = rabbit_eval(
        cluster, 0,
        arena_printf(&arena,
                     "case rabbit_runtime_parameters:parse_set(<<\"/\">>,%s,%s,%s,none) of "
                     "ok->\"ok\";E->iolist_to_binary(io_lib:format(\"~0p\",[E])) end.",
                     rabbit_binary(&arena, parameter->component),
                     rabbit_binary(&arena, parameter->name), rabbit_binary(&arena, value)),
        answer, sizeof(answer), deadline, err);

    free(value);
    arena_release(&arena);
    if (result < 0)
        return err_prefix(err, "parameter %s", parameter->name);
    return strcmp(answer, "ok") == 0 ? 0
                                     : err_input(err, "parameter %s: %s", parameter->name, answer);
}

static int import_definitions(struct cluster *cluster, unsigned index, const char *json,
                              struct deadline deadline, struct err *err)
{
    struct arena arena = {0};
    char answer[2000];
    int result = rabbit_eval(cluster, index,
                             arena_printf(&arena,
                                          "case rabbit_definitions:import_raw(%s) of ok->\"ok\";"
                                          "E->iolist_to_binary(io_lib:format(\"~0p\",[E])) end.",
                                          rabbit_binary(&arena, json)),
                             answer, sizeof(answer), deadline, err);

    arena_release(&arena);
    if (result < 0)
        return err_prefix(err, "definitions.json");
    return strcmp(answer, "ok") == 0 ? 0 : err_input(err, "definitions.json: %s", answer);
}

/* The server places a queue where its declarer is connected; a config of another locator is
 * overruled. */
static int declare_queue(struct cluster *cluster, amqp_connection_state_t connection,
                         const struct rabbit_queue *queue, struct err *err)
{
    struct arena arena = {0};
    amqp_table_t table = rabbit_table(&arena, &queue->arguments);
    char what[300];
    bool refused;

    if (queue->leader > 0 && cluster->spec->n_nodes > 1)
        rabbit_table_put(
            &arena, &table,
            strcmp(pairs_get(&queue->arguments, "x-queue-type", "classic"), "classic") == 0
                ? "x-queue-master-locator"
                : "x-queue-leader-locator",
            "client-local");
    snprintf(what, sizeof(what), "queue %.200s", queue->name);
    amqp_queue_declare(connection, 1, amqp_cstring_bytes(queue->name), false, queue->durable, false,
                       queue->auto_delete, table);
    refused = rabbit_refused(connection, what, NULL, err);
    arena_release(&arena);
    return refused ? -1 : 0;
}

static int make_queues(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    const struct rabbit_config *config = cluster->spec->config;
    const struct rabbit_queue *queues = config->queues.items;

    for (int64_t home = 0; home <= config->server.nodes; home++) {
        amqp_connection_state_t connection = NULL;
        int result = 0;

        for (size_t i = 0; i < config->queues.n && result == 0; i++) {
            if (queues[i].leader != home)
                continue;
            if (!connection)
                connection = rabbit_connect(cluster->nodes[home ? home - 1 : 0].plan->address, 0,
                                            deadline_within(deadline, CALL_WITHIN_NS), err);
            result = connection ? declare_queue(cluster, connection, &queues[i], err) : -1;
        }
        rabbit_disconnect(connection, result == 0);
        if (result < 0)
            return -1;
    }
    return 0;
}

static int bind_all(amqp_connection_state_t connection, const struct rabbit_exchange *exchange,
                    struct err *err)
{
    const struct rabbit_binding *bindings = exchange->bindings.items;
    struct arena arena = {0};
    int result = 0;

    for (size_t i = 0; i < exchange->bindings.n && result == 0; i++) {
        char what[600];

        snprintf(what, sizeof(what), "binding of %.200s to %.200s", bindings[i].queue,
                 exchange->name);
        amqp_queue_bind(connection, 1, amqp_cstring_bytes(bindings[i].queue),
                        amqp_cstring_bytes(exchange->name), amqp_cstring_bytes(bindings[i].key),
                        rabbit_table(&arena, &bindings[i].arguments));
        result = rabbit_refused(connection, what, NULL, err) ? -1 : 0;
    }
    arena_release(&arena);
    return result;
}

static int make_exchange(amqp_connection_state_t connection, const struct rabbit_exchange *exchange,
                         struct err *err)
{
    struct arena arena = {0};
    char what[300];
    bool refused = false;

    snprintf(what, sizeof(what), "exchange %.200s", exchange->name);
    if (strncmp(exchange->name, "amq.", 4) != 0) { /* those are there, and may not be declared */
        amqp_exchange_declare(connection, 1, amqp_cstring_bytes(exchange->name),
                              amqp_cstring_bytes(exchange->type), false, exchange->durable, false,
                              false, rabbit_table(&arena, &exchange->arguments));
        refused = rabbit_refused(connection, what, NULL, err);
    }
    arena_release(&arena);
    return refused ? -1 : bind_all(connection, exchange, err);
}

static int make_exchanges(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    const struct rabbit_config *config = cluster->spec->config;
    const struct rabbit_exchange *exchanges = config->exchanges.items;
    amqp_connection_state_t connection;
    int result = 0;

    if (config->exchanges.n == 0)
        return 0;
    connection = rabbit_connect(cluster->nodes[0].plan->address, 0,
                                deadline_within(deadline, CALL_WITHIN_NS), err);
    if (!connection)
        return -1;
    for (size_t i = 0; i < config->exchanges.n && result == 0; i++)
        result = make_exchange(connection, &exchanges[i], err);
    rabbit_disconnect(connection, result == 0);
    return result;
}

/* Ra keeps which name has which log folder in a dets table that reaches the disk some seconds
 * later. A node killed before then comes back with the folder of the queue that a reset deleted
 * ("recover: quorum queue could not be restarted {error,enoent}"), which no user would have
 * provoked. */
static int settle_names(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    char answer[100];

    for (unsigned i = 0; i < cluster->spec->n_nodes; i++)
        if (rabbit_eval(cluster, i, "lists:foreach(fun dets:sync/1,dets:all()),\"ok\".", answer,
                        sizeof(answer), deadline, err) < 0)
            return -1;
    return 0;
}

static int make_topology(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    const struct rabbit_config *config = cluster->spec->config;
    const struct rabbit_queue *queues = config->queues.items;
    const struct rabbit_parameter *parameters = config->parameters.items;

    if (make_queues(cluster, deadline, err) < 0)
        return -1;
    if (config->definitions &&
        import_definitions(cluster, 0, config->definitions, deadline, err) < 0)
        return -1;
    if (make_exchanges(cluster, deadline, err) < 0)
        return -1;
    for (size_t i = 0; i < config->queues.n; i++)
        if (wait_leader(cluster, &queues[i], deadline, err) < 0)
            return -1;
    for (size_t i = 0; i < config->parameters.n; i++)
        if (set_parameter(cluster, &parameters[i], deadline, err) < 0)
            return -1;
    rabbit_drops_begin(cluster, deadline);
    return settle_names(cluster, deadline, err);
}

/* For the next bring-up (layout.c, preload). Whoever comes first writes it, whole or not at all. */
static void keep_modules(struct cluster *cluster, struct deadline deadline)
{
    char path[600], *text;

    if (!rabbit_modules_path(cluster, path, sizeof(path)) || access(path, F_OK) == 0)
        return;
    text = malloc(MODULES_BYTES);
    if (text &&
        rabbit_eval(cluster, 0,
                    "iolist_to_binary(io_lib:format(\"~0p.~n\",[[M||{M,P}<-code:all_loaded(),"
                    "is_list(P)]])).",
                    text, MODULES_BYTES, deadline, NULL) == 0 &&
        file_make_parents(path) == 0)
        file_replace(path, text, strlen(text), NULL);
    free(text);
}

int rabbit_form(struct cluster *cluster, struct deadline deadline, struct err *err)
{
    const struct rabbit_config *config = cluster->spec->config;
    const struct rabbit_policy *policies = config->policies.items;

    if (wait_formed(cluster, deadline, err) < 0)
        return -1;
    for (size_t i = 0; i < config->policies.n; i++)
        if (set_policy(cluster, &policies[i], deadline, err) < 0)
            return -1;
    if (make_topology(cluster, deadline, err) < 0)
        return -1;
    keep_modules(cluster, deadline);
    return 0;
}

/* ---- a node came back */

static bool has_rejoined(const struct rabbit_view *view, unsigned node)
{
    const struct node_view *own = &view->nodes[node];
    uint32_t running = rabbit_running(view);

    if (!own->booted || !(running >> node & 1) || own->running != running)
        return false;
    for (size_t q = 0; q < view->n_queues; q++) {
        const struct queue_view *queue = &own->queues[q];

        if (queue->kind == QUEUE_UNKNOWN ||
            (queue->kind == QUEUE_CLASSIC && queue->leads && queue->ready < 0))
            return false;
        if ((queue->kind == QUEUE_QUORUM || queue->kind == QUEUE_STREAM) &&
            (queue->members >> node & 1) && queue->applied < 0)
            return false; /* its member has not been started yet */
    }
    return true;
}

int rabbit_rejoined(struct cluster *cluster, struct node *node, struct deadline deadline,
                    struct err *err)
{
    for (;;) {
        struct rabbit_view view;
        bool back;

        if (rabbit_look(cluster, &view, deadline, err) < 0)
            return -1;
        back = has_rejoined(&view, node->plan->index);
        if (!back && !view.nodes[node->plan->index].booted)
            err_set(err, "%s",
                    view.nodes[node->plan->index].answered
                        ? "is up but has not finished booting"
                        : "does not answer at its distribution port");
        else if (!back)
            err_set(err, "the others do not count it as running, or its queues are not up");
        rabbit_view_release(&view);
        if (back)
            return 0;
        if (deadline_sleep(&deadline, LOOK_EVERY_NS) < 0)
            return err_prefix(err, "node %s: not back in the cluster", node->plan->name);
    }
}

/* ---- the next case */

int rabbit_reset(struct cluster *cluster, const struct plan_case *next, struct deadline deadline,
                 struct err *err)
{
    amqp_connection_state_t connection;
    struct rabbit_view view;
    bool whole;

    (void)next; /* cluster->plan is the next case's already */
    if (!rabbit_has_its_plugins(cluster))
        return err_set(err, "the next case's clients speak another protocol");
    if (rabbit_look(cluster, &view, deadline, err) < 0)
        return -1;
    whole = rabbit_agrees(&view, all_nodes(cluster));
    rabbit_view_release(&view);
    if (!whole)
        return err_set(err, "the cluster is not whole any more");
    connection = rabbit_connect(cluster->nodes[0].plan->address, 0, deadline, err);
    for (size_t q = 0; connection && q < rabbit_queues(cluster); q++) {
        const char *name = rabbit_queue_name(cluster, q);

        amqp_queue_delete(connection, 1, amqp_cstring_bytes(name), false, false);
        if (rabbit_refused(connection, name, NULL, err)) {
            rabbit_disconnect(connection, false);
            return err_prefix(err, "delete");
        }
    }
    if (!connection)
        return -1;
    rabbit_disconnect(connection, true);
    return make_topology(cluster, deadline, err);
}

/* Deleted on node `index` and made there as it was made before. */
static int make_again(struct cluster *cluster, unsigned index, const struct rabbit_queue *queue,
                      bool of_suite, struct deadline deadline, struct err *err)
{
    const struct rabbit_config *config = cluster->spec->config;
    amqp_connection_state_t connection =
        rabbit_connect(cluster->nodes[index].plan->address, 0, deadline, err);
    int result = -1;

    if (!connection)
        return -1;
    amqp_queue_delete(connection, 1, amqp_cstring_bytes(queue->name), false, false);
    if (!rabbit_refused(connection, "queue.delete", NULL, err))
        result = of_suite ? declare_queue(cluster, connection, queue, err)
                          : import_definitions(cluster, index, config->definitions, deadline, err);
    rabbit_disconnect(connection, result == 0);
    return result < 0 ? -1 : wait_leader(cluster, queue, deadline, err);
}

/*
 * 1: somebody leads it. 0: it is lost. Right after a leader's death nobody leads: those that are
 * left are still electing, or too busy to say that they are there. So it is lost when nothing else
 * was to be seen for a while, by the same nodes.
 */
static int await_leader(struct cluster *cluster, size_t place, uint32_t *running,
                        struct deadline deadline, struct err *err)
{
    int64_t hope_ns = clock_now_ns(); /* of the last look that left some */

    for (*running = 0;;) {
        struct rabbit_view view;
        enum queue_prospect prospect;
        uint32_t before = *running;
        bool led;

        if (rabbit_look(cluster, &view, deadline, err) < 0)
            return -1;
        led = rabbit_leader(&view, place) >= 0;
        prospect = rabbit_prospect(&view, place);
        *running = rabbit_running(&view);
        rabbit_view_release(&view);
        if (led)
            return 1;
        if (prospect != QUEUE_LOST || *running != before)
            hope_ns = clock_now_ns();
        if (clock_now_ns() - hope_ns >= LOST_FOR_NS)
            return 0;
        if (deadline_sleep(&deadline, LOOK_EVERY_NS) == 0)
            continue;
        if (prospect == QUEUE_MAY_PROMOTE)
            return 0; /* ha-promote-on-failure: when-synced, and none of them is */
        return err_set(err, "enough of its members run, but none of them leads it");
    }
}

int rabbit_replace_queue(struct cluster *cluster, const char *name, struct deadline deadline,
                         struct err *err)
{
    const struct rabbit_queue *queue = rabbit_queue_named(cluster->spec->config, name);
    struct rabbit_queue anywhere = queue ? *queue : (struct rabbit_queue){.name = name};
    long place = rabbit_queue_place(cluster, name);
    uint32_t running;
    int led;

    if (place < 0)
        return err_set(err, "replace_queue: \"%s\" is no queue of this cluster", name);
    led = await_leader(cluster, (size_t)place, &running,
                       deadline_within(deadline, ELECTED_WITHIN_NS), err);
    if (led < 0)
        return err_prefix(err, "replace_queue %s", name);
    if (led)
        return 0;
    if (!running)
        return err_set(err, "replace_queue: no node runs");
    anywhere.leader = 0;
    if (make_again(cluster, (unsigned)__builtin_ctz(running), &anywhere, queue != NULL, deadline,
                   err) < 0)
        return err_prefix(err, "replace_queue %s", name);
    return 0;
}

/* ---- what it really runs with */

static void put_lines(const struct kv_sink *sink, const char *node, char *lines)
{
    char *save = NULL;

    for (char *line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *space = strchr(line, ' ');

        if (!space)
            continue;
        *space = '\0';
        sink->put(sink->context, node, line, space + 1);
    }
}

int rabbit_effective(struct cluster *cluster, const struct kv_sink *sink, struct deadline deadline,
                     struct err *err)
{
    static const char settings[] =
        "iolist_to_binary([io_lib:format(\"~s ~s~n\",[K,lists:sublist(lists:flatten("
        "io_lib:format(\"~0p\",[V])),400)])||{K,V}<-lists:sort(application:get_all_env(rabbit)),"
        "K=/=default_pass]++[io_lib:format(\"net_ticktime "
        "~0p~n\",[net_kernel:get_net_ticktime()])]++"
        "[io_lib:format(\"stream.~s ~0p~n\",[K,V])||{K,V}<-lists:sort(application:get_all_env("
        "rabbitmq_stream))]).";
    static const char policies[] =
        "iolist_to_binary([io_lib:format(\"policy.~s ~0p~n\",[proplists:get_value(name,P),P])"
        "||P<-rabbit_policy:list()]).";
    size_t size = (size_t)128 << 10;
    char *text = malloc(size);
    int result = text ? 0 : err_set(err, "out of memory");

    for (unsigned i = 0; i < cluster->spec->n_nodes && result == 0; i++) {
        result = rabbit_eval(cluster, i, settings, text, size, deadline, err);
        if (result == 0)
            put_lines(sink, cluster->nodes[i].plan->name, text);
    }
    if (result == 0)
        result = rabbit_eval(cluster, 0, policies, text, size, deadline, err);
    if (result == 0)
        put_lines(sink, cluster->spec->alias, text);
    free(text);
    return result;
}
