/* Runs a binary for what it prints (program.h). */
#include "systems/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM_WITHIN_MS 5000

extern char **environ;

int program_says(const char *binary, const char *argument, char *out, size_t size, struct err *err)
{
    char *argv[] = {(char *)(uintptr_t)binary, (char *)(uintptr_t)argument, NULL};
    posix_spawn_file_actions_t actions;
    struct pollfd p;
    int fds[2], rc, status;
    ssize_t n = 0;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, "pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    rc = posix_spawn(&pid, binary, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (rc != 0) {
        close(fds[0]);
        return err_set(err, "%s: %s", binary, strerror(rc));
    }
    p = (struct pollfd){.fd = fds[0], .events = POLLIN};
    if (poll(&p, 1, PROGRAM_WITHIN_MS) > 0)
        n = read(fds[0], out, size - 1);
    else
        kill(pid, SIGKILL);
    out[n > 0 ? n : 0] = '\0';
    close(fds[0]);
    waitpid(pid, &status, 0);
    return 0;
}
