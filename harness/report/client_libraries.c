/* See client_libraries.h. */
#include "report/client_libraries.h"

#include <stdio.h>
#include <string.h>

static struct client_library *library_named(struct client_libraries *libraries, const char *name,
                                            size_t n)
{
    struct client_library *library = libraries->items, *end = library + libraries->n;

    for (; library < end; library++)
        if (strlen(library->name) == n && memcmp(library->name, name, n) == 0)
            return library;
    if (libraries->n == CLIENT_LIBRARIES_MAX || n >= sizeof(library->name))
        return NULL;
    libraries->n++;
    memcpy(library->name, name, n);
    return library;
}

static void add_version(struct client_library *library, const char *version)
{
    size_t at = 0;

    while (at < library->n && strcmp(library->versions[at], version) < 0)
        at++;
    if (at < library->n && strcmp(library->versions[at], version) == 0)
        return;
    if (library->n == LIBRARY_VERSIONS_MAX)
        return;
    memmove(library->versions[at + 1], library->versions[at],
            (library->n++ - at) * sizeof(library->versions[at]));
    strcpy(library->versions[at], version);
}

void client_libraries_told(struct client_libraries *libraries, const char *text)
{
    const char *blank = strchr(text, ' ');
    struct client_library *library;

    if (!blank || blank == text || !blank[1] || strlen(blank) > sizeof(library->versions[0]))
        return;
    library = library_named(libraries, text, (size_t)(blank - text));
    if (library)
        add_version(library, blank + 1);
}

void client_libraries_lines(const struct client_libraries *libraries, char *out, size_t size)
{
    for (size_t i = 0; i < libraries->n; i++) {
        const struct client_library *library = &libraries->items[i];

        for (size_t v = 0; v < library->n; v++) {
            size_t used = strlen(out);

            snprintf(out + used, size - used, "%s%s%s%s", v ? " and " : library->name,
                     v ? "" : ": ", library->versions[v], v + 1 == library->n ? "\n" : "");
        }
    }
}
