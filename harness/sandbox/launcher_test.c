/* labels: sandbox */
/* Signals of the terminal, two sandboxes at once, and a machine that forbids user namespaces. */
#include "sandbox/testing/verbs.h"

#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A process that sends us signals while we wait as the launcher. */
static pid_t signal_later(int number, int times)
{
    pid_t launcher = getpid(), pid = fork();
    if (pid == 0) {
        for (int i = 0; i < times; i++) {
            usleep(150000);
            kill(launcher, number);
        }
        _exit(0);
    }
    return pid;
}

static volatile sig_atomic_t got;

static void remember(int number)
{
    got = number;
}

static int wait_for_signal(void *unused)
{
    (void)unused;
    signal(SIGTERM, remember);
    signal(SIGINT, remember);
    for (int i = 0; i < 500 && !got; i++)
        usleep(10000);
    return got;
}

static int hang(void *unused)
{
    (void)unused;
    signal(SIGINT, remember);
    for (int i = 0; i < 1000; i++)
        usleep(10000);
    return 0;
}

static void signals_are_passed_on(void **state)
{
    (void)state;
    pid_t helper = signal_later(SIGTERM, 1);
    assert_int_equal(run_inside(wait_for_signal), SIGTERM);
    waitpid(helper, NULL, 0);
    helper = signal_later(SIGINT, 1);
    assert_int_equal(run_inside(wait_for_signal), SIGINT);
    waitpid(helper, NULL, 0);
}

static void a_second_interrupt_kills_at_once(void **state)
{
    (void)state;
    struct err err = {0};
    int died = 0;
    pid_t helper = signal_later(SIGINT, 2);
    int64_t start = clock_now_ns();
    assert_int_equal(sandbox_run(hang, NULL, NULL, &died, &err), -1);
    assert_true(clock_now_ns() - start < 3 * SECOND_NS);
    assert_int_equal(died, SIGINT);
    assert_string_equal(err.text, "interrupted twice: killed at once");
    waitpid(helper, NULL, 0);
}

/* The same addresses, the same names. */
static int one_of_two(void *unused)
{
    (void)unused;
    struct err err = {0};
    int fd;
    char log[40];
    snprintf(log, sizeof(log), "two-%lld.log", (long long)clock_now_ns());
    struct keeper_options options = {.cpu = -1};
    struct keeper *n1 = keeper_open(sandbox_here(), "n1", "10.77.1.1", &options, &err);
    CHECK_OK(n1 && echo_start(n1, "7300", in_run(log), 0, &err) == 0);
    struct talk_board *board = board_make(&fd);
    CHECK_OK(talker(sandbox_here(), "10.77.100.1", "10.77.1.1", "7300", fd, &err));
    CHECK(talks(board, 3000));
    usleep(300000);
    CHECK(talks(board, 3000));
    return 0;
}

static void two_at_once_do_not_disturb_each_other(void **state)
{
    (void)state;
    int status = -1;
    pid_t other = fork();
    if (other == 0)
        _exit(run_inside(one_of_two) == 0 ? 0 : 1);
    assert_int_equal(run_inside(one_of_two), 0);
    waitpid(other, &status, 0);
    assert_int_equal(status, 0);
}

/* Inside a sandbox made by an ordinary user the limit is that user namespace's own: set to 0 there,
 * it forbids a second sandbox once the capabilities are given up. */
static int forbidden(void *unused)
{
    (void)unused;
    struct err err = {0};
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    int died;
    FILE *limit = fopen("/proc/sys/user/max_user_namespaces", "w");
    CHECK(limit && fputs("0", limit) >= 0 && fclose(limit) == 0);
    CHECK(syscall(SYS_capset, &header, none) == 0);
    CHECK(sandbox_run(one_of_two, NULL, NULL, &died, &err) == -1);
    printf("# %s\n", err.text);
    CHECK(strcmp(err.text,
                 "sandbox: this machine forbids user namespaces to ordinary users "
                 "(user.max_user_namespaces=0): No space left on device; fix: sudo sysctl "
                 "-w user.max_user_namespaces=10000, or run assay with sudo") == 0);
    return 0;
}

static void a_forbidding_setting_is_named(void **state)
{
    (void)state;
    if (geteuid() == 0)
        skip(); /* would be the host's own setting; the ordinary user's pass does it */
    assert_int_equal(run_inside(forbidden), 0);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(signals_are_passed_on),
        cmocka_unit_test(a_second_interrupt_kills_at_once),
        cmocka_unit_test(two_at_once_do_not_disturb_each_other),
        cmocka_unit_test(a_forbidding_setting_is_named),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
    return verbs_test_main(argc, argv, tests);
}
