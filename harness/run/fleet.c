/*
 * Client processes: spawned, watched, restarted under a new incarnation, asked for bursts. Their
 * counters live on boards in shared memory that outlast every incarnation; what a dead incarnation
 * left open is counted as unknown there (JUDGING: open invokes at a client's death).
 */
#include "run/run.h"

#include "api/broker.h"
#include "api/workload.h"
#include "systems/libraries.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_WITHIN_NS (30 * SECOND_NS)
#define PUT_DOWN_WITHIN_NS (2 * SECOND_NS)

/* ---- opening: boards exist before processes do, so that steps can be armed on a client to come */

static int open_board(struct instance *instance, struct err *err)
{
    instance->board_fd = memfd_create("board", MFD_CLOEXEC);
    if (instance->board_fd < 0 || ftruncate(instance->board_fd, sizeof(struct client_board)) < 0)
        return err_errno(err, "client %s: board", instance->name);
    instance->board = mmap(NULL, sizeof(struct client_board), PROT_READ | PROT_WRITE, MAP_SHARED,
                           instance->board_fd, 0);
    if (instance->board == MAP_FAILED) {
        instance->board = NULL;
        return err_errno(err, "client %s: board", instance->name);
    }
    instance->board->version = 1;
    instance->board->size = sizeof(struct client_board);
    return 0;
}

/* Looked for before any server is started; the same for every instance. */
static int find_libraries(struct run *run, const struct plan_client *client, struct err *err)
{
    struct libraries *libraries;
    char user[200];

    if (!client->libraries)
        return 0;
    libraries = run_alloc(run, sizeof(*libraries));
    snprintf(user, sizeof(user), "client %.100s takes its libraries from", client->name);
    for (unsigned i = 0; i < client->instances; i++)
        run->instances[client->first_id + i].libraries = libraries;
    return libraries_find(client->libraries, user, libraries, err);
}

static void name_instance(struct instance *instance, const struct plan_client *client, unsigned i)
{
    unsigned a, b, c, d;

    instance->client = client;
    instance->id = (uint16_t)(client->first_id + i);
    instance->control = -1;
    instance->board_fd = -1;
    if (client->instances > 1)
        snprintf(instance->name, sizeof(instance->name), "%s-%u", client->name, i + 1);
    else
        snprintf(instance->name, sizeof(instance->name), "%s", client->name);
    if (sscanf(client->address, "%u.%u.%u.%u", &a, &b, &c, &d) == 4)
        snprintf(instance->address, sizeof(instance->address), "%u.%u.%u.%u", a & 255, b & 255,
                 c & 255, (d + i) & 255);
}

int fleet_open(struct run *run, struct err *err)
{
    const struct plan_case *plan = run->plan;

    run->n_instances = plan->n_client_ids;
    run->instances = run_alloc(run, (run->n_instances + 1) * sizeof(*run->instances));
    for (size_t c = 0; c < plan->n_clients; c++)
        for (unsigned i = 0; i < plan->clients[c].instances; i++)
            name_instance(&run->instances[plan->clients[c].first_id + i], &plan->clients[c], i);
    for (size_t c = 0; c < plan->n_clients; c++)
        if (find_libraries(run, &plan->clients[c], err) < 0)
            return -1;
    for (size_t i = 0; i < run->n_instances; i++)
        if (open_board(&run->instances[i], err) < 0)
            return -1;
    return 0;
}

struct ended {
    struct child *child;
    struct ended *next;
};

/* Its number is the next one's; faults may still aim at it. */
static void keep_ended(struct run *run, struct instance *instance)
{
    struct ended *ended = run_alloc(run, sizeof(*ended));

    child_unlink(instance->child);
    *ended = (struct ended){instance->child, instance->ended};
    instance->ended = ended;
    instance->child = NULL;
    instance->incarnation++;
}

/* The script's `start` and the supervisor's restart may meet: the first of them starts it. */
static bool claim_start(struct run *run, struct instance *instance)
{
    bool claimed;

    pthread_mutex_lock(&run->lock);
    claimed = !instance_alive(instance);
    if (claimed) {
        instance->starting = true;
        instance->quitting = false;
        instance->restart_at_ns = 0;
        if (instance->child)
            keep_ended(run, instance);
    }
    pthread_mutex_unlock(&run->lock);
    return claimed;
}

