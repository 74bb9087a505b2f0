/*
 * The keeper's mounts, made once by the node's pid 1 in its own mount namespace:
 *
 *     /proc        of the node's pid namespace
 *     /dev/shm     its own: shared memory of killed servers dies with it
 *     /tmp         an overlay: what servers unpack there (JNI libraries) stays off the host
 *     /etc/hosts   a text of ours
 *     folder       a tmpfs of limited size: a node's full disk is not the history's
 *
 * A server of another distribution's root folder gets a mount namespace below that one, where / is
 * the root folder under an overlay.
 *
 * A scratch tmpfs, mounted for a moment where /proc will be, holds overlay uppers and the hosts
 * file; what refers to it keeps it. Source: mount(2), pivot_root(2), overlayfs.rst.
 */
#include "sandbox/keeper_mounts.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SCRATCH "/proc"
#define NEW_ROOT SCRATCH "/root"

static int overlay(const char *lower, const char *name, const char *target)
{
    char upper[64], work[64], options[PATH_MAX + 200];
    snprintf(upper, sizeof(upper), SCRATCH "/%s.upper", name);
    snprintf(work, sizeof(work), SCRATCH "/%s.work", name);
    struct stat like;
    if ((mkdir(upper, 0755) < 0 && errno != EEXIST) || mkdir(work, 0755) < 0)
        return -1;
    if (stat(lower, &like) == 0 && chmod(upper, like.st_mode & 07777) < 0)
        return -1;
    /* userxattr: the trusted ones are closed to user namespaces; either way nothing outlives us */
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s,userxattr", lower, upper,
             work);
    return mount("overlay", target, "overlay", 0, options);
}

static int write_hosts(const char *text, const char *target)
{
    int fd = open(SCRATCH "/hosts", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    size_t size = strlen(text);
    bool written = write(fd, text, size) == (ssize_t)size;
    close(fd);
    return written ? mount(SCRATCH "/hosts", target, NULL, MS_BIND, NULL) : -1;
}

/* The host's own /tmp stays readable below the overlay; without overlayfs it stays as it is. What
 * is shared by name (a cache under /tmp) is kept writable. */
static void cover_tmp(const char *shared)
{
    bool inside = shared && strncmp(shared, "/tmp/", 5) == 0;
    int kept =
        inside ? (int)syscall(SYS_open_tree, AT_FDCWD, shared, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
               : -1;
    if ((!inside || kept >= 0) && overlay("/tmp", "tmp", "/tmp") == 0 && inside &&
        file_make_folders(shared) == 0) /* what a mount hid may lack it */
        syscall(SYS_move_mount, kept, "", AT_FDCWD, shared, MOVE_MOUNT_F_EMPTY_PATH);
    if (kept >= 0)
        close(kept);
}

static int mount_proc(const char *target)
{
    return mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static int bind_under_root(const char *path, unsigned long flags)
{
    char target[PATH_MAX];
    snprintf(target, sizeof(target), NEW_ROOT "%s", path);
    return file_make_folders(target) < 0 ? -1 : mount(path, target, NULL, MS_BIND | flags, NULL);
}

/* Folders that will be written to, in the upper layer from the start: a folder of the lower one
 * whose owner is nobody in our user namespace (root made it, an ordinary user runs it) cannot be
 * copied up (EOVERFLOW). */
static int prepare_upper(const char *folder)
{
    const char *const paths[] = {"/tmp", "/dev", "/proc", "/sys", folder};
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        snprintf(path, sizeof(path), SCRATCH "/root.upper%s", paths[i]);
        if (file_make_folders(path) < 0)
            return -1;
    }
    return chmod(SCRATCH "/root.upper/tmp", 01777);
}

/* Lays the root folder under an overlay and hangs in what a server needs of the host. */
static int lay_root(const char *root, const char *folder)
{
    if (mkdir(NEW_ROOT, 0755) < 0 || prepare_upper(folder) < 0 ||
        overlay(root, "root", NEW_ROOT) < 0)
        return -1;
    if (bind_under_root("/dev", MS_REC) < 0 || file_make_folders(NEW_ROOT "/proc") < 0)
        return -1;
    /* while the old /proc is still in sight: a user namespace may mount one only then */
    if (mount_proc(NEW_ROOT "/proc") < 0)
        return -1;
    bind_under_root("/sys", MS_REC); /* only runtimes that size themselves by cgroup miss it */
    return 0;
}

static int enter_root(void)
{
    if (chdir(NEW_ROOT) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return -1;
    return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -1 : 0;
}

static int mount_folder(const char *folder, int64_t bytes)
{
    char options[64];
    snprintf(options, sizeof(options), "size=%lld,mode=0755", (long long)bytes);
    return file_make_folders(folder) < 0
               ? -1
               : mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, options);
}

static int mount_scratch(void)
{
    return mount("tmpfs", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, "size=512m,mode=0755");
}

int keeper_root_folder(const char *root, const char *folder)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount_scratch() < 0 || lay_root(root, folder) < 0)
        return -1;
    if ((folder[0] && bind_under_root(folder, 0) < 0) ||
        mount("/etc/hosts", NEW_ROOT "/etc/hosts", NULL, MS_BIND, NULL) < 0)
        return -1;
    return enter_root();
}

int keeper_mounts(const struct mount_plan *plan, const char **what)
{
    *what = "make mounts private";
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    *what = "mount a scratch tmpfs";
    if (mount_scratch() < 0)
        return -1;
    *what = "bind /etc/hosts";
    if (plan->hosts && write_hosts(plan->hosts, "/etc/hosts") < 0)
        return -1;
    cover_tmp(plan->shared);
    *what = "take the scratch tmpfs away";
    if (umount2(SCRATCH, MNT_DETACH) < 0)
        return -1;
    *what = "mount /proc";
    if (mount_proc("/proc") < 0)
        return -1;
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    *what = "mount the data folder";
    return plan->folder && mount_folder(plan->folder, plan->folder_bytes) < 0 ? -1 : 0;
}
