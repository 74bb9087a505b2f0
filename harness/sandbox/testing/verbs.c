/* Echo server and talker (verbs.h). The talker keeps one connection and never gives it up itself.
 */
#include "sandbox/testing/verbs.h"

#include "sandbox/keeper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in endpoint(const char *address, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET, address, &to.sin_addr);
    return to;
}

static void echo_one(struct pollfd *who)
{
    char bytes[65536];
    ssize_t got = recv(who->fd, bytes, sizeof(bytes), 0);
    if (got > 0 && send(who->fd, bytes, (size_t)got, MSG_NOSIGNAL) == got)
        return;
    close(who->fd);
    who->fd = -1;
}

static int echo(const char *port)
{
    struct sockaddr_in at = endpoint("0.0.0.0", port);
    struct pollfd who[64];
    int on = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listening, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listening, 64) < 0)
        return 1;
    printf("echo: listening on %s as uid %d\n", port, (int)getuid());
    fflush(stdout);
    for (size_t i = 0; i < 64; i++)
        who[i] = (struct pollfd){.fd = i ? -1 : listening, .events = POLLIN};
    for (;;) {
        poll(who, 64, -1);
        for (size_t i = 1; i < 64; i++)
            if (who[i].fd >= 0 && who[i].revents)
                echo_one(&who[i]);
        for (size_t i = 1; i < 64 && (who[0].revents & POLLIN); i++) {
            if (who[i].fd >= 0)
                continue;
            who[i].fd = accept(listening, NULL, NULL);
            who[i].revents = 0;
            break;
        }
    }
}

static _Noreturn void talk(const char *address, const char *port)
{
    struct talk_board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
    struct sockaddr_in to = endpoint(address, port);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        char byte = 'x';
        if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
            atomic_fetch_add(&board->connects, 1);
            while (send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1) {
                atomic_fetch_add(&board->round_trips, 1);
                usleep(2000);
            }
        }
        close(fd);
        usleep(20000);
    }
}

/* Sends `size` bytes to an echo server while reading them back. */
static int push(const char *address, const char *port, long size)
{
    static char bytes[65536];
    struct sockaddr_in to = endpoint(address, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        return 1;
    long sent = 0, back = 0;
    while (back < size) {
        struct pollfd wait = {.fd = fd, .events = (short)(POLLIN | (sent < size ? POLLOUT : 0))};
        poll(&wait, 1, 1000);
        if (wait.revents & POLLIN) {
            ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
            if (got <= 0)
                return 1;
            back += got;
        }
        if (wait.revents & POLLOUT) {
            ssize_t n =
                send(fd, bytes, size - sent < 4096 ? (size_t)(size - sent) : 4096, MSG_DONTWAIT);
            sent += n > 0 ? n : 0;
        }
    }
    return 0;
}

int verbs_main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], KEEPER_VERB) == 0)
        return keeper_main(argc, argv);
    if (argc == 3 && strcmp(argv[1], "_echo") == 0)
        return echo(argv[2]);
    if (argc == 4 && strcmp(argv[1], "_talk") == 0)
        talk(argv[2], argv[3]);
    if (argc == 5 && strcmp(argv[1], "_push") == 0)
        return push(argv[2], argv[3], atol(argv[4]));
    return -1;
}

static char run_folder[200];

const char *in_run(const char *name)
{
    static _Thread_local char path[4][300];
    static _Thread_local unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof(path[0]), "%s/%s", run_folder, name);
    return p;
}

int run_inside(int (*coordinate)(void *))
{
    struct err err = {0};
    struct sandbox_options options = {.run_folder = run_folder};
    int died = 0, result = sandbox_run(coordinate, NULL, &options, &died, &err);
    if (result < 0)
        fprintf(stderr, "%s (died %d)\n", err.text, died);
    return result;
}

/* Runs us again as nobody. A fresh exec: after setuid(2) alone /proc/self stays root's. */
static int again_as_nobody(char **argv)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        int self = open("/proc/self/exe", O_RDONLY);
        if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0 || chdir("/tmp") < 0)
            _exit(99);
        printf("# as an ordinary user:\n");
        fflush(stdout);
        fexecve(self, argv, environ);
        _exit(98);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int verbs_test_main(int argc, char **argv, int (*tests)(void))
{
    char remove[300];
    int status = verbs_main(argc, argv);
    if (status >= 0)
        return status;
    snprintf(run_folder, sizeof(run_folder), "/tmp/assay-test-XXXXXX");
    if (!mkdtemp(run_folder))
        return 1;
    int failed = tests();
    snprintf(remove, sizeof(remove), "rm -rf %s", run_folder);
    if (system(remove) != 0)
        failed++;
    if (geteuid() == 0)
        failed += again_as_nobody(argv);
    return failed ? 1 : 0;
}

struct talk_board *board_make(int *fd)
{
    *fd = memfd_create("board", MFD_CLOEXEC);
    if (*fd < 0 || ftruncate(*fd, sizeof(struct talk_board)) < 0)
        return NULL;
    void *board = mmap(NULL, sizeof(struct talk_board), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    return board == MAP_FAILED ? NULL : board;
}

int echo_start(struct keeper *keeper, const char *port, const char *log, unsigned uid,
               struct err *err)
{
    const char *argv[] = {"echo", "_echo", port, NULL};
    struct keeper_command command = {.argv = argv, .log = log, .uid = uid};
    struct deadline deadline = deadline_in(5 * SECOND_NS, NULL);
    char line[100] = "";
    if (keeper_start(keeper, &command, err) < 0)
        return -1;
    do {
        FILE *file = fopen(log, "re");
        while (file && fgets(line, sizeof(line), file))
            if (strncmp(line, "echo: listening", 15) == 0) {
                fclose(file);
                return 0;
            }
        if (file)
            fclose(file);
    } while (deadline_sleep(&deadline, 2 * MS_NS) == 0);
    return err_set(err, "echo server did not listen");
}

struct child *talker(struct sandbox *box, const char *address, const char *to, const char *port,
                     int board_fd, struct err *err)
{
    const char *argv[] = {"talker", "_talk", to, port, NULL};
    struct child_options options = {.address = address, .fds = &board_fd, .n_fds = 1, .cpu = -1};
    return child_spawn(box, address, argv, &options, err);
}

bool talks(const struct talk_board *board, int ms)
{
    long before = atomic_load(&board->round_trips);
    for (int waited = 0; waited < ms; waited += 2) {
        usleep(2000);
        if (atomic_load(&board->round_trips) > before)
            return true;
    }
    return false;
}
