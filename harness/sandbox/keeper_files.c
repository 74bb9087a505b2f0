/*
 * Files and short commands inside a node. The keeper only opens (by its own mounts) or forks; bytes
 * go directly between the coordinator and the descriptor it was handed.
 */
#include "sandbox/box.h"
#include "sandbox/keeper.h"
#include "sandbox/keeper_side.h"
#include "sandbox/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX (64U << 20)
#define DEPTH_MAX 64

static int write_all(int fd, const char *text, size_t n)
{
    while (n) {
        ssize_t written = write(fd, text, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        text += written;
        n -= (size_t)written;
    }
    return 0;
}

int keeper_write_file(struct keeper *keeper, const char *path, const char *text, size_t n,
                      unsigned mode, struct err *err)
{
    int fd = keeper_open_file(keeper, path, O_WRONLY | O_CREAT | O_TRUNC, mode, err);
    if (fd < 0)
        return -1;
    int result = write_all(fd, text, n);
    if (result == 0 && fchmod(fd, mode) < 0) /* it may have been there, or a umask was on */
        result = -1;
    if (result < 0)
        err_errno(err, "node %s: write %s", keeper_name(keeper), path);
    close(fd);
    return result;
}

/* Appends what fd has now to *text; 0 at the end of file, 1 more may come, -1 error. */
static int read_some(int fd, char **text, size_t *n)
{
    char *grown = realloc(*text, *n + 16384 + 1);
    if (!grown)
        return -1;
    *text = grown;
    ssize_t got = read(fd, grown + *n, 16384);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN ? 1 : -1;
    *n += (size_t)got;
    grown[*n] = 0;
    if (*n > READ_MAX) {
        errno = EFBIG;
        return -1;
    }
    return got > 0;
}

int keeper_read_file(struct keeper *keeper, const char *path, char **text, size_t *n,
                     struct err *err)
{
    int fd = keeper_open_file(keeper, path, O_RDONLY, 0, err);
    if (fd < 0)
        return -1;
    char *bytes = NULL;
    size_t size = 0;
    int more;
    while ((more = read_some(fd, &bytes, &size)) > 0)
        continue;
    if (more < 0) {
        err_errno(err, "node %s: read %s", keeper_name(keeper), path);
        free(bytes);
    } else {
        *text = bytes;
        *n = size;
    }
    close(fd);
    return more;
}

/* Removes what is in the folder; takes folder_fd. */
static int empty_folder(int folder_fd, int depth)
{
    DIR *folder = fdopendir(folder_fd);
    if (!folder) {
        close(folder_fd);
        return -1;
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (unlinkat(dirfd(folder), entry->d_name, 0) == 0 || errno == ENOENT)
            continue;
        if ((errno != EISDIR && errno != EPERM) || depth == DEPTH_MAX) {
            result = -1;
            break;
        }
        int inner =
            openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner < 0 || empty_folder(inner, depth + 1) < 0 ||
            unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR) < 0)
            result = -1;
    }
    int error = errno;
    closedir(folder);
    errno = error;
    return result;
}

int keeper_remove_tree(struct keeper *keeper, const char *path, struct err *err)
{
    int fd = keeper_open_file(keeper, path, O_RDONLY | O_DIRECTORY, 0, err);
    if (fd < 0)
        return -1;
    if (empty_folder(fd, 0) < 0)
        return err_errno(err, "node %s: wipe %s", keeper_name(keeper), path);
    return 0;
}

/* Feeds input and gathers output until the command closes its end or the deadline. */
static int converse(int in, const char *input, int out, char **text, size_t *n,
                    struct deadline *deadline)
{
    size_t left = input ? strlen(input) : 0;
    for (;;) {
        struct pollfd wait[2] = {{.fd = out, .events = POLLIN}, {.fd = in, .events = POLLOUT}};
        if (left == 0 && in >= 0) {
            shutdown(in, SHUT_WR);
            in = wait[1].fd = -1;
        }
        int left_ms = deadline_left_ms(deadline);
        int ready = poll(wait, 2, left_ms < 20 ? left_ms : 20);
        if (ready > 0 && wait[1].revents) {
            ssize_t sent = send(in, input, left, MSG_NOSIGNAL | MSG_DONTWAIT);
            left = sent < 0 && errno != EAGAIN ? 0 : left - (size_t)(sent > 0 ? sent : 0);
            input += sent > 0 ? sent : 0;
        }
        if (ready > 0 && wait[0].revents) {
            int more = read_some(out, text, n);
            if (more <= 0)
                return more;
        }
        if (deadline_passed(deadline)) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

static int run_to_end(struct process *process, const char *const *argv, int in, int out,
                      const char *input, char **output, int *status, struct deadline *deadline,
                      struct err *err)
{
    size_t size = 0;
    int ended = 0;
    if (process_go(process, argv[0], err) < 0)
        return -1;
    if (converse(in, input, out, output, &size, deadline) < 0)
        return err_errno(err, "%s: no end of its output; so far \"%.200s\"", argv[0],
                         *output ? *output : "");
    if (process_poll(process->pidfd, deadline) < 0 || !process_dead(process, &ended))
        return err_set(err, "%s: closed its output, but has not ended", argv[0]);
    if (status)
        *status = ended;
    return 0;
}

int keeper_exec(struct keeper *keeper, const char *const *argv, const char *const *env,
                const char *input, char **output, int *status, struct deadline deadline,
                struct err *err)
{
    int in[2], out[2];
    struct process process;
    char *text = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0)
        return err_errno(err, "node %s: socketpair", keeper_name(keeper));
    if (pipe2(out, O_CLOEXEC) < 0) {
        wire_close_fds(in, 2);
        return err_errno(err, "node %s: pipe", keeper_name(keeper));
    }
    struct process_spec spec = {.cpu = keeper_cpu(keeper),
                                .argv = argv,
                                .env = env,
                                .fds = {in[1], out[1], out[1]},
                                .targets = {0, 1, 2},
                                .n_fds = 3};
    int result = process_spawn(keeper_forker(keeper), &spec, &process, err);
    close(in[1]);
    close(out[1]);
    if (result == 0) {
        result = run_to_end(&process, argv, in[0], out[0], input, &text, status, &deadline, err);
        process_release(&process);
    }
    close(in[0]);
    close(out[0]);
    if (result < 0 || !output)
        free(text);
    else
        *output = text ? text : calloc(1, 1);
    return result < 0 ? err_prefix(err, "node %s", keeper_name(keeper)) : 0;
}
