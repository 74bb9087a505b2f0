/*
 * Whether probes of a cache keep their schedule: one reader with a rate, a database and a cache,
 * and of each read how much later it began than it was due (send.c: the k-th of worker w of n at
 * start + (k·n + w) / rate). When the first was due is not in the history: it is taken from the
 * read that was the least late, so a delay that all of them have is not seen.
 */
#include "bench/runner.h"

#include "history/history.h"

#include <stdlib.h>

#define BATCH 4096

struct schedule {
    double rate_per_s;
    uint32_t workers;
    int64_t *off_ns; /* of each read: when it began, less when it was due after the start */
    size_t n;
    uint64_t done[UINT8_MAX + 1]; /* reads so far, by worker */
};

static void place(struct schedule *s, const struct event *e)
{
    uint64_t k = s->done[e->worker % (UINT8_MAX + 1)]++;
    double due = (double)(k * s->workers + e->worker) / s->rate_per_s;

    if (s->n % BATCH == 0) {
        s->off_ns = realloc(s->off_ns, (s->n + BATCH) * sizeof(*s->off_ns));
        if (!s->off_ns)
            abort();
    }
    s->off_ns[s->n++] = e->at_ns - (int64_t)(due * 1e9);
}

static int read_begins(const char *folder, struct schedule *s, struct err *err)
{
    struct history_reader *reader = history_open(folder, PER_WRITER, WANTS(READ_INVOKE), err);
    static struct event batch[BATCH];
    long n = 0;

    while (reader && (n = history_next(reader, batch, BATCH, err)) > 0)
        for (long i = 0; i < n; i++)
            place(s, &batch[i]);
    history_close(reader);
    if (!reader || n < 0)
        return -1;
    return s->n > 0 ? 0 : err_set(err, "no read was recorded");
}

int bench_probe(struct bench *b, struct err *err)
{
    const struct plan_client *client = &b->plan->clients[0];
    struct schedule s = {.rate_per_s = BENCH_PROBES_PER_S, .workers = client->workers};
    struct bench_probes found = {.seconds = b->leg_seconds};
    struct bench_runner r;
    int result = bench_runner_start(b, &r, &(struct bench_client){.client = 0}, err);

    if (result == 0)
        result = bench_runner_work(&r, b->leg_seconds, err);
    if (result == 0)
        result = bench_runner_quit(&r, BENCH_END_WITHIN_NS, err);
    if (result == 0)
        result = read_begins(r.folder, &s, err);
    bench_runner_close(&r);
    if (result == 0) {
        qsort(s.off_ns, s.n, sizeof(*s.off_ns), bench_by_size);
        found.reads = s.n;
        found.p50_ns = s.off_ns[s.n / 2] - s.off_ns[0];
        found.p99_ns = s.off_ns[s.n * 99 / 100] - s.off_ns[0];
        found.most_ns = s.off_ns[s.n - 1] - s.off_ns[0];
        bench_tell_probes(b, &found);
        result = b->json ? bench_write_probes(b, &found, err) : 0;
    }
    free(s.off_ns);
    return result;
}
