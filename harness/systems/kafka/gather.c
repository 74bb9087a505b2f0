/*
 * Sends that follow one another at once (struct send: more) are given to librdkafka together:
 * rd_kafka_produce_batch takes the time and the topic's lock once for all of them. What the library
 * has no room for stays, in order, and is given to it again before anything else.
 */
#include "systems/kafka/client.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 64
#define BYTES_MAX (64u << 10)

struct kafka_gather {
    size_t n, used;
    int32_t partition; /* of all of them */
    rd_kafka_message_t messages[MESSAGES_MAX];
    char bytes[BYTES_MAX]; /* keys and payloads */
};

struct kafka_gather *kafka_gather_open(void)
{
    struct kafka_gather *g = malloc(sizeof(*g));

    if (!g)
        abort();
    g->n = g->used = 0;
    return g;
}

size_t kafka_gather_n(const struct kafka_gather *g)
{
    return g->n;
}

bool kafka_gather_add(struct kafka_gather *g, int32_t partition, const struct send *send,
                      uint32_t slot)
{
    rd_kafka_message_t *m = &g->messages[g->n];
    char *payload = g->bytes + g->used + KEY_DIGITS;
    struct kafka_key key;

    if (g->n == MESSAGES_MAX || BYTES_MAX - g->used < KEY_DIGITS + send->size ||
        (g->n > 0 && partition != g->partition))
        return false;
    key = kafka_key_of(payload - KEY_DIGITS, send->msg->key);
    g->partition = partition;
    g->n++;
    g->used += KEY_DIGITS + send->size;
    m->key = key.text;
    m->key_len = key.size;
    m->payload = payload;
    m->len = send->size;
    m->_private = (void *)(uintptr_t)(slot + 1);
    memcpy(payload, send->payload, send->size);
    return true;
}

void kafka_gather_hand_over(struct kafka_gather *g, rd_kafka_topic_t *topic,
                            void (*refused)(void *context, const rd_kafka_message_t *m),
                            void *context)
{
    size_t n = g->n, kept = 0;

    if (n == 0)
        return;
    if (rd_kafka_produce_batch(topic, g->partition, RD_KAFKA_MSG_F_COPY, g->messages, (int)n) !=
        (int)n)
        for (size_t i = 0; i < n; i++) {
            if (g->messages[i].err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
                g->messages[kept++] = g->messages[i];
            else if (g->messages[i].err)
                refused(context, &g->messages[i]);
        }
    g->n = kept;
    if (kept == 0)
        g->used = 0;
}
