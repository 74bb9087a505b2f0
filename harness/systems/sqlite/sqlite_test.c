/*
 * SQLite as a store: a journal several processes write at once, rows in commit order, what a kill
 * leaves behind: nothing before COMMIT, the row after it; versions, tokens and fences.
 */
#include "api/store.h"
#include "api/system.h"
#include "plan/plan.h"
#include "systems/ledger.h"

#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS 200

extern const struct system_ops sqlite_system;

static char folder[64];
static const struct plan_cluster cluster = {.alias = "ledger", .system = &sqlite_system};

static const struct store_ops *ops(void)
{
    return sqlite_system.store;
}

static void *open_store(void)
{
    struct err err = {0};
    void *store = calloc(1, ops()->size);

    assert(store);
    if (ops()->open(store, NULL, &cluster, folder, STORE_PRIMARY, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return store;
}

static void append(void *store, uint16_t by, uint64_t seq)
{
    struct journal_row row = {
        .message = {.seq = seq, .client = 5, .worker = 2}, .key = 9, .key_seq = seq, .by = by};
    struct err err = {0};

    assert(ops()->begin(store, &err) == 0);
    assert(ops()->append(store, &row, &err) == 0);
}

static void commit(void *store)
{
    int16_t code = -1;

    assert(ops()->commit(store, &code) == OUTCOME_OK);
    assert(code == 0);
}

struct tally {
    unsigned n, of[3];
    int64_t last_row;
};

static int count_row(void *context, const struct journal_row *row)
{
    struct tally *tally = context;

    assert(row->row > tally->last_row && row->version == row->row);
    assert(row->message.client == 5 && row->message.worker == 2 && row->key == 9);
    assert(row->message.seq == row->key_seq && row->by < 3);
    tally->last_row = row->row;
    tally->of[row->by]++;
    tally->n++;
    return 0;
}

static struct tally audit(void)
{
    struct tally tally = {0};
    struct err err = {0};
    void *store = open_store();

    assert(ledger_journal(ops(), store, count_row, &tally, &err) == 0);
    ops()->close(store);
    free(store);
    return tally;
}

static pid_t writer(uint16_t by)
{
    pid_t pid = fork();

    assert(pid >= 0);
    if (pid == 0) {
        void *store = open_store();

        for (uint64_t i = 0; i < ROWS; i++) {
            append(store, by, i);
            commit(store);
        }
        ops()->close(store);
        _exit(0);
    }
    return pid;
}

static void two_processes_write_one_journal(void **state)
{
    pid_t a = writer(0);
    pid_t b = writer(1);
    int status = 0;
    struct tally tally;

    (void)state;
    assert_int_equal(waitpid(a, &status, 0), a);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(b, &status, 0), b);
    assert_int_equal(status, 0);
    tally = audit();
    assert_int_equal(tally.of[0], ROWS);
    assert_int_equal(tally.of[1], ROWS);
}

/* A key on the message would dedupe the evidence. */
static void one_message_twice_is_two_rows(void **state)
{
    void *store = open_store();

    (void)state;
    for (int i = 0; i < 2; i++) {
        append(store, 0, 7);
        commit(store);
    }
    append(store, 0, 8);
    ops()->rollback(store);
    ops()->rollback(store); /* nothing open: nothing happens */
    ops()->close(store);
    free(store);
    assert_int_equal(audit().n, 2);
}

static void killed_writer(bool after_commit)
{
    pid_t pid = fork();
    int status;

    assert(pid >= 0);
    if (pid == 0) {
        void *store = open_store();

        append(store, 2, 1);
        if (after_commit)
            commit(store);
        kill(getpid(), SIGKILL);
    }
    assert(waitpid(pid, &status, 0) == pid);
}

static void a_kill_before_commit_leaves_nothing(void **state)
{
    (void)state;
    killed_writer(false);
    assert_int_equal(audit().n, 0);
}

static void a_kill_after_commit_leaves_the_row(void **state)
{
    (void)state;
    killed_writer(true);
    assert_int_equal(audit().n, 1);
}

/* ---- items, tokens, fences */

static void versions_rise_by_one(void **state)
{
    void *s = open_store();
    struct store_item item;
    struct err err = {0};
    int16_t code;

    (void)state;
    assert_int_equal(ops()->read(s, 3, false, &item), STORE_NONE);
    assert_int_equal(item.version, 0); /* absent */
    assert_int_equal(ops()->add(s, 3, 5, NULL), STORE_NONE);
    assert_int_equal(ops()->put_if(s, 3, 100, 0, &item), STORE_OK);
    assert_int_equal(item.version, 1);
    assert_int_equal(ops()->put_if(s, 3, 100, 0, NULL), STORE_NONE); /* it is there */
    assert_int_equal(ops()->begin(s, &err), 0);
    assert_int_equal(ops()->add(s, 3, -30, &item), STORE_OK);
    assert_int_equal(item.value, 70);
    assert_int_equal(item.version, 2);
    ops()->rollback(s);
    assert_int_equal(ops()->read(s, 3, false, &item), STORE_OK);
    assert_int_equal(item.value, 100);
    assert_int_equal(ops()->begin(s, &err), 0);
    assert_int_equal(ops()->put(s, 3, 8, &item), STORE_OK);
    assert_int_equal(item.version, 2);
    assert_int_equal(ops()->commit(s, &code), OUTCOME_OK);
    assert_int_equal(ops()->put_if(s, 3, 9, 1, NULL), STORE_NONE); /* other version */
    assert_int_equal(ops()->remove(s, 3, &item), STORE_OK);
    assert_int_equal(item.version, 3);
    assert_true(item.removed);
    assert_int_equal(ops()->put(s, 3, 1, &item), STORE_OK); /* a deleted row keeps counting */
    assert_int_equal(item.version, 4);
    assert_false(item.removed);
    ops()->close(s);
    free(s);
}

static void a_token_is_claimed_once(void **state)
{
    void *s = open_store();
    struct err err = {0};
    int16_t code;

    (void)state;
    assert_int_equal(ops()->claimed(s, "a"), STORE_NONE);
    assert_int_equal(ops()->begin(s, &err), 0);
    assert_int_equal(ops()->claim(s, "a"), STORE_OK);
    assert_int_equal(ops()->claim(s, "a"), STORE_EXISTS); /* and the transaction goes on */
    ops()->rollback(s);
    assert_int_equal(ops()->claimed(s, "a"), STORE_NONE);
    assert_int_equal(ops()->begin(s, &err), 0);
    assert_int_equal(ops()->claim(s, "a"), STORE_OK);
    assert_int_equal(ops()->commit(s, &code), OUTCOME_OK);
    assert_int_equal(ops()->claim(s, "a"), STORE_EXISTS);
    assert_int_equal(ops()->claimed(s, "a"), STORE_OK);
    ops()->close(s);
    free(s);
}

static void the_outbox_is_emptied_by_and_by(void **state)
{
    void *s = open_store();
    struct store_item item;
    struct err err = {0};
    int16_t code;

    (void)state;
    assert_int_equal(ops()->begin(s, &err), 0);
    assert_int_equal(ops()->outbox_put(s, 7, 1), STORE_OK);
    ops()->rollback(s);
    assert_int_equal(ops()->outbox_next(s, &item), STORE_NONE);
    assert_int_equal(ops()->begin(s, &err), 0);
    assert_int_equal(ops()->outbox_put(s, 8, 2), STORE_OK);
    assert_int_equal(ops()->outbox_put(s, 6, 3), STORE_OK);
    assert_int_equal(ops()->commit(s, &code), OUTCOME_OK);
    assert_int_equal(ops()->outbox_next(s, &item), STORE_OK); /* the oldest */
    assert_int_equal(item.key, 8);
    assert_int_equal(item.version, 2);
    assert_int_equal(ops()->outbox_done(s, 8, 2), STORE_OK);
    assert_int_equal(ops()->outbox_done(s, 8, 2), STORE_NONE);
    assert_int_equal(ops()->outbox_next(s, &item), STORE_OK);
    assert_int_equal(item.key, 6);
    ops()->close(s);
    free(s);
}

static int note_token(void *context, const struct fence_row *row)
{
    uint64_t *tokens = context;

    tokens[row->row] = row->token;
    assert(row->key == 5 && row->message.seq == 9);
    return 0;
}

static void an_older_token_is_fenced_out(void **state)
{
    void *s = open_store();
    struct msg_id by = {.seq = 9, .client = 1};
    uint64_t tokens[5] = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(ops()->fence(s, 5, 7, &by), STORE_OK);
    assert_int_equal(ops()->fence(s, 5, 7, &by), STORE_OK); /* the same owner again */
    assert_int_equal(ops()->fence(s, 5, 6, &by), STORE_EXISTS);
    assert_int_equal(ops()->take(s, 5, 6, &by), STORE_OK); /* who does not look */
    assert_int_equal(ops()->fence(s, 5, 8, &by), STORE_OK);
    assert_int_equal(ledger_fences(ops(), s, note_token, tokens, &err), 0);
    assert_true(tokens[1] == 7 && tokens[2] == 7 && tokens[3] == 6 && tokens[4] == 8);
    ops()->close(s);
    free(s);
}

static void the_ledger_knows_what_it_holds(void **state)
{
    void *s = open_store();
    struct msg_id here = {.seq = 1, .client = 5, .worker = 2}, absent = {.seq = 2, .client = 5};

    (void)state;
    append(s, 0, 1);
    commit(s);
    assert_int_equal(ops()->journaled(s, &here), STORE_OK);
    assert_int_equal(ops()->journaled(s, &absent), STORE_NONE);
    ops()->close(s);
    free(s);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/assay-sqlite-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[96];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_processes_write_one_journal, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(one_message_twice_is_two_rows, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_kill_before_commit_leaves_nothing, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_kill_after_commit_leaves_the_row, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(versions_rise_by_one, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_token_is_claimed_once, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_outbox_is_emptied_by_and_by, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(an_older_token_is_fenced_out, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_ledger_knows_what_it_holds, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
