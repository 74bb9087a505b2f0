/*
 * Kafka's framing on a plain socket; see wire.h. Leaves out compression, record batches, SASL, TLS.
 * Source: https://kafka.apache.org/protocol (request header v1/v2, response header v0/v1).
 */
#include "systems/kafka/wire.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX (64u << 20) /* an answer larger than this is not one of ours */
#define POLL_SLICE_MS 20       /* cancel is looked at that often */

/* ---- asking */

static void put_bytes(struct wire_body *b, const void *bytes, size_t n)
{
    if (n > sizeof(b->bytes) - b->n) {
        b->full = true;
        return;
    }
    memcpy(b->bytes + b->n, bytes, n);
    b->n += n;
}

static void put_big_endian(struct wire_body *b, uint64_t value, unsigned n)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
    put_bytes(b, bytes, n);
}

void put_i8(struct wire_body *b, int8_t value)
{
    put_big_endian(b, (uint64_t)value, 1);
}

void put_i16(struct wire_body *b, int16_t value)
{
    put_big_endian(b, (uint64_t)value, 2);
}

void put_i32(struct wire_body *b, int32_t value)
{
    put_big_endian(b, (uint64_t)value, 4);
}

void put_i64(struct wire_body *b, int64_t value)
{
    put_big_endian(b, (uint64_t)value, 8);
}

void put_string(struct wire_body *b, const char *text)
{
    size_t n = text ? strlen(text) : 0;

    put_i16(b, text ? (int16_t)n : -1);
    put_bytes(b, text ? text : "", n);
}

void put_uvarint(struct wire_body *b, uint32_t value)
{
    while (value >= 0x80) {
        put_i8(b, (int8_t)(value | 0x80));
        value >>= 7;
    }
    put_i8(b, (int8_t)value);
}

void put_compact_string(struct wire_body *b, const char *text)
{
    size_t n = strlen(text);

    put_uvarint(b, (uint32_t)n + 1);
    put_bytes(b, text, n);
}

void put_compact_array(struct wire_body *b, size_t n)
{
    put_uvarint(b, (uint32_t)n + 1);
}

void put_tags(struct wire_body *b)
{
    put_uvarint(b, 0);
}

/* ---- answers */

static uint64_t get_big_endian(struct wire_view *v, unsigned n)
{
    uint64_t value = 0;

    if (v->bad || n > v->n - v->at) {
        v->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        value = value << 8 | v->bytes[v->at++];
    return value;
}

int8_t get_i8(struct wire_view *v)
{
    return (int8_t)get_big_endian(v, 1);
}

int16_t get_i16(struct wire_view *v)
{
    return (int16_t)get_big_endian(v, 2);
}

int32_t get_i32(struct wire_view *v)
{
    return (int32_t)get_big_endian(v, 4);
}

int64_t get_i64(struct wire_view *v)
{
    return (int64_t)get_big_endian(v, 8);
}

uint32_t get_uvarint(struct wire_view *v)
{
    uint32_t value = 0;

    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = (uint8_t)get_i8(v);

        value |= (uint32_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    v->bad = true;
    return 0;
}

void get_skip(struct wire_view *v, size_t n)
{
    if (v->bad || n > v->n - v->at)
        v->bad = true;
    else
        v->at += n;
}

static void get_text(struct wire_view *v, size_t n, char *out, size_t size)
{
    size_t taken = n < size ? n : size - 1;

    out[0] = '\0';
    if (v->bad || n > v->n - v->at) {
        v->bad = true;
        return;
    }
    memcpy(out, v->bytes + v->at, taken);
    out[taken] = '\0';
    v->at += n;
}

void get_string(struct wire_view *v, char *out, size_t size)
{
    int16_t n = get_i16(v);

    get_text(v, n > 0 ? (size_t)n : 0, out, size);
}

void get_compact_string(struct wire_view *v, char *out, size_t size)
{
    uint32_t n = get_uvarint(v);

    get_text(v, n > 0 ? n - 1 : 0, out, size);
}

static int32_t plausible(struct wire_view *v, int64_t n)
{
    if (n > (int64_t)(v->n - v->at)) { /* every element takes at least a byte */
        v->bad = true;
        return 0;
    }
    return n > 0 ? (int32_t)n : 0;
}

int32_t get_array(struct wire_view *v)
{
    return plausible(v, get_i32(v));
}

int32_t get_compact_array(struct wire_view *v)
{
    return plausible(v, (int64_t)get_uvarint(v) - 1);
}

void get_tags(struct wire_view *v)
{
    uint32_t n = get_uvarint(v);

    for (uint32_t i = 0; i < n && !v->bad; i++) {
        get_uvarint(v);
        get_skip(v, get_uvarint(v));
    }
}

struct wire_view get_part(struct wire_view *v, size_t n)
{
    struct wire_view part = {.bytes = v->bytes + v->at, .n = n};

    get_skip(v, n);
    if (v->bad)
        part = (struct wire_view){.bad = true};
    return part;
}

/* ---- the socket */

static int wait_for(int fd, short events, const struct deadline *deadline)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        int left = deadline_left_ms(deadline);
        int n = poll(&p, 1, left < POLL_SLICE_MS ? left : POLL_SLICE_MS);

        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -1;
        if (deadline_passed(deadline)) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

static int connect_to(struct wire *w, const char *address, uint16_t port,
                      const struct deadline *deadline, struct err *err)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, problem = 0;
    socklen_t size = sizeof(problem);

    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        return err_set(err, "%s is not an address", address);
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->fd < 0)
        return err_errno(err, "socket");
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(w->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
        return err_errno(err, "connect to %s:%u", address, port);
    if (wait_for(w->fd, POLLOUT, deadline) < 0)
        return err_errno(err, "connect to %s:%u", address, port);
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0 || problem) {
        errno = problem;
        return err_errno(err, "connect to %s:%u", address, port);
    }
    return 0;
}

