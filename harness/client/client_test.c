/*
 * The client's engine on a mock broker: bursts are split and bounded exactly, the write-ahead rule
 * holds at the moment of the call, steps hold and kill for real, what a killed client committed is
 * there.
 */
#include "client/testing/client_fixture.h"
#include "client/testing/mock_broker.h"
#include "client/testing/raw_log.h"

#include "base/clock.h"

#include <linux/futex.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct client_fixture fixture;

static int64_t value(_Atomic int64_t *word)
{
    return atomic_load(word);
}

/* ---- bursts */

static void burst_is_split_over_workers(void **state)
{
    struct client_fixture *f = &fixture;

    (void)state;
    mock_script = (struct mock_script){.complete_per_poll = 100, .first = OUTCOME_OK};
    client_fixture_open(f, "{keys: 4}", "{outstanding: 10}", "produce", 1);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 2, 1003);
    client_fixture_done(f, 2);
    assert_int_equal(value(&f->board->bursts[2].sent), 1003);
    assert_int_equal(value(&f->board->bursts[2].ok), 1003);
    assert_int_equal(value(&f->board->outstanding), 0);
    assert_int_equal(mock_seen.outstanding_max, 10);
    client_fixture_quit(f);
    assert_int_equal(f->result, 0);
    assert_int_equal(mock_seen.how, CLOSE_FLUSH);
    for (uint64_t i = 0; i < mock_seen.sends; i++) {
        assert_int_equal(mock_seen.log[i].id.seq, i);
        assert_int_equal(mock_seen.log[i].id.client, 3);
        assert_int_equal(mock_seen.corrupt[i], PAYLOAD_OK);
    }
    client_fixture_release(f);
}

static void what_it_runs_on_is_told_first(void **state)
{
    struct client_fixture *f = &fixture;
    struct raw_log log;
    char text[100];

    (void)state;
    mock_script = (struct mock_script){.blocking = true, .first = OUTCOME_OK};
    client_fixture_open(f, "", "", "produce", 2);
    client_fixture_start(f);
    client_fixture_quit(f);
    log = raw_log_read(f->folder);
    assert_int_equal(raw_log_count(&log, EV_CLIENT_START), 1);
    assert_int_equal(log.events[0].type, EV_CLIENT_START);
    assert_int_equal(log.events[0].position, getpid());
    raw_log_text(f->folder, EV_CLIENT_START, text, sizeof(text));
    assert_string_equal(text, "mocklib 1.2");
    raw_log_release(&log);
    client_fixture_release(f);
}

/* ---- transactions: their ends are told with the messages they hold */

extern const struct workload_ops txn_workload;

static void transactions_hold_their_messages(void **state)
{
    static const struct {
        uint64_t first;
        int64_t n;
        uint8_t flags;
    } expected[] = {{0, 10, 0}, {10, 10, EV_REJECT}, {20, 5, 0}};
    struct client_fixture *f = &fixture;
    struct raw_log log;
    size_t invoked = 0, completed = 0;

    (void)state;
    mock_script = (struct mock_script){.blocking = true, .first = OUTCOME_OK, .transactions = true};
    client_fixture_open_as(f, &txn_workload, "", "{batch: 10, abort_every: 2}", "produce", 1);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, 25);
    client_fixture_done(f, 1);
    client_fixture_quit(f);
    assert_int_equal(f->result, 0);
    log = raw_log_read(f->folder);
    for (size_t i = 0; i < log.n; i++) {
        const struct event *e = &log.events[i];
        size_t at = e->type == EV_TXN_INVOKE     ? invoked++
                    : e->type == EV_TXN_COMPLETE ? completed++
                                                 : SIZE_MAX;

        if (at == SIZE_MAX)
            continue;
        assert_true(at < 3);
        assert_int_equal(e->seq, expected[at].first);
        assert_int_equal(e->value, expected[at].n);
        assert_int_equal(e->flags, expected[at].flags);
    }
    assert_int_equal(invoked, 3);
    assert_int_equal(completed, 3);
    raw_log_release(&log);
    client_fixture_release(f);
}

