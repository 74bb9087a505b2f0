/*
 * How fast a recorded history is judged by loss, delivery and order together, decoding and merging
 * included, on one core.
 *
 *     check_bench [log|queue] [MESSAGES [UNITS [RUNS]]] [lost]   default log 10000000 1000 5
 *
 * Made up with the real writers and sealer: 8 producers, 4 consumers; 1 % of the sends are refused
 * and 1 % unknown (half of these arrived), 1 % of the log's positions hold nothing a consumer sees,
 * 1 % of the messages are delivered again after their owner changed. `lost`: one acknowledged
 * message in 10000 is missing at the end, so that loss takes its second look.
 *
 * log:   invoke, complete, deliver, one cumulative settle a partition and round, final audit
 * queue: invoke, complete, deliver, settle asked and answered for each message
 *
 * Events a second are those stored, divided by the CPU time of the whole check, all passes.
 */
#include "api/broker.h"
#include "api/registry.h"
#include "base/clock.h"
#include "base/draw.h"
#include "checkers/check.h"
#include "history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PRODUCERS 8
#define CONSUMERS 4
#define BURST 50       /* sends of one producer before their answers come */
#define ROUND 20000    /* messages between two rounds of the consumers */
#define LINGER_NS 2000 /* between two events */

struct stored {
    uint64_t seq;
    uint32_t key;
    uint16_t client;
    uint8_t lost;
};

struct unit {
    struct stored *log; /* by position; client PRODUCERS: nothing visible */
    size_t n, size;
    size_t next, committed;
    uint32_t epoch, owner;
};

struct traffic {
    bool queue, lost;
    uint64_t messages, events, sent;
    uint32_t n_units;
    struct unit *units;
    struct history_writer *writers[PRODUCERS + CONSUMERS], *machine;
    uint64_t seq[PRODUCERS];
    int64_t at_ns;
    struct draw draw;
    uint64_t draws;
    uint64_t tags;
};

static void stop(const char *what)
{
    fprintf(stderr, "check_bench: %s\n", what);
    exit(1);
}

static int64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

static uint64_t below(struct traffic *t, uint64_t n)
{
    return draw_below(&t->draw, t->draws++, n);
}

static void record(struct traffic *t, struct history_writer *w, struct event e)
{
    e.at_ns = t->at_ns += LINGER_NS;
    history_record(w, &e);
    t->events++;
}

/* ---- producing */

static void append(struct unit *u, struct stored one)
{
    if (u->n == u->size) {
        u->size = u->size ? u->size * 2 : 1024;
        u->log = realloc(u->log, u->size * sizeof(*u->log));
        if (!u->log)
            stop("no memory");
    }
    u->log[u->n++] = one;
}

static void answer(struct traffic *t, unsigned producer, uint64_t seq, uint32_t key)
{
    uint64_t fate = below(t, 1000);
    bool ok = fate >= 20, arrived = ok || fate < 5;
    uint32_t number = key % t->n_units;
    struct unit *u = &t->units[number];
    struct event e = {.type = EV_SEND_COMPLETE,
                      .client = (uint16_t)producer,
                      .seq = seq,
                      .unit = ok ? number : NO_UNIT,
                      .position = -1,
                      .node = (uint16_t)(number % 3),
                      .ref = 1};

    if (!t->queue && below(t, 100) == 0)
        append(u, (struct stored){.client = PRODUCERS});
    if (ok && !t->queue)
        e.position = (int64_t)u->n;
    if (arrived)
        append(u, (struct stored){seq, key, (uint16_t)producer,
                                  t->lost && ok && below(t, 10000) == 0});
    e.outcome_level = event_result(ok          ? OUTCOME_OK
                                   : fate < 10 ? OUTCOME_UNKNOWN
                                               : OUTCOME_FAIL,
                                   ok ? LEVEL_QUORUM : LEVEL_NONE);
    record(t, t->writers[producer], e);
}

static void produce(struct traffic *t, unsigned producer)
{
    uint32_t keys[BURST];
    uint64_t first = t->seq[producer];

    for (unsigned i = 0; i < BURST; i++) {
        keys[i] = (uint32_t)below(t, 64 * t->n_units);
        record(t, t->writers[producer],
               (struct event){.type = EV_SEND_INVOKE,
                              .client = (uint16_t)producer,
                              .seq = t->seq[producer]++,
                              .key = keys[i],
                              .unit = NO_UNIT,
                              .ref = 1});
    }
    for (unsigned i = 0; i < BURST; i++)
        answer(t, producer, first + i, keys[i]);
    t->sent += BURST;
}

/* ---- consuming */

static void own(struct traffic *t, uint32_t number)
{
    struct unit *u = &t->units[number];

    u->next = u->committed;
    record(t, t->writers[PRODUCERS + u->owner],
           (struct event){.type = EV_OWN,
                          .unit = number,
                          .epoch = ++u->epoch,
                          .ref = 1,
                          .position = t->queue ? -1 : (int64_t)u->committed,
                          .flags = (uint8_t)(EV_GAINED | (u->committed ? 0 : EV_RESET))});
}

