/*
 * Clusters: from a plan's entry to servers that take operations, and away again. A cluster may
 * outlive its case; whether it may is decided by what the case did (slot->damaged).
 */
#include "run/run.h"

#include "base/file.h"
#include "suite/tree.h"
#include "systems/server.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_TAIL_BYTES 16384
#define LOG_TAIL_LINES 6
#define PROGRESS_LINE 200

/* ---- blame: what the server itself said last */

size_t log_tail(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    struct stat st;

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0)
        n = pread(fd, out, size - 1,
                  st.st_size > (off_t)(size - 1) ? st.st_size - (off_t)(size - 1) : 0);
    close(fd);
    if (n < 0)
        n = 0;
    out[n] = '\0';
    return (size_t)n;
}

/* A JVM's stack frames say nothing to who reads a report, and would be all its last lines. */
static size_t without_frames(char *text, size_t n)
{
    size_t kept = 0;

    for (size_t at = 0, end; at < n; at = end) {
        const char *newline = memchr(text + at, '\n', n - at);

        end = newline ? (size_t)(newline - text) + 1 : n;
        if (strncmp(text + at, "\tat ", 4) == 0)
            continue;
        memmove(text + kept, text + at, end - at);
        kept += end - at;
    }
    text[kept] = '\0';
    return kept;
}

void log_blame(const char *name, const char *log, struct err *err)
{
    char tail[LOG_TAIL_BYTES];
    size_t n = without_frames(tail, log_tail(log, tail, sizeof(tail)));
    size_t used = strlen(err->text);
    unsigned lines = 0;

    while (n > 0 && tail[n - 1] == '\n')
        tail[--n] = '\0';
    if (n == 0) {
        snprintf(err->text + used, sizeof(err->text) - used, "; its log is empty (%s)", log);
        return;
    }
    for (size_t i = n; i > 0; i--)
        if (tail[i - 1] == '\n' && ++lines == LOG_TAIL_LINES) {
            memmove(tail, tail + i, n - i + 1);
            break;
        }
    snprintf(err->text + used, sizeof(err->text) - used, "; last log lines of %s:\n%s", name, tail);
}

void node_blame(const struct node *node, struct err *err)
{
    log_blame(node->plan->name, node->log, err);
}

/* ---- while it forms: a server that dies, or an interrupt, ends the wait at once */

struct guard {
    struct cluster_slot *slot;
    struct cancel cancel;       /* ends form() */
    const struct cancel *outer; /* asked by whoever waits for the cluster; may be NULL */
    atomic_bool formed;
    const struct node *dead;
};

static void *guard_main(void *argument)
{
    struct guard *guard = argument;
    const struct cluster *cluster = &guard->slot->cluster;

    while (!atomic_load(&guard->formed)) {
        if (guard->outer && atomic_load(&guard->outer->asked)) {
            atomic_store(&guard->cancel.asked, true);
            return NULL;
        }
        for (unsigned i = 0; i < cluster->spec->n_nodes; i++)
            if (!keeper_alive(cluster->nodes[i].keeper) && !atomic_load(&guard->formed)) {
                guard->dead = &cluster->nodes[i];
                atomic_store(&guard->cancel.asked, true);
                return NULL;
            }
        usleep(20000);
    }
    return NULL;
}

/* The system's sentence names the node it waited for: that node's log goes with it. */
static void blame_named(const struct cluster *cluster, struct err *err)
{
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        char name[80];

        snprintf(name, sizeof(name), "node %s:", cluster->nodes[i].plan->name);
        if (strstr(err->text, name)) {
            node_blame(&cluster->nodes[i], err);
            return;
        }
    }
}

void cluster_blame(const struct cluster_slot *slot, struct err *err)
{
    const struct cluster *cluster = &slot->cluster;

    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        const struct node *node = &cluster->nodes[i];

        if (!node->keeper || keeper_alive(node->keeper))
            continue;
        (void)err_prefix(err, "node %s died", node->plan->name);
        node_blame(node, err);
        return;
    }
}

