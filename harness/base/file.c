/* Files written whole: an error of the last write shows when the file is closed. See file.h. */
#include "base/file.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_write(const char *path, const char *text, size_t n, struct err *err)
{
    FILE *file = fopen(path, "we");
    bool whole = file && fwrite(text, 1, n, file) == n;

    whole &= file && fclose(file) == 0;
    return whole ? 0 : err_errno(err, "%s", path);
}

int file_replace(const char *path, const char *text, size_t n, struct err *err)
{
    char fresh[PATH_MAX];
    int result;

    if ((size_t)snprintf(fresh, sizeof(fresh), "%s.%d", path, (int)getpid()) >= sizeof(fresh)) {
        errno = ENAMETOOLONG;
        return err_errno(err, "%s", path);
    }
    result = file_write(fresh, text, n, err);
    if (result == 0 && rename(fresh, path) < 0)
        result = err_errno(err, "%s", path);
    if (result < 0)
        unlink(fresh);
    return result;
}

static int make_folder(const char *path)
{
    return mkdir(path, 0755) < 0 && errno != EEXIST ? -1 : 0;
}

int file_make_parents(const char *path)
{
    char parent[PATH_MAX];

    if (strlen(path) >= sizeof(parent)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(parent, path);
    for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (make_folder(parent) < 0)
            return -1;
        *slash = '/';
    }
    return 0;
}

int file_make_folders(const char *path)
{
    return file_make_parents(path) < 0 ? -1 : make_folder(path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    (void)remove(path); /* the rest goes all the same */
    return 0;
}

void file_remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A loader that is told what to run (ld.so(8)) is what runs, and gives that its whole path as its
 * name. */
static char *real_self(void)
{
    char *real = realpath("/proc/self/exe", NULL);
    const char *name = real ? strrchr(real, '/') : NULL;
    char *told;

    if (!name || strncmp(name, "/ld-", 4) != 0 || program_invocation_name[0] != '/' ||
        !(told = realpath(program_invocation_name, NULL)))
        return real;
    free(real);
    return told;
}

int file_self(char *out, size_t size)
{
    char *real = real_self();
    size_t n = real ? strlen(real) : 0;

    if (real && n < size)
        memcpy(out, real, n + 1);
    free(real);
    if (real && n >= size)
        errno = ENAMETOOLONG;
    return real && n < size ? 0 : -1;
}