/* With libraries of its own their loader is started, and told what to run. */
#define LOADER_ARGS 3
static void with_loader(const struct libraries *libraries, const char *const *client,
                        const char **argv)
{
    if (libraries) {
        *argv++ = libraries->loader;
        *argv++ = "--library-path";
        *argv++ = libraries->folder;
        *argv++ = libraries->self;
        client++;
    }
    while ((*argv++ = *client++))
        ;
}

static struct child *spawn(struct run *run, struct instance *instance, int *control,
                           struct err *err)
{
    char id[16], incarnation[16], log[700];
    const char *client[] = {"assay", "_client", run->folder, id, incarnation, NULL};
    const char *argv[LOADER_ARGS + sizeof(client) / sizeof(*client)];
    struct child_options options = {
        .address = instance->address, .n_fds = 2, .cpu = -1, .log = log};
    struct child *child;
    int sockets[2];
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
        err_errno(err, "socketpair");
        return NULL;
    }
    fds[0] = sockets[1];
    fds[1] = instance->board_fd;
    options.fds = fds;
    snprintf(id, sizeof(id), "%u", instance->id);
    snprintf(incarnation, sizeof(incarnation), "%u", instance->incarnation);
    snprintf(log, sizeof(log), "%s/client-%s.log", run->folder, instance->name);
    atomic_store(&instance->board->ready, 0);
    atomic_store(&instance->board->failed, 0);
    with_loader(instance->libraries, client, argv);
    child = child_spawn(run->sandbox, instance->name, argv, &options, err);
    close(sockets[1]);
    if (!child)
        close(sockets[0]);
    *control = sockets[0];
    return child;
}

static void tell_to_quit(struct instance *instance)
{
    struct client_command command = {.verb = CLIENT_QUIT};

    if (instance->control >= 0)
        (void)!send(instance->control, &command, sizeof(command), MSG_NOSIGNAL);
}

/* ---- what a client was asked for */

/* Under run->lock. */
static int give_burst(struct instance *instance, struct client_command command, struct err *err)
{
    command.start_ns = clock_now_ns();
    atomic_store(&instance->board->bursts[command.burst].done, 0);
    if (instance->control < 0 ||
        send(instance->control, &command, sizeof(command), MSG_NOSIGNAL) < 0)
        return err_set(err, "client %s is not running", instance->name);
    return 0;
}

/* The command's count and rate are this instance's part. */
static int ask_burst(struct run *run, struct instance *instance, struct client_command command,
                     struct err *err)
{
    int result;

    command.verb = CLIENT_BURST;
    command.key = run->keyed ? run->key : UINT32_MAX;
    pthread_mutex_lock(&run->lock);
    instance->bursts[command.burst] = command;
    instance->burst_base[command.burst] = atomic_load(&instance->board->bursts[command.burst].sent);
    result = give_burst(instance, command, err);
    pthread_mutex_unlock(&run->lock);
    return result;
}

/* What an incarnation that died had not finished goes on with what is left of it. Under run->lock.
 */
static void resume_burst(struct instance *instance, unsigned burst)
{
    struct client_command *asked = &instance->bursts[burst], command = *asked;
    int64_t base = instance->burst_base[burst];
    int64_t sent = atomic_load(&instance->board->bursts[burst].sent) - base;
    struct err err;

    if (command.count > 0)
        command.count -= sent;
    if (command.count == 0) /* all of it went out: what had no answer is unknown, none is due */
        asked->count = 0;
    else
        (void)give_burst(instance, command, &err); /* or it is dead already, and the next one's */
}

static void resume_bursts(struct instance *instance)
{
    for (unsigned b = 1; b < BURSTS_MAX; b++)
        if (instance->bursts[b].count != 0 &&
            atomic_load(&instance->board->bursts[b].done) < instance->client->workers)
            resume_burst(instance, b);
}