static void a_client_without_transactions_is_told(void **state)
{
    struct client_fixture *f = &fixture;

    (void)state;
    mock_script = (struct mock_script){.blocking = true, .first = OUTCOME_OK};
    client_fixture_open_as(f, &txn_workload, "", "", "produce", 1);
    client_fixture_start(f);
    pthread_join(f->thread, NULL);
    assert_int_equal(f->result, -1);
    assert_non_null(strstr(f->err.text, "no transaction can be begun"));
    assert_int_equal(mock_seen.sends, 0);
    client_fixture_release(f);
}

static void fewer_messages_than_workers(void **state)
{
    struct client_fixture *f = &fixture;
    struct raw_log log;
    unsigned sent[4] = {0};

    (void)state;
    mock_script = (struct mock_script){.blocking = true, .first = OUTCOME_OK};
    client_fixture_open(f, "", "", "produce", 4);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, 2);
    client_fixture_done(f, 1);
    client_fixture_quit(f);
    log = raw_log_read(f->folder);
    for (size_t i = 0; i < log.n; i++)
        if (log.events[i].type == EV_SEND_INVOKE)
            sent[log.events[i].worker]++;
    assert_int_equal(sent[0] + sent[1] + sent[2] + sent[3], 2);
    for (unsigned i = 0; i < 4; i++)
        assert_true(sent[i] <= 1);
    raw_log_release(&log);
    client_fixture_release(f);
}

static void open_burst_ends_when_told(void **state)
{
    struct client_fixture *f = &fixture;
    int64_t sent;

    (void)state;
    mock_script = (struct mock_script){.complete_per_poll = 2, .first = OUTCOME_OK};
    client_fixture_open(f, "", "{outstanding: 16}", "produce", 1);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, -1);
    client_fixture_until(&f->board->bursts[1].ok, 500);
    client_fixture_ask(f, CLIENT_END, 1, 0);
    client_fixture_done(f, 1);
    sent = value(&f->board->bursts[1].sent);
    assert_int_equal(value(&f->board->bursts[1].ok), sent);
    client_fixture_ask(f, CLIENT_BURST, 1, 5); /* the same burst once more */
    client_fixture_until(&f->board->bursts[1].ok, sent + 5);
    client_fixture_quit(f);
    assert_int_equal(mock_seen.sends, sent + 5);
    client_fixture_release(f);
}

static void running_burst_is_refused(void **state)
{
    struct client_fixture *f = &fixture;

    (void)state;
    mock_script = (struct mock_script){.complete_per_poll = 1, .first = OUTCOME_OK};
    client_fixture_open(f, "", "", "produce", 1);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, -1);
    client_fixture_ask(f, CLIENT_BURST, 1, 5);
    assert_int_equal(client_fixture_answer(f).status, 0);
    assert_string_equal(client_fixture_answer(f).text, "this burst still runs");
    client_fixture_ask(f, CLIENT_END, 1, 0);
    client_fixture_quit(f);
    client_fixture_release(f);
}

static void rate_is_kept(void **state)
{
    struct client_fixture *f = &fixture;
    struct client_command c = {
        .verb = CLIENT_BURST, .burst = 1, .count = 200, .rate_per_s = 1000, .via = NO_NODE};
    struct raw_log log;
    int64_t asked_ns;
    int64_t last = 0;

    (void)state;
    mock_script = (struct mock_script){.complete_per_poll = 100, .first = OUTCOME_OK};
    client_fixture_open(f, "", "", "produce", 1);
    client_fixture_start(f);
    asked_ns = clock_now_ns();
    assert_int_equal(send(f->control, &c, sizeof(c), 0), sizeof(c));
    client_fixture_done(f, 1);
    client_fixture_quit(f);
    log = raw_log_read(f->folder);
    for (size_t i = 0; i < log.n; i++)
        if (log.events[i].type == EV_SEND_INVOKE)
            last = log.events[i].at_ns;
    assert_true(last - asked_ns >= 199 * MS_NS); /* none before its time; how late depends */
    raw_log_release(&log);
    client_fixture_release(f);
}

