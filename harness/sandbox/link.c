/*
 * The bridge, and the veth pairs that hang on it, by netlink in process. A pair's far end is born
 * in its namespace as eth0. Every end has a MAC made from its address: a client that comes back at
 * its old address needs no one to forget the old MAC. Also the token buckets on both ends.
 * Source: libnl-route-3, rtnetlink(7), veth(4), tc-tbf(8).
 */
#include "sandbox/box.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/tbf.h>
#include <netlink/route/tc.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOPBACK_INDEX 1 /* in every network namespace */

static int nl_err(struct err *err, int code, const char *what)
{
    return err_set(err, "%s: %s", what, nl_geterror(code));
}

static void set_mac(struct rtnl_link *link, const char *address)
{
    unsigned char mac[6] = {0x02, 0x4a};
    inet_pton(AF_INET, address, mac + 2);
    struct nl_addr *hardware = nl_addr_build(AF_LLC, mac, sizeof(mac));
    rtnl_link_set_addr(link, hardware);
    nl_addr_put(hardware);
}

/* A netlink socket in the namespace the thread is in. */
static struct nl_sock *open_route_socket(struct err *err)
{
    struct nl_sock *socket = nl_socket_alloc();
    int code = socket ? nl_connect(socket, NETLINK_ROUTE) : -NLE_NOMEM;
    if (code == 0)
        return socket;
    nl_socket_free(socket);
    nl_err(err, code, "netlink socket");
    return NULL;
}

static int bring_up(struct nl_sock *socket, int index, struct err *err)
{
    struct rtnl_link *which = rtnl_link_alloc(), *change = rtnl_link_alloc();
    rtnl_link_set_ifindex(which, index);
    rtnl_link_set_flags(change, IFF_UP);
    int code = rtnl_link_change(socket, which, change, 0);
    rtnl_link_put(which);
    rtnl_link_put(change);
    return code < 0 ? nl_err(err, code, "bring link up") : 0;
}

static int add_address(struct nl_sock *socket, int index, const char *address, struct err *err)
{
    struct nl_addr *local;
    int code = nl_addr_parse(address, AF_INET, &local);
    if (code < 0)
        return err_set(err, "\"%s\" is no IPv4 address", address);
    nl_addr_set_prefixlen(local, PREFIX_LENGTH);
    struct rtnl_addr *entry = rtnl_addr_alloc();
    rtnl_addr_set_ifindex(entry, index);
    rtnl_addr_set_local(entry, local);
    code = rtnl_addr_add(socket, entry, 0);
    rtnl_addr_put(entry);
    nl_addr_put(local);
    return code < 0 ? nl_err(err, code, "set address") : 0;
}

/* Index of a link by name, 0 if there is none. */
static int link_index(struct nl_sock *socket, const char *name)
{
    struct rtnl_link *found = NULL;
    int index = 0;
    if (rtnl_link_get_kernel(socket, 0, name, &found) == 0) {
        index = rtnl_link_get_ifindex(found);
        rtnl_link_put(found);
    }
    return index;
}

int link_bridge(struct sandbox *box, struct err *err)
{
    box->switch_socket = open_route_socket(err);
    if (!box->switch_socket || bring_up(box->switch_socket, LOOPBACK_INDEX, err) < 0)
        return -1;
    struct rtnl_link *bridge = rtnl_link_alloc();
    rtnl_link_set_type(bridge, "bridge");
    rtnl_link_set_name(bridge, BRIDGE);
    rtnl_link_set_flags(bridge, IFF_UP);
    set_mac(bridge, SWITCH_ADDRESS); /* or it would follow its ports, and ARP caches go stale */
    int code = rtnl_link_add(box->switch_socket, bridge, NLM_F_CREATE | NLM_F_EXCL);
    rtnl_link_put(bridge);
    if (code < 0)
        return nl_err(err, code, "make the bridge (kernel module \"bridge\")");
    return add_address(box->switch_socket, link_index(box->switch_socket, BRIDGE), SWITCH_ADDRESS,
                       err);
}

