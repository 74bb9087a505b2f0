/* The "names" document: see names.h. */
#include "history/names.h"

#include "base/arena.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 1000000u

struct table {
    const char **names;
    uint32_t n;
};

struct names {
    struct arena arena;
    struct table tables[NAME_KINDS];
};

static const char *const kinds[NAME_KINDS] = {"node",  "unit", "dest",   "client",
                                              "burst", "step", "cluster"};

static void put(struct names *names, enum name_kind kind, uint32_t number, const char *name,
                size_t n)
{
    struct table *table = &names->tables[kind];

    if (number >= table->n) {
        uint32_t size = number < 32 ? 64 : number * 2;

        table->names = realloc(table->names, size * sizeof(*table->names));
        if (!table->names)
            abort();
        for (uint32_t i = table->n; i < size; i++)
            table->names[i] = "";
        table->n = size;
    }
    table->names[number] = arena_strndup(&names->arena, name, n);
}

static void read_line(struct names *names, const char *line, size_t n)
{
    for (unsigned kind = 0; kind < NAME_KINDS; kind++) {
        size_t word = strlen(kinds[kind]);
        uint32_t number = 0;
        size_t at = word + 1;

        if (n < word + 4 || memcmp(line, kinds[kind], word) != 0 || line[word] != ' ')
            continue;
        while (at < n && isdigit((unsigned char)line[at]) && number < NUMBER_MAX)
            number = number * 10 + (uint32_t)(line[at++] - '0');
        if (at > word + 1 && at + 1 < n && line[at] == ' ' && number < NUMBER_MAX)
            put(names, (enum name_kind)kind, number, line + at + 1, n - at - 1);
        return;
    }
}

struct names *names_read(const char *text, size_t n)
{
    struct names *names = calloc(1, sizeof(*names));
    const char *end = text + n;

    if (!names)
        abort();
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));

        stop = stop ? stop : end;
        read_line(names, text, (size_t)(stop - text));
        text = stop + 1;
    }
    return names;
}

const char *names_get(const struct names *names, enum name_kind kind, uint32_t number)
{
    const struct table *table = &names->tables[kind];

    return number < table->n ? table->names[number] : "";
}

long names_find(const struct names *names, enum name_kind kind, const char *name)
{
    const struct table *table = &names->tables[kind];

    for (uint32_t i = 0; *name && i < table->n; i++)
        if (strcmp(table->names[i], name) == 0)
            return (long)i;
    return -1;
}

void names_free(struct names *names)
{
    if (!names)
        return;
    for (unsigned kind = 0; kind < NAME_KINDS; kind++)
        free(names->tables[kind].names);
    arena_release(&names->arena);
    free(names);
}
