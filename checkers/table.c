/* Open addressing, linear probing, never deletes, at most 3/4 full. */
#include "checkers/table.h"

#include <stdlib.h>

static size_t slot_of(const struct table *table, uint64_t a, uint64_t b)
{
    size_t i = table_home(table, a, b);

    while (table->entries[i].used && (table->entries[i].a != a || table->entries[i].b != b))
        i = (i + 1) & (table->size - 1);
    return i;
}

static void grow(struct table *table)
{
    struct table old = *table;

    table->size = old.size ? old.size * 2 : 64;
    table->entries = calloc(table->size, sizeof(*table->entries));
    if (!table->entries)
        abort();
    for (size_t i = 0; i < old.size; i++)
        if (old.entries[i].used)
            table->entries[slot_of(table, old.entries[i].a, old.entries[i].b)] = old.entries[i];
    free(old.entries);
}

uint64_t *table_get_far(const struct table *table, uint64_t a, uint64_t b)
{
    size_t i;

    if (!table->n)
        return NULL;
    i = slot_of(table, a, b);
    return table->entries[i].used ? &table->entries[i].value : NULL;
}

uint64_t *table_put_far(struct table *table, uint64_t a, uint64_t b)
{
    size_t i;

    if (table->n + 1 > table->size / 4 * 3) {
        uint64_t *value = table_get_far(table, a, b);

        if (value)
            return value;
        if (table->max && table->n >= table->max)
            return NULL;
        grow(table);
    }
    i = slot_of(table, a, b);
    if (!table->entries[i].used) {
        if (table->max && table->n >= table->max)
            return NULL;
        table->n++;
        table->entries[i] = (struct table_entry){.a = a, .b = b, .used = true};
    }
    return &table->entries[i].value;
}

void table_release(struct table *table)
{
    free(table->entries);
    *table = (struct table){.max = table->max};
}
