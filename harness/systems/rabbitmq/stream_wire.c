/* Frames of the stream protocol. See stream_wire.h. */
#include "systems/rabbitmq/stream_wire.h"

#include "systems/rabbitmq/wire.h"

#include <string.h>

#define VERSION 1
#define RESPONSE 0x8000u

/* PROTOCOL.adoc, "Response Codes". */
const char *stream_code_name(unsigned code)
{
    static const char *const names[] = {"code 0",
                                        "OK",
                                        "STREAM_DOES_NOT_EXIST",
                                        "SUBSCRIPTION_ID_ALREADY_EXISTS",
                                        "SUBSCRIPTION_ID_DOES_NOT_EXIST",
                                        "STREAM_ALREADY_EXISTS",
                                        "STREAM_NOT_AVAILABLE",
                                        "SASL_MECHANISM_NOT_SUPPORTED",
                                        "AUTHENTICATION_FAILURE",
                                        "SASL_ERROR",
                                        "SASL_CHALLENGE",
                                        "AUTHENTICATION_FAILURE_LOOPBACK",
                                        "VHOST_ACCESS_FAILURE",
                                        "UNKNOWN_FRAME",
                                        "FRAME_TOO_LARGE",
                                        "INTERNAL_ERROR",
                                        "ACCESS_REFUSED",
                                        "PRECONDITION_FAILED",
                                        "PUBLISHER_DOES_NOT_EXIST"};

    return code < sizeof(names) / sizeof(names[0]) ? names[code] : "an unknown code";
}

/* ---- requests */

static uint8_t *room(struct stream_request *r, size_t n)
{
    uint8_t *at = r->bytes + r->n;

    if (r->too_long || n > sizeof(r->bytes) - r->n) {
        r->too_long = true;
        return NULL;
    }
    r->n += n;
    return at;
}

void stream_put(struct stream_request *r, uint64_t number, unsigned bytes)
{
    uint8_t *at = room(r, bytes);

    if (at)
        wire_store(at, number, bytes);
}

static void put_raw(struct stream_request *r, const void *bytes, size_t n)
{
    uint8_t *at = room(r, n);

    if (at && n > 0)
        memcpy(at, bytes, n);
}

void stream_put_text(struct stream_request *r, const char *text)
{
    stream_put(r, strlen(text), 2);
    put_raw(r, text, strlen(text));
}

void stream_put_bytes(struct stream_request *r, const void *bytes, size_t n)
{
    stream_put(r, n, 4);
    put_raw(r, bytes, n);
}

void stream_begin(struct stream_request *r, unsigned key, uint32_t correlation)
{
    r->n = 0;
    r->too_long = false;
    stream_put(r, 0, 4); /* its size, when it is known */
    stream_put(r, key, 2);
    stream_put(r, VERSION, 2);
    if (correlation)
        stream_put(r, correlation, 4);
}

size_t stream_end(struct stream_request *r)
{
    if (r->too_long)
        return 0;
    wire_store(r->bytes, r->n - 4, 4);
    return r->n;
}

/* ---- messages */

size_t stream_publish_size(size_t payload)
{
    return STREAM_PUBLISH_HEAD + payload;
}

/*
 *     8  publisher u8     9  messages u32 (1)     13  publishing id u64     21  size u32
 *     25  00 53 75: a data section (AMQP 1.0, 3.2.6)   28  b0, size u32: vbin32   33  payload
 *
 * The highest bit of the message's size is 0: an entry of its own, no batch (osiris_log.erl).
 */
void stream_publish_write(uint8_t *at, uint8_t publisher, uint64_t id, const void *payload,
                          size_t n)
{
    static const uint8_t data_section[] = {0x00, 0x53, 0x75, 0xb0};

    wire_store(at, stream_publish_size(n) - 4, 4);
    wire_store(at + 4, STREAM_PUBLISH, 2);
    wire_store(at + 6, VERSION, 2);
    at[8] = publisher;
    wire_store(at + 9, 1, 4);
    wire_store(at + 13, id, 8);
    wire_store(at + 21, sizeof(data_section) + 4 + n, 4);
    memcpy(at + 25, data_section, sizeof(data_section));
    wire_store(at + 29, n, 4);
    if (n > 0)
        memcpy(at + STREAM_PUBLISH_HEAD, payload, n);
}
_Static_assert(STREAM_PUBLISH_HEAD == 29 + 4, "as drawn");

/* ---- in */

static uint64_t number_at(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

enum stream_found stream_frame_read(const uint8_t *bytes, size_t n, struct stream_frame *frame)
{
    size_t size;
    unsigned key;

    if (n < 4)
        return STREAM_PART;
    size = (size_t)number_at(bytes, 4);
    if (size < STREAM_HEAD - 4 || size > STREAM_FRAME_MAX)
        return STREAM_NONSENSE;
    if (n - 4 < size)
        return STREAM_PART;
    if (number_at(bytes + 6, 2) != VERSION)
        return STREAM_NONSENSE;
    key = (unsigned)number_at(bytes + 4, 2);
    *frame = (struct stream_frame){.key = key & ~RESPONSE,
                                   .response = key & RESPONSE,
                                   .at = bytes + STREAM_HEAD,
                                   .end = bytes + 4 + size,
                                   .size = 4 + size};
    return STREAM_WHOLE;
}

/* The next n bytes, NULL and torn where there are fewer. */
static const uint8_t *take(struct stream_frame *frame, size_t n)
{
    const uint8_t *at = frame->at;

    if (frame->torn || n > (size_t)(frame->end - at)) {
        frame->torn = true;
        return NULL;
    }
    frame->at += n;
    return at;
}

uint64_t stream_take(struct stream_frame *frame, unsigned bytes)
{
    const uint8_t *at = take(frame, bytes);

    return at ? number_at(at, bytes) : 0;
}

bool stream_take_is(struct stream_frame *frame, const char *text)
{
    size_t n = (size_t)stream_take(frame, 2);
    const uint8_t *at = take(frame, n);

    return at && n == strlen(text) && memcmp(at, text, n) == 0;
}

size_t stream_take_count(struct stream_frame *frame, size_t element)
{
    size_t n = (size_t)stream_take(frame, 4);

    if (frame->torn || (size_t)(frame->end - frame->at) != n * element) {
        frame->torn = true;
        return 0;
    }
    return n;
}
