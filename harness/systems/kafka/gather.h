/*
 * Sends that follow one another at once (struct send: more) are given to librdkafka together:
 * rd_kafka_produce_batch takes the time and the topic's lock once for all of them. What the library
 * has no room for stays, in order, and is given to it again before anything else.
 *
 *     if (!kafka_gather_add(g, partition, send, slot))
 *         kafka_gather_hand_over(g, topic, refused, context);   // then once more
 */
#ifndef ASSAY_KAFKA_GATHER_H
#define ASSAY_KAFKA_GATHER_H

#include "systems/kafka/client.h"

#include <string.h>

#define GATHER_MESSAGES_MAX 64
#define GATHER_BYTES_MAX (64u << 10)

struct kafka_gather {
    size_t n, used;
    int32_t partition; /* of all of them */
    rd_kafka_message_t messages[GATHER_MESSAGES_MAX];
    char bytes[GATHER_BYTES_MAX]; /* keys and payloads */
};

struct kafka_gather *kafka_gather_open(void); /* the caller's to free() */

/* Copies; false: it does not fit to what is there, or is a tombstone, which has a header and is
 * sent alone. Every message that is sent passes here. */
static inline bool kafka_gather_add(struct kafka_gather *g, int32_t partition,
                                    const struct send *send, uint32_t slot)
{
    rd_kafka_message_t *m = &g->messages[g->n];
    char *payload = g->bytes + g->used + KEY_DIGITS;
    struct kafka_key key;

    if (send->msg->flags & MSG_REMOVED || g->n == GATHER_MESSAGES_MAX ||
        GATHER_BYTES_MAX - g->used < KEY_DIGITS + send->size ||
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

/* What the library has no room for stays; what it will never take is refused. */
void kafka_gather_hand_over(struct kafka_gather *g, rd_kafka_topic_t *topic,
                            void (*refused)(void *context, const rd_kafka_message_t *m),
                            void *context);

#endif