static void settle(struct traffic *t, uint32_t number, struct event e)
{
    struct history_writer *w = t->writers[PRODUCERS + t->units[number].owner];

    e.type = EV_SETTLE_INVOKE;
    record(t, w, e);
    e.type = EV_SETTLE_COMPLETE;
    e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
    record(t, w, e);
}

static void deliver(struct traffic *t, uint32_t number, bool settled)
{
    struct unit *u = &t->units[number];
    const struct stored *m = &u->log[u->next];
    struct event e = {.type = EV_DELIVER,
                      .client = m->client,
                      .seq = m->seq,
                      .key = m->key,
                      .unit = number,
                      .epoch = u->epoch,
                      .ref = t->queue ? 0 : 1,
                      .position = t->queue ? (int64_t)++t->tags : (int64_t)u->next};

    if (!m->lost || !t->queue) {
        record(t, t->writers[PRODUCERS + u->owner], e);
        if (t->queue && settled)
            settle(t, number, e);
    }
    u->next++;
}

/* One round on one unit; in one of hundred the owner goes before it settled, and the next one is
 * given the same again. */
static void consume(struct traffic *t, uint32_t number)
{
    struct unit *u = &t->units[number];
    bool leaves = below(t, 100) == 0;

    if (u->next == u->n)
        return;
    while (u->next < u->n)
        if (u->log[u->next].client == PRODUCERS)
            u->next++;
        else
            deliver(t, number, !leaves);
    if (leaves) {
        u->owner = (u->owner + 1) % CONSUMERS;
        own(t, number);
        consume(t, number);
        return;
    }
    u->committed = u->n;
    if (!t->queue)
        settle(t, number,
               (struct event){.unit = number,
                              .epoch = u->epoch,
                              .ref = 1,
                              .position = (int64_t)u->n - 1,
                              .flags = EV_CUMULATIVE});
}

/* ---- the end */

static void audit(struct traffic *t, uint32_t number)
{
    const struct unit *u = &t->units[number];

    for (size_t at = 0; at < u->n && !t->queue; at++)
        if (u->log[at].client < PRODUCERS && !u->log[at].lost)
            record(t, t->machine,
                   (struct event){.type = EV_AUDIT_LOG,
                                  .client = u->log[at].client,
                                  .seq = u->log[at].seq,
                                  .key = u->log[at].key,
                                  .unit = number,
                                  .position = (int64_t)at});
    record(t, t->machine,
           (struct event){.type = EV_DRAIN,
                          .unit = number,
                          .position = (int64_t)u->n,
                          .outcome_level = event_result(OUTCOME_OK, (enum level)DRAIN_D2)});
}

static void run_traffic(struct traffic *t, struct sealer *s)
{
    struct err err = {0};

    for (uint32_t u = 0; u < t->n_units; u++) {
        t->units[u].owner = u % CONSUMERS;
        own(t, u);
    }
    while (t->sent < t->messages) {
        for (unsigned i = 0; i < ROUND / BURST; i++)
            produce(t, (unsigned)below(t, PRODUCERS));
        for (uint32_t u = 0; u < t->n_units; u++)
            consume(t, u);
        if (sealer_step(s, &err) < 0)
            stop(err.text);
    }
    for (uint32_t u = 0; u < t->n_units; u++) {
        audit(t, u);
        if (sealer_step(s, &err) < 0)
            stop(err.text);
    }
}

static void write_history(struct traffic *t, const char *folder)
{
    struct err err = {0};
    struct sealer *s = sealer_open(folder, &err);
    char name[32];

    if (!s)
        stop(err.text);
    for (unsigned i = 0; i <= PRODUCERS + CONSUMERS; i++) {
        bool machine = i == PRODUCERS + CONSUMERS;
        struct history_writer **w = machine ? &t->machine : &t->writers[i];

        snprintf(name, sizeof(name), "writer-%u", i);
        *w = history_writer_open(folder, name, machine ? BY_AUDIT : (uint16_t)i, &err);
        if (!*w)
            stop(err.text);
    }
    t->at_ns = SECOND_NS;
    t->draw = draw_stream(1, "check bench");
    run_traffic(t, s);
    for (unsigned i = 0; i < PRODUCERS + CONSUMERS; i++)
        history_writer_close(t->writers[i]);
    history_writer_close(t->machine);
    if (sealer_finish(s, &err) < 0)
        stop(err.text);
    sealer_close(s);
}

/* ---- the plan it is judged by: made by hand, no suite and no server */

static int names(const void *args, const char **sends_to, const char **reads, const char **group)
{
    *sends_to = NULL;
    *reads = args;
    *group = NULL;
    return 0;
}

static struct plan_case *make_plan(const struct traffic *t)
{
    static const struct broker_ops broker = {.name = "bench", .names = names};
    static const struct {
        int by, at;
    } at_log = {0, 0}, at_delivery = {0, 1};
    static uint32_t duties[] = {0};
    static struct plan_node nodes[3] = {
        {.id = 0, .name = "n1"}, {.id = 1, .name = "n2"}, {.id = 2, .name = "n3"}};
    static struct plan_dest dests[2];
    static struct plan_cluster clusters[1] = {{.alias = "bus", .name = "bus", .n_nodes = 3}};
    static struct plan_client clients[2];
    static struct plan_promise promises[3];
    static struct plan_case plan;
    struct plan_unit *units = calloc(t->n_units, sizeof(*units));

