/*
 * Messages put together from AMQP frames: method, header, body frames. rabbitmq-c has readers of
 * its own, but they block and know one caller; here acks, returns and deliveries come mixed.
 *
 *     switch (content_feed(&content, &frame)) {
 *     case CONTENT_WHOLE: … content.body, content.size …; content_next(&content); break;
 *     case CONTENT_PART: break;
 *     case CONTENT_OTHER: … an ack, a close: frame.payload.method …
 *     }
 *
 * One per channel. Source: AMQP 0-9-1 specification, 4.2.6 "Content Framing".
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_CONTENT_H
#define ASSAY_SYSTEMS_RABBITMQ_CONTENT_H

#include "systems/rabbitmq/library.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct content {
    amqp_method_number_t
        method;     /* basic.deliver, basic.get-ok or basic.return; 0: none under way */
    uint64_t tag;   /* delivery tag */
    uint16_t code;  /* return: reply code */
    int64_t offset; /* in a stream (x-stream-offset); -1: of no stream */
    bool redelivered, dead_lettered; /* the latter: it has an x-death header */
    char consumer[24];               /* deliver: consumer tag, cut short */
    size_t size, have;
    bool has_header;
    void *body; /* the library's until its buffers are released, or malloced: */
    bool owned; /* content_next frees it unless the caller took it (owned = false) */
};

enum content_state { CONTENT_OTHER, CONTENT_PART, CONTENT_WHOLE };

enum content_state content_feed(struct content *content, const amqp_frame_t *frame);
void content_next(struct content *content);

#endif
