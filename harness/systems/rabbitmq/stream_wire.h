/*
 * Frames of RabbitMQ's stream protocol as bytes, out and in. Pure: no socket, no clock.
 *
 *     struct stream_request r;                              struct stream_frame f;
 *     stream_begin(&r, STREAM_OPEN, correlation);           switch (stream_frame_read(in, n, &f)) {
 *     stream_put_text(&r, "/");                             case STREAM_WHOLE: … stream_take(&f, 2)
 *     if (stream_end(&r) == 0) → it did not fit             case STREAM_PART:     more is needed
 *     send(fd, r.bytes, r.n, 0);                            case STREAM_NONSENSE: no such protocol
 *
 *     0  size u32, of what follows     4  key u16, its highest bit: a response     6  version u16
 *     8  requests and responses: correlation u32; responses: code u16; then each its own
 *
 * All in network order. A text is u16 and its bytes, an array u32 and its elements. What a peer
 * says of sizes is never trusted: a frame is at most STREAM_FRAME_MAX, and what lies behind its end
 * is not read.
 *
 * Source: deps/rabbitmq_stream/docs/PROTOCOL.adoc and rabbit_stream_core.erl of rabbitmq-server.
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_STREAM_WIRE_H
#define ASSAY_SYSTEMS_RABBITMQ_STREAM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_FRAME_MAX ((size_t)1 << 20) /* the server's own default frame_max */
#define STREAM_HEAD 8                      /* size, key, version */
#define STREAM_REQUEST_BYTES 1024          /* the longest of ours has two names of 255 bytes */

enum stream_key {
    STREAM_DECLARE_PUBLISHER = 1,
    STREAM_PUBLISH = 2,
    STREAM_PUBLISH_CONFIRM = 3,
    STREAM_PUBLISH_ERROR = 4,
    STREAM_METADATA_UPDATE = 16,
    STREAM_PEER_PROPERTIES = 17,
    STREAM_SASL_HANDSHAKE = 18,
    STREAM_SASL_AUTHENTICATE = 19,
    STREAM_TUNE = 20,
    STREAM_OPEN = 21,
    STREAM_CLOSE = 22,
    STREAM_HEARTBEAT = 23
};

enum stream_code {
    STREAM_OK = 1,
    STREAM_DOES_NOT_EXIST = 2,
    STREAM_NOT_AVAILABLE = 6,
    STREAM_FRAME_TOO_LARGE = 14,
    STREAM_INTERNAL_ERROR = 15,
    STREAM_ACCESS_REFUSED = 16,
    STREAM_PRECONDITION_FAILED = 17,
    STREAM_PUBLISHER_DOES_NOT_EXIST = 18
};
/* "STREAM_NOT_AVAILABLE"; "an unknown code" where it has no name. */
const char *stream_code_name(unsigned code);

/* ---- out: small requests */
struct stream_request {
    uint8_t bytes[STREAM_REQUEST_BYTES];
    size_t n;
    bool too_long;
};

/* A request's correlation id comes back with its response; 0: the command has none. */
void stream_begin(struct stream_request *r, unsigned key, uint32_t correlation);
void stream_put(struct stream_request *r, uint64_t number, unsigned bytes);
void stream_put_text(struct stream_request *r, const char *text);
void stream_put_bytes(struct stream_request *r, const void *bytes, size_t n); /* u32 and they */
/* Its size, 0: it did not fit. */
size_t stream_end(struct stream_request *r);

/* ---- out: messages. One frame each, its payload in an AMQP 1.0 data section, which AMQP 0-9-1's
 * consumers get as the body (rabbit_msg_record.erl, mc_amqpl.erl). */
#define STREAM_PUBLISH_HEAD 33
size_t stream_publish_size(size_t payload);
/* Fills stream_publish_size(n) bytes at `at`. */
void stream_publish_write(uint8_t *at, uint8_t publisher, uint64_t id, const void *payload,
                          size_t n);

/* ---- in */
struct stream_frame {
    unsigned key;
    bool response;
    const uint8_t *at, *end; /* what was not taken yet; borrowed from the bytes read */
    size_t size;             /* of the whole frame */
    bool torn;               /* more was taken than there is */
};

enum stream_found { STREAM_PART, STREAM_WHOLE, STREAM_NONSENSE };

/* The frame that `n` bytes begin with. */
enum stream_found stream_frame_read(const uint8_t *bytes, size_t n, struct stream_frame *frame);
/* The next number; 0 and `torn` where there is none. */
uint64_t stream_take(struct stream_frame *frame, unsigned bytes);
/* Takes a text and says whether it is this one. */
bool stream_take_is(struct stream_frame *frame, const char *text);
/* Takes an array's length: just so many elements of this size must follow, else torn and 0. */
size_t stream_take_count(struct stream_frame *frame, size_t element);

#endif
