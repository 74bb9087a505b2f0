/*
 * One worker thread: its log, its broker handle with the decorators on it, its store; opened by the
 * main thread's order, run by the workload, flushed and closed in order when asked to quit.
 */
#include "client/worker.h"

#include "api/tree.h"
#include "base/clock.h"
#include "client/liar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PAUSE_LOOK_NS (20 * MS_NS) /* how soon a pause is broken off */

/* ---- what workloads ask about themselves */

const struct plan_case *worker_case(const struct worker *w)
{
    return w->client->plan;
}

const struct plan_client *worker_client(const struct worker *w)
{
    return w->client->spec;
}

struct msg_id worker_identity(const struct worker *w)
{
    return w->me;
}

bool worker_sends(const struct worker *w)
{
    return w->sends;
}

bool worker_receives(const struct worker *w)
{
    return w->receives;
}

long worker_target(const struct worker *w)
{
    return w->target;
}

long worker_source(const struct worker *w)
{
    return w->source;
}

void worker_pause(const struct worker *w, int64_t for_ns)
{
    struct deadline pause = deadline_in(for_ns, NULL);

    while (!worker_stopping(w) && deadline_sleep(&pause, PAUSE_LOOK_NS) == 0)
        ;
}

bool worker_reading(const struct worker *w)
{
    return w->receives && !atomic_load_explicit(&w->client->stop_reading, memory_order_relaxed);
}

/* ---- the board */

static void add(_Atomic int64_t *word, int64_t *amount)
{
    if (*amount != 0)
        atomic_fetch_add_explicit(word, *amount, memory_order_release);
    *amount = 0;
}

static void board_burst(struct worker *w, unsigned number)
{
    struct burst_board *board = &w->client->board->bursts[number];
    int64_t *ended = w->tally.ended[number];

    add(&board->sent, &w->tally.sent[number]);
    add(&board->ok, &ended[OUTCOME_OK]);
    add(&board->fail, &ended[OUTCOME_FAIL]);
    add(&board->unknown, &ended[OUTCOME_UNKNOWN]);
    add(&board->believed, &ended[OUTCOME_BELIEVED]);
    add(&board->reads, &w->tally.reads[number]);
    add(&board->hits, &w->tally.hits[number]);
}

void worker_board(struct worker *w)
{
    struct client_board *board = w->client->board;
    struct tally *tally = &w->tally;

    for (unsigned i = 0; tally->touched != 0; i++, tally->touched >>= 1)
        if (tally->touched & 1)
            board_burst(w, i);
    add(&board->outstanding, &tally->outstanding);
    add(&board->delivered, &tally->delivered);
    add(&board->redelivered, &tally->redelivered);
    add(&board->effects, &tally->effects);
    add(&board->settled, &tally->settled);
    add(&board->owned, &tally->owned);
    add(&board->unknown_commits, &tally->unknown_commits);
}

/* ---- open and close */

static bool has_verb(const struct plan_client *spec, const char *const *verbs)
{
    for (size_t i = 0; verbs && verbs[i]; i++)
        if ((spec->verb && strcmp(spec->verb, verbs[i]) == 0) ||
            (spec->tree && tree_get(spec->tree, verbs[i])))
            return true;
    return false;
}

static void find_destinations(struct worker *w)
{
    const struct plan_client *spec = w->client->spec;
    const char *sends_to = NULL;
    const char *reads = NULL;
    const char *group = NULL;

    w->target = w->source = -1;
    if (!spec->broker)
        return;
    if (spec->broker->names)
        spec->broker->names(spec->broker_args, &sends_to, &reads, &group);
    if (w->sends && sends_to)
        w->target = plan_dest_named(w->client->plan, sends_to);
    if (w->receives && group)
        w->source = plan_dest_named(w->client->plan, group);
    else if (w->receives && reads)
        w->source = plan_dest_named(w->client->plan, reads);
}

_Static_assert(sizeof(struct worker_gate) == sizeof(struct step_gate) &&
                   offsetof(struct worker_gate, armed) == offsetof(struct step_gate, armed),
               "gates as they lie on the board");

static void open_head(struct worker *w)
{
    w->head.gates = (const struct worker_gate *)(const void *)w->client->board->steps;
    w->head.asked = &w->client->stopping;
    w->head.log_full = history_full_flag(w->log);
}

