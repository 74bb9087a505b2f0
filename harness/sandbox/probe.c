/*
 * What this machine can do, for `assay doctor` and before a run: each capability is tried, in a
 * throw-away child, not guessed from versions. Namespaces, links and rules are tried inside
 * namespaces of the child's own, so nothing on the host changes.
 */
#include "sandbox/permission.h"
#include "sandbox/sandbox.h"
#include "sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/netem.h>
#include <netlink/route/qdisc/tbf.h>
#include <netlink/route/tc.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOPBACK_INDEX 1
#define NAMESPACES "namespaces" /* what the tries inside stand on; not in the list below */

/* ---- tries: run in a process of their own; 0, or an errno-like number */

static struct nl_sock *route_socket(void)
{
    struct nl_sock *socket = nl_socket_alloc();
    return socket && nl_connect(socket, NETLINK_ROUTE) == 0 ? socket : NULL;
}

/* Being let into a user namespace is not enough: AppArmor lets in and then denies every capability.
 */
static int try_mount(void)
{
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
           mount("tmpfs", "/proc", "tmpfs", 0, NULL) < 0;
}

static int try_bridge(void)
{
    struct nl_sock *socket = route_socket();
    struct rtnl_link *link = rtnl_link_alloc();
    rtnl_link_set_type(link, "bridge");
    rtnl_link_set_name(link, "br0");
    return !socket || rtnl_link_add(socket, link, NLM_F_CREATE | NLM_F_EXCL) < 0;
}

static int try_veth(void)
{
    struct nl_sock *socket = route_socket();
    struct rtnl_link *link = rtnl_link_veth_alloc();
    rtnl_link_set_name(link, "v0");
    return !socket || rtnl_link_add(socket, link, NLM_F_CREATE | NLM_F_EXCL) < 0;
}

static int try_nft_bridge(void)
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!nft || nft_ctx_buffer_error(nft))
        return 1;
    return nft_run_cmd_from_buffer(
        nft, "add table bridge t\n"
             "add chain bridge t c { type filter hook forward priority 0; policy accept; }\n"
             "add counter bridge t n\n"
             "add rule bridge t c ip saddr . ip daddr { 10.77.1.1 . 10.77.1.2 } tcp dport { 1 } "
             "counter name n meta mark set 1\n");
}

static int try_qdisc(struct rtnl_qdisc *qdisc, const char *kind)
{
    struct nl_sock *socket = route_socket();
    rtnl_tc_set_ifindex(TC_CAST(qdisc), LOOPBACK_INDEX);
    rtnl_tc_set_parent(TC_CAST(qdisc), TC_H_ROOT);
    if (!socket || rtnl_tc_set_kind(TC_CAST(qdisc), kind) < 0)
        return 1;
    if (strcmp(kind, "tbf") == 0) {
        rtnl_qdisc_tbf_set_rate(qdisc, 1000000, 20000, 0);
        rtnl_qdisc_tbf_set_limit(qdisc, 100000);
    }
    return rtnl_qdisc_add(socket, qdisc, NLM_F_CREATE) < 0;
}

static int try_tbf(void)
{
    return try_qdisc(rtnl_qdisc_alloc(), "tbf");
}

static int try_netem(void)
{
    return try_qdisc(rtnl_qdisc_alloc(), "netem");
}

/* Destroying a socket that is not there says ENOENT where destroying works, EOPNOTSUPP where not.
 */
static int try_sock_destroy(void)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 diag;
    } request = {{sizeof(request), SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, 0, 0},
                 {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 0xfff}};
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t size = sizeof(any);
    int victim = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(victim, (struct sockaddr *)&any, size) < 0 || listen(victim, 1) < 0 ||
        getsockname(victim, (struct sockaddr *)&any, &size) < 0)
        return 1;
    request.diag.id.idiag_sport = any.sin_port;
    request.diag.id.idiag_cookie[0] = request.diag.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    _Alignas(struct nlmsghdr) char answer[1024];
    int diag = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
    if (send(diag, &request, sizeof(request), 0) < 0 || recv(diag, answer, sizeof(answer), 0) < 0)
        return 1;
    const struct nlmsghdr *header = (const void *)answer;
    const struct nlmsgerr *said = NLMSG_DATA(header);
    return header->nlmsg_type != NLMSG_ERROR || (said->error != 0 && said->error != -ENOENT);
}

static int try_overlay(void)
{
    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (mount("tmpfs", "/proc", "tmpfs", 0, NULL) < 0 || mkdir("/proc/u", 0755) < 0 ||
        mkdir("/proc/w", 0755) < 0)
        return 1;
    return mount("overlay", "/tmp", "overlay", 0,
                 "lowerdir=/tmp,upperdir=/proc/u,workdir=/proc/w,userxattr") < 0;
}

