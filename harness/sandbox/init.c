/*
 * Init: pid 1 of the sandbox's pid namespace, the only forker. Spawns what the coordinator asks
 * for, reaps, passes signals on, and leaves when the coordinator or the launcher does: the kernel
 * then kills whatever is left in the namespace, keepers' nested namespaces included. Links nothing,
 * handles no signal (pid 1 is immune to those it does not handle) and never blocks on a child.
 * Source: pid_namespaces(7), prctl(2).
 */
#include "sandbox/init.h"

#include "sandbox/box.h"
#include "sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static void give_up(const struct launch *launch, const char *what)
{
    err_errno(&launch->page->err, "sandbox: %s", what);
    _exit(1);
}

/* The launcher may have died before the parent-death signal was asked for: then its end is closed.
 */
static void bind_to_launcher(const struct launch *launch)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct pollfd end = {.fd = launch->lifeline, .events = POLLIN};
    if (poll(&end, 1, 0) > 0 && (end.revents & POLLHUP))
        _exit(1);
}

static void make_mounts(const struct launch *launch)
{
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        give_up(launch, "make mounts private");
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        give_up(launch, "mount /proc for the new pid namespace (a container that masks parts of "
                        "/proc forbids it: run with --security-opt systempaths=unconfined)");
    /* shared memory of killed servers must not stay on the host */
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
}

static void coordinator_run(const struct launch *launch, int init_socket)
{
    sigprocmask(SIG_SETMASK, &launch->mask, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "assay-coord");
    close(launch->lifeline);
    if (getppid() != 1)
        _exit(1);
    if (box_open(init_socket, launch->options, &launch->page->err) < 0)
        _exit(1);
    launch->page->ready = true;
    int result = launch->coordinate(launch->argument);
    fflush(NULL);
    _exit(result & 0xff);
}

struct init_loop {
    struct forker forker;
    pid_t coordinator;
    int requests, children, lifeline;
};

static void serve_request(struct init_loop *loop)
{
    static char packet[WIRE_BYTES];
    int fds[WIRE_FDS];
    size_t n_fds;
    ssize_t size = wire_receive(loop->requests, packet, sizeof(packet), fds, &n_fds, -1);
    if (size > 0)
        spawn_serve(&loop->forker, packet, (size_t)size, fds, n_fds);
    else if (size == 0)
        loop->requests = -1; /* closed before its death is seen: poll skips it */
}

static void pass_signal(struct init_loop *loop)
{
    unsigned char signal_number;
    ssize_t got = recv(loop->lifeline, &signal_number, 1, 0);
    if (got == 0 || (got < 0 && errno != EINTR))
        _exit(1); /* the launcher is gone: so is all of this */
    if (got == 1)
        kill(loop->coordinator, signal_number);
}

static void serve(struct init_loop *loop)
{
    for (;;) {
        struct pollfd wait[3] = {{.fd = loop->children, .events = POLLIN},
                                 {.fd = loop->requests, .events = POLLIN},
                                 {.fd = loop->lifeline, .events = POLLIN}};
        if (poll(wait, 3, -1) < 0)
            continue;
        if (wait[0].revents) {
            struct signalfd_siginfo info;
            int status;
            if (read(loop->children, &info, sizeof(info)) > 0 &&
                spawn_reap(&loop->forker, loop->coordinator, &status)) {
                send(loop->lifeline, &status, sizeof(status), MSG_NOSIGNAL);
                _exit(0);
            }
        }
        if (wait[1].revents)
            serve_request(loop);
        if (wait[2].revents)
            pass_signal(loop);
    }
}

void init_run(const struct launch *launch)
{
    static struct init_loop loop;
    bind_to_launcher(launch);
    setsid(); /* Ctrl-C reaches the launcher only, which decides */
    prctl(PR_SET_NAME, "assay-init");
    if (launch->user_namespace && spawn_map_user(0, 0, launch->uid, launch->gid) < 0)
        give_up(launch, "map our user to root of the new user namespace");
    make_mounts(launch);

    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);
    loop.children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    loop.lifeline = launch->lifeline;
    int pair[2], pidfd;
    if (loop.children < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        give_up(launch, "make init's descriptors");
    loop.coordinator = spawn_clone(0, &pidfd);
    if (loop.coordinator < 0)
        give_up(launch, "fork the coordinator");
    if (loop.coordinator == 0) {
        close(pair[0]);
        close(loop.children);
        coordinator_run(launch, pair[1]);
    }
    close(pair[1]);
    close(pidfd);
    loop.requests = pair[0];
    serve(&loop);
    _exit(1);
}
