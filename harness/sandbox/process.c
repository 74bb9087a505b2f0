/* The coordinator's side of spawning (process.h). Source: pidfd_open(2), unix(7). */
#include "sandbox/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FORKER_ANSWERS_MS 10000 /* a forker never blocks: more is a machine that stands still */

static void put_strings(FILE *out, const char *const *strings, uint32_t *n)
{
    for (*n = 0; strings && strings[*n]; (*n)++)
        fwrite(strings[*n], 1, strlen(strings[*n]) + 1, out);
}

static int send_request(int forker, const struct process_spec *spec, int report, int gate,
                        struct err *err)
{
    struct spawn_request request = {.verb = WIRE_SPAWN,
                                    .clone_flags = spec->clone_flags,
                                    .cpu = spec->cpu,
                                    .uid = spec->uid,
                                    .inherit_env = !spec->env,
                                    .capped_log = spec->capped_log,
                                    .in_root = spec->root != NULL};
    const char *const places[] = {spec->root, spec->folder, NULL};
    uint32_t n_places;
    int fds[WIRE_FDS] = {report, gate};
    for (size_t i = 0; i < WIRE_FDS; i++)
        request.targets[i] = i < spec->n_fds ? spec->targets[i] : -1;
    memcpy(fds + 2, spec->fds, spec->n_fds * sizeof(int));
    char *strings = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&strings, &size);
    if (!out)
        return err_errno(err, "spawn");
    put_strings(out, spec->argv, &request.argc);
    put_strings(out, spec->env, &request.envc);
    if (spec->root)
        put_strings(out, places, &n_places);
    fclose(out);
    int result = wire_send(forker, &request, sizeof(request), strings, size, fds, spec->n_fds + 2);
    free(strings);
    if (result < 0 && errno == EMSGSIZE)
        return err_set(err, "%s: arguments and environment are longer than %d bytes", spec->argv[0],
                       WIRE_BYTES);
    return result < 0 ? err_errno(err, "%s: ask for a process", spec->argv[0]) : 0;
}

/* The pid behind a pidfd in our own numbering, whatever namespace it was born in. */
static pid_t pid_of(int pidfd)
{
    char path[64], line[128];
    int pid = -1;
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "Pid: %d", &pid) == 1)
            break;
    if (file)
        fclose(file);
    return pid;
}

static int await_birth(struct process *process, const char *name, struct err *err)
{
    struct spawn_report report;
    int fds[WIRE_FDS];
    size_t n_fds;
    ssize_t got =
        wire_receive(process->report, &report, sizeof(report), fds, &n_fds, FORKER_ANSWERS_MS);
    if (got == 0)
        return err_set(err, "%s: whoever should have started it is gone", name);
    if (got < 0)
        return err_errno(err, "%s: no answer to a start", name);
    if (report.event == SPAWN_BORN && n_fds == 1) {
        process->pidfd = fds[0];
        process->pid = pid_of(fds[0]);
        return 0;
    }
    wire_close_fds(fds, n_fds);
    errno = report.value;
    return err_errno(err, "%s: start a process", name);
}

int process_spawn(int forker, const struct process_spec *spec, struct process *process,
                  struct err *err)
{
    int report[2], gate[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) < 0)
        return err_errno(err, "%s: socketpair", spec->argv[0]);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate) < 0) {
        wire_close_fds(report, 2);
        return err_errno(err, "%s: socketpair", spec->argv[0]);
    }
    *process = (struct process){.pid = -1, .pidfd = -1, .report = report[0], .gate = gate[0]};
    int result = send_request(forker, spec, report[1], gate[1], err);
    close(report[1]);
    close(gate[1]);
    if (result == 0)
        result = await_birth(process, spec->argv[0], err);
    if (result == 0) {
        pthread_mutex_init(&process->lock, NULL);
        return 0;
    }
    close(report[0]);
    close(gate[0]);
    return -1;
}

int process_go(struct process *process, const char *name, struct err *err)
{
    int error = 0;
    char go = 1;
    if (send(process->gate, &go, 1, MSG_NOSIGNAL) < 0)
        error = errno;
    ssize_t got = 0;
    if (error == 0)
        got = wire_receive(process->gate, &error, sizeof(error), NULL, NULL, FORKER_ANSWERS_MS);
    if (got < 0)
        error = errno;
    close(process->gate);
    process->gate = -1;
    if (error == 0)
        return 0; /* end of file: exec closed it */
    errno = error;
    return err_errno(err, "execute %s", name);
}

bool process_dead(struct process *process, int *status)
{
    struct pollfd death = {.fd = process->pidfd, .events = POLLIN};
    pthread_mutex_lock(&process->lock);
    if (!process->ended && poll(&death, 1, 0) > 0) {
        struct spawn_report report;
        ssize_t got =
            wire_receive(process->report, &report, sizeof(report), NULL, NULL, FORKER_ANSWERS_MS);
        process->ended = true;
        /* no report: its forker died, and took it along with SIGKILL */
        process->status = got == (ssize_t)sizeof(report) ? report.value : SIGKILL;
    }
    bool ended = process->ended;
    if (ended && status)
        *status = process->status;
    pthread_mutex_unlock(&process->lock);
    return ended;
}

int process_signal(const struct process *process, int signal, struct err *err)
{
    if (syscall(SYS_pidfd_send_signal, process->pidfd, signal, NULL, 0) == 0)
        return 0;
    return err_errno(err, "signal %d to process %d", signal, process->pid);
}

void process_release(struct process *process)
{
    struct pollfd death = {.fd = process->pidfd, .events = POLLIN};
    syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
    poll(&death, 1, FORKER_ANSWERS_MS);
    process_dead(process, NULL);
    close(process->pidfd);
    close(process->report);
    if (process->gate >= 0)
        close(process->gate);
    pthread_mutex_destroy(&process->lock);
}

int process_poll(int fd, const struct deadline *deadline)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    for (;;) {
        int left_ms = deadline_left_ms(deadline);
        /* looks up every 20 ms: a cancel has no descriptor */
        int ready = poll(&wait, 1, left_ms < 20 ? left_ms : 20);
        if (ready > 0)
            return 0;
        if (deadline_passed(deadline))
            return -1;
    }
}
