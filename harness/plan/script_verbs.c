/*
 * What each verb of a script needs beyond its table (tables.c): names that must be known, keys that
 * belong together, sends that are numbered. `repeat` is script.c's own: it holds steps.
 */
#include "plan/build.h"

#include "api/broker.h"
#include "api/fault.h"
#include "api/registry.h"
#include "api/system.h"
#include "plan/tables.h"
#include "suite/nearest.h"
#include "suite/params.h"
#include "suite/tree.h"

#include <inttypes.h>
#include <string.h>

/* ---- bursts */

static int add_burst(struct build *b, const struct step *step, const char *client,
                     const char **name, bool again)
{
    const struct plan_client *c = client_of_word(b->c, client);
    struct plan_case *plan = b->c;
    long known;

    if (!c)
        return unknown_client(b, &step->mark, client);
    if (!*name)
        *name = arena_printf(b->arena, "%s-%d", step->verb, step->index + 1);
    known = plan_burst_named(plan, *name);
    if (again && (known <= 0 || &plan->clients[plan->bursts[known - 1].client] != c))
        return mark_err(b->err, &step->mark, "again: there is no earlier send \"%s\" from %s",
                        *name, c->name);
    if (again)
        return 0;
    if (known > 0)
        return mark_err(b->err, &step->mark, "a second \"%s\": names of sends are used once",
                        *name);
    if (plan->n_bursts == BURST_NUMBERS_MAX)
        return mark_err(b->err, &step->mark, "more than %d sends in a script", BURST_NUMBERS_MAX);
    plan->bursts[plan->n_bursts++] = (struct plan_burst){*name, (unsigned)(c - plan->clients)};
    return 0;
}

/* ---- what each verb needs beyond its table */

static int finish_send(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct send_args *send = args;
    const struct tree *via = tree_get(value, "via");

    if (!tree_get(value, "count")) {
        send->count = -1;
        if (!send->until)
            return mark_err(b->err, &value->mark, "%s: \"count\" or until: script_end is needed",
                            step->verb);
    }
    if (via) {
        struct expr *e = expr_parse(send->via, b->arena, &via->mark, b->err);

        if (!e || check_words(b, e) < 0)
            return -1;
    }
    return add_burst(b, step, send->from, &send->name, send->again);
}

static int finish_observe(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct observe_args *observe = args;

    (void)value;
    return add_burst(b, step, observe->client, &observe->name, false);
}

static int finish_quiesce(struct build *b, const struct tree *value, struct step *step, void *args)
{
    const struct quiesce_args *quiesce = args;

    (void)step;
    for (size_t i = 0; i < quiesce->units.n; i++) {
        struct nearest near = nearest_to(quiesce->units.items[i]);

        if (plan_dest_named(b->c, quiesce->units.items[i]) >= 0)
            continue;
        for (size_t d = 0; d < b->c->n_dests; d++)
            nearest_offer(&near, b->c->dests[d].name);
        return mark_err(b->err, &value->mark, "quiesce: no topic, queue or list \"%s\"%s",
                        quiesce->units.items[i], nearest_hint(&near));
    }
    return 0;
}

/* bind: and note: */
static int finish_names(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct names_raw *raw = args;
    struct strings *known = step->kind == STEP_BIND ? &b->bound : &b->notes;

    if (value->n == 0)
        return mark_err(b->err, &value->mark, "%s: expected {name: expression}", step->verb);
    raw->args.items = arena_alloc(b->arena, value->n * sizeof(*raw->args.items));
    for (size_t i = 0; i < value->n; i++) {
        const struct param p = {.key = value->keys[i], .type = PARAM_EXPR};
        struct named_expr *named = &raw->args.items[i];

        named->name = value->keys[i];
        if (param_scalar(&p, value->items[i], &named->expr, b->arena, b->err) < 0 ||
            check_words(b, named->expr) < 0)
            return -1;
        raw->args.n++;
    }
    for (size_t i = 0; i < value->n; i++)
        add_string(b->arena, known, value->keys[i]);
    return 0;
}

/* A node may come back with another version where its system says how. Which cluster a word speaks
 * of is known when it is played: here one of the case's must know the version. */
static int check_version(struct build *b, const struct tree_mark *mark, const char *version)
{
    bool known = false, offered = false;

    for (size_t i = 0; i < b->c->n_clusters && !known; i++) {
        const struct plan_cluster *cluster = &b->c->clusters[i];

        if (!cluster->system->with_version)
            continue;
        offered = true;
        known = cluster->system->with_version(cluster->config, version, b->arena, b->err) != NULL;
    }
    if (known) {
        b->err->text[0] = '\0';
        return 0;
    }
    if (!offered)
        return mark_err(b->err, mark,
                        "start: no system of this case has nodes that change their version");
    return mark_err(b->err, mark, "start: %s", arena_strdup(b->arena, b->err->text));
}

