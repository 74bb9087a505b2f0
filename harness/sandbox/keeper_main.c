/*
 * The keeper: pid 1 of a node's pid, mount, net, uts and ipc namespaces. Outlives its servers, dies
 * with the coordinator, and the node dies with it. kill(-1, …) from here reaches every process of
 * the node and no other. One thread, no blocking call: requests are answered in order; the server's
 * log goes through it so that it cannot fill the disk. Source: pid_namespaces(7), kill(2).
 */
#include "sandbox/keeper.h"

#include "base/file.h"
#include "sandbox/keeper_mounts.h"
#include "sandbox/procfs.h"
#include "sandbox/spawn.h"
#include "sandbox/wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL 3
#define PUMPS_MAX 16
#define PUMP_TURNS 16 /* empties a pipe, and does not wait for one who prints without end */

/* Copies what a server prints into its log until the cap, and on into nothing. */
struct pump {
    int from, to; /* from -1: free */
    int64_t left;
    bool full; /* the log says so */
};

struct keeper_loop {
    struct forker forker;
    struct pump pumps[PUMPS_MAX];
    int children;
};

static void pump_end(struct pump *pump)
{
    close(pump->from);
    close(pump->to);
    pump->from = -1;
}

static void pump_some(struct pump *pump)
{
    static const char full[] = "\n[assay: log is full at 64 MiB, the rest is dropped]\n";
    char bytes[65536];
    ssize_t got = 1;
    for (int turn = 0; turn < PUMP_TURNS; turn++) {
        got = read(pump->from, bytes, sizeof(bytes));
        if (got <= 0)
            break;
        ssize_t take = got <= pump->left ? got : (ssize_t)pump->left;
        if (take > 0 && write(pump->to, bytes, (size_t)take) < 0)
            pump->left = take = 0, pump->full = true; /* a full disk is the run's to report */
        pump->left -= take;
        if (take < got && !pump->full) /* the cap may lie at the very end of an earlier read */
            pump->full = write(pump->to, full, sizeof(full) - 1) > 0;
    }
    if (got == 0)
        pump_end(pump);
}

static void pump_all(struct keeper_loop *loop)
{
    for (size_t i = 0; i < PUMPS_MAX; i++)
        if (loop->pumps[i].from >= 0)
            pump_some(&loop->pumps[i]);
}

/* Replaces the log among a spawn's descriptors (the first behind report and gate) by a pipe into a
 * pump of ours. Without a free pump the server writes to its log directly. */
static void divert_log(struct keeper_loop *loop, int *fds, size_t n_fds)
{
    int pipe_ends[2];
    for (size_t i = 0; i < PUMPS_MAX && n_fds > 2; i++) {
        struct pump *pump = &loop->pumps[i];
        if (pump->from >= 0)
            continue;
        if (pipe2(pipe_ends, O_CLOEXEC) < 0)
            return;
        fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
        struct stat log;
        int64_t left = LOG_CAP_BYTES - (fstat(fds[2], &log) == 0 ? log.st_size : 0);
        *pump = (struct pump){pipe_ends[0], fds[2], left > 0 ? left : 0, left < 0};
        fds[2] = pipe_ends[1];
        if (n_fds > 3) {
            close(fds[3]); /* stderr arrived as a second copy of the same log */
            fds[3] = fcntl(pipe_ends[1], F_DUPFD_CLOEXEC, 3);
        }
        return;
    }
}

static void serve_spawn(struct keeper_loop *loop, const char *packet, size_t size, int *fds,
                        size_t n_fds)
{
    struct spawn_request request;
    if (size >= sizeof(request)) {
        memcpy(&request, packet, sizeof(request));
        if (request.capped_log)
            divert_log(loop, fds, n_fds);
    }
    spawn_serve(&loop->forker, packet, size, fds, n_fds);
}

static void look(struct keeper_answer *answer)
{
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    while (processes && (entry = readdir(processes))) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || strcmp(entry->d_name, "1") == 0)
            continue;
        answer->processes++;
        answer->running += !procfs_stands_still(entry->d_name);
    }
    if (processes)
        closedir(processes);
    else
        answer->error = errno;
}

static const char *or_none(const char *text)
{
    return text && text[0] ? text : NULL;
}

