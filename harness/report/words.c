/*
 * The counters of `require` and `expect`: acked(burst or client), kills(client), notes by their
 * name … One row each; what a word counts is said in `assay help expressions` and SUITES.md.
 */
#include "report/counters.h"

#include <string.h>

static int is_number(struct value *out, int64_t number)
{
    *out = (struct value){.kind = VALUE_NUMBER, .number = number};
    return 0;
}

static const struct named_count *named(const struct named_count *items, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(items[i].name, name) == 0)
            return &items[i];
    return NULL;
}

static void add(struct send_counts *to, const struct send_counts *from)
{
    to->sent += from->sent;
    to->ok += from->ok;
    to->fail += from->fail;
    to->unknown += from->unknown;
    to->believed += from->believed;
    to->resent += from->resent;
    to->reads += from->reads;
    to->hits += from->hits;
}

static int64_t pick(const struct send_counts *s, const char *word)
{
    if (strcmp(word, "sent") == 0)
        return s->sent;
    if (strcmp(word, "completed") == 0)
        return s->ok + s->fail + s->unknown + s->believed;
    if (strcmp(word, "fail") == 0)
        return s->fail;
    if (strcmp(word, "unknown") == 0)
        return s->unknown;
    if (strcmp(word, "believed") == 0)
        return s->believed;
    if (strcmp(word, "resent") == 0)
        return s->resent;
    if (strcmp(word, "reads") == 0)
        return s->reads;
    if (strcmp(word, "hits") == 0)
        return s->hits;
    return s->ok; /* acked, ok */
}

static int sends(const struct counters *c, const struct expr *e, struct value *out, struct err *err)
{
    const char *name = e->n == 1 ? e->args[0]->text : "";
    long burst = plan_burst_named(c->plan, name);
    const struct plan_client *client = plan_client_named(c->plan, name);
    struct send_counts sum = {0};

    if (e->n == 0)
        return is_number(out, pick(&c->all, e->name));
    if (burst > 0)
        return is_number(out, pick(&c->bursts[burst], e->name));
    if (!client)
        return err_set(err, "%s: no send and no client is called %s", e->text, name);
    for (unsigned i = 0; i < client->instances; i++)
        add(&sum, &c->clients[client->first_id + i].sends);
    return is_number(out, pick(&sum, e->name));
}

/* unknown(teller.db_commit): store transactions of that client that nobody answered. */
static bool is_commits(const struct counters *c, const struct expr *e,
                       const struct plan_client **client)
{
    const char *name = e->n == 1 ? e->args[0]->text : "", *dot = strchr(name, '.');
    char bare[100];

    if (!dot || strcmp(dot, ".db_commit") != 0 || (size_t)(dot - name) >= sizeof(bare))
        return false;
    memcpy(bare, name, (size_t)(dot - name));
    bare[dot - name] = '\0';
    *client = plan_client_named(c->plan, bare);
    return *client != NULL;
}

static int64_t of_client(const struct client_counts *c, const char *word)
{
    if (strcmp(word, "kills") == 0)
        return c->kills;
    if (strcmp(word, "dead") == 0)
        return c->dead;
    if (strcmp(word, "delivered") == 0)
        return c->delivered;
    if (strcmp(word, "redeliveries") == 0)
        return c->redelivered;
    if (strcmp(word, "settled") == 0)
        return c->settled;
    return c->effects;
}

static int consumers(const struct counters *c, const struct expr *e, struct value *out,
                     struct err *err)
{
    const char *name = e->n == 1 ? e->args[0]->text : "";
    const struct plan_client *client = plan_client_named(c->plan, name);
    long dest = plan_dest_named(c->plan, name);
    int64_t sum = 0;

    if (e->n == 0 && strcmp(e->name, "effects") == 0)
        return is_number(out, c->journal);
    for (unsigned i = 0; client && i < client->instances; i++)
        sum += of_client(&c->clients[client->first_id + i], e->name);
    if (!client && dest >= 0 && strcmp(e->name, "delivered") == 0)
        sum = c->delivered[dest];
    else if (!client && dest >= 0 && strcmp(e->name, "redeliveries") == 0)
        sum = c->redelivered[dest];
    else if (!client)
        return err_set(err, "%s: no client, group or queue is called %s", e->text, name);
    return is_number(out, sum);
}

static bool among(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words;
}

static int call(const struct counters *c, const struct expr *e, struct value *out, struct err *err)
{
    static const char *const send_words[] = {"sent",    "acked",     "ok",       "fail",
                                             "unknown", "completed", "believed", "resent",
                                             "reads",   "hits",      NULL};
    static const char *const client_words[] = {"kills",   "dead",    "delivered", "redeliveries",
                                               "settled", "effects", NULL};
    const struct plan_client *client;
    const struct named_count *wait;
    int64_t sum = 0;

    if (strcmp(e->name, "unknown") == 0 && is_commits(c, e, &client)) {
        for (unsigned i = 0; i < client->instances; i++)
            sum += c->clients[client->first_id + i].effect_unknown;
        return is_number(out, sum);
    }
    if (among(e->name, send_words))
        return sends(c, e, out, err);
    if (among(e->name, client_words))
        return consumers(c, e, out, err);
    if (strcmp(e->name, "waited") == 0 && e->n == 1) {
        wait = named(c->waits, c->n_waits, e->args[0]->text);
        return wait ? is_number(out, wait->value) : err_set(err, "%s: no such wait", e->text);
    }
    return err_set(err, "%s: not a counter of a history", e->text);
}

int counters_lookup(void *counters, const struct expr *e, struct value *out, struct err *err)
{
    const struct counters *c = counters;
    const struct named_count *note;

    if (e->kind == EXPR_CALL)
        return call(c, e, out, err);
    note = named(c->notes, c->n_notes, e->name);
    if (note)
        return is_number(out, note->value);
    if (strcmp(e->name, "interleaved") == 0)
        return is_number(out, c->interleaved);
    if (strcmp(e->name, "outstanding_at_kill") == 0)
        return is_number(out, c->outstanding_at_kill);
    if (strcmp(e->name, "remaining") == 0)
        return is_number(out, c->remaining);
    if (strcmp(e->name, "effects") == 0)
        return is_number(out, c->journal);
    return err_set(err, "%s: nobody noted it", e->text);
}