/* When the sends of a burst were due, in nanoseconds since it began. */
static void due_times(const struct client_command *burst, int64_t *due_ns)
{
    struct client_fixture *f = &fixture;
    struct raw_log log;
    int64_t n = 0;

    mock_script = (struct mock_script){.complete_per_poll = 100, .first = OUTCOME_OK};
    client_fixture_open(f, "", "", "produce", 1);
    client_fixture_start(f);
    assert_int_equal(send(f->control, burst, sizeof(*burst), 0), sizeof(*burst));
    client_fixture_done(f, burst->burst);
    client_fixture_quit(f);
    log = raw_log_read(f->folder);
    for (size_t i = 0; i < log.n; i++)
        if (log.events[i].type == EV_SEND_INVOKE && n++ < burst->count)
            due_ns[n - 1] = log.events[i].at_ns - log.events[i].value - burst->start_ns;
    assert_int_equal(n, burst->count);
    raw_log_release(&log);
    client_fixture_release(f);
}

/* Gaps of an exponential distribution: their standard deviation is their mean. Three standard errors
 * of a thousand are 9 % of the mean and 27 % of the variance; the draws are the seed's, so that it
 * holds always or never. */
static void poisson_arrivals_are_exponential(void **state)
{
    enum { N = 1000 };
    static int64_t due_ns[N], again_ns[N];
    struct client_command c = {.verb = CLIENT_BURST,
                               .burst = 1,
                               .count = N,
                               .rate_per_s = 5000,
                               .poisson = 1,
                               .via = NO_NODE,
                               .start_ns = clock_now_ns()};
    const double expected_ns = 1e9 / c.rate_per_s;
    double mean_ns, variance = 0;

    (void)state;
    due_times(&c, due_ns);
    mean_ns = (double)due_ns[N - 1] / N;
    for (int i = 0; i < N; i++) {
        double off_ns = (double)(due_ns[i] - (i > 0 ? due_ns[i - 1] : 0)) - mean_ns;

        variance += off_ns * off_ns / (N - 1);
    }
    assert_true(fabs(mean_ns / expected_ns - 1) < 0.09);
    assert_true(fabs(variance / (expected_ns * expected_ns) - 1) < 0.27);
    c.start_ns = clock_now_ns();
    due_times(&c, again_ns);
    assert_memory_equal(again_ns, due_ns, sizeof(due_ns));
}

/* ---- outcomes and attempts */

static void busy_is_offered_again_in_order(void **state)
{
    struct client_fixture *f = &fixture;
    struct raw_log log;

    (void)state;
    mock_script =
        (struct mock_script){.complete_per_poll = 50, .first = OUTCOME_OK, .busy_every = 7};
    client_fixture_open(f, "", "", "produce", 1);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, 500);
    client_fixture_done(f, 1);
    client_fixture_quit(f);
    for (uint64_t i = 0; i < 500; i++)
        assert_int_equal(mock_seen.log[i].id.seq, i);
    log = raw_log_read(f->folder);
    assert_int_equal(raw_log_count(&log, EV_SEND_INVOKE),
                     500); /* once each, however often offered */
    assert_int_equal(raw_log_count(&log, EV_SEND_COMPLETE), 500);
    raw_log_release(&log);
    client_fixture_release(f);
}

static void unknown_is_sent_again_as_next_attempt(void **state)
{
    struct client_fixture *f = &fixture;
    struct raw_log log;
    unsigned attempts[2] = {0};

    (void)state;
    mock_script = (struct mock_script){
        .complete_per_poll = 50, .first = OUTCOME_UNKNOWN, .again = OUTCOME_OK};
    client_fixture_open(f, "", "{resend: on_unknown, attempts: 2}", "produce", 1);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, 100);
    client_fixture_done(f, 1);
    client_fixture_quit(f);
    assert_int_equal(value(&f->board->bursts[1].sent), 100);
    assert_int_equal(value(&f->board->bursts[1].ok), 100); /* ok if any attempt is */
    assert_int_equal(value(&f->board->bursts[1].unknown), 0);
    log = raw_log_read(f->folder);
    for (size_t i = 0; i < log.n; i++)
        if (log.events[i].type == EV_SEND_INVOKE)
            attempts[log.events[i].attempt]++;
    assert_int_equal(attempts[0], 100);
    assert_int_equal(attempts[1], 100);
    raw_log_release(&log);
    client_fixture_release(f);
}

