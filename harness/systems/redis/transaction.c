/*
 * Transactions: what is sent between begin and commit waits here and leaves as MULTI … EXEC, or as
 * one script that looks at every key's type before it writes anything.
 *
 * Redis has no rollback: a command that fails inside EXEC fails alone, the others stay
 * (redis.io/docs/latest/develop/interact/transactions, "Errors inside a transaction"). `mistyped`
 * is the application's bug that shows it: a command in the middle whose key holds a string. An
 * abort sends nothing: DISCARD of what the server never got.
 */
#include "systems/redis/client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 1024 /* a workload's batch, at most */

struct redis_txn {
    bool open, sent, answered;
    enum outcome outcome;
    uint64_t n_committed;
    size_t n;
    struct {
        uint32_t slot;
        char *bytes;
        size_t size;
    } items[ITEMS_MAX];
};

static const char all_or_nothing[] =
    "for i=1,#KEYS do local t=redis.call('TYPE',KEYS[i]).ok if t~='none' and t~='list' then "
    "return redis.error_reply('WRONGTYPE '..KEYS[i]..' is no list') end end "
    "for i=1,#KEYS do redis.call('RPUSH',KEYS[i],ARGV[i]) end return #KEYS";

bool redis_txn_keeps(const struct redis_client *h)
{
    return h->txn && h->txn->open;
}

enum submit redis_txn_send(struct redis_client *h, const struct send *send, uint32_t slot)
{
    struct redis_txn *t = h->txn;

    assert(t->open && !t->sent);
    if (t->n == ITEMS_MAX)
        return SUBMIT_BUSY;
    t->items[t->n].bytes = malloc(send->size);
    if (!t->items[t->n].bytes)
        abort();
    memcpy(t->items[t->n].bytes, send->payload, send->size);
    t->items[t->n].size = send->size;
    t->items[t->n++].slot = slot;
    h->open_slots++;
    return SUBMIT_QUEUED;
}

static void complete_item(struct redis_client *h, size_t i, enum redis_code code)
{
    uint16_t node = h->current >= 0 && h->lanes[h->current] ? h->lanes[h->current]->node : NO_NODE;

    redis_client_complete(h, h->txn->items[i].slot, code, redis_outcome_of(code),
                          code == REDIS_CODE_OK ? LEVEL_LEADER : LEVEL_NONE, node, -1,
                          h->unit_send);
    free(h->txn->items[i].bytes);
}

/* Ends it for all of its messages alike. */
static void end_all(struct redis_client *h, enum redis_code code, enum outcome outcome)
{
    struct redis_txn *t = h->txn;

    for (size_t i = 0; i < t->n; i++)
        complete_item(h, i, code);
    t->n = 0;
    t->open = t->sent = false;
    t->answered = true;
    t->outcome = outcome;
}

void redis_txn_break(struct redis_client *h, enum redis_code code)
{
    if (!redis_txn_keeps(h))
        return;
    if (h->txn->sent)
        end_all(h, code, OUTCOME_UNKNOWN);
    else
        end_all(h, REDIS_CODE_DISCARDED, OUTCOME_FAIL);
}

/* EXEC: an array with an answer a command; the script: how many, or the error that stopped it. */
void redis_txn_answered(struct redis_client *h, const redisReply *reply)
{
    struct redis_txn *t = h->txn;

    if (reply->type == REDIS_REPLY_ERROR) {
        enum redis_code code = redis_code_of(reply->str);

        end_all(h, code, redis_outcome_of(code));
        return;
    }
    if (reply->type == REDIS_REPLY_NIL) { /* a watched key was changed: nothing ran */
        end_all(h, REDIS_CODE_DISCARDED, OUTCOME_FAIL);
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        const redisReply *one =
            reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? reply->element[i] : NULL;

        complete_item(
            h, i, one && one->type == REDIS_REPLY_ERROR ? redis_code_of(one->str) : REDIS_CODE_OK);
    }
    t->n = 0;
    end_all(h, REDIS_CODE_OK, OUTCOME_OK);
}

/* ---- committing */

static const char *key_of(const struct redis_client *h, size_t i, const char *mistyped)
{
    bool wrong = h->args->multi.mistyped > 0 && i == h->txn->n / 2 &&
                 h->txn->n_committed % (uint64_t)h->args->multi.mistyped == 0;

    return wrong ? mistyped : h->args->push.list;
}

