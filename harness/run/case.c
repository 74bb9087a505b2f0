/*
 * One case: folder, clusters, clients, script, drain, sealed history. What is found on the way is
 * all in the history; judging happens afterwards and elsewhere.
 */
#include "run/run.h"

#include "base/file.h"
#include "report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BRING_UP_WITHIN_NS (120 * SECOND_NS)
#define SEALS_PER_LOOK 2
#define STALL_NS SECOND_NS /* a loaded machine is late by milliseconds */

/* ---- documents: what the history carries beside its events */

static int write_into(const char *folder, const char *name, const char *text, size_t n,
                      struct err *err)
{
    char path[1024];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return file_write(path, text, n, err);
}

static int seal_plan(struct run *run, struct err *err)
{
    size_t n = 0;
    char *text = plan_case_text(run->plan, &n);
    int result = sealer_document(run->sealer, "plan", text, n, err);

    if (result == 0)
        result = write_into(run->folder, "plan.yaml", text, n, err);
    free(text);
    if (result < 0)
        return -1;
    text = plan_case_names(run->plan, &n); /* so that `show` needs no plan */
    result = sealer_document(run->sealer, "names", text, n, err);
    free(text);
    return result;
}

struct effective_sink {
    FILE *out;
};

static void put_effective(void *context, const char *node, const char *key, const char *value)
{
    struct effective_sink *sink = context;

    fprintf(sink->out, "%s\t%s\t%s\n", node, key, value);
}

/* What the servers say they run with, one line a key; and the versions. */
static int seal_effective(struct run *run, struct cluster_slot *slot, struct err *err)
{
    const struct system_ops *ops = slot->cluster.ops;
    const char *alias = slot->cluster.spec->alias;
    char *text = NULL;
    size_t n = 0;
    struct effective_sink effective = {open_memstream(&text, &n)};
    struct kv_sink sink = {&effective, put_effective};
    char name[128];
    int result = 0;

    if (!effective.out)
        return err_errno(err, "memory");
    if (ops->effective) {
        pthread_mutex_lock(&slot->control);
        result = ops->effective(&slot->cluster, &sink,
                                deadline_within(run->deadline, 20 * SECOND_NS), err);
        pthread_mutex_unlock(&slot->control);
    }
    fclose(effective.out);
    if (result == 0 && n > 0) {
        snprintf(name, sizeof(name), "effective-%s.tsv", alias);
        result = write_into(run->folder, name, text, n, err);
        snprintf(name, sizeof(name), "effective/%s", alias);
        pthread_mutex_lock(&run->sealer_lock);
        if (result == 0)
            result = sealer_document(run->sealer, name, text, n, err);
        pthread_mutex_unlock(&run->sealer_lock);
        run->effective[slot->cluster.spec - run->plan->clusters] =
            arena_strndup(&run->arena, text, n);
    }
    free(text);
    if (result < 0 && err->status == ERR_INPUT)
        return -1; /* a key that the server does not know: the place is said */
    return result < 0 ? err_prefix(err, "cluster %s: reading its configuration back", alias) : 0;
}

static int seal_versions(struct run *run, struct err *err)
{
    char text[2000];
    size_t used = 0;

    text[0] = '\0';
    for (size_t c = 0; c < run->plan->n_clusters; c++) {
        const struct plan_cluster *cluster = &run->plan->clusters[c];
        char version[100] = "";

        if (!cluster->system->version)
            continue;
        if (cluster->system->version(cluster->config, version, sizeof(version), err) < 0)
            return err_prefix(err, "cluster %s", cluster->alias);
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s: %s\n",
                                 cluster->system->name, version);
    }
    return sealer_document(run->sealer, "versions", text, used, err);
}

/* ---- clusters: reuse what is healthy, bring up what is missing */

static struct cluster_slot *take_reusable(const struct plan_cluster *spec,
                                          struct cluster_slot **pool, size_t *n_pool)
{
    for (size_t i = 0; i < *n_pool; i++)
        if (cluster_reusable(pool[i], spec)) {
            struct cluster_slot *slot = pool[i];

            pool[i] = pool[--*n_pool];
            return slot;
        }
    return NULL;
}

static void drop_pool(struct cluster_slot **pool, size_t *n_pool)
{
    while (*n_pool > 0)
        cluster_close(pool[--*n_pool]);
}

