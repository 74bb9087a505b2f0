/* A hidden Erlang node that can only ask. See dist.h. */
#include "systems/rabbitmq/dist.h"

#include "systems/rabbitmq/md5.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes of one packet at most: an answer about some hundred queues. */
#define PACKET_MAX ((size_t)1 << 20)

/* External term format tags and control messages that are met here. */
enum {
    PASS_THROUGH = 112,
    TERM_VERSION = 131,
    NEW_PID = 88,
    SMALL_INTEGER = 97,
    SMALL_TUPLE = 104,
    NIL = 106,
    STRING = 107,
    LIST = 108,
    BINARY = 109,
    ATOM = 100,
    SMALL_ATOM = 115,
    ATOM_UTF8 = 118,
    SMALL_ATOM_UTF8 = 119,
    CONTROL_REG_SEND = 6,
};

/* What a peer of OTP 25 to 27 insists on, and maps; not "published" (1): that is what hides us. */
static const uint64_t flags =
    0x4 /* extended references */ | 0x10 | 0x80 /* funs */ | 0x100 /* extended pids */ |
    0x200 /* export */ | 0x400 /* bits */ | 0x800 /* new floats */ | 0x10000 /* utf8 atoms */ |
    0x20000 /* maps */ | 0x40000 /* big creation */ | 0x1000000 /* handshake 23 */ |
    0x2000000 /* unlink id */ | UINT64_C(0x400000000) /* v4 nc */;

struct dist {
    int fd;
    char name[64];   /* ours */
    uint8_t *packet; /* of PACKET_MAX */
};

struct out {
    uint8_t *bytes;
    size_t n;
};

static void put8(struct out *o, unsigned value)
{
    o->bytes[o->n++] = (uint8_t)value;
}

static void put16(struct out *o, unsigned value)
{
    put8(o, value >> 8 & 255);
    put8(o, value & 255);
}

static void put32(struct out *o, uint32_t value)
{
    put16(o, value >> 16);
    put16(o, value & 65535);
}

static void put_bytes(struct out *o, const void *bytes, size_t n)
{
    memcpy(o->bytes + o->n, bytes, n);
    o->n += n;
}

static void put_atom(struct out *o, const char *name)
{
    put8(o, SMALL_ATOM_UTF8);
    put8(o, (unsigned)strlen(name));
    put_bytes(o, name, strlen(name));
}

static void put_self(struct out *o, const struct dist *dist)
{
    put8(o, NEW_PID);
    put_atom(o, dist->name);
    put32(o, 1); /* id, serial, creation: one process, for ever */
    put32(o, 0);
    put32(o, 1);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int wait_for(int fd, short events, const struct deadline *deadline, struct err *err)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n;

    do
        n = poll(&p, 1, deadline_left_ms(deadline));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_errno(err, "poll");
    if (n == 0) {
        errno = ETIMEDOUT; /* callers tell silence from a refusal by it */
        return err_set(err, "no answer in time");
    }
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t n, const struct deadline *deadline,
                     struct err *err)
{
    while (n > 0) {
        ssize_t k = send(fd, bytes, n, MSG_NOSIGNAL);

        if (k >= 0) {
            bytes += k;
            n -= (size_t)k;
        } else if (errno == EAGAIN) {
            if (wait_for(fd, POLLOUT, deadline, err) < 0)
                return -1;
        } else if (errno != EINTR) {
            return err_errno(err, "send");
        }
    }
    return 0;
}

static int read_all(int fd, uint8_t *bytes, size_t n, const struct deadline *deadline,
                    struct err *err)
{
    while (n > 0) {
        ssize_t k = recv(fd, bytes, n, 0);

        if (k > 0) {
            bytes += k;
            n -= (size_t)k;
        } else if (k == 0) {
            return err_set(err, "the node hung up");
        } else if (errno == EAGAIN) {
            if (wait_for(fd, POLLIN, deadline, err) < 0)
                return -1;
        } else if (errno != EINTR) {
            return err_errno(err, "recv");
        }
    }
    return 0;
}

