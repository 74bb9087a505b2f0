/*
 * Visits to another network namespace. setns(2) is per thread and a socket stays where it was
 * created, so a thread goes there only to open one, or to write a setting.
 */
#include "sandbox/box.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int netns_enter(struct netns_visit *visit, int netns, struct err *err)
{
    visit->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (visit->home < 0)
        return err_errno(err, "open own network namespace");
    if (setns(netns, CLONE_NEWNET) < 0) {
        err_errno(err, "enter the network namespace");
        close(visit->home);
        return -1;
    }
    return 0;
}

void netns_leave(struct netns_visit *visit)
{
    if (setns(visit->home, CLONE_NEWNET) < 0)
        abort(); /* a coordinator thread lost in a node's network would be worse */
    close(visit->home);
}

static int write_setting(const char *path, const char *value, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "%s", path);
    ssize_t n = write(fd, value, strlen(value));
    int result = n < 0 ? err_errno(err, "write %s to %s", value, path) : 0;
    close(fd);
    return result;
}

int netns_settings(bool tcp_quick_retry, struct err *err)
{
    /* no IPv6: its own chatter would raise the counters that witness a cut; not there is as good */
    struct err ignored;
    write_setting("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1", &ignored);
    write_setting("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", &ignored);
    if (!tcp_quick_retry)
        return 0;
    if (write_setting("/proc/sys/net/ipv4/tcp_retries2", "255", err) < 0)
        return -1;
    if (write_setting("/proc/sys/net/ipv4/tcp_rto_max_ms", "1000", err) < 0)
        return err_prefix(err, "quick TCP retries need Linux 6.15");
    return 0;
}