static int opens(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static int try_fuse(void)
{
    return opens("/dev/fuse");
}

static int try_tun(void)
{
    return opens("/dev/net/tun");
}

static int try_pidfd(void)
{
    return syscall(SYS_pidfd_open, getpid(), 0) < 0;
}

static int try_rto_max(void)
{
    return access("/proc/sys/net/ipv4/tcp_rto_max_ms", W_OK) < 0;
}

static int try_cgroup(void)
{
    return access("/sys/fs/cgroup/cgroup.procs", W_OK) < 0 &&
           access("/sys/fs/cgroup/unified/cgroup.procs", W_OK) < 0;
}

/* ---- the list */

struct probe {
    const char *name, *what;
    int (*attempt)(void);
    bool inside; /* in namespaces of its own, as a sandbox has them */
    const char *how, *fix;
};

static const struct probe probes[] = {
    {"bridge", "the switch", try_bridge, true, "made one", "sudo modprobe bridge"},
    {"veth", "links of nodes", try_veth, true, "made a pair", "sudo modprobe veth"},
    {"nft bridge family", "cuts", try_nft_bridge, true, "added a counting rule to bridge forward",
     "sudo modprobe nf_tables nft_counter; a kernel with NF_TABLES_BRIDGE"},
    {"tbf", "rate limits of links", try_tbf, true, "put a bucket on a link",
     "sudo modprobe sch_tbf"},
    {"SOCK_DESTROY", "crash: nothing more is sent for the dead", try_sock_destroy, true,
     "destroyed a socket of its own", "a kernel with INET_DIAG_DESTROY"},
    {"overlay", "private /tmp of nodes, root folders", try_overlay, true, "laid one over /tmp",
     "sudo modprobe overlay; Linux 5.11 for ordinary users"},
    {"pidfd", "deaths are seen, not guessed", try_pidfd, false, "opened one of its own",
     "Linux 5.3"},
    {"tcp_rto_max_ms", "quick TCP retries after a heal", try_rto_max, true, "the setting is there",
     "Linux 6.15; optional: without it heals wait for TCP's own backoff"},
    {"netem", "nothing here needs it: delay and loss by the kernel", try_netem, true,
     "put one on a link", "none is needed (sudo modprobe sch_netem)"},
    {"FUSE", "nothing here needs it: disks that lose power", try_fuse, false, "opened /dev/fuse",
     "none is needed (sudo chmod 666 /dev/fuse)"},
    {"TUN", "nothing here needs it: delay and reorder in user space", try_tun, false,
     "opened /dev/net/tun", "none is needed (sudo chmod 666 /dev/net/tun)"},
    {"cgroup v2", "nothing here needs it: pause and kill work without", try_cgroup, false,
     "a group we may write to", "none is needed (systemd-run --user --scope -p Delegate=yes)"},
};

#define N_PROBES (sizeof(probes) / sizeof(probes[0]))

/* Runs a try in a child, in namespaces like the sandbox's where it wants that. */
static bool attempt(int (*what)(void), bool inside)
{
    bool user = !permission_namespaces();
    unsigned uid = (unsigned)geteuid(), gid = (unsigned)getegid();
    int flags = inside ? CLONE_NEWNET | CLONE_NEWNS | (user ? CLONE_NEWUSER : 0) : 0, pidfd, status;
    fflush(NULL);
    pid_t pid = spawn_clone(flags, &pidfd);
    if (pid < 0)
        return false;
    if (pid == 0) {
        alarm(10);
        if (inside && user && spawn_map_user(0, 0, uid, gid) < 0)
            _exit(1);
        _exit(what() != 0);
    }
    close(pidfd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void probe_namespaces(struct capability *out)
{
    char setting[120], fix[300];
    bool privileged = permission_namespaces();
    *out = (struct capability){.name = NAMESPACES, .yes = attempt(try_mount, true)};
    if (out->yes) {
        snprintf(out->how, sizeof(out->how), "%s",
                 privileged ? "CAP_SYS_ADMIN: no user namespace is needed"
                            : "an unprivileged user namespace");
    } else if (permission_forbidden_by(setting, sizeof(setting), fix, sizeof(fix))) {
        snprintf(out->how, sizeof(out->how), "forbidden by %s", setting);
        snprintf(out->fix, sizeof(out->fix), "%s", fix);
    } else {
        snprintf(out->how, sizeof(out->how), "refused, and no setting known to forbid it is on");
        snprintf(out->fix, sizeof(out->fix), "run assay with sudo");
    }
}

static void run_probe(const struct probe *p, struct capability *out)
{
    *out = (struct capability){.name = p->name, .yes = attempt(p->attempt, p->inside)};
    snprintf(out->how, sizeof(out->how), "%s (%s)", p->what, out->yes ? p->how : "refused");
    if (!out->yes)
        snprintf(out->fix, sizeof(out->fix), "%s", p->fix);
}

size_t sandbox_probe(struct capability *out, size_t max)
{
    size_t n = 0;
    if (max)
        probe_namespaces(&out[n++]);
    for (size_t i = 0; i < N_PROBES && n < max; i++)
        run_probe(&probes[i], &out[n++]);
    return n;
}

bool sandbox_probe_one(const char *name, struct capability *out)
{
    if (strcmp(name, NAMESPACES) == 0) {
        probe_namespaces(out);
        return true;
    }
    for (size_t i = 0; i < N_PROBES; i++)
        if (strcmp(name, probes[i].name) == 0) {
            run_probe(&probes[i], out);
            return true;
        }
    return false;
}
