/*
 * Nodes, the coordinator's side: one keeper each (keeper_main.c) behind a control socket. Requests
 * of one keeper are answered in order, under its lock; servers and helper commands are processes
 * that the keeper forked for us and that we watch ourselves.
 */
#include "sandbox/keeper.h"

#include "sandbox/box.h"
#include "sandbox/keeper_side.h"
#include "sandbox/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_BYTES (INT64_C(1) << 30)
#define KEEPER_ANSWERS_MS 20000
#define KEEPER_NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)

struct keeper {
    struct sandbox *box;
    char name[64], address[16];
    struct process process; /* the keeper itself */
    int control;
    pthread_mutex_t lock; /* one request at a time on control */
    uint32_t serial;      /* of the last one */
    pthread_mutex_t
        server_lock; /* server, has_server: a guard looks while a script starts it again */
    bool has_server;
    struct process server;
    int cpu;
    char folder[512]; /* "": none */
};

/* Of the last request: those of earlier ones that were given up may still come. */
static ssize_t receive_answer(struct keeper *keeper, struct keeper_answer *answer, int *fds,
                              size_t *n_fds)
{
    struct deadline deadline = deadline_in(KEEPER_ANSWERS_MS * MS_NS, NULL);
    for (;;) {
        ssize_t got = wire_receive(keeper->control, answer, sizeof(*answer), fds, n_fds,
                                   deadline_left_ms(&deadline));
        if (got != (ssize_t)sizeof(*answer) || answer->serial == keeper->serial)
            return got;
        wire_close_fds(fds, *n_fds);
        *n_fds = 0;
    }
}

/* One request and its answer; `fd` receives a descriptor where the answer has one. */
static int ask(struct keeper *keeper, const struct keeper_request *request, const char *strings,
               size_t strings_size, struct keeper_answer *answer, int *fd)
{
    struct keeper_request numbered = *request;
    int fds[WIRE_FDS];
    size_t n_fds = 0;
    ssize_t got = -1;
    pthread_mutex_lock(&keeper->lock);
    numbered.serial = ++keeper->serial;
    if (wire_send(keeper->control, &numbered, sizeof(numbered), strings, strings_size, NULL, 0) ==
        0)
        got = receive_answer(keeper, answer, fds, &n_fds);
    pthread_mutex_unlock(&keeper->lock);
    if (got != (ssize_t)sizeof(*answer)) {
        errno = got == 0 ? EPIPE : errno;
        return -1;
    }
    if (n_fds && fd)
        *fd = fds[0];
    else
        wire_close_fds(fds, n_fds);
    errno = answer->error;
    return answer->error ? -1 : 0;
}

static int set_up(struct keeper *keeper, const struct keeper_options *options, struct err *err)
{
    struct keeper_answer answer = {.error = 0};
    struct keeper_request request = {.verb = KEEPER_SETUP,
                                     .number = options->folder_bytes ? options->folder_bytes
                                                                     : FOLDER_BYTES};
    const char *texts[] = {options->hostname, options->folder, options->hosts, options->shared};
    char *strings = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&strings, &size);
    if (!out)
        return err_errno(err, "set up");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        fwrite(texts[i] ? texts[i] : "", 1, texts[i] ? strlen(texts[i]) + 1 : 1, out);
    fclose(out);
    int result = ask(keeper, &request, strings, size, &answer, NULL);
    free(strings);
    return result < 0 ? err_errno(err, "%s", answer.text[0] ? answer.text : "set up") : 0;
}

