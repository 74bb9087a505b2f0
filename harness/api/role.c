/*
 * The role table's sequence lock (Lameter, "Effective synchronization on Linux/NUMA systems",
 * 2005): readers copy and look whether the writer was at it meanwhile.
 */
#include "api/role.h"

#include <assert.h>
#include <sched.h>
#include <stddef.h>

/* A writer killed inside its update leaves the sequence odd for ever: then readers see no facts. */
#define TRIES_MAX 20000

/* gcc's thread sanitizer knows no fences; it sees atomic words only, and nothing to complain of. */
#if defined(__SANITIZE_THREAD__)
#define FENCE(order) ((void)0)
#else
#define FENCE(order) atomic_thread_fence(order)
#endif

/* Word by word and relaxed: a torn copy is thrown away, but must not be a data race. */
_Static_assert(sizeof(struct role_fact) % 8 == 0 && sizeof(struct gauge) % 8 == 0, "whole words");
static void copy_words(void *to, const void *from, size_t bytes)
{
    uint64_t *out = to;
    const uint64_t *in = from;

    for (size_t i = 0; i < bytes / 8; i++)
        __atomic_store_n(&out[i], __atomic_load_n(&in[i], __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

static uint32_t load_count(const uint32_t *count, uint32_t max)
{
    uint32_t n = __atomic_load_n(count, __ATOMIC_RELAXED);

    return n <= max ? n : max;
}

static void copy_table(struct role_table *to, const struct role_table *from)
{
    to->n_facts = load_count(&from->n_facts, ROLE_FACTS_MAX);
    to->n_gauges = load_count(&from->n_gauges, GAUGES_MAX);
    atomic_store_explicit(&to->rounds, atomic_load_explicit(&from->rounds, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&to->round_began_ns,
                          atomic_load_explicit(&from->round_began_ns, memory_order_relaxed),
                          memory_order_relaxed);
    copy_words(to->facts, from->facts, to->n_facts * sizeof(to->facts[0]));
    copy_words(to->gauges, from->gauges, to->n_gauges * sizeof(to->gauges[0]));
}

void role_table_read(const struct role_table *table, struct role_table *copy)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        uint32_t before = atomic_load_explicit(&table->sequence, memory_order_acquire);

        if (before % 2 == 0) {
            copy_table(copy, table);
            FENCE(memory_order_acquire);
            if (atomic_load_explicit(&table->sequence, memory_order_relaxed) == before) {
                atomic_store_explicit(&copy->sequence, before, memory_order_relaxed);
                return;
            }
        }
        if (i % 16 == 15)
            sched_yield();
    }
    copy->n_facts = 0;
    copy->n_gauges = 0;
}

void role_table_begin(struct role_table *table)
{
    uint32_t sequence = atomic_load_explicit(&table->sequence, memory_order_relaxed);

    /* odd already: the writer before us died inside its update, ours takes its place */
    atomic_store_explicit(&table->sequence, sequence | 1, memory_order_relaxed);
    FENCE(memory_order_release);
    __atomic_store_n(&table->n_facts, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&table->n_gauges, 0, __ATOMIC_RELAXED);
}

void role_table_fact(struct role_table *table, struct role_fact fact)
{
    assert(table->n_facts < ROLE_FACTS_MAX);
    table->facts[table->n_facts++] = fact;
}

void role_table_gauge(struct role_table *table, struct gauge gauge)
{
    assert(table->n_gauges < GAUGES_MAX);
    table->gauges[table->n_gauges++] = gauge;
}

void role_table_end(struct role_table *table)
{
    uint32_t sequence = atomic_load_explicit(&table->sequence, memory_order_relaxed);

    assert(sequence % 2 == 1);
    atomic_fetch_add_explicit(&table->rounds, 1, memory_order_relaxed);
    atomic_store_explicit(&table->sequence, sequence + 1, memory_order_release);
}

void role_table_publish(struct role_table *table, const struct role_table *from)
{
    role_table_begin(table);
    __atomic_store_n(&table->n_facts, from->n_facts, __ATOMIC_RELAXED);
    __atomic_store_n(&table->n_gauges, from->n_gauges, __ATOMIC_RELAXED);
    copy_words(table->facts, from->facts, from->n_facts * sizeof(from->facts[0]));
    copy_words(table->gauges, from->gauges, from->n_gauges * sizeof(from->gauges[0]));
    atomic_store_explicit(&table->round_began_ns,
                          atomic_load_explicit(&from->round_began_ns, memory_order_relaxed),
                          memory_order_relaxed);
    role_table_end(table);
}

const char *role_kind_name(unsigned kind)
{
    static const char *const names[] = {"none",    "leader",     "claims_leader", "follower",
                                        "in_sync", "controller", "registered",    "coordinator"};

    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}