static int connect_to(const char *address, uint16_t port, const struct deadline *deadline,
                      struct err *err)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, failed = 0;
    socklen_t size = sizeof(failed);

    if (fd < 0)
        return err_errno(err, "socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
        err_set(err, "%s is no address", address);
        goto out;
    }
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    if (errno != EINPROGRESS) {
        err_errno(err, "connect to %s:%u", address, port);
        goto out;
    }
    if (wait_for(fd, POLLOUT, deadline, err) < 0)
        goto out;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    if (!failed)
        return fd;
    errno = failed;
    err_errno(err, "connect to %s:%u", address, port);
out:
    close(fd);
    return -1;
}

/* Handshake messages have two bytes of length. Returns the length, -1 on error. */
static int read_short(int fd, uint8_t *bytes, size_t max, const struct deadline *deadline,
                      struct err *err)
{
    uint8_t head[2];
    size_t n;

    if (read_all(fd, head, 2, deadline, err) < 0)
        return -1;
    n = (size_t)head[0] << 8 | head[1];
    if (n == 0 || n > max)
        return err_set(err, "handshake message of %zu bytes", n);
    return read_all(fd, bytes, n, deadline, err) < 0 ? -1 : (int)n;
}

static void answer_challenge(const char *cookie, uint32_t challenge, uint8_t digest[16])
{
    char text[MD5_INPUT_MAX + 1];
    int n = snprintf(text, sizeof(text), "%s%u", cookie, challenge);

    md5(text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1, digest);
}

static int send_name(const struct dist *dist, const struct deadline *deadline, struct err *err)
{
    uint8_t bytes[128];
    struct out o = {bytes, 0};
    size_t n = strlen(dist->name);

    put16(&o, (unsigned)(15 + n));
    put8(&o, 'N');
    put32(&o, (uint32_t)(flags >> 32));
    put32(&o, (uint32_t)flags);
    put32(&o, 1); /* creation */
    put16(&o, (unsigned)n);
    put_bytes(&o, dist->name, n);
    return write_all(dist->fd, o.bytes, o.n, deadline, err);
}

static int handshake(const struct dist *dist, const char *cookie, const struct deadline *deadline,
                     struct err *err)
{
    uint8_t in[300], bytes[32], expected[16];
    struct out o = {bytes, 0};
    int n;

    if (send_name(dist, deadline, err) < 0)
        return -1;
    n = read_short(dist->fd, in, sizeof(in) - 1, deadline, err);
    if (n < 0)
        return -1;
    in[n] = '\0';
    if (in[0] != 's' || strncmp((char *)in + 1, "ok", 2) != 0)
        return err_set(err, "the node refused the name %s: %s", dist->name, (char *)in);
    n = read_short(dist->fd, in, sizeof(in), deadline, err);
    if (n < 0)
        return -1;
    if (n < 19 || in[0] != 'N')
        return err_set(err, "a handshake of before OTP 23");
    put16(&o, 21);
    put8(&o, 'r');
    put32(&o, 1); /* our challenge: nobody here has anything to hide */
    answer_challenge(cookie, get32(in + 9), o.bytes + o.n);
    o.n += 16;
    if (write_all(dist->fd, o.bytes, o.n, deadline, err) < 0)
        return -1;
    n = read_short(dist->fd, in, sizeof(in), deadline, err);
    if (n < 0)
        return err_prefix(err, "cookie refused");
    answer_challenge(cookie, 1, expected);
    if (n != 17 || in[0] != 'a' || memcmp(in + 1, expected, 16) != 0)
        return err_set(err, "the node has another cookie");
    return 0;
}

struct dist *dist_open(const char *address, uint16_t port, const char *cookie,
                       struct deadline deadline, struct err *err)
{
    static _Atomic unsigned count;
    struct dist *dist = calloc(1, sizeof(*dist));
    int fd = connect_to(address, port, &deadline, err);
    int failed;

