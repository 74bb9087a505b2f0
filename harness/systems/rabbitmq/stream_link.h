/*
 * A connection that speaks the stream protocol: its socket, what was read of it and not taken yet,
 * and the calls that make a publisher of it, which block until their deadline. What is published
 * and confirmed afterwards is client_stream.c's business.
 *
 *     struct stream_link link = {.fd = -1};
 *     stream_link_init(&link, err);
 *     if (stream_link_connect(&link, "10.77.1.1", deadline, err) == 0 &&
 *         stream_link_login(&link, &(struct stream_login){…}, deadline, err) == 0) …
 *     stream_link_read(&link);  while (stream_link_next(&link, &frame) == STREAM_WHOLE) …
 *     stream_link_hang_up(&link, true);  …  stream_link_release(&link);
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_STREAM_LINK_H
#define ASSAY_SYSTEMS_RABBITMQ_STREAM_LINK_H

#include "base/clock.h"
#include "base/err.h"
#include "systems/rabbitmq/stream_wire.h"

struct stream_link {
    int fd;               /* -1: none */
    uint8_t *in;          /* room for the longest frame */
    size_t first, end;    /* read and not taken */
    size_t frame_max;     /* of what is sent, as agreed */
    uint32_t correlation; /* of the last request */
};

struct stream_login {
    int heartbeat_s;      /* 0: none */
    uint8_t publisher;    /* its number on this connection */
    const char *producer; /* its name; "": none, nothing is known again */
    const char *stream;
};

int stream_link_init(struct stream_link *link, struct err *err);
void stream_link_release(struct stream_link *link);

int stream_link_connect(struct stream_link *link, const char *address, struct deadline deadline,
                        struct err *err);
/* From a socket that is connected to a publisher that is declared: as guest, in vhost /. -1: the
 * socket is still open. */
int stream_link_login(struct stream_link *link, const struct stream_login *how,
                      struct deadline deadline, struct err *err);
/* orderly: says so and waits a second at most for the answer. */
void stream_link_hang_up(struct stream_link *link, bool orderly);

/* What the socket has, once and without blocking. False: the connection is gone (*code: one of
 * rabbitmq-c's statuses, as in outcomes.c). */
bool stream_link_read(struct stream_link *link, int *code);
/* The next whole frame; borrowed until the next read. */
enum stream_found stream_link_next(struct stream_link *link, struct stream_frame *frame);
/* stream_link_next would find one, or nonsense. */
bool stream_link_has_more(const struct stream_link *link);

#endif
