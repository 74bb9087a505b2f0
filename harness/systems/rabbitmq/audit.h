/*
 * An audit client for all queues of a cluster at once: consumes them with manual acknowledgement
 * and gives nothing back, until the queues themselves say that all they hold is in its hands. What
 * it took is `remaining`.
 *
 *     struct audit audit;
 *     audit_open(&audit, cluster, address, deadline, err);
 *     audit_marker(&audit, q, deadline, err);      // optional: the proof travels through the queue
 *     audit_consume(&audit, q, deadline, err);
 *     audit_take(&audit, wait_ns, err);            // as often as messages are missing
 *     audit_is_empty(&audit, q, deadline, err);    // basic.get says so too
 *     audit_record(&audit, q, writer);
 *     audit_close(&audit);                         // what it took goes back to the queues
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_AUDIT_H
#define ASSAY_SYSTEMS_RABBITMQ_AUDIT_H

#include "systems/rabbitmq/amqp.h"
#include "systems/rabbitmq/content.h"
#include "systems/rabbitmq/rabbitmq.h"

struct audit_queue {
    struct event *events; /* in take order */
    size_t n, room;
    size_t markers;           /* of them; of earlier rounds too */
    bool marked, marker_seen; /* a marker was sent in this round, and taken */
    int64_t marker_position;
    unsigned consumers;
    bool is_stream; /* read from its beginning; taking takes nothing away */
};

struct audit {
    struct cluster *cluster;
    amqp_connection_state_t connection;
    struct content content;
    struct audit_queue *queues;
    size_t n;
    uint64_t nonce; /* of this round's markers */
};

int audit_open(struct audit *audit, struct cluster *cluster, const char *address,
               struct deadline deadline, struct err *err);
/* Published to the queue itself (default exchange), mandatory, confirmed. -1: not taken. */
int audit_marker(struct audit *audit, size_t q, struct deadline deadline, struct err *err);
/* A quorum queue gives one consumer 65535 messages at most: call it again for one more. */
int audit_consume(struct audit *audit, size_t q, struct deadline deadline, struct err *err);
/* Takes what is there until nothing comes for wait_ns. Returns how many, -1 when the connection is
 * gone. */
long audit_take(struct audit *audit, int64_t wait_ns, struct deadline deadline, struct err *err);
/* 1 basic.get answers empty; 0 it gave a message (which is taken). */
int audit_is_empty(struct audit *audit, size_t q, struct deadline deadline, struct err *err);
void audit_record(const struct audit *audit, size_t q, struct history_writer *writer);
void audit_close(struct audit *audit);

#endif