static int form(struct cluster_slot *slot, struct deadline deadline, struct err *err)
{
    struct cluster *cluster = &slot->cluster;
    struct guard guard = {.slot = slot, .outer = deadline.cancel};
    int64_t began_ns = clock_now_ns();
    pthread_t thread;
    int result;

    if (cluster->spec->n_nodes == 0)
        return cluster->ops->form ? cluster->ops->form(cluster, deadline, err) : 0;
    deadline.cancel = &guard.cancel;
    if (pthread_create(&thread, NULL, guard_main, &guard) != 0)
        return err_errno(err, "thread");
    result = cluster->ops->form(cluster, deadline, err);
    atomic_store(&guard.formed, true);
    pthread_join(thread, NULL);
    if (result == 0)
        return 0;
    if (guard.outer && atomic_load(&guard.outer->asked))
        return err_set(err, "interrupted");
    if (guard.dead) {
        err_set(err, "node %s: died while the cluster was forming", guard.dead->plan->name);
        node_blame(guard.dead, err);
        return -1;
    }
    blame_named(cluster, err);
    return err_prefix(err, "not ready after %.0f s", (double)(clock_now_ns() - began_ns) / 1e9);
}

/* ---- nodes */

static int make_folder(const char *path, struct err *err)
{
    return file_make_folders(path) < 0 ? err_errno(err, "folder %s", path) : 0;
}

int cluster_start_node(struct cluster_slot *slot, struct node *node, struct err *err)
{
    struct keeper_command command = {
        .argv = node->spec.argv,
        .env = node->spec.env,
        .log = node->log,
        .uid = node->spec.uid,
        .root = node->spec.root,
    };

    (void)slot;
    atomic_store(&node->phase, PHASE_STARTING);
    if (keeper_start(node->keeper, &command, err) < 0) {
        atomic_store(&node->phase, PHASE_DEAD);
        return -1;
    }
    return 0;
}

static int write_node_files(struct node *node, bool upgrade, struct err *err)
{
    for (size_t i = 0; i < node->spec.n_files; i++) {
        const struct file_spec *file = &node->spec.files[i];
        char path[1024];

        if (upgrade && !file->of_version)
            continue;
        if (file->path[0] == '/')
            snprintf(path, sizeof(path), "%s", file->path);
        else
            snprintf(path, sizeof(path), "%s/%s", node->data, file->path);
        if (keeper_write_file(node->keeper, path, file->text,
                              file->size ? file->size : strlen(file->text), file->mode, err) < 0)
            return -1;
    }
    return 0;
}

int cluster_wipe_node(struct node *node, struct err *err)
{
    if (keeper_alive(node->keeper))
        return err_set(err, "%s runs: only a dead server's disk can be wiped", node->plan->name);
    if (keeper_remove_tree(node->keeper, node->data, err) < 0)
        return -1;
    return write_node_files(node, false, err);
}

int cluster_upgrade_node(struct cluster_slot *slot, struct node *node, const char *version,
                         struct err *err)
{
    const struct system_ops *ops = slot->cluster.ops;
    struct plan_cluster spec = *slot->cluster.spec;
    struct cluster as_it_will_be = slot->cluster;
    struct node_spec before = node->spec;

    if (!ops->with_version)
        return err_set(err, "nodes of %s keep their version", ops->name);
    as_it_will_be.spec = &spec;
    spec.config = ops->with_version(spec.config, version, slot->cluster.arena, err);
    if (!spec.config || ops->layout(&as_it_will_be, node, err) < 0) {
        node->spec = before;
        return err_prefix(err, "node %s", node->plan->name);
    }
    slot->damaged = true;
    return write_node_files(node, true, err);
}

static int raise_node(struct cluster_slot *slot, struct sandbox *box, struct node *node,
                      struct err *err)
{
    struct cluster *cluster = &slot->cluster;
    struct keeper_options options;
    char roots[PATH_MAX];