int fleet_start(struct run *run, struct instance *instance, struct err *err)
{
    struct child *child;
    int control;

    if (!claim_start(run, instance))
        return 0;
    child = spawn(run, instance, &control, err);
    pthread_mutex_lock(&run->lock);
    if (child) {
        instance->control = control;
        instance->wanted = true;
        instance->reported_dead = false;
        instance->child = child;
        if (!instance->quitting)
            resume_bursts(instance);
    }
    if (instance->quitting)
        tell_to_quit(instance);
    instance->starting = false;
    pthread_mutex_unlock(&run->lock);
    return child ? 0 : err_prefix(err, "client %s", instance->name);
}

static int refused(struct instance *instance, struct err *err)
{
    struct client_answer answer = {0};

    while (recv(instance->control, &answer, sizeof(answer), MSG_DONTWAIT) > 0)
        if (answer.status != 0)
            break;
    return err_set(err, "client %s could not start: %.400s", instance->name,
                   answer.status ? answer.text : "it gave no reason");
}

int fleet_wait_ready(struct instance *instance, struct deadline deadline, struct err *err)
{
    deadline = deadline_within(deadline, READY_WITHIN_NS);
    for (;;) {
        bool alive = instance_alive(instance);

        if (atomic_load(&instance->board->ready) >= instance->client->workers)
            return 0;
        if (atomic_load(&instance->board->failed) > 0)
            return refused(instance, err);
        /* killed by the script before it was ready: that is the script's business */
        if (!alive && instance->kills > 0)
            return 0;
        if (!alive)
            return refused(instance, err);
        if (deadline_sleep(&deadline, 2 * MS_NS) < 0)
            return err_set(err, "client %s: not ready after %d s (waited for its connection)",
                           instance->name, (int)(READY_WITHIN_NS / SECOND_NS));
    }
}

struct instance *fleet_named(struct run *run, const char *name, size_t *n)
{
    const struct plan_client *client = plan_client_named(run->plan, name);

    if (client) {
        *n = client->instances;
        return &run->instances[client->first_id];
    }
    for (size_t i = 0; i < run->n_instances; i++)
        if (strcmp(run->instances[i].name, name) == 0) {
            *n = 1;
            return &run->instances[i];
        }
    return NULL;
}

struct step_gate *fleet_gate(struct run *run, struct instance *instance, const char *step)
{
    const char *const *steps = run->plan->workload->steps;

    for (size_t i = 0; steps && steps[i] && i < STEPS_MAX; i++)
        if (strcmp(steps[i], step) == 0)
            return &instance->board->steps[i];
    return NULL;
}

/* ---- asking for bursts */

static int64_t share(int64_t count, unsigned i, unsigned n)
{
    return count < 0 ? -1 : count / n + (i < count % n ? 1 : 0);
}

int fleet_burst(struct run *run, const struct send_args *args, unsigned burst, struct err *err)
{
    size_t n = 0;
    struct instance *instances = fleet_named(run, args->from, &n);
    uint16_t via = NO_NODE;

    assert(instances && burst < BURSTS_MAX);
    if (args->via) {
        struct expr *e = run_parse(run, args->via, &no_mark, err);
        struct value value;

        if (!e || run_eval(run, e, &value, err) < 0)
            return -1;
        if (value.kind != VALUE_NODES || value.n != 1)
            return err_set(err, "via: %s is not one node right now", args->via);
        via = value.nodes[0];
    }
    chronicle(run, (struct event){
                       .type = EV_BURST, .ref = burst, .value = args->count, .flags = EV_GAINED});
    for (unsigned i = 0; i < n; i++) {
        struct client_command command = {.burst = burst,
                                         .count = share(args->count, i, (unsigned)n),
                                         .rate_per_s = args->rate / (double)n,
                                         .poisson = args->poisson,
                                         .via = via};

        if (ask_burst(run, &instances[i], command, err) < 0)
            return -1;
    }
    return 0;
}

int fleet_order(struct run *run, const char *client, unsigned burst, struct err *err)
{
    struct client_command command = {.burst = burst, .count = 1, .via = NO_NODE};
    size_t n = 0;
    struct instance *instances = fleet_named(run, client, &n);

    for (size_t i = 0; i < n; i++)
        if (ask_burst(run, &instances[i], command, err) < 0)
            return -1;
    return 0;
}

