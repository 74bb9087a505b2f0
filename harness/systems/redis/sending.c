/*
 * A message as a command: RPUSH, XADD, SET or PUBLISH, written as RESP with the payload last, so
 * that the bytes before it are made once per size.
 *
 * `once` puts an idempotency key beside the message: SET NX and the write in one script, so that
 * neither is there without the other
 * (redis.io/docs/latest/develop/interact/programmability/eval-intro, "atomic execution"). A message
 * sent again finds its key and is written no second time.
 */
#include "systems/redis/client.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define TRIM_EVERY 100        /* adds per XTRIM: a stream may stand that much above its groups */
#define ONCE_TTL_MS 3600000LL /* an idempotency key outlives every case */

static const char push_once[] = "if redis.call('SET',KEYS[2],'1','NX','PX',ARGV[1]) then "
                                "return redis.call(ARGV[2],KEYS[1],ARGV[3]) end return 0";
static const char add_once[] = "if redis.call('SET',KEYS[2],'1','NX','PX',ARGV[1]) then "
                               "return redis.call(ARGV[2],KEYS[1],'*','m',ARGV[3]) end return 0";

/* The least id some group still needs: its first pending one, else what follows its last delivery.
 */
static const char trim_by_groups[] =
    "local function less(a,b) local am,as=string.match(a,'(%d+)-(%d+)') "
    "local bm,bs=string.match(b,'(%d+)-(%d+)') am,bm=tonumber(am),tonumber(bm) "
    "if am~=bm then return am<bm end return tonumber(as)<tonumber(bs) end "
    "if redis.call('EXISTS',KEYS[1])==0 then return 0 end local low "
    "for _,g in ipairs(redis.call('XINFO','GROUPS',KEYS[1])) do local f={} "
    "for i=1,#g,2 do f[g[i]]=g[i+1] end local at=f['last-delivered-id'] "
    "if f['pending']>0 then at=redis.call('XPENDING',KEYS[1],f['name'])[2] end "
    "if not low or less(at,low) then low=at end end "
    "if low then return redis.call('XTRIM',KEYS[1],'MINID','=',low) end return 0";

/* ---- RESP, up to the payload */

struct words {
    char *out;
    size_t n, room;
};

static void begin_words(struct words *w, char *out, size_t room, unsigned count)
{
    *w = (struct words){.out = out, .room = room};
    w->n = (size_t)snprintf(out, room, "*%u\r\n", count);
}

static void add_word(struct words *w, const char *word)
{
    w->n += (size_t)snprintf(w->out + w->n, w->room - w->n, "$%zu\r\n%s\r\n", strlen(word), word);
    assert(w->n < w->room);
}

static size_t end_words(struct words *w, size_t payload)
{
    w->n += (size_t)snprintf(w->out + w->n, w->room - w->n, "$%zu\r\n", payload);
    assert(w->n < w->room);
    return w->n;
}

static void name_of(const struct msg *msg, const char *prefix, const char *middle, char *out,
                    size_t size)
{
    snprintf(out, size, "%s%s%u.%u.%u.%llu", prefix, middle, msg->id.client, msg->id.incarnation,
             msg->id.worker, (unsigned long long)msg->id.seq);
}

static size_t once_head(struct redis_client *h, const struct msg *msg, size_t size,
                        const char *script, const char *verb, const char *key)
{
    char mark[200], prefix[128], ttl[24];
    struct words w;

    snprintf(prefix, sizeof(prefix), "{%s}", key); /* in the slot of the key */
    name_of(msg, prefix, ":once:", mark, sizeof(mark));
    snprintf(ttl, sizeof(ttl), "%lld", ONCE_TTL_MS);
    begin_words(&w, h->head, sizeof(h->head), 8);
    add_word(&w, "EVAL");
    add_word(&w, script);
    add_word(&w, "2");
    add_word(&w, key);
    add_word(&w, mark);
    add_word(&w, ttl);
    add_word(&w, verb);
    return end_words(&w, size);
}

static size_t push_head(struct redis_client *h, const struct msg *msg, size_t size)
{
    const struct redis_client_args *a = h->args;
    const char *verb = a->push.command == PUSH_LPUSH ? "LPUSH" : "RPUSH";
    struct words w;

    if (a->push.once)
        return once_head(h, msg, size, push_once, verb, a->push.list);
    begin_words(&w, h->head, sizeof(h->head), 3);
    add_word(&w, verb);
    add_word(&w, a->push.list);
    return end_words(&w, size);
}