/* One is in flight, the next was refused (BUSY) and waits: what is sent again goes before it. */
static void sent_again_goes_before_what_is_new(void **state)
{
    struct client_fixture *f = &fixture;

    (void)state;
    mock_script = (struct mock_script){
        .complete_per_poll = 10, .first = OUTCOME_UNKNOWN, .again = OUTCOME_OK, .busy_every = 1};
    client_fixture_open(f, "", "{outstanding: 4, resend: on_unknown, attempts: 2}", "produce", 1);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, 20);
    client_fixture_done(f, 1);
    client_fixture_quit(f);
    assert_int_equal(mock_seen.sends, 40);
    for (uint64_t i = 0; i < 40; i++) {
        assert_int_equal(mock_seen.log[i].id.seq, i / 2);
        assert_int_equal(mock_seen.log[i].attempt, i % 2);
    }
    client_fixture_release(f);
}

static void attempts_are_bounded_and_unknown_stays(void **state)
{
    struct client_fixture *f = &fixture;

    (void)state;
    mock_script = (struct mock_script){
        .complete_per_poll = 50, .first = OUTCOME_UNKNOWN, .again = OUTCOME_FAIL};
    client_fixture_open(f, "", "{resend: until_ok, attempts: 3}", "produce", 1);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, 10);
    client_fixture_done(f, 1);
    client_fixture_quit(f);
    assert_int_equal(mock_seen.sends, 30);
    assert_int_equal(value(&f->board->bursts[1].unknown), 10);
    client_fixture_release(f);
}

static void no_resend_by_default(void **state)
{
    struct client_fixture *f = &fixture;

    (void)state;
    mock_script = (struct mock_script){.complete_per_poll = 50, .first = OUTCOME_UNKNOWN};
    client_fixture_open(f, "", "", "produce", 1);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, 10);
    client_fixture_done(f, 1);
    client_fixture_quit(f);
    assert_int_equal(mock_seen.sends, 10);
    client_fixture_release(f);
}

/* ---- the write-ahead rule, seen from below the recorder */

static bool invoked(const struct msg *msg)
{
    struct raw_log log = raw_log_read(fixture.folder);
    const struct event *e = &log.events[log.n - 1];
    bool found = log.n > 0 && e->type == EV_SEND_INVOKE && e->seq == msg->id.seq &&
                 e->attempt == msg->attempt;

    raw_log_release(&log);
    return found;
}

static unsigned too_late;

static void look_at_send(const struct send *send)
{
    if (!invoked(send->msg))
        too_late++;
}

static void look_at_settle(const struct settle *settle)
{
    struct raw_log log = raw_log_read(fixture.folder);
    const struct event *e = &log.events[log.n - 1];
    bool delivered = false;

    for (size_t i = 0; i < log.n; i++)
        delivered |=
            log.events[i].type == EV_DELIVER && log.events[i].position == settle->upto->position;
    if (!delivered || e->type != EV_SETTLE_INVOKE || e->position != settle->upto->position)
        too_late++;
    raw_log_release(&log);
}

static void invoke_is_committed_before_the_call(void **state)
{
    struct client_fixture *f = &fixture;

    (void)state;
    too_late = 0;
    mock_script =
        (struct mock_script){.complete_per_poll = 50, .first = OUTCOME_OK, .on_send = look_at_send};
    client_fixture_open(f, "", "", "produce", 1);
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, 200);
    client_fixture_done(f, 1);
    client_fixture_quit(f);
    assert_int_equal(mock_seen.sends, 200);
    assert_int_equal(too_late, 0);
    client_fixture_release(f);
}

