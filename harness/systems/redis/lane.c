/*
 * One connection of a client: commands are appended to hiredis' output buffer and leave as one
 * write per batch, replies come back in the same order. The socket is non-blocking; whoever owns
 * the lane waits with poll(2).
 */
#include "systems/redis/client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define OUT_BYTES (128u * 1024)

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
    redis_lane_make_replies(lane);
    lane->node = node->id;
    return 0;
}

void redis_lane_close(struct lane *lane)
{
    if (lane->c)
        redisFree(lane->c);
    lane->c = NULL;
    arena_reset(&lane->replies);
    lane->pushed = false;
    lane->head = lane->answered = lane->tail = 0;
    lane->unconfirmed = 0;
    lane->out_n = lane->out_sent = 0;
    lane->progress_ns = 0;
}

void redis_lane_release(struct lane *lane)
{
    if (!lane)
        return;
    redis_lane_close(lane);
    arena_release(&lane->replies);
    free(lane->out);
    free(lane);
}

static void make_room(struct lane *lane, size_t size)
{
    size_t room = lane->out_room ? lane->out_room : OUT_BYTES;

    while (room - lane->out_n < size)
        room *= 2;
    if (room == lane->out_room)
        return;
    lane->out = realloc(lane->out, room);
    if (!lane->out)
        abort();
    lane->out_room = room;
}

void redis_lane_append(struct lane *lane, const char *bytes, size_t size)
{
    make_room(lane, size);
    memcpy(lane->out + lane->out_n, bytes, size);
    lane->out_n += size;
}

static struct redis_command formatted(const char *format, va_list args)
{
    struct redis_command command;
    int n = redisvFormatCommand(&command.bytes, format, args);

    assert(n > 0); /* a bad format is ours */
    command.size = (size_t)n;
    return command;
}

void redis_lane_command(struct lane *lane, const char *format, ...)
{
    struct redis_command command;
    va_list args;

    va_start(args, format);
    command = formatted(format, args);
    va_end(args);
    redis_lane_append(lane, command.bytes, command.size);
    redis_command_release(&command);
}

void redis_command_make(struct redis_command *command, const char *format, ...)
{
    va_list args;

    redis_command_release(command);
    va_start(args, format);
    *command = formatted(format, args);
    va_end(args);
}

void redis_command_release(struct redis_command *command)
{
    if (command->bytes)
        redisFreeCommand(command->bytes);
    *command = (struct redis_command){0};
}

void redis_lane_expect(struct lane *lane, enum flight_kind kind, uint32_t slot, int64_t patience_ns)
{
    *lane_flight(lane, lane->tail++) = (struct flight){
        .slot = slot, .kind = (uint8_t)kind, .position = -1, .patience_ns = patience_ns};
}

int redis_lane_flush(struct lane *lane, enum redis_code *code)
{
    ssize_t n;

    if (!lane_unwritten(lane))
        return 0;
    n = send(lane->c->fd, lane->out + lane->out_sent, lane_unwritten(lane), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        *code = REDIS_CODE_RESET;
        return -1;
    }
    if (lane->progress_ns == 0)
        lane->progress_ns = clock_now_ns();
    lane->out_sent += n > 0 ? (size_t)n : 0;
    if (lane->out_sent == lane->out_n)
        lane->out_sent = lane->out_n = 0;
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

    *broken =
        redisGetReplyFromReader(lane->c, &reply) != REDIS_OK ||
        (reply && !lane->pushed && lane->answered == lane->tail); /* an answer nobody asked for */
    if (*broken && reply)
        redis_lane_free(lane, reply);
    return *broken ? NULL : reply;
}

int64_t redis_lane_due_ns(struct lane *lane)
{
    if (lane->answered == lane->tail || lane->progress_ns == 0)
        return INT64_MAX;
    return lane->progress_ns + lane_flight(lane, lane->answered)->patience_ns;
}
