/*
 * One leg of a bench that sends: our client or a program that is none of ours, measured from
 * outside by its board, its output and its CPU clock. Legs that consume are in consume.c.
 */
#include "bench/legs.h"
#include "bench/runner.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALGRIND_SLOWER 100 /* times, with room */

/* ---- our client */

static int measure(struct bench *b, struct bench_runner *r, struct leg *out, struct err *err)
{
    pid_t pid = child_pid(r->child);
    int64_t messages, began_ns;
    double cpu;

    (void)bench_runner_ask(r, CLIENT_BURST, -1);
    if (bench_runner_work(r, b->warm_seconds, err) < 0)
        return -1;
    began_ns = clock_now_ns();
    messages = bench_runner_completed(r);
    cpu = bench_cpu_of(pid);
    if (bench_runner_work(r, b->leg_seconds, err) < 0)
        return -1;
    out->cpu_seconds = bench_cpu_of(pid) - cpu;
    out->messages = (double)(bench_runner_completed(r) - messages);
    out->seconds = (double)(clock_now_ns() - began_ns) / 1e9;
    if (atomic_load(&r->board->bursts[BENCH_BURST].ok) < bench_runner_completed(r))
        return err_set(err, "%lld sends were refused or unknown: no fault was meant",
                       (long long)(bench_runner_completed(r) -
                                   atomic_load(&r->board->bursts[BENCH_BURST].ok)));
    (void)bench_runner_ask(r, CLIENT_END, 0);
    if (bench_runner_await(r, &r->board->bursts[BENCH_BURST].done, BENCH_END_WITHIN_NS, "done",
                           err) < 0)
        return -1;
    return bench_runner_quit(r, BENCH_END_WITHIN_NS, err);
}

static int client_leg(struct bench *b, enum leg_kind kind, struct leg *out, struct err *err)
{
    struct bench_client which = {.client = 0, .unrecorded = kind == LEG_UNRECORDED};
    struct bench_runner r;
    int result = bench_runner_start(b, &r, &which, err);

    if (result == 0)
        result = measure(b, &r, out, err);
    bench_runner_close(&r);
    return result;
}

int bench_send(struct bench *b, const struct bench_client *which, int64_t count, struct err *err)
{
    struct bench_runner r;
    int result = bench_runner_start(b, &r, which, err);

    if (result == 0)
        result = bench_runner_ask(&r, CLIENT_BURST, count);
    if (result == 0)
        result = bench_runner_await(&r, &r.board->bursts[BENCH_BURST].done, BENCH_END_WITHIN_NS,
                                    "done", err);
    if (result == 0)
        result = bench_runner_quit(&r, BENCH_END_WITHIN_NS, err);
    bench_runner_close(&r);
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
    if (program->read(text, count, out) == 0)
        return 0;
    return err_set(err, "cannot read what %s said: %.300s", program->name, text);
}

int bench_program(struct bench *b, enum leg_kind kind, int64_t count, double seconds, bool counted,
                  struct leg *out, struct err *err)
{
    const struct bench_program *program = bench_program_of(b, kind);
    char path[600], log[400], text[4][160];
    const char *argv[40];
    struct child_options options = {.address = b->plan->clients[0].address, .cpu = -1, .log = log};
    size_t n = counted ? bench_valgrind_words(b, argv) : 0;
    double within = seconds * (counted ? VALGRIND_SLOWER : 5) + 60;
    struct deadline deadline = deadline_in((int64_t)(within * 1e9), NULL);
    struct child *child;
    double cpu = 0;
    int status = 0;
    bool ended;

    (void)bench_program_path(b, kind, path, sizeof(path));
    snprintf(log, sizeof(log), "%s/program.log", b->folder);
    (void)unlink(log);
    argv[n] = path;
    program->args(&(struct bench_ask){b->plan, count, seconds, counted}, argv + n, text);
    child = child_spawn(b->box, "bare", argv, &options, err);
    if (!child)
        return -1;
    while (!(ended = child_dead(child, &status)) && deadline_sleep(&deadline, 2 * MS_NS) == 0) {
        double now = bench_cpu_of(child_pid(child));

        cpu = now > cpu ? now : cpu;
    }
    child_close(child);
    if (!ended || status != 0) {
        if (ended)
            err_set(err, "%s ended with wait status %d", program->name, status);
        else
            err_set(err, "%s had not ended after %.0f s", program->name, within);
        log_blame(program->name, log, err);
        return -1;
    }
    out->cpu_seconds = cpu;
    return read_output(program, log, count, out, err);
}

int bench_fresh(struct bench *b, struct err *err)
{
    for (size_t i = 0; i < b->plan->n_clusters; i++) {
        struct cluster *cluster = &b->slots[i]->cluster;

        if (cluster->ops->reset &&
            cluster->ops->reset(cluster, b->plan, deadline_in(60 * SECOND_NS, NULL), err) < 0)
            return -1;
    }
    return 0;
}

int bench_leg(struct bench *b, enum leg_kind kind, struct leg *out, struct err *err)
{
    *out = (struct leg){0};
    if (b->system->consumes)
        return bench_consume_leg(b, kind, out, err);
    if (bench_fresh(b, err) < 0)
        return -1;
    if (kind >= LEG_BARE)
        return bench_program(b, kind, (int64_t)(b->rate_per_s * b->leg_seconds), b->leg_seconds,
                             false, out, err);
    if (client_leg(b, kind, out, err) < 0)
        return -1;
    b->rate_per_s = out->messages / out->seconds;
    return 0;
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

static int counted_send(struct bench *b, enum leg_kind kind, int64_t count, double seconds,
                        struct leg *leg, struct err *err)
{
    struct bench_client which = {
        .client = b->system->even, .unrecorded = kind == LEG_UNRECORDED, .counted = true};

    leg->messages = (double)count;
    if (bench_fresh(b, err) < 0)
        return -1;
    if (kind >= LEG_BARE)
        return bench_program(b, kind, count, seconds, true, leg, err);
    return bench_send(b, &which, count, err);
}

/* One counted run: how many messages, how many instructions in all. */
static int counted_run(struct bench *b, enum leg_kind kind, unsigned length, double *messages,
                       double *instructions, struct err *err)
{
    int64_t count = length * INT64_C(20000);
    struct leg leg = {0};
    int result = b->system->consumes ? bench_consume_counted(b, kind, count, &leg, err)
                                     : counted_send(b, kind, count, 2.0 * length, &leg, err);

    *messages = leg.messages;
    return result < 0 ? result : read_instructions(b, instructions, err);
}

int bench_instructions(struct bench *b, enum leg_kind kind, double *per_message, struct err *err)
{
    double messages[2], instructions[2];

    if (access(BENCH_VALGRIND, X_OK) < 0)
        return err_set(err, "no %s to count with", BENCH_VALGRIND);
    for (unsigned i = 0; i < 2; i++)
        if (counted_run(b, kind, i == 0 ? 1 : 4, &messages[i], &instructions[i], err) < 0)
            return -1;
    *per_message = (instructions[1] - instructions[0]) / (messages[1] - messages[0]);
    return 0;
}
