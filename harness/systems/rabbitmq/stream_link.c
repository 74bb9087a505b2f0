/* A connection that speaks the stream protocol. See stream_link.h; source: PROTOCOL.adoc,
 * "Authentication", and rabbit_stream_reader.erl. */
#include "systems/rabbitmq/stream_link.h"

#include "systems/rabbitmq/library.h"
#include "systems/rabbitmq/rabbitmq.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_BYTES (4 + STREAM_FRAME_MAX)
#define GOODBYE_WITHIN_NS SECOND_NS

int stream_link_init(struct stream_link *link, struct err *err)
{
    *link = (struct stream_link){.fd = -1, .in = malloc(IN_BYTES)};
    return link->in ? 0 : err_set(err, "out of memory");
}

void stream_link_release(struct stream_link *link)
{
    stream_link_hang_up(link, false);
    free(link->in);
    link->in = NULL;
}

/* ---- frames in */

bool stream_link_read(struct stream_link *link, int *code)
{
    ssize_t n;

    if (link->first > 0) {
        memmove(link->in, link->in + link->first, link->end - link->first);
        link->end -= link->first;
        link->first = 0;
    }
    if (link->end == IN_BYTES)
        return true; /* whole frames wait to be taken */
    n = recv(link->fd, link->in + link->end, IN_BYTES - link->end, MSG_DONTWAIT);
    if (n > 0)
        link->end += (size_t)n;
    else if (n == 0)
        *code = AMQP_STATUS_CONNECTION_CLOSED;
    else
        *code = AMQP_STATUS_SOCKET_ERROR;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

enum stream_found stream_link_next(struct stream_link *link, struct stream_frame *frame)
{
    enum stream_found found =
        stream_frame_read(link->in + link->first, link->end - link->first, frame);

    if (found == STREAM_WHOLE)
        link->first += frame->size;
    return found;
}

bool stream_link_has_more(const struct stream_link *link)
{
    struct stream_frame frame;

    return stream_frame_read(link->in + link->first, link->end - link->first, &frame) !=
           STREAM_PART;
}

/* ---- calls that block */

static int wait_for(const struct stream_link *link, short events, const struct deadline *deadline,
                    struct err *err)
{
    struct pollfd fd = {.fd = link->fd, .events = events};

    while (!deadline_passed(deadline)) {
        int n = poll(&fd, 1, deadline_left_ms(deadline));

        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return err_errno(err, "poll");
    }
    return err_set(err, "no answer in time");
}

static int send_request(struct stream_link *link, struct stream_request *r,
                        const struct deadline *deadline, struct err *err)
{
    size_t size = stream_end(r);

    if (size == 0)
        return err_input(err, "a name is too long for the stream protocol");
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(link->fd, r->bytes + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0)
            sent += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            return err_errno(err, "send");
        else if (wait_for(link, POLLOUT, deadline, err) < 0)
            return -1;
    }
    return 0;
}

static int next_frame(struct stream_link *link, struct stream_frame *frame,
                      const struct deadline *deadline, struct err *err)
{
    int code;

    for (;;) {
        enum stream_found found = stream_link_next(link, frame);

        if (found == STREAM_WHOLE)
            return 0;
        if (found == STREAM_NONSENSE)
            return err_set(err, "what answers does not speak the stream protocol");
        if (wait_for(link, POLLIN, deadline, err) < 0)
            return -1;
        if (!stream_link_read(link, &code))
            return err_set(err, "the connection was closed");
    }
}

/* The next frame of this kind; others (heartbeats) are passed over. */
static int await(struct stream_link *link, unsigned key, bool response, struct stream_frame *frame,
                 const struct deadline *deadline, struct err *err)
{
    for (;;) {
        if (next_frame(link, frame, deadline, err) < 0)
            return -1;
        if (frame->key == key && frame->response == response)
            return 0;
        if (frame->key == STREAM_CLOSE && !frame->response) {
            stream_take(frame, 4);
            return err_set(err, "the server closes: %s",
                           stream_code_name((unsigned)stream_take(frame, 2)));
        }
    }
}

/* A request to be filled in, then its answer, which must be OK. */
static void begin(struct stream_link *link, struct stream_request *r, unsigned key)
{
    stream_begin(r, key, ++link->correlation);
}

static int call(struct stream_link *link, struct stream_request *r, unsigned key,
                const struct deadline *deadline, struct err *err)
{
    struct stream_frame answer;
    unsigned code;

    if (send_request(link, r, deadline, err) < 0 ||
        await(link, key, true, &answer, deadline, err) < 0)
        return -1;
    if (stream_take(&answer, 4) != link->correlation)
        return err_set(err, "the answer to another request");
    code = (unsigned)stream_take(&answer, 2);
    return code == STREAM_OK ? 0 : err_set(err, "%s", stream_code_name(code));
}