static int open_slots(struct worker *w, struct err *err)
{
    uint32_t n = w->client->needs.outstanding;

    w->slots = calloc(n, sizeof(*w->slots));
    w->free_slots = calloc(n, sizeof(*w->free_slots));
    w->retry = calloc(n, sizeof(*w->retry));
    w->payload = calloc(1, w->client->needs.payload_bytes);
    if (!w->slots || !w->free_slots || !w->retry || !w->payload)
        return err_set(err, "out of memory for %u sends in flight", n);
    for (uint32_t i = 0; i < n; i++)
        w->free_slots[i] = n - 1 - i;
    w->n_free = n;
    return worker_receive_open(w, err);
}

static int open_log(struct worker *w, struct err *err)
{
    struct client *client = w->client;
    char name[160];

    snprintf(name, sizeof(name), "%s-%u.%u.%u", client->spec->name,
             client->id - client->spec->first_id, client->incarnation, w->number);
    w->log = history_writer_open(client->folder, name, client->id, err);
    return w->log ? 0 : -1;
}

struct client_spec worker_spec(const struct worker *w)
{
    const struct client *client = w->client;

    return (struct client_spec){.plan = client->plan,
                                .client = client->spec,
                                .client_id = client->id,
                                .incarnation = client->incarnation,
                                .worker = w->number,
                                .sends = w->sends,
                                .receives = w->receives,
                                .run = client->plan->run,
                                .folder = client->folder};
}

static int open_broker(struct worker *w, struct err *err)
{
    struct client *client = w->client;
    const struct broker_ops *ops = client->spec->broker;
    struct client_spec spec = worker_spec(w);
    struct recorder_options recorder = {.log = w->log,
                                        .clock = &w->clock,
                                        .run = client->plan->run,
                                        .slots = client->needs.outstanding + w->n_settles,
                                        .source = w->source < 0 ? NO_REF : (uint32_t)w->source};
    void *self = ops ? calloc(1, ops->size) : NULL;

    if (!ops)
        return 0; /* works on databases and caches alone */
    if (!self)
        return err_set(err, "out of memory");
    if (ops->open(self, &spec, w->wake_fd, err) < 0) {
        free(self);
        return -1;
    }
    w->broker = (struct broker){.ops = ops, .self = self};
    if (client->lies)
        w->broker = liar_wrap(w->broker, client->lies, &spec, recorder.slots);
    if (!client->unrecorded)
        w->broker = recorder_wrap(w->broker, &recorder);
    return 0;
}

int worker_open(struct worker *w, struct client *client, unsigned number, struct err *err)
{
    const struct plan_client *spec = client->spec;

    w->client = client;
    w->number = (uint16_t)number;
    w->me = (struct msg_id){
        .client = client->id, .incarnation = client->incarnation, .worker = w->number};
    w->sends = spec->broker && has_verb(spec, spec->broker->send_verbs);
    w->receives = spec->broker && has_verb(spec, spec->broker->receive_verbs);
    w->has_role = has_verb(spec, client->plan->workload->roles);
    w->hands_over = plan_client_hands_over(spec);
    w->attempts_max = 1;
    find_destinations(w);
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->wake_fd < 0)
        return err_errno(err, "eventfd");
    if (open_log(w, err) < 0)
        return -1;
    open_head(w);
    return open_slots(w, err);
}

void worker_wake(struct worker *w)
{
    uint64_t one = 1;

    (void)!write(w->wake_fd, &one, sizeof(one));
}

void worker_close(struct worker *w)
{
    history_writer_close(w->log);
    worker_receive_close(w);
    free(w->slots);
    free(w->free_slots);
    free(w->retry);
    free(w->payload);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
}

/* ---- the thread */

static int work(struct worker *w)
{
    int status = w->client->plan->workload->run(w, &w->err);

    if (status < 0)
        w->head.status = status;
    if (w->head.status == 0 && history_full(w->log))
        w->head.status = err_set(&w->err, "the history is full");
    worker_flush(w);
    return w->head.status;
}

/* Everything that may block is opened, used and closed in the worker's own thread. */
void *worker_main(void *worker)
{
    struct worker *w = worker;
    struct client_board *board = w->client->board;

    if (open_broker(w, &w->err) < 0 || worker_stores_open(w, &w->err) < 0) {
        w->head.status = -1; /* the main thread tells why, and raises `failed` */
    } else {
        atomic_fetch_add(&board->ready, 1);
        (void)work(w);
    }
    if (w->broker.ops) {
        w->broker.ops->close(w->broker.self, w->head.status < 0 ? CLOSE_ABRUPT : CLOSE_FLUSH);
        free(w->broker.self);
        w->broker.ops = NULL;
    }
    worker_stores_close(w);
    return NULL;
}
