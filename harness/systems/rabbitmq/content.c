/* Messages from frames. See content.h. */
#include "systems/rabbitmq/content.h"

#include <stdlib.h>
#include <string.h>

/* Cut short where it is longer; every delivery pays for this. */
static void keep_tag(struct content *c, amqp_bytes_t tag)
{
    size_t n = tag.len < sizeof(c->consumer) - 1 ? tag.len : sizeof(c->consumer) - 1;

    if (n > 0)
        memcpy(c->consumer, tag.bytes, n);
    c->consumer[n] = '\0';
}

static bool begin(struct content *c, const amqp_method_t *method)
{
    if (method->id == AMQP_BASIC_DELIVER_METHOD) {
        const amqp_basic_deliver_t *m = method->decoded;

        c->tag = m->delivery_tag;
        c->redelivered = m->redelivered;
        keep_tag(c, m->consumer_tag);
    } else if (method->id == AMQP_BASIC_GET_OK_METHOD) {
        const amqp_basic_get_ok_t *m = method->decoded;

        c->tag = m->delivery_tag;
        c->redelivered = m->redelivered;
    } else if (method->id == AMQP_BASIC_RETURN_METHOD) {
        const amqp_basic_return_t *m = method->decoded;

        c->code = m->reply_code;
    } else {
        return false;
    }
    c->method = method->id;
    return true;
}

/* A body of one frame stays where the library put it; only longer ones are copied together. */
static void add_body(struct content *c, const amqp_bytes_t *part)
{
    if (c->have == 0 && part->len == c->size) {
        c->body = part->bytes;
        c->have = part->len;
        return;
    }
    if (!c->body) {
        c->body = malloc(c->size ? c->size : 1);
        if (!c->body)
            abort();
        c->owned = true;
    }
    if (part->len > c->size - c->have)
        return; /* more than announced: the message stays incomplete, as the protocol was broken */
    memcpy((char *)c->body + c->have, part->bytes, part->len);
    c->have += part->len;
}

static const amqp_field_value_t *header_named(const amqp_basic_properties_t *properties,
                                              const char *name)
{
    if (!properties || !(properties->_flags & AMQP_BASIC_HEADERS_FLAG))
        return NULL;
    for (int i = 0; i < properties->headers.num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->headers.entries[i];

        if (entry->key.len == strlen(name) && memcmp(entry->key.bytes, name, entry->key.len) == 0)
            return &entry->value;
    }
    return NULL;
}

/* rabbitmq.com/dlx.html: dead-lettering adds x-death; rabbitmq.com/streams.html: the offset. */
static void read_headers(struct content *c, const amqp_basic_properties_t *properties)
{
    const amqp_field_value_t *offset = header_named(properties, "x-stream-offset");

    c->dead_lettered = header_named(properties, "x-death") != NULL;
    c->offset = offset && offset->kind == AMQP_FIELD_KIND_I64 ? offset->value.i64 : -1;
}

enum content_state content_feed(struct content *c, const amqp_frame_t *frame)
{
    if (frame->frame_type == AMQP_FRAME_METHOD)
        return begin(c, &frame->payload.method) ? CONTENT_PART : CONTENT_OTHER;
    if (!c->method)
        return CONTENT_OTHER;
    if (frame->frame_type == AMQP_FRAME_HEADER) {
        c->has_header = true;
        c->size = (size_t)frame->payload.properties.body_size;
        read_headers(c, frame->payload.properties.decoded);
    } else if (frame->frame_type == AMQP_FRAME_BODY) {
        add_body(c, &frame->payload.body_fragment);
    }
    return c->has_header && c->have == c->size ? CONTENT_WHOLE : CONTENT_PART;
}

void content_next(struct content *c)
{
    if (c->owned)
        free(c->body);
    memset(c, 0, sizeof(*c));
}
