/*
 * The bare loop that `assay bench` compares with: basic.publish through rabbitmq-c alone, publisher
 * confirms pipelined, OUTSTANDING of them at most. No recording, no history, no decorators.
 *
 *     rabbitmq_bare HOST PORT QUEUE BYTES OUTSTANDING SECONDS      → "messages seconds"
 */

#include "systems/rabbitmq/library.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RING 65536 /* more than may be outstanding */

struct bare {
    amqp_connection_state_t connection;
    uint64_t sent, confirmed; /* delivery tags: those up to `confirmed` are answered */
    bool answered[RING];      /* above it: by tag modulo RING */
};

static double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int die(const char *what)
{
    fprintf(stderr, "rabbitmq_bare: %s\n", what);
    return 1;
}

static bool went_well(const struct bare *b)
{
    return amqp_get_rpc_reply(b->connection).reply_type == AMQP_RESPONSE_NORMAL;
}

static bool open_channel(struct bare *b, const char *host, int port)
{
    amqp_socket_t *socket;

    b->connection = amqp_new_connection();
    socket = amqp_tcp_socket_new(b->connection);
    if (!socket || amqp_socket_open(socket, host, port) != AMQP_STATUS_OK)
        return false;
    if (amqp_login(b->connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest")
            .reply_type != AMQP_RESPONSE_NORMAL)
        return false;
    amqp_channel_open(b->connection, 1);
    if (!went_well(b))
        return false;
    amqp_confirm_select(b->connection, 1);
    return went_well(b);
}

/* One frame; waits for it when there is none yet. */
static bool read_confirm(struct bare *b)
{
    amqp_frame_t frame;
    const amqp_basic_ack_t *ack;

    if (amqp_simple_wait_frame(b->connection, &frame) != AMQP_STATUS_OK ||
        frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
        return false;
    ack = frame.payload.method.decoded;
    b->answered[ack->delivery_tag % RING] = true;
    while (b->confirmed < b->sent && (b->answered[(b->confirmed + 1) % RING] ||
                                      (ack->multiple && b->confirmed < ack->delivery_tag)))
        b->answered[++b->confirmed % RING] = false;
    amqp_maybe_release_buffers(b->connection);
    return true;
}

static bool publish(struct bare *b, const char *queue, amqp_bytes_t body)
{
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = AMQP_DELIVERY_PERSISTENT};

    b->sent++;
    return amqp_basic_publish(b->connection, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), false,
                              false, &properties, body) == AMQP_STATUS_OK;
}

static bool run(struct bare *b, const char *queue, amqp_bytes_t body, uint64_t outstanding,
                double end_s)
{
    while (now_s() < end_s) {
        while (b->sent - b->confirmed < outstanding)
            if (!publish(b, queue, body))
                return false;
        do
            if (!read_confirm(b))
                return false;
        while (amqp_frames_enqueued(b->connection) || amqp_data_in_buffer(b->connection));
    }
    while (b->confirmed < b->sent)
        if (!read_confirm(b))
            return false;
    return true;
}

int main(int argc, char **argv)
{
    static struct bare b;
    amqp_bytes_t body;
    double start;

    if (argc != 7) {
        fprintf(stderr, "usage: rabbitmq_bare HOST PORT QUEUE BYTES OUTSTANDING SECONDS\n");
        return 2;
    }
    body.len = strtoul(argv[4], NULL, 10);
    body.bytes = calloc(1, body.len);
    if (!body.bytes || !open_channel(&b, argv[1], atoi(argv[2])))
        return die("cannot connect");
    start = now_s();
    if (!run(&b, argv[3], body, strtoul(argv[5], NULL, 10), start + strtod(argv[6], NULL)))
        return die("the connection ended, or something else than an ack came");
    printf("%llu %.6f\n", (unsigned long long)b.sent, now_s() - start);
    amqp_connection_close(b.connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(b.connection);
    free(body.bytes);
    return 0;
}
