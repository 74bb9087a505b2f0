/*
 * How fast histories are written, sealed and read: synthetic queue traffic, one thread each.
 *
 *     history_bench [MESSAGES [PRODUCERS]]       default 2000000 messages of 4 producers
 *
 * Prints nanoseconds an event recorded, bytes an operation on disk (an operation is a send, or a
 * delivery with its settle), and events a second read: by writer, by time, and
 * some types only; all in CPU time of the one thread.
 */
#include "base/clock.h"
#include "base/draw.h"
#include "history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCH 1024
#define STEP 100000 /* a sealer's step every so many messages */

struct traffic {
    uint64_t messages, events;
    unsigned producers, partitions;
    struct history_writer *writers[64];
    struct history_writer *consumer;
    int64_t positions[64];
    uint64_t seq[64];
    int64_t at_ns;
};

/* CPU time of this thread: the machine's other work is not ours to measure. */
static int64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

static void stop(const struct err *err)
{
    fprintf(stderr, "history_bench: %s\n", err->text);
    exit(1);
}

static void record_message(struct traffic *t, const struct draw *draw, uint64_t i)
{
    unsigned producer = (unsigned)(i % t->producers);
    unsigned unit = (unsigned)draw_below(draw, 2 * i, t->partitions);
    struct event e = {.type = EV_SEND_INVOKE,
                      .at_ns = t->at_ns += 700,
                      .client = (uint16_t)producer,
                      .seq = t->seq[producer]++,
                      .key = (uint32_t)draw_below(draw, 2 * i + 1, 64),
                      .unit = NO_UNIT,
                      .ref = 1};

    history_record(t->writers[producer], &e);
    e.type = EV_SEND_COMPLETE;
    e.at_ns += 250000 + (int64_t)(i % 300);
    e.unit = unit;
    e.position = t->positions[unit]++;
    e.node = (uint16_t)(unit % 3);
    e.outcome_level = event_result(OUTCOME_OK, LEVEL_QUORUM);
    history_record(t->writers[producer], &e);
    e.type = EV_DELIVER;
    e.at_ns += 400;
    e.ref = 2;
    history_record(t->consumer, &e);
    t->events += 3;
}

static void record(struct traffic *t, struct sealer *s)
{
    struct draw draw = draw_stream(1, "bench");
    int64_t recording_ns = 0, sealing_ns = 0;
    struct err err = {0};

    for (uint64_t i = 0; i < t->messages;) {
        uint64_t until = i + STEP < t->messages ? i + STEP : t->messages;
        int64_t begun_ns = cpu_ns();

        for (; i < until; i++)
            record_message(t, &draw, i);
        recording_ns += cpu_ns() - begun_ns;
        begun_ns = cpu_ns();
        if (sealer_step(s, &err) < 0)
            stop(&err);
        sealing_ns += cpu_ns() - begun_ns;
    }
    printf("record  %6.1f ns an event (making it up included)\n",
           (double)recording_ns / (double)t->events);
    printf("seal    %6.1f ns an event\n", (double)sealing_ns / (double)t->events);
}

static void read_back(const char *folder, const char *what, enum check_order order, uint64_t wants,
                      uint64_t stored)
{
    static struct event batch[BATCH];
    struct err err = {0};
    struct history_reader *r = history_open(folder, order, wants, &err);
    int64_t begun_ns = cpu_ns();
    uint64_t n = 0, sum = 0;
    double seconds;
    long got;

    if (!r)
        stop(&err);
    while ((got = history_next(r, batch, BATCH, &err)) > 0) {
        n += (uint64_t)got;
        sum += batch[0].seq;
    }
    if (got < 0)
        stop(&err);
    seconds = (double)(cpu_ns() - begun_ns) / 1e9;
    history_close(r);
    printf("%-26s %6.1f M events/s stored, %llu handed out (%llx)\n", what,
           (double)stored / seconds / 1e6, (unsigned long long)n,
           (unsigned long long)(sum & 0xffff));
}

static void open_writers(struct traffic *t, const char *folder)
{
    struct err err = {0};
    char name[32];

    for (unsigned i = 0; i < t->producers; i++) {
        snprintf(name, sizeof(name), "producer-%u", i);
        t->writers[i] = history_writer_open(folder, name, (uint16_t)i, &err);
        if (!t->writers[i])
            stop(&err);
    }
    t->consumer = history_writer_open(folder, "consumer", 100, &err);
    if (!t->consumer)
        stop(&err);
}

int main(int argc, char **argv)
{
    struct traffic t = {.messages = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000,
                        .producers = argc > 2 ? (unsigned)atoi(argv[2]) : 4,
                        .partitions = 6};
    char folder[256], path[300];
    struct err err = {0};
    struct sealer *s;
    struct stat st;

    if (t.producers < 1 || t.producers > 64)
        return 2;
    snprintf(folder, sizeof(folder), "%s/history-bench-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(folder))
        return 1;
    s = sealer_open(folder, &err);
    if (!s)
        stop(&err);
    open_writers(&t, folder);
    t.at_ns = clock_now_ns();
    record(&t, s);
    for (unsigned i = 0; i < t.producers; i++)
        history_writer_close(t.writers[i]);
    history_writer_close(t.consumer);
    if (sealer_finish(s, &err) < 0)
        stop(&err);
    sealer_close(s);
    snprintf(path, sizeof(path), "%s/history", folder);
    if (stat(path, &st) == 0)
        printf("size    %6.2f bytes an operation, %.2f an event\n",
               (double)st.st_blocks * 512 / (double)(2 * t.messages),
               (double)st.st_blocks * 512 / (double)t.events);
    for (int round = 0; round < 2; round++) {
        read_back(folder, "read by writer", PER_WRITER, UINT64_MAX, t.events);
        read_back(folder, "read by time", BY_TIME, UINT64_MAX, t.events);
        read_back(folder, "read deliveries by writer", PER_WRITER, WANTS(DELIVER), t.events);
        read_back(folder, "read completes by writer", PER_WRITER, WANTS(SEND_COMPLETE), t.events);
    }
    unlink(path);
    rmdir(folder);
    return 0;
}