    if (make_folder(node->data, err) < 0 || cluster->ops->layout(cluster, node, err) < 0)
        return err_prefix(err, "node %s", node->plan->name);
    server_roots(roots, sizeof(roots));
    options = (struct keeper_options){
        .hostname = node->spec.hostname ? node->spec.hostname : node->plan->name,
        .folder = node->data,
        .hosts = node->spec.hosts,
        .shared = roots[0] ? roots : NULL,
        .cpu = node->spec.cpu >= 0
                   ? node->spec.cpu
                   : (int)(node->plan->index % (unsigned)sysconf(_SC_NPROCESSORS_ONLN)),
    };
    node->keeper = keeper_open(box, node->plan->name, node->plan->address, &options, err);
    if (!node->keeper || write_node_files(node, false, err) < 0)
        return -1;
    return cluster_start_node(slot, node, err);
}

static void init_nodes(struct cluster_slot *slot, const struct plan_case *plan)
{
    struct cluster *cluster = &slot->cluster;
    unsigned n = cluster->spec->n_nodes;

    cluster->nodes = arena_alloc(&slot->arena, (n + 1) * sizeof(*cluster->nodes));
    for (unsigned i = 0; i < n; i++) {
        struct node *node = &cluster->nodes[i];

        node->plan = &plan->nodes[cluster->spec->first_node + i];
        node->spec.cpu = -1;
        snprintf(node->data, sizeof(node->data), "%s/%.60s", slot->folder, node->plan->name);
        snprintf(node->log, sizeof(node->log), "%s/%.60s.log", slot->folder, node->plan->name);
    }
}

static int make_role_table(struct cluster_slot *slot, struct err *err)
{
    slot->roles_fd = memfd_create("roles", MFD_CLOEXEC);
    if (slot->roles_fd < 0 || ftruncate(slot->roles_fd, sizeof(struct role_table)) < 0)
        return err_errno(err, "role table");
    slot->roles = mmap(NULL, sizeof(struct role_table), PROT_READ | PROT_WRITE, MAP_SHARED,
                       slot->roles_fd, 0);
    if (slot->roles == MAP_FAILED) {
        slot->roles = NULL;
        return err_errno(err, "role table");
    }
    slot->cluster.roles = slot->roles;
    return 0;
}

static char *slot_key(const struct plan_cluster *spec, struct arena *arena)
{
    size_t n = 0;
    char *text = tree_print(spec->tree, &n);
    char *key = arena_printf(arena, "%s\n%u\n%s", spec->system->name, spec->first_node, text);

    free(text);
    return key;
}

static void relay_progress(void *context, const char *line)
{
    fprintf(context, "  %.*s\n", PROGRESS_LINE, line);
    fflush(context);
}

static struct cluster_slot *slot_new(const struct plan_case *plan, const struct plan_cluster *spec,
                                     const char *folder, const char *cache, FILE *progress_file)
{
    struct cluster_slot *slot = calloc(1, sizeof(*slot));

    if (!slot)
        abort();
    pthread_mutex_init(&slot->control, NULL);
    slot->roles_fd = -1;
    slot->watcher_lifeline = -1;
    snprintf(slot->folder, sizeof(slot->folder), "%s", folder);
    slot->key = slot_key(spec, &slot->arena);
    slot->cluster = (struct cluster){.ops = spec->system,
                                     .plan = plan,
                                     .spec = spec,
                                     .cache = arena_strdup(&slot->arena, cache),
                                     .arena = &slot->arena,
                                     .progress = progress_file ? relay_progress : NULL,
                                     .progress_context = progress_file};
    init_nodes(slot, plan);
    return slot;
}

struct cluster_slot *cluster_bring_up(struct sandbox *box, const struct plan_case *plan,
                                      const struct plan_cluster *spec, const char *folder,
                                      const char *cache, FILE *progress_file,
                                      struct deadline deadline, struct err *err)
{
    struct cluster_slot *slot = slot_new(plan, spec, folder, cache, progress_file);
    struct cluster *cluster = &slot->cluster;