/* An interrupt ends it at once: the supervisor, who sees to that later, is not there yet. */
static int raise_clusters(struct run *run, const struct case_options *options, struct err *err)
{
    struct deadline until = {run->deadline.at_ns, options->interrupt};
    struct cluster_slot **pool = options->pool;
    size_t *n_pool = options->n_pool;
    size_t n = run->plan->n_clusters;

    for (size_t c = 0; c < n; c++) {
        run->slots[c] = take_reusable(&run->plan->clusters[c], pool, n_pool);
        if (run->slots[c] && cluster_reuse(run->slots[c], run->plan, &run->plan->clusters[c],
                                           deadline_within(until, 30 * SECOND_NS), err) < 0) {
            progress(run, "cluster %s is not used again: %s", run->plan->clusters[c].alias,
                     err->text);
            cluster_close(run->slots[c]);
            run->slots[c] = NULL;
        }
    }
    drop_pool(pool, n_pool); /* its addresses are wanted now */
    for (size_t c = 0; c < n; c++) {
        const struct plan_cluster *spec = &run->plan->clusters[c];
        int64_t began_ns = clock_now_ns();
        char folder[700];

        if (run->slots[c])
            continue;
        snprintf(folder, sizeof(folder), "%s/nodes-%s", run->folder, spec->alias);
        run->slots[c] = cluster_bring_up(run->sandbox, run->plan, spec, folder, options->cache,
                                         NULL, deadline_within(until, BRING_UP_WITHIN_NS), err);
        if (!run->slots[c])
            return -1;
        if (spec->n_nodes > 0)
            progress(run, "%s: %u nodes up in %.1f s", spec->alias, spec->n_nodes,
                     (double)(clock_now_ns() - began_ns) / 1e9);
    }
    return 0;
}

/* ---- the supervisor */

/* A server that dies unasked breaks the case: what it did then is not what the suite asked for. So
 * does the death of a keeper, even below a server that is down: it takes the node's data along. */
static void look_at_servers(struct run *run)
{
    for (uint16_t id = 0; id < run->plan->n_nodes; id++) {
        struct node *node = run_node(run, id);
        struct err err;

        if (!node || !node->keeper || run_slot_of(run, id)->lost_keeper)
            continue;
        if (!keeper_stands(node->keeper)) {
            run_slot_of(run, id)->lost_keeper = true;
            err_set(&err, "the keeper of node %s died", node->plan->name);
        } else if (atomic_load(&node->phase) == PHASE_UP && !keeper_alive(node->keeper) &&
                   atomic_load(&node->phase) == PHASE_UP) {
            err_set(&err, "node %s died by itself", node->plan->name);
            node_blame(node, &err);
        } else {
            continue;
        }
        atomic_store(&node->phase, PHASE_DEAD);
        run_slot_of(run, id)->damaged = true;
        run_break(run, &err);
    }
}

/* Without its watcher a case has no roles to steer by, and no evidence of who led what. */
static void miss_watcher(struct run *run, const struct cluster_slot *slot, int status)
{
    struct err err;

    err_set(&err, "the watcher of cluster %s died (wait status %d); its log: %s/watcher-%s.log",
            slot->cluster.spec->alias, status, run->folder, slot->cluster.spec->alias);
    run_break(run, &err);
}

static void look_at_watchers(struct run *run)
{
    for (size_t c = 0; c < run->plan->n_clusters; c++) {
        struct cluster_slot *slot = run->slots[c];
        struct child *watcher = slot ? slot->watcher : NULL;
        int status;

        if (!watcher || run->is_broken || !child_dead(watcher, &status))
            continue;
        miss_watcher(run, slot, status);
    }
}

/* One that was killed while it was asked to end is missed as well. */
static void end_watchers(struct run *run)
{
    for (size_t c = 0; c < run->plan->n_clusters; c++) {
        int status = run->slots[c] ? cluster_unwatch(run->slots[c]) : 0;

        if (status != 0 && !run->is_broken)
            miss_watcher(run, run->slots[c], status);
    }
}

static int seal(struct run *run, struct err *err)
{
    int result;

    pthread_mutex_lock(&run->sealer_lock);
    result = sealer_step(run->sealer, err);
    pthread_mutex_unlock(&run->sealer_lock);
    return result;
}