static void delivery_and_settle_are_committed_before_the_call(void **state)
{
    struct client_fixture *f = &fixture;

    (void)state;
    too_late = 0;
    mock_script = (struct mock_script){.complete_per_poll = 50,
                                       .to_deliver = 100,
                                       .deliver_per_poll = 9,
                                       .on_settle = look_at_settle};
    client_fixture_open(f, "", "", "consume", 1);
    client_fixture_start(f);
    client_fixture_until(&f->board->settled, 100);
    client_fixture_quit(f);
    assert_int_equal(too_late, 0);
    client_fixture_release(f);
}

static void what_never_completes_is_unknown_at_close(void **state)
{
    struct client_fixture *f = &fixture;
    struct raw_log log;

    (void)state;
    mock_script =
        (struct mock_script){.complete_per_poll = 1, .to_deliver = 40, .deliver_per_poll = 40};
    client_fixture_open(f, "", "", "consume", 1);
    client_fixture_start(f);
    client_fixture_until(&f->board->delivered, 40);
    mock_script.complete_per_poll = 0;
    client_fixture_quit(f);
    log = raw_log_read(f->folder);
    assert_int_equal(raw_log_count(&log, EV_SETTLE_INVOKE), 40);
    assert_int_equal(raw_log_count(&log, EV_SETTLE_COMPLETE), 40);
    assert_int_equal(raw_log_count(&log, EV_CLIENT_STOP), 1);
    raw_log_release(&log);
    client_fixture_release(f);
}

/* ---- consuming */

static void every_delivery_is_settled_once(const char *client, bool ignores_bound,
                                           uint64_t busy_every)
{
    struct client_fixture *f = &fixture;
    const uint64_t n = 20000;

    mock_script = (struct mock_script){.complete_per_poll = 100,
                                       .to_deliver = n,
                                       .deliver_per_poll = 1000,
                                       .ignores_bound = ignores_bound,
                                       .busy_every = busy_every};
    client_fixture_open(f, "", client, "consume", 1);
    client_fixture_start(f);
    client_fixture_until(&f->board->settled, (int64_t)n);
    client_fixture_quit(f);
    assert_int_equal(f->result, 0);
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(mock_seen.settled_of[i], 1);
    client_fixture_release(f);
}

static void slow_settles_bound_what_is_taken(void **state)
{
    (void)state;
    every_delivery_is_settled_once("", false, 0);
}

static void busy_settles_keep_their_turn(void **state)
{
    (void)state;
    every_delivery_is_settled_once("", false, 5);
}

static void backlog_of_a_library_without_bound(void **state)
{
    struct client_fixture *f = &fixture;

    (void)state;
    mock_script = (struct mock_script){.complete_per_poll = 1000,
                                       .to_deliver = 9000,
                                       .deliver_per_poll = 1000,
                                       .ignores_bound = true};
    client_fixture_open(f, "", "", "consume", 1);
    client_fixture_start(f);
    client_fixture_until(&f->board->settled, 9000);
    client_fixture_quit(f);
    for (uint64_t i = 0; i < 9000; i++)
        assert_int_equal(mock_seen.settled_of[i], 1);
    client_fixture_release(f);
}

static void settles_are_bundled(void **state)
{
    struct client_fixture *f = &fixture;

    (void)state;
    mock_script =
        (struct mock_script){.complete_per_poll = 100, .to_deliver = 1005, .deliver_per_poll = 64};
    client_fixture_open(f, "", "{settle_every: 100}", "consume", 1);
    client_fixture_start(f);
    client_fixture_until(&f->board->settled, 1005); /* messages */
    client_fixture_quit(f);
    assert_int_equal(mock_seen.settles, 11); /* ten whole ones and the rest */
    assert_int_equal(mock_seen.settled_of[99], 1);
    assert_int_equal(mock_seen.settled_of[1004], 1);
    client_fixture_release(f);
}

