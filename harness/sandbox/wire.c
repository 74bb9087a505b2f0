/*
 * Sending and receiving of packets (wire.h). Uses nothing but libc: init and keepers run this.
 * Source: unix(7), cmsg(3).
 */
#include "sandbox/wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union fd_space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(WIRE_FDS * sizeof(int))];
};

int wire_send(int socket, const void *head, size_t head_size, const void *body, size_t body_size,
              const int *fds, size_t n_fds)
{
    if (head_size + body_size > WIRE_BYTES || n_fds > WIRE_FDS) {
        errno = EMSGSIZE;
        return -1;
    }
    struct iovec parts[2] = {{(void *)(uintptr_t)head, head_size},
                             {(void *)(uintptr_t)body, body_size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = body_size ? 2 : 1};
    union fd_space space;
    if (n_fds) {
        memset(&space, 0, sizeof(space));
        message.msg_control = space.bytes;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *control = CMSG_FIRSTHDR(&message);
        control->cmsg_level = SOL_SOCKET;
        control->cmsg_type = SCM_RIGHTS;
        control->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(control), fds, n_fds * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

static int wait_readable(int socket, int timeout_ms)
{
    struct pollfd wait = {.fd = socket, .events = POLLIN};
    int ready;
    do
        ready = poll(&wait, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready > 0 ? 0 : -1;
}

ssize_t wire_receive(int socket, void *bytes, size_t size, int *fds, size_t *n_fds, int timeout_ms)
{
    if (n_fds)
        *n_fds = 0;
    if (timeout_ms >= 0 && wait_readable(socket, timeout_ms) < 0)
        return -1;
    union fd_space space;
    struct iovec part = {bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    message.msg_control = space.bytes;
    message.msg_controllen = sizeof(space.bytes);
    ssize_t got;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        int received[WIRE_FDS];
        memcpy(received, CMSG_DATA(c), n * sizeof(int));
        if (!fds || !n_fds) {
            wire_close_fds(received, n);
            continue;
        }
        memcpy(fds, received, n * sizeof(int));
        *n_fds = n;
    }
    return got;
}

const char *wire_string(const char **at, const char *end)
{
    const char *start = *at;
    const char *nul = start < end ? memchr(start, 0, (size_t)(end - start)) : NULL;
    if (!nul)
        return NULL;
    *at = nul + 1;
    return start;
}

void wire_close_fds(const int *fds, size_t n_fds)
{
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
}
