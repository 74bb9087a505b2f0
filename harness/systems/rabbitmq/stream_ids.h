/*
 * Publishing ids of a stream's producer: which message has which, what is in flight, and the rule
 * about their order.
 *
 *     switch (stream_ids_add(&ids, stream_id_of(&msg->id), slot, now_ns)) {
 *     case IDS_ADDED: … into the socket …      case IDS_FULL: later      case IDS_LATE: never
 *     }
 *     if (stream_ids_take(&ids, id, &slot)) …        a confirm: of something in flight
 *     while (stream_ids_pop(&ids, &slot)) …          the connection broke: oldest first
 *
 * The rule. A stream keeps one number per producer's name, the highest id it has stored; what
 * comes with that id or a lower one is confirmed and not stored (osiris_writer.erl: is_duplicate;
 * api.adoc of rabbitmq-stream-java-client, "Deduplication": strictly increasing, one thread). So
 *
 * - a message has the same id whenever it is sent, and a restarted client's are above all of its
 *   earlier ones: incarnation, then number, from 1. Nobody needs to ask the stream for its number;
 * - on a connection ids only rise. What is in flight when one breaks was stored up to some id and
 *   not beyond it (one socket, one writer, one log: a prefix), so sent again in their order the
 *   stored ones are dropped and the others stored. Were 51, new, sent before 50 is sent again,
 *   then 50 would be confirmed and lost. A worker offers again in the order of numbers and before
 *   what is new (client/send.c); an id below one that this connection has sent is refused here.
 *   Beyond a connection that would not hold if a server refused one message of a live publisher and
 *   stored a later one; none is known to.
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_STREAM_IDS_H
#define ASSAY_SYSTEMS_RABBITMQ_STREAM_IDS_H

#include "api/message.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order they were sent, which is that of their ids. */
struct stream_ids {
    struct stream_sent {
        uint64_t id;
        int64_t at_ns;
        uint32_t slot;
        bool open;
    } * ring;
    size_t mask;
    uint64_t first, end; /* places in the ring: [first, end) are in flight or answered early */
    uint64_t highest;    /* sent on this connection; 0: none */
};

enum ids_answer {
    IDS_ADDED,
    IDS_FULL, /* until older ones are answered */
    IDS_LATE, /* a higher one was sent */
};

uint64_t stream_id_of(const struct msg_id *id);

/* For `limit` messages in flight. */
int stream_ids_init(struct stream_ids *ids, size_t limit, struct err *err);
void stream_ids_release(struct stream_ids *ids);
/* A new connection; nothing may be in flight. */
void stream_ids_restart(struct stream_ids *ids);
enum ids_answer stream_ids_add(struct stream_ids *ids, uint64_t id, uint32_t slot, int64_t now_ns);
/* It is answered: its slot. False: no such id is in flight. */
bool stream_ids_take(struct stream_ids *ids, uint64_t id, uint32_t *slot);
/* The oldest that is in flight. False: none is. */
bool stream_ids_pop(struct stream_ids *ids, uint32_t *slot);
/* When the oldest was sent; INT64_MAX: none is in flight. */
int64_t stream_ids_oldest_ns(const struct stream_ids *ids);

#endif
