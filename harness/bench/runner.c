/*
 * One client process of a bench leg: started on its own network node, asked over its control
 * socket, watched by its board. Sealing goes on beside it as in every run. See runner.h.
 */
#include "bench/runner.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define START_WITHIN_NS (60 * SECOND_NS)

double bench_cpu_of(pid_t pid)
{
    struct timespec ts;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return -1;
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

size_t bench_valgrind_words(struct bench *b, const char **argv)
{
    static char log[400], profile[600]; /* one program is counted at a time */

    snprintf(log, sizeof(log), "--log-file=%s/valgrind.log", b->folder);
    snprintf(profile, sizeof(profile), "--callgrind-out-file=/dev/null");
    if (b->profiles)
        snprintf(profile, sizeof(profile), "--callgrind-out-file=%s/%s.%u", b->profiles,
                 b->system->name, b->profiled++);
    argv[0] = BENCH_VALGRIND;
    argv[1] = "--tool=callgrind";
    argv[2] = profile;
    argv[3] = log;
    return 4;
}

/* ---- our client */

static int write_plan(const struct bench *b, const char *folder, struct err *err)
{
    char path[400];
    size_t n;
    char *text = plan_case_text(b->plan, &n);
    int result;

    snprintf(path, sizeof(path), "%s/plan.yaml", folder);
    result = file_write(path, text, n, err);
    free(text);
    return result;
}

static int open_runner(struct bench *b, struct bench_runner *r, struct err *err)
{
    *r = (struct bench_runner){.board_fd = -1, .control = -1};
    snprintf(r->folder, sizeof(r->folder), "%s/leg-%u", b->folder, b->legs++);
    if (mkdir(r->folder, 0755) < 0)
        return err_errno(err, "folder %s", r->folder);
    if (write_plan(b, r->folder, err) < 0)
        return -1;
    r->sealer = sealer_open(r->folder, err);
    if (!r->sealer)
        return -1;
    r->board_fd = memfd_create("board", MFD_CLOEXEC);
    if (r->board_fd < 0 || ftruncate(r->board_fd, sizeof(*r->board)) < 0)
        return err_errno(err, "board");
    r->board = mmap(NULL, sizeof(*r->board), PROT_READ | PROT_WRITE, MAP_SHARED, r->board_fd, 0);
    if (r->board == MAP_FAILED) {
        r->board = NULL;
        return err_errno(err, "board");
    }
    r->board->version = 1;
    r->board->size = sizeof(*r->board);
    return 0;
}

void bench_runner_close(struct bench_runner *r)
{
    if (r->child)
        child_close(r->child);
    if (r->control >= 0)
        close(r->control);
    if (r->board)
        munmap(r->board, sizeof(*r->board));
    if (r->board_fd >= 0)
        close(r->board_fd);
    if (r->sealer)
        sealer_close(r->sealer);
    file_remove_tree(r->folder);
}

static int spawn(struct bench *b, struct bench_runner *r, const struct bench_client *which,
                 struct err *err)
{
    char self[500], log[400], id[16];
    const char *argv[16];
    const struct plan_client *client = &b->plan->clients[which->client];
    struct child_options options = {.address = client->address, .cpu = -1, .log = log};
    size_t n = which->counted ? bench_valgrind_words(b, argv) : 0;
    int sockets[2], fds[2];

    snprintf(self, sizeof(self), "%s/assay", b->programs);
    snprintf(log, sizeof(log), "%s/client.log", b->folder);
    snprintf(id, sizeof(id), "%u", client->first_id);
    argv[n++] = self;
    argv[n++] = "_client";
    argv[n++] = r->folder;
    argv[n++] = id;
    argv[n++] = "0";
    argv[n++] = which->unrecorded ? "unrecorded" : NULL;
    argv[n] = NULL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        return err_errno(err, "socketpair");
    fds[0] = sockets[1];
    fds[1] = r->board_fd;
    options.fds = fds;
    options.n_fds = 2;
    r->child = child_spawn(b->box, "bench", argv, &options, err);
    close(sockets[1]);
    r->control = sockets[0];
    return r->child ? 0 : -1;
}

int bench_runner_ask(const struct bench_runner *r, enum client_verb verb, int64_t count)
{
    struct client_command c = {.verb = verb, .burst = BENCH_BURST, .count = count, .via = NO_NODE};

    return send(r->control, &c, sizeof(c), MSG_NOSIGNAL) == sizeof(c) ? 0 : -1;
}

/* Lets it work for so long, sealing behind it. */
int bench_runner_work(struct bench_runner *r, double seconds, struct err *err)
{
    struct deadline deadline = deadline_in((int64_t)(seconds * 1e9), NULL);
    int status;

    do {
        if (sealer_step(r->sealer, err) < 0)
            return -1;
        if (child_dead(r->child, &status))
            return err_set(err, "the client died (wait status %d)", status);
    } while (deadline_sleep(&deadline, SEAL_EVERY_NS) == 0);
    return 0;
}

int64_t bench_runner_completed(const struct bench_runner *r)
{
    const struct burst_board *board = &r->board->bursts[BENCH_BURST];

    return atomic_load(&board->ok) + atomic_load(&board->fail) + atomic_load(&board->unknown);
}

/* Until the word is there; the client's own reason when it fails. */
int bench_runner_await(struct bench_runner *r, const _Atomic int32_t *word, int64_t within_ns,
                       const char *what, struct err *err)
{
    struct deadline deadline = deadline_in(within_ns, NULL);
    struct client_answer answer = {0};
    int64_t before = bench_runner_completed(r);
    int status;

    while (atomic_load(word) < 1) {
        bool over = deadline_sleep(&deadline, MS_NS) < 0;
        int64_t now = bench_runner_completed(r);

        if (now > before)
            deadline = deadline_in(within_ns, NULL);
        over = over && now == before;
        before = now;

        if (atomic_load(&r->board->failed) > 0 || child_dead(r->child, &status)) {
            while (recv(r->control, &answer, sizeof(answer), MSG_DONTWAIT) > 0 &&
                   answer.status == 0)
                ;
            return err_set(err, "the client failed: %.400s", answer.text);
        }
        if (over)
            return err_set(err, "the client was not %s in time", what);
        if (sealer_step(r->sealer, err) < 0)
            return -1;
    }
    return 0;
}

int bench_runner_quit(struct bench_runner *r, int64_t within_ns, struct err *err)
{
    struct deadline deadline = deadline_in(within_ns, NULL);
    int status = 0;

    (void)bench_runner_ask(r, CLIENT_QUIT, 0);
    while (!child_dead(r->child, &status))
        if (deadline_sleep(&deadline, 5 * MS_NS) < 0)
            return err_set(err, "the client did not end");
    return status == 0 ? 0 : err_set(err, "the client ended with wait status %d", status);
}

int bench_runner_start(struct bench *b, struct bench_runner *r, const struct bench_client *which,
                       struct err *err)
{
    if (open_runner(b, r, err) < 0 || spawn(b, r, which, err) < 0)
        return -1;
    return bench_runner_await(r, &r->board->ready, START_WITHIN_NS, "ready", err);
}