/* The pair: our port up and on the bridge, the peer as eth0 in pid's namespace, one message. */
static int add_pair(struct sandbox *box, struct link *link, pid_t pid, struct err *err)
{
    struct rtnl_link *pair = rtnl_link_veth_alloc();
    struct rtnl_link *peer = rtnl_link_veth_get_peer(pair);
    rtnl_link_set_name(pair, link->port);
    rtnl_link_set_flags(pair, IFF_UP);
    rtnl_link_set_master(pair, link_index(box->switch_socket, BRIDGE));
    rtnl_link_set_name(peer, "eth0");
    rtnl_link_set_ns_pid(peer, pid);
    set_mac(peer, link->address);
    int code = rtnl_link_add(box->switch_socket, pair, NLM_F_CREATE | NLM_F_EXCL);
    rtnl_link_put(peer);
    rtnl_link_put(pair);
    if (code < 0)
        return nl_err(err, code, "make the link (kernel module \"veth\")");
    link->port_index = link_index(box->switch_socket, link->port);
    return 0;
}

static int set_up_far_end(int netns, const char *address, bool tcp_quick_retry, struct err *err)
{
    struct netns_visit visit;
    if (netns_enter(&visit, netns, err) < 0)
        return -1;
    int result = netns_settings(tcp_quick_retry, err);
    struct nl_sock *socket = result == 0 ? open_route_socket(err) : NULL;
    netns_leave(&visit);
    if (!socket)
        return -1;
    int index = link_index(socket, "eth0");
    if (index == 0)
        result = err_set(err, "the link is not in its namespace");
    else if (bring_up(socket, LOOPBACK_INDEX, err) < 0 ||
             add_address(socket, index, address, err) < 0 || bring_up(socket, index, err) < 0)
        result = -1;
    nl_socket_free(socket);
    return result;
}

static struct link *find(struct sandbox *box, const char *address)
{
    for (size_t i = 0; i < LINKS_MAX; i++)
        if (strcmp(box->links[i].address, address) == 0)
            return &box->links[i];
    return NULL;
}

int link_open(struct sandbox *box, const char *address, pid_t pid, int pidfd, struct err *err)
{
    char path[64];
    struct in_addr parsed;
    if (inet_pton(AF_INET, address, &parsed) != 1 || strncmp(address, "10.77.", 6) != 0 ||
        strcmp(address, SWITCH_ADDRESS) == 0)
        return err_set(err, "\"%s\" is no address of a node (10.77.x.y, not the switch's)",
                       address);
    (void)pidfd;
    snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
    int netns = open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0)
        return err_errno(err, "open %s", path);
    int result = -1;
    pthread_mutex_lock(&box->lock);
    struct link *link = find(box, "");
    if (find(box, address)) {
        err_set(err, "address %s is in use", address);
    } else if (!link) {
        err_set(err, "more than %d links", LINKS_MAX);
    } else {
        snprintf(link->address, sizeof(link->address), "%s", address);
        snprintf(link->port, sizeof(link->port), "v%u", box->next_port++);
        link->netns = netns;
        result = add_pair(box, link, pid, err);
        if (result < 0)
            link->address[0] = 0;
    }
    pthread_mutex_unlock(&box->lock);
    if (result < 0)
        close(netns);
    else if (set_up_far_end(netns, address, box->tcp_quick_retry, err) < 0) {
        link_close(box, address);
        result = -1;
    }
    return result < 0 ? err_prefix(err, "link of %s", address) : 0;
}

void link_close(struct sandbox *box, const char *address)
{
    pthread_mutex_lock(&box->lock);
    struct link *link = find(box, address);
    if (link && address[0]) {
        struct rtnl_link *port = rtnl_link_alloc();
        rtnl_link_set_ifindex(port, link->port_index);
        rtnl_link_delete(box->switch_socket, port); /* already gone with its namespace is as good */
        rtnl_link_put(port);
        close(link->netns);
        link->address[0] = 0;
    }
    pthread_mutex_unlock(&box->lock);
}

bool link_find(struct sandbox *box, const char *address, struct link *copy)
{
    pthread_mutex_lock(&box->lock);
    struct link *link = address[0] ? find(box, address) : NULL;
    if (link)
        *copy = *link;
    pthread_mutex_unlock(&box->lock);
    return link;
}