static int send_all(struct wire *w, const void *bytes, size_t n, const struct deadline *deadline,
                    struct err *err)
{
    const uint8_t *at = bytes;

    while (n > 0) {
        ssize_t sent = send(w->fd, at, n, MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return err_errno(err, "send");
        if (sent < 0 && wait_for(w->fd, POLLOUT, deadline) < 0)
            return err_errno(err, "send");
        if (sent > 0) {
            at += sent;
            n -= (size_t)sent;
        }
    }
    return 0;
}

static int receive_all(struct wire *w, void *bytes, size_t n, const struct deadline *deadline,
                       struct err *err)
{
    uint8_t *at = bytes;

    while (n > 0) {
        ssize_t got = recv(w->fd, at, n, 0);

        if (got == 0)
            return err_set(err, "connection closed by the broker");
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return err_errno(err, "receive");
        if (got < 0 && wait_for(w->fd, POLLIN, deadline) < 0)
            return err_errno(err, "receive");
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
    return 0;
}

/* First versions whose headers carry tags ("flexibleVersions" of the schemas). */
static bool is_flexible(enum wire_api api, int16_t version)
{
    switch (api) {
    case API_ALTER_PARTITION_REASSIGNMENTS:
    case API_LIST_PARTITION_REASSIGNMENTS:
    case API_DESCRIBE_QUORUM:
        return true;
    case API_INIT_PRODUCER_ID:
    case API_ELECT_LEADERS:
        return version >= 2;
    case API_LIST_OFFSETS:
    case API_OFFSET_FETCH:
        return version >= 6;
    case API_METADATA:
        return version >= 9;
    case API_FIND_COORDINATOR:
        return version >= 3;
    case API_CREATE_PARTITIONS:
        return version >= 2;
    case API_INCREMENTAL_ALTER_CONFIGS:
        return version >= 1;
    case API_DESCRIBE_GROUPS:
        return version >= 5;
    }
    return false;
}

int kafka_wire_send(struct wire *w, const char *address, uint16_t port, enum wire_api api,
                    int16_t version, const struct wire_body *body, struct deadline deadline,
                    struct err *err)
{
    struct wire_body head = {0}, length = {0};

    assert(!body->full); /* all our requests are bounded by UNITS_PER_ASK */
    w->flexible = is_flexible(api, version);
    put_i16(&head, (int16_t)api);
    put_i16(&head, version);
    put_i32(&head, ++w->correlation);
    put_string(&head, "assay");
    if (w->flexible)
        put_tags(&head);
    put_i32(&length, (int32_t)(head.n + body->n));
    if ((w->fd < 0 && connect_to(w, address, port, &deadline, err) < 0) ||
        send_all(w, length.bytes, length.n, &deadline, err) < 0 ||
        send_all(w, head.bytes, head.n, &deadline, err) < 0 ||
        send_all(w, body->bytes, body->n, &deadline, err) < 0) {
        kafka_wire_close(w);
        return -1;
    }
    return 0;
}

static int receive_frame(struct wire *w, struct wire_view *answer, const struct deadline *deadline,
                         struct err *err)
{
    uint8_t prefix[4];
    struct wire_view length = {.bytes = prefix, .n = sizeof(prefix)};
    uint32_t n;

    if (receive_all(w, prefix, sizeof(prefix), deadline, err) < 0)
        return -1;
    n = (uint32_t)get_i32(&length);
    if (n > ANSWER_MAX)
        return err_set(err, "an answer of %u bytes", n);
    if (n > w->in_size) {
        uint8_t *more = realloc(w->in, n);

        if (!more)
            return err_errno(err, "memory for an answer of %u bytes", n);
        w->in = more;
        w->in_size = n;
    }
    if (receive_all(w, w->in, n, deadline, err) < 0)
        return -1;
    *answer = (struct wire_view){.bytes = w->in, .n = n};
    return 0;
}

int kafka_wire_receive(struct wire *w, struct wire_view *answer, struct deadline deadline,
                       struct err *err)
{
    if (w->fd < 0)
        return err_set(err, "not connected");
    if (receive_frame(w, answer, &deadline, err) < 0) {
        kafka_wire_close(w);
        return -1;
    }
    if (get_i32(answer) != w->correlation) {
        kafka_wire_close(w);
        return err_set(err, "an answer to another request");
    }
    if (w->flexible)
        get_tags(answer);
    return 0;
}

void kafka_wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    free(w->in);
    w->in = NULL;
    w->in_size = 0;
}

const char *kafka_error_name(int16_t code)
{
    return rd_kafka_err2name((rd_kafka_resp_err_t)code);
}