    if (make_role_table(slot, err) < 0 || make_folder(slot->folder, err) < 0)
        goto fail;
    for (unsigned i = 0; i < spec->n_nodes; i++)
        if (raise_node(slot, box, &cluster->nodes[i], err) < 0)
            goto fail;
    if (form(slot, deadline, err) < 0) {
        err_prefix(err, "cluster %s (%s)", spec->alias, spec->system->name);
        config_blame(cluster, err);
        goto fail;
    }
    for (unsigned i = 0; i < spec->n_nodes; i++)
        atomic_store(&cluster->nodes[i].phase, PHASE_UP);
    return slot;
fail:
    cluster_close(slot);
    return NULL;
}

bool cluster_reusable(const struct cluster_slot *slot, const struct plan_cluster *spec)
{
    struct arena arena = {0};
    bool same = !slot->damaged && slot->cluster.ops->reset &&
                strcmp(slot->key, slot_key(spec, &arena)) == 0;

    for (unsigned i = 0; same && i < spec->n_nodes; i++)
        same = keeper_alive(slot->cluster.nodes[i].keeper);
    arena_release(&arena);
    return same;
}

int cluster_reuse(struct cluster_slot *slot, const struct plan_case *plan,
                  const struct plan_cluster *spec, struct deadline deadline, struct err *err)
{
    struct cluster *cluster = &slot->cluster;

    cluster->spec = spec;
    cluster->plan = plan;
    for (unsigned i = 0; i < spec->n_nodes; i++)
        cluster->nodes[i].plan = &plan->nodes[spec->first_node + i];
    if (cluster->ops->reset(cluster, plan, deadline, err) < 0) {
        slot->damaged = true;
        return -1;
    }
    return 0;
}

/* ---- the watcher: a process of its own, so that a hung admin call never delays a heal */

int cluster_watch(struct run *run, struct cluster_slot *slot, struct err *err)
{
    char index[16];
    const char *argv[] = {"assay", "_watch", run->folder, index, NULL};
    struct child_options options = {.cpu = -1, .n_fds = 2};
    int lifeline[2];
    int fds[2];
    char log[600];
    char name[64];

    if (!slot->cluster.ops->observe)
        return 0;
    if (pipe2(lifeline, O_CLOEXEC) < 0)
        return err_errno(err, "pipe");
    fds[0] = lifeline[0];
    fds[1] = slot->roles_fd;
    options.fds = fds;
    snprintf(log, sizeof(log), "%s/watcher-%s.log", run->folder, slot->cluster.spec->alias);
    options.log = log;
    snprintf(index, sizeof(index), "%u", (unsigned)(slot->cluster.spec - run->plan->clusters));
    snprintf(name, sizeof(name), "watch-%s", slot->cluster.spec->alias);
    memset(slot->roles, 0, sizeof(*slot->roles));
    slot->watcher = child_spawn(run->sandbox, name, argv, &options, err);
    close(lifeline[0]);
    if (!slot->watcher) {
        close(lifeline[1]);
        return err_prefix(err, "watcher of %s", slot->cluster.spec->alias);
    }
    slot->watcher_lifeline = lifeline[1];
    return 0;
}

/* Closing the lifeline asks it to end in order; what it recorded is committed anyway. */
int cluster_unwatch(struct cluster_slot *slot)
{
    struct deadline deadline = deadline_in(2 * SECOND_NS, NULL);
    int status = 0;

    if (!slot->watcher)
        return 0;
    close(slot->watcher_lifeline);
    slot->watcher_lifeline = -1;
    while (!child_dead(slot->watcher, &status) && deadline_sleep(&deadline, 5 * MS_NS) == 0)
        ;
    child_close(slot->watcher);
    slot->watcher = NULL;
    return status;
}

void cluster_close(struct cluster_slot *slot)
{
    struct cluster *cluster;

    if (!slot)
        return;
    cluster = &slot->cluster;
    if (cluster->ops->release)
        cluster->ops->release(cluster);
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++)
        if (cluster->nodes[i].keeper)
            keeper_close(cluster->nodes[i].keeper);
    if (slot->roles)
        munmap(slot->roles, sizeof(*slot->roles));
    if (slot->roles_fd >= 0)
        close(slot->roles_fd);
    pthread_mutex_destroy(&slot->control);
    arena_release(&slot->arena);
    free(slot);
}