void fleet_end_burst(struct run *run, unsigned burst)
{
    struct client_command command = {.verb = CLIENT_END, .burst = burst};

    pthread_mutex_lock(&run->lock);
    for (size_t i = 0; i < run->n_instances; i++) {
        struct instance *instance = &run->instances[i];

        if (instance->bursts[burst].count == 0)
            continue;
        instance->bursts[burst].count = 0;
        if (instance->control >= 0)
            (void)!send(instance->control, &command, sizeof(command), MSG_NOSIGNAL);
    }
    pthread_mutex_unlock(&run->lock);
}

/* It runs, or is about to: what it was asked for is still to be expected. Under run->lock. */
static bool may_come(const struct instance *instance)
{
    return instance->wanted || instance->starting || instance->restart_at_ns != 0;
}

int fleet_wait_ended(struct run *run, const char *client, unsigned burst, struct deadline deadline,
                     struct err *err)
{
    size_t n = 0;
    struct instance *instances = fleet_named(run, client, &n);
    bool ended;

    do {
        ended = true;
        pthread_mutex_lock(&run->lock);
        for (size_t i = 0; i < n; i++)
            ended &=
                !may_come(&instances[i]) || atomic_load(&instances[i].board->bursts[burst].done) >=
                                                instances[i].client->workers;
        pthread_mutex_unlock(&run->lock);
    } while (!ended && deadline_sleep(&deadline, MS_NS) == 0);
    return ended ? 0 : err_set(err, "client %s did not finish in time", client);
}

static void count_burst(const struct instance *instance, unsigned burst, struct burst_count *sum)
{
    struct burst_board *b = &instance->board->bursts[burst];

    sum->sent += atomic_load(&b->sent);
    sum->ok += atomic_load(&b->ok);
    sum->fail += atomic_load(&b->fail);
    sum->unknown += atomic_load(&b->unknown);
    sum->believed += atomic_load(&b->believed);
    sum->reads += atomic_load(&b->reads);
    sum->hits += atomic_load(&b->hits);
}

struct burst_count fleet_count(const struct run *run, unsigned burst)
{
    struct burst_count sum = {0};

    for (size_t i = 0; i < run->n_instances; i++)
        count_burst(&run->instances[i], burst, &sum);
    return sum;
}

int64_t fleet_outstanding(const struct run *run)
{
    int64_t sum = 0;

    for (size_t i = 0; i < run->n_instances; i++)
        sum += atomic_load(&run->instances[i].board->outstanding);
    return sum;
}

struct burst_count fleet_count_client(const struct run *run, const struct plan_client *client)
{
    struct burst_count sum = {0};

    for (unsigned i = 0; i < client->instances; i++)
        for (unsigned b = 0; b < BURSTS_MAX; b++)
            count_burst(&run->instances[client->first_id + i], b, &sum);
    return sum;
}

static bool burst_finished(const struct run *run, unsigned burst)
{
    for (size_t i = 0; i < run->n_instances; i++) {
        const struct instance *instance = &run->instances[i];

        if (instance->bursts[burst].count == 0 || !may_come(instance))
            continue;
        if (atomic_load(&instance->board->bursts[burst].done) < instance->client->workers)
            return false;
    }
    return true;
}

int fleet_wait_burst(struct run *run, unsigned burst, struct deadline deadline, struct err *err)
{
    bool finished;

    do {
        pthread_mutex_lock(&run->lock);
        finished = burst_finished(run, burst);
        pthread_mutex_unlock(&run->lock);
    } while (!finished && deadline_sleep(&deadline, MS_NS) == 0);
    if (!finished)
        return err_set(err, "send %s: not completed in time", run->plan->bursts[burst - 1].name);
    chronicle(run, (struct event){.type = EV_BURST, .ref = burst, .flags = EV_LOST});
    return 0;
}

/* ---- the supervisor's part: deaths and restarts */

