/* Outgoing AMQP frames. See wire.h. */
#include "systems/rabbitmq/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define METHOD_BYTES 1024 /* of a method's arguments: names of 255 bytes at most, two of them */

void wire_store(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

int wire_init(struct wire *wire, struct err *err)
{
    *wire = (struct wire){.bytes = malloc(WIRE_BYTES)};
    return wire->bytes ? 0 : err_set(err, "out of memory");
}

void wire_release(struct wire *wire)
{
    free(wire->bytes);
    *wire = (struct wire){0};
}

void wire_reset(struct wire *wire)
{
    wire->start = wire->end = 0;
}

bool wire_is_empty(const struct wire *wire)
{
    return wire->start == wire->end;
}

uint8_t *wire_reserve(struct wire *wire, size_t n)
{
    if (wire->start > 0 && WIRE_BYTES - wire->end < n) {
        memmove(wire->bytes, wire->bytes + wire->start, wire->end - wire->start);
        wire->end -= wire->start;
        wire->start = 0;
    }
    return WIRE_BYTES - wire->end < n ? NULL : wire->bytes + wire->end;
}

static size_t put_head(uint8_t *at, unsigned type, amqp_channel_t channel, size_t size)
{
    at[0] = (uint8_t)type;
    wire_store(at + 1, channel, 2);
    wire_store(at + 3, size, 4);
    return 7;
}

/* A whole method frame at `at` (room for METHOD_BYTES + 12); its size, or 0. */
static size_t put_method(uint8_t *at, amqp_channel_t channel, amqp_method_number_t id, void *method)
{
    int n = amqp_encode_method(id, method, (amqp_bytes_t){METHOD_BYTES, at + 11});

    if (n < 0)
        return 0;
    put_head(at, AMQP_FRAME_METHOD, channel, (size_t)n + 4);
    wire_store(at + 7, id, 4);
    at[11 + n] = AMQP_FRAME_END;
    return (size_t)n + 12;
}

bool wire_method(struct wire *wire, amqp_channel_t channel, amqp_method_number_t id, void *method)
{
    uint8_t *at = wire_reserve(wire, METHOD_BYTES + 12);
    size_t n = at ? put_method(at, channel, id, method) : 0;

    wire->end += n;
    return n > 0;
}

bool wire_heartbeat(struct wire *wire)
{
    uint8_t *at = wire_reserve(wire, FRAME_OVERHEAD);

    if (!at)
        return false;
    at[put_head(at, AMQP_FRAME_HEARTBEAT, 0, 0)] = AMQP_FRAME_END;
    wire->end += FRAME_OVERHEAD;
    return true;
}

bool wire_publish(struct wire *wire, const struct publish_frames *frames, const void *body,
                  size_t size, size_t frame_max)
{
    size_t part_max = frame_max - FRAME_OVERHEAD;
    size_t parts = (size + part_max - 1) / part_max;
    uint8_t *at = wire_reserve(wire, frames->size + size + parts * FRAME_OVERHEAD);
    uint8_t *begin = at;

    if (!at)
        return false;
    memcpy(at, frames->bytes, frames->size);
    wire_store(at + frames->body_size_at, size, 8);
    at += frames->size;
    for (size_t done = 0; done < size;) {
        size_t part = size - done < part_max ? size - done : part_max;

        at += put_head(at, AMQP_FRAME_BODY, frames->channel, part);
        memcpy(at, (const uint8_t *)body + done, part);
        at[part] = AMQP_FRAME_END;
        at += part + 1;
        done += part;
    }
    wire->end += (size_t)(at - begin);
    return true;
}

int wire_flush(struct wire *wire, int fd)
{
    while (wire->start < wire->end) {
        ssize_t n = send(fd, wire->bytes + wire->start, wire->end - wire->start,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0)
            wire->start += (size_t)n;
        else if (errno == EAGAIN)
            return 1;
        else if (errno != EINTR)
            return -1;
    }
    wire_reset(wire);
    return 0;
}

int publish_frames_init(struct publish_frames *frames, amqp_channel_t channel, const char *exchange,
                        const char *key, bool mandatory, amqp_basic_properties_t *properties,
                        struct err *err)
{
    amqp_basic_publish_t publish = {.exchange = amqp_cstring_bytes(exchange),
                                    .routing_key = amqp_cstring_bytes(key),
                                    .mandatory = mandatory};
    size_t n = put_method(frames->bytes, channel, AMQP_BASIC_PUBLISH_METHOD, &publish);
    uint8_t *header = frames->bytes + n;
    int size;

    if (n == 0)
        return err_input(err, "exchange and key do not fit a frame");
    frames->channel = channel;
    /* header payload: class 2, weight 2, body size 8, properties */
    size = amqp_encode_properties(AMQP_BASIC_CLASS, properties,
                                  (amqp_bytes_t){sizeof(frames->bytes) - n - 19 - 1, header + 19});
    if (size < 0)
        return err_input(err, "properties do not fit a frame");
    put_head(header, AMQP_FRAME_HEADER, channel, (size_t)size + 12);
    wire_store(header + 7, AMQP_BASIC_CLASS, 2);
    wire_store(header + 9, 0, 2);
    wire_store(header + 11, 0, 8);
    frames->body_size_at = n + 11;
    header[19 + size] = AMQP_FRAME_END;
    frames->size = n + 20 + (size_t)size;
    return 0;
}
