/*
 * Resets live connections, or destroys every TCP socket of a network namespace, those included that no process holds any more
 * (a killed server's send buffer that the kernel still delivers). The peers must be cut off before:
 * an established socket says RST when it is destroyed.
 * Source: sock_diag(7), linux/inet_diag.h; orphans need Linux 6.10 (tcp_abort), so the result is
 * looked at again.
 */
#include "sandbox/box.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 16384
#define ALL_STATES 0xfffU
#define LINGERING ~((1U << TCP_TIME_WAIT) | (1U << TCP_CLOSE) | (1U << 12 /* NEW_SYN_RECV */))

struct request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 diag;
};

struct found {
    struct inet_diag_sockid id;
    unsigned char family;
};

static int send_request(int socket, int type, unsigned flags, const struct inet_diag_req_v2 *diag)
{
    struct request request = {.diag = *diag};
    request.header.nlmsg_len = sizeof(request);
    request.header.nlmsg_type = (uint16_t)type;
    request.header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    return send(socket, &request, sizeof(request), 0) < 0 ? -1 : 0;
}

/* Takes one datagram of a dump; 1 go on, 0 done, -1 error. */
static int take_dump(const char *bytes, size_t size, unsigned char family, struct found *found,
                     size_t *n)
{
    const struct nlmsghdr *header = (const void *)bytes;
    for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
        if (header->nlmsg_type == NLMSG_DONE)
            return 0;
        if (header->nlmsg_type == NLMSG_ERROR) {
            errno = -((const struct nlmsgerr *)NLMSG_DATA(header))->error;
            return -1;
        }
        if (*n == SOCKETS_MAX) {
            errno = EOVERFLOW;
            return -1;
        }
        const struct inet_diag_msg *message = NLMSG_DATA(header);
        found[(*n)++] = (struct found){message->id, family};
    }
    return 1;
}

static int dump(int socket, unsigned states, struct found *found, size_t *n)
{
    static const unsigned char families[] = {AF_INET, AF_INET6};
    _Alignas(struct nlmsghdr) char bytes[32768];
    *n = 0;
    for (size_t i = 0; i < sizeof(families); i++) {
        struct inet_diag_req_v2 diag = {
            .sdiag_family = families[i], .sdiag_protocol = IPPROTO_TCP, .idiag_states = states};
        if (send_request(socket, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &diag) < 0)
            return -1;
        int more = 1;
        while (more > 0) {
            ssize_t got = recv(socket, bytes, sizeof(bytes), 0);
            more = got < 0 ? -1 : take_dump(bytes, (size_t)got, families[i], found, n);
        }
        if (more < 0 && errno != ENOENT) /* no IPv6 here */
            return -1;
    }
    return 0;
}

/* 0 destroyed or gone by itself, -1 refused. */
static int destroy(int socket, const struct found *one)
{
    _Alignas(struct nlmsghdr) char bytes[4096];
    struct inet_diag_req_v2 diag = {.sdiag_family = one->family,
                                    .sdiag_protocol = IPPROTO_TCP,
                                    .idiag_states = ALL_STATES,
                                    .id = one->id};
    if (send_request(socket, SOCK_DESTROY, NLM_F_ACK, &diag) < 0)
        return -1;
    ssize_t got = recv(socket, bytes, sizeof(bytes), 0);
    const struct nlmsghdr *header = (const void *)bytes;
    if (got < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || header->nlmsg_type != NLMSG_ERROR)
        return -1;
    errno = -((const struct nlmsgerr *)NLMSG_DATA(header))->error;
    return errno == 0 || errno == ENOENT ? 0 : -1;
}

static int destroy_all(int socket, struct found *found, size_t *destroyed, struct err *err)
{
    size_t n;
    if (dump(socket, ALL_STATES, found, &n) < 0)
        return err_errno(err, "list TCP sockets");
    for (size_t i = 0; i < n; i++)
        if (destroy(socket, &found[i]) < 0)
            return err_errno(err, "destroy a TCP socket (kernel option INET_DIAG_DESTROY)");
    *destroyed = n;
    if (dump(socket, LINGERING & ALL_STATES, found, &n) < 0)
        return err_errno(err, "list TCP sockets");
    return n ? err_set(err, "%zu TCP sockets survive their destruction (orphans need Linux 6.10)",
                       n)
             : 0;
}

/* The far end as an IPv4 address; 0: IPv6 proper. Servers in Java speak IPv4 through IPv6 sockets. */
static uint32_t far_end(const struct found *one)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (one->family == AF_INET)
        return one->id.idiag_dst[0];
    return memcmp(one->id.idiag_dst, mapped, sizeof(mapped)) == 0 ? one->id.idiag_dst[3] : 0;
}

static int reset_some(int socket, struct found *found, const uint32_t *peers, size_t n_peers,
                      int64_t *count, struct err *err)
{
    size_t n;

    *count = 0;
    if (dump(socket, 1U << TCP_ESTABLISHED, found, &n) < 0)
        return err_errno(err, "list TCP sockets");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n_peers; k++) {
            if (far_end(&found[i]) != peers[k])
                continue;
            if (destroy(socket, &found[i]) < 0)
                return err_errno(err, "reset a connection (kernel option INET_DIAG_DESTROY)");
            ++*count;
            break;
        }
    return 0;
}

static int open_socket(int netns, struct err *err)
{
    struct netns_visit visit;
    int fd;

    if (netns_enter(&visit, netns, err) < 0)
        return -1;
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    netns_leave(&visit);
    return fd < 0 ? err_errno(err, "sock_diag socket") : fd;
}

int sockdiag_reset(int netns, const uint32_t *peers, size_t n_peers, int64_t *count,
                   struct err *err)
{
    int socket_fd = open_socket(netns, err);
    struct found *found = calloc(SOCKETS_MAX, sizeof(*found));
    int result = -1;

    if (!found)
        abort();
    if (socket_fd >= 0) {
        result = reset_some(socket_fd, found, peers, n_peers, count, err);
        close(socket_fd);
    }
    free(found);
    return result;
}

int sockdiag_destroy(int netns, size_t *destroyed, struct err *err)
{
    int socket_fd = open_socket(netns, err);
    struct found *found = calloc(SOCKETS_MAX, sizeof(*found));
    int result = -1;

    if (!found)
        abort();
    if (socket_fd >= 0) {
        result = destroy_all(socket_fd, found, destroyed, err);
        close(socket_fd);
    }
    free(found);
    return result;
}
