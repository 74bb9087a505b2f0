/*
 * Workload transfer on a mock broker and SQLite: what a message means, what each way to deduplicate
 * leaves in the journal when all messages come a second time, and what is settled while one of
 * several tasks stands still.
 */
#include "client/testing/client_fixture.h"
#include "client/testing/mock_broker.h"
#include "workloads/transfer.h"

#include "api/system.h"
#include "base/clock.h"
#include "systems/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MESSAGES 60
#define INITIAL 1000

extern const struct system_ops sqlite_system;
extern const struct workload_ops transfer_workload;

static const struct plan_cluster db = {.alias = "db", .system = &sqlite_system};
static struct client_fixture fixture;
static const struct transfer_client_args client = {{.outstanding = 10, .attempts = 1}};

static struct transfer_args defaults(void)
{
    return (struct transfer_args){.payload_bytes = PAYLOAD_MIN,
                                  .accounts = 10,
                                  .initial = INITIAL,
                                  .amount = 10,
                                  .tasks = 1,
                                  .settle_every_ns = 10 * MS_NS,
                                  .on_unknown_commit = UNKNOWN_ASK,
                                  .db = "db"};
}

/* ---- what a message means */

static void a_transfer_follows_from_the_message(void **state)
{
    struct transfer_args args = defaults();
    unsigned paid[10] = {0};

    (void)state;
    for (uint64_t seq = 0; seq < 1000; seq++) {
        struct msg_id id = {.seq = seq, .client = 3};
        struct transfer t = transfer_of(&args, &id), again = transfer_of(&args, &id);

        assert_true(t.from < 10 && t.to < 10 && t.from != t.to);
        assert_true(t.amount >= 1 && t.amount <= 10);
        assert_true(t.from == again.from && t.to == again.to && t.amount == again.amount);
        paid[t.from]++;
    }
    for (int i = 0; i < 10; i++)
        assert_true(paid[i] > 50);
}

static void senseless_is_refused(void **state)
{
    struct transfer_args args = defaults();

    (void)state;
    assert_null(transfer_workload.senseless(&args, &client));
    args.dedupe = DEDUPE_REDIS_AFTER;
    assert_non_null(transfer_workload.senseless(&args, &client));
    args.marks = "kv";
    assert_null(transfer_workload.senseless(&args, &client));
    args.tasks = 4;
    assert_non_null(transfer_workload.senseless(&args, &client));
    args.settle = SETTLE_HIGHEST_DONE;
    assert_null(transfer_workload.senseless(&args, &client));
}

/* ---- one client that is given MESSAGES messages */

static struct client_fixture *open_teller(const struct transfer_args *args)
{
    struct client_fixture *f = &fixture;

    mock_script = (struct mock_script){
        .complete_per_poll = 100, .to_deliver = MESSAGES, .deliver_per_poll = 7};
    client_fixture_open(f, "", "", "consume", 1);
    f->plan.workload = &transfer_workload;
    f->plan.workload_args = args;
    f->spec.role_args = &client;
    f->plan.clusters = (struct plan_cluster *)&db;
    f->plan.n_clusters = 1;
    return f;
}

struct books {
    unsigned rows, pairs; /* of the journal; transfers in it, by what they take */
    int64_t sums[10], balances[10];
};

static int add_row(void *context, const struct journal_row *row)
{
    struct books *books = context;

    books->rows++;
    books->pairs += row->amount < 0;
    books->sums[row->key] += row->amount;
    return 0;
}

static int add_item(void *context, const struct store_item *item)
{
    struct books *books = context;

    books->balances[item->key] = item->value;
    return 0;
}

static struct books audit(const char *folder)
{
    struct books books = {0};
    void *store = calloc(1, sqlite_system.store->size);
    struct err err = {0};

    assert_int_equal(sqlite_system.store->open(store, NULL, &db, folder, STORE_PRIMARY, &err), 0);
    assert_int_equal(ledger_journal(sqlite_system.store, store, add_row, &books, &err), 0);
    assert_int_equal(ledger_items(sqlite_system.store, store, add_item, &books, &err), 0);
    sqlite_system.store->close(store);
    free(store);
    assert_int_equal(books.rows, 2 * books.pairs);
    return books;
}

static void assert_balanced(const struct books *books)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(books->balances[i], INITIAL + books->sums[i]);
}

static void run(struct client_fixture *f)
{
    client_fixture_start(f);
    client_fixture_until(&f->board->settled, MESSAGES);
    client_fixture_quit(f);
}

