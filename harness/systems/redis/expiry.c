/*
 * What Redis took away by rules of its own: keys evicted for maxmemory, and keys whose time to live
 * ended, as INFO counted them between the beginning of the case and the audit, on the server that
 * owns the data (redis.io/commands/info, Stats: evicted_keys, expired_keys). They count keys and do
 * not say which, so it is told of a unit only where its keys must be among them:
 *
 *   - The data never left that process: the same run_id (a restarted server counts from 0 again),
 *     the same master_replid (every takeover makes a new one), no further sync_full (nobody's
 *     writes were thrown away for this server's).
 *   - One of the two rules touches the unit and did something: under allkeys-* eviction touches
 *     every key, under volatile-* those with a time to live, as expiry does.
 *   - A list or a stream is one key, and takes with it all there was in it. It went if more keys
 *     did than the others can account for: those that SET made and that are not there any more.
 *   - A key space whose keys are the only ones touched is told how many.
 *
 * Counter-example: a list and a cache in one server, 1000 keys evicted, the list is gone. All 1000
 * may have been the cache's. If 1000 were set and one of them is still there, one was the list.
 *
 * Nothing is told where clients keep keys beside (processing lists, leases, idempotency keys, the
 * entries, locks and marks of who has a cache), of what is taken away from otherwise (a list by its
 * consumers, a stream by trims and by noack), nor of two lists that may both have gone. No other
 * client has a command that deletes a key.
 */
#include "systems/redis/client.h"

#include "api/workload.h"
#include "base/buf.h"
#include "history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- INFO */

bool redis_info_field(const char *info, const char *key, char *out, size_t size)
{
    size_t n = strlen(key);

    for (const char *at = info; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, key, n) != 0 || at[n] != ':')
            continue;
        snprintf(out, size, "%.*s", (int)strcspn(at + n + 1, "\r\n"), at + n + 1);
        return true;
    }
    return false;
}

static bool number(const char *info, const char *key, int64_t *out)
{
    char text[32];

    if (!redis_info_field(info, key, text, sizeof(text)))
        return false;
    *out = atoll(text);
    return true;
}

/* "calls=7,…", "keys=7,…"; what has no line was never called, or holds nothing. */
static int64_t first_number(const char *info, const char *key)
{
    char text[200] = "";
    long long n = 0;

    if (redis_info_field(info, key, text, sizeof(text)))
        (void)sscanf(text, "%*[^=]=%lld", &n);
    return n;
}

void redis_counts_read(const char *info, struct redis_counts *out)
{
    *out = (struct redis_counts){.sets = first_number(info, "cmdstat_set") +
                                         first_number(info, "cmdstat_psetex"),
                                 .keys = first_number(info, "db0")};
    out->known = redis_info_field(info, "run_id", out->run_id, sizeof(out->run_id)) &&
                 redis_info_field(info, "master_replid", out->replid, sizeof(out->replid)) &&
                 redis_info_field(info, "maxmemory_policy", out->policy, sizeof(out->policy)) &&
                 number(info, "maxmemory", &out->maxmemory) &&
                 number(info, "sync_full", &out->full_syncs) &&
                 number(info, "evicted_keys", &out->gone[EXPIRY_EVICTED]) &&
                 number(info, "expired_keys", &out->gone[EXPIRY_TTL]) &&
                 strstr(info, "# Commandstats") && strstr(info, "# Keyspace");
}

/* ---- whose keys a rule may take */

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static const struct redis_client_args *args_of(const struct plan_case *plan, size_t i)
{
    return plan->clients[i].broker == &redis_broker ? plan->clients[i].broker_args : NULL;
}

static bool has_ttl(const struct plan_case *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct redis_client_args *a = args_of(plan, i);

        if (a && ((same(a->push.list, name) && a->push.expire_ns > 0) ||
                  (same(a->set.keys, name) && a->set.ttl_ns > 0)))
            return true;
    }
    return false;
}

