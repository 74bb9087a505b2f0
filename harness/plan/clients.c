/*
 * Clients of a case: what they do (the verb), where they connect, what their messages are meant
 * for, and the consumer groups they make. Keys of an entry come from three tables: the common one
 * here, the broker's and the workload's.
 */
#include "plan/build.h"

#include "api/broker.h"
#include "api/registry.h"
#include "api/system.h"
#include "api/workload.h"
#include "plan/tables.h"
#include "suite/nearest.h"
#include "suite/params.h"
#include "suite/tree.h"

#include <string.h>

#define CLIENTS_MAX 64

/* Root folders with libraries for clients (systems/libraries.h). Our own binary runs on them, so
 * their libc must be as new as the one it was linked with. */
static const char *const libraries[] = {"installed", "debian-13", NULL};

static const struct param restart_params[] = {
    {"after", PARAM_DURATION, 0, .required = true, .help = "how long it stays dead"}, {0}};

const struct param client_params[] = {
    {"on", PARAM_STRING, offsetof(struct client_common, on),
     .help = "cluster it connects to, where several offer what it does"},
    {"instances", PARAM_INT, offsetof(struct client_common, instances), .fallback = "1", .min = 1,
     .max = CLIENT_IDS_MAX, .help = "processes of this client, each on a network node of its own"},
    {"workers", PARAM_INT, offsetof(struct client_common, workers), .fallback = "1", .min = 1,
     .max = 256, .help = "threads inside each"},
    {"autostart", PARAM_BOOL, offsetof(struct client_common, autostart), .fallback = "true",
     .help = "false: the script starts it"},
    {"libraries", PARAM_CHOICE, offsetof(struct client_common, libraries), .fallback = "installed",
     .choices = libraries,
     .help = "where its client library comes from: a root folder that ci/roots makes, of which it "
             "takes librdkafka 2.8, librabbitmq 0.15, libpq 17 and the libc below them; what has "
             "another soname there (hiredis) stays this machine's. Which keys that library takes "
             "is known when it is opened"},
    {"restart", PARAM_STRUCT, offsetof(struct client_common, restart_after_ns),
     .sub = restart_params, .sub_size = sizeof(int64_t), .shorthand = "after",
     .present = offsetof(struct client_common, restarts),
     .help = "a new incarnation after it died"},
    {"meant_for", PARAM_STRINGS, offsetof(struct client_common, meant_for),
     .help = "destinations every message must reach; by default the one it is sent to"},
    {0}};

