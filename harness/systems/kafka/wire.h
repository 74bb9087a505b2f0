/*
 * A little of Kafka's own protocol on a plain socket, for what librdkafka does not offer: the view
 * of one chosen broker, the controller quorum, elections, reassignments. Blocking with deadlines;
 * no retries, no redirects: the node that is asked answers or the call fails.
 *
 *     struct wire w = {.fd = -1};
 *     struct wire_body ask = {0};
 *     put_i32(&ask, 5000);
 *     if (kafka_wire_send(&w, "10.77.1.1", 9092, API_METADATA, 8, &ask, deadline, err) == 0 &&
 *         kafka_wire_receive(&w, &answer, deadline, err) == 0)
 *         throttle_ms = get_i32(&answer);
 *     kafka_wire_close(&w);
 *
 * Source: https://kafka.apache.org/protocol and the message schemas under
 * clients/src/main/resources/common/message of apache/kafka 3.9.
 */
#ifndef ASSAY_KAFKA_WIRE_H
#define ASSAY_KAFKA_WIRE_H

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_api {
    API_LIST_OFFSETS = 2,
    API_METADATA = 3,
    API_OFFSET_FETCH = 9,
    API_FIND_COORDINATOR = 10,
    API_DESCRIBE_GROUPS = 15,
    API_INIT_PRODUCER_ID = 22,
    API_CREATE_PARTITIONS = 37,
    API_ELECT_LEADERS = 43,
    API_INCREMENTAL_ALTER_CONFIGS = 44,
    API_ALTER_PARTITION_REASSIGNMENTS = 45,
    API_LIST_PARTITION_REASSIGNMENTS = 46,
    API_DESCRIBE_QUORUM = 55,
};

#define WIRE_ASK_MAX 8192
struct wire_body { /* what is asked: bounded, `full` once it did not fit */
    uint8_t bytes[WIRE_ASK_MAX];
    size_t n;
    bool full;
};
struct wire_view { /* what was answered: borrowed from the connection until its next receive */
    const uint8_t *bytes;
    size_t n, at;
    bool bad; /* read past the end: everything read since is zero */
};

struct wire {
    int fd; /* -1 closed */
    int32_t correlation;
    bool flexible; /* of the request that is outstanding */
    uint8_t *in;   /* answer, grown as needed, freed by kafka_wire_close */
    size_t in_size;
};

/* Connects where it is not connected, sends one request. The connection is closed on error. */
int kafka_wire_send(struct wire *w, const char *address, uint16_t port, enum wire_api api,
                    int16_t version, const struct wire_body *body, struct deadline deadline,
                    struct err *err);
/* The answer to it. */
int kafka_wire_receive(struct wire *w, struct wire_view *answer, struct deadline deadline,
                       struct err *err);
void kafka_wire_close(struct wire *w);

void put_i8(struct wire_body *b, int8_t value);
void put_i16(struct wire_body *b, int16_t value);
void put_i32(struct wire_body *b, int32_t value);
void put_i64(struct wire_body *b, int64_t value);
void put_string(struct wire_body *b, const char *text); /* NULL: a null string */
void put_uvarint(struct wire_body *b, uint32_t value);
void put_compact_string(struct wire_body *b, const char *text);
void put_compact_array(struct wire_body *b, size_t n);
void put_tags(struct wire_body *b); /* none */

int8_t get_i8(struct wire_view *v);
int16_t get_i16(struct wire_view *v);
int32_t get_i32(struct wire_view *v);
int64_t get_i64(struct wire_view *v);
uint32_t get_uvarint(struct wire_view *v);
/* Copies into out (cut at size); null and absent read as "". */
void get_string(struct wire_view *v, char *out, size_t size);
void get_compact_string(struct wire_view *v, char *out, size_t size);
/* Element counts, never negative, never more than the bytes that are left. */
int32_t get_array(struct wire_view *v);
int32_t get_compact_array(struct wire_view *v);
void get_tags(struct wire_view *v);
void get_skip(struct wire_view *v, size_t n);
/* A part of `n` bytes as a view of its own (BYTES fields). */
struct wire_view get_part(struct wire_view *v, size_t n);

/* The name of a broker's error code, "error 123" where it has none. Static or thread-local text. */
const char *kafka_error_name(int16_t code);

#endif