/* Makes the keeper's process, its link, and waits until its namespaces are as asked for. */
static int open_process(struct keeper *keeper, const struct keeper_options *options,
                        struct err *err)
{
    int control[2];
    char title[80];
    snprintf(title, sizeof(title), "node=%s", keeper->name);
    const char *argv[] = {"assay", KEEPER_VERB, title, NULL};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0)
        return err_errno(err, "socketpair");
    struct process_spec spec = {.clone_flags = KEEPER_NAMESPACES,
                                .cpu = -1,
                                .argv = argv,
                                .fds = {control[1]},
                                .targets = {3},
                                .n_fds = 1};
    int result = process_spawn(keeper->box->forker, &spec, &keeper->process, err);
    close(control[1]);
    keeper->control = control[0];
    if (result < 0) {
        close(control[0]);
        return -1;
    }
    bool linked = link_open(keeper->box, keeper->address, keeper->process.pid,
                            keeper->process.pidfd, err) == 0;
    if (linked && process_go(&keeper->process, "the keeper", err) == 0 &&
        set_up(keeper, options, err) == 0)
        return 0;
    process_release(&keeper->process);
    close(keeper->control);
    if (linked)
        link_close(keeper->box, keeper->address);
    return -1;
}

struct keeper *keeper_open(struct sandbox *box, const char *name, const char *address,
                           const struct keeper_options *options, struct err *err)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    if (!keeper) {
        err_errno(err, "node %s", name);
        return NULL;
    }
    keeper->box = box;
    keeper->cpu = options->cpu;
    snprintf(keeper->folder, sizeof(keeper->folder), "%s", options->folder ? options->folder : "");
    snprintf(keeper->name, sizeof(keeper->name), "%s", name);
    snprintf(keeper->address, sizeof(keeper->address), "%s", address);
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_mutex_init(&keeper->server_lock, NULL);
    if (open_process(keeper, options, err) == 0)
        return keeper;
    err_prefix(err, "node %s", name);
    pthread_mutex_destroy(&keeper->lock);
    pthread_mutex_destroy(&keeper->server_lock);
    free(keeper);
    return NULL;
}

static void forget_server(struct keeper *keeper)
{
    if (keeper->has_server)
        process_release(&keeper->server);
    keeper->has_server = false;
}

static bool server_alive(struct keeper *keeper)
{
    return keeper->has_server && !process_dead(&keeper->server, NULL);
}

static pid_t start_server(struct keeper *keeper, const struct keeper_command *command, int log,
                          struct err *err)
{
    static const char *const no_env[] = {NULL};
    struct process_spec spec = {.cpu = keeper->cpu,
                                .uid = command->uid,
                                .capped_log = true,
                                .root = command->root,
                                .folder = keeper->folder,
                                .argv = command->argv,
                                .env = command->env ? command->env : no_env,
                                .fds = {log, log},
                                .targets = {1, 2},
                                .n_fds = 2};
    if (server_alive(keeper))
        return err_set(err, "its server runs already");
    forget_server(keeper);
    if (process_spawn(keeper->control, &spec, &keeper->server, err) < 0)
        return -1;
    if (process_go(&keeper->server, command->argv[0], err) < 0) {
        process_release(&keeper->server);
        return -1;
    }
    keeper->has_server = true;
    return keeper->server.pid;
}

pid_t keeper_start(struct keeper *keeper, const struct keeper_command *command, struct err *err)
{
    const char *path = command->log ? command->log : "/dev/null";
    int log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (log < 0)
        return err_errno(err, "node %s: open log %s", keeper->name, path);
    pthread_mutex_lock(&keeper->server_lock);
    pid_t pid = start_server(keeper, command, log, err);
    pthread_mutex_unlock(&keeper->server_lock);
    close(log);
    return pid < 0 ? err_prefix(err, "node %s", keeper->name) : pid;
}

int keeper_signal(struct keeper *keeper, int signal, struct err *err)
{
    struct keeper_answer answer;
    struct keeper_request request = {.verb = KEEPER_SIGNAL, .number = signal};
    if (ask(keeper, &request, NULL, 0, &answer, NULL) == 0)
        return 0;
    return err_errno(err, "node %s: signal %d to all of it", keeper->name, signal);
}

int keeper_terminate(struct keeper *keeper, struct err *err)
{
    if (!keeper->has_server)
        return err_set(err, "node %s: no server was started", keeper->name);
    if (process_signal(&keeper->server, SIGTERM, err) < 0)
        return err_prefix(err, "node %s", keeper->name);
    return 0;
}

