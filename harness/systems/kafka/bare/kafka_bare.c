/*
 * Produce and consume loops with nothing but librdkafka: what Assay's own client is compared with
 * (client CPU per message). 100-byte messages by default; delivery reports are read, nothing is
 * recorded. Prints one line of key=value.
 *
 *     kafka_bare produce BOOTSTRAP TOPIC COUNT [SIZE [KEY=VALUE …]]
 *     kafka_bare consume BOOTSTRAP TOPIC COUNT [SIZE [KEY=VALUE …]]
 *     kafka_bare produce 10.77.1.1:9092 orders 1000000 100 linger.ms=5 enable.idempotence=true
 *
 * Build: cc -O2 kafka_bare.c -lrdkafka
 */
#include <librdkafka/rdkafka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BATCH 1024
#define KEYS 16
#define SIZE_MAX_BYTES (1 << 20)

static long outcomes[2]; /* ok, not ok */

static void report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk, (void)opaque;
    outcomes[message->err != RD_KAFKA_RESP_ERR_NO_ERROR]++;
}

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct clocks {
    double wall, cpu;
};

static void start(struct clocks *clocks)
{
    *clocks = (struct clocks){seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static void stop(struct clocks *clocks)
{
    clocks->wall = seconds(CLOCK_MONOTONIC) - clocks->wall;
    clocks->cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - clocks->cpu;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[300];

    if (rd_kafka_conf_set(conf, key, value, why, sizeof(why)) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "kafka_bare: %s\n", why);
        exit(2);
    }
}

static rd_kafka_t *client(rd_kafka_type_t type, int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[300];
    rd_kafka_t *rk;

    set(conf, "bootstrap.servers", argv[2]);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, report);
    else {
        set(conf, "group.id", "bare");
        set(conf, "enable.auto.commit", "false");
    }
    for (int i = 6; i < argc; i++) {
        char *equals = strchr(argv[i], '=');

        if (!equals) {
            fprintf(stderr, "kafka_bare: %s is not KEY=VALUE\n", argv[i]);
            exit(2);
        }
        *equals = '\0';
        set(conf, argv[i], equals + 1);
    }
    rk = rd_kafka_new(type, conf, why, sizeof(why));
    if (!rk) {
        fprintf(stderr, "kafka_bare: %s\n", why);
        exit(2);
    }
    return rk;
}

static void produce(int argc, char **argv, long count, size_t size)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, argc, argv);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, argv[3], NULL);
    static const char keys[KEYS][2] = {"0", "1", "2", "3", "4", "5", "6", "7",
                                       "8", "9", "a", "b", "c", "d", "e", "f"};
    char *payload = calloc(1, size);

    for (long i = 0; i < count;) {
        const char *key = keys[i % KEYS];

        if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, payload, size, key,
                             1, NULL) == 0)
            i++;
        else if (rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(rk, 10);
        else
            outcomes[1]++, i++;
        if (i % 64 == 0)
            rd_kafka_poll(rk, 0);
    }
    rd_kafka_flush(rk, 60000);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
    free(payload);
}

/* Partition 0 from its beginning. The clocks run from the first message on: connecting and finding
 * the partition's leader are left out. */
static void consume(int argc, char **argv, long count, struct clocks *clocks)
{
    static rd_kafka_message_t *batch[BATCH];
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, argc, argv);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_queue_t *queue;

    rd_kafka_poll_set_consumer(rk);
    queue = rd_kafka_queue_get_consumer(rk);
    rd_kafka_topic_partition_list_add(topics, argv[3], 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(rk, topics);
    while (outcomes[0] < count) {
        size_t most = count - outcomes[0] < BATCH ? (size_t)(count - outcomes[0]) : BATCH;
        ssize_t n = rd_kafka_consume_batch_queue(queue, 1000, batch, most); /* waits for as many */

        if (outcomes[0] == 0 && n > 0)
            start(clocks);
        for (ssize_t i = 0; i < n; i++) {
            outcomes[batch[i]->err != RD_KAFKA_RESP_ERR_NO_ERROR]++;
            rd_kafka_message_destroy(batch[i]);
        }
    }
    stop(clocks);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_destroy(topics);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

int main(int argc, char **argv)
{
    struct clocks clocks;
    long count = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
    long size = argc > 5 ? strtol(argv[5], NULL, 10) : 100;
    struct rusage usage;

    if (count <= 0 || size <= 0 || size > SIZE_MAX_BYTES ||
        (strcmp(argv[1], "produce") != 0 && strcmp(argv[1], "consume") != 0)) {
        fprintf(stderr,
                "usage: kafka_bare produce|consume BOOTSTRAP TOPIC COUNT [SIZE [KEY=VALUE …]]\n");
        return 2;
    }
    start(&clocks);
    if (strcmp(argv[1], "produce") == 0) {
        produce(argc, argv, count, (size_t)size);
        stop(&clocks);
    } else {
        consume(argc, argv, count, &clocks);
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("%s messages=%ld failed=%ld seconds=%.3f cpu_seconds=%.6f per_s=%.0f max_rss_kb=%ld\n",
           argv[1], outcomes[0], outcomes[1], clocks.wall, clocks.cpu,
           (double)outcomes[0] / clocks.wall, usage.ru_maxrss);
    return outcomes[1] ? 1 : 0;
}