static int finish_start(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct start_raw *raw = args;
    const struct plan_client *client = client_of_word(b->c, raw->what);

    (void)step;
    if (raw->args.version && client)
        return mark_err(b->err, &value->mark, "start: client %s has no version", raw->what);
    if (raw->args.version && check_version(b, &value->mark, raw->args.version) < 0)
        return -1;
    if (strcmp(raw->what, "dead nodes") == 0) {
        raw->args.dead_nodes = true;
        return 0;
    }
    if (client) {
        raw->args.client = raw->what;
        return 0;
    }
    raw->args.target = expr_parse(raw->what, b->arena, &value->mark, b->err);
    return raw->args.target ? check_target(b, raw->args.target) : -1;
}

static int finish_resume(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct target_raw *raw = args;

    (void)step;
    if (client_of_word(b->c, raw->what))
        raw->args.client = raw->what;
    raw->args.target = expr_parse(raw->what, b->arena, &value->mark, b->err);
    return raw->args.target ? check_target(b, raw->args.target) : -1;
}

static int finish_release(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct target_raw *raw = args;

    (void)step;
    raw->args.client = raw->what;
    return client_of_word(b->c, raw->what) ? 0 : unknown_client(b, &value->mark, raw->what);
}

static int finish_heal(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct target_raw *raw = args;

    (void)b;
    (void)value;
    (void)step;
    raw->args.name = raw->what;
    return 0; /* that there is such a fault: rules.c */
}

static int finish_wait(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct wait_raw *raw = args;
    const struct expr *e = raw->args.until ? raw->args.until : raw->args.settled;

    (void)step;
    raw->args.or_continue = raw->otherwise == 1;
    if (!raw->args.until == !raw->args.settled)
        return mark_err(b->err, &value->mark, "wait: one of \"until\" and \"settled\" is needed");
    if (raw->args.settled && raw->args.for_ns == 0)
        return mark_err(b->err, &value->mark, "wait: \"settled\" needs \"for\": how long it stays");
    if (raw->args.until && raw->args.for_ns != 0)
        return mark_err(b->err, &value->mark, "wait: \"for\" belongs to \"settled\"");
    if (raw->args.name)
        add_string(b->arena, &b->notes, raw->args.name);
    return check_words(b, e);
}

static int finish_quiet(struct build *b, const struct tree *value, struct step *step, void *args)
{
    const struct quiet_args *quiet = args;

    (void)step;
    if ((quiet->for_ns == 0) == (quiet->until_ns == 0))
        return mark_err(b->err, &value->mark, "quiet: one of \"for\" and \"until\" is needed");
    return 0;
}

static int finish_hold(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct hold_raw *raw = args;

    (void)value;
    (void)step;
    return read_trigger(b, raw->at, true, &raw->args.at);
}

static int finish_arm(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct arm_raw *raw = args;

    (void)value;
    (void)step;
    raw->args.then = raw->then == 0 ? "kill" : "hold";
    return read_trigger(b, raw->at, true, &raw->args.at);
}

static bool waits_for_orders(const struct plan_client *client)
{
    for (const char *const *verb = client->broker ? client->broker->receive_verbs : NULL;
         verb && *verb; verb++)
        if (strcmp(*verb, client->verb) == 0)
            return false;
    return true;
}

/* A client's first point is where it is asked for its operation. */
static int order_point(struct build *b, struct step *step, struct interleave_args *args, size_t i,
                       const char *client)
{
    size_t length = strlen(client) + 1; /* with the dot */
    const char *name;

    for (size_t k = 0; k < i; k++)
        if (strncmp(args->points.items[k], args->points.items[i], length) == 0)
            return 0;
    if (!waits_for_orders(plan_client_named(b->c, client)))
        return 0;
    name = arena_printf(b->arena, "%s-%d-%s", step->verb, step->index + 1, client);
    if (add_burst(b, step, client, &name, false) < 0)
        return -1;
    args->bursts[i] = (unsigned)b->c->n_bursts;
    return 0;
}

