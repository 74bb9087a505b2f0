/*
 * Several messages in flight inside one worker, as applications do that hand the messages of one
 * consumer to a pool. Whose turn it is is drawn, so messages end in another order than they came
 * in; one that is held before its work stays behind while all others go on. What may be settled
 * then is the question: up to the first that is not done (lowest_contiguous), or, wrongly, up to
 * the last that is (highest_done).
 *
 * A new owner's deliveries make an earlier ownership's ones of the same partition void.
 */
#include "workloads/transfer.h"

#include "plan/plan.h"

#include <stdio.h>
#include <stdlib.h>

enum task_state { TASK_WAITS, TASK_RUNS, TASK_DONE };

struct task {
    struct delivery delivery;
    struct msg msg;
    enum task_state state;
    struct step_wait wait;
};

int tasks_open(struct tasks *t, struct ledger *ledger, struct settling *settling, struct err *err)
{
    const struct plan_case *plan = worker_case(ledger->worker);
    struct msg_id me = worker_identity(ledger->worker);
    char stream[64];

    *t = (struct tasks){.worker = ledger->worker,
                        .ledger = ledger,
                        .settling = settling,
                        .most = (size_t)ledger->args->tasks};
    snprintf(stream, sizeof(stream), "transfer.turn.%u.%u.%u", me.client, me.incarnation,
             me.worker);
    t->draw = draw_stream(plan->seed, stream);
    t->window = calloc(WINDOW_MAX, sizeof(*t->window));
    t->units = calloc(plan->n_units + 1, sizeof(*t->units));
    for (size_t i = 0; t->units && i <= plan->n_units; i++)
        t->units[i].highest = -1;
    return t->window && t->units ? 0 : err_set(err, "out of memory");
}

void tasks_release(struct tasks *t)
{
    free(t->window);
    free(t->units);
}

static struct task *task_at(const struct tasks *t, size_t i)
{
    return &t->window[(t->head + i) % WINDOW_MAX];
}

bool tasks_room(const struct tasks *t)
{
    return WINDOW_MAX - t->n >= HARVEST_MAX;
}

static struct tasks_unit *unit_of(const struct tasks *t, const struct delivery *d)
{
    size_t units = worker_case(t->worker)->n_units;

    return &t->units[d->unit < units ? d->unit : units];
}

/* ---- settling */

/* The last of those done without a gap from the window's start, of this one's partition. */
static const struct task *contiguous(const struct tasks *t, const struct delivery *d)
{
    const struct task *last = NULL;

    for (size_t i = 0; i < t->n; i++) {
        const struct task *task = task_at(t, i);

        if (task->delivery.unit != d->unit || task->delivery.epoch != d->epoch)
            continue;
        if (task->state != TASK_DONE)
            break;
        last = task;
    }
    return last;
}

static void settle(struct tasks *t, const struct task *done)
{
    bool any = t->settling->mode == SETTLE_HIGHEST_DONE;
    const struct task *up_to = any ? done : contiguous(t, &done->delivery);
    struct tasks_unit *unit = unit_of(t, &done->delivery);

    if (!up_to || up_to->delivery.position <= unit->highest)
        return;
    unit->highest = up_to->delivery.position;
    settling_now(t->settling, &up_to->delivery, true);
}

static void forget_settled(struct tasks *t)
{
    while (t->n > 0 && task_at(t, 0)->state == TASK_DONE) {
        t->head = (t->head + 1) % WINDOW_MAX;
        t->n--;
    }
}

/* ---- taking */

static void begin_epoch(struct tasks *t, const struct delivery *d)
{
    struct tasks_unit *unit = unit_of(t, d);

    if (unit->epoch == d->epoch)
        return;
    *unit = (struct tasks_unit){.highest = -1, .epoch = d->epoch};
    for (size_t i = 0; i < t->n; i++) {
        struct task *task = task_at(t, i);

        if (task->delivery.unit == d->unit && task->delivery.epoch != d->epoch && !task->wait.held)
            task->state = TASK_DONE;
    }
}

void tasks_add(struct tasks *t, const struct delivery *d)
{
    struct task *task = task_at(t, t->n);

    begin_epoch(t, d);
    *task = (struct task){.delivery = *d};
    task->delivery.payload = NULL;
    if (d->msg)
        task->msg = *d->msg;
    task->delivery.msg = d->msg ? &task->msg : NULL;
    t->n++;
    if (!d->msg || d->msg->flags & MSG_MARKER) { /* no work in it, but it is taken */
        task->state = TASK_DONE;
        settle(t, task);
    }
}

/* ---- turns */

/* Of those in flight, the oldest first; how many of them. */
static size_t in_flight(struct tasks *t, struct task **tasks)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n && n < t->most; i++) {
        struct task *task = task_at(t, i);

        if (task->state == TASK_WAITS)
            task->state = TASK_RUNS;
        if (task->state == TASK_RUNS)
            tasks[n++] = task;
    }
    return n;
}

static void work_on(struct tasks *t, struct task *task)
{
    enum applied applied;

    worker_pause(t->worker, t->ledger->args->work_ns);
    applied = ledger_apply(t->ledger, &task->delivery);
    if (applied == GIVEN_UP)
        return;
    task->state = TASK_DONE;
    if (applied != FENCED)
        settle(t, task);
    forget_settled(t);
}

bool tasks_step(struct tasks *t)
{
    struct task *tasks[256]; /* the most `tasks` may be */
    size_t n;
    size_t turn;

    forget_settled(t);
    n = in_flight(t, tasks);
    if (n == 0)
        return false;
    turn = draw_below(&t->draw, t->turns++, n);
    for (size_t i = 0; i < n; i++) {
        struct task *task = tasks[(turn + i) % n];

        if (!worker_step_passed(t->worker, BEFORE_PROCESS, &task->msg, &task->wait))
            continue;
        work_on(t, task);
        return true;
    }
    return false;
}