static void flipped_bits_are_recorded(void **state)
{
    struct client_fixture *f = &fixture;
    struct raw_log log;

    (void)state;
    mock_script = (struct mock_script){
        .complete_per_poll = 100, .to_deliver = 100, .deliver_per_poll = 10, .corrupt_every = 10};
    client_fixture_open(f, "", "", "consume", 1);
    client_fixture_start(f);
    client_fixture_until(&f->board->settled, 100);
    client_fixture_quit(f);
    log = raw_log_read(f->folder);
    assert_int_equal(raw_log_count(&log, EV_CORRUPT), 10);
    assert_int_equal(raw_log_count(&log, EV_DELIVER), 90);
    raw_log_release(&log);
    client_fixture_release(f);
}

/* ---- steps */

static void kill_at_a_step_commits_it(void **state)
{
    struct client_fixture *f = &fixture;
    struct step_gate *gate;
    struct raw_log log;
    const struct event *last;
    int status = 0;
    pid_t pid;

    (void)state;
    mock_script =
        (struct mock_script){.complete_per_poll = 100, .to_deliver = 100, .deliver_per_poll = 10};
    client_fixture_open(f, "", "", "consume", 1);
    gate = &f->board->steps[1]; /* after_effect */
    atomic_store(&gate->nth, 7);
    atomic_store(&gate->armed, GATE_KILL);
    pid = client_fixture_fork(f);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    log = raw_log_read(f->folder);
    last = &log.events[log.n - 1];
    assert_int_equal(last->type, EV_STEP);
    assert_int_equal(last->flags, EV_KILLED);
    assert_int_equal(last->ref, 1);
    assert_int_equal(last->value, 7);
    assert_int_equal(last->seq, 6);
    assert_int_equal(raw_log_count(&log, EV_SETTLE_INVOKE), 6);
    assert_int_equal(raw_log_count(&log, EV_CLIENT_START), 1);
    assert_int_equal(raw_log_count(&log, EV_CLIENT_STOP), 0);
    assert_int_equal(atomic_load(&gate->hits), 1);
    assert_int_equal(atomic_load(&gate->armed),
                     GATE_OPEN); /* the next incarnation shares the board */
    assert_int_equal(value(&f->board->delivered), 10);
    raw_log_release(&log);
    client_fixture_release(f);
}

