/*
 * What the primary holds at the end: every record of a list (and of the processing lists beside
 * it), a stream or a key space as EV_AUDIT_LOG, read in chunks and never popped.
 *
 * Lists in take order: a list that is filled from the left is read from its right end. Positions
 * are the places in that order; a stream's are its ids.
 */
#include "systems/redis/client.h"

#include "history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 1000

static void record(struct redis_audit *a, uint32_t unit, int64_t position, const char *bytes,
                   size_t size)
{
    struct event e = {.at_ns = clock_now_ns(), .by = BY_AUDIT, .unit = unit, .position = position};
    struct msg msg;
    enum payload_check check = payload_read(bytes, size, a->cluster->plan->run, &msg);

    if (check != PAYLOAD_OK) {
        e.type = EV_CORRUPT;
        e.code = check == PAYLOAD_CORRUPT ? 1 : 2;
    } else {
        e.type = EV_AUDIT_LOG;
        e.client = msg.id.client;
        e.incarnation = msg.id.incarnation;
        e.worker = msg.id.worker;
        e.seq = msg.id.seq;
        e.attempt = msg.attempt;
        e.key = msg.key;
        e.value = (int64_t)msg.key_seq;
        e.flags = msg.flags & MSG_MARKER ? EV_MARKER : 0;
        if ((msg.flags & MSG_MARKER) && msg.id.client == a->marker.client &&
            msg.id.seq == a->marker.seq)
            a->saw_marker = true;
        else
            a->records++;
    }
    history_record(a->log, &e);
}

static redisReply *array(redisReply *reply, const char *what, struct err *err)
{
    if (reply && reply->type == REDIS_REPLY_ARRAY)
        return reply;
    if (reply) {
        err_set(err, "%s: not an array", what);
        freeReplyObject(reply);
    }
    return NULL;
}

static long long length(struct redis_audit *a, const char *name, struct deadline deadline,
                        struct err *err)
{
    redisReply *reply = redis_want(a->cluster, a->primary, deadline, err, "LLEN %s", name);
    long long n = reply ? reply->integer : -1;

    if (reply)
        freeReplyObject(reply);
    return n;
}

static int audit_list(struct redis_audit *a, uint32_t unit, const char *name, bool reversed,
                      struct deadline deadline, struct err *err)
{
    long long n = length(a, name, deadline, err);

    if (n < 0)
        return -1;
    for (long long at = 0; at < n; at += CHUNK) {
        long long first = reversed ? n - at - CHUNK : at;
        long long last = reversed ? n - at - 1 : at + CHUNK - 1;
        redisReply *r;

        if (first < 0)
            first = 0;
        r = array(redis_want(a->cluster, a->primary, deadline, err, "LRANGE %s %lld %lld", name,
                             first, last),
                  "LRANGE", err);
        if (!r)
            return -1;
        for (size_t i = 0; i < r->elements; i++) {
            const redisReply *e = r->element[reversed ? r->elements - 1 - i : i];

            record(a, unit, at + (long long)i, e->str, e->len);
        }
        freeReplyObject(r);
    }
    return 0;
}

/* Which end is taken from: what a consumer says, else the end that makes the pushers' list a queue.
 */
static bool taken_from_right(const struct plan_case *plan, const char *list)
{
    bool from_right = false;

    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct redis_client_args *args = plan->clients[i].broker_args;

        if (plan->clients[i].broker != &redis_broker || !args)
            continue;
        if (args->consume.list && strcmp(args->consume.list, list) == 0)
            return args->consume.mode == TAKE_BRPOP;
        if (args->push.list && strcmp(args->push.list, list) == 0)
            from_right = args->push.command == PUSH_LPUSH;
    }
    return from_right;
}

/* Lists that consumers moved messages to and have not finished. */
static int audit_processing(struct redis_audit *a, uint32_t unit, const char *list,
                            struct deadline deadline, struct err *err)
{
    const struct plan_case *plan = a->cluster->plan;

    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct plan_client *client = &plan->clients[i];
        const struct redis_client_args *args = client->broker_args;

        if (client->broker != &redis_broker || !args || !args->consume.list ||
            args->consume.mode != TAKE_BLMOVE || strcmp(args->consume.list, list) != 0)
            continue;
        for (uint16_t k = 0; k < client->instances; k++) {
            char name[128];

            redis_processing_name(args, (uint16_t)(client->first_id + k), name, sizeof(name));
            if (audit_list(a, unit, name, false, deadline, err) < 0)
                return -1;
        }
    }
    return 0;
}

/* What is out under a visibility timeout. */
static int audit_unacked(struct redis_audit *a, uint32_t unit, const char *list,
                         struct deadline deadline, struct err *err)
{
    char name[128];
    redisReply *r;

    redis_unacked_name(list, name, sizeof(name));
    r = array(redis_want(a->cluster, a->primary, deadline, err, "ZRANGE %s 0 -1", name), "ZRANGE",
              err);
    if (!r)
        return -1;
    for (size_t i = 0; i < r->elements; i++)
        record(a, unit, (int64_t)i, r->element[i]->str, r->element[i]->len);
    freeReplyObject(r);
    return 0;
}

