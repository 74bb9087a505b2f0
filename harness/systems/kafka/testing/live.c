/* See live.h. */
#include "systems/kafka/testing/live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
    struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    in->sin_family = AF_INET;
    inet_pton(AF_INET, address, &in->sin_addr);
    if (ioctl(s, SIOCSIFADDR, &request) < 0)
        perror(address);
    ioctl(s, SIOCGIFFLAGS, &request);
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    ioctl(s, SIOCSIFFLAGS, &request);
}

static void make_network(void)
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    add_address(s, "lo", "127.0.0.1");
    for (int i = 1; i <= LIVE_NODES; i++) {
        char name[16], address[32];

        snprintf(name, sizeof(name), "lo:%d", i);
        snprintf(address, sizeof(address), "10.77.1.%d", i);
        add_address(s, name, address);
    }
    close(s);
}

/* In a child of its own: a process may enter a new pid namespace for its children only once. */
static int enter(int (*body)(void))
{
    int status = 0;
    pid_t pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS) < 0) {
        perror("unshare");
        return 1;
    }
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
        mount("proc", "/proc", "proc", 0, NULL);
        make_network();
        _exit(body());
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

/* ---- the plan, by hand */

static void make_plan(struct live *l, const char *version)
{
    for (unsigned i = 0; i < LIVE_NODES; i++) {
        struct plan_node *n = &l->plan_nodes[i];

        *n = (struct plan_node){
            .id = (uint16_t)i, .index = i, .kind = i < LIVE_BROKERS ? "broker" : "controller"};
        n->name = i < LIVE_BROKERS ? arena_printf(&l->arena, "kafka-%u", i + 1) : "controller-10";
        snprintf(n->address, sizeof(n->address), "10.77.1.%u", i + 1);
    }
    for (unsigned i = 0; i < LIVE_PARTITIONS; i++)
        l->units[i] =
            (struct plan_unit){.name = arena_printf(&l->arena, "orders/%u", i), .index = i};
    l->dests[0] =
        (struct plan_dest){.name = "orders", .kind = UNIT_LOG, .n_units = LIVE_PARTITIONS};
    l->dests[1] = (struct plan_dest){
        .name = "tellers", .kind = UNIT_LOG, .group = true, .of = 0, .n_units = LIVE_PARTITIONS};
    l->topic = (struct kafka_topic){
        .name = "orders", .partitions = LIVE_PARTITIONS, .replication_factor = 3};
    l->config = (struct kafka_config){
        .kafka = {.version = version, .brokers = LIVE_BROKERS, .controllers = 1},
        .topics = {.items = &l->topic, .n = 1}};
    l->spec = (struct plan_cluster){.alias = "bus",
                                    .name = "kafka3",
                                    .system = &kafka_system,
                                    .config = &l->config,
                                    .n_nodes = LIVE_NODES};
    l->args[0] = (struct kafka_args){.produce = {.topic = "orders", .partition = -1}};
    l->args[1] = (struct kafka_args){.consume = {.topic = "orders", .group = "tellers"}};
    for (unsigned i = 0; i < 2; i++)
        l->clients[i] = (struct plan_client){.name = i ? "teller" : "app",
                                             .first_id = (uint16_t)i,
                                             .instances = 1,
                                             .workers = 1,
                                             .broker = &kafka_broker_ops,
                                             .broker_args = &l->args[i]};
    l->plan = (struct plan_case){.name = "live",
                                 .twin = "",
                                 .run = 4711,
                                 .clusters = &l->spec,
                                 .n_clusters = 1,
                                 .nodes = l->plan_nodes,
                                 .n_nodes = LIVE_NODES,
                                 .dests = l->dests,
                                 .n_dests = 2,
                                 .units = l->units,
                                 .n_units = LIVE_PARTITIONS,
                                 .clients = l->clients,
                                 .n_clients = 2};
}

/* ---- processes */

static int write_file(const struct node *node, const struct file_spec *file, struct err *err)
{
    char path[700];
    size_t n = file->size ? file->size : strlen(file->text);
    FILE *out;

    snprintf(path, sizeof(path), "%s/%s", node->data, file->path);
    out = fopen(path, "we");
    if (!out || fwrite(file->text, 1, n, out) != n || fclose(out) != 0)
        return err_errno(err, "%s", path);
    return 0;
}

int live_start(struct live *l, unsigned i, struct err *err)
{
    struct node *node = &l->nodes[i];
    pid_t pid = fork();

    if (pid == 0) {
        cpu_set_t cpus;
        int out = open(node->log, O_WRONLY | O_CREAT | O_APPEND, 0644);

        CPU_ZERO(&cpus);
        CPU_SET(i % (size_t)sysconf(_SC_NPROCESSORS_ONLN), &cpus);
        sched_setaffinity(0, sizeof(cpus), &cpus);
        dup2(out, 1);
        dup2(out, 2);
        execve(node->spec.argv[0], (char *const *)node->spec.argv, (char *const *)node->spec.env);
        _exit(127);
    }
    l->pids[i] = pid;
    return pid < 0 ? err_errno(err, "fork") : 0;
}

void live_kill(struct live *l, unsigned i)
{
    kill(l->pids[i], SIGKILL);
    waitpid(l->pids[i], NULL, 0);
}

int live_open(struct live *l, const char *version, struct err *err)
{
    const char *cache = getenv("ASSAY_CACHE");
    char pattern[] = "/tmp/kafka-live-XXXXXX";
    const char *folder = mkdtemp(pattern);

    *l = (struct live){0};
    if (!folder)
        return err_errno(err, "%s", pattern);
    snprintf(l->folder, sizeof(l->folder), "%s", folder);
    make_plan(l, version);
    l->cluster = (struct cluster){.ops = &kafka_system,
                                  .plan = &l->plan,
                                  .spec = &l->spec,
                                  .nodes = l->nodes,
                                  .cache = cache ? cache : ASSAY_BUILD_DIR "/cache",
                                  .arena = &l->arena};
    for (unsigned i = 0; i < LIVE_NODES; i++) {
        struct node *node = &l->nodes[i];
        char log[600];

        node->plan = &l->plan_nodes[i];
        snprintf(node->data, sizeof(node->data), "%s/%s", l->folder, node->plan->name);
        snprintf(node->log, sizeof(node->log), "%s/%s.log", l->folder, node->plan->name);
        snprintf(log, sizeof(log), "%s/log", node->data);
        mkdir(node->data, 0755);
        mkdir(log, 0755);
        if (kafka_system.layout(&l->cluster, node, err) < 0)
            return -1;
        for (size_t k = 0; k < node->spec.n_files; k++)
            if (write_file(node, &node->spec.files[k], err) < 0)
                return -1;
    }
    for (unsigned i = 0; i < LIVE_NODES; i++)
        if (live_start(l, i, err) < 0)
            return -1;
    return 0;
}

void live_close(struct live *l)
{
    char command[300];

    kafka_system.release(&l->cluster);
    for (unsigned i = 0; i < LIVE_NODES; i++)
        live_kill(l, i);
    snprintf(command, sizeof(command), "rm -rf '%s'", l->folder);
    if (!getenv("KEEP") && system(command) != 0)
        perror(command);
    arena_release(&l->arena);
}
