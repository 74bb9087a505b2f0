/*
 * The launcher: the process a user started. Makes the namespaces with pid 1 in them, passes SIGINT,
 * SIGTERM and (unless under nohup) SIGHUP on, waits until all of it is gone. It holds nothing that
 * must be undone: when it is killed, init gets the parent-death signal (and the end of its
 * lifeline), and all dies with init.
 * Source: namespaces(7), user_namespaces(7), capabilities(7).
 */
#include "sandbox/init.h"
#include "sandbox/permission.h"
#include "sandbox/spawn.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)

struct watch {
    pid_t init;
    int init_pidfd, lifeline, signals;
    int status; /* the coordinator's, as init reaped it */
    bool reported;
    int interrupts;
};

static void kill_init(const struct watch *watch)
{
    syscall(SYS_pidfd_send_signal, watch->init_pidfd, SIGKILL, NULL, 0);
}

static void on_signal(struct watch *watch)
{
    struct signalfd_siginfo info;
    if (read(watch->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    unsigned char number = (unsigned char)info.ssi_signo;
    if (number == SIGINT && ++watch->interrupts == 2)
        kill_init(watch);
    else
        send(watch->lifeline, &number, 1, MSG_NOSIGNAL);
}

static void on_report(struct watch *watch)
{
    int status;
    ssize_t got = recv(watch->lifeline, &status, sizeof(status), 0);
    if (got == (ssize_t)sizeof(status)) {
        watch->status = status;
        watch->reported = true;
    } else {
        watch->lifeline = -1; /* init is gone; its pidfd says so in a moment */
    }
}

/* Until init is dead: by then the kernel has killed and reaped everything in its namespace. */
static void watch_init(struct watch *watch)
{
    int lifeline = watch->lifeline;
    for (;;) {
        struct pollfd wait[3] = {{.fd = watch->init_pidfd, .events = POLLIN},
                                 {.fd = watch->lifeline, .events = POLLIN},
                                 {.fd = watch->signals, .events = POLLIN}};
        if (poll(wait, 3, -1) < 0)
            continue;
        if (wait[1].revents)
            on_report(watch);
        if (wait[2].revents)
            on_signal(watch);
        if (wait[0].revents && !(wait[1].revents & POLLIN))
            break;
    }
    while (waitpid(watch->init, NULL, 0) < 0 && errno == EINTR)
        continue;
    close(lifeline);
}

/* What the run was worth, for the caller. */
static int outcome(const struct watch *watch, const struct launch_page *page, int *died,
                   struct err *err)
{
    if (watch->interrupts >= 2) {
        *died = SIGINT;
        return err_set(err, "interrupted twice: killed at once");
    }
    if (!page->ready)
        return err_set(err, "%s",
                       page->err.text[0] ? page->err.text
                                         : "sandbox: died while it was being made");
    if (!watch->reported) {
        *died = SIGKILL;
        return err_set(err, "sandbox: init was killed");
    }
    if (WIFSIGNALED(watch->status)) {
        *died = WTERMSIG(watch->status);
        return err_set(err, "the coordinator was killed by signal %d (%s)", *died,
                       strsignal(*died));
    }
    return WEXITSTATUS(watch->status);
}

/* Many nodes, many sockets: as many descriptors as we may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int launch_init(struct launch *launch, struct watch *watch, struct err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno(err, "sandbox: socketpair");
    launch->lifeline = pair[1];
    fflush(NULL); /* or init's copy of a buffer would be printed twice */
    watch->init =
        spawn_clone(NAMESPACES | (launch->user_namespace ? CLONE_NEWUSER : 0), &watch->init_pidfd);
    if (watch->init == 0) {
        close(pair[0]);
        close(watch->signals);
        init_run(launch);
    }
    close(pair[1]);
    watch->lifeline = pair[0];
    if (watch->init > 0)
        return 0;
    int error = errno;
    close(pair[0]);
    return permission_explain(launch->user_namespace, error, err);
}

bool signal_ignored(int number)
{
    struct sigaction now;

    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

int sandbox_run(int (*coordinate)(void *argument), void *argument,
                const struct sandbox_options *options, int *died, struct err *err)
{
    struct launch launch = {.coordinate = coordinate,
                            .argument = argument,
                            .options = options,
                            .user_namespace = !permission_namespaces(),
                            .uid = (unsigned)geteuid(),
                            .gid = (unsigned)getegid()};
    struct watch watch = {.init = -1, .init_pidfd = -1};
    int result = -1, unused_died;
    died = died ? died : &unused_died;
    *died = 0;
    launch.page =
        mmap(NULL, sizeof(*launch.page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (launch.page == MAP_FAILED)
        return err_errno(err, "sandbox: shared page");
    sigset_t handled;
    sigemptyset(&handled);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGTERM);
    if (!signal_ignored(SIGHUP))
        sigaddset(&handled, SIGHUP);
    sigprocmask(SIG_BLOCK, &handled, &launch.mask);
    watch.signals = signalfd(-1, &handled, SFD_CLOEXEC);
    raise_descriptor_limit();
    if (watch.signals < 0)
        err_errno(err, "sandbox: signalfd");
    else if (launch_init(&launch, &watch, err) == 0) {
        watch_init(&watch);
        result = outcome(&watch, launch.page, died, err);
        if (result < 0 && launch.user_namespace && !launch.page->ready)
            permission_hint(err);
    }
    if (watch.init_pidfd >= 0)
        close(watch.init_pidfd);
    close(watch.signals);
    sigprocmask(SIG_SETMASK, &launch.mask, NULL);
    munmap(launch.page, sizeof(*launch.page));
    return result;
}
