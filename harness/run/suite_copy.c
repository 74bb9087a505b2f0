/*
 * RUN/suite/: the suites a run was made from, as they were then. Files that they name are in each
 * case's plan.yaml, in full.
 */
#include "run/replay.h"

#include "base/file.h"
#include "suite/secrets.h"
#include "suite/tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int make_folder(const char *run_folder, char *out, size_t size, struct err *err)
{
    snprintf(out, size, "%s/suite", run_folder);
    return file_make_folders(out) < 0 ? err_errno(err, "%s", out) : 0;
}

/* Two suites may have one name in different folders: the second is "2-NAME". */
static int copy_one(const char *path, size_t number, const char *folder, struct err *err)
{
    const char *slash = strrchr(path, '/');
    struct arena arena = {0};
    char to[4400];
    struct stat st;
    size_t n = 0;
    const char *text = file_text(path, &n, &arena, err);
    int result = -1;

    if (text)
        text = secrets_blotted_suite(path, text, n, &arena, err);
    snprintf(to, sizeof(to), "%s/%s", folder, slash ? slash + 1 : path);
    if (stat(to, &st) == 0)
        snprintf(to, sizeof(to), "%s/%zu-%s", folder, number, slash ? slash + 1 : path);
    if (text)
        result = file_write(to, text, strlen(text), err);
    arena_release(&arena);
    return result;
}

int copy_suites(const struct plan_options *options, const char *run_folder, struct err *err)
{
    char folder[4200];

    if (make_folder(run_folder, folder, sizeof(folder), err) < 0)
        return -1;
    for (size_t i = 0; i < options->n_suites; i++)
        if (copy_one(options->suites[i], i + 1, folder, err) < 0)
            return -1;
    return 0;
}

static int is_suite(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int copy_suites_of_run(const char *from, const char *run_folder, struct err *err)
{
    struct dirent **entries = NULL;
    char suites[4200], folder[4200], path[4500];
    int n, result = 0;

    snprintf(suites, sizeof(suites), "%s/suite", from);
    n = scandir(suites, &entries, is_suite, alphasort);
    if (n < 0) /* one case of a run: its suites lie beside it */
        snprintf(suites, sizeof(suites), "%s/../suite", from);
    if (n < 0)
        n = scandir(suites, &entries, is_suite, alphasort);
    if (n < 0)
        return 0; /* the plan of each case is enough */
    if (make_folder(run_folder, folder, sizeof(folder), err) < 0)
        result = -1;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/%s", suites, entries[i]->d_name);
        if (result == 0)
            result = copy_one(path, (size_t)i + 1, folder, err);
        free(entries[i]);
    }
    free(entries);
    return result;
}
