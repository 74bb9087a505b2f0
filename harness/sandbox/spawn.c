/*
 * Fork, gate, exec, reap (spawn.h). The child waits at its gate until the coordinator has given it
 * a network link; if the coordinator is gone the gate reads end of file and the child leaves.
 * Source: clone(2), pidfd_open(2), prctl(2) PR_SET_PDEATHSIG, user_namespaces(7).
 */
#include "sandbox/spawn.h"

#include "sandbox/keeper_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 4096

extern char **environ;

struct spawn_strings {
    char *argv[ARGS_MAX], *env[ARGS_MAX];
    const char *root, *folder; /* NULL: in the forker's own root */
};

pid_t spawn_clone(int flags, int *pidfd)
{
    /* the old call: it takes every flag used here, and some seccomp filters refuse clone3 */
    return (pid_t)syscall(SYS_clone, (unsigned long)(unsigned)(flags | CLONE_PIDFD | SIGCHLD), NULL,
                          pidfd, NULL, NULL);
}

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, text, strlen(text));
    int error = errno;
    close(fd);
    errno = error;
    return written < 0 ? -1 : 0;
}

int spawn_map_user(unsigned inside_uid, unsigned inside_gid, unsigned outside_uid,
                   unsigned outside_gid)
{
    char map[64];
    if (write_text("/proc/self/setgroups", "deny") < 0 && errno != ENOENT)
        return -1;
    snprintf(map, sizeof(map), "%u %u 1\n", inside_uid, outside_uid);
    if (write_text("/proc/self/uid_map", map) < 0)
        return -1;
    snprintf(map, sizeof(map), "%u %u 1\n", inside_gid, outside_gid);
    return write_text("/proc/self/gid_map", map);
}

/* Moves the child's descriptors to their numbers. First all out of the way: a target may be the
 * number another one arrived with. */
static int place_fds(const struct spawn_request *request, const int *fds, size_t n)
{
    int parked[WIRE_FDS];
    for (size_t i = 0; i < n; i++) {
        parked[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3 + WIRE_FDS);
        if (parked[i] < 0)
            return -1;
    }
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* what we were started with is not theirs */
    bool has_stdin = false;
    for (size_t i = 0; i < n && request->targets[i] >= 0; i++) {
        has_stdin = has_stdin || request->targets[i] == 0;
        if (dup2(parked[i], request->targets[i]) < 0)
            return -1;
    }
    if (!has_stdin) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null >= 0)
            dup2(null, 0);
    }
    return 0;
}

static int become_user(unsigned uid)
{
    if (uid == 0)
        return 0;
    unsigned own_uid = (unsigned)geteuid(), own_gid = (unsigned)getegid();
    if (unshare(CLONE_NEWUSER) < 0)
        return -1;
    return spawn_map_user(uid, uid, own_uid, own_gid);
}

static void pin(int cpu)
{
    if (cpu < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    sched_setaffinity(0, sizeof(set), &set); /* a cpu that is not there pins nothing */
}

/* What the child does between fork and exec; returns only when it could not. */
static void child_start(const struct spawn_request *request, struct spawn_strings *strings,
                        char **env, int gate, const int *fds, size_t n_fds)
{
    char **argv = strings->argv;
    char go;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGHUP, SIG_DFL); /* ignored under nohup: clients are asked to leave by it */
    int kept_gate = fcntl(gate, F_DUPFD_CLOEXEC, 3 + 2 * WIRE_FDS);
    if (kept_gate < 0 || place_fds(request, fds, n_fds) < 0)
        goto failed;
    if (recv(kept_gate, &go, 1, 0) != 1)
        _exit(127); /* the coordinator is gone */
    pin(request->cpu);
    if (request->in_root && keeper_root_folder(strings->root, strings->folder) < 0)
        goto failed;
    if (become_user(request->uid) < 0)
        goto failed;
    /* No race with the forker's death to look for: it is pid 1 here, all of its namespace dies. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* a name without a slash is ourselves: a hidden verb of the same binary */
    execve(strchr(argv[0], '/') ? argv[0] : "/proc/self/exe", argv, env);
failed:;
    int error = errno;
    if (send(kept_gate, &error, sizeof(error), MSG_NOSIGNAL) < 0)
        _exit(126);
    _exit(127);
}

/* Cuts the strings behind the request; false if the packet is no good. */
static bool parse_strings(const struct spawn_request *request, const char *at, const char *end,
                          struct spawn_strings *out)
{
    char **argv = out->argv, **env = out->env;
    if (request->argc == 0 || request->argc >= ARGS_MAX || request->envc >= ARGS_MAX)
        return false;
    for (uint32_t i = 0; i < request->argc + request->envc; i++) {
        const char *text = wire_string(&at, end);
        if (!text)
            return false;
        if (i < request->argc)
            argv[i] = (char *)(uintptr_t)text;
        else
            env[i - request->argc] = (char *)(uintptr_t)text;
    }
    argv[request->argc] = NULL;
    env[request->envc] = NULL;
    out->root = request->in_root ? wire_string(&at, end) : NULL;
    out->folder = request->in_root ? wire_string(&at, end) : NULL;
    return !request->in_root || out->folder;
}

static void report(int socket, enum spawn_event event, int value, int pidfd)
{
    struct spawn_report r = {.event = event, .value = value};
    wire_send(socket, &r, sizeof(r), NULL, 0, &pidfd, pidfd >= 0);
}

pid_t spawn_serve(struct forker *forker, const char *packet, size_t size, int *fds, size_t n_fds)
{
    static struct spawn_strings strings; /* forkers are single-threaded */
    struct spawn_request request;
    if (size < sizeof(request) || n_fds < 2) {
        wire_close_fds(fds, n_fds);
        return -1;
    }
    memcpy(&request, packet, sizeof(request));
    pid_t pid = -1;
    int pidfd = -1;
    if (!parse_strings(&request, packet + sizeof(request), packet + size, &strings))
        errno = EBADMSG;
    else if (forker->n == SPAWN_MAX)
        errno = EAGAIN;
    else
        pid = spawn_clone(request.clone_flags, &pidfd);
    if (pid == 0) {
        child_start(&request, &strings, request.inherit_env ? environ : strings.env, fds[1],
                    fds + 2, n_fds - 2);
        _exit(127);
    }
    if (pid < 0) {
        report(fds[0], SPAWN_REFUSED, errno, -1);
        wire_close_fds(fds, n_fds);
        return -1;
    }
    report(fds[0], SPAWN_BORN, pid, pidfd);
    close(pidfd);
    forker->children[forker->n++] = (struct forked){pid, fds[0]};
    wire_close_fds(fds + 1, n_fds - 1);
    return pid;
}

bool spawn_reap(struct forker *forker, pid_t watched, int *status)
{
    bool seen = false;
    pid_t pid;
    int ended;
    while ((pid = waitpid(-1, &ended, WNOHANG)) > 0) {
        if (pid == watched) {
            *status = ended;
            seen = true;
        }
        for (size_t i = 0; i < forker->n; i++) {
            if (forker->children[i].pid != pid)
                continue;
            report(forker->children[i].report, SPAWN_ENDED, ended, -1);
            close(forker->children[i].report);
            forker->children[i] = forker->children[--forker->n];
            break;
        }
    }
    return seen;
}
