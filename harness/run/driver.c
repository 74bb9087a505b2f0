/*
 * CPU clocks of our processes, read by number: clock_getcpuclockid(3). A dead one has none, and its
 * number may be another's later, so who is known to be dead is not asked.
 */
#include "run/driver.h"

#include "run/run.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#define INIT_PID 1
#define FIXED_PARTS 2 /* coordinator and init */

void driver_init(struct driver *driver)
{
    *driver = (struct driver){0};
    pthread_mutex_init(&driver->lock, NULL);
}

void driver_release(struct driver *driver)
{
    pthread_mutex_destroy(&driver->lock);
}

static size_t parts_of(const struct run *run)
{
    return FIXED_PARTS + run->n_instances + run->plan->n_clusters + run->plan->n_nodes;
}

/* These answer 0 for none, or a dead one. */
static pid_t client_pid(const struct instance *instance)
{
    const struct child *child = instance->child;

    return child && !instance->reported_dead ? child_pid(child) : 0;
}

static pid_t watcher_pid(const struct cluster_slot *slot)
{
    const struct child *watcher = slot ? slot->watcher : NULL;

    return watcher ? child_pid(watcher) : 0;
}

static pid_t keeper_pid_of(const struct node *node)
{
    return node && node->keeper ? keeper_pid(node->keeper) : 0;
}

static pid_t pid_of(struct run *run, size_t part)
{
    if (part < FIXED_PARTS)
        return part == 0 ? getpid() : INIT_PID;
    part -= FIXED_PARTS;
    if (part < run->n_instances)
        return client_pid(&run->instances[part]);
    part -= run->n_instances;
    if (part < run->plan->n_clusters)
        return watcher_pid(run->slots[part]);
    part -= run->plan->n_clusters;
    return keeper_pid_of(run_node(run, (uint16_t)part));
}

static int64_t cpu_ns(pid_t pid)
{
    struct timespec t;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
        return -1;
    return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

/* Under the lock. A process that is new here has used all its time since the look before. */
static void look(struct run *run)
{
    struct driver *driver = &run->driver;

    for (size_t i = 0; i < driver->n_parts; i++) {
        struct driver_part *part = &driver->parts[i];
        pid_t pid = pid_of(run, i);
        int64_t now_ns = pid > 0 ? cpu_ns(pid) : -1;

        if (now_ns < 0)
            continue;
        if (pid != part->pid)
            *part = (struct driver_part){.pid = pid};
        driver->used_ns += now_ns - part->used_ns;
        part->used_ns = now_ns;
    }
}

void driver_begin(struct run *run)
{
    struct driver *driver = &run->driver;
    size_t n = parts_of(run);
    struct driver_part *parts = run_alloc(run, n * sizeof(*parts));

    pthread_mutex_lock(&run->lock); /* clients may die meanwhile */
    pthread_mutex_lock(&driver->lock);
    driver->parts = parts;
    driver->n_parts = n;
    look(run); /* what was used before the script is no part of it */
    driver->used_ns = 0;
    driver->began_ns = clock_now_ns();
    driver->counting = true;
    pthread_mutex_unlock(&driver->lock);
    pthread_mutex_unlock(&run->lock);
}

void driver_look(struct run *run)
{
    pthread_mutex_lock(&run->driver.lock);
    if (run->driver.counting)
        look(run);
    pthread_mutex_unlock(&run->driver.lock);
}

static int cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

void driver_end(struct run *run)
{
    struct driver *driver = &run->driver;
    struct event event;

    pthread_mutex_lock(&run->lock);
    pthread_mutex_lock(&driver->lock);
    look(run);
    driver->counting = false;
    event = (struct event){.type = EV_DRIVER,
                           .value = driver->used_ns,
                           .position = clock_now_ns() - driver->began_ns,
                           .code = (int16_t)cores()};
    pthread_mutex_unlock(&driver->lock);
    pthread_mutex_unlock(&run->lock);
    chronicle(run, event);
}
