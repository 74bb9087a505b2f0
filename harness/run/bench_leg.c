/*
 * One leg of a bench: a client process (or the bare program) on its own network node, measured from
 * outside by its board, its output and its CPU clock. Sealing goes on beside it as in every run.
 */
#include "run/bench.h"

#include "run/verbs.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BURST 1
#define STEP_NS (50 * MS_NS)
#define START_WITHIN_NS (60 * SECOND_NS)
#define END_WITHIN_NS (60 * SECOND_NS)
#define VALGRIND "/usr/bin/valgrind"
#define VALGRIND_SLOWER 100 /* times, with room */

struct runner { /* one client process of a leg */
    struct child *child;
    struct client_board *board;
    int board_fd, control;
    struct sealer *sealer;
    char folder[300];
};

static double cpu_of(pid_t pid)
{
    struct timespec ts;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return -1;
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int64_t completed(const struct runner *r)
{
    const struct burst_board *board = &r->board->bursts[BURST];

    return atomic_load(&board->ok) + atomic_load(&board->fail) + atomic_load(&board->unknown);
}

/* Valgrind's command line goes in front; returns how many words. */
static size_t valgrind_words(const struct bench *b, const char **argv, char *out_file, size_t size)
{
    snprintf(out_file, size, "--log-file=%s/valgrind.log", b->folder);
    argv[0] = VALGRIND;
    argv[1] = "--tool=callgrind";
    argv[2] = "--callgrind-out-file=/dev/null";
    argv[3] = out_file;
    return 4;
}

/* ---- our client */

static int write_plan(const struct bench *b, const char *folder, struct err *err)
{
    char path[400];
    size_t n;
    char *text = plan_case_text(b->plan, &n);
    FILE *file;
    int result = 0;

    snprintf(path, sizeof(path), "%s/plan.yaml", folder);
    file = fopen(path, "we");
    if (!file || fwrite(text, 1, n, file) != n)
        result = err_errno(err, "%s", path);
    if (file && fclose(file) != 0 && result == 0)
        result = err_errno(err, "%s", path);
    free(text);
    return result;
}

static int open_runner(struct bench *b, struct runner *r, struct err *err)
{
    *r = (struct runner){.board_fd = -1, .control = -1};
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

static void close_runner(struct runner *r)
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
    remove_tree(r->folder);
}

static int start_runner(struct bench *b, struct runner *r, enum leg_kind kind, bool counted,
                        struct err *err)
{
    char self[500], log[400], out_file[300];
    const char *argv[16];
    struct child_options options = {.address = b->plan->clients[0].address, .cpu = -1, .log = log};
    size_t n = counted ? valgrind_words(b, argv, out_file, sizeof(out_file)) : 0;
    int sockets[2], fds[2];

    snprintf(self, sizeof(self), "%s/assay", b->programs);
    snprintf(log, sizeof(log), "%s/client.log", b->folder);
    argv[n++] = self;
    argv[n++] = "_client";
    argv[n++] = r->folder;
    argv[n++] = "0";
    argv[n++] = "0";
    argv[n++] = kind == LEG_UNRECORDED ? "unrecorded" : NULL;
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

static int ask(const struct runner *r, enum client_verb verb, int64_t count)
{
    struct client_command c = {.verb = verb, .burst = BURST, .count = count, .via = NO_NODE};

    return send(r->control, &c, sizeof(c), MSG_NOSIGNAL) == sizeof(c) ? 0 : -1;
}

/* Lets it work for so long, sealing behind it. */
static int let_work(struct runner *r, double seconds, struct err *err)
{
    struct deadline deadline = deadline_in((int64_t)(seconds * 1e9), NULL);
    int status;

    do {
        if (sealer_step(r->sealer, err) < 0)
            return -1;
        if (child_dead(r->child, &status))
            return err_set(err, "the client died (wait status %d)", status);
    } while (deadline_sleep(&deadline, STEP_NS) == 0);
    return 0;
}

/* Until the word is there; the client's own reason when it fails. */
static int await(struct runner *r, const _Atomic int32_t *word, int64_t within_ns, const char *what,
                 struct err *err)
{
    struct deadline deadline = deadline_in(within_ns, NULL);
    struct client_answer answer = {0};
    int status;

    while (atomic_load(word) < 1) {
        bool over = deadline_sleep(&deadline, MS_NS) < 0;

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

static int quit(struct runner *r, int64_t within_ns, struct err *err)
{
    struct deadline deadline = deadline_in(within_ns, NULL);
    int status = 0;

    (void)ask(r, CLIENT_QUIT, 0);
    while (!child_dead(r->child, &status))
        if (deadline_sleep(&deadline, 5 * MS_NS) < 0)
            return err_set(err, "the client did not end");
    return status == 0 ? 0 : err_set(err, "the client ended with wait status %d", status);
}

static int measure(struct bench *b, struct runner *r, struct leg *out, struct err *err)
{
    pid_t pid = child_pid(r->child);
    int64_t messages, began_ns;
    double cpu;

    if (await(r, &r->board->ready, START_WITHIN_NS, "ready", err) < 0)
        return -1;
    (void)ask(r, CLIENT_BURST, -1);
    if (let_work(r, b->warm_seconds, err) < 0)
        return -1;
    began_ns = clock_now_ns();
    messages = completed(r);
    cpu = cpu_of(pid);
    if (let_work(r, b->leg_seconds, err) < 0)
        return -1;
    out->cpu_seconds = cpu_of(pid) - cpu;
    out->messages = (double)(completed(r) - messages);
    out->seconds = (double)(clock_now_ns() - began_ns) / 1e9;
    b->rate_per_s = out->messages / out->seconds;
    if (atomic_load(&r->board->bursts[BURST].ok) < completed(r))
        return err_set(err, "%lld sends were refused or unknown: no fault was meant",
                       (long long)(completed(r) - atomic_load(&r->board->bursts[BURST].ok)));
    (void)ask(r, CLIENT_END, 0);
    if (await(r, &r->board->bursts[BURST].done, END_WITHIN_NS, "done", err) < 0)
        return -1;
    return quit(r, END_WITHIN_NS, err);
}

static int client_leg(struct bench *b, enum leg_kind kind, struct leg *out, struct err *err)
{
    struct runner r;
    int result = open_runner(b, &r, err);

    if (result == 0)
        result = start_runner(b, &r, kind, false, err);
    if (result == 0)
        result = measure(b, &r, out, err);
    close_runner(&r);
    return result;
}

/* ---- programs that are none of ours */

const struct bench_program *bench_program_of(const struct bench *b, enum leg_kind kind)
{
    return kind >= LEG_BARE ? &b->system->programs[kind - LEG_BARE] : NULL;
}

bool bench_program_path(const struct bench *b, enum leg_kind kind, char *path, size_t size)
{
    const struct bench_program *program = bench_program_of(b, kind);

    if (!program || !program->file)
        return false;
    if (*program->file == '/')
        snprintf(path, size, "%s", program->file);
    else
        snprintf(path, size, "%s/%s", b->programs, program->file);
    return access(path, X_OK) == 0;
}

static int read_output(const struct bench_program *program, const char *path, int64_t count,
                       struct leg *out, struct err *err)
{
    static char text[1 << 16]; /* a progress line each second */
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

    if (file)
        fclose(file);
    text[n] = '\0';
    if (program->read(text, count, &out->messages, &out->seconds) == 0)
        return 0;
    return err_set(err, "cannot read what %s said: %.300s", program->name, text);
}

static int program_leg(struct bench *b, enum leg_kind kind, int64_t count, double seconds,
                       bool counted, struct leg *out, struct err *err)
{
    const struct bench_program *program = bench_program_of(b, kind);
    char path[600], log[400], out_file[300], text[4][160];
    const char *argv[40];
    struct child_options options = {.address = b->plan->clients[0].address, .cpu = -1, .log = log};
    size_t n = counted ? valgrind_words(b, argv, out_file, sizeof(out_file)) : 0;
    struct deadline deadline =
        deadline_in((int64_t)((seconds * (counted ? VALGRIND_SLOWER : 5) + 60) * 1e9), NULL);
    struct child *child;
    double cpu = 0;
    int status = 0;

    (void)bench_program_path(b, kind, path, sizeof(path));
    snprintf(log, sizeof(log), "%s/program.log", b->folder);
    (void)unlink(log);
    argv[n] = path;
    program->args(b->plan, count, seconds, argv + n, text);
    child = child_spawn(b->box, "bare", argv, &options, err);
    if (!child)
        return -1;
    while (!child_dead(child, &status) && deadline_sleep(&deadline, 2 * MS_NS) == 0) {
        double now = cpu_of(child_pid(child));

        cpu = now > cpu ? now : cpu;
    }
    child_close(child);
    if (status != 0)
        return err_set(err, "%s ended with wait status %d (%s)", program->name, status, log);
    out->cpu_seconds = cpu;
    return read_output(program, log, count, out, err);
}

/* Each leg finds the cluster as the first one did. */
static int fresh(struct bench *b, struct err *err)
{
    struct cluster *cluster = &b->slot->cluster;

    if (!cluster->ops->reset)
        return 0;
    return cluster->ops->reset(cluster, b->plan, deadline_in(60 * SECOND_NS, NULL), err);
}

int bench_leg(struct bench *b, enum leg_kind kind, struct leg *out, struct err *err)
{
    *out = (struct leg){0};
    if (fresh(b, err) < 0)
        return -1;
    if (kind >= LEG_BARE)
        return program_leg(b, kind, (int64_t)(b->rate_per_s * b->leg_seconds), b->leg_seconds,
                           false, out, err);
    return client_leg(b, kind, out, err);
}

/* ---- instructions */

static int read_instructions(const struct bench *b, double *instructions, struct err *err)
{
    char path[400], line[500];
    FILE *file;

    snprintf(path, sizeof(path), "%s/valgrind.log", b->folder);
    file = fopen(path, "re");
    *instructions = -1;
    while (file && fgets(line, sizeof(line), file)) {
        const char *found = strstr(line, "Collected :");

        if (found)
            *instructions = strtod(found + strlen("Collected :"), NULL);
    }
    if (file)
        fclose(file);
    return *instructions > 0 ? 0 : err_set(err, "valgrind counted nothing (%s)", path);
}

static int counted_client(struct bench *b, enum leg_kind kind, int64_t count, struct err *err)
{
    struct runner r;
    int result = open_runner(b, &r, err);

    if (result == 0)
        result = start_runner(b, &r, kind, true, err);
    if (result == 0)
        result = await(&r, &r.board->ready, START_WITHIN_NS, "ready", err);
    if (result == 0)
        result = ask(&r, CLIENT_BURST, count);
    if (result == 0)
        result = await(&r, &r.board->bursts[BURST].done, 5 * END_WITHIN_NS, "done", err);
    if (result == 0)
        result = quit(&r, END_WITHIN_NS, err);
    close_runner(&r);
    return result;
}

/* One counted run: how many messages, how many instructions in all. */
static int counted_run(struct bench *b, enum leg_kind kind, unsigned length, double *messages,
                       double *instructions, struct err *err)
{
    int64_t count = length * INT64_C(20000);
    struct leg leg = {.messages = (double)count};
    int result = fresh(b, err);

    if (result == 0 && kind >= LEG_BARE)
        result = program_leg(b, kind, count, 2.0 * length, true, &leg, err);
    else if (result == 0)
        result = counted_client(b, kind, count, err);
    *messages = leg.messages;
    return result < 0 ? result : read_instructions(b, instructions, err);
}

int bench_instructions(struct bench *b, enum leg_kind kind, double *per_message, struct err *err)
{
    double messages[2], instructions[2];

    if (access(VALGRIND, X_OK) < 0)
        return err_set(err, "no %s to count with", VALGRIND);
    for (unsigned i = 0; i < 2; i++)
        if (counted_run(b, kind, i == 0 ? 1 : 4, &messages[i], &instructions[i], err) < 0)
            return -1;
    *per_message = (instructions[1] - instructions[0]) / (messages[1] - messages[0]);
    return 0;
}
