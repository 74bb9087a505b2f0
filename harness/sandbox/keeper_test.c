/* labels: sandbox */
/* Nodes and clients: start, stop, pause, kill, crash, files, commands, root folders, quotas. */
#include "sandbox/testing/verbs.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define N1 "10.77.1.1"
#define APP "10.77.100.1"

static struct deadline soon(void)
{
    return deadline_in(10 * SECOND_NS, NULL);
}

static struct keeper *node(const struct keeper_options *options)
{
    struct err err = {0};
    struct keeper *keeper = keeper_open(sandbox_here(), "n1", N1, options, &err);
    if (!keeper)
        fprintf(stderr, "%s\n", err.text);
    return keeper;
}

static struct keeper *plain_node(void)
{
    return node(&(struct keeper_options){.cpu = 0});
}

/* Output of a shell line inside, which must exit with 0; NULL else. Static, for one use. */
static const char *sh(struct keeper *keeper, const char *line, const char *input)
{
    static char kept[4096];
    struct err err = {0};
    const char *argv[] = {"/bin/sh", "-c", line, NULL};
    char *output = NULL;
    int status = -1;
    if (keeper_exec(keeper, argv, NULL, input, &output, &status, soon(), &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return NULL;
    }
    snprintf(kept, sizeof(kept), "%s", output);
    free(output);
    if (status != 0)
        fprintf(stderr, "\"%s\" ended with %d: %s\n", line, status, kept);
    return status == 0 ? kept : NULL;
}

static int pause_and_kill(void *unused)
{
    (void)unused;
    struct err err = {0};
    int fd;
    struct keeper *n1 = plain_node();
    CHECK(n1);
    CHECK(keeper_wait_stopped(n1, soon(), &err) < 0); /* nothing there yet */
    CHECK_OK(echo_start(n1, "7100", in_run("echo.log"), 0, &err) == 0);
    struct talk_board *board = board_make(&fd);
    struct child *app = talker(sandbox_here(), APP, N1, "7100", fd, &err);
    CHECK_OK(app);
    CHECK(talks(board, 3000));
    CHECK(keeper_alive(n1) && keeper_pidfd(n1) >= 0);

    CHECK_OK(keeper_signal(n1, SIGSTOP, &err) == 0);
    CHECK_OK(keeper_wait_stopped(n1, soon(), &err) == 0);
    usleep(10000);
    CHECK(!talks(board, 200));
    CHECK_OK(keeper_signal(n1, SIGCONT, &err) == 0);
    CHECK(talks(board, 1000));
    CHECK(keeper_wait_stopped(n1, deadline_in(20 * MS_NS, NULL), &err) < 0);
    CHECK(keeper_wait_dead(n1, deadline_in(20 * MS_NS, NULL), &err) < 0);

    CHECK_OK(keeper_signal(n1, SIGSTOP, &err) == 0);
    CHECK_OK(keeper_signal(n1, SIGKILL, &err) == 0); /* a stopped one dies too */
    CHECK_OK(keeper_wait_dead(n1, soon(), &err) == 0);
    CHECK(!keeper_alive(n1));
    CHECK(!talks(board, 200));
    CHECK_OK(echo_start(n1, "7100", in_run("echo-again.log"), 0, &err) == 0);
    CHECK(talks(board, 3000));
    return 0;
}

/* Children that hide in sessions of their own, and one that ignores SIGTERM. */
static int helpers(void *unused)
{
    (void)unused;
    struct err err = {0};
    const char *argv[] = {"/bin/sh", "-c",
                          "trap '' TERM; setsid sleep 100 & (setsid sleep 100 &) ; "
                          "trap - TERM; echo up; exec sleep 100",
                          NULL};
    struct keeper_command command = {.argv = argv, .log = in_run("helpers.log")};
    struct keeper *n1 = plain_node();
    CHECK(n1);
    CHECK_OK(keeper_start(n1, &command, &err) > 1);
    CHECK(keeper_start(n1, &command, &err) < 0);
    CHECK(strcmp(err.text, "node n1: its server runs already") == 0);
    usleep(200000);
    CHECK_OK(keeper_terminate(n1, &err) == 0);
    CHECK(keeper_wait_dead(n1, deadline_in(300 * MS_NS, NULL), &err) < 0);
    CHECK(strstr(err.text, "the server is dead, but 2 of its processes live on"));
    CHECK_OK(keeper_signal(n1, SIGKILL, &err) == 0);
    CHECK_OK(keeper_wait_dead(n1, soon(), &err) == 0);
    return 0;
}

static int starts_that_fail(void *unused)
{
    (void)unused;
    struct err err = {0};
    const char *missing[] = {"/nonexistent/server", NULL}, *no_exec[] = {"/etc/passwd", NULL};
    struct keeper_command command = {.argv = missing, .log = in_run("none.log")};
    struct keeper *n1 = plain_node();
    CHECK(n1);
    CHECK(keeper_start(n1, &command, &err) < 0);
    CHECK(strcmp(err.text, "node n1: execute /nonexistent/server: No such file or directory") == 0);
    command.argv = no_exec;
    CHECK(keeper_start(n1, &command, &err) < 0);
    CHECK(strcmp(err.text, "node n1: execute /etc/passwd: Permission denied") == 0);
    struct child_options options = {.cpu = -1, .address = APP};
    CHECK(!child_spawn(sandbox_here(), "app", missing, &options, &err));
    CHECK(strcmp(err.text, "child app: execute /nonexistent/server: No such file or directory") ==
          0);
    struct keeper_options same = {.cpu = -1};
    CHECK(!keeper_open(sandbox_here(), "n2", N1, &same, &err));
    CHECK(strcmp(err.text, "node n2: link of 10.77.1.1: address 10.77.1.1 is in use") == 0);
    return 0;
}

static int inside(void *unused)
{
    (void)unused;
    struct err err = {0};
    char *text = NULL, *output = NULL, path[1200];
    size_t n = 0;
    int status = -1;
    char folder[300];
    snprintf(folder, sizeof(folder), "%s", in_run("data"));
    struct keeper_options options = {.hostname = "kafka-1",
                                     .folder = folder,
                                     .folder_bytes = 1 << 20,
                                     .hosts = "10.77.1.1 kafka-1\n",
                                     .cpu = 0};
    struct keeper *n1 = node(&options);
    CHECK(n1);
    const char *said =
        sh(n1, "cat; hostname; cat /etc/hosts; grep Cpus_allowed_list /proc/self/status", "hi ");
    CHECK(said && strcmp(said, "hi kafka-1\n10.77.1.1 kafka-1\nCpus_allowed_list:\t0\n") == 0);

    snprintf(path, sizeof(path), "%s/conf", folder);
    CHECK_OK(keeper_write_file(n1, path, "a=1\n", 4, 0400, &err) == 0);
    CHECK_OK(keeper_read_file(n1, path, &text, &n, &err) == 0);
    CHECK(n == 4 && strcmp(text, "a=1\n") == 0);
    free(text);
    CHECK(access(path, F_OK) < 0); /* the node's, not the host's */
    char *big = calloc(1, 2 << 20);
    snprintf(path, sizeof(path), "%s/big", folder);
    CHECK(keeper_write_file(n1, path, big, 2 << 20, 0600, &err) < 0 &&
          strstr(err.text, "No space left"));
    free(big);
    snprintf(path, sizeof(path), "mkdir -p %s/a/b && touch %s/a/b/c && ln -s / %s/a/up", folder,
             folder, folder);
    CHECK(sh(n1, path, NULL));
    CHECK_OK(keeper_remove_tree(n1, folder, &err) == 0);
    snprintf(path, sizeof(path), "ls -A %s; ls -d /etc", folder);
    said = sh(n1, path, NULL);
    CHECK(said && strcmp(said, "/etc\n") == 0);
    CHECK(keeper_read_file(n1, "/nonexistent", &text, &n, &err) < 0);
    CHECK(strcmp(err.text, "node n1: open /nonexistent: No such file or directory") == 0);

    const char *hang[] = {"/bin/sh", "-c", "echo partly; sleep 100", NULL},
               *bad[] = {"/bin/sh", "-c", "exit 3", NULL};
    CHECK(keeper_exec(n1, hang, NULL, NULL, &output, &status, deadline_in(200 * MS_NS, NULL),
                      &err) < 0);
    CHECK(strstr(err.text, "so far \"partly"));
    CHECK_OK(keeper_exec(n1, bad, NULL, NULL, &output, &status, soon(), &err) == 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3 && output[0] == 0);
    free(output);
    return 0;
}

/* What a node leaves in /tmp and /dev/shm goes with it; a shared folder below /tmp stays. */
static int traces(void *unused)
{
    (void)unused;
    char shared[300], line[500];
    snprintf(shared, sizeof(shared), "%s", in_run("cache"));
    CHECK(mkdir(shared, 0755) == 0);
    struct keeper_options options = {.cpu = -1, .shared = shared};
    struct keeper *n1 = node(&options);
    CHECK(n1);
    snprintf(line, sizeof(line),
             "touch /tmp/assay-trace-%d /dev/shm/assay-trace-%d %s/kept && ls /tmp/assay-trace-%d",
             getpid(), getpid(), shared, getpid());
    CHECK(sh(n1, line, NULL));
    snprintf(line, sizeof(line), "/tmp/assay-trace-%d", getpid());
    CHECK(access(line, F_OK) < 0);
    snprintf(line, sizeof(line), "/dev/shm/assay-trace-%d", getpid());
    CHECK(access(line, F_OK) < 0);
    snprintf(line, sizeof(line), "%s/kept", shared);
    CHECK(access(line, F_OK) == 0);
    return 0;
}

/* A server that refuses root gets a user of its own. */
static int other_user(void *unused)
{
    (void)unused;
    struct err err = {0};
    char line[100] = "";
    struct keeper *n1 = plain_node();
    CHECK(n1);
    CHECK_OK(echo_start(n1, "7101", in_run("user.log"), 1000, &err) == 0);
    FILE *log = fopen(in_run("user.log"), "r");
    CHECK(log && fgets(line, sizeof(line), log));
    fclose(log);
    CHECK(strcmp(line, "echo: listening on 7101 as uid 1000\n") == 0);
    CHECK_OK(keeper_signal(n1, SIGKILL, &err) == 0);
    CHECK_OK(keeper_wait_dead(n1, soon(), &err) == 0);
    return 0;
}

/* A root folder of a few programs. */
static int make_root(const char *root)
{
    char line[1600];
    snprintf(
        line, sizeof(line),
        "P='/bin/sh /bin/cat /bin/hostname /bin/touch /bin/ls /bin/grep'; mkdir -p %s/etc && "
        "touch %s/etc/hosts && cp -L --parents $P $(ldd $P | grep -o '/lib[^ ]*' | sort -u) %s",
        root, root, root);
    return system(line);
}

static bool has_text(const char *path, const char *text)
{
    char found[1600] = "";
    FILE *in = fopen(path, "re");
    if (!in)
        return false;
    found[fread(found, 1, sizeof(found) - 1, in)] = 0;
    fclose(in);
    if (strcmp(found, text) != 0)
        fprintf(stderr, "%s holds\n%s", path, found);
    return strcmp(found, text) == 0;
}

/* Started again in a root folder: the same data, name and addresses, only its programs are there,
 * and what is written does not come out. */
static int root_folder(void *unused)
{
    (void)unused;
    struct err err = {0};
    char folder[300], root[300], line[1600], path[300];
    snprintf(folder, sizeof(folder), "%s", in_run("changed"));
    snprintf(root, sizeof(root), "%s", in_run("other"));
    CHECK(make_root(root) == 0);
    struct keeper_options options = {
        .cpu = -1, .folder = folder, .hostname = "deb12", .hosts = "10.77.1.1 deb12\n"};
    struct keeper *n1 = node(&options);
    CHECK(n1);
    snprintf(path, sizeof(path), "%s", in_run("other.log"));
    for (unsigned uid = 0; uid <= 1000; uid += 1000)
        for (int other = 0; other < 2; other++) {
            snprintf(line, sizeof(line),
                     "ls -d /usr/bin/env; cat %s/x; hostname; cat /etc/hosts; echo %d >%s/x; ls -d "
                     "/proc/1/comm /dev/null; grep -c ' %s ' /proc/self/mountinfo; [ %d = 0 ] || "
                     "echo >/y",
                     folder, other, folder, folder, other);
            const char *argv[] = {"/bin/sh", "-c", line, NULL};
            struct keeper_command command = {
                .argv = argv, .log = path, .uid = uid, .root = other ? root : NULL};
            CHECK_OK(keeper_start(n1, &command, &err) > 1);
            CHECK_OK(keeper_wait_dead(n1, soon(), &err) == 0);
        }
    static const char both[] = "deb12\n10.77.1.1 deb12\n/dev/null\n/proc/1/comm\n1\n",
                      other[] = "ls: cannot access '/usr/bin/env': No such file or directory\n0\n";
    snprintf(line, sizeof(line),
             "/usr/bin/env\ncat: %s/x: No such file or directory\n%s%s%s"
             "/usr/bin/env\n1\n%s%s%s",
             folder, both, other, both, both, other, both);
    CHECK(has_text(path, line));
    snprintf(line, sizeof(line), "%s/y", root);
    CHECK(access(line, F_OK) < 0);
    return 0;
}

/* What a log's cap lies in the middle of, and what begins right behind it. */
static int long_log(struct keeper *n1, const char *shell)
{
    struct err err = {0};
    struct stat log;
    const char *argv[] = {"/bin/sh", "-c", shell, NULL};
    char path[300];
    snprintf(path, sizeof(path), "%s", in_run("long.log"));
    struct keeper_command command = {.argv = argv, .log = path};
    CHECK_OK(keeper_start(n1, &command, &err) > 1);
    CHECK_OK(keeper_wait_dead(n1, soon(), &err) == 0);
    CHECK(stat(path, &log) == 0 && log.st_size > 64 << 20 && log.st_size < (64 << 20) + 100);
    unlink(path);
    return 0;
}

static int long_logs(void *unused)
{
    (void)unused;
    struct keeper *n1 = plain_node();
    CHECK(n1);
    return long_log(n1, "head -c 70000000 /dev/zero") != 0 ||
           long_log(n1, "head -c 67108864 /dev/zero; sleep 0.2; echo over") != 0;
}

/* After cut, kill and destruction nothing of the dead flows any more, not even after the heal: the
 * client, whose own socket lives, sends into a node without that connection and gets RST. */
static int crash(void *unused)
{
    (void)unused;
    struct err err = {0};
    int fd;
    struct keeper *n1 = plain_node();
    CHECK(n1);
    CHECK_OK(echo_start(n1, "7102", in_run("crash.log"), 0, &err) == 0);
    struct talk_board *board = board_make(&fd);
    CHECK_OK(talker(sandbox_here(), APP, N1, "7102", fd, &err));
    CHECK(talks(board, 3000));
    struct cut_pair both[] = {{APP, N1}, {N1, APP}};
    struct cut *cut = switch_cut(sandbox_here(), both, 2, NULL, 0, &err);
    CHECK_OK(cut);
    CHECK_OK(keeper_signal(n1, SIGKILL, &err) == 0);
    CHECK_OK(keeper_wait_dead(n1, soon(), &err) == 0);
    CHECK_OK(keeper_destroy_sockets(n1, &err) == 0);
    const char *left = sh(n1, "grep -vc local /proc/net/tcp || true", NULL);
    CHECK(left && (strcmp(left, "0\n") == 0 || strcmp(left, "1\n") == 0)); /* at most TIME_WAIT */
    long connects = board->connects;
    CHECK_OK(switch_heal(sandbox_here(), cut, &err) == 0);
    CHECK_OK(echo_start(n1, "7102", in_run("crash-again.log"), 0, &err) == 0);
    CHECK(talks(board, 10000));
    CHECK(board->connects > connects);
    return 0;
}

static int clients(void *unused)
{
    (void)unused;
    struct err err = {0};
    int status = 0, pipe_ends[2];
    char word[8] = "";
    const char *argv[] = {"/bin/sh", "-c", "printf fd3 >&3; echo logged; sleep 0.1; exit 5", NULL};
    CHECK(pipe(pipe_ends) == 0);
    struct child_options options = {
        .address = APP, .fds = &pipe_ends[1], .n_fds = 1, .cpu = 0, .log = in_run("client.log")};
    struct child *child = child_spawn(sandbox_here(), "app", argv, &options, &err);
    CHECK_OK(child);
    CHECK(!child_dead(child, &status));
    CHECK(read(pipe_ends[0], word, 3) == 3 && strcmp(word, "fd3") == 0);
    CHECK_OK(child_signal(child, SIGSTOP, &err) == 0);
    CHECK_OK(child_wait_stopped(child, soon(), &err) == 0);
    CHECK_OK(child_signal(child, SIGCONT, &err) == 0);
    struct deadline deadline = soon();
    while (!child_dead(child, &status))
        CHECK(deadline_sleep(&deadline, MS_NS) == 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5);
    CHECK(child_wait_stopped(child, soon(), &err) < 0);
    child_close(child);
    child =
        child_spawn(sandbox_here(), "app", argv, &options, &err); /* the address is free again */
    CHECK_OK(child);
    CHECK_OK(child_signal(child, SIGKILL, &err) == 0);
    while (!child_dead(child, &status))
        CHECK(deadline_sleep(&deadline, MS_NS) == 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    child_close(child);
    return 0;
}

static void *bring_up_one(void *argument)
{
    const char *name = argument;
    struct err err = {0};
    char address[16], log[300], *output = NULL;
    snprintf(address, sizeof(address), "10.77.2.%s", name);
    snprintf(log, sizeof(log), "%s.%s", in_run("parallel"), name);
    struct keeper_options options = {.hostname = name, .cpu = -1};
    const char *argv[] = {"/bin/hostname", NULL};
    struct keeper *keeper = keeper_open(sandbox_here(), name, address, &options, &err);
    if (!keeper || echo_start(keeper, "7110", log, 0, &err) < 0 ||
        keeper_exec(keeper, argv, NULL, NULL, &output, NULL, soon(), &err) < 0)
        fprintf(stderr, "%s\n", err.text);
    bool same = output && strncmp(output, name, strlen(name)) == 0;
    free(output);
    return same && keeper_alive(keeper) ? keeper : NULL;
}

/* Bring-up is one thread per node. */
static int parallel(void *unused)
{
    (void)unused;
    static char names[12][4];
    pthread_t threads[12];
    void *keepers[12];
    int64_t start = clock_now_ns();
    for (int i = 0; i < 12; i++) {
        snprintf(names[i], sizeof(names[i]), "%d", i + 1);
        CHECK(pthread_create(&threads[i], NULL, bring_up_one, names[i]) == 0);
    }
    for (int i = 0; i < 12; i++)
        CHECK(pthread_join(threads[i], &keepers[i]) == 0);
    printf("# 12 nodes up in %lld ms\n", (long long)((clock_now_ns() - start) / MS_NS));
    for (int i = 0; i < 12; i++)
        CHECK(keepers[i]);
    for (int i = 0; i < 12; i++)
        keeper_close(keepers[i]);
    return 0;
}

static int ends_with_42(void *unused)
{
    (void)unused;
    return 42;
}

static int ends_by_signal(void *unused)
{
    (void)unused;
    kill(getpid(), SIGABRT);
    return 0;
}

static void the_launcher_returns_what_the_coordinator_did(void **state)
{
    (void)state;
    struct err err = {0};
    int died = -1;
    assert_int_equal(run_inside(ends_with_42), 42);
    assert_int_equal(sandbox_run(ends_by_signal, NULL, NULL, &died, &err), -1);
    assert_int_equal(died, SIGABRT);
    assert_string_equal(err.text, "the coordinator was killed by signal 6 (Aborted)");
}

#define INSIDE(name, what)                                                                         \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        assert_int_equal(run_inside(what), 0);                                                     \
    }
INSIDE(a_node_is_paused_killed_and_started_again, pause_and_kill)
INSIDE(no_helper_escapes, helpers)
INSIDE(a_failed_start_says_why, starts_that_fail)
INSIDE(files_and_commands_are_the_nodes_own, inside)
INSIDE(a_node_leaves_no_traces, traces)
INSIDE(a_server_runs_as_another_user, other_user)
INSIDE(a_server_comes_back_in_a_root_folder, root_folder)
INSIDE(a_log_is_capped, long_logs)
INSIDE(a_crash_leaves_no_connection, crash)
INSIDE(a_client_reports_its_end, clients)
INSIDE(nodes_come_up_at_once, parallel)

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(the_launcher_returns_what_the_coordinator_did),
        cmocka_unit_test(a_node_is_paused_killed_and_started_again),
        cmocka_unit_test(no_helper_escapes),
        cmocka_unit_test(a_failed_start_says_why),
        cmocka_unit_test(files_and_commands_are_the_nodes_own),
        cmocka_unit_test(a_node_leaves_no_traces),
        cmocka_unit_test(a_server_runs_as_another_user),
        cmocka_unit_test(a_server_comes_back_in_a_root_folder),
        cmocka_unit_test(a_log_is_capped),
        cmocka_unit_test(a_crash_leaves_no_connection),
        cmocka_unit_test(a_client_reports_its_end),
        cmocka_unit_test(nodes_come_up_at_once),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
    return verbs_test_main(argc, argv, tests);
}
