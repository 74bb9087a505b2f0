/*
 * The bare loop that `assay bench` compares with: RPUSH through hiredis alone, one batch of DEPTH
 * commands appended, written at once, DEPTH replies read. No recording, no history, no decorators.
 * Every message is given to the library as a value of its own, as to the other libraries: what
 * redis-benchmark does, a command formatted once and sent again and again, is no producer.
 *
 *     redis_bare HOST PORT LIST BYTES DEPTH SECONDS      → "messages seconds"
 */
#include <hiredis/hiredis.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int die(const redisContext *c)
{
    fprintf(stderr, "redis_bare: %s\n", c ? c->errstr : "out of memory");
    return 1;
}

/* One batch; -1 on an error. */
static int batch(redisContext *c, const char **argv, const size_t *argvlen, int depth)
{
    for (int i = 0; i < depth; i++)
        redisAppendCommandArgv(c, 3, argv, argvlen);
    for (int i = 0; i < depth; i++) {
        void *reply;
        int ok;

        if (redisGetReply(c, &reply) != REDIS_OK)
            return -1;
        ok = ((const redisReply *)reply)->type == REDIS_REPLY_INTEGER;
        freeReplyObject(reply);
        if (!ok)
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *command[3] = {"RPUSH"};
    size_t length[3] = {5};
    redisContext *c;
    long long n = 0;
    double start, end;
    char *payload;
    int depth;

    if (argc != 7) {
        fprintf(stderr, "usage: redis_bare HOST PORT LIST BYTES DEPTH SECONDS\n");
        return 2;
    }
    command[1] = argv[3];
    length[1] = strlen(argv[3]);
    length[2] = (size_t)atol(argv[4]);
    depth = atoi(argv[5]);
    payload = malloc(length[2] + 1);
    c = redisConnect(argv[1], atoi(argv[2]));
    if (!c || c->err || !payload || depth < 1)
        return die(c);
    memset(payload, 'x', length[2]);
    command[2] = payload;
    start = now_s();
    end = start + atof(argv[6]);
    while (now_s() < end) {
        if (batch(c, command, length, depth) < 0)
            return die(c);
        n += depth;
    }
    printf("%lld %.6f\n", n, now_s() - start);
    redisFree(c);
    free(payload);
    return 0;
}