/* What the dead incarnation sent and never saw completed is unknown, for ever. */
static void settle_board(struct instance *instance)
{
    for (unsigned b = 0; b < BURSTS_MAX; b++) {
        struct burst_board *board = &instance->board->bursts[b];
        int64_t completed = atomic_load(&board->ok) + atomic_load(&board->fail) +
                            atomic_load(&board->unknown) + atomic_load(&board->believed);
        int64_t open = atomic_load(&board->sent) - completed;

        if (open > 0)
            atomic_fetch_add(&board->unknown, open);
    }
    atomic_store(&instance->board->outstanding, 0);
    atomic_store(&instance->board->owned, 0);
    atomic_store(&instance->board->busy, 0);
    for (unsigned s = 0; s < STEPS_MAX; s++)
        atomic_store(&instance->board->steps[s].held, 0);
}

/* Of what it only reads. NO_UNIT: it passes on what it reads, which its death may keep from where it
 * must arrive, or reads nothing. */
static uint32_t unit_read(const struct run *run, const struct plan_client *client)
{
    const char *sends_to = NULL, *reads = NULL, *group = NULL;
    long dest;

    if (!client->broker || !client->broker->names)
        return NO_UNIT;
    client->broker->names(client->broker_args, &sends_to, &reads, &group);
    dest = reads && !sends_to ? plan_dest_named(run->plan, reads) : -1;
    return dest >= 0 && run->plan->dests[dest].n_units > 0 ? run->plan->dests[dest].first_unit
                                                           : NO_UNIT;
}

/* What it was given and had not settled: the broker must give it to somebody else. Where handing
 * over settles there is nothing of it. */
static void record_unsettled(struct run *run, struct instance *instance)
{
    int64_t open = atomic_load(&instance->board->delivered) -
                   atomic_load(&instance->board->settled) - instance->unsettled_before;

    instance->unsettled_before += open > 0 ? open : 0;
    if (open > 0 && !plan_client_hands_over(instance->client))
        chronicle(run, (struct event){.type = EV_HAZARD,
                                      .code = HAZARD_UNSETTLED,
                                      .unit = unit_read(run, instance->client),
                                      .node = NO_NODE,
                                      .value = open});
}

/* Did the case ask for this death: by a fault, or by a step armed to kill? Asked for once. */
static bool asked_for(struct instance *instance)
{
    const struct step_gate *gate = instance->kill_gate;
    bool asked = instance->doomed || (gate && atomic_load(&gate->hits) > 0);

    instance->doomed = false;
    instance->kill_gate = NULL;
    return asked;
}

/* A death nobody asked for breaks the case: what the client did then is not what the suite says. */
static void blame_client(struct run *run, struct instance *instance, int code)
{
    struct err err;
    char log[700];

    snprintf(log, sizeof(log), "%s/client-%s.log", run->folder, instance->name);
    err_set(&err, "client %s ended by itself (%s %d)", instance->name,
            code > 0 ? "signal" : "exit status", abs(code));
    log_blame(instance->name, log, &err);
    instance->quitting = true;
    pthread_mutex_unlock(&run->lock);
    run_break(run, &err);
    pthread_mutex_lock(&run->lock);
}

static void record_death(struct run *run, struct instance *instance, int status)
{
    int code = WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
    bool asked = asked_for(instance);
    bool killed = WIFSIGNALED(status) && asked;
    /* before that a start that the end of the case overtook may end in any way */
    bool was_ready = atomic_load(&instance->board->ready) >= instance->client->workers;

    instance->wanted = false;
    if (killed) {
        instance->kills++;
        record_unsettled(run, instance);
    }
    settle_board(instance);
    chronicle(run, (struct event){.type = EV_CLIENT_DEATH,
                                  .code = (int16_t)code,
                                  .ref = instance->id,
                                  .epoch = instance->incarnation});
    close(instance->control);
    instance->control = -1;
    if (killed)
        progress(run, "client %s is dead (signal %d)", instance->name, code);
    else if (asked && code == 0)
        progress(run, "client %s ended in order", instance->name);
    else if (instance->put_down)
        progress(run, "client %s did not leave in time: it was killed", instance->name);
    else if (!instance->quitting || code > 0 || (code < 0 && was_ready))
        blame_client(run, instance, code);
    if (killed && instance->client->restart_after_ns >= 0 && !run->closing && !instance->quitting)
        instance->restart_at_ns = clock_now_ns() + instance->client->restart_after_ns;
    instance->reported_dead = true; /* last: who waits for it may start the next one */
}

