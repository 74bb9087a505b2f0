/*
 * One connection of a client: commands are appended to hiredis' output buffer and leave as one
 * write per batch, replies come back in the same order. The socket is non-blocking; whoever owns
 * the lane waits with poll(2).
 */
#include "systems/redis/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int redis_lane_connect(struct lane *lane, const struct plan_node *node, int64_t timeout_ns,
                       struct err *err)
{
    struct timeval tv = {.tv_sec = timeout_ns / SECOND_NS,
                         .tv_usec = timeout_ns % SECOND_NS / 1000};
    redisContext *c = redisConnectWithTimeout(node->address, REDIS_PORT, tv);

    if (!c)
        abort(); /* out of memory */
    if (c->err) {
        err_set(err, "%s (%s:%d): %s", node->name, node->address, REDIS_PORT, c->errstr);
        redisFree(c);
        return -1;
    }
    if (fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK) < 0) {
        redisFree(c);
        return err_errno(err, "%s: O_NONBLOCK", node->name);
    }
    c->flags &= ~REDIS_BLOCK;
    redis_lane_close(lane);
    lane->c = c;
    lane->node = node->id;
    return 0;
}

void redis_lane_close(struct lane *lane)
{
    if (lane->c)
        redisFree(lane->c);
    lane->c = NULL;
    lane->head = lane->answered = lane->tail = 0;
    lane->unconfirmed = 0;
    lane->unwritten = 0;
}

void redis_lane_append(struct lane *lane, const char *bytes, size_t size)
{
    if (redisAppendFormattedCommand(lane->c, bytes, size) != REDIS_OK)
        abort(); /* out of memory */
    lane->unwritten += size;
}

void redis_lane_command(struct lane *lane, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (redisvAppendCommand(lane->c, format, args) != REDIS_OK)
        abort(); /* a bad format is ours */
    va_end(args);
    lane->unwritten++;
}

void redis_lane_expect(struct lane *lane, enum flight_kind kind, uint32_t slot, int64_t patience_ns)
{
    *lane_flight(lane, lane->tail++) = (struct flight){
        .slot = slot, .kind = (uint8_t)kind, .position = -1, .patience_ns = patience_ns};
}

int redis_lane_flush(struct lane *lane, enum redis_code *code)
{
    int done = 0;

    if (!lane->unwritten)
        return 0;
    if (redisBufferWrite(lane->c, &done) != REDIS_OK) {
        *code = REDIS_CODE_RESET;
        return -1;
    }
    if (lane->progress_ns == 0)
        lane->progress_ns = clock_now_ns();
    if (done)
        lane->unwritten = 0;
    return 0;
}

int redis_lane_read(struct lane *lane, enum redis_code *code)
{
    if (redisBufferRead(lane->c) == REDIS_OK)
        return 0;
    *code = lane->c->err == REDIS_ERR_EOF ? REDIS_CODE_CLOSED : REDIS_CODE_RESET;
    return -1;
}

redisReply *redis_lane_reply(struct lane *lane, bool *broken)
{
    void *reply = NULL;

    *broken = redisGetReplyFromReader(lane->c, &reply) != REDIS_OK ||
              (reply && lane->answered == lane->tail); /* an answer nobody asked for */
    if (*broken && reply)
        freeReplyObject(reply);
    return *broken ? NULL : reply;
}

int64_t redis_lane_due_ns(struct lane *lane)
{
    if (lane->answered == lane->tail || lane->progress_ns == 0)
        return INT64_MAX;
    return lane->progress_ns + lane_flight(lane, lane->answered)->patience_ns;
}