/* ---- login */

static int say_who(struct stream_link *link, const struct deadline *deadline, struct err *err)
{
    struct stream_request r;

    begin(link, &r, STREAM_PEER_PROPERTIES);
    stream_put(&r, 1, 4);
    stream_put_text(&r, "product");
    stream_put_text(&r, "Assay");
    return call(link, &r, STREAM_PEER_PROPERTIES, deadline, err);
}

static int authenticate(struct stream_link *link, const struct deadline *deadline, struct err *err)
{
    static const char plain[] = "\0guest\0guest"; /* RFC 4616 */
    struct stream_request r;

    begin(link, &r, STREAM_SASL_HANDSHAKE);
    if (call(link, &r, STREAM_SASL_HANDSHAKE, deadline, err) < 0)
        return -1;
    begin(link, &r, STREAM_SASL_AUTHENTICATE);
    stream_put_text(&r, "PLAIN");
    stream_put_bytes(&r, plain, sizeof(plain) - 1);
    return call(link, &r, STREAM_SASL_AUTHENTICATE, deadline, err);
}

/* The server proposes, without a correlation id; we answer with what holds for both; 0: no limit */
static int tune(struct stream_link *link, int heartbeat_s, const struct deadline *deadline,
                struct err *err)
{
    struct stream_frame proposal;
    struct stream_request r;

    if (await(link, STREAM_TUNE, false, &proposal, deadline, err) < 0)
        return -1;
    link->frame_max = (size_t)stream_take(&proposal, 4);
    if (link->frame_max == 0 || link->frame_max > STREAM_FRAME_MAX)
        link->frame_max = STREAM_FRAME_MAX;
    stream_begin(&r, STREAM_TUNE, 0);
    stream_put(&r, link->frame_max, 4);
    stream_put(&r, (uint64_t)heartbeat_s, 4);
    return send_request(link, &r, deadline, err);
}

static int open_vhost(struct stream_link *link, const struct deadline *deadline, struct err *err)
{
    struct stream_request r;

    begin(link, &r, STREAM_OPEN);
    stream_put_text(&r, "/");
    return call(link, &r, STREAM_OPEN, deadline, err);
}

static int declare(struct stream_link *link, const struct stream_login *how,
                   const struct deadline *deadline, struct err *err)
{
    struct stream_request r;

    begin(link, &r, STREAM_DECLARE_PUBLISHER);
    stream_put(&r, how->publisher, 1);
    stream_put_text(&r, how->producer);
    stream_put_text(&r, how->stream);
    return call(link, &r, STREAM_DECLARE_PUBLISHER, deadline, err);
}

int stream_link_login(struct stream_link *link, const struct stream_login *how,
                      struct deadline deadline, struct err *err)
{
    if (say_who(link, &deadline, err) < 0)
        return err_prefix(err, "peer properties");
    if (authenticate(link, &deadline, err) < 0)
        return err_prefix(err, "login");
    if (tune(link, how->heartbeat_s, &deadline, err) < 0)
        return err_prefix(err, "tune");
    if (open_vhost(link, &deadline, err) < 0)
        return err_prefix(err, "open vhost /");
    if (declare(link, how, &deadline, err) < 0)
        return err_prefix(err, "declare a publisher of %s", how->stream);
    return 0;
}

/* ---- the socket */

static int reach(struct stream_link *link, const char *address, const struct deadline *deadline,
                 struct err *err)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(RABBIT_STREAM_PORT)};
    int why = 0, yes = 1;
    socklen_t size = sizeof(why);

    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        return err_set(err, "no address");
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (link->fd < 0)
        return err_errno(err, "socket");
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (connect(link->fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return err_errno(err, "connect");
    if (wait_for(link, POLLOUT, deadline, err) < 0)
        return -1;
    getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &why, &size);
    errno = why;
    return why ? err_errno(err, "connect") : 0;
}

int stream_link_connect(struct stream_link *link, const char *address, struct deadline deadline,
                        struct err *err)
{
    link->first = link->end = 0;
    link->correlation = 0;
    if (reach(link, address, &deadline, err) == 0)
        return 0;
    stream_link_hang_up(link, false);
    return err_prefix(err, "%s:%d", address, RABBIT_STREAM_PORT);
}

void stream_link_hang_up(struct stream_link *link, bool orderly)
{
    struct deadline soon = deadline_in(GOODBYE_WITHIN_NS, NULL);
    struct stream_request r;
    struct err ignored;

    if (link->fd < 0)
        return;
    if (orderly) {
        begin(link, &r, STREAM_CLOSE);
        stream_put(&r, STREAM_OK, 2);
        stream_put_text(&r, "OK");
        call(link, &r, STREAM_CLOSE, &soon, &ignored);
    }
    close(link->fd);
    link->fd = -1;
}