static void record_entry(struct redis_audit *a, uint32_t unit, const redisReply *entry)
{
    const redisReply *fields = entry->elements == 2 ? entry->element[1] : NULL;

    if (!fields || fields->type != REDIS_REPLY_ARRAY || fields->elements < 2)
        return;
    record(a, unit, redis_stream_position(entry->element[0]->str), fields->element[1]->str,
           fields->element[1]->len);
}

/* entries-added counts every XADD there ever was: the difference was trimmed
 * (redis.io/commands/xinfo-stream). That is what the promise was put to, whether or not somebody
 * still needed it. */
static int audit_trimmed(struct redis_audit *a, uint32_t unit, const char *name,
                         struct deadline deadline, struct err *err)
{
    redisReply *r = array(
        redis_want(a->cluster, a->primary, deadline, err, "XINFO STREAM %s", name), "XINFO", err);
    int64_t added = 0, length = 0;
    struct redis_gone gone = {.why = EXPIRY_MAX_LENGTH};

    if (!r)
        return -1;
    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        if (r->element[i]->str && strcmp(r->element[i]->str, "entries-added") == 0)
            added = r->element[i + 1]->integer;
        if (r->element[i]->str && strcmp(r->element[i]->str, "length") == 0)
            length = r->element[i + 1]->integer;
    }
    freeReplyObject(r);
    if (added <= length)
        return 0;
    gone.n = added - length;
    snprintf(gone.text, sizeof(gone.text), "XINFO STREAM %s: entries-added %lld, length %lld", name,
             (long long)added, (long long)length);
    redis_record_gone(a, unit, &gone);
    return 0;
}

static int audit_stream(struct redis_audit *a, uint32_t unit, const char *name,
                        struct deadline deadline, struct err *err)
{
    char from[64] = "-";

    for (;;) {
        redisReply *r = array(redis_want(a->cluster, a->primary, deadline, err,
                                         "XRANGE %s %s + COUNT %d", name, from, CHUNK),
                              "XRANGE", err);
        size_t n;

        if (!r)
            return -1;
        n = r->elements;
        for (size_t i = 0; i < n; i++)
            record_entry(a, unit, r->element[i]);
        if (n > 0)
            snprintf(from, sizeof(from), "(%s", r->element[n - 1]->element[0]->str);
        freeReplyObject(r);
        if (n < CHUNK)
            return audit_trimmed(a, unit, name, deadline, err);
    }
}

static int audit_values(struct redis_audit *a, uint32_t unit, const redisReply *keys,
                        struct deadline deadline, struct err *err)
{
    for (size_t i = 0; i < keys->elements; i++) {
        redisReply *r = redis_want(a->cluster, a->primary, deadline, err, "GET %b",
                                   keys->element[i]->str, keys->element[i]->len);

        if (!r)
            return -1;
        if (r->type == REDIS_REPLY_STRING)
            record(a, unit, -1, r->str, r->len);
        freeReplyObject(r);
    }
    return 0;
}

/* SCAN may name a key twice, never misses one that is there throughout (redis.io/commands/scan):
 * nobody writes any more, so a second mention is harmless to what is judged of keys (presence). */
static int audit_keys(struct redis_audit *a, uint32_t unit, const char *name,
                      struct deadline deadline, struct err *err)
{
    char cursor[32] = "0";

    do {
        redisReply *r = array(redis_want(a->cluster, a->primary, deadline, err,
                                         "SCAN %s MATCH %s:* COUNT %d", cursor, name, CHUNK),
                              "SCAN", err);

        if (!r)
            return -1;
        snprintf(cursor, sizeof(cursor), "%s", r->element[0]->str);
        if (audit_values(a, unit, r->element[1], deadline, err) < 0) {
            freeReplyObject(r);
            return -1;
        }
        freeReplyObject(r);
    } while (strcmp(cursor, "0") != 0);
    return 0;
}

int redis_audit_unit(struct redis_audit *a, uint32_t unit, struct deadline deadline,
                     struct err *err)
{
    const struct plan_case *plan = a->cluster->plan;
    const struct plan_dest *dest = &plan->dests[plan->units[unit].dest];

    switch (dest->kind) {
    case UNIT_LIST:
        if (audit_list(a, unit, dest->name, taken_from_right(plan, dest->name), deadline, err) < 0)
            return -1;
        if (audit_processing(a, unit, dest->name, deadline, err) < 0)
            return -1;
        return audit_unacked(a, unit, dest->name, deadline, err);
    case UNIT_STREAM:
        return audit_stream(a, unit, dest->name, deadline, err);
    case UNIT_KEYS:
        return audit_keys(a, unit, dest->name, deadline, err);
    case UNIT_CHANNEL: /* keeps nothing */
        return 0;
    case UNIT_LOG:
    case UNIT_QUEUE:
        break;
    }
    return err_set(err, "%s: not a Redis destination", dest->name);
}