static void hold_until_released(void **state)
{
    struct client_fixture *f = &fixture;
    struct step_gate *gate;
    struct raw_log log;
    struct deadline deadline = deadline_in(10 * SECOND_NS, NULL);

    (void)state;
    mock_script =
        (struct mock_script){.complete_per_poll = 100, .to_deliver = 50, .deliver_per_poll = 10};
    client_fixture_open(f, "", "", "consume", 1);
    gate = &f->board->steps[0]; /* before_process */
    atomic_store(&gate->nth, 3);
    atomic_store(&gate->deadline_ns, clock_now_ns() + 20 * SECOND_NS);
    atomic_store(&gate->armed, GATE_HOLD);
    client_fixture_start(f);
    while (atomic_load(&gate->held) == 0)
        assert_int_equal(deadline_sleep(&deadline, MS_NS), 0);
    assert_int_equal(mock_seen.settles, 2);
    atomic_store(&gate->armed, GATE_OPEN);
    atomic_store(&gate->released, 1);
    syscall(SYS_futex, &gate->released, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    client_fixture_until(&f->board->settled, 50);
    client_fixture_quit(f);
    log = raw_log_read(f->folder);
    assert_int_equal(raw_log_count(&log, EV_STEP), 2); /* held, released */
    assert_int_equal(atomic_load(&gate->held), 0);
    raw_log_release(&log);
    client_fixture_release(f);
}

static void hold_ends_at_its_deadline(void **state)
{
    struct client_fixture *f = &fixture;
    int64_t until_ns;

    (void)state;
    mock_script =
        (struct mock_script){.complete_per_poll = 100, .to_deliver = 5, .deliver_per_poll = 5};
    client_fixture_open(f, "", "", "consume", 1);
    until_ns = clock_now_ns() + SECOND_NS; /* long enough for a busy machine to come there */
    atomic_store(&f->board->steps[0].nth, 1);
    atomic_store(&f->board->steps[0].deadline_ns, until_ns);
    atomic_store(&f->board->steps[0].armed, GATE_HOLD);
    client_fixture_start(f);
    client_fixture_until(&f->board->settled, 5);
    assert_true(clock_now_ns() >= until_ns);
    assert_int_equal(atomic_load(&f->board->steps[0].hits), 1);
    client_fixture_quit(f);
    client_fixture_release(f);
}

/* ---- death */

static void log_of_a_killed_client_is_whole(void **state)
{
    struct client_fixture *f = &fixture;
    struct raw_log log;
    size_t completed = 0;
    int status;
    pid_t pid;

    (void)state;
    mock_script = (struct mock_script){.complete_per_poll = 100, .first = OUTCOME_OK};
    client_fixture_open(f, "", "", "produce", 1);
    pid = client_fixture_fork(f);
    client_fixture_ask(f, CLIENT_BURST, 1, -1);
    client_fixture_until(&f->board->bursts[1].ok, 5000);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    log = raw_log_read(f->folder);
    completed = raw_log_count(&log, EV_SEND_COMPLETE);
    /* what the board says was committed before it said so */
    assert_true((int64_t)raw_log_count(&log, EV_SEND_INVOKE) >= value(&f->board->bursts[1].sent));
    assert_true((int64_t)completed >= value(&f->board->bursts[1].ok));
    for (size_t i = 0; i < log.n; i++)
        assert_true(log.events[i].type != EVENT_NONE && log.events[i].at_ns > 0);
    raw_log_release(&log);
    client_fixture_release(f);
}

static void end_of_the_control_socket_is_death(void **state)
{
    struct client_fixture *f = &fixture;
    int status;
    pid_t pid;

    (void)state;
    mock_script = (struct mock_script){.complete_per_poll = 100, .first = OUTCOME_OK};
    client_fixture_open(f, "", "", "produce", 1);
    pid = client_fixture_fork(f);
    client_fixture_ask(f, CLIENT_BURST, 1, -1);
    client_fixture_until(&f->board->bursts[1].ok, 100);
    close(f->control);
    f->control = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    client_fixture_release(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burst_is_split_over_workers),
        cmocka_unit_test(what_it_runs_on_is_told_first),
        cmocka_unit_test(fewer_messages_than_workers),
        cmocka_unit_test(transactions_hold_their_messages),
        cmocka_unit_test(a_client_without_transactions_is_told),
        cmocka_unit_test(open_burst_ends_when_told),
        cmocka_unit_test(running_burst_is_refused),
        cmocka_unit_test(rate_is_kept),
        cmocka_unit_test(poisson_arrivals_are_exponential),
        cmocka_unit_test(busy_is_offered_again_in_order),
        cmocka_unit_test(unknown_is_sent_again_as_next_attempt),
        cmocka_unit_test(sent_again_goes_before_what_is_new),
        cmocka_unit_test(attempts_are_bounded_and_unknown_stays),
        cmocka_unit_test(no_resend_by_default),
        cmocka_unit_test(invoke_is_committed_before_the_call),
        cmocka_unit_test(delivery_and_settle_are_committed_before_the_call),
        cmocka_unit_test(what_never_completes_is_unknown_at_close),
        cmocka_unit_test(slow_settles_bound_what_is_taken),
        cmocka_unit_test(busy_settles_keep_their_turn),
        cmocka_unit_test(backlog_of_a_library_without_bound),
        cmocka_unit_test(settles_are_bundled),
        cmocka_unit_test(flipped_bits_are_recorded),
        cmocka_unit_test(kill_at_a_step_commits_it),
        cmocka_unit_test(hold_until_released),
        cmocka_unit_test(hold_ends_at_its_deadline),
        cmocka_unit_test(log_of_a_killed_client_is_whole),
        cmocka_unit_test(end_of_the_control_socket_is_death),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
