/* Giving what was gathered to librdkafka. See gather.h. */
#include "systems/kafka/gather.h"

#include <stdlib.h>

struct kafka_gather *kafka_gather_open(void)
{
    struct kafka_gather *g = malloc(sizeof(*g));

    if (!g)
        abort();
    g->n = g->used = 0;
    return g;
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
