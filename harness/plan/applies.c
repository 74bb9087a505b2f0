/*
 * applies: what must be set for a case to mean anything. A row of an audit that has nothing to say
 * about a team's configuration is told from one that holds: it is not applicable, and why.
 *
 *     applies: {"setting(kv, maxmemory) > 0": without a limit nothing is evicted}
 *
 * Judged by what the servers say they run with (history documents "effective/ALIAS": lines of node,
 * key and value with tabs between), not by what was asked of them; a client's settings are what its
 * library makes of those it is given. Left out: and, or (all conditions must hold; alternatives are
 * rows of their own).
 */
#include "plan/build.h"

#include "api/broker.h"
#include "suite/nearest.h"
#include "suite/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what may be said */

static int check_setting(struct build *b, const struct expr *e)
{
    struct nearest near;
    const char *of;

    if (e->n != 2 || e->args[0]->kind != EXPR_WORD || e->args[1]->kind != EXPR_WORD)
        return mark_err(b->err, &e->mark,
                        "\"%s\": setting takes a cluster, topic or client and a key: "
                        "setting(kv, maxmemory)",
                        e->text);
    of = e->args[0]->name;
    near = nearest_to(of);
    for (size_t i = 0; i < b->c->n_clusters; i++) {
        if (strcmp(b->c->clusters[i].alias, of) == 0)
            return 0;
        nearest_offer(&near, b->c->clusters[i].alias);
    }
    if (plan_dest_named(b->c, of) >= 0 || plan_client_named(b->c, of))
        return 0;
    return mark_err(b->err, &e->mark, "no cluster, topic or client \"%s\" in this case%s", of,
                    nearest_hint(&near));
}

static int check_condition(struct build *b, const struct expr *e)
{
    if (e->kind == EXPR_CALL && strcmp(e->name, "setting") == 0)
        return check_setting(b, e);
    if (e->kind == EXPR_CALL || e->kind == EXPR_VARIABLE)
        return mark_err(b->err, &e->mark,
                        "\"%s\": applies knows settings only, nothing has run yet", e->text);
    for (size_t i = 0; i < e->n; i++)
        if (check_condition(b, e->args[i]) < 0)
            return -1;
    return 0;
}

int build_applies(struct build *b)
{
    const struct tree *applies = tree_get(b->tree, "applies");
    struct plan_case *c = b->c;

    if (!applies)
        return 0;
    if (applies->kind != TREE_MAP)
        return mark_err(b->err, &applies->mark,
                        "applies takes a map: {\"setting(kv, maxmemory) > 0\": why not otherwise}");
    c->applies = arena_alloc(b->arena, (applies->n + 1) * sizeof(*c->applies));
    for (size_t i = 0; i < applies->n; i++) {
        const struct tree *otherwise = applies->items[i];
        struct expr *e = expr_parse(applies->keys[i], b->arena, &applies->marks[i], b->err);

        if (!e || check_condition(b, e) < 0)
            return -1;
        if (otherwise->kind != TREE_SCALAR || tree_is_empty(otherwise))
            return mark_err(b->err, &applies->marks[i],
                            "\"%s\": say why the case does not apply otherwise", e->text);
        c->applies[c->n_applies++] = (struct plan_condition){e, otherwise->text};
    }
    return 0;
}

/* ---- what the servers say */

struct settings {
    const struct plan_case *plan;
    effective_text text;
    void *context;
    char last[600]; /* "maxmemory is 0": the settings asked for, for the reason */
    char value[400];
};

static bool same_text(const char *text, size_t n, const char *other)
{
    return strlen(other) == n && strncmp(text, other, n) == 0;
}

/* Lines of a topic are told apart from those of servers by their node: "topic orders". */
static bool of_asked(const char *node, size_t n, const char *topic)
{
    static const char head[] = "topic ";
    bool is_topic = n > strlen(head) && strncmp(node, head, strlen(head)) == 0;

    if (!topic)
        return !is_topic;
    return is_topic && same_text(node + strlen(head), n - strlen(head), topic);
}

