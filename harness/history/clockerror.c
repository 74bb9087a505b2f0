/*
 * ε, the cross-CPU error of CLOCK_MONOTONIC. Two threads pinned to two CPUs play ping-pong over one
 * cache line: what the other reads between my two readings differs from them by its clock's error
 * and the way of the line. With a = mine before, b = the other's, c = mine after, the error lies in
 * [b − c, b − a]; over many rounds in the intersection of all of these. That interval's larger end
 * is taken: an upper bound, mostly the line's travel time. (Cristian, "Probabilistic clock
 * synchronization", 1989.)
 *
 * Every CPU is held against the first; any two then differ by at most the sum of the two largest.
 */
#include "history/clockerror.h"

#include "base/clock.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#define ROUNDS 300
/* At most for one pair, and for all. A quiet machine plays its rounds in a millisecond; on a busy
 * one the two threads must first be given both CPUs at once, or the bound is a scheduler's time
 * slice. */
#define PAIR_NS (1 * SECOND_NS)
#define TOTAL_NS (3 * SECOND_NS)

struct pair {
    size_t cpu;
    _Alignas(64) _Atomic int turn; /* odd: the other's */
    _Atomic int64_t answer_ns;
    _Atomic bool stop;
};

static bool pin(size_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0;
}

static void *answer(void *argument)
{
    struct pair *pair = argument;

    if (!pin(pair->cpu)) {
        atomic_store(&pair->stop, true);
        return NULL;
    }
    while (!atomic_load_explicit(&pair->stop, memory_order_relaxed)) {
        int turn = atomic_load_explicit(&pair->turn, memory_order_acquire);

        if (turn % 2 == 0)
            continue;
        atomic_store_explicit(&pair->answer_ns, clock_now_ns(), memory_order_relaxed);
        atomic_store_explicit(&pair->turn, turn + 1, memory_order_release);
    }
    return NULL;
}

/* One ping and its pong; false when time is up. */
static bool round_trip(struct pair *pair, int64_t until_ns, int64_t *low, int64_t *high)
{
    int turn = atomic_load_explicit(&pair->turn, memory_order_relaxed);
    int64_t before = clock_now_ns();
    int64_t after, other;

    atomic_store_explicit(&pair->turn, turn + 1, memory_order_release);
    while (atomic_load_explicit(&pair->turn, memory_order_acquire) != turn + 2)
        if (atomic_load_explicit(&pair->stop, memory_order_relaxed) || clock_now_ns() > until_ns)
            return false;
    after = clock_now_ns();
    other = atomic_load_explicit(&pair->answer_ns, memory_order_relaxed);
    *low = other - after > *low ? other - after : *low;
    *high = other - before < *high ? other - before : *high;
    return true;
}

static int64_t measure_pair(size_t cpu)
{
    struct pair pair = {.cpu = cpu};
    int64_t until_ns = clock_now_ns() + PAIR_NS;
    int64_t low = INT64_MIN / 2, high = INT64_MAX / 2;
    pthread_t thread;
    int n = 0;

    if (pthread_create(&thread, NULL, answer, &pair))
        return -1;
    while (n < ROUNDS && round_trip(&pair, until_ns, &low, &high))
        n++;
    atomic_store(&pair.stop, true);
    pthread_join(thread, NULL);
    if (n == 0)
        return -1;
    return -low > high ? -low : high;
}

static void *measure(void *argument)
{
    int64_t *result = argument;
    int64_t until_ns = clock_now_ns() + TOTAL_NS;
    int64_t worst = 0, second = 0;
    cpu_set_t allowed;
    bool first = true;

    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return NULL;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && clock_now_ns() < until_ns; cpu++) {
        int64_t error_ns;

        if (!CPU_ISSET(cpu, &allowed))
            continue;
        if (first) {
            first = false;
            if (!pin(cpu))
                return NULL;
            continue;
        }
        error_ns = measure_pair(cpu);
        if (error_ns < 0)
            return NULL;
        second = error_ns > worst ? worst : error_ns > second ? error_ns : second;
        worst = error_ns > worst ? error_ns : worst;
    }
    *result = worst + second;
    return NULL;
}

int64_t clock_error_measure(void)
{
    int64_t result = -1;
    pthread_t thread;

    if (pthread_create(&thread, NULL, measure, &result)) /* so that our own pinning is left alone */
        return -1;
    pthread_join(thread, NULL);
    return result;
}