static void copy_books(const char *from, const char *to)
{
    char command[200];

    snprintf(command, sizeof(command), "cp %s/db.sqlite* %s", from, to);
    assert_int_equal(system(command), 0);
}

/* The same messages to a first client and then to a second one. */
static struct books given_twice(struct transfer_args args)
{
    char kept[] = "/tmp/assay-books-XXXXXX", command[100];
    struct client_fixture *f = open_teller(&args);
    struct books books;

    assert_non_null(mkdtemp(kept));
    run(f);
    books = audit(f->folder);
    assert_int_equal(books.pairs, MESSAGES);
    assert_balanced(&books);
    copy_books(f->folder, kept);
    client_fixture_release(f);
    f = open_teller(&args);
    copy_books(kept, f->folder);
    run(f);
    books = audit(f->folder);
    client_fixture_release(f);
    snprintf(command, sizeof(command), "rm -r %s", kept);
    assert_int_equal(system(command), 0);
    assert_balanced(&books);
    return books;
}

static void what_a_second_delivery_leaves(void **state)
{
    static const struct {
        enum dedupe how;
        unsigned pairs;
    } ways[] = {{DEDUPE_NONE, 2 * MESSAGES},
                {DEDUPE_VERSION, 2 * MESSAGES},
                {DEDUPE_UNIQUE, MESSAGES},
                {DEDUPE_SAME_TRANSACTION, MESSAGES},
                {DEDUPE_CHECKED_BEFORE, MESSAGES}};

    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        struct transfer_args args = defaults();

        args.dedupe = (int)ways[i].how;
        assert_int_equal(given_twice(args).pairs, ways[i].pairs);
    }
}

/* ---- settling */

static uint64_t settles(void)
{
    uint64_t n = 0;

    for (int i = 0; i < MESSAGES; i++)
        n += mock_seen.settled_of[i];
    return n;
}

static void left_to_the_library_nothing_is_settled(void **state)
{
    struct transfer_args args = defaults();
    struct client_fixture *f;

    (void)state;
    args.settle = SETTLE_AUTOMATIC;
    f = open_teller(&args);
    client_fixture_start(f);
    client_fixture_until(&f->board->effects, MESSAGES);
    client_fixture_quit(f);
    assert_int_equal(settles(), 0);
    client_fixture_release(f);
}

static void periodic_settles_all_at_the_end(void **state)
{
    struct transfer_args args = defaults();
    struct client_fixture *f;

    (void)state;
    args.settle = SETTLE_PERIODIC;
    args.settle_every_ns = 3600 * SECOND_NS;
    f = open_teller(&args);
    client_fixture_start(f);
    client_fixture_until(&f->board->effects, MESSAGES);
    assert_int_equal(settles(), 0);
    client_fixture_quit(f);
    assert_int_equal(settles(), MESSAGES);
    client_fixture_release(f);
}

/* All tasks end but the fifth to begin, which stands still: up to where is settled now? Afterwards
 * it goes on. */
static int highest_settled(enum settle_mode mode)
{
    struct transfer_args args = defaults();
    struct client_fixture *f;
    struct step_gate *gate;
    int highest = -1;
    struct books books;

    args.settle = (int)mode;
    args.tasks = 8;
    f = open_teller(&args);
    gate = &f->board->steps[BEFORE_PROCESS];
    gate->nth = 5;
    gate->armed = GATE_HOLD;
    client_fixture_start(f);
    client_fixture_until(&f->board->effects, MESSAGES - 1);
    for (int i = 0; i < MESSAGES; i++)
        highest = mock_seen.settled_of[i] > 0 ? i : highest;
    assert_int_equal(atomic_load(&gate->held), 1);
    atomic_store(&gate->armed, GATE_OPEN);
    atomic_store(&gate->released, 1);
    client_fixture_until(&f->board->effects, MESSAGES);
    client_fixture_quit(f);
    books = audit(f->folder);
    assert_int_equal(books.pairs, MESSAGES);
    assert_balanced(&books);
    client_fixture_release(f);
    return highest;
}

static void one_stands_still(void **state)
{
    (void)state;
    assert_int_equal(highest_settled(SETTLE_HIGHEST_DONE), MESSAGES - 1);
    assert_true(highest_settled(SETTLE_LOWEST_CONTIGUOUS) < 12); /* one of the first eight or so */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transfer_follows_from_the_message),
        cmocka_unit_test(senseless_is_refused),
        cmocka_unit_test(what_a_second_delivery_leaves),
        cmocka_unit_test(left_to_the_library_nothing_is_settled),
        cmocka_unit_test(periodic_settles_all_at_the_end),
        cmocka_unit_test(one_stands_still),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
