/*
 * Is a process stopped? The state of its first thread alone does not say: each thread is looked at.
 * Source: proc_pid_stat(5).
 */
#include "sandbox/procfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* State letter of one thread; 0 when it is gone. */
static char thread_state(const char *process, const char *thread)
{
    char path[600], text[512];
    snprintf(path, sizeof(path), "/proc/%.200s/task/%.200s/stat", process, thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[got > 0 ? got : 0] = 0;
    char *name_end = strrchr(text, ')');
    return name_end && name_end[1] == ' ' ? name_end[2] : 0;
}

bool procfs_stands_still(const char *process)
{
    char path[300];
    snprintf(path, sizeof(path), "/proc/%.200s/task", process);
    DIR *threads = opendir(path);
    bool still = true;
    struct dirent *entry;
    while (threads && still && (entry = readdir(threads))) {
        char state = entry->d_name[0] == '.' ? 'T' : thread_state(process, entry->d_name);
        still = !state || strchr("TtXZ", state);
    }
    if (threads)
        closedir(threads);
    return still;
}