static bool is_one_of(const char *const *words, const char *word)
{
    for (; words && *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

/* The first key of the entry that is a verb of this broker. */
static const char *verb_in(const struct broker_ops *broker, const struct tree *entry)
{
    for (size_t i = 0; broker && i < entry->n; i++)
        if (is_one_of(broker->send_verbs, entry->keys[i]) ||
            is_one_of(broker->receive_verbs, entry->keys[i]))
            return entry->keys[i];
    return NULL;
}

struct drafted { /* one client under construction */
    struct plan_client *client;
    const struct tree *entry;
    struct client_common common;
};

static int fill_client(struct build *b, struct drafted *d, const struct broker_ops *broker,
                       void *broker_args, struct err *err)
{
    const struct workload_ops *workload = b->c->workload;
    void *role_args = arena_alloc(b->arena, workload->client_args_size + 1);
    const struct param_into into[] = {{client_params, &d->common},
                                      {broker ? broker->params : NULL, broker_args},
                                      {workload->client_params, role_args}};

    d->client->role_args = role_args;
    return param_fill_all(into, 3, d->entry, b->arena, err);
}

static long dest_in(const struct plan_case *c, unsigned cluster, const char *name)
{
    for (size_t i = 0; name && i < c->n_dests; i++)
        if (c->dests[i].cluster == cluster && !c->dests[i].group &&
            strcmp(c->dests[i].name, name) == 0)
            return (long)i;
    return -1;
}

/* Does this cluster have what the entry names? Only asked to choose between clusters. */
static bool owns(struct build *b, const struct drafted *d, unsigned cluster)
{
    const struct broker_ops *broker = b->c->clusters[cluster].system->broker;
    void *args = arena_alloc(b->arena, broker->args_size + 1);
    const char *sends_to = NULL, *reads = NULL, *group = NULL;
    struct plan_client client = {0};
    struct drafted trial = {.client = &client, .entry = d->entry};
    struct err ignored;

    if (fill_client(b, &trial, broker, args, &ignored) < 0 || !broker->names)
        return false;
    if (broker->names(args, &sends_to, &reads, &group) < 0)
        return false;
    return dest_in(b->c, cluster, sends_to) >= 0 || dest_in(b->c, cluster, reads) >= 0;
}

static int unknown_alias(struct build *b, const struct tree *value)
{
    struct nearest near = nearest_to(value->text);

    for (size_t i = 0; i < b->c->n_clusters; i++)
        nearest_offer(&near, b->c->clusters[i].alias);
    return mark_err(b->err, &value->mark, "on: no cluster \"%s\" in this case%s", value->text,
                    nearest_hint(&near));
}

/* Which cluster: the one it says, the only one that offers its verb, the one that has its
 * destination. */
static int choose_cluster(struct build *b, const struct drafted *d, long *chosen)
{
    const struct tree *on = tree_get(d->entry, "on");
    const char *offered = NULL;
    size_t offers = 0, owners = 0;
    long owner = -1;

    *chosen = -1;
    for (unsigned i = 0; i < b->c->n_clusters; i++) {
        const struct plan_cluster *cluster = &b->c->clusters[i];
        const char *verb = verb_in(cluster->system->broker, d->entry);

        if (on && on->kind == TREE_SCALAR && strcmp(on->text, cluster->alias) == 0) {
            *chosen = (long)i;
            return 0;
        }
        if (!verb)
            continue;
        offered = verb;
        *chosen = *chosen < 0 ? (long)i : *chosen;
        offers++;
        if (owns(b, d, i)) {
            owner = owner < 0 ? (long)i : owner;
            owners++;
        }
    }
    if (on)
        return on->kind == TREE_SCALAR ? unknown_alias(b, on) : 0;
    if (owners == 1)
        *chosen = owner;
    else if (offers > 1)
        return mark_err(b->err, &d->entry->mark,
                        "client \"%s\": several clusters offer \"%s\": say which with on:",
                        d->client->name, offered);
    return 0;
}

static void offer_verbs(const char *const *verbs, struct nearest *near, char *out, size_t size)
{
    for (; verbs && *verbs; verbs++) {
        size_t used = strlen(out);

        nearest_offer(near, *verbs);
        if (!strstr(out, *verbs))
            snprintf(out + used, size - used, "%s%s", used ? ", " : "", *verbs);
    }
}

/* "push, add, consume": what a client may do in this case; each is offered to `near`. */
static void offered_verbs(struct build *b, struct nearest *near, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < b->c->n_clusters; i++) {
        const struct broker_ops *broker = b->c->clusters[i].system->broker;

        offer_verbs(broker ? broker->send_verbs : NULL, near, out, size);
        offer_verbs(broker ? broker->receive_verbs : NULL, near, out, size);
    }
    offer_verbs(b->c->workload->roles, near, out, size);
}

static bool in_table(const struct param *p, const char *key)
{
    for (; p && p->type != PARAM_END; p++)
        if (strcmp(p->key, key) == 0 || strcmp(p->key, "*") == 0)
            return true;
    return false;
}

/* Without a verb no system's table was asked: a key that no other knows was meant to be one. */
static int check_verbless(struct build *b, const struct drafted *d)
{
    char verbs[300];

    for (size_t i = 0; i < d->entry->n; i++) {
        const char *key = d->entry->keys[i];
        struct nearest near = nearest_to(key);

        if (in_table(client_params, key) || in_table(b->c->workload->client_params, key))
            continue;
        offered_verbs(b, &near, verbs, sizeof(verbs));
        return mark_err(b->err, &d->entry->marks[i],
                        "unknown key \"%s\" of client \"%s\"%s; what it may do here: %s", key,
                        d->client->name, nearest_hint(&near), verbs);
    }
    return 0;
}

static int nothing_to_do(struct build *b, const struct drafted *d)
{
    struct nearest near = nearest_to("");
    char verbs[300];

    offered_verbs(b, &near, verbs, sizeof(verbs));
    return mark_err(b->err, &d->entry->mark, "client \"%s\" has nothing to do: one of %s is needed",
                    d->client->name, verbs);
}

/* ---- destinations */

static int unknown_dest(struct build *b, const struct drafted *d, const struct tree_mark *mark,
                        const char *name, const char *what)
{
    struct nearest near = nearest_to(name);

    for (size_t i = 0; i < b->c->n_dests; i++)
        nearest_offer(&near, b->c->dests[i].name);
    return mark_err(b->err, mark, "client \"%s\": %s \"%s\" is no destination of cluster \"%s\"%s",
                    d->client->name, what, name, b->c->clusters[d->client->cluster].alias,
                    nearest_hint(&near));
}

/* Where naming a destination makes it (a Redis key) it need not be declared. */
static long implicit_dest(struct build *b, const struct drafted *d, const char *name)
{
    const struct broker_ops *broker = d->client->broker;
    long dest = dest_in(b->c, d->client->cluster, name);
    int kind = name && dest < 0 && broker->implicit_kind
                   ? broker->implicit_kind(d->client->broker_args)
                   : -1;

    return kind < 0 ? dest : add_dest(b, d->client->cluster, name, kind, 1);
}

/* Every consumer group is a destination of its own, once. */
static int add_group(struct build *b, const struct drafted *d, const char *group, long of)
{
    struct plan_case *c = b->c;

    for (size_t i = 0; i < c->n_dests; i++) {
        if (strcmp(c->dests[i].name, group) != 0 || c->dests[i].cluster != d->client->cluster)
            continue;
        if (c->dests[i].group && c->dests[i].of == (uint32_t)of)
            return 0;
        if (!c->dests[i].group)
            return mark_err(b->err, &d->entry->mark,
                            "client \"%s\": group \"%s\" has the name of a destination",
                            d->client->name, group);
    }
    c->dests = array_grown(b->arena, c->dests, c->n_dests, sizeof(*c->dests));
    c->dests[c->n_dests] = c->dests[of];
    c->dests[c->n_dests].name = arena_strdup(b->arena, group);
    c->dests[c->n_dests].group = true;
    c->dests[c->n_dests].of = (uint32_t)of;
    c->n_dests++;
    return 0;
}

/* An exchange, a key of the application's own: nobody says where that leads. */
static void warn_of_target(struct build *b, const struct drafted *d, const char *sends_to)
{
    struct nearest near = nearest_to(sends_to ? sends_to : "");
    const char *what = "what it sends to";

    for (size_t i = 0; sends_to && i < b->c->n_dests; i++)
        nearest_offer(&near, b->c->dests[i].name);
    if (sends_to)
        what = arena_printf(b->arena, "\"%s\"", sends_to);
    build_warn(b, &d->entry->mark,
               "client \"%s\": %s is not declared%s: where its messages must arrive is not known, "
               "so no loss of them can be seen: say meant_for: […]",
               d->client->name, what, nearest_hint(&near));
}

static int fill_duties(struct build *b, struct drafted *d, const char *sends_to)
{
    const struct strings *meant = &d->common.meant_for;
    struct plan_client *client = d->client;
    long dest = dest_in(b->c, client->cluster, sends_to);

    client->duties = arena_alloc(b->arena, (meant->n + 1) * sizeof(*client->duties));
    if (!tree_get(d->entry, "meant_for")) {
        if (dest >= 0)
            client->duties[client->n_duties++] = (uint32_t)dest;
        else
            warn_of_target(b, d, sends_to);
        return 0;
    }
    for (size_t i = 0; i < meant->n; i++) {
        dest = plan_dest_named(b->c, meant->items[i]);
        if (dest < 0)
            return unknown_dest(b, d, &tree_get(d->entry, "meant_for")->mark, meant->items[i],
                                "meant_for:");
        client->duties[client->n_duties++] = (uint32_t)dest;
    }
    return 0;
}

/* What it speaks may not reach every kind of destination. */
static int check_fit(struct build *b, const struct drafted *d, const char *sends_to)
{
    const struct broker_ops *broker = d->client->broker;
    long dest = dest_in(b->c, d->client->cluster, sends_to);
    const char *why = broker->misfit && dest >= 0
                          ? broker->misfit(d->client->broker_args, (int)b->c->dests[dest].kind)
                          : NULL;

    return why ? mark_err(b->err, &d->entry->mark, "client \"%s\": \"%s\": %s", d->client->name,
                          sends_to, why)
               : 0;
}

static int name_destinations(struct build *b, struct drafted *d)
{
    const struct broker_ops *broker = d->client->broker;
    const char *sends_to = NULL, *reads = NULL, *group = NULL;
    long read;

    if (!broker || !broker->names)
        return 0;
    if (broker->names(d->client->broker_args, &sends_to, &reads, &group) < 0)
        return mark_err(b->err, &d->entry->mark,
                        "client \"%s\": what it sends to or reads is not said", d->client->name);
    read = implicit_dest(b, d, reads);
    implicit_dest(b, d, sends_to);
    if (reads && read < 0)
        return unknown_dest(b, d, &d->entry->mark, reads, "reads");
    if (reads && group && add_group(b, d, group, read) < 0)
        return -1;
    if (check_fit(b, d, sends_to) < 0)
        return -1;
    if (is_one_of(broker->send_verbs, d->client->verb) || sends_to)
        return fill_duties(b, d, sends_to);
    return 0;
}

/* ---- one client */

static int connect_client(struct build *b, struct drafted *d)
{
    struct plan_client *client = d->client;
    const struct broker_ops *broker;
    const char *why;
    void *args;
    long chosen;

    if (choose_cluster(b, d, &chosen) < 0)
        return -1;
    client->cluster = chosen < 0 ? 0 : (unsigned)chosen;
    broker = chosen < 0 ? NULL : b->c->clusters[chosen].system->broker;
    args = arena_alloc(b->arena, (broker ? broker->args_size : 0) + 1);
    if (chosen < 0 && check_verbless(b, d) < 0)
        return -1;
    if (fill_client(b, d, broker, args, b->err) < 0)
        return -1;
    if (chosen >= 0 && check_refused(b, b->c->clusters[chosen].system, d->entry) < 0)
        return -1;
    /* what another version of the library takes only that one can tell, when it is opened */
    if (broker && broker->check && !d->common.libraries && broker->check(args, b->err) < 0)
        return -1;
    client->broker = broker;
    client->broker_args = broker ? args : NULL;
    why = broker && broker->senseless
              ? broker->senseless(args, (unsigned)(d->common.instances * d->common.workers))
              : NULL;
    if (why)
        return mark_err(b->err, &d->entry->mark, "client \"%s\": %s", d->client->name, why);
    client->verb = verb_in(broker, d->entry);
    for (size_t i = 0; !client->verb && i < d->entry->n; i++)
        if (is_one_of(b->c->workload->roles, d->entry->keys[i]))
            client->verb = d->entry->keys[i];
    return client->verb ? 0 : nothing_to_do(b, d);
}

static int number_client(struct build *b, struct drafted *d)
{
    struct plan_client *client = d->client;

    client->first_id = (uint16_t)b->c->n_client_ids;
    client->instances = (uint16_t)d->common.instances;
    client->workers = (uint16_t)d->common.workers;
    client->autostart = d->common.autostart;
    client->libraries = d->common.libraries ? libraries[d->common.libraries] : NULL;
    client->restart_after_ns = d->common.restarts ? d->common.restart_after_ns : -1;
    b->c->n_client_ids += client->instances;
    if (b->c->n_client_ids > CLIENT_IDS_MAX)
        return mark_err(b->err, &d->entry->mark, "more than %d client processes in a case",
                        CLIENT_IDS_MAX);
    snprintf(client->address, sizeof(client->address), "10.77.100.%u",
             (client->first_id + 1u) & 0xffu);
    return 0;
}

static int no_such_cluster(struct build *b, const char *alias, const char *what)
{
    const struct tree *workload = tree_get(b->tree, "workload");
    struct nearest near = nearest_to(alias);

    for (size_t i = 0; i < b->c->n_clusters; i++)
        if (what[0] == 's' ? b->c->clusters[i].system->store != NULL
                           : b->c->clusters[i].system->cache != NULL)
            nearest_offer(&near, b->c->clusters[i].alias);
    return mark_err(b->err, &workload->mark, "workload %s: \"%s\" is no cluster with a %s%s",
                    b->c->workload->name, alias, what, nearest_hint(&near));
}

/* What its workload wants of it: that it makes sense, and that the clusters it names offer it. */
static int check_needs(struct build *b, const struct drafted *d)
{
    const struct workload_ops *workload = b->c->workload;
    const void *args = b->c->workload_args, *role_args = d->client->role_args;
    struct worker_needs needs = {0};
    const struct plan_cluster *cluster;
    const char *why = workload->senseless ? workload->senseless(args, role_args) : NULL;

    if (why)
        return mark_err(b->err, &d->entry->mark, "client \"%s\": %s", d->client->name, why);
    if (workload->needs)
        workload->needs(args, role_args, &needs);
    cluster = needs.store ? plan_cluster_named(b->c, needs.store) : NULL;
    if (needs.store && !(cluster && cluster->system->store))
        return no_such_cluster(b, needs.store, "store");
    cluster = needs.cache ? plan_cluster_named(b->c, needs.cache) : NULL;
    if (needs.cache && !(cluster && cluster->system->cache))
        return no_such_cluster(b, needs.cache, "cache");
    why = needs.cache ? cluster->system->cache->senseless(cluster->config, needs.cache_replica)
                      : NULL;
    if (why)
        return mark_err(b->err, &cluster->tree->mark, "cluster \"%s\": %s", cluster->alias, why);
    return 0;
}

static bool name_is_taken(const struct plan_case *c, const char *name)
{
    return plan_cluster_named(c, name) || plan_node_named(c, name) >= 0;
}

static int build_client(struct build *b, const struct tree *clients, size_t i)
{
    struct drafted d = {.client = &b->c->clients[i], .entry = clients->items[i]};

    d.client->name = clients->keys[i];
    d.client->tree = d.entry;
    if (d.entry->kind != TREE_MAP)
        return mark_err(b->err, &d.entry->mark, "client \"%s\": expected a map of keys",
                        d.client->name);
    if (name_is_taken(b->c, d.client->name))
        return mark_err(b->err, &clients->marks[i],
                        "\"%s\" is already the name of a cluster or node", d.client->name);
    if (connect_client(b, &d) < 0 || number_client(b, &d) < 0 || check_needs(b, &d) < 0)
        return -1;
    b->c->n_clients = i + 1;
    return name_destinations(b, &d);
}

int build_clients(struct build *b)
{
    const struct tree *clients = tree_get(b->tree, "clients");

    if (!clients || clients->kind != TREE_MAP || clients->n == 0)
        return mark_err(b->err, clients ? &clients->mark : &b->tree->mark,
                        "the case has no clients: add clients: {app: …}");
    if (clients->n > CLIENTS_MAX)
        return mark_err(b->err, &clients->mark, "more than %d clients in a case", CLIENTS_MAX);
    b->c->clients = arena_alloc(b->arena, clients->n * sizeof(*b->c->clients));
    for (size_t i = 0; i < clients->n; i++)
        if (build_client(b, clients, i) < 0)
            return -1;
    return 0;
}

int build_workload(struct build *b)
{
    const struct tree *entry = tree_get(b->tree, "workload");
    const char *name = entry && entry->kind == TREE_MAP && entry->n == 1 ? entry->keys[0]
                       : entry && entry->kind == TREE_SCALAR             ? entry->text
                                                                         : NULL;
    struct nearest near;
    void *args;

    if (!entry)
        return mark_err(b->err, &b->tree->mark,
                        "the case has no workload: add workload: {queue: {}}");
    if (!name)
        return mark_err(b->err, &entry->mark, "a case has one workload: {queue: {…}}");
    b->c->workload = workload_named(name);
    near = nearest_to(name);
    for (size_t i = 0; all_workloads[i]; i++)
        nearest_offer(&near, all_workloads[i]->name);
    if (!b->c->workload)
        return mark_err(b->err, entry->kind == TREE_MAP ? &entry->marks[0] : &entry->mark,
                        "unknown workload \"%s\"%s", name, nearest_hint(&near));
    args = arena_alloc(b->arena, b->c->workload->args_size + 1);
    b->c->workload_args = args;
    return param_fill(b->c->workload->params, entry->kind == TREE_MAP ? entry->items[0] : NULL,
                      args, b->arena, b->err);
}
