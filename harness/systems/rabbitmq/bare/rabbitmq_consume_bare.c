/*
 * The bare loop that `assay bench` compares with: basic.consume through rabbitmq-c alone with a
 * prefetch, one basic.ack a message. No recording, no history, no check of what comes. The clocks
 * run from the first message on.
 *
 *     rabbitmq_consume_bare HOST PORT QUEUE COUNT PREFETCH      → "messages seconds cpu_seconds"
 */

#include "systems/rabbitmq/library.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static double now_s(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int die(const char *what)
{
    fprintf(stderr, "rabbitmq_consume_bare: %s\n", what);
    return 1;
}

static bool went_well(amqp_connection_state_t c)
{
    return amqp_get_rpc_reply(c).reply_type == AMQP_RESPONSE_NORMAL;
}

static bool open_consumer(amqp_connection_state_t c, char **argv)
{
    amqp_socket_t *socket = amqp_tcp_socket_new(c);

    if (!socket || amqp_socket_open(socket, argv[1], atoi(argv[2])) != AMQP_STATUS_OK)
        return false;
    if (amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest").reply_type !=
        AMQP_RESPONSE_NORMAL)
        return false;
    amqp_channel_open(c, 1);
    if (!went_well(c))
        return false;
    amqp_basic_qos(c, 1, 0, (uint16_t)atoi(argv[5]), false);
    if (!went_well(c))
        return false;
    amqp_basic_consume(c, 1, amqp_cstring_bytes(argv[3]), amqp_empty_bytes, false, false, false,
                       amqp_empty_table);
    return went_well(c);
}

/* One message, acknowledged. */
static bool take(amqp_connection_state_t c)
{
    struct timeval patience = {.tv_sec = 10};
    amqp_envelope_t envelope;
    bool acked;

    amqp_maybe_release_buffers(c);
    if (amqp_consume_message(c, &envelope, &patience, 0).reply_type != AMQP_RESPONSE_NORMAL)
        return false;
    acked = amqp_basic_ack(c, 1, envelope.delivery_tag, false) == AMQP_STATUS_OK;
    amqp_destroy_envelope(&envelope);
    return acked;
}

int main(int argc, char **argv)
{
    amqp_connection_state_t c = amqp_new_connection();
    double start, cpu;
    long long count;

    if (argc != 6) {
        fprintf(stderr, "usage: rabbitmq_consume_bare HOST PORT QUEUE COUNT PREFETCH\n");
        return 2;
    }
    count = atoll(argv[4]);
    if (!open_consumer(c, argv))
        return die("cannot connect");
    if (!take(c))
        return die("nothing comes");
    start = now_s(CLOCK_MONOTONIC);
    cpu = now_s(CLOCK_PROCESS_CPUTIME_ID);
    for (long long n = 1; n < count; n++)
        if (!take(c))
            return die("the connection ended, or nothing comes any more");
    printf("%lld %.6f %.6f\n", count - 1, now_s(CLOCK_MONOTONIC) - start,
           now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(c);
    return 0;
}
