/*
 * The bare loop that `assay bench` compares with: BLPOP through hiredis alone, one at a time. The
 * command is formatted once: doing it for each message takes longer than all the rest. No
 * recording, no history, no check of what comes. The clocks run from the first message on.
 *
 *     redis_consume_bare HOST PORT LIST COUNT      → "messages seconds cpu_seconds"
 */
#include <hiredis/hiredis.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_s(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int die(const redisContext *c)
{
    fprintf(stderr, "redis_consume_bare: %s\n", c ? c->errstr : "out of memory");
    return 1;
}

/* One message; -1 on an error, or when there is none for ten seconds. */
static int take(redisContext *c, const char *command, size_t size)
{
    redisReply *reply;
    void *answer;
    int there;

    redisAppendFormattedCommand(c, command, size);
    if (redisGetReply(c, &answer) != REDIS_OK)
        return -1;
    reply = answer;
    there = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2;
    freeReplyObject(reply);
    return there ? 0 : -1;
}

int main(int argc, char **argv)
{
    double start, cpu;
    redisContext *c;
    long long count;
    char *command;
    int size;

    if (argc != 5) {
        fprintf(stderr, "usage: redis_consume_bare HOST PORT LIST COUNT\n");
        return 2;
    }
    count = atoll(argv[4]);
    c = redisConnect(argv[1], atoi(argv[2]));
    size = redisFormatCommand(&command, "BLPOP %s 10", argv[3]);
    if (!c || c->err || size < 0 || take(c, command, (size_t)size) < 0)
        return die(c);
    start = now_s(CLOCK_MONOTONIC);
    cpu = now_s(CLOCK_PROCESS_CPUTIME_ID);
    for (long long n = 1; n < count; n++)
        if (take(c, command, (size_t)size) < 0)
            return die(c);
    printf("%lld %.6f %.6f\n", count - 1, now_s(CLOCK_MONOTONIC) - start,
           now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    redisFreeCommand(command);
    redisFree(c);
    return 0;
}
