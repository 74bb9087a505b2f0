/*
 * Tombstones: records with a key and no value, by which a compacted topic forgets the key
 * (kafka.apache.org/documentation/#compaction). What every other message has at the start of its
 * value travels in a header here, so that a tombstone is as well known as any message.
 */
#include "systems/kafka/client.h"

#include "api/message.h"

#define HEADER "assay"

rd_kafka_resp_err_t kafka_tombstone_send(struct kafka_handle *h, int32_t partition,
                                         struct kafka_key key, const struct send *send,
                                         void *opaque)
{
    rd_kafka_vu_t words[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = h->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {key.text, key.size}},
        {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {HEADER, send->payload, (ssize_t)send->size}},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = opaque},
    };
    rd_kafka_error_t *error =
        rd_kafka_produceva(h->producer, words, sizeof(words) / sizeof(*words));
    rd_kafka_resp_err_t code = rd_kafka_error_code(error); /* of NULL: none */

    rd_kafka_error_destroy(error);
    return code;
}

const void *kafka_payload(const rd_kafka_message_t *m, size_t *size)
{
    rd_kafka_headers_t *headers;
    const void *payload = NULL;

    *size = m->len;
    if (m->payload || rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, HEADER, &payload, size) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return m->payload;
    return payload;
}