/* The next incarnation. */
static void restart(struct run *run, struct instance *instance)
{
    struct err err = {0};

    pthread_mutex_unlock(&run->lock);
    if (fleet_start(run, instance, &err) < 0)
        run_break(run, &err);
    pthread_mutex_lock(&run->lock);
}

void fleet_tick(struct run *run)
{
    int status;

    pthread_mutex_lock(&run->lock);
    for (size_t i = 0; i < run->n_instances; i++) {
        struct instance *instance = &run->instances[i];

        if (instance->child && !instance->reported_dead && child_dead(instance->child, &status))
            record_death(run, instance, status);
        if (instance->restart_at_ns && !run->closing && clock_now_ns() >= instance->restart_at_ns)
            restart(run, instance);
    }
    pthread_mutex_unlock(&run->lock);
}

/* ---- the end */

void fleet_release(struct run *run)
{
    for (size_t i = 0; i < run->n_instances; i++)
        for (size_t s = 0; s < STEPS_MAX; s++) {
            struct step_gate *gate = &run->instances[i].board->steps[s];

            if (atomic_load(&gate->armed) == GATE_HOLD)
                gate_open(gate);
        }
}

bool fleet_receives(const struct plan_client *client)
{
    const char *const *verbs = client->broker ? client->broker->receive_verbs : NULL;

    for (size_t i = 0; verbs && verbs[i]; i++)
        if (client->verb && tree_get(client->tree, verbs[i])) /* beside sending, too */
            return true;
    return false;
}

/* SIGHUP first: a SIGKILL in the history is one the case asked for. */
static void put_down(struct instance *instance)
{
    static const int signals[] = {SIGHUP, SIGKILL};
    struct err ignored;

    instance->put_down = true;
    for (size_t i = 0; i < 2 && instance_alive(instance); i++) {
        struct deadline soon = deadline_in(PUT_DOWN_WITHIN_NS, NULL);

        if (instance->child)
            (void)child_signal(instance->child, signals[i], &ignored);
        while (instance_alive(instance) && deadline_sleep(&soon, MS_NS) == 0)
            ;
    }
}

/* Nothing is proven beside somebody who still works: who has not left by now is killed. */
static int put_down_all(struct run *run, bool senders, struct err *err)
{
    char names[200] = "";

    for (size_t i = 0; i < run->n_instances; i++) {
        struct instance *instance = &run->instances[i];
        size_t used = strlen(names);

        if (fleet_receives(instance->client) == senders || !instance_alive(instance))
            continue;
        snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", instance->name);
        put_down(instance);
    }
    return err_set(err, "%s did not end in order in time", names);
}

int fleet_quit(struct run *run, bool senders, struct deadline deadline, struct err *err)
{
    bool left;

    for (size_t i = 0; i < run->n_instances; i++) {
        struct instance *instance = &run->instances[i];

        if (fleet_receives(instance->client) == senders)
            continue;
        pthread_mutex_lock(&run->lock);
        instance->quitting = true;
        instance->restart_at_ns = 0;
        tell_to_quit(instance);
        pthread_mutex_unlock(&run->lock);
    }
    do {
        left = false;
        for (size_t i = 0; i < run->n_instances; i++)
            left |= fleet_receives(run->instances[i].client) != senders &&
                    instance_alive(&run->instances[i]);
    } while (left && deadline_sleep(&deadline, 5 * MS_NS) == 0);
    return left ? put_down_all(run, senders, err) : 0;
}

void fleet_close(struct run *run)
{
    for (size_t i = 0; i < run->n_instances; i++) {
        struct instance *instance = &run->instances[i];

        if (instance->child)
            child_close(instance->child);
        for (const struct ended *e = instance->ended; e; e = e->next)
            child_close(e->child);
        if (instance->control >= 0)
            close(instance->control);
        if (instance->board)
            munmap(instance->board, sizeof(*instance->board));
        if (instance->board_fd >= 0)
            close(instance->board_fd);
        instance->child = NULL;
        instance->board = NULL;
    }
}
