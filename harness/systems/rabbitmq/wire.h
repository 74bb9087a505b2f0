/*
 * Outgoing AMQP frames in a bounded buffer, sent without blocking. rabbitmq-c sends three times per
 * message and waits for a full socket to drain (a paused broker would hold the worker for as long);
 * here hundreds of messages leave with one system call and a full buffer is SUBMIT_BUSY. Encoding
 * is the library's (amqp_encode_method, amqp_encode_properties).
 *
 *     struct publish_frames frames;
 *     publish_frames_init(&frames, 1, exchange, key, mandatory, &properties, err);
 *     if (!wire_publish(&wire, &frames, body, size, frame_max)) → full
 *     wire_flush(&wire, fd)                          1: some is left, 0: all gone, -1: errno
 *
 * Source: AMQP 0-9-1 specification, 2.3.5 "Frame Details".
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_WIRE_H
#define ASSAY_SYSTEMS_RABBITMQ_WIRE_H

#include "base/err.h"
#include "systems/rabbitmq/library.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_BYTES ((size_t)512 << 10)
#define FRAME_OVERHEAD 8 /* type, channel, size; end */

struct wire {
    uint8_t *bytes;
    size_t start, end;
};

/* The method and header frame of every message of one publisher; only the body's size differs. */
struct publish_frames {
    uint8_t bytes[2048];
    size_t size, body_size_at;
    amqp_channel_t channel;
};

int wire_init(struct wire *wire, struct err *err);
void wire_release(struct wire *wire);
void wire_reset(struct wire *wire);
bool wire_is_empty(const struct wire *wire);
/* False: no room now. */
bool wire_method(struct wire *wire, amqp_channel_t channel, amqp_method_number_t id, void *method);
bool wire_heartbeat(struct wire *wire);
bool wire_publish(struct wire *wire, const struct publish_frames *frames, const void *body,
                  size_t size, size_t frame_max);
int wire_flush(struct wire *wire, int fd);
/* Room for n bytes of a frame that somebody else writes, NULL: none now. They count once `end` has
 * moved by n. */
uint8_t *wire_reserve(struct wire *wire, size_t n);
/* In network order. */
void wire_store(uint8_t *at, uint64_t value, unsigned bytes);

int publish_frames_init(struct publish_frames *frames, amqp_channel_t channel, const char *exchange,
                        const char *key, bool mandatory, amqp_basic_properties_t *properties,
                        struct err *err);

#endif