    if (!units)
        stop("no memory");
    for (uint32_t i = 0; i < t->n_units; i++)
        units[i] = (struct plan_unit){.name = "orders", .index = i};
    dests[0] = (struct plan_dest){
        .name = "orders", .kind = t->queue ? UNIT_QUEUE : UNIT_LOG, .n_units = t->n_units};
    dests[1] = dests[0];
    dests[1].name = "readers";
    dests[1].group = true;
    clients[0] = (struct plan_client){.name = "app",
                                      .instances = PRODUCERS,
                                      .workers = 1,
                                      .broker = &broker,
                                      .duties = duties,
                                      .n_duties = 1};
    clients[1] = (struct plan_client){.name = "reader",
                                      .first_id = PRODUCERS,
                                      .workers = 1,
                                      .instances = CONSUMERS,
                                      .broker = &broker,
                                      .broker_args = "orders"};
    promises[0].checker = checker_named("loss");
    promises[1].checker = checker_named("delivery");
    promises[2].checker = checker_named("order");
    promises[2].args = t->queue ? &at_delivery : &at_log;
    plan = (struct plan_case){.suite = "bench",
                              .name = "bench",
                              .twin = "",
                              .title = "bench",
                              .clusters = clusters,
                              .n_clusters = 1,
                              .nodes = nodes,
                              .n_nodes = 3,
                              .dests = dests,
                              .n_dests = 2,
                              .units = units,
                              .n_units = t->n_units,
                              .clients = clients,
                              .n_clients = 2,
                              .n_client_ids = PRODUCERS + CONSUMERS,
                              .promises = promises,
                              .n_promises = 3};
    return &plan;
}

/* ---- judging */

static double check_once(const struct traffic *t, const char *folder, const struct plan_case *plan,
                         bool tell)
{
    struct err err = {0};
    struct history_reader *r = history_open(folder, BY_TIME, UINT64_MAX, &err);
    struct check_result result;
    int64_t begun_ns = cpu_ns(), wall_ns = clock_now_ns();
    double rate;

    if (!r || check_history(folder, r, plan, NULL, &result, &err) < 0)
        stop(err.text);
    rate = (double)t->events * 1e3 / (double)(cpu_ns() - begun_ns);
    printf("check   %6.1f M events/s of CPU, %.1f of wall time, %u passes\n", rate,
           (double)t->events * 1e3 / (double)(clock_now_ns() - wall_ns), result.passes);
    for (size_t i = 0; tell && i < result.n; i++) {
        const struct findings *f = &result.items[i].findings;

        printf("        %s:%s%s", result.items[i].ops->name,
               f->inconclusive ? " inconclusive: " : "", f->why);
        for (size_t k = 0; k < f->n; k++)
            printf(" %s %llu", f->items[k].kind, (unsigned long long)f->items[k].count);
        printf("%s, exercised %lld\n", f->n || f->inconclusive ? "" : " nothing found",
               (long long)f->exercised);
    }
    check_release(&result);
    history_close(r);
    return rate;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct traffic t = {.messages = 10000000, .n_units = 1000};
    unsigned long runs = 5, numbers = 0;
    double rates[99];
    char folder[256], path[300];
    const struct plan_case *plan;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "queue") == 0)
            t.queue = true;
        else if (strcmp(argv[i], "lost") == 0)
            t.lost = true;
        else if (strcmp(argv[i], "log") != 0) {
            unsigned long n = strtoul(argv[i], NULL, 10);

            if (n == 0 || numbers == 3)
                stop("[log|queue] [MESSAGES [UNITS [RUNS]]] [lost]");
            if (numbers == 0)
                t.messages = n;
            else if (numbers == 1)
                t.n_units = (uint32_t)n;
            else
                runs = n < 99 ? n : 99;
            numbers++;
        }
    t.units = calloc(t.n_units, sizeof(*t.units));
    snprintf(folder, sizeof(folder), "%s/check-bench-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!t.units || !mkdtemp(folder))
        stop("no folder");
    write_history(&t, folder);
    for (uint32_t u = 0; u < t.n_units; u++)
        free(t.units[u].log);
    plan = make_plan(&t);
    printf("%llu messages, %llu events, %u units\n", (unsigned long long)t.sent,
           (unsigned long long)t.events, t.n_units);
    for (unsigned long i = 0; i < runs; i++)
        rates[i] = check_once(&t, folder, plan, i == 0);
    qsort(rates, runs, sizeof(*rates), compare);
    printf("median  %6.1f M events/s, %.1f to %.1f in %lu runs\n", rates[runs / 2], rates[0],
           rates[runs - 1], runs);
    snprintf(path, sizeof(path), "%s/history", folder);
    unlink(path);
    rmdir(folder);
    free(t.units);
    return 0;
}