struct supervisor {
    struct run *run;
    const struct cancel *interrupt;
    atomic_bool stop;
};

static void look_at_all(const struct supervisor *supervisor)
{
    struct run *run = supervisor->run;
    struct err err;

    if (atomic_load(&supervisor->interrupt->asked) && !run->is_broken) {
        err_set(&err, "interrupted");
        run_break(run, &err);
    }
    fleet_tick(run);
    windows_tick(run);
    look_at_servers(run);
    look_at_watchers(run);
    driver_look(run);
    progress_tick(run);
}

/* A machine that stands still makes brokers miss their time limits, and the script its own: whoever
 * judges the run should know. Seen between two looks, which is nearly always; a clock that stands
 * still along with everything else shows nothing, and nobody misses a limit by it either. */
static void nap(struct run *run)
{
    int64_t began_ns = clock_now_ns(), late_ns;

    usleep(SEAL_EVERY_NS / 1000);
    late_ns = clock_now_ns() - began_ns - SEAL_EVERY_NS;
    if (late_ns < STALL_NS)
        return;
    progress(run, "this machine stood still for %.1f s", (double)late_ns / 1e9);
    chronicle(run, (struct event){.type = EV_STALL, .value = late_ns});
}

static void *supervisor_main(void *argument)
{
    struct supervisor *supervisor = argument;
    struct run *run = supervisor->run;
    struct err err;
    bool last = false;

    for (unsigned tick = 0; !last; tick++) {
        last = atomic_load(&supervisor->stop); /* what died just before the end is seen too */
        if (last || tick % SEALS_PER_LOOK == 0)
            look_at_all(supervisor);
        if (seal(run, &err) < 0 && !run->is_broken)
            run_break(run, &err);
        if (run->chronicle && history_full(run->chronicle) && !run->is_broken) {
            err_set(&err, "history full");
            run_break(run, &err);
        }
        if (!last)
            nap(run);
    }
    return NULL;
}

/* ---- the case */

static int start_clients(struct run *run, struct err *err)
{
    for (size_t i = 0; i < run->n_instances; i++)
        if (run->instances[i].client->autostart && fleet_start(run, &run->instances[i], err) < 0)
            return -1;
    for (size_t i = 0; i < run->n_instances; i++)
        if (run->instances[i].client->autostart &&
            fleet_wait_ready(&run->instances[i], run->deadline, err) < 0)
            return -1;
    return 0;
}

static const char *effective_of(void *context, const char *alias, size_t *n)
{
    const struct run *run = context;

    for (size_t c = 0; c < run->plan->n_clusters; c++)
        if (strcmp(run->plan->clusters[c].alias, alias) == 0 && run->effective[c]) {
            *n = strlen(run->effective[c]);
            return run->effective[c];
        }
    return NULL;
}

/* The judge asks the same of the history (report/judge.c). */
static int applies(struct run *run, struct err *err)
{
    char why[800];
    int answer = plan_applies(run->plan, effective_of, run, why, sizeof(why), err);

    if (answer == 0)
        progress(run, "not applicable: %s", why);
    return answer;
}

static int play(struct run *run, bool only_ask, struct err *err)
{
    int wanted;

    for (size_t c = 0; c < run->plan->n_clusters; c++)
        if (seal_effective(run, run->slots[c], err) < 0)
            return -1;
    wanted = applies(run, err);
    if (wanted <= 0 || only_ask)
        return wanted < 0 ? -1 : 0;
    for (size_t c = 0; c < run->plan->n_clusters; c++)
        if (cluster_watch(run, run->slots[c], err) < 0)
            return -1;
    if (start_clients(run, err) < 0)
        return -1;
    progress(run, "ready");
    if (script_run(run, err) < 0 || run->is_broken)
        return -1;
    return run_drain(run, err);
}