static void set_up(const struct keeper_request *request, const char *at, const char *end,
                   struct keeper_answer *answer)
{
    const char *hostname = or_none(wire_string(&at, end)), *what = "set the hostname";
    struct mount_plan plan = {.folder_bytes = request->number};
    plan.folder = or_none(wire_string(&at, end));
    plan.hosts = or_none(wire_string(&at, end));
    plan.shared = or_none(wire_string(&at, end));
    if ((hostname && sethostname(hostname, strlen(hostname)) < 0) ||
        keeper_mounts(&plan, &what) < 0) {
        answer->error = errno;
        snprintf(answer->text, sizeof(answer->text), "%s", what);
    }
}

static int open_file(const struct keeper_request *request, const char *path,
                     struct keeper_answer *answer)
{
    if (path && path[0] == '/' && ((int)request->number & O_CREAT))
        file_make_parents(path); /* what cannot be made shows when the file is opened */
    int fd = path ? open(path, (int)request->number | O_CLOEXEC, request->mode) : -1;
    if (fd < 0)
        answer->error = path ? errno : EBADMSG;
    return fd;
}

static void serve(struct keeper_loop *loop, const char *packet, size_t size)
{
    struct keeper_request request;
    struct keeper_answer answer = {.error = 0};
    int fd = -1;
    if (size < sizeof(request))
        return;
    memcpy(&request, packet, sizeof(request));
    const char *at = packet + sizeof(request), *end = packet + size;
    switch (request.verb) {
    case KEEPER_SETUP:
        set_up(&request, at, end, &answer);
        break;
    case KEEPER_SIGNAL:
        if (kill(-1, (int)request.number) < 0 && errno != ESRCH) /* nobody there: nothing to do */
            answer.error = errno;
        break;
    case KEEPER_LOOK:
        spawn_reap(&loop->forker, -1, NULL);
        pump_all(loop);
        look(&answer);
        break;
    case KEEPER_OPEN:
        fd = open_file(&request, wire_string(&at, end), &answer);
        break;
    default:
        answer.error = ENOSYS;
    }
    answer.serial = request.serial;
    wire_send(CONTROL, &answer, sizeof(answer), NULL, 0, &fd, fd >= 0);
    if (fd >= 0)
        close(fd);
}

/* One packet; false when the coordinator is gone. */
static bool serve_packet(struct keeper_loop *loop)
{
    static char packet[WIRE_BYTES];
    int fds[WIRE_FDS];
    size_t n_fds;
    uint32_t verb;
    ssize_t size = wire_receive(CONTROL, packet, sizeof(packet), fds, &n_fds, -1);
    if (size <= 0)
        return false;
    memcpy(&verb, packet, sizeof(verb));
    if (verb == WIRE_SPAWN) {
        serve_spawn(loop, packet, (size_t)size, fds, n_fds);
        return true;
    }
    wire_close_fds(fds, n_fds);
    serve(loop, packet, (size_t)size);
    return true;
}

static void on_child(struct keeper_loop *loop)
{
    struct signalfd_siginfo info;
    while (read(loop->children, &info, sizeof(info)) > 0)
        continue;
    pump_all(loop); /* the last words are in the log before the death is reported */
    spawn_reap(&loop->forker, -1, NULL);
}

static void keep(struct keeper_loop *loop)
{
    for (;;) {
        struct pollfd wait[2 + PUMPS_MAX] = {{.fd = CONTROL, .events = POLLIN},
                                             {.fd = loop->children, .events = POLLIN}};
        for (size_t i = 0; i < PUMPS_MAX; i++)
            wait[2 + i] = (struct pollfd){.fd = loop->pumps[i].from, .events = POLLIN};
        if (poll(wait, 2 + PUMPS_MAX, -1) < 0)
            continue;
        if (wait[1].revents)
            on_child(loop);
        for (size_t i = 0; i < PUMPS_MAX; i++)
            if (wait[2 + i].revents && loop->pumps[i].from >= 0)
                pump_some(&loop->pumps[i]);
        if (wait[0].revents && !serve_packet(loop))
            return;
    }
}

int keeper_main(int argc, char **argv)
{
    static struct keeper_loop loop;
    (void)argc;
    (void)argv;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);
    loop.children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop.children < 0 || getpid() != 1) {
        fprintf(stderr, "assay: %s is no verb for people\n", KEEPER_VERB);
        return 2;
    }
    fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
    for (size_t i = 0; i < PUMPS_MAX; i++)
        loop.pumps[i].from = -1;
    prctl(PR_SET_NAME, "assay-keeper");
    keep(&loop);
    return 0;
}
