/*
 * `assay up SYSTEM`: a cluster to play with. A suite of one case is written for it, so that layout,
 * forming and clean-up are the same as in every run; instead of a script there is a shell.
 */
#include "verbs/verbs.h"

#include "api/broker.h"
#include "api/registry.h"
#include "api/system.h"
#include "base/file.h"
#include "run/run.h"
#include "run/shell.h"
#include "run/suite_run.h"
#include "suite/nearest.h"
#include "systems/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct up {
    const struct plan_case *plan;
    char folder[200];
    char cache[400];
};

static int coordinate(void *argument)
{
    const struct up *up = argument;
    const struct plan_cluster *spec = &up->plan->clusters[0];
    struct deadline deadline = deadline_in(120 * SECOND_NS, NULL);
    struct cluster_slot *slot;
    struct err err = {0};
    char nodes[300];
    int status = 0;

    snprintf(nodes, sizeof(nodes), "%s/nodes", up->folder);
    slot =
        cluster_bring_up(sandbox_here(), up->plan, spec, nodes, up->cache, stderr, deadline, &err);
    if (!slot || shell_beside(sandbox_here(), &slot, 1, &err) < 0) {
        fprintf(stderr, "assay: %s\n", err.text);
        status = 3;
    }
    cluster_close(slot);
    return status;
}

/* The smallest suite that has this system's default cluster in it. */
static int write_suite(const struct up *up, const char *system, char *path, size_t size,
                       struct err *err)
{
    static const char suite[] = "assay: 1\n"
                                "clusters:\n"
                                "  it: {%s: {}}\n"
                                "cases:\n"
                                "  up:\n"
                                "    about: A cluster to play with.\n"
                                "    clusters: {it: it}\n"
                                "    workload: {queue: {}}\n"
                                "    clients: {app: {%s: play, autostart: false}}\n"
                                "    script:\n"
                                "      - quiet: {for: 1ms, why: a shell is the script}\n"
                                "    promise: {loss: 0}\n"
                                "    expect: pass\n";
    char text[sizeof(suite) + 100];

    snprintf(path, size, "%s/up.yaml", up->folder);
    snprintf(text, sizeof(text), suite, system, system_named(system)->broker->send_verbs[0]);
    return file_write(path, text, strlen(text), err);
}

static int raise_cluster(struct up *up, const char *system, struct err *err)
{
    struct sandbox_options box = {.run_folder = up->folder};
    const char *suites[1];
    struct plan_options options = {.suites = suites, .n_suites = 1, .seed = 1, .repeats = 1};
    char path[300];
    struct plan *plan;
    int died = 0;
    int status;

    if (write_suite(up, system, path, sizeof(path), err) < 0)
        return -1;
    suites[0] = path;
    plan = plan_load(&options, NULL, err);
    if (!plan)
        return -1;
    up->plan = plan->cases[0];
    status = sandbox_run(coordinate, up, &box, &died, err);
    plan_free(plan);
    return died ? 128 + died : status;
}

static int name_one(const char *word)
{
    struct nearest near = nearest_to(word);

    fprintf(stderr, "assay: up: name one system:");
    for (size_t i = 0; all_systems[i]; i++)
        if (all_systems[i]->broker) {
            fprintf(stderr, " %s", all_systems[i]->name);
            nearest_offer(&near, all_systems[i]->name);
        }
    fprintf(stderr, "%s\n", nearest_hint(&near));
    return 2;
}

int verb_up(int argc, char **argv)
{
    const char *temporary = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    struct up up = {0};
    struct err err = {0};
    int status;

    if (argc != 2 || !system_named(argv[1]) || !system_named(argv[1])->broker)
        return name_one(argc == 2 ? argv[1] : "");
    if (snprintf(up.folder, sizeof(up.folder), "%s/assay-up-XXXXXX", temporary) >=
            (int)sizeof(up.folder) ||
        !mkdtemp(up.folder)) {
        fprintf(stderr, "assay: no folder in %s: %s\n", temporary, strerror(errno));
        return 3;
    }
    cache_folder(up.cache, sizeof(up.cache));
    status = raise_cluster(&up, argv[1], &err);
    if (status < 0)
        status = verb_failed(&err);
    file_remove_tree(up.folder);
    return status;
}
