/*
 * Replies of a lane: objects as hiredis makes them, but in memory of the lane that is used again
 * for the next reply. A reply of two strings costs hiredis six pieces of memory, more than all the
 * rest that is done for a message that is read. Who keeps bytes of a reply copies them.
 *
 * Left out: what only RESP3 has (doubles, booleans); nobody here asks for it.
 * Source: hiredis read.h, redisReplyObjectFunctions.
 */
#include "systems/redis/client.h"

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* hiredis hands the reader's privdata down to every task */
static redisReply *make(const redisReadTask *task)
{
    struct lane *lane = task->privdata;
    redisReply *reply = arena_alloc(&lane->replies, sizeof(*reply));

    reply->type = task->type;
    if (task->parent)
        ((redisReply *)task->parent->obj)->element[task->idx] = reply;
    return reply;
}

static void *make_string(const redisReadTask *task, char *bytes, size_t size)
{
    struct lane *lane = task->privdata;
    redisReply *reply = make(task);

    reply->str = arena_strndup(&lane->replies, bytes, size);
    reply->len = size;
    return reply;
}

static void *make_array(const redisReadTask *task, element_count count)
{
    struct lane *lane = task->privdata;
    redisReply *reply = make(task);

    reply->elements = (size_t)count;
    reply->element = arena_alloc(&lane->replies, (size_t)count * sizeof(*reply->element));
    return reply;
}

/* One on its own, which is what RPUSH and WAIT answer, has a place of its own. */
static void *make_integer(const redisReadTask *task, long long value)
{
    struct lane *lane = task->privdata;
    redisReply *reply = &lane->integer;

    if (task->parent)
        reply = make(task);
    else
        *reply = (redisReply){.type = REDIS_REPLY_INTEGER};
    reply->integer = value;
    return reply;
}

/* The task's type is that of what is not there. */
static void *make_nil(const redisReadTask *task)
{
    redisReply *reply = make(task);

    reply->type = REDIS_REPLY_NIL;
    return reply;
}

/* A reply that was not whole when the connection ended: redis_lane_close forgets it. */
static void forget(void *reply)
{
    (void)reply;
}

void redis_lane_make_replies(struct lane *lane)
{
    lane->make = *lane->c->reader->fn;
    lane->make.createString = make_string;
    lane->make.createArray = make_array;
    lane->make.createInteger = make_integer;
    lane->make.createNil = make_nil;
    lane->make.freeObject = forget;
    lane->c->reader->fn = &lane->make;
    lane->c->reader->privdata = lane;
}

void redis_lane_free(struct lane *lane, const redisReply *reply)
{
    if (reply != &lane->integer)
        arena_reset(&lane->replies);
}
