/* See live.h. */
#include "systems/testing/live.h"

#include "base/file.h"
#include "systems/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void live_must(int result, const char *what, const struct err *err, const char *file, int line)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, err->text);
    exit(1);
}

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

static void write_id_map(const char *path, unsigned id)
{
    char text[40];
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int n = snprintf(text, sizeof(text), "0 %u 1", id);

    if (fd < 0 || write(fd, text, (size_t)n) != n)
        perror(path);
    close(fd);
}

/* A node's data folder belongs to uid 0 of its namespace: Erlang wants to own its cookie. */
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

/* In a child of its own: a process may enter a new pid namespace for its children only once. */
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

int live_inside(int (*body)(void))
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

static void run_node(const struct node *node)
{
    int out = open(node->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    cpu_set_t cpus;

    if (node->spec.cpu >= 0) {
        CPU_ZERO(&cpus);
        CPU_SET((size_t)node->spec.cpu % (size_t)sysconf(_SC_NPROCESSORS_ONLN), &cpus);
        sched_setaffinity(0, sizeof(cpus), &cpus);
    }
    dup2(out, 1);
    dup2(out, 2);
    execve(node->spec.argv[0], (char *const *)(uintptr_t)node->spec.argv,
           (char *const *)(uintptr_t)node->spec.env);
    _exit(127);
}

int live_start(struct live *l, unsigned i, struct err *err)
{
    l->pids[i] = fork();
    if (l->pids[i] == 0)
        run_node(&l->nodes[i]);
    return l->pids[i] < 0 ? err_errno(err, "fork") : 0;
}

void live_kill(struct live *l, unsigned i)
{
    if (l->cluster.spec->n_nodes == 1) {
        kill(-1, SIGKILL);
        while (waitpid(-1, NULL, 0) > 0)
            ;
    } else {
        kill(l->pids[i], SIGKILL);
        waitpid(l->pids[i], NULL, 0);
    }
    l->pids[i] = 0;
}

/* ---- nodes */

static int write_files(const struct node *node, struct err *err)
{
    char path[700];

    for (size_t i = 0; i < node->spec.n_files; i++) {
        const struct file_spec *file = &node->spec.files[i];

        snprintf(path, sizeof(path), "%s/%s", node->data, file->path);
        if (file_write(path, file->text, file->size ? file->size : strlen(file->text), err) < 0)
            return -1;
        if (file->mode && chmod(path, file->mode) < 0)
            return err_errno(err, "%s", path);
    }
    return 0;
}

/* Of the namespace, so of every node: there can be one that wants it. */
static int name_host(const struct live *l, const struct node_spec *spec, struct err *err)
{
    char path[300];

    if ((spec->hosts || spec->hostname) && l->cluster.spec->n_nodes > 1)
        return err_set(err, "several nodes cannot have hostnames here");
    snprintf(path, sizeof(path), "%s/hosts", l->folder);
    if (spec->hosts && file_write(path, spec->hosts, strlen(spec->hosts), err) < 0)
        return -1;
    if (spec->hosts && mount(path, "/etc/hosts", NULL, MS_BIND, NULL) < 0)
        return err_errno(err, "/etc/hosts");
    if (spec->hostname && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
        return err_errno(err, "hostname");
    return 0;
}

static int make_node(struct live *l, unsigned i, struct err *err)
{
    struct node *node = &l->nodes[i];
    char log[600];

    node->plan = &l->of->nodes[i];
    snprintf(node->data, sizeof(node->data), "%s/%s", l->folder, node->plan->name);
    snprintf(node->log, sizeof(node->log), "%s/%s.log", l->folder, node->plan->name);
    snprintf(log, sizeof(log), "%s/log", node->data);
    if (file_make_folders(log) < 0)
        return err_errno(err, "%s", log);
    if (l->cluster.ops->layout(&l->cluster, node, err) < 0)
        return -1;
    if (node->spec.root)
        return err_set(err, "%s would run in the root folder %s", node->plan->name,
                       node->spec.root);
    return write_files(node, err) < 0 || name_host(l, &node->spec, err) < 0 ? -1
                                                                            : live_start(l, i, err);
}

static int load(struct live *l, const char *suite, struct err *err)
{
    char path[300];
    const char *suites[1] = {path};
    struct plan_options options = {.suites = suites, .n_suites = 1, .seed = 1, .repeats = 1};
    char *cache = arena_alloc(&l->arena, 400);

    snprintf(path, sizeof(path), "%s/suite.yaml", l->folder);
    if (file_write(path, suite, strlen(suite), err) < 0)
        return -1;
    l->plan = plan_load(&options, NULL, err);
    if (!l->plan)
        return -1;
    cache_folder(cache, 400);
    l->of = l->plan->cases[0];
    l->cluster = (struct cluster){.ops = l->of->clusters[0].system,
                                  .plan = l->of,
                                  .spec = &l->of->clusters[0],
                                  .nodes = l->nodes,
                                  .cache = cache,
                                  .arena = &l->arena};
    if (l->cluster.spec->n_nodes > LIVE_NODES)
        return err_set(err, "more than %d nodes", LIVE_NODES);
    return 0;
}

int live_open(struct live *l, const char *where, const char *suite, struct err *err)
{
    *l = (struct live){0};
    snprintf(l->folder, sizeof(l->folder), "%s/assay-live-XXXXXX", where);
    if (!mkdtemp(l->folder))
        return err_errno(err, "%s", l->folder);
    if (load(l, suite, err) < 0)
        return -1;
    for (unsigned i = 0; i < l->cluster.spec->n_nodes; i++)
        if (make_node(l, i, err) < 0)
            return -1;
    return 0;
}

void live_close(struct live *l)
{
    for (unsigned i = 0; i < LIVE_NODES; i++)
        if (l->pids[i] > 0)
            live_kill(l, i);
    l->cluster.ops->release(&l->cluster);
    file_remove_tree(l->folder);
    plan_free(l->plan);
    arena_release(&l->arena);
}
