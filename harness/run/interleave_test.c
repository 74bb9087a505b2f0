/*
 * Two clients pass their points in the order that is written, whichever is faster; who works on
 * orders begins when its turn has come; a point nobody comes to ends in time and leaves no gate
 * closed.
 */
#include "client/testing/client_fixture.h"
#include "run/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What happened, a letter each: R or W begins, r1 w1 … stand behind their points as digits. */
static char story[200];
static pthread_mutex_t story_lock = PTHREAD_MUTEX_INITIALIZER;

static void tell(char letter)
{
    size_t n;

    pthread_mutex_lock(&story_lock);
    n = strlen(story);
    assert_true(n + 1 < sizeof(story));
    story[n] = letter;
    pthread_mutex_unlock(&story_lock);
}

enum { FIRST, SECOND, NEVER };
static const char *const steps[] = {"first", "second", "never", NULL};
static const char *const roles[] = {"reader", NULL};

static void one(struct worker *w, const struct work_order *order)
{
    bool reader = worker_identity(w).client == 0;

    tell(reader ? 'R' : 'W');
    worker_step(w, FIRST, NULL);
    tell(reader ? 'a' : 'x');
    worker_step(w, SECOND, NULL);
    tell(reader ? 'b' : 'y');
    worker_did(w, order, OUTCOME_OK, false);
}

static int work(struct worker *w, struct err *err)
{
    const struct delivery *none;
    struct work_order order;
    int64_t until_ns;

    (void)err;
    while (!worker_stopping(w)) {
        while (worker_next_send(w, &order, 8, &until_ns))
            for (uint32_t i = 0; i < order.n; i++)
                one(w, &order);
        worker_poll(w, until_ns, &none);
    }
    return 0;
}

static const struct workload_ops two_steps = {
    .name = "two", .roles = roles, .steps = steps, .run = work};

/* ---- two clients and the part of a run that steers them */

static struct stage {
    struct client_fixture f[2];
    struct plan_client clients[2];
    struct plan_case plan;
    struct instance instances[2];
    struct run run;
} stage;

static void open_client(struct stage *s, unsigned i)
{
    struct client_fixture *f = &s->f[i];

    client_fixture_open(f, "", "", "reader", 1);
    s->clients[i] = f->spec;
    s->clients[i].name = i == 0 ? "R" : "W";
    s->clients[i].first_id = (uint16_t)i;
    s->clients[i].broker = NULL;
    f->client->plan = &s->plan;
    f->client->spec = &s->clients[i];
    f->client->id = (uint16_t)i;
    s->instances[i] = (struct instance){.client = &s->clients[i],
                                        .id = (uint16_t)i,
                                        .board = f->board,
                                        .control = f->control,
                                        .wanted = true};
    snprintf(s->instances[i].name, sizeof(s->instances[i].name), "%s", s->clients[i].name);
}

static int set_stage(void **state)
{
    struct stage *s = &stage;

    (void)state;
    memset(s, 0, sizeof(*s));
    memset(story, 0, sizeof(story));
    open_client(s, 0);
    open_client(s, 1);
    s->plan = s->f[0].plan;
    s->plan.workload = &two_steps;
    s->plan.clients = s->clients;
    s->plan.n_clients = 2;
    s->run.plan = &s->plan;
    s->run.instances = s->instances;
    s->run.n_instances = 2;
    s->run.deadline = deadline_in(20 * SECOND_NS, NULL);
    pthread_mutex_init(&s->run.lock, NULL);
    pthread_mutex_init(&s->run.chronicle_lock, NULL);
    client_fixture_start(&s->f[0]);
    client_fixture_start(&s->f[1]);
    return 0;
}

static int clear_stage(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        client_fixture_quit(&stage.f[i]);
        client_fixture_release(&stage.f[i]);
    }
    arena_release(&stage.run.arena);
    return 0;
}

static int interleave(const char *const *points, unsigned *bursts, size_t n, struct err *err)
{
    struct interleave_args args = {.within_ns = 2 * SECOND_NS,
                                   .points = {(const char **)(uintptr_t)points, n},
                                   .bursts = bursts};
    struct step step = {.kind = STEP_INTERLEAVE, .args = &args};

    return interleave_step(&stage.run, &step, err);
}

static void points_are_passed_as_written(void **state)
{
    static const char *const points[] = {"R.first", "W.first", "W.second", "R.second"};
    unsigned bursts[] = {1, 2, 0, 0};
    struct err err = {0};

    (void)state;
    for (int round = 0; round < 5; round++) {
        memset(story, 0, sizeof(story));
        assert_int_equal(interleave(points, bursts, 4, &err), 0);
        assert_int_equal(strlen(story), 6);
        assert_int_equal(story[0], 'R'); /* W is asked when R stands at its first point */
        assert_true(strchr(story, 'x') > strchr(story, 'W'));
        assert_true(strchr(story, 'b') >
                    strchr(story, 'x')); /* R ends when W has come to its end */
        assert_true(strchr(story, 'b') > strchr(story, 'a'));
    }
}

static void a_point_nobody_comes_to(void **state)
{
    static const char *const points[] = {"R.first", "W.never"};
    unsigned bursts[] = {1, 2};
    struct err err = {0};

    (void)state;
    assert_int_equal(interleave(points, bursts, 2, &err), -1);
    assert_string_equal(err.text, "nobody came to W.never in time");
    client_fixture_until(&stage.f[0].board->bursts[1].ok, 1); /* all gates are open again */
    client_fixture_until(&stage.f[1].board->bursts[2].ok, 1);
}

static void an_order_carries_the_rounds_key(void **state)
{
    static const char *const points[] = {"R.first"};
    unsigned bursts[] = {1};
    struct err err = {0};

    (void)state;
    stage.run.keyed = true;
    stage.run.key = 17;
    assert_int_equal(interleave(points, bursts, 1, &err), 0);
    assert_int_equal(stage.f[0].client->bursts[1].key, 17);
    stage.run.keyed = false;
    assert_int_equal(interleave(points, bursts, 1, &err), 0);
    assert_int_equal(stage.f[0].client->bursts[1].key, NO_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(points_are_passed_as_written, set_stage, clear_stage),
        cmocka_unit_test_setup_teardown(a_point_nobody_comes_to, set_stage, clear_stage),
        cmocka_unit_test_setup_teardown(an_order_carries_the_rounds_key, set_stage, clear_stage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
