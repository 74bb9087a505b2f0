/*
 * The control plane's connections: one blocking hiredis context per node, made when first needed
 * and thrown away whenever an answer is missing (a late reply must never be taken for the next
 * one's). Every wait is bounded, so a paused node costs its share and no more.
 */
#include "systems/redis/redis.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ASK_LIMIT_NS (2 * SECOND_NS)   /* one answer, whatever the caller's deadline */
#define CONNECT_LIMIT_NS (200 * MS_NS) /* nodes are one bridge away; a dead one refuses at once */
#define LOOK_LIMIT_NS (400 * MS_NS)    /* a look at all nodes, hung ones included */

static struct timeval timeval_of(int64_t ns)
{
    if (ns < MS_NS)
        ns = MS_NS;
    return (struct timeval){.tv_sec = ns / SECOND_NS, .tv_usec = ns % SECOND_NS / 1000};
}

static int64_t left_ns(const struct deadline *deadline)
{
    return (int64_t)deadline_left_ms(deadline) * MS_NS;
}

static struct redis_state *state_of(struct cluster *cluster)
{
    if (!cluster->state) {
        cluster->state = calloc(1, sizeof(struct redis_state));
        if (!cluster->state)
            abort();
        signal(SIGPIPE, SIG_IGN); /* hiredis writes with write(2) */
    }
    return cluster->state;
}

static void drop_link(struct cluster *cluster, unsigned index)
{
    redisContext **link = &state_of(cluster)->links[index];

    if (*link)
        redisFree(*link);
    *link = NULL;
}

static redisContext *link_to(struct cluster *cluster, unsigned index, struct deadline deadline,
                             struct err *err)
{
    const struct plan_node *node = cluster->nodes[index].plan;
    int port = index < redis_servers(redis_config(cluster)) ? REDIS_PORT : SENTINEL_PORT;
    redisContext **link = &state_of(cluster)->links[index];

    if (*link)
        return *link;
    deadline = deadline_within(deadline, CONNECT_LIMIT_NS);
    *link = redisConnectWithTimeout(node->address, port, timeval_of(left_ns(&deadline)));
    if (!*link)
        abort(); /* out of memory */
    if ((*link)->err) {
        err_set(err, "%s (%s:%d): %s", node->name, node->address, port, (*link)->errstr);
        drop_link(cluster, index);
        return NULL;
    }
    return *link;
}

static redisReply *await(struct cluster *cluster, unsigned index, struct deadline deadline,
                         struct err *err)
{
    redisContext *c = state_of(cluster)->links[index];
    void *reply = NULL;

    redisSetTimeout(c, timeval_of(left_ns(&deadline)));
    if (redisGetReply(c, &reply) == REDIS_OK && reply)
        return reply;
    err_set(err, "%s: %s", cluster->nodes[index].plan->name,
            errno == EAGAIN ? "no answer in time" : c->errstr);
    drop_link(cluster, index);
    return NULL;
}

static redisReply *vask(struct cluster *cluster, unsigned index, struct deadline deadline,
                        struct err *err, const char *format, va_list args)
{
    redisContext *c;

    deadline = deadline_within(deadline, ASK_LIMIT_NS);
    c = link_to(cluster, index, deadline, err);
    if (!c)
        return NULL;
    if (redisvAppendCommand(c, format, args) != REDIS_OK)
        abort(); /* a bad format is ours */
    return await(cluster, index, deadline, err);
}

redisReply *redis_ask(struct cluster *cluster, unsigned index, struct deadline deadline,
                      struct err *err, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = vask(cluster, index, deadline, err, format, args);
    va_end(args);
    return reply;
}

redisReply *redis_want(struct cluster *cluster, unsigned index, struct deadline deadline,
                       struct err *err, const char *format, ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = vask(cluster, index, deadline, err, format, args);
    va_end(args);
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        err_set(err, "%s: %s answers %s", cluster->nodes[index].plan->name, format, reply->str);
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

int redis_node_at(const struct cluster *cluster, const char *address)
{
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++)
        if (strcmp(cluster->nodes[i].plan->address, address) == 0)
            return (int)i;
    return -1;
}

