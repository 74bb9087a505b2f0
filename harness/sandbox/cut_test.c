/* labels: sandbox */
/*
 * The switch on two nodes and a client: cuts of established flows, one-way cuts, planes, cuts that
 * overlap, rates, and how long a cut takes.
 */
#include "sandbox/testing/verbs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define N1 "10.77.1.1"
#define N2 "10.77.1.2"
#define APP "10.77.100.1"

static char run_folder[200];

static int run(int (*coordinate)(void *))
{
    struct err err = {0};
    struct sandbox_options options = {.run_folder = run_folder};
    int died = 0, result = sandbox_run(coordinate, NULL, &options, &died, &err);
    if (result < 0)
        fprintf(stderr, "%s (died %d)\n", err.text, died);
    return result;
}

static const char *in_run(const char *name)
{
    static char path[4][300];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof(path[0]), "%s/%s", run_folder, name);
    return p;
}

struct pair {
    struct keeper *n1;
    struct child *app;
    struct talk_board *board;
};

static int make_pair(struct pair *pair, const char *port)
{
    struct err err = {0};
    int fd;
    struct keeper_options options = {.hostname = "n1", .cpu = -1};
    pair->n1 = keeper_open(sandbox_here(), "n1", N1, &options, &err);
    CHECK_OK(pair->n1);
    char log[40];
    snprintf(log, sizeof(log), "echo-%s.log", port);
    CHECK_OK(echo_start(pair->n1, port, in_run(log), 0, &err) == 0);
    pair->board = board_make(&fd);
    pair->app = talker(sandbox_here(), APP, N1, port, fd, &err);
    close(fd);
    CHECK_OK(pair->app);
    CHECK(talks(pair->board, 3000));
    return 0;
}

static int cut_and_heal(void *unused)
{
    (void)unused;
    struct pair pair;
    struct err err = {0};
    struct sandbox *box = sandbox_here();
    int64_t packets = -1;
    if (make_pair(&pair, "7001"))
        return 1;
    struct cut_pair both[] = {{APP, N1}, {N1, APP}};
    struct cut *cut = switch_cut(box, both, 2, NULL, 0, &err);
    CHECK_OK(cut);
    usleep(20000); /* what the server had answered before the cut */
    CHECK(!talks(pair.board, 500));
    CHECK_OK(switch_cut_count(box, cut, &packets, &err) == 0);
    CHECK(packets > 0);
    long connects = pair.board->connects;
    CHECK_OK(switch_heal(box, cut, &err) == 0);
    CHECK(talks(pair.board, 5000));
    CHECK(pair.board->connects == connects); /* the same connection: nothing told it */
    CHECK_OK(switch_heal(box, NULL, &err) == 0);
    child_close(pair.app);
    keeper_close(pair.n1);
    return 0;
}

static void a_cut_bites_an_established_flow(void **state)
{
    (void)state;
    assert_int_equal(run(cut_and_heal), 0);
}

static int main_cut(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_bites_an_established_flow),
    };
    snprintf(run_folder, sizeof(run_folder), "/tmp/assay-cut-test-XXXXXX");
    if (!mkdtemp(run_folder))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    int status = verbs_main(argc, argv);
    return status >= 0 ? status : main_cut();
}
