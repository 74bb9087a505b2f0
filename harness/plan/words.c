/*
 * What expressions may say. The words are answered by run/ while a case runs and by report/ when it
 * is judged; here a slip of the pen is caught before anything starts.
 */
#include "plan/build.h"

#include "api/system.h"
#include "suite/nearest.h"
#include "suite/tree.h"

#include <stdlib.h>
#include <string.h>

const struct word_help word_table[] = {
    /* roles: sets of nodes */
    {"leader", WORD_LIVE, "partition or queue",
     "its leader, by the controller quorum or the queue's own cluster"},
    {"followers", WORD_LIVE, "partition or queue", "its replicas but the leader"},
    {"claims_leader", WORD_LIVE, "partition or queue",
     "every node that acts as its leader, by its own word"},
    {"isr", WORD_LIVE, "partition", "in-sync replicas"},
    {"online", WORD_LIVE, "queue", "members that are online, mirrors that are synchronised"},
    {"primary", WORD_LIVE, "cluster, where several have it",
     "the primary, by the sentinel majority"},
    {"claims_primary", WORD_LIVE, "cluster, where several have it",
     "every node that says it is a primary"},
    {"replicas", WORD_LIVE, "cluster, where several have it", "nodes that say they are replicas"},
    {"in_sync", WORD_LIVE, "cluster, where several have it",
     "nodes that say their link to the primary is up: to the one the sentinel majority names"},
    {"controller", WORD_LIVE, "cluster, where several have it",
     "the active controller; the sentinel leader"},
    {"registered", WORD_LIVE, "cluster, where several have it",
     "brokers registered and unfenced, nodes running in the cluster"},
    {"coordinator", WORD_LIVE, "group", "the group's coordinator"},
    {"others", WORD_LIVE, "node or role", "every other server of its cluster"},
    {"role", WORD_LIVE, "node", "primary, replica or none, by the node's own word"},
    {"one", WORD_LIVE, "client, node or role", "one of them, drawn by the seed"},
    {"each", WORD_LIVE, "client, node or role", "all of them"},
    {"none", WORD_LIVE, "", "nobody"},
    /* gauges */
    {"ready", WORD_LIVE, "queue", "messages nobody holds"},
    {"unacked", WORD_LIVE, "queue", "messages handed out and not settled"},
    {"end_offset", WORD_LIVE, "partition", "high watermark"},
    {"committed", WORD_LIVE, "group", "committed position"},
    {"owned", WORD_LIVE, "group", "partitions that have an owner in the group"},
    {"lag", WORD_LIVE, "group or queue", "messages behind the end"},
    /* counters */
    {"sent", WORD_ALWAYS, "send or client", "messages sent"},
    {"acked", WORD_ALWAYS, "send or client", "messages whose completion was ok"},
    {"ok", WORD_ALWAYS, "send or client", "the same"},
    {"fail", WORD_ALWAYS, "send or client", "messages definitely refused"},
    {"unknown", WORD_ALWAYS, "send, client or client.step",
     "messages nobody knows about: timed out, reset, killed"},
    {"believed", WORD_ALWAYS, "send or client", "messages sent without asking for a completion"},
    {"resent", WORD_JUDGED, "send or client", "attempts beyond the first, of all its messages"},
    {"completed", WORD_ALWAYS, "send or client", "ok, fail or unknown"},
    {"outstanding", WORD_LIVE, "client", "messages without a completion right now"},
    {"kills", WORD_ALWAYS, "client", "deaths by SIGKILL that the case asked for"},
    {"dead", WORD_ALWAYS, "client or node", "1 when it is dead"},
    {"held", WORD_LIVE, "client", "workers held at a step right now"},
    {"delivered", WORD_ALWAYS, "client or group", "messages handed to it"},
    {"redeliveries", WORD_ALWAYS, "client or group", "messages handed to it again"},
    {"effects", WORD_ALWAYS, "client or group", "effects it committed"},
    {"settled", WORD_ALWAYS, "client or group", "messages it settled"},
    {"reads", WORD_ALWAYS, "client", "reads answered"},
    {"hits", WORD_ALWAYS, "client", "reads answered by the cache"},
    {"waited", WORD_ALWAYS, "wait's name", "1 when the wait held, 0 when its `else` was taken"},
    {"interleaved", WORD_JUDGED, "", "interleavings that went exactly as written"},
    {"outstanding_at_kill", WORD_JUDGED, "",
     "confirms outstanding when a node was killed, the least over the kills"},
    {"setting", WORD_BEFORE, "cluster, topic or client, key",
     "what the servers, the topic or the client run with: a number or word; none when empty, unset "
     "when there is no such key, mixed where servers differ"},
    {0},
};

static const struct word_help *word_named(const char *name)
{
    for (const struct word_help *w = word_table; w->name; w++)
        if (strcmp(w->name, name) == 0)
            return w;
    return NULL;
}

static bool is_answer(const char *name)
{
    static const char *const answers[] = {"primary", "replica", NULL}; /* of role(x) */

    for (const char *const *a = answers; *a; a++)
        if (strcmp(*a, name) == 0)
            return true;
    return false;
}

