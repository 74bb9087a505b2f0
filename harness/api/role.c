/*
 * The role table's sequence lock (Lameter, "Effective synchronization on Linux/NUMA systems",
 * 2005): readers copy and look whether the writer was at it meanwhile.
 */
#include "api/role.h"

#include <assert.h>
#include <sched.h>
#include <string.h>

/* A writer killed inside its update leaves the sequence odd for ever: then readers see no facts. */
#define TRIES_MAX 20000

static void copy_table(struct role_table *to, const struct role_table *from)
{
    to->n_facts = from->n_facts <= ROLE_FACTS_MAX ? from->n_facts : ROLE_FACTS_MAX;
    to->n_gauges = from->n_gauges <= GAUGES_MAX ? from->n_gauges : GAUGES_MAX;
    atomic_store_explicit(&to->rounds, atomic_load_explicit(&from->rounds, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&to->round_began_ns,
                          atomic_load_explicit(&from->round_began_ns, memory_order_relaxed),
                          memory_order_relaxed);
    memcpy(to->facts, from->facts, to->n_facts * sizeof(to->facts[0]));
    memcpy(to->gauges, from->gauges, to->n_gauges * sizeof(to->gauges[0]));
}

void role_table_read(const struct role_table *table, struct role_table *copy)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        uint32_t before = atomic_load_explicit(&table->sequence, memory_order_acquire);

        if (before % 2 == 0) {
            copy_table(copy, table);
            atomic_thread_fence(memory_order_acquire);
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
    atomic_thread_fence(memory_order_release);
    table->n_facts = 0;
    table->n_gauges = 0;
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
    table->n_facts = from->n_facts;
    table->n_gauges = from->n_gauges;
    memcpy(table->facts, from->facts, from->n_facts * sizeof(from->facts[0]));
    memcpy(table->gauges, from->gauges, from->n_gauges * sizeof(from->gauges[0]));
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