/* master, offset, [[ip, port, offset] …] · slave, ip, port, state, offset */
static void read_role(const struct cluster *cluster, const redisReply *r, struct redis_view *view)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 3 ||
        r->element[0]->type != REDIS_REPLY_STRING)
        return;
    if (strcmp(r->element[0]->str, "master") == 0) {
        view->answered = view->primary = true;
        view->offset = r->element[1]->integer;
        view->replicas = (unsigned)r->element[2]->elements;
    } else if (strcmp(r->element[0]->str, "slave") == 0 && r->elements >= 5) {
        view->answered = true;
        view->of = redis_node_at(cluster, r->element[1]->str);
        view->linked = strcmp(r->element[3]->str, "connected") == 0;
        view->connecting = strcmp(r->element[3]->str, "connect") == 0;
        view->offset = r->element[4]->integer;
    }
}

static const char *field(const redisReply *flat, const char *name)
{
    for (size_t i = 0; i + 1 < flat->elements; i += 2)
        if (flat->element[i]->str && strcmp(flat->element[i]->str, name) == 0)
            return flat->element[i + 1]->str;
    return NULL;
}

static int64_t number_field(const redisReply *flat, const char *name)
{
    const char *text = field(flat, name);

    return text ? atoll(text) : -1;
}

/* SENTINEL MASTER: a flat map of texts. */
static void read_sentinel(const redisReply *r, struct redis_view *view)
{
    const char *flags;
    int64_t epoch;

    if (r->type != REDIS_REPLY_ARRAY)
        return;
    epoch = number_field(r, "config-epoch");
    flags = field(r, "flags");
    view->epoch = epoch > 0 ? (uint32_t)epoch : 0;
    view->knows_replicas = number_field(r, "num-slaves");
    view->knows_sentinels = number_field(r, "num-other-sentinels");
    view->steady = flags && strcmp(flags, "master") == 0;
}

static void gather(struct cluster *cluster, unsigned index, struct redis_view *view,
                   struct deadline deadline)
{
    redisReply *first = await(cluster, index, deadline, NULL), *second;

    if (!first)
        return;
    if (!view->sentinel) {
        read_role(cluster, first, view);
    } else if ((second = await(cluster, index, deadline, NULL))) {
        view->answered = true;
        if (first->type == REDIS_REPLY_ARRAY && first->elements == 2)
            view->names = redis_node_at(cluster, first->element[0]->str);
        read_sentinel(second, view);
        freeReplyObject(second);
    }
    freeReplyObject(first);
}

static bool ask_all(redisContext *c, bool sentinel)
{
    int done = 0;

    if (sentinel) {
        redisAppendCommand(c, "SENTINEL GET-MASTER-ADDR-BY-NAME %s", REDIS_MASTER);
        redisAppendCommand(c, "SENTINEL MASTER %s", REDIS_MASTER);
    } else {
        redisAppendCommand(c, "ROLE");
    }
    while (!done)
        if (redisBufferWrite(c, &done) != REDIS_OK)
            return false;
    return true;
}

void redis_look(struct cluster *cluster, struct redis_view *views, struct deadline deadline)
{
    unsigned servers = redis_servers(redis_config(cluster)), n = cluster->spec->n_nodes;
    bool asked[REDIS_NODES_MAX] = {false};

    deadline = deadline_within(deadline, LOOK_LIMIT_NS);
    for (unsigned i = 0; i < n; i++) {
        redisContext *c = link_to(cluster, i, deadline, NULL);

        views[i] = (struct redis_view){.sentinel = i >= servers,
                                       .of = -1,
                                       .names = -1,
                                       .offset = -1,
                                       .knows_replicas = -1,
                                       .knows_sentinels = -1};
        if (!c)
            continue;
        asked[i] = ask_all(c, views[i].sentinel);
        if (!asked[i])
            drop_link(cluster, i);
    }
    for (unsigned i = 0; i < n; i++)
        if (asked[i])
            gather(cluster, i, &views[i], deadline);
}

void redis_release(struct cluster *cluster)
{
    if (!cluster->state)
        return;
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++)
        drop_link(cluster, i);
    free(cluster->state);
    cluster->state = NULL;
}
