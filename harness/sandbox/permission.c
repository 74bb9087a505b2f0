/*
 * Capabilities and the settings that forbid user namespaces (permission.h).
 * Source: capget(2), user_namespaces(7), Ubuntu 24.04 release notes (AppArmor), Debian's
 * kernel.unprivileged_userns_clone patch, Docker's default seccomp profile.
 */
#include "sandbox/permission.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

bool permission_namespaces(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capget, &header, data) < 0)
        return false;
    unsigned needed = (1U << CAP_SYS_ADMIN) | (1U << CAP_NET_ADMIN);
    return (data[0].effective & needed) == needed;
}

/* The number in a file of /proc/sys; -1 when there is none. */
static long read_sysctl(const char *path)
{
    char text[32] = "";
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    if (!fgets(text, sizeof(text), file))
        text[0] = 0;
    fclose(file);
    return text[0] ? atol(text) : -1;
}

static bool seccomp_on(void)
{
    char line[128];
    bool on = false;
    FILE *file = fopen("/proc/self/status", "re");
    if (!file)
        return false;
    while (fgets(line, sizeof(line), file))
        on |= strncmp(line, "Seccomp:\t2", 10) == 0;
    fclose(file);
    return on;
}

bool permission_forbidden_by(char *setting, size_t setting_size, char *fix, size_t fix_size)
{
    static const struct {
        const char *path, *name;
        long forbids, allows;
    } sysctls[] = {
        {"/proc/sys/user/max_user_namespaces", "user.max_user_namespaces", 0, 10000},
        {"/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone", 0, 1},
        {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
         "kernel.apparmor_restrict_unprivileged_userns", 1, 0},
    };
    for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
        if (read_sysctl(sysctls[i].path) != sysctls[i].forbids)
            continue;
        snprintf(setting, setting_size, "%s=%ld", sysctls[i].name, sysctls[i].forbids);
        snprintf(fix, fix_size, "sudo sysctl -w %s=%ld, or run assay with sudo", sysctls[i].name,
                 sysctls[i].allows);
        return true;
    }
    if (seccomp_on()) {
        snprintf(setting, setting_size, "a seccomp filter (a container's default profile)");
        snprintf(fix, fix_size,
                 "docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt "
                 "seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
                 "systempaths=unconfined, or --privileged");
        return true;
    }
    return false;
}

int permission_explain(bool user_namespace, int error, struct err *err)
{
    if (!user_namespace)
        return err_set(err, "sandbox: namespaces could not be made: %s", strerror(error));
    char setting[120], fix[300];
    if (permission_forbidden_by(setting, sizeof(setting), fix, sizeof(fix)))
        return err_set(
            err,
            "sandbox: this machine forbids user namespaces to ordinary users (%s): %s; fix: %s",
            setting, strerror(error), fix);
    return err_set(
        err,
        "sandbox: a user namespace could not be made (%s) and no setting known to forbid it "
        "is on; try with sudo",
        strerror(error));
}

void permission_hint(struct err *err)
{
    char setting[120], fix[300];
    if (!err || !permission_forbidden_by(setting, sizeof(setting), fix, sizeof(fix)))
        return;
    size_t at = strlen(err->text);
    snprintf(err->text + at, sizeof(err->text) - at, " (%s is on: %s)", setting, fix);
}