static int unbound(struct build *b, const struct expr *e)
{
    struct nearest near = nearest_to(e->name);

    for (size_t i = 0; i < b->bound.n; i++)
        nearest_offer(&near, b->bound.items[i]);
    return mark_err(b->err, &e->mark, "$%s is not bound before this line%s", e->name,
                    nearest_hint(&near));
}

static int unknown_word(struct build *b, const struct expr *e, bool target)
{
    struct nearest near = nearest_to(e->name);

    for (const struct word_help *w = word_table; w->name; w++)
        nearest_offer(&near, w->name);
    for (size_t i = 0; e->kind == EXPR_WORD && i < b->notes.n; i++)
        nearest_offer(&near, b->notes.items[i]);
    for (size_t i = 0; target && i < b->c->n_clients; i++)
        nearest_offer(&near, b->c->clients[i].name);
    for (size_t i = 0; target && i < b->c->n_nodes; i++)
        nearest_offer(&near, b->c->nodes[i].name);
    return mark_err(b->err, &e->mark, "unknown %s \"%s\" in \"%s\"%s",
                    target                 ? "target"
                    : e->kind == EXPR_CALL ? "counter or role"
                                           : "word",
                    e->name, e->text, nearest_hint(&near));
}

/* "work-2": one of several instances, as reports and timelines name it. */
static const struct plan_client *client_of_instance(const struct plan_case *c, const char *name)
{
    for (size_t i = 0; i < c->n_clients; i++) {
        const struct plan_client *client = &c->clients[i];
        size_t n = strlen(client->name);
        char *end;
        unsigned long number;

        if (client->instances < 2 || strncmp(client->name, name, n) != 0 || name[n] != '-' ||
            name[n + 1] < '1' || name[n + 1] > '9')
            continue;
        number = strtoul(name + n + 1, &end, 10);
        if (!*end && number <= client->instances)
            return client;
    }
    return NULL;
}

static bool is_named_in_case(const struct plan_case *c, const char *name)
{
    return plan_node_named(c, name) >= 0 || plan_dest_named(c, name) >= 0 ||
           plan_unit_named(c, name) >= 0 || plan_client_named(c, name) ||
           client_of_instance(c, name) || plan_burst_named(c, name) > 0 ||
           plan_cluster_named(c, name);
}

static void warn_node_name(struct build *b, const struct expr *e)
{
    build_warn(b, &e->mark,
               "\"%s\" is a node's name: which node has which role changes from run to run; a role "
               "says what is meant (leader(…), primary, followers(…))",
               e->name);
}

/* The role words some system of the case says it knows; every word when none says. */
static bool role_is_offered(const struct plan_case *c, const char *name)
{
    bool told = false;

    for (size_t i = 0; i < c->n_clusters; i++)
        for (const char *const *role = c->clusters[i].system->roles; role && *role; role++) {
            told = true;
            if (strcmp(*role, name) == 0)
                return true;
        }
    return !told;
}

static bool is_role(const char *name)
{
    static const char *const roles[] = {"leader",  "followers",  "claims_leader",  "isr",
                                        "online",  "primary",    "claims_primary", "replicas",
                                        "in_sync", "controller", "registered",     "coordinator",
                                        NULL};

    for (const char *const *r = roles; *r; r++)
        if (strcmp(*r, name) == 0)
            return true;
    return false;
}

/* Words of roles and gauges have an answer while the case runs, some counts only when it is over.
 */
static int check_time(struct build *b, const struct expr *e)
{
    const struct word_help *word = word_named(e->name);

    if (word->when == WORD_ALWAYS || b->judging == (word->when == WORD_JUDGED))
        return 0;
    if (word->when == WORD_BEFORE)
        return mark_err(b->err, &e->mark, "%s is asked in applies: only", e->text);
    if (b->judging)
        return mark_err(b->err, &e->mark,
                        "%s is only known while the case runs: keep it with note: {name: %s}",
                        e->text, e->text);
    return mark_err(b->err, &e->mark, "%s is only known when the case is over", e->text);
}

static int check_role(struct build *b, const struct expr *e)
{
    if (word_named(e->name) && check_time(b, e) < 0)
        return -1;
    if (!is_role(e->name) || role_is_offered(b->c, e->name))
        return 0;
    return mark_err(b->err, &e->mark, "no system of this case has the role \"%s\"", e->name);
}

/* What stands between the brackets: a partition, queue, send, client, group … or a target of its
 * own. */
