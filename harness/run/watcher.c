/*
 * A watcher: `assay _watch CASE_FOLDER CLUSTER_INDEX`, fd 3 lifeline, fd 4 role table.
 *
 * A process of its own, so that an admin call that hangs delays nothing else. It looks at one
 * cluster round after round, publishes what it saw for everybody, and writes changes of roles into
 * its own log. The lifeline's end asks it to leave; when a library keeps it longer it leaves all
 * the same.
 */
#include "run/watcher.h"

#include "api/role.h"
#include "api/system.h"
#include "base/clock.h"
#include "client/file.h"
#include "history/history.h"
#include "plan/plan.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIFELINE_FD 3
#define TABLE_FD 4
#define ROUND_NS (50 * MS_NS)
#define ROUND_WITHIN_NS (2 * SECOND_NS)
#define LEAVE_WITHIN_MS 1500

struct watcher {
    struct arena arena;
    struct plan_case *plan;
    struct cluster cluster;
    struct role_table *shared; /* what everybody reads */
    struct role_table seen, before;
    struct history_writer *log;
    struct cancel cancel;
    bool stumbled; /* the last round failed: said once */
};

/* ---- changes */

static bool same_role(const struct role_fact *a, const struct role_fact *b)
{
    return a->unit == b->unit && a->node == b->node && a->source == b->source &&
           a->kind == b->kind && a->epoch == b->epoch;
}

static bool holds(const struct role_table *table, const struct role_fact *fact)
{
    for (uint32_t i = 0; i < table->n_facts; i++)
        if (same_role(&table->facts[i], fact))
            return true;
    return false;
}

static void record_role(struct watcher *w, const struct role_fact *fact, uint8_t flag,
                        int64_t at_ns)
{
    struct event e = {.type = EV_ROLE,
                      .at_ns = at_ns,
                      .unit = fact->unit,
                      .epoch = fact->epoch,
                      .node = fact->node,
                      .code = (int16_t)fact->kind,
                      .ref = fact->source,
                      .flags = flag};

    history_record(w->log, &e);
}

/* Lost before gained, so that a reader never sees two quorum leaders where there was one. */
static void record_changes(struct watcher *w, int64_t at_ns)
{
    for (uint32_t i = 0; i < w->before.n_facts; i++)
        if (!holds(&w->seen, &w->before.facts[i]))
            record_role(w, &w->before.facts[i], EV_LOST, at_ns);
    for (uint32_t i = 0; i < w->seen.n_facts; i++)
        if (!holds(&w->before, &w->seen.facts[i]))
            record_role(w, &w->seen.facts[i], EV_GAINED, at_ns);
}

/* ---- rounds */

static void look_once(struct watcher *w)
{
    struct deadline deadline = deadline_in(ROUND_WITHIN_NS, &w->cancel);
    struct err err = {0};
    int64_t began_ns = clock_now_ns();

    w->seen.n_facts = w->seen.n_gauges = 0;
    if (w->cluster.ops->observe(&w->cluster, &w->seen, deadline, &err) < 0) {
        if (!w->stumbled && !deadline_passed(&deadline))
            fprintf(stderr, "watcher: %s\n", err.text);
        w->stumbled = true;
        return;
    }
    w->stumbled = false;
    atomic_store(&w->seen.round_began_ns, began_ns);
    record_changes(w, clock_now_ns());
    role_table_publish(w->shared, &w->seen);
    memcpy(&w->before, &w->seen, sizeof(w->before));
}

static void *watch_lifeline(void *watcher)
{
    struct watcher *w = watcher;
    struct pollfd fd = {.fd = LIFELINE_FD};

    while (poll(&fd, 1, -1) < 0 || !(fd.revents & (POLLHUP | POLLERR | POLLNVAL)))
        ;
    atomic_store(&w->cancel.asked, true);
    (void)poll(NULL, 0, LEAVE_WITHIN_MS);
    _exit(0);
}

/* ---- opening */

/* To be asked by address: where their files are is nothing to a watcher. */
static void make_nodes(struct watcher *w)
{
    struct cluster *cluster = &w->cluster;

    cluster->nodes = arena_alloc(&w->arena, (cluster->spec->n_nodes + 1) * sizeof(*cluster->nodes));
    for (unsigned i = 0; i < cluster->spec->n_nodes; i++) {
        struct node *node = &cluster->nodes[i];

        node->plan = &w->plan->nodes[cluster->spec->first_node + i];
        node->spec.cpu = -1;
    }
}

static int watcher_open(struct watcher *w, const char *case_folder, unsigned index, struct err *err)
{
    char name[64];
    const struct plan_cluster *spec;

    w->plan = client_plan_read(case_folder, &w->arena, err);
    if (!w->plan)
        return -1;
    if (index >= w->plan->n_clusters || !w->plan->clusters[index].system->observe)
        return err_set(err, "no cluster %u to watch", index);
    spec = &w->plan->clusters[index];
    w->cluster = (struct cluster){
        .ops = spec->system, .plan = w->plan, .spec = spec, .cache = "", .arena = &w->arena};
    make_nodes(w);
    w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED, TABLE_FD, 0);
    if (w->shared == MAP_FAILED)
        return err_errno(err, "map the role table (fd %d)", TABLE_FD);
    snprintf(name, sizeof(name), "watch-%s", spec->alias);
    w->log = history_writer_open(case_folder, name, BY_WATCHER(index), err);
    return w->log ? 0 : -1;
}

int watcher_main(int argc, char **argv)
{
    static struct watcher w;
    struct err err = {0};
    pthread_t lifeline;

    if (argc < 3) {
        fprintf(stderr, "usage: assay _watch CASE_FOLDER CLUSTER_INDEX\n");
        return 2;
    }
    if (watcher_open(&w, argv[1], (unsigned)strtoul(argv[2], NULL, 10), &err) < 0) {
        fprintf(stderr, "watcher: %s\n", err.text);
        return 3;
    }
    if (pthread_create(&lifeline, NULL, watch_lifeline, &w) != 0)
        abort();
    while (!atomic_load(&w.cancel.asked) && !history_full(w.log)) {
        struct deadline pause = deadline_in(SECOND_NS, &w.cancel);

        look_once(&w);
        (void)deadline_sleep(&pause, ROUND_NS);
    }
    history_writer_close(w.log);
    if (w.cluster.ops->release)
        w.cluster.ops->release(&w.cluster);
    return 0; /* the lifeline's thread ends with the process */
}