    if (!dist || fd < 0) {
        free(dist);
        return NULL;
    }
    dist->fd = fd;
    dist->packet = malloc(PACKET_MAX);
    /* A name of its own per connection: a node takes each name once. Watcher and coordinator may
     * have equal pids in namespaces of theirs, so the address of an object of ours goes in. */
    snprintf(dist->name, sizeof(dist->name), "assay-%x-%x-%x@assay", (unsigned)getpid(),
             (unsigned)(uintptr_t)dist & 0xffffff, count++);
    if (dist->packet && handshake(dist, cookie, &deadline, err) == 0)
        return dist;
    err_prefix(err, "%s:%u", address, port);
    failed = errno;
    dist_close(dist);
    errno = failed;
    return NULL;
}

void dist_close(struct dist *dist)
{
    if (!dist)
        return;
    close(dist->fd);
    free(dist->packet);
    free(dist);
}

int dist_ask(struct dist *dist, const char *expression, struct err *err)
{
    size_t n = strlen(expression);
    struct deadline soon = deadline_in(SECOND_NS, NULL);
    struct out o = {malloc(n + 512), 4};
    int status;

    if (!o.bytes)
        return err_set(err, "out of memory");
    put8(&o, PASS_THROUGH);
    put8(&o, TERM_VERSION); /* {6, Self, '', rex} */
    put8(&o, SMALL_TUPLE);
    put8(&o, 4);
    put8(&o, SMALL_INTEGER);
    put8(&o, CONTROL_REG_SEND);
    put_self(&o, dist);
    put_atom(&o, "");
    put_atom(&o, "rex");
    put8(&o, TERM_VERSION); /* {Self, {call, erl_eval, eval_str, [Text], user}} */
    put8(&o, SMALL_TUPLE);
    put8(&o, 2);
    put_self(&o, dist);
    put8(&o, SMALL_TUPLE);
    put8(&o, 5);
    put_atom(&o, "call");
    put_atom(&o, "erl_eval");
    put_atom(&o, "eval_str");
    put8(&o, LIST);
    put32(&o, 1);
    put8(&o, BINARY);
    put32(&o, (uint32_t)(n + 1));
    put_bytes(&o, expression, n);
    put8(&o, '\n'); /* erl_eval wants white space behind the full stop */
    put8(&o, NIL);
    put_atom(&o, "user");
    n = o.n;
    o.n = 0;
    put32(&o, (uint32_t)(n - 4));
    status = write_all(dist->fd, o.bytes, n, &soon, err);
    free(o.bytes);
    return status;
}

/* Length of the term at `at`, 0 when it is cut short or of a kind that no answer has. */
static size_t term_size(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t tag, fixed, count_bytes;
    } kinds[] = {
        {SMALL_ATOM_UTF8, 2, 1}, {SMALL_ATOM, 2, 1}, {ATOM_UTF8, 3, 2}, {ATOM, 3, 2},
        {STRING, 3, 2},          {BINARY, 5, 4},     {NIL, 1, 0},       {SMALL_INTEGER, 2, 0}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t n = 0;

        if (left < 1 || at[0] != kinds[i].tag || left < kinds[i].fixed)
            continue;
        for (unsigned k = 0; k < kinds[i].count_bytes; k++)
            n = n << 8 | at[1 + k];
        n += kinds[i].fixed;
        return n <= left ? n : 0;
    }
    if (left > 1 && at[0] == NEW_PID) {
        size_t n = term_size(at + 1, left - 1);

        return n && n + 13 <= left ? n + 13 : 0;
    }
    return 0;
}

static bool is_atom(const uint8_t *at, size_t size, const char *name)
{
    size_t n = strlen(name);

    return size >= n && memcmp(at + size - n, name, n) == 0 && size <= n + 3;
}

