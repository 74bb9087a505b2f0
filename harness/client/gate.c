/*
 * Step gates: named points where a worker can be held or killed. Unarmed, a passage costs one
 * relaxed load (worker_step, api/worker.h). The gate's words live on the board, the coordinator
 * arms and releases.
 *
 * A kill counts passages exactly: the event is committed, then the process ends itself with a real
 * SIGKILL. A hold catches every worker from the nth passage on until it is released or its deadline
 * is over, so that a client with several workers is held as a whole.
 */
#include "client/worker.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void record_step(struct worker *w, unsigned step, const struct msg *msg, int64_t nth,
                        uint8_t flags)
{
    struct event e = {.type = EV_STEP,
                      .at_ns = worker_clock_read(&w->clock),
                      .ref = step,
                      .value = nth,
                      .flags = flags};

    if (msg) {
        e.seq = msg->id.seq;
        e.client = msg->id.client;
        e.incarnation = msg->id.incarnation;
        e.worker = msg->id.worker;
    }
    history_record(w->log, &e);
}

static void die(struct worker *w, unsigned step, const struct msg *msg, int64_t nth)
{
    struct step_gate *gate = &w->client->board->steps[step];
    uint32_t armed = GATE_KILL;

    /* Once: the board outlives this incarnation, its successor must not die of the same order. */
    if (!atomic_compare_exchange_strong(&gate->armed, &armed, GATE_OPEN))
        return;
    record_step(w, step, msg, nth, EV_KILLED);
    worker_board(w);
    atomic_fetch_add(&gate->hits, 1);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Sleeps until *word is no longer `value` or the deadline; 0: no deadline. */
static void futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline_ns)
{
    while (atomic_load(word) == value) {
        /* absolute time on CLOCK_MONOTONIC is what the BITSET form takes, futex(2) */
        struct timespec until = {.tv_sec = deadline_ns / SECOND_NS,
                                 .tv_nsec = deadline_ns % SECOND_NS};
        long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value,
                              deadline_ns > 0 ? &until : NULL, NULL, FUTEX_BITSET_MATCH_ANY);

        if (result < 0 && errno == ETIMEDOUT)
            return;
    }
}

static void hold(struct worker *w, unsigned step, const struct msg *msg, int64_t nth)
{
    struct step_gate *gate = &w->client->board->steps[step];
    int64_t deadline_ns = atomic_load(&gate->deadline_ns);
    uint32_t round = atomic_load(&gate->round);

    if (atomic_load(&gate->released) != round || (deadline_ns > 0 && clock_now_ns() >= deadline_ns))
        return;
    record_step(w, step, msg, nth, EV_HELD);
    worker_board(w);
    atomic_fetch_add(&gate->hits, 1);
    atomic_fetch_add(&gate->held, 1);
    futex_wait(&gate->released, round, deadline_ns);
    atomic_fetch_sub(&gate->held, 1);
    record_step(w, step, msg, nth, EV_RELEASED);
}

static void pass_gate(struct worker *w, unsigned step, const struct msg *msg, uint32_t armed)
{
    struct step_gate *gate = &w->client->board->steps[step];
    int64_t nth = atomic_fetch_add(&gate->passed, 1) + 1;

    if (armed == GATE_KILL && nth == atomic_load(&gate->nth))
        die(w, step, msg, nth);
    else if (armed == GATE_HOLD && nth >= atomic_load(&gate->nth))
        hold(w, step, msg, nth);
}

void worker_step_armed(struct worker *w, unsigned step, const struct msg *msg)
{
    struct step_gate *gate = &w->client->board->steps[step];
    uint32_t armed = atomic_load_explicit(&gate->armed, memory_order_relaxed);

    assert(step < STEPS_MAX);
    if (armed != GATE_OPEN)
        pass_gate(w, step, msg, armed);
}

static bool still_held(struct worker *w, unsigned step, const struct msg *msg, struct step_wait *at)
{
    struct step_gate *gate = &w->client->board->steps[step];
    int64_t deadline_ns = atomic_load(&gate->deadline_ns);

    if (atomic_load(&gate->released) == at->round && !(deadline_ns > 0 && clock_now_ns() >= deadline_ns))
        return true;
    at->held = false;
    atomic_fetch_sub(&gate->held, 1);
    record_step(w, step, msg, at->nth, EV_RELEASED);
    return false;
}

bool worker_step_passed(struct worker *w, unsigned step, const struct msg *msg,
                        struct step_wait *at)
{
    struct step_gate *gate = &w->client->board->steps[step];
    uint32_t armed = atomic_load_explicit(&gate->armed, memory_order_relaxed);

    assert(step < STEPS_MAX);
    if (at->held)
        return !still_held(w, step, msg, at);
    if (armed == GATE_OPEN)
        return true;
    at->nth = atomic_fetch_add(&gate->passed, 1) + 1;
    at->round = atomic_load(&gate->round);
    if (at->nth != atomic_load(&gate->nth) || atomic_load(&gate->released) != at->round)
        return true;
    if (armed == GATE_KILL) {
        die(w, step, msg, at->nth);
        return true;
    }
    at->held = true;
    record_step(w, step, msg, at->nth, EV_HELD);
    worker_board(w);
    atomic_fetch_add(&gate->hits, 1);
    atomic_fetch_add(&gate->held, 1);
    return false;
}