static int finish_interleave(struct build *b, const struct tree *value, struct step *step,
                             void *args)
{
    struct interleave_args *interleave = args;

    interleave->bursts =
        arena_alloc(b->arena, (interleave->points.n + 1) * sizeof(*interleave->bursts));
    for (size_t i = 0; i < interleave->points.n; i++) {
        const char *point = interleave->points.items[i];
        const char *dot = strchr(point, '.');
        const char *client;

        if (!dot)
            return mark_err(b->err, &value->mark, "interleave: \"%s\" is not client.step", point);
        client = arena_strndup(b->arena, point, (size_t)(dot - point));
        if (!plan_client_named(b->c, client))
            return unknown_client(b, &value->mark, client);
        if (check_step_name(b, &value->mark, dot + 1) < 0)
            return -1;
        for (size_t k = 0; k < i; k++)
            if (strcmp(interleave->points.items[k], point) == 0)
                return mark_err(b->err, &value->mark, "interleave: \"%s\" stands there twice",
                                point);
        if (order_point(b, step, interleave, i, client) < 0)
            return -1;
    }
    return 0;
}

/* "any node": one of all servers of the case, drawn when it fires; other targets stand as they are.
 */
static const char *target_words(struct build *b, const char *target)
{
    const char *list = "";

    if (strcmp(target, "any node") != 0 && strcmp(target, "any client") != 0)
        return target;
    for (size_t i = 0; target[4] == 'n' && i < b->c->n_clusters; i++)
        if (b->c->clusters[i].n_nodes > 0)
            list =
                arena_printf(b->arena, "%s%s%s", list, *list ? ", " : "", b->c->clusters[i].alias);
    for (size_t i = 0; target[4] == 'c' && i < b->c->n_clients; i++)
        list = arena_printf(b->arena, "%s%s%s", list, *list ? ", " : "", b->c->clients[i].name);
    return arena_printf(b->arena, "one([%s])", list);
}

static int read_chaos_event(struct build *b, const struct tree *tree, struct chaos_event *out)
{
    struct chaos_event_raw raw = {0};
    const struct fault_ops *fault;
    const char *words;
    struct expr *target;
    void *args;

    if (param_fill(chaos_event_params, tree, &raw, b->arena, b->err) < 0)
        return -1;
    fault = fault_named(raw.fault);
    if (!fault || !fault->draw)
        return mark_err(b->err, &tree->mark, "chaos cannot draw \"%s\"", raw.fault);
    words = target_words(b, raw.target);
    target = expr_parse(words, b->arena, &tree->mark, b->err);
    if (!target || check_target(b, target) < 0)
        return -1;
    args = arena_alloc(b->arena, fault->args_size + 1);
    if (fault->draw(b->arena, words, args) < 0)
        return mark_err(b->err, &tree->mark, "chaos: %s cannot hit \"%s\"", raw.fault, raw.target);
    *out = (struct chaos_event){.at_ns = raw.at_ns,
                                .for_ns = raw.for_ns,
                                .fault = fault,
                                .args = args,
                                .target = raw.target,
                                .index = (uint64_t)raw.index};
    return 0;
}

static int finish_chaos(struct build *b, const struct tree *value, struct step *step, void *args)
{
    struct chaos_raw *raw = args;
    size_t n = raw->events ? raw->events->n : 0;

    (void)step;
    raw->args.at_most = 1;
    sscanf(raw->at_most ? raw->at_most : "1", "%" SCNd64, &raw->args.at_most);
    if (!raw->events || raw->events->kind != TREE_LIST)
        return mark_err(b->err, &value->mark, "chaos: events: expected a list");
    raw->args.events = arena_alloc(b->arena, (n + 1) * sizeof(*raw->args.events));
    for (size_t i = 0; i < n; i++)
        if (read_chaos_event(b, raw->events->items[i], &raw->args.events[i]) < 0)
            return -1;
    raw->args.n = n;
    return 0;
}

typedef int finisher(struct build *b, const struct tree *value, struct step *step, void *args);

static finisher *const finishers[] = {
    [STEP_SEND] = finish_send,       [STEP_BACKGROUND] = finish_send,
    [STEP_QUIESCE] = finish_quiesce, [STEP_BIND] = finish_names,
    [STEP_START] = finish_start,     [STEP_HEAL] = finish_heal,
    [STEP_RESUME] = finish_resume,   [STEP_WAIT] = finish_wait,
    [STEP_HOLD] = finish_hold,       [STEP_RELEASE] = finish_release,
    [STEP_ARM] = finish_arm,         [STEP_NOTE] = finish_names,
    [STEP_OBSERVE] = finish_observe, [STEP_INTERLEAVE] = finish_interleave,
    [STEP_QUIET] = finish_quiet,     [STEP_CHAOS] = finish_chaos,
};

int finish_verb(struct build *b, const struct tree *value, struct step *step, void *args)
{
    finisher *finish =
        step->kind < sizeof(finishers) / sizeof(*finishers) ? finishers[step->kind] : NULL;

    return finish ? finish(b, value, step, args) : 0;
}
