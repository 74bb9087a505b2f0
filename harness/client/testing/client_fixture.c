/* See client_fixture.h. */
#include "client/testing/client_fixture.h"

#include "base/clock.h"
#include "client/testing/mock_broker.h"
#include "suite/params.h"
#include "suite/tree.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

extern const struct workload_ops queue_workload;

static const void *fill(struct client_fixture *f, const struct param *params, size_t size,
                        const char *yaml)
{
    struct err err = {0};
    struct tree *tree = *yaml ? tree_read(yaml, strlen(yaml), "test.yaml", &f->arena, &err) : NULL;
    void *out = arena_alloc(&f->arena, size);

    if ((*yaml && !tree) || param_fill(params, tree, out, &f->arena, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return out;
}

static void make_plan(struct client_fixture *f, const struct workload_ops *ops,
                      const char *workload, const char *client, const char *verb, unsigned workers)
{
    f->dest = (struct plan_dest){.name = "jobs", .kind = UNIT_QUEUE, .n_units = 1};
    f->unit = (struct plan_unit){.name = "jobs"};
    f->spec = (struct plan_client){.name = "app",
                                   .first_id = 3,
                                   .instances = 1,
                                   .workers = (uint16_t)workers,
                                   .broker = &mock_broker_ops,
                                   .verb = verb};
    f->spec.role_args = fill(f, ops->client_params, ops->client_args_size, client);
    f->plan = (struct plan_case){.name = "test",
                                 .seed = 11,
                                 .run = 99,
                                 .dests = &f->dest,
                                 .n_dests = 1,
                                 .units = &f->unit,
                                 .n_units = 1,
                                 .clients = &f->spec,
                                 .n_clients = 1,
                                 .workload = ops};
    f->plan.workload_args = fill(f, ops->params, ops->args_size, workload);
}

void client_fixture_open(struct client_fixture *f, const char *workload, const char *client,
                         const char *verb, unsigned workers)
{
    client_fixture_open_as(f, &queue_workload, workload, client, verb, workers);
}

void client_fixture_open_as(struct client_fixture *f, const struct workload_ops *ops,
                            const char *workload, const char *client, const char *verb,
                            unsigned workers)
{
    int sockets[2];

    memset(f, 0, sizeof(*f));
    memset(&mock_seen, 0, sizeof(mock_seen));
    mock_script.run = 99;
    snprintf(f->folder, sizeof(f->folder), "/tmp/assay-client-XXXXXX");
    assert(mkdtemp(f->folder));
    make_plan(f, ops, workload, client, verb, workers);
    f->board =
        mmap(NULL, sizeof(*f->board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(f->board != MAP_FAILED);
    f->board->version = 1;
    f->board->size = sizeof(*f->board);
    assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
    f->control = sockets[0];
    f->client = calloc(1, sizeof(*f->client));
    assert(f->client);
    f->client->plan = &f->plan;
    f->client->spec = &f->spec;
    f->client->folder = f->folder;
    f->client->id = 3;
    f->client->control = sockets[1];
    f->client->board = f->board;
}

static void *client_thread(void *fixture)
{
    struct client_fixture *f = fixture;

    f->result = client_work(f->client, &f->err);
    return NULL;
}

void client_fixture_start(struct client_fixture *f)
{
    assert(pthread_create(&f->thread, NULL, client_thread, f) == 0);
}

pid_t client_fixture_fork(struct client_fixture *f)
{
    pid_t pid = fork();

    assert(pid >= 0);
    if (pid == 0) {
        close(f->control);
        _exit(client_work(f->client, &f->err) < 0 ? 3 : 0);
    }
    close(f->client->control);
    return pid;
}

void client_fixture_ask(struct client_fixture *f, enum client_verb verb, uint32_t burst,
                        int64_t count)
{
    struct client_command c = {.verb = verb, .burst = burst, .count = count, .via = NO_NODE};

    assert(send(f->control, &c, sizeof(c), 0) == sizeof(c));
}

struct client_answer client_fixture_answer(struct client_fixture *f)
{
    struct client_answer a;

    assert(recv(f->control, &a, sizeof(a), 0) == sizeof(a));
    return a;
}

void client_fixture_until(const _Atomic int64_t *word, int64_t value)
{
    struct deadline deadline = deadline_in(10 * SECOND_NS, NULL);

    while (atomic_load(word) < value)
        assert(deadline_sleep(&deadline, MS_NS) == 0);
}

void client_fixture_done(struct client_fixture *f, uint32_t burst)
{
    struct deadline deadline = deadline_in(10 * SECOND_NS, NULL);

    while (atomic_load(&f->board->bursts[burst].done) < f->spec.workers)
        assert(deadline_sleep(&deadline, MS_NS) == 0);
}

void client_fixture_quit(struct client_fixture *f)
{
    client_fixture_ask(f, CLIENT_QUIT, 0, 0);
    assert(pthread_join(f->thread, NULL) == 0);
    assert(f->result == 0);
}

void client_fixture_release(struct client_fixture *f)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", f->folder);
    assert(system(command) == 0);
    close(f->control);
    client_release(f->client); /* the board too */
    free(f->client);
    arena_release(&f->arena);
    mock_script = (struct mock_script){0};
}
