/* See live.h. */
#include "systems/redis/testing/live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the place */

static void add_address(int s, const char *name, const char *address)
{
    struct ifreq request = {0};
    struct sockaddr_in in = {.sin_family = AF_INET};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    inet_pton(AF_INET, address, &in.sin_addr);
    memcpy(&request.ifr_addr, &in, sizeof(in));
    if (ioctl(s, SIOCSIFADDR, &request) < 0)
        perror(address);
    ioctl(s, SIOCGIFFLAGS, &request);
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP | IFF_RUNNING);
    ioctl(s, SIOCSIFFLAGS, &request);
}

static void make_network(void)
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char name[16], address[32];

    add_address(s, "lo", "127.0.0.1");
    for (int i = 1; i <= LIVE_NODES; i++) {
        snprintf(name, sizeof(name), "lo:%d", i);
        snprintf(address, sizeof(address), "10.77.1.%d", i);
        add_address(s, name, address);
    }
    close(s);
}

/* In a child of its own: a process may enter a new pid namespace for its children only once. */
static int enter(int (*body)(void))
{
    int status = 0, user = geteuid() == 0 ? 0 : CLONE_NEWUSER;
    pid_t pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGSEGV, SIG_DFL); /* cmocka's handler would jump into the parent's stack frame */
    if (unshare(CLONE_NEWNET | CLONE_NEWPID | user) < 0) {
        perror("unshare");
        return 1;
    }
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        make_network();
        status = body();
        fflush(NULL);
        _exit(status);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int redis_live_inside(int (*body)(void))
{
    int status = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        _exit(enter(body));
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- processes */

static int write_text(const char *path, const char *text, struct err *err)
{
    FILE *out = fopen(path, "we");

    if (!out || fputs(text, out) < 0 || fclose(out) != 0)
        return err_errno(err, "%s", path);
    return 0;
}

int redis_live_start(struct redis_live *l, unsigned i, struct err *err)
{
    struct node *node = &l->nodes[i];
    pid_t pid = fork();

    if (pid == 0) {
        int out = open(node->log, O_WRONLY | O_CREAT | O_APPEND, 0644);

        dup2(out, 1);
        dup2(out, 2);
        execve(node->spec.argv[0], (char *const *)(uintptr_t)node->spec.argv,
               (char *const *)(uintptr_t)node->spec.env);
        _exit(127);
    }
    l->pids[i] = pid;
    return pid < 0 ? err_errno(err, "fork") : 0;
}

void redis_live_kill(struct redis_live *l, unsigned i)
{
    kill(l->pids[i], SIGKILL);
    waitpid(l->pids[i], NULL, 0);
    l->pids[i] = 0;
}

static int make_node(struct redis_live *l, unsigned i, struct err *err)
{
    struct node *node = &l->nodes[i];
    char path[700];

    node->plan = &l->cluster.plan->nodes[i];
    snprintf(node->data, sizeof(node->data), "%s/%s", l->folder, node->plan->name);
    snprintf(node->log, sizeof(node->log), "%s/%s.log", l->folder, node->plan->name);
    if (mkdir(node->data, 0755) < 0)
        return err_errno(err, "%s", node->data);
    if (redis_system.layout(&l->cluster, node, err) < 0)
        return -1;
    for (size_t f = 0; f < node->spec.n_files; f++) {
        snprintf(path, sizeof(path), "%s/%s", node->data, node->spec.files[f].path);
        if (write_text(path, node->spec.files[f].text, err) < 0)
            return -1;
    }
    return redis_live_start(l, i, err);
}

int redis_live_open(struct redis_live *l, const char *suite, struct err *err)
{
    /* memory: a sentinel waits for its fsync, and 500 ms late is a sentinel without replicas */
    char pattern[] = "/dev/shm/redis-live-XXXXXX", path[300];
    const char *folder = mkdtemp(pattern), *suites[1] = {path};
    struct plan_options options = {.suites = suites, .n_suites = 1, .seed = 1, .repeats = 1};

    *l = (struct redis_live){0};
    if (!folder)
        return err_errno(err, "%s", pattern);
    snprintf(l->folder, sizeof(l->folder), "%s", folder);
    snprintf(path, sizeof(path), "%s/suite.yaml", folder);
    if (write_text(path, suite, err) < 0)
        return -1;
    l->plan = plan_load(&options, NULL, err);
    if (!l->plan)
        return -1;
    l->cluster = (struct cluster){.ops = &redis_system,
                                  .plan = l->plan->cases[0],
                                  .spec = &l->plan->cases[0]->clusters[0],
                                  .nodes = l->nodes,
                                  .arena = &l->arena};
    for (unsigned i = 0; i < l->cluster.spec->n_nodes; i++)
        if (make_node(l, i, err) < 0)
            return -1;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void redis_live_close(struct redis_live *l)
{
    for (unsigned i = 0; i < LIVE_NODES; i++)
        if (l->pids[i] > 0)
            redis_live_kill(l, i);
    redis_system.release(&l->cluster);
    nftw(l->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    plan_free(l->plan);
    arena_release(&l->arena);
}