static void append_exec(struct redis_client *h, struct lane *lane, const char *mistyped)
{
    redis_lane_command(lane, "MULTI");
    redis_lane_expect(lane, FLIGHT_OTHER, 0, h->args->hiredis.timeout_ns);
    for (size_t i = 0; i < h->txn->n; i++) {
        redis_lane_command(lane, "RPUSH %s %b", key_of(h, i, mistyped), h->txn->items[i].bytes,
                           h->txn->items[i].size);
        redis_lane_expect(lane, FLIGHT_OTHER, 0, h->args->hiredis.timeout_ns);
    }
    redis_lane_command(lane, "EXEC");
}

static void append_script(struct redis_client *h, struct lane *lane, const char *mistyped)
{
    size_t n = h->txn->n, words = 3 + 2 * n;
    const char **argv = calloc(words, sizeof(*argv));
    size_t *sizes = calloc(words, sizeof(*sizes));
    char count[24], *command;
    long long size; /* what hiredis gives since 1.0; before it was an int */

    if (!argv || !sizes)
        abort();
    snprintf(count, sizeof(count), "%zu", n);
    argv[0] = "EVAL", argv[1] = all_or_nothing, argv[2] = count;
    for (size_t i = 0; i < n; i++) {
        argv[3 + i] = key_of(h, i, mistyped);
        argv[3 + n + i] = h->txn->items[i].bytes;
    }
    for (size_t i = 0; i < words; i++)
        sizes[i] = i < 3 + n ? strlen(argv[i]) : h->txn->items[i - 3 - n].size;
    size = redisFormatCommandArgv(&command, (int)words, argv, sizes);
    if (size <= 0)
        abort();
    redis_lane_append(lane, command, (size_t)size);
    redisFreeCommand(command);
    free(argv);
    free(sizes);
}

static void append_commit(struct redis_client *h, struct lane *lane)
{
    char mistyped[128];

    snprintf(mistyped, sizeof(mistyped), "{%s}:mistyped", h->args->push.list);
    h->txn->n_committed++;
    if (h->args->multi.mistyped > 0) {
        redis_lane_command(lane, "SET %s text", mistyped);
        redis_lane_expect(lane, FLIGHT_OTHER, 0, h->args->hiredis.timeout_ns);
    }
    if (h->args->multi.by == MULTI_SCRIPT)
        append_script(h, lane, mistyped);
    else
        append_exec(h, lane, mistyped);
    redis_lane_expect(lane, FLIGHT_EXEC, 0, h->args->hiredis.timeout_ns);
    h->txn->sent = true;
}

static enum outcome commit(struct redis_client *h)
{
    struct lane *lane = h->current >= 0 ? h->lanes[h->current] : NULL;
    int64_t until_ns = clock_now_ns() + 2 * h->args->hiredis.timeout_ns;

    h->txn->answered = false;
    if (h->txn->n == 0 || !lane || !lane->c) {
        end_all(h, REDIS_CODE_REFUSED, h->txn->n == 0 ? OUTCOME_OK : OUTCOME_FAIL);
        return h->txn->outcome;
    }
    append_commit(h, lane);
    while (!h->txn->answered && clock_now_ns() < until_ns)
        redis_client_turn(h, clock_now_ns() + 50 * MS_NS);
    if (!h->txn->answered)
        redis_client_break(h, REDIS_CODE_TIMEOUT);
    return h->txn->outcome;
}

enum submit redis_client_txn(void *self, enum txn_verb verb, uint32_t slot, struct completion *c)
{
    struct redis_client *h = self;

    if (!h->txn)
        h->txn = calloc(1, sizeof(*h->txn));
    if (!h->txn)
        abort();
    *c = (struct completion){.slot = slot,
                             .outcome = OUTCOME_FAIL,
                             .code = REDIS_CODE_DISCARDED,
                             .node = NO_NODE,
                             .unit = h->unit_send,
                             .position = -1};
    switch (verb) {
    case TXN_BEGIN:
        h->txn->open = h->args->push.list && h->current >= 0 && !h->broke && !h->misled;
        c->outcome = h->txn->open ? OUTCOME_OK : OUTCOME_FAIL;
        break;
    case TXN_COMMIT:
        c->outcome = h->txn->open ? commit(h) : OUTCOME_FAIL;
        break;
    case TXN_ABORT:
        end_all(h, REDIS_CODE_DISCARDED, OUTCOME_OK);
        c->outcome = OUTCOME_OK;
        break;
    case TXN_SEND_OFFSETS: /* nothing of Redis' settles inside a transaction here */
        break;
    }
    if (c->outcome == OUTCOME_OK)
        c->code = REDIS_CODE_OK;
    return SUBMIT_DONE;
}

void redis_txn_release(struct redis_client *h)
{
    free(h->txn);
    h->txn = NULL;
}