static int look(struct keeper *keeper, struct keeper_answer *answer, struct err *err)
{
    struct keeper_request request = {.verb = KEEPER_LOOK};
    if (ask(keeper, &request, NULL, 0, answer, NULL) == 0)
        return 0;
    return err_errno(err, "node %s: look inside", keeper->name);
}

int keeper_wait_dead(struct keeper *keeper, struct deadline deadline, struct err *err)
{
    struct keeper_answer seen;
    if (keeper->has_server && process_poll(keeper->server.pidfd, &deadline) < 0)
        return err_set(err, "node %s: process %d has not died", keeper->name, keeper->server.pid);
    if (process_dead(&keeper->process, NULL))
        return 0; /* its pid 1 is gone, and all of it was gone before */
    for (;;) {
        if (look(keeper, &seen, err) < 0)
            return process_dead(&keeper->process, NULL) ? 0 : -1;
        if (seen.processes == 0)
            return 0;
        if (deadline_sleep(&deadline, MS_NS) < 0)
            return err_set(err, "node %s: the server is dead, but %d of its processes live on",
                           keeper->name, seen.processes);
    }
}

int keeper_wait_stopped(struct keeper *keeper, struct deadline deadline, struct err *err)
{
    struct keeper_answer seen;
    for (;;) {
        if (look(keeper, &seen, err) < 0)
            return -1;
        if (seen.running == 0)
            return seen.processes
                       ? 0
                       : err_set(err, "node %s: nothing runs that could be stopped", keeper->name);
        if (deadline_sleep(&deadline, MS_NS / 5) < 0)
            return err_set(err, "node %s: %d of %d processes have not stopped", keeper->name,
                           seen.running, seen.processes);
    }
}

bool keeper_alive(struct keeper *keeper)
{
    pthread_mutex_lock(&keeper->server_lock);
    bool alive = server_alive(keeper);
    pthread_mutex_unlock(&keeper->server_lock);
    return alive;
}

bool keeper_stands(struct keeper *keeper)
{
    return !process_dead(&keeper->process, NULL);
}

pid_t keeper_pid(const struct keeper *keeper)
{
    return keeper->process.pid;
}

int keeper_pidfd(struct keeper *keeper)
{
    return keeper->has_server ? keeper->server.pidfd : -1;
}

int keeper_destroy_sockets(struct keeper *keeper, struct err *err)
{
    struct link link;
    size_t destroyed;
    if (!link_find(keeper->box, keeper->address, &link))
        return err_set(err, "node %s has no link", keeper->name);
    if (sockdiag_destroy(link.netns, &destroyed, err) < 0)
        return err_prefix(err, "node %s", keeper->name);
    return 0;
}

const char *keeper_name(const struct keeper *keeper)
{
    return keeper->name;
}

int keeper_open_file(struct keeper *keeper, const char *path, int flags, unsigned mode,
                     struct err *err)
{
    struct keeper_answer answer = {.error = 0};
    struct keeper_request request = {.verb = KEEPER_OPEN, .number = flags, .mode = mode};
    int fd = -1;
    if (ask(keeper, &request, path, strlen(path) + 1, &answer, &fd) == 0)
        return fd;
    return err_errno(err, "node %s: open %s", keeper->name, path);
}

int keeper_forker(struct keeper *keeper)
{
    return keeper->control;
}

int keeper_cpu(const struct keeper *keeper)
{
    return keeper->cpu;
}

void keeper_close(struct keeper *keeper)
{
    if (!keeper)
        return;
    process_release(&keeper->process); /* pid 1: the kernel takes the whole node along */
    forget_server(keeper);
    link_close(keeper->box, keeper->address);
    close(keeper->control);
    pthread_mutex_destroy(&keeper->lock);
    pthread_mutex_destroy(&keeper->server_lock);
    free(keeper);
}