/* Clients take messages out of it, and may lose them. */
static bool is_taken_from(const struct plan_case *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct redis_client_args *a = args_of(plan, i);

        if (a &&
            (same(a->consume.list, name) || (same(a->consume.stream, name) && a->consume.noack) ||
             (same(a->add.stream, name) && a->add.trim != TRIM_NONE)))
            return true;
    }
    return false;
}

/* Entries, locks, leases and marks of done work. */
static bool has_cache(const struct plan_case *plan, size_t client)
{
    struct worker_needs needs = {0};

    if (plan->workload->needs)
        plan->workload->needs(plan->workload_args, plan->clients[client].role_args, &needs);
    return needs.cache != NULL;
}

/* Keys that hold nobody's message, or some of another unit's. */
static bool keeps_keys_beside(const struct plan_case *plan)
{
    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct redis_client_args *a = args_of(plan, i);

        if (has_cache(plan, i))
            return true;
        if (a && (a->push.once || a->add.once || a->reap.list ||
                  (a->consume.list &&
                   (a->consume.mode == TAKE_BLMOVE || a->consume.mode == TAKE_VISIBILITY))))
            return true;
    }
    return false;
}

static bool touches(const struct plan_case *plan, const struct plan_dest *dest, enum expiry why,
                    const char *policy)
{
    if (why == EXPIRY_EVICTED && strncmp(policy, "allkeys-", 8) == 0)
        return true;
    return (why == EXPIRY_TTL || strncmp(policy, "volatile-", 9) == 0) && has_ttl(plan, dest->name);
}

static bool is_one_key(const struct plan_dest *dest)
{
    return dest->kind == UNIT_LIST || dest->kind == UNIT_STREAM;
}

/* What is kept where `of` is. */
struct kept {
    unsigned lists;                             /* and streams */
    unsigned touched_lists, touched_key_spaces; /* by the rule */
};

static struct kept kept_beside(const struct plan_case *plan, const struct plan_dest *of,
                               enum expiry why, const char *policy)
{
    struct kept k = {0};

    for (size_t i = 0; i < plan->n_dests; i++) {
        const struct plan_dest *d = &plan->dests[i];
        bool touched = touches(plan, d, why, policy);

        if (d->cluster != of->cluster || d->group)
            continue;
        k.lists += is_one_key(d);
        k.touched_lists += is_one_key(d) && touched;
        k.touched_key_spaces += d->kind == UNIT_KEYS && touched;
    }
    return k;
}

/* ---- how many keys of a unit went, at least */

static int64_t rise(const struct redis_counts *before, const struct redis_counts *after,
                    enum expiry why)
{
    return after->gone[why] - before->gone[why];
}

/* Keys that SET made and that are not there any more, at most: each SET may have made one, and all
 * that is there but the lists is theirs. */
static int64_t set_and_gone(const struct redis_counts *before, const struct redis_counts *after,
                            const struct kept *kept)
{
    int64_t there = after->keys - kept->lists;

    return before->keys + after->sets - before->sets - (there > 0 ? there : 0);
}

static int64_t least_gone(const struct plan_case *plan, const struct plan_dest *dest,
                          const struct redis_counts *before, const struct redis_counts *after,
                          enum expiry why)
{
    struct kept kept = kept_beside(plan, dest, why, after->policy);
    int64_t n = rise(before, after, why);

    if (!is_one_key(dest))
        return kept.touched_lists == 0 && kept.touched_key_spaces == 1 ? n : 0;
    if (kept.touched_lists != 1)
        return 0;
    return n - (kept.touched_key_spaces ? set_and_gone(before, after, &kept) : 0);
}

static bool never_left(const struct redis_counts *before, const struct redis_counts *after)
{
    return before->known && after->known && strcmp(before->run_id, after->run_id) == 0 &&
           strcmp(before->replid, after->replid) == 0 && before->full_syncs == after->full_syncs &&
           strcmp(before->policy, after->policy) == 0;
}

