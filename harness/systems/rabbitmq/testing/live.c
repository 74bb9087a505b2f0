/* See live.h. */
#include "systems/rabbitmq/testing/live.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
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

    add_address(s, "lo", "127.0.0.1");
    add_address(s, "lo:1", "10.77.1.1");
    close(s);
}

static void write_id_map(const char *path, unsigned id)
{
    char text[40];
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int n = snprintf(text, sizeof(text), "0 %u 1", id);

    if (fd < 0 || write(fd, text, (size_t)n) != n)
        perror(path);
    close(fd);
}

/* The node's data folder belongs to uid 0 of its namespace: Erlang wants to own its cookie. */
static int unshare_all(void)
{
    int spaces = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS;
    unsigned uid = geteuid(), gid = getegid();
    int deny;

    if (uid == 0)
        return unshare(spaces);
    if (unshare(spaces | CLONE_NEWUSER) < 0)
        return -1;
    deny = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
    if (deny < 0 || write(deny, "deny", 4) != 4)
        perror("setgroups");
    close(deny);
    write_id_map("/proc/self/uid_map", uid);
    write_id_map("/proc/self/gid_map", gid);
    return 0;
}

static int enter(int (*body)(void))
{
    int status = 0;
    pid_t pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGSEGV, SIG_DFL); /* cmocka's handler would jump into the parent's stack frame */
    if (unshare_all() < 0) {
        perror("unshare");
        return 1;
    }
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        mount("proc", "/proc", "proc", 0, NULL);
        make_network();
        status = body();
        fflush(NULL);
        _exit(status);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int rabbit_live_inside(int (*body)(void))
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

/* ---- the process */

static int write_text(const char *path, const char *text, unsigned mode, struct err *err)
{
    FILE *out = fopen(path, "we");

    if (!out || fputs(text, out) < 0 || fclose(out) != 0 || chmod(path, mode) < 0)
        return err_errno(err, "%s", path);
    return 0;
}

int rabbit_live_start(struct rabbit_live *l, struct err *err)
{
    const struct node_spec *spec = &l->node.spec;

    l->pid = fork();
    if (l->pid == 0) {
        int out = open(l->node.log, O_WRONLY | O_CREAT | O_APPEND, 0644);

        dup2(out, 1);
        dup2(out, 2);
        execve(spec->argv[0], (char *const *)(uintptr_t)spec->argv,
               (char *const *)(uintptr_t)spec->env);
        _exit(127);
    }
    return l->pid < 0 ? err_errno(err, "fork") : 0;
}

/* All but this process, as a keeper does it; this is pid 1 and not hit. */
void rabbit_live_kill(struct rabbit_live *l)
{
    kill(-1, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    l->pid = 0;
}

static int make_node(struct rabbit_live *l, struct err *err)
{
    struct node *node = &l->node;
    char path[700];

    node->plan = &l->cluster.plan->nodes[0];
    snprintf(node->data, sizeof(node->data), "%s/node", l->folder);
    snprintf(node->log, sizeof(node->log), "%s/node.log", l->folder);
    if (mkdir(node->data, 0755) < 0)
        return err_errno(err, "%s", node->data);
    if (rabbitmq_system.layout(&l->cluster, node, err) < 0)
        return -1;
    for (size_t f = 0; f < node->spec.n_files; f++) {
        snprintf(path, sizeof(path), "%s/%s", node->data, node->spec.files[f].path);
        if (write_text(path, node->spec.files[f].text, node->spec.files[f].mode, err) < 0)
            return -1;
    }
    snprintf(path, sizeof(path), "%s/hosts", l->folder);
    if (write_text(path, node->spec.hosts, 0644, err) < 0)
        return -1;
    if (mount(path, "/etc/hosts", NULL, MS_BIND, NULL) < 0)
        return err_errno(err, "/etc/hosts");
    if (sethostname(node->spec.hostname, strlen(node->spec.hostname)) < 0)
        return err_errno(err, "hostname");
    return rabbit_live_start(l, err);
}

int rabbit_live_open(struct rabbit_live *l, const char *suite, struct err *err)
{
    char pattern[] = "/dev/shm/rabbit-live-XXXXXX", path[300];
    const char *folder = mkdtemp(pattern), *suites[1] = {path};
    struct plan_options options = {.suites = suites, .n_suites = 1, .seed = 1, .repeats = 1};

    *l = (struct rabbit_live){0};
    if (!folder)
        return err_errno(err, "%s", pattern);
    snprintf(l->folder, sizeof(l->folder), "%s", folder);
    snprintf(path, sizeof(path), "%s/suite.yaml", folder);
    if (write_text(path, suite, 0644, err) < 0)
        return -1;
    l->plan = plan_load(&options, NULL, err);
    if (!l->plan)
        return -1;
    l->cluster = (struct cluster){.ops = &rabbitmq_system,
                                  .plan = l->plan->cases[0],
                                  .spec = &l->plan->cases[0]->clusters[0],
                                  .nodes = &l->node,
                                  .arena = &l->arena};
    return make_node(l, err);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void rabbit_live_close(struct rabbit_live *l)
{
    rabbit_live_kill(l);
    rabbitmq_system.release(&l->cluster);
    nftw(l->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    plan_free(l->plan);
    arena_release(&l->arena);
}