/* Text of a binary, a string or nil. */
static int read_text(const uint8_t *at, size_t size, char *out, size_t max, struct err *err)
{
    size_t skip = at[0] == BINARY ? 5 : at[0] == STRING ? 3 : size;

    if (at[0] != BINARY && at[0] != STRING && at[0] != NIL)
        return err_set(err, "the answer is no text (tag %u)", at[0]);
    if (size - skip >= max)
        return err_set(err, "the answer has %zu bytes", size - skip);
    memcpy(out, at + skip, size - skip);
    out[size - skip] = '\0';
    return 0;
}

/* What an unexpected term says, as far as it is readable. */
static int complain(const uint8_t *at, size_t size, struct err *err)
{
    char text[400];
    size_t n = 0;

    for (size_t i = 0; i < size && n < sizeof(text) - 1; i++)
        if (at[i] >= ' ' && at[i] < 127)
            text[n++] = (char)at[i];
    text[n] = '\0';
    return err_set(err, "Erlang complains: %s", text);
}

/* A message for us is {rex, {ok, Text}}. 1: it is and out is filled; 0: something else; -1:
 * complaint. */
static int read_message(const uint8_t *at, size_t left, char *out, size_t max, struct err *err)
{
    size_t n;

    if (left < 3 || at[0] != TERM_VERSION || at[1] != SMALL_TUPLE || at[2] != 2)
        return 0;
    at += 3, left -= 3;
    n = term_size(at, left);
    if (!n || !is_atom(at, n, "rex"))
        return 0;
    at += n, left -= n;
    if (left < 2 || at[0] != SMALL_TUPLE || at[1] != 2)
        return complain(at, left, err);
    n = term_size(at + 2, left - 2);
    if (!n || !is_atom(at + 2, n, "ok"))
        return complain(at, left, err);
    at += 2 + n, left -= 2 + n;
    n = term_size(at, left);
    if (!n)
        return complain(at, left, err);
    return read_text(at, n, out, max, err) < 0 ? -1 : 1;
}

/* Behind the control term {2, Cookie, Pid} or {22, From, Pid} stands the message. */
static int read_packet(const uint8_t *at, size_t left, char *out, size_t max, struct err *err)
{
    size_t n, arity;

    if (left < 4 || at[0] != PASS_THROUGH || at[1] != TERM_VERSION || at[2] != SMALL_TUPLE)
        return 0;
    arity = at[3];
    at += 4, left -= 4;
    for (size_t i = 0; i < arity; i++) {
        n = term_size(at, left);
        if (!n)
            return 0; /* a control message with something we know nothing of: not an answer */
        at += n, left -= n;
    }
    return left ? read_message(at, left, out, max, err) : 0;
}

/* One packet; a tick is answered in kind and gives *n = 0. */
static int next_packet(struct dist *dist, size_t *n, const struct deadline *deadline,
                       struct err *err)
{
    uint8_t head[4];

    if (read_all(dist->fd, head, 4, deadline, err) < 0)
        return -1;
    *n = get32(head);
    if (*n > PACKET_MAX)
        return err_set(err, "an answer of %zu bytes", *n);
    if (*n == 0)
        return write_all(dist->fd, head, 4, deadline, err);
    return read_all(dist->fd, dist->packet, *n, deadline, err);
}

int dist_answer(struct dist *dist, char *out, size_t size, struct deadline deadline,
                struct err *err)
{
    for (;;) {
        size_t n;
        int got;

        if (next_packet(dist, &n, &deadline, err) < 0)
            return -1;
        got = read_packet(dist->packet, n, out, size, err);
        if (got != 0)
            return got < 0 ? -1 : 0;
    }
}

int dist_eval(struct dist *dist, const char *expression, char *out, size_t size,
              struct deadline deadline, struct err *err)
{
    if (dist_ask(dist, expression, err) < 0)
        return -1;
    return dist_answer(dist, out, size, deadline, err);
}

void dist_keep(struct dist *dist)
{
    static const uint8_t tick[4];

    /* Ticks that came stay in the socket until the next answer is read: ours are what counts. */
    send(dist->fd, tick, sizeof(tick), MSG_NOSIGNAL);
}