static int check_argument(struct build *b, const struct expr *call, const struct expr *arg)
{
    static const char *const of_units[] = {"leader", "followers", "claims_leader",
                                           "isr",    "online",    NULL};
    struct nearest near;
    const char *name = arg->name ? arg->name : "";
    const char *dot = strchr(name, '.');

    if (strcmp(call->name, "others") == 0 || strcmp(call->name, "role") == 0 ||
        strcmp(call->name, "one") == 0 || strcmp(call->name, "each") == 0)
        return check_target(b, arg);
    if (arg->kind == EXPR_VARIABLE || arg->kind == EXPR_CALL || arg->kind == EXPR_BINARY)
        return check_words(b, arg);
    if (arg->kind != EXPR_WORD)
        return mark_err(b->err, &arg->mark, "\"%s\" is nothing to count in \"%s\"", arg->text,
                        call->text);
    if (strcmp(call->name, "waited") == 0 ? has_string(&b->notes, name)
                                          : is_named_in_case(b->c, name))
        return 0;
    if (dot && plan_client_named(b->c, arena_strndup(b->arena, name, (size_t)(dot - name))))
        return 0; /* unknown(teller.db_commit) */
    near = nearest_to(name);
    for (const char *const *w = of_units; *w; w++)
        for (size_t i = 0; strcmp(*w, call->name) == 0 && i < b->c->n_units; i++)
            nearest_offer(&near, b->c->units[i].name);
    for (size_t i = 0; !near.best && i < b->c->n_bursts; i++)
        nearest_offer(&near, b->c->bursts[i].name);
    for (size_t i = 0; i < b->c->n_clients; i++)
        nearest_offer(&near, b->c->clients[i].name);
    return mark_err(b->err, &arg->mark, "\"%s\" is unknown in \"%s\"%s", name, call->text,
                    nearest_hint(&near));
}

static const struct plan_client *who_sends(const struct plan_case *c, const char *name)
{
    long burst = plan_burst_named(c, name);

    return burst > 0 ? &c->clients[c->bursts[burst - 1].client] : plan_client_named(c, name);
}

/* A history has completions of messages: of who only reads, writes or locks these would be 0. */
static int check_counted(struct build *b, const struct expr *call, const struct expr *arg)
{
    static const char *const of_messages[] = {"sent",    "acked",    "ok",        "fail",
                                              "unknown", "believed", "completed", "resent", NULL};
    const struct plan_client *client = arg->name ? who_sends(b->c, arg->name) : NULL;
    const char *const *word = of_messages;

    while (*word && strcmp(*word, call->name) != 0)
        word++;
    if (!b->judging || !*word || !client || client->broker)
        return 0;
    return mark_err(
        b->err, &call->mark,
        "%s counts messages, and client \"%s\" sends none: keep it with note: {name: %s}",
        call->text, client->name, call->text);
}

int check_words(struct build *b, const struct expr *e)
{
    if (e->kind == EXPR_VARIABLE)
        return has_string(&b->bound, e->name) ? 0 : unbound(b, e);
    if (e->kind == EXPR_WORD) {
        if (plan_node_named(b->c, e->name) >= 0) {
            warn_node_name(b, e);
            return 0;
        }
        if (has_string(&b->notes, e->name) || is_answer(e->name))
            return 0;
        return word_named(e->name) ? check_role(b, e) : unknown_word(b, e, false);
    }
    if (e->kind == EXPR_CALL) {
        if (!word_named(e->name))
            return unknown_word(b, e, false);
        if (check_role(b, e) < 0)
            return -1;
        for (size_t i = 0; i < e->n; i++)
            if (check_argument(b, e, e->args[i]) < 0 || check_counted(b, e, e->args[i]) < 0)
                return -1;
        return 0;
    }
    for (size_t i = 0; i < e->n; i++)
        if (check_words(b, e->args[i]) < 0)
            return -1;
    return 0;
}

int check_target(struct build *b, const struct expr *e)
{
    if (e->kind == EXPR_LIST) {
        for (size_t i = 0; i < e->n; i++)
            if (check_target(b, e->args[i]) < 0)
                return -1;
        return 0;
    }
    if (e->kind != EXPR_WORD)
        return check_words(b, e);
    if (plan_node_named(b->c, e->name) >= 0) {
        warn_node_name(b, e);
        return 0;
    }
    if (is_named_in_case(b->c, e->name))
        return 0;
    return word_named(e->name) ? check_role(b, e) : unknown_word(b, e, true);
}

const struct plan_client *client_of_word(const struct plan_case *c, const char *word)
{
    static const char *const around[] = {"one(", "each(", NULL};
    const struct plan_client *client = plan_client_named(c, word);
    char name[80];

    if (!client)
        client = client_of_instance(c, word);
    for (const char *const *open = around; *open && !client; open++) {
        size_t n = strlen(*open);
        size_t all = strlen(word);

        if (strncmp(word, *open, n) != 0 || word[all - 1] != ')' || all - n > sizeof(name))
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(all - n - 1), word + n);
        client = plan_client_named(c, name);
    }
    return client;
}

int unknown_client(struct build *b, const struct tree_mark *mark, const char *word)
{
    struct nearest near = nearest_to(word);

    for (size_t i = 0; i < b->c->n_clients; i++)
        nearest_offer(&near, b->c->clients[i].name);
    return mark_err(b->err, mark, "no client \"%s\" in this case%s", word, nearest_hint(&near));
}

bool mentions_call(const struct expr *e, const char *name)
{
    if ((e->kind == EXPR_CALL || e->kind == EXPR_WORD) && strcmp(e->name, name) == 0)
        return true;
    for (size_t i = 0; i < e->n; i++)
        if (mentions_call(e->args[i], name))
            return true;
    return false;
}
