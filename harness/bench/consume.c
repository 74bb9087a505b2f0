/*
 * One leg of a bench that consumes. Client 0 of the suite has filled the queue before, recording
 * off; client 1 takes everything out, or the bare program does; measured from the first delivery to
 * the last, so that connecting and joining are left out on both sides. What a leg of the wanted
 * length can take is found by a short one first. A log is filled once and read by every leg from
 * its beginning, as often as the wanted length takes where a node has no room for so much; a queue
 * is filled anew each time.
 *
 * Recording off also leaves out the check of every payload, which the recorder makes.
 */
#include "bench/legs.h"

#define READER 1u
#define LOOK_NS (2 * MS_NS)
#define LOOKS_PER_SEAL (SEAL_EVERY_NS / LOOK_NS)

struct look {
    int64_t delivered, at_ns;
    double cpu;
};

static struct look look(const struct bench_runner *r)
{
    return (struct look){.delivered = atomic_load(&r->board->delivered),
                         .at_ns = clock_now_ns(),
                         .cpu = bench_cpu_of(child_pid(r->child))};
}

/* Until so many were delivered; an error when nothing comes any more. */
static int await_delivered(struct bench_runner *r, int64_t count, struct look *now, struct err *err)
{
    int64_t last = -1, moved_ns = clock_now_ns();
    struct deadline never = deadline_in(INT64_MAX / 2, NULL);
    int status;

    for (unsigned looks = 0; (*now = look(r)).delivered < count; looks++) {
        if (now->delivered != last)
            moved_ns = now->at_ns;
        last = now->delivered;
        if (now->at_ns - moved_ns > BENCH_END_WITHIN_NS)
            return err_set(err, "%lld of %lld messages were delivered, then no more",
                           (long long)last, (long long)count);
        if (child_dead(r->child, &status))
            return err_set(err, "the client died (wait status %d)", status);
        if (looks % LOOKS_PER_SEAL == 0 && sealer_step(r->sealer, err) < 0)
            return -1;
        (void)deadline_sleep(&never, LOOK_NS);
    }
    return 0;
}

static int client_consumes(struct bench *b, const struct bench_client *which, int64_t count,
                           struct leg *out, struct err *err)
{
    struct bench_runner r;
    struct look first, last;
    int result = bench_runner_start(b, &r, which, err);

    if (result == 0)
        result = await_delivered(&r, 1, &first, err);
    if (result == 0)
        result = await_delivered(&r, count, &last, err);
    if (result == 0)
        *out = (struct leg){.messages = (double)(last.delivered - first.delivered),
                            .seconds = (double)(last.at_ns - first.at_ns) / 1e9,
                            .cpu_seconds = last.cpu - first.cpu};
    if (result == 0)
        result = bench_runner_quit(&r, BENCH_END_WITHIN_NS, err);
    bench_runner_close(&r);
    return result;
}

static int consume(struct bench *b, enum leg_kind kind, int64_t count, bool counted,
                   struct leg *out, struct err *err)
{
    struct bench_client which = {
        .client = READER, .unrecorded = kind == LEG_UNRECORDED, .counted = counted};

    if (kind >= LEG_BARE)
        return bench_program(b, kind, count, b->leg_seconds, counted, out, err);
    return client_consumes(b, &which, count, out, err);
}

static int fill(struct bench *b, int64_t count, struct err *err)
{
    struct bench_client which = {.client = 0, .unrecorded = true};

    b->filled = 0;
    if (bench_fresh(b, err) < 0 || bench_send(b, &which, count, err) < 0)
        return err_prefix(err, "filling");
    b->filled = count;
    return 0;
}

/* How many messages a leg of the wanted length takes out, in so many passes. */
static int find_count(struct bench *b, struct err *err)
{
    int64_t in_all;
    struct leg trial;

    if (fill(b, b->system->trial, err) < 0 ||
        consume(b, LEG_RECORDED, b->system->trial, false, &trial, err) < 0)
        return -1;
    if (trial.messages <= 0 || trial.seconds <= 0)
        return err_set(err, "%lld messages are too few to tell a rate",
                       (long long)b->system->trial);
    b->rate_per_s = trial.messages / trial.seconds;
    in_all = (int64_t)(b->rate_per_s * b->leg_seconds);
    if (in_all < b->system->trial)
        in_all = b->system->trial;
    b->passes = b->system->room ? 1 + (unsigned)((in_all - 1) / b->system->room) : 1;
    b->count = in_all / b->passes;
    b->filled = 0;
    return 0;
}

int bench_consume_leg(struct bench *b, enum leg_kind kind, struct leg *out, struct err *err)
{
    if (b->count == 0 && find_count(b, err) < 0)
        return -1;
    if ((!b->system->keeps || b->filled != b->count) && fill(b, b->count, err) < 0)
        return -1;
    for (unsigned i = 0; i < b->passes; i++) {
        struct leg pass = {0};

        if (consume(b, kind, b->count, false, &pass, err) < 0)
            return -1;
        out->messages += pass.messages;
        out->seconds += pass.seconds;
        out->cpu_seconds += pass.cpu_seconds;
    }
    return 0;
}

int bench_consume_counted(struct bench *b, enum leg_kind kind, int64_t count, struct leg *out,
                          struct err *err)
{
    if (fill(b, count, err) < 0 || consume(b, kind, count, true, out, err) < 0)
        return -1;
    out->messages = (double)count; /* whatever was there at the first look */
    return 0;
}
