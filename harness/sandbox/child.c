/* Clients and watchers: our own binary again, made by init, on a network node of its own. */
#include "sandbox/box.h"
#include "sandbox/process.h"
#include "sandbox/procfs.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct child {
    struct sandbox *box;
    struct process process;
    char address[16]; /* "": in the switch's namespace */
};

static int fill_spec(struct process_spec *spec, const struct child_options *options, int log,
                     struct err *err)
{
    if (options->n_fds + 2 > sizeof(spec->fds) / sizeof(spec->fds[0]))
        return err_set(err, "more than %zu descriptors for a child",
                       sizeof(spec->fds) / sizeof(int) - 2);
    for (size_t i = 0; i < options->n_fds; i++) {
        spec->fds[spec->n_fds] = options->fds[i];
        spec->targets[spec->n_fds++] = 3 + (int)i;
    }
    for (int target = 1; log >= 0 && target <= 2; target++) {
        spec->fds[spec->n_fds] = log;
        spec->targets[spec->n_fds++] = target;
    }
    return 0;
}

static int start(struct child *child, const char *const *argv, const struct child_options *options,
                 struct err *err)
{
    struct process_spec spec = {
        .clone_flags = child->address[0] ? CLONE_NEWNET : 0, .cpu = options->cpu, .argv = argv};
    int log = -1, result;
    if (options->log) {
        log = open(options->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (log < 0)
            return err_errno(err, "open %s", options->log);
    }
    result = fill_spec(&spec, options, log, err);
    if (result == 0)
        result = process_spawn(child->box->forker, &spec, &child->process, err);
    if (log >= 0)
        close(log);
    if (result < 0)
        return -1;
    if (child->address[0] &&
        link_open(child->box, child->address, child->process.pid, child->process.pidfd, err) < 0) {
        process_release(&child->process);
        return -1;
    }
    if (process_go(&child->process, argv[0], err) < 0) {
        process_release(&child->process);
        link_close(child->box, child->address);
        return -1;
    }
    return 0;
}

struct child *child_spawn(struct sandbox *box, const char *name, const char *const *argv,
                          const struct child_options *options, struct err *err)
{
    struct child *child = calloc(1, sizeof(*child));
    if (!child) {
        err_errno(err, "child %s", name);
        return NULL;
    }
    child->box = box;
    if (options->address)
        snprintf(child->address, sizeof(child->address), "%s", options->address);
    if (start(child, argv, options, err) == 0)
        return child;
    err_prefix(err, "child %s", name);
    free(child);
    return NULL;
}

pid_t child_pid(const struct child *child)
{
    return child->process.pid;
}

int child_pidfd(const struct child *child)
{
    return child->process.pidfd;
}

bool child_dead(struct child *child, int *status)
{
    return process_dead(&child->process, status);
}

int child_signal(struct child *child, int signal, struct err *err)
{
    return process_signal(&child->process, signal, err);
}

int child_wait_stopped(struct child *child, struct deadline deadline, struct err *err)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", child->process.pid);
    for (;;) {
        if (process_dead(&child->process, NULL))
            return err_set(err, "process %s is dead, not stopped", number);
        if (procfs_stands_still(number))
            return 0;
        if (deadline_sleep(&deadline, MS_NS / 5) < 0)
            return err_set(err, "process %s has not stopped", number);
    }
}

void child_unlink(struct child *child)
{
    link_close(child->box, child->address);
    child->address[0] = '\0';
}

void child_close(struct child *child)
{
    if (!child)
        return;
    process_release(&child->process);
    child_unlink(child);
    free(child);
}