static size_t add_head(struct redis_client *h, const struct msg *msg, size_t size)
{
    const struct redis_client_args *a = h->args;
    bool bounded = a->add.trim == TRIM_MAXLEN;
    char maxlen[24];
    struct words w;

    if (a->add.once)
        return once_head(h, msg, size, add_once, "XADD", a->add.stream);
    begin_words(&w, h->head, sizeof(h->head), bounded ? 8 : 5);
    add_word(&w, "XADD");
    add_word(&w, a->add.stream);
    if (bounded) {
        snprintf(maxlen, sizeof(maxlen), "%lld", (long long)a->add.maxlen);
        add_word(&w, "MAXLEN");
        add_word(&w, "=");
        add_word(&w, maxlen);
    }
    add_word(&w, "*");
    add_word(&w, "m");
    return end_words(&w, size);
}

/* SET with a time to live is SET's older sister PSETEX: there the payload comes last. */
static size_t set_head(struct redis_client *h, const struct msg *msg, size_t size)
{
    const struct redis_client_args *a = h->args;
    char key[160], ttl[24];
    struct words w;

    name_of(msg, a->set.keys, ":", key, sizeof(key));
    begin_words(&w, h->head, sizeof(h->head), a->set.ttl_ns > 0 ? 4 : 3);
    add_word(&w, a->set.ttl_ns > 0 ? "PSETEX" : "SET");
    add_word(&w, key);
    if (a->set.ttl_ns > 0) {
        snprintf(ttl, sizeof(ttl), "%lld", (long long)(a->set.ttl_ns / MS_NS));
        add_word(&w, ttl);
    }
    return end_words(&w, size);
}

static size_t publish_head(struct redis_client *h, size_t size)
{
    struct words w;

    begin_words(&w, h->head, sizeof(h->head), 3);
    add_word(&w, "PUBLISH");
    add_word(&w, h->args->publish.channel);
    return end_words(&w, size);
}

/* The same for every message of one size, unless the message is named in it. */
static void make_head(struct redis_client *h, const struct msg *msg, size_t size)
{
    const struct redis_client_args *a = h->args;
    bool named = a->set.keys || a->push.once || a->add.once;

    if (!named && h->head_size == size)
        return;
    h->head_n = a->push.list    ? push_head(h, msg, size)
                : a->add.stream ? add_head(h, msg, size)
                : a->set.keys   ? set_head(h, msg, size)
                                : publish_head(h, size);
    h->head_size = size;
}

/* ---- */

void redis_send_append(struct redis_client *h, struct lane *lane, const struct send *send)
{
    make_head(h, send->msg, send->size);
    redis_lane_append(lane, h->head, h->head_n);
    redis_lane_append(lane, send->payload, send->size);
    redis_lane_append(lane, "\r\n", 2);
}

void redis_send_follow(struct redis_client *h, struct lane *lane)
{
    const struct redis_client_args *a = h->args;

    if (a->push.list && a->push.expire_ns > 0) {
        redis_lane_command(lane, "PEXPIRE %s %lld", a->push.list,
                           (long long)(a->push.expire_ns / MS_NS));
        redis_lane_expect(lane, FLIGHT_OTHER, 0, a->hiredis.timeout_ns);
    }
    if (a->add.stream && a->add.trim == TRIM_BY_GROUPS && ++h->untrimmed >= TRIM_EVERY) {
        redis_lane_command(lane, "EVAL %s 1 %s", trim_by_groups, a->add.stream);
        redis_lane_expect(lane, FLIGHT_OTHER, 0, a->hiredis.timeout_ns);
        h->untrimmed = 0;
    }
}

void redis_send_wait(struct redis_client *h, struct lane *lane)
{
    const struct redis_client_args *a = h->args;

    redis_lane_command(lane, a->confirm.aof ? "WAITAOF 1 %lld %lld" : "WAIT %lld %lld",
                       (long long)a->confirm.wait, (long long)(a->confirm.timeout_ns / MS_NS));
    redis_lane_expect(lane, FLIGHT_WAIT, 0, a->hiredis.timeout_ns + a->confirm.timeout_ns);
    lane->unconfirmed = 0;
}
