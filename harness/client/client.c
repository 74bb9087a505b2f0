/*
 * A client process: `assay _client CASE_FOLDER INSTANCE_ID INCARNATION` (contract.h, CLIENT.md).
 *
 * Main opens the logs, starts the workers and then serves the control socket. It never outlives its
 * coordinator: end of file on the socket is SIGKILL of itself, as abrupt as any other death here.
 */
#include "client/client.h"

#include "client/file.h"
#include "client/liar.h"
#include "client/worker.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_MS 20

/* ---- opening */

static int read_plan(struct client *client, struct err *err)
{
    client->plan = client_plan_read(client->folder, &client->arena, err);
    if (!client->plan)
        return -1;
    client->spec = plan_client_of_id(client->plan, client->id);
    return client->spec ? 0 : err_set(err, "the plan has no client %u", client->id);
}

static int map_board(struct client *client, struct err *err)
{
    client->board =
        mmap(NULL, sizeof(*client->board), PROT_READ | PROT_WRITE, MAP_SHARED, CLIENT_BOARD_FD, 0);
    if (client->board == MAP_FAILED) {
        client->board = NULL;
        return err_errno(err, "map the board (fd %d)", CLIENT_BOARD_FD);
    }
    if (client->board->size != sizeof(*client->board))
        return err_set(err, "the board has %u bytes, this client knows %zu", client->board->size,
                       sizeof(*client->board));
    return 0;
}

static void ask_needs(struct client *client)
{
    const struct workload_ops *workload = client->plan->workload;

    client->needs = (struct worker_needs){.outstanding = 1000, .payload_bytes = PAYLOAD_MIN};
    if (workload->needs)
        workload->needs(client->plan->workload_args, client->spec->role_args, &client->needs);
    assert(client->needs.outstanding > 0 && client->needs.payload_bytes >= PAYLOAD_MIN);
}

static bool observed_in(const struct step_list *script, const char *client)
{
    struct script_walk walk = script_walk(script);
    const struct step *step;

    while ((step = script_next(&walk)))
        if (step->kind == STEP_OBSERVE &&
            strcmp(((const struct observe_args *)step->args)->client, client) == 0)
            return true;
    return false;
}

/* A load that runs from the start is burst 0. Who is observed works only while it is. */
static void begin_steady_load(struct client *client)
{
    struct burst_request *r = &client->bursts[0];

    if (client->needs.rate_per_s <= 0 || observed_in(&client->plan->script, client->spec->name))
        return;
    r->count = -1;
    r->rate_per_s = client->needs.rate_per_s / client->spec->instances;
    r->poisson = client->needs.poisson;
    r->via = NO_NODE;
    r->key = NO_KEY;
    r->start_ns = clock_now_ns();
    r->serial = 1;
    atomic_store(&r->running, client->n_workers);
    atomic_fetch_add(&client->generation, 1);
}

/* Which library it is only this process knows: where clients run is the suite's to say. */
static uint32_t library_text(const struct client *client)
{
    const struct broker_ops *broker = client->spec->broker;
    char text[100];

    if (!broker || !broker->library)
        return NO_REF;
    broker->library(text, sizeof(text));
    return history_text(client->workers[0].log, text);
}

static void record_start(struct client *client)
{
    struct event e = {.type = EV_CLIENT_START,
                      .at_ns = clock_now_ns(),
                      .position = getpid(),
                      .ref = library_text(client)};

    history_record(client->workers[0].log, &e);
}

static void record_stop(struct client *client)
{
    struct event e = {.type = EV_CLIENT_STOP,
                      .at_ns = clock_now_ns(),
                      .outcome_level = event_result(OUTCOME_OK, LEVEL_NONE)};

    history_record(client->workers[0].log, &e);
}

static int start_workers(struct client *client, struct err *err)
{
    unsigned n = client->spec->workers ? client->spec->workers : 1;

    client->workers = calloc(n, sizeof(*client->workers));
    if (!client->workers)
        return err_set(err, "out of memory");
    for (unsigned i = 0; i < n; i++)
        client->workers[i].wake_fd = -1;
    client->n_workers = n;
    for (unsigned i = 0; i < n; i++)
        if (worker_open(&client->workers[i], client, i, err) < 0)
            return -1;
    begin_steady_load(client);
    record_start(client);
    for (unsigned i = 0; i < n; i++)
        if (pthread_create(&client->workers[i].thread, NULL, worker_main, &client->workers[i]) != 0)
            abort();
    return 0;
}

/* ---- control */

