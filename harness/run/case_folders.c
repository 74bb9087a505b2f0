/*
 * A run folder's cases are the folders in it whose names begin with their number (suite_run.c:
 * "003-K02…"). They are ordered by that number: a run of a thousand has "1000-x" behind "999-x".
 */
#include "run/case_folders.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_numbered(const struct dirent *entry)
{
    return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
    unsigned long x = strtoul((*a)->d_name, NULL, 10), y = strtoul((*b)->d_name, NULL, 10);

    return x != y ? (x > y ? 1 : -1) : strcmp((*a)->d_name, (*b)->d_name);
}

bool is_case_folder(const char *folder)
{
    char path[4300];

    snprintf(path, sizeof(path), "%s/history", folder);
    return access(path, R_OK) == 0;
}

static char *joined(const char *folder, const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s%s%s", folder, *name ? "/" : "", name) < 0)
        abort();
    return path;
}

int case_folders(const char *run, char ***out, struct err *err)
{
    struct dirent **entries = NULL;
    struct stat st;
    int found, n = 0;

    *out = NULL;
    if (is_case_folder(run)) {
        *out = calloc(1, sizeof(**out));
        if (!*out)
            abort();
        (*out)[0] = joined(run, "");
        return 1;
    }
    found = scandir(run, &entries, is_numbered, by_number);
    if (found < 0)
        return err_input(err, "%s: %s", run, strerror(errno));
    *out = calloc((size_t)found + 1, sizeof(**out));
    if (!*out)
        abort();
    for (int i = 0; i < found; i++) {
        char *path = joined(run, entries[i]->d_name);

        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            (*out)[n++] = path;
        else
            free(path);
        free(entries[i]);
    }
    free(entries);
    if (n > 0)
        return n;
    case_folders_free(*out, 0);
    return err_input(err, "%s: holds no case of a run", run);
}

void case_folders_free(char **folders, int n)
{
    for (int i = 0; i < n; i++)
        free(folders[i]);
    free(folders);
}