/* Puts the bucket on a link, or takes it away. */
static int set_bucket(struct nl_sock *socket, int index, int64_t bits_per_s, struct err *err)
{
    int64_t bytes_per_s = bits_per_s / 8;
    struct rtnl_qdisc *bucket = rtnl_qdisc_alloc();
    rtnl_tc_set_ifindex(TC_CAST(bucket), index);
    rtnl_tc_set_parent(TC_CAST(bucket), TC_H_ROOT);
    int code;
    if (bits_per_s == 0) {
        code = rtnl_qdisc_delete(socket, bucket);
        if (code == -NLE_OBJ_NOTFOUND || code == -NLE_INVAL)
            code = 0; /* there was none */
    } else {
        rtnl_tc_set_kind(TC_CAST(bucket), "tbf");
        int64_t burst = bytes_per_s / 100 > 16 * 1514 ? bytes_per_s / 100 : 16 * 1514;
        rtnl_qdisc_tbf_set_rate(bucket, (int)bytes_per_s, (int)burst, 0);
        rtnl_qdisc_tbf_set_limit(bucket, (int)(burst + bytes_per_s / 20)); /* 50 ms of queue */
        code = rtnl_qdisc_add(socket, bucket, NLM_F_CREATE | NLM_F_REPLACE);
    }
    rtnl_qdisc_put(bucket);
    return code < 0 ? nl_err(err, code, "token bucket (kernel module \"sch_tbf\")") : 0;
}

int switch_rate(struct sandbox *box, const char *address, int64_t bits_per_s, struct err *err)
{
    struct link link;
    struct netns_visit visit;
    if (bits_per_s < 0 || bits_per_s / 8 > INT32_MAX)
        return err_set(err, "rate of %s: %lld bit/s is out of range", address,
                       (long long)bits_per_s);
    if (!link_find(box, address, &link))
        return err_set(err, "rate of %s: no node has this address", address);
    if (netns_enter(&visit, link.netns, err) < 0)
        return err_prefix(err, "rate of %s", address);
    struct nl_sock *far = open_route_socket(err);
    netns_leave(&visit);
    if (!far)
        return err_prefix(err, "rate of %s", address);
    int result = set_bucket(far, link_index(far, "eth0"), bits_per_s, err);
    nl_socket_free(far);
    if (result == 0) {
        pthread_mutex_lock(&box->lock);
        result = set_bucket(box->switch_socket, link.port_index, bits_per_s, err);
        pthread_mutex_unlock(&box->lock);
    }
    return result < 0 ? err_prefix(err, "rate of %s", address) : 0;
}

static int add_waited(struct nl_sock *socket, int index, int64_t *waited, struct err *err)
{
    struct nl_cache *cache;
    int code = rtnl_qdisc_alloc_cache(socket, &cache);

    if (code < 0)
        return nl_err(err, code, "token bucket's counters");
    for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
        struct rtnl_tc *tc = TC_CAST(o);
        const char *kind = rtnl_tc_get_kind(tc);

        if (rtnl_tc_get_ifindex(tc) == index && kind && strcmp(kind, "tbf") == 0)
            *waited += (int64_t)rtnl_tc_get_stat(tc, RTNL_TC_OVERLIMITS) +
                       (int64_t)rtnl_tc_get_stat(tc, RTNL_TC_DROPS);
    }
    nl_cache_free(cache);
    return 0;
}

int switch_rate_count(struct sandbox *box, const char *address, int64_t *waited, struct err *err)
{
    struct link link;
    struct netns_visit visit;
    struct nl_sock *far;
    int result;

    *waited = 0;
    if (!link_find(box, address, &link))
        return err_set(err, "rate of %s: no node has this address", address);
    if (netns_enter(&visit, link.netns, err) < 0)
        return err_prefix(err, "rate of %s", address);
    far = open_route_socket(err);
    netns_leave(&visit);
    if (!far)
        return err_prefix(err, "rate of %s", address);
    result = add_waited(far, link_index(far, "eth0"), waited, err);
    nl_socket_free(far);
    if (result == 0) {
        pthread_mutex_lock(&box->lock);
        result = add_waited(box->switch_socket, link.port_index, waited, err);
        pthread_mutex_unlock(&box->lock);
    }
    return result;
}

int switch_reset(struct sandbox *box, const char *address, const char *const *peers, size_t n_peers,
                 int64_t *count, struct err *err)
{
    struct link link;
    uint32_t *numbers = calloc(n_peers + 1, sizeof(*numbers));
    int result;

    if (!numbers)
        abort();
    for (size_t i = 0; i < n_peers; i++)
        inet_pton(AF_INET, peers[i], &numbers[i]);
    result = link_find(box, address, &link)
                 ? sockdiag_reset(link.netns, numbers, n_peers, count, err)
                 : err_set(err, "reset at %s: no node has this address", address);
    free(numbers);
    return result;
}