int64_t redis_keys_gone(const struct plan_case *plan, uint32_t unit,
                        const struct redis_counts *before, const struct redis_counts *after,
                        enum expiry *why)
{
    const struct plan_dest *dest = &plan->dests[plan->units[unit].dest];
    bool evicted, expired;

    if (!never_left(before, after) || keeps_keys_beside(plan) || is_taken_from(plan, dest->name))
        return 0;
    evicted = rise(before, after, EXPIRY_EVICTED) > 0 &&
              touches(plan, dest, EXPIRY_EVICTED, after->policy);
    expired = rise(before, after, EXPIRY_TTL) > 0 && touches(plan, dest, EXPIRY_TTL, after->policy);
    if (evicted == expired) /* neither, or nobody knows which */
        return 0;
    *why = evicted ? EXPIRY_EVICTED : EXPIRY_TTL;
    return least_gone(plan, dest, before, after, *why);
}

/* ---- asking and telling */

static void ask(struct cluster *cluster, unsigned index, struct redis_counts *out,
                struct deadline deadline)
{
    redisReply *reply = redis_want(cluster, index, deadline, NULL, "INFO all");

    *out = (struct redis_counts){0};
    if (reply && reply->str)
        redis_counts_read(reply->str, out);
    if (reply)
        freeReplyObject(reply);
}

void redis_counts_begin(struct cluster *cluster, struct deadline deadline)
{
    struct redis_state *state = cluster->state;

    for (unsigned i = 0; state && i < redis_servers(redis_config(cluster)); i++)
        ask(cluster, i, &state->counts[i], deadline);
}

void redis_record_gone(const struct redis_audit *a, uint32_t unit, const struct redis_gone *gone)
{
    struct event e = {.type = EV_HAZARD,
                      .at_ns = clock_now_ns(),
                      .by = BY_AUDIT,
                      .unit = unit,
                      .code = HAZARD_LIMIT,
                      .node = a->cluster->nodes[a->primary].plan->id,
                      .value = gone->n,
                      .ref = history_text(a->log, gone->text)};

    history_record(a->log, &e);
    e.type = EV_EXPIRED;
    e.code = (int16_t)gone->why;
    e.value = gone->whole ? EXPIRED_WHOLE : gone->n;
    history_record(a->log, &e);
}

/* The server's own words, and why they mean this unit. */
static void say(const char *server, const struct redis_counts *before,
                const struct redis_counts *after, struct redis_gone *gone)
{
    bool evicted = gone->why == EXPIRY_EVICTED;
    int64_t others = rise(before, after, gone->why) - gone->n;
    struct buf line = {0};

    buf_printf(&line, "%s: INFO %s %lld → %lld", server, evicted ? "evicted_keys" : "expired_keys",
               (long long)before->gone[gone->why], (long long)after->gone[gone->why]);
    if (others > 0)
        buf_printf(&line, ", at most %lld of them made by SET", (long long)others);
    if (evicted)
        buf_printf(&line, "; maxmemory %lld, %s", (long long)before->maxmemory, after->policy);
    snprintf(gone->text, sizeof(gone->text), "%s", line.data);
    buf_release(&line);
}

void redis_counts_end(const struct redis_audit *a, uint32_t unit, struct deadline deadline)
{
    const struct redis_state *state = a->cluster->state;
    const struct plan_case *plan = a->cluster->plan;
    const struct redis_counts *before = &state->counts[a->primary];
    struct redis_gone gone = {.whole = is_one_key(&plan->dests[plan->units[unit].dest])};
    struct redis_counts after;

    ask(a->cluster, a->primary, &after, deadline);
    gone.n = redis_keys_gone(plan, unit, before, &after, &gone.why);
    if (gone.n <= 0)
        return;
    say(a->cluster->nodes[a->primary].plan->name, before, &after, &gone);
    redis_record_gone(a, unit, &gone);
}
