/* Reads CASE_FOLDER/plan.yaml (client_file.h). */
#include "run/client_file.h"

#include <stdlib.h>

#define CHUNK ((size_t)131072)

static char *read_all(const char *path, size_t *n, struct err *err)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    size_t got;

    if (!file) {
        err_errno(err, "open %s", path);
        return NULL;
    }
    *n = 0;
    do {
        if (size - *n < CHUNK)
            text = realloc(text, size += 2 * CHUNK);
        if (!text)
            abort();
        got = fread(text + *n, 1, CHUNK, file);
        *n += got;
    } while (got > 0);
    fclose(file);
    return text;
}

struct plan_case *client_plan_read(const char *case_folder, struct arena *arena, struct err *err)
{
    struct plan_case *plan;
    char path[1024];
    char *text;
    size_t n;

    snprintf(path, sizeof(path), "%s/plan.yaml", case_folder);
    text = read_all(path, &n, err);
    if (!text)
        return NULL;
    plan = plan_case_read(text, n, arena, err);
    free(text);
    if (!plan)
        err_prefix(err, "%s", path);
    return plan;
}