static int supervise(struct run *run, const struct case_options *options, struct err *err)
{
    struct supervisor supervisor = {.run = run, .interrupt = options->interrupt};
    pthread_t thread;
    int result;

    if (pthread_create(&thread, NULL, supervisor_main, &supervisor) != 0)
        return err_errno(err, "thread");
    result = play(run, options->only_ask, err);
    run->closing = true;
    for (size_t i = 0; i < run->n_tracks; i++)
        pthread_join(run->tracks[i], NULL);
    if (result == 0 && !run->is_broken && run->script_began_ns)
        progress(run, "drained");
    atomic_store(&supervisor.stop, true); /* its last look comes after the last word */
    pthread_join(thread, NULL);
    console_clear(&run->console); /* others write from here on */
    return result;
}

static void give_back(struct run *run, bool healthy, struct cluster_slot **pool, size_t *n_pool)
{
    for (size_t c = 0; c < run->plan->n_clusters; c++) {
        if (!run->slots[c])
            continue;
        if (healthy && !run->slots[c]->damaged && *n_pool < POOL_MAX)
            pool[(*n_pool)++] = run->slots[c];
        else
            cluster_close(run->slots[c]);
    }
}

static int open_case(struct run *run, struct err *err)
{
    if (file_make_folders(run->folder) < 0)
        return err_errno(err, "folder %s", run->folder);
    run->sealer = sealer_open(run->folder, err);
    if (!run->sealer || seal_plan(run, err) < 0 || seal_versions(run, err) < 0)
        return -1;
    run->chronicle = history_writer_open(run->folder, "coordinator", BY_COORDINATOR, err);
    return run->chronicle ? 0 : -1;
}

/* The last event of a case that broke, then the seal: what is in the history now is what there is.
 */
static int close_history(struct run *run, int result, struct err *err)
{
    struct err why;

    if (run->chronicle) {
        if (result < 0)
            chronicle(run, (struct event){.type = EV_BROKEN,
                                          .ref = chronicle_text(run, "%s", err->text)});
        history_writer_close(run->chronicle);
        run->chronicle = NULL;
    }
    if (run->sealer) {
        if (sealer_finish(run->sealer, result == 0 ? err : &why) < 0)
            result = -1;
        sealer_close(run->sealer);
        run->sealer = NULL;
    }
    return result;
}

static struct run *run_new(const struct case_options *options)
{
    struct run *run = calloc(1, sizeof(*run));

    if (!run)
        abort();
    run->plan = options->plan;
    run->sandbox = options->sandbox;
    console_init(&run->console, options->progress);
    run->began_ns = clock_now_ns();
    run->deadline = deadline_in(options->plan->deadline_ns, &run->cancel);
    snprintf(run->folder, sizeof(run->folder), "%s", options->folder);
    pthread_mutex_init(&run->lock, NULL);
    pthread_mutex_init(&run->arena_lock, NULL);
    pthread_mutex_init(&run->chronicle_lock, NULL);
    pthread_mutex_init(&run->sealer_lock, NULL);
    driver_init(&run->driver);
    run->slots =
        arena_alloc(&run->arena, (run->plan->n_clusters + 1) * sizeof(struct cluster_slot *));
    run->effective = arena_alloc(&run->arena, (run->plan->n_clusters + 1) * sizeof(char *));
    return run;
}

static void run_free(struct run *run)
{
    pthread_mutex_destroy(&run->lock);
    pthread_mutex_destroy(&run->arena_lock);
    pthread_mutex_destroy(&run->chronicle_lock);
    pthread_mutex_destroy(&run->sealer_lock);
    driver_release(&run->driver);
    console_release(&run->console);
    arena_release(&run->arena);
    free(run);
}

int case_run(const struct case_options *options, struct err *err)
{
    struct run *run = run_new(options);
    int result = open_case(run, err);

    if (result == 0)
        result = fleet_open(run, err); /* the supervisor looks at it from its first tick on */
    if (result == 0)
        result = raise_clusters(run, options, err);
    if (result == 0)
        result = supervise(run, options, err);
    fleet_close(run);
    end_watchers(run);
    if (run->is_broken) {
        *err = run->broken;
        result = -1;
    }
    if (result < 0 && err->status == ERR_INPUT)
        err_prefix(err, "%.*s", (int)strlen(REFUSED_CONFIG) - 2, REFUSED_CONFIG);
    result = close_history(run, result, err);
    if (options->sealed)
        options->sealed(options->context, result, err, run->slots);
    give_back(run, result == 0, options->pool, options->n_pool);
    run_free(run);
    return result;
}