/* Into s->value: the one value all give, "mixed", or "unset". */
static void read_lines(struct settings *s, const char *text, size_t size, const char *topic,
                       const char *key)
{
    const char *end = text + size;
    bool found = false;

    snprintf(s->value, sizeof(s->value), "unset");
    for (const char *line = text; line && line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        const char *at = memchr(line, '\t', (size_t)(end - line));
        const char *value = at ? memchr(at + 1, '\t', (size_t)(end - at - 1)) : NULL;

        stop = stop ? stop : end;
        if (value && value < stop && of_asked(line, (size_t)(at - line), topic) &&
            same_text(at + 1, (size_t)(value - at - 1), key)) {
            size_t n = (size_t)(stop - value - 1);

            if (found && !same_text(value + 1, n, s->value)) {
                snprintf(s->value, sizeof(s->value), "mixed");
                return;
            }
            found = true;
            snprintf(s->value, sizeof(s->value), "%.*s", (int)n, value + 1);
        }
        line = stop + 1;
    }
}

/* A client's own: what its library says, else a key of any map it was given ("acks" of librdkafka).
 * Of another release's library only the latter is known: ours does not speak for it. */
static void read_client(struct settings *s, const struct plan_client *client, const char *key)
{
    const struct broker_ops *broker = client->broker;
    const struct tree *found = tree_get(client->tree, key);

    if (!found && broker && broker->setting && !client->libraries &&
        broker->setting(client->broker_args, key, s->value, sizeof(s->value)))
        return;
    for (size_t i = 0; !found && i < client->tree->n; i++)
        if (client->tree->items[i]->kind == TREE_MAP)
            found = tree_get(client->tree->items[i], key);
    snprintf(s->value, sizeof(s->value), "%s",
             found && found->kind == TREE_SCALAR ? found->text : "unset");
}

static void read_setting(struct settings *s, const char *of, const char *key)
{
    const struct plan_client *client = plan_client_named(s->plan, of);
    long dest = plan_dest_named(s->plan, of);

    snprintf(s->value, sizeof(s->value), "unset");
    if (client) {
        read_client(s, client, key);
        return;
    }
    for (size_t i = 0; i < s->plan->n_clusters; i++) {
        const struct plan_cluster *cluster = &s->plan->clusters[i];
        size_t n = 0;
        const char *text;

        if (strcmp(cluster->alias, of) != 0 && (dest < 0 || s->plan->dests[dest].cluster != i))
            continue;
        text = s->text(s->context, cluster->alias, &n);
        if (text)
            read_lines(s, text, n, strcmp(cluster->alias, of) == 0 ? NULL : of, key);
        return;
    }
}

static int lookup(void *context, const struct expr *e, struct value *out, struct err *err)
{
    struct settings *s = context;
    size_t used = strlen(s->last);
    char *end;
    int64_t number;

    (void)err;
    if (e->kind != EXPR_CALL) {
        *out = (struct value){.kind = VALUE_WORD, .word = e->name};
        return 0;
    }
    read_setting(s, e->args[0]->name, e->args[1]->name);
    snprintf(s->last + used, sizeof(s->last) - used, "%s%s is %.200s", used ? ", " : "",
             e->args[1]->name, *s->value ? s->value : "empty");
    errno = 0;
    number = strtoll(s->value, &end, 10);
    if (*s->value == '\0')
        *out = (struct value){.kind = VALUE_NODES}; /* none */
    else if (*end == '\0' && errno == 0)
        *out = (struct value){.kind = VALUE_NUMBER, .number = number};
    else
        *out = (struct value){.kind = VALUE_WORD, .word = s->value};
    return 0;
}

int plan_applies(const struct plan_case *c, effective_text text, void *context, char *why,
                 size_t size, struct err *err)
{
    for (size_t i = 0; i < c->n_applies; i++) {
        struct settings s = {.plan = c, .text = text, .context = context};
        struct value value;

        if (expr_eval(c->applies[i].expr, lookup, &s, &value, err) < 0)
            return err_prefix(err, "applies: %s (%s)", c->applies[i].expr->text, s.last);
        if (value_true(&value))
            continue;
        snprintf(why, size, "%s (%s)", c->applies[i].otherwise, s.last);
        return 0;
    }
    return 1;
}
