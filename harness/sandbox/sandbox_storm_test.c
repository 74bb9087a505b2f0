/* labels: sandbox */
/*
 * SIGKILL of each of our processes at random moments, bring-up included: nothing of ours is left on
 * the host. The sandbox under test has two nodes, a client and a watcher; each leaves what it can
 * in /tmp and /dev/shm. Told by: no process that descended from the launcher lives, the host's
 * mounts are what they were, the traces are not there.
 */
#include "base/draw.h"
#include "sandbox/testing/verbs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUNDS 36
#define TREE_MAX 256
#define SEED 20240501

enum victim { LAUNCHER, INIT, COORDINATOR, KEEPER, SERVER, CLIENT, VICTIMS };
static const char *const victim_names[] = {"launcher", "init",   "coordinator",
                                           "keeper",   "server", "client"};

static int bring_up_and_wait(void *unused)
{
    (void)unused;
    struct err err = {0};
    struct sandbox *box = sandbox_here();
    struct keeper *nodes[2];
    int fd;
    struct talk_board *board = board_make(&fd);
    for (int i = 0; i < 2; i++) {
        char name[8], address[16], log[20];
        snprintf(name, sizeof(name), "n%d", i + 1);
        snprintf(address, sizeof(address), "10.77.1.%d", i + 1);
        snprintf(log, sizeof(log), "storm-%d.log", i);
        struct keeper_options options = {
            .cpu = -1, .folder = in_run("data"), .hosts = "127.0.0.1 x\n"};
        const char *mark[] = {"/bin/sh", "-c", "touch /tmp/assay-storm /dev/shm/assay-storm", NULL};
        nodes[i] = keeper_open(box, name, address, &options, &err);
        if (!nodes[i] ||
            keeper_exec(nodes[i], mark, NULL, NULL, NULL, NULL, deadline_in(5 * SECOND_NS, NULL),
                        &err) < 0 ||
            echo_start(nodes[i], "7200", in_run(log), 0, &err) < 0)
            return 1;
    }
    struct child *app = talker(box, "10.77.100.1", "10.77.1.1", "7200", fd, &err);
    const char *watch[] = {"watch", "_talk", "10.77.1.2", "7200", NULL};
    struct child_options options = {.fds = &fd, .n_fds = 1, .cpu = -1};
    struct child *watcher = child_spawn(box, "watch", watch, &options, &err);
    if (!app || !watcher || !board)
        return 1;
    struct deadline deadline = deadline_in(5 * SECOND_NS, NULL);
    while (keeper_alive(nodes[0]) && keeper_alive(nodes[1]) && !child_dead(app, NULL) &&
           deadline_sleep(&deadline, 2 * MS_NS) == 0)
        continue;
    return 7;
}

/* The text of a small file of /proc; NULs become spaces. */
static bool proc_text(pid_t pid, const char *what, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < got; i++)
        if (!text[i])
            text[i] = ' ';
    text[got > 0 ? got : 0] = 0;
    return got > 0;
}

static pid_t parent_of(pid_t pid)
{
    char text[512];
    int parent = -1;
    if (proc_text(pid, "stat", text, sizeof(text)) && strrchr(text, ')'))
        sscanf(strrchr(text, ')'), ") %*c %d", &parent);
    return parent;
}

/* Every living descendant of `root`, itself first. */
static size_t tree(pid_t root, pid_t *pids)
{
    size_t n = 1, before = 0;
    pids[0] = root;
    while (before != n) {
        before = n;
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        while (proc && (entry = readdir(proc)) && n < TREE_MAX) {
            pid_t pid = atoi(entry->d_name), parent = pid > 0 ? parent_of(pid) : -1;
            bool child = false, known = false;
            for (size_t i = 0; i < n && pid > 0; i++) {
                child = child || pids[i] == parent;
                known = known || pids[i] == pid;
            }
            if (child && !known)
                pids[n++] = pid;
        }
        if (proc)
            closedir(proc);
    }
    return n;
}

static bool is_victim(pid_t pid, pid_t launcher, enum victim victim)
{
    char name[64], line[512];
    if (!proc_text(pid, "comm", name, sizeof(name)) ||
        !proc_text(pid, "cmdline", line, sizeof(line)))
        return false;
    switch (victim) {
    case LAUNCHER:
        return pid == launcher;
    case INIT:
        return strcmp(name, "assay-init\n") == 0;
    case COORDINATOR:
        return strcmp(name, "assay-coord\n") == 0;
    case KEEPER:
        return strcmp(name, "assay-keeper\n") == 0;
    case SERVER:
        return strstr(line, "_echo");
    default:
        return strstr(line, "_talk");
    }
}

/* Kills one of the kind; remembers what lived then. False: there is none yet. */
static bool kill_one(pid_t launcher, enum victim victim, pid_t *lived, size_t *n)
{
    *n = tree(launcher, lived);
    for (size_t i = 0; i < *n; i++)
        if (is_victim(lived[i], launcher, victim))
            return kill(lived[i], SIGKILL) == 0;
    return false;
}

static size_t mounts(void)
{
    static char text[1 << 20];
    size_t lines = 0;
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    ssize_t got;
    while ((got = read(fd, text, sizeof(text))) > 0)
        for (ssize_t i = 0; i < got; i++)
            lines += text[i] == '\n';
    close(fd);
    return lines;
}

static bool all_gone(const pid_t *lived, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (kill(lived[i], 0) == 0 || errno != ESRCH)
            return false;
    return true;
}

/* One round: 0 when nothing is left. */
static int strike(enum victim victim, int64_t after_us)
{
    pid_t lived[TREE_MAX], rest[TREE_MAX];
    size_t n = 0;
    size_t mounts_before = mounts();
    fflush(NULL);
    pid_t launcher = fork();
    if (launcher == 0) {
        freopen("/dev/null", "w", stderr);
        _exit(run_inside(bring_up_and_wait) == 1 ? 1 : 0);
    }
    usleep((useconds_t)after_us);
    struct deadline deadline = deadline_in(10 * SECOND_NS, NULL);
    while (!kill_one(launcher, victim, lived, &n))
        if (deadline_sleep(&deadline, MS_NS) < 0)
            return fprintf(stderr, "no %s to kill\n", victim_names[victim]);
    while (!all_gone(lived, n)) { /* we are their subreaper */
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        if (deadline_sleep(&deadline, MS_NS) < 0)
            return fprintf(stderr, "%s killed: some of its %zu processes live on\n",
                           victim_names[victim], n);
    }
    if (tree(getpid(), rest) != 1)
        return fprintf(stderr, "%s killed: a process that was born later lives on\n",
                       victim_names[victim]);
    if (mounts() != mounts_before)
        return fprintf(stderr, "%s killed: the host's mounts changed\n", victim_names[victim]);
    if (access("/tmp/assay-storm", F_OK) == 0 || access("/dev/shm/assay-storm", F_OK) == 0)
        return fprintf(stderr, "%s killed: files outside of the run folder\n",
                       victim_names[victim]);
    return 0;
}

static void nothing_is_left_after_a_kill(void **state)
{
    (void)state;
    struct draw moments = draw_stream(SEED, "storm.moment");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < ROUNDS; i++) {
        enum victim victim = (enum victim)(i % VICTIMS);
        int64_t after_us = draw_range(&moments, (uint64_t)i, 0, 250000);
        if (strike(victim, after_us) != 0)
            fail_msg("round %d: %s killed after %lld us", i, victim_names[victim],
                     (long long)after_us);
    }
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(nothing_is_left_after_a_kill),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
    return verbs_test_main(argc, argv, tests);
}