/* Answers are for the eyes of whoever asks later: a full socket must not block a client. */
static void answer(const struct client *client, uint32_t verb, uint32_t burst, int status,
                   const char *text)
{
    struct client_answer a = {.verb = verb, .burst = burst, .status = status};

    snprintf(a.text, sizeof(a.text), "%s", text);
    (void)send(client->control, &a, sizeof(a), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void publish(struct client *client)
{
    atomic_fetch_add_explicit(&client->generation, 1, memory_order_release);
    for (unsigned i = 0; i < client->n_workers; i++)
        worker_wake(&client->workers[i]);
}

static const char *take_burst(struct client *client, const struct client_command *c)
{
    struct burst_request *r;

    if (c->burst >= BURSTS_MAX)
        return "no such burst number";
    r = &client->bursts[c->burst];
    if (atomic_load(&r->running) > 0)
        return "this burst still runs";
    if (!client->workers[0].sends && !client->workers[0].has_role)
        return "this client sends nothing";
    r->count = c->count;
    r->rate_per_s = c->rate_per_s;
    r->poisson = c->poisson != 0;
    if (c->rate_per_s < 0) {
        r->rate_per_s = client->needs.rate_per_s / client->spec->instances;
        r->poisson = client->needs.poisson;
    }
    r->via = c->via;
    r->key = c->key;
    r->start_ns = c->start_ns ? c->start_ns : clock_now_ns();
    atomic_store(&r->ended, false);
    atomic_store(&r->running, client->n_workers);
    r->serial++;
    publish(client);
    return NULL;
}

static const char *obey(struct client *client, const struct client_command *c)
{
    switch (c->verb) {
    case CLIENT_BURST:
        return take_burst(client, c);
    case CLIENT_END:
        if (c->burst >= BURSTS_MAX)
            return "no such burst number";
        atomic_store(&client->bursts[c->burst].ended, true);
        publish(client);
        return NULL;
    case CLIENT_QUIT:
        atomic_store(&client->stopping, true);
        publish(client);
        return NULL;
    case CLIENT_STOP_READING:
        atomic_store(&client->stop_reading, true);
        publish(client);
        return NULL;
    default:
        return "unknown command";
    }
}

/* 1: a command was served; 0: nothing there. Does not return when the coordinator is gone. */
static int serve(struct client *client)
{
    struct client_command c;
    ssize_t n = recv(client->control, &c, sizeof(c), MSG_DONTWAIT);
    const char *refusal;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        kill(getpid(), SIGKILL);
    refusal = n == (ssize_t)sizeof(c) ? obey(client, &c) : "a command of the wrong size";
    answer(client, c.verb, c.burst, refusal ? -1 : 0, refusal ? refusal : "");
    return 1;
}

/* SIGTERM: asked to leave in order, as by a supervisor. */
static volatile sig_atomic_t asked_to_leave;

static void on_term(int number)
{
    (void)number;
    asked_to_leave = 1;
}

static void leave_when_asked(void)
{
    struct sigaction action = {.sa_handler = on_term};

    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
}

/* Serves until asked to quit or a worker failed; the reason of a failure is answered unasked. */
static int control(struct client *client, struct err *err)
{
    struct pollfd fd = {.fd = client->control, .events = POLLIN};

    while (!atomic_load(&client->stopping)) {
        (void)poll(&fd, 1, LOOK_MS);
        while (serve(client))
            ;
        if (asked_to_leave) {
            atomic_store(&client->stopping, true);
            publish(client);
        }
        for (unsigned i = 0; i < client->n_workers && !atomic_load(&client->stopping); i++)
            if (pthread_tryjoin_np(client->workers[i].thread, NULL) == 0) {
                client->workers[i].thread = 0;
                *err = client->workers[i].err;
                atomic_store(&client->stopping, true);
                publish(client);
                return err_prefix(err, "worker %u", i);
            }
    }
    return 0;
}

/* Waits for the workers, still watching the lifeline: a hung library must not keep us. */
static void join_workers(struct client *client)
{
    for (unsigned i = 0; i < client->n_workers; i++) {
        struct worker *w = &client->workers[i];

        while (w->thread && pthread_tryjoin_np(w->thread, NULL) != 0) {
            struct pollfd fd = {.fd = client->control, .events = POLLIN};

            (void)poll(&fd, 1, 2);
            while (serve(client))
                ;
        }
        w->thread = 0;
    }
}

static int fail(struct client *client, const struct err *err)
{
    atomic_store(&client->stopping, true);
    fprintf(stderr, "client %u: %s\n", client->id, err->text);
    answer(client, 0, 0, -1, err->text);
    if (client->board) /* after the answer: who sees it looks for the reason */
        atomic_fetch_add(&client->board->failed, 1);
    return -1;
}

static int end_in_order(struct client *client, struct err *err)
{
    join_workers(client);
    for (unsigned i = 0; i < client->n_workers; i++)
        if (client->workers[i].head.status < 0) {
            *err = client->workers[i].err;
            err_prefix(err, "worker %u", i);
            return fail(client, err);
        }
    record_stop(client);
    return 0;
}

int client_work(struct client *client, struct err *err)
{
    int result;

    ask_needs(client);
    result = start_workers(client, err);
    if (result == 0)
        result = control(client, err);
    if (result == 0)
        return end_in_order(client, err);
    fail(client, err);
    join_workers(client);
    return -1;
}

static int client_run(struct client *client, struct err *err)
{
    struct liar_options lies = {.folder = client->folder};
    int lying;

    if (map_board(client, err) < 0 || read_plan(client, err) < 0)
        return fail(client, err);
    lies.seed = client->plan->seed;
    lying = liar_asked(getenv("ASSAY_LIAR"), client->plan->name, &lies, err);
    if (lying < 0)
        return fail(client, err);
    client->lies = lying ? &lies : NULL;
    return client_work(client, err);
}

void client_release(struct client *client)
{
    for (unsigned i = 0; i < client->n_workers; i++)
        worker_close(&client->workers[i]);
    free(client->workers);
    if (client->board)
        munmap(client->board, sizeof(*client->board));
    arena_release(&client->arena);
}

int client_main(int argc, char **argv)
{
    static struct client client; /* large: bursts and parts by number */
    struct err err = {0};
    int result;

    if (argc < 4 || argc > 5 || (argc == 5 && strcmp(argv[4], "unrecorded") != 0)) {
        fprintf(stderr, "usage: assay _client CASE_FOLDER INSTANCE_ID INCARNATION [unrecorded]\n");
        return 2;
    }
    client.folder = argv[1];
    client.id = (uint16_t)strtoul(argv[2], NULL, 10);
    client.incarnation = (uint16_t)strtoul(argv[3], NULL, 10);
    client.control = CLIENT_CONTROL_FD;
    leave_when_asked();
    client.unrecorded = argc == 5; /* for `assay bench` only: what recording costs */
    result = client_run(&client, &err);
    client_release(&client);
    return result < 0 ? 3 : 0;
}
