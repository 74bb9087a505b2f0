/* labels: servers */
/*
 * What every store promises (api/store.h), on real servers in a sandbox: items with versions under
 * their row's lock, preconditions, tokens and fences, a journal in the same transaction, an unknown
 * COMMIT that the ledger decides, the audit, and the change stream with its resume position.
 */
#include "api/store.h"
#include "plan/plan.h"
#include "run/run.h"
#include "sandbox/testing/verbs.h"
#include "systems/ledger.h"
#include "systems/server.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char suite[] =
    "assay: 1\n"
    "clusters:\n"
    "  kv: {redis: {topology: standalone}}\n"
    "  lite: {sqlite: {}}\n"
    "  pg: {postgres: {nodes: 2, patience: 2s}}\n"
    "  maria: {mariadb: {patience: 2s}}\n"
    "  pg17: {postgres: {nodes: 2, patience: 2s, version: '17'}}\n"
    "  maria11: {mariadb: {patience: 2s, version: '11.8'}}\n"
    "cases:\n"
    "  stores:\n"
    "    clusters: {kv: kv, lite: lite, pg: pg, maria: maria, pg17: pg17, maria11: maria11}\n"
    "    workload: {queue: {structure: list}}\n"
    "    clients: {app: {push: jobs, confirm: reply}}\n"
    "    script: [{send: {from: app, count: 1, name: one}}]\n"
    "    promise: {loss: 0}\n"
    "    expect: pass\n";

static struct plan *plan;
static const struct plan_case *plan_case;
static struct cluster_slot *slot;
static const struct plan_cluster *spec;
static const struct store_ops *ops;
static struct err err;

static void *session(enum store_where where)
{
    void *self = calloc(1, ops->size);

    if (ops->open(self, plan_case, spec, in_run(""), where, &err) == 0)
        return self;
    fprintf(stderr, "%s\n", err.text);
    exit(1);
}

static void done(void *self)
{
    ops->close(self);
    free(self);
}

/* ---- items */

static int items(void *s)
{
    struct store_item item;

    CHECK(ops->read(s, 1, false, &item) == STORE_NONE);
    CHECK(ops->put(s, 1, 100, &item) == STORE_OK && item.version == 1 && item.value == 100);
    CHECK(ops->put(s, 1, 100, &item) == STORE_OK && item.version == 2);
    CHECK(ops->add(s, 1, -30, &item) == STORE_OK && item.version == 3 && item.value == 70);
    CHECK(ops->add(s, 77, 1, &item) == STORE_NONE);
    CHECK(ops->put_if(s, 1, 5, 2, &item) == STORE_NONE);
    CHECK(ops->put_if(s, 1, 5, 3, &item) == STORE_OK && item.version == 4 && item.value == 5);
    CHECK(ops->put_if(s, 2, 9, 0, &item) == STORE_OK && item.version == 1);
    CHECK(ops->put_if(s, 2, 9, 0, &item) == STORE_NONE);
    CHECK(ops->remove(s, 2, &item) == STORE_OK && item.version == 2 && item.removed);
    CHECK(ops->read(s, 2, false, &item) == STORE_OK && item.removed && item.version == 2);
    CHECK(ops->put(s, 2, 1, &item) == STORE_OK && !item.removed && item.version == 3);
    return 0;
}

/* ---- the outbox: what was rolled back is not told, what is told stays until it is done */

static int outbox(void *s)
{
    struct store_item item;
    int16_t code;

    CHECK_OK(ops->begin(s, &err) == 0);
    CHECK(ops->outbox_put(s, 7, 1) == STORE_OK);
    ops->rollback(s);
    CHECK(ops->outbox_next(s, &item) == STORE_NONE);
    CHECK_OK(ops->begin(s, &err) == 0);
    CHECK(ops->outbox_put(s, 8, 2) == STORE_OK && ops->outbox_put(s, 6, 3) == STORE_OK);
    CHECK(ops->commit(s, &code) == OUTCOME_OK && code == 0);
    for (int i = 0; i < 2; i++)
        CHECK(ops->outbox_next(s, &item) == STORE_OK && item.key == 8 && item.version == 2);
    CHECK(ops->outbox_done(s, 8, 2) == STORE_OK && ops->outbox_done(s, 8, 2) == STORE_NONE);
    CHECK(ops->outbox_next(s, &item) == STORE_OK && item.key == 6 && item.version == 3);
    CHECK(ops->outbox_done(s, 6, 3) == STORE_OK && ops->outbox_next(s, &item) == STORE_NONE);
    return 0;
}

/* ---- tokens and fences, rolled back and committed */

static int tokens(void *s)
{
    struct msg_id by = {.seq = 3, .client = 1};
    int16_t code;

    CHECK(ops->claimed(s, "m-1") == STORE_NONE);
    CHECK_OK(ops->begin(s, &err) == 0);
    CHECK(ops->claim(s, "m-1") == STORE_OK);
    ops->rollback(s);
    CHECK(ops->claimed(s, "m-1") == STORE_NONE);
    CHECK_OK(ops->begin(s, &err) == 0);
    CHECK(ops->claim(s, "m-1") == STORE_OK && ops->claim(s, "m-1") == STORE_EXISTS);
    CHECK(ops->commit(s, &code) == OUTCOME_OK && code == 0);
    CHECK(ops->claim(s, "m-1") == STORE_EXISTS && ops->claimed(s, "m-1") == STORE_OK);
    CHECK(ops->fence(s, 4, 10, &by) == STORE_OK && ops->fence(s, 4, 12, &by) == STORE_OK);
    CHECK(ops->fence(s, 4, 11, &by) == STORE_EXISTS && ops->fence(s, 4, 12, &by) == STORE_OK);
    CHECK(ops->take(s, 4, 11, &by) == STORE_OK);
    return 0;
}

/* ---- the journal, and a COMMIT that nobody heard of */

static struct journal_row row_of(uint64_t seq, uint32_t key)
{
    return (struct journal_row){.message = {.seq = seq, .client = 5, .worker = 2},
                                .key = key,
                                .key_seq = seq,
                                .amount = -7,
                                .by = 1};
}

static int journal(void *s)
{
    struct journal_row row = row_of(1, 9);
    int16_t code;

    CHECK_OK(ops->begin(s, &err) == 0 && ops->append(s, &row, &err) == 0);
    CHECK(ops->commit(s, &code) == OUTCOME_OK && code == 0);
    CHECK(ops->journaled(s, &row.message) == STORE_OK);
    CHECK_OK(ops->begin(s, &err) == 0 && ops->append(s, &row, &err) == 0); /* no unique key */
    CHECK(ops->commit(s, &code) == OUTCOME_OK);
    row = row_of(2, 9);
    CHECK_OK(ops->begin(s, &err) == 0 && ops->append(s, &row, &err) == 0);
    ops->rollback(s);
    CHECK(ops->commit(s, &code) != OUTCOME_OK);
    CHECK(ops->journaled(s, &row.message) == STORE_NONE);
    return 0;
}

/* A server that stands still while it is asked to commit: no answer, so nothing is known; once it
 * goes on, the ledger says. */
static int unknown_commit(void *s)
{
    struct journal_row row = row_of(3, 9);
    enum store_answer answer;
    int16_t code = 0;

    if (spec->n_nodes == 0)
        return 0;
    CHECK_OK(ops->begin(s, &err) == 0 && ops->append(s, &row, &err) == 0);
    CHECK_OK(keeper_signal(slot->cluster.nodes[0].keeper, SIGSTOP, &err) == 0);
    CHECK(ops->commit(s, &code) == OUTCOME_UNKNOWN && code != 0);
    CHECK(ops->journaled(s, &row.message) == STORE_ERROR);
    CHECK_OK(keeper_signal(slot->cluster.nodes[0].keeper, SIGCONT, &err) == 0);
    answer = ops->journaled(s, &row.message);
    CHECK(answer == STORE_OK || answer == STORE_NONE);
    CHECK(ops->journaled(s, &row.message) == answer);
    return 0;
}

/* Two sessions and one row: the second waits for the first, or is told to try again; never both. */
static int conflict(void *s)
{
    struct store_item item = {0};
    void *other;
    enum store_answer answer;
    int16_t code;

    if (spec->n_nodes == 0) /* one writer at a time: the second does not get past BEGIN */
        return 0;
    other = session(STORE_PRIMARY);
    CHECK_OK(ops->begin(s, &err) == 0 && ops->begin(other, &err) == 0);
    CHECK(ops->add(s, 1, 1, &item) == STORE_OK);
    answer = ops->add(other, 1, 1, &item); /* patience is 2 s */
    CHECK(answer == STORE_CONFLICT || answer == STORE_ERROR);
    CHECK(ops->commit(s, &code) == OUTCOME_OK);
    CHECK(ops->commit(other, &code) == OUTCOME_FAIL);
    done(other);
    return 0;
}

/* ---- audit */

struct seen {
    unsigned rows, items, fences;
    int64_t last;
    uint64_t highest;
};

static int see_row(void *context, const struct journal_row *row)
{
    struct seen *seen = context;

    seen->rows++;
    if (row->row <= seen->last || row->message.client != 5 || row->amount != -7 || row->key != 9)
        return -1;
    seen->last = row->row;
    return 0;
}

static int see_item(void *context, const struct store_item *item)
{
    struct seen *seen = context;

    seen->items++;
    return item->version == 0 ? -1 : 0;
}

static int see_fence(void *context, const struct fence_row *row)
{
    struct seen *seen = context;

    seen->fences++;
    return row->key != 4 || row->message.seq != 3 ? -1 : 0;
}

static int audit(void *s)
{
    struct seen seen = {0};

    CHECK_OK(ledger_journal(ops, s, see_row, &seen, &err) == 0);
    CHECK(seen.rows == 2 || seen.rows == 3); /* 3: the unknown one was applied */
    CHECK_OK(ledger_items(ops, s, see_item, &seen, &err) == 0 && seen.items == 2);
    CHECK_OK(ledger_fences(ops, s, see_fence, &seen, &err) == 0 && seen.fences == 4);
    return 0;
}

/* ---- replica and change stream */

static int replica(void *s)
{
    struct deadline deadline = deadline_in(10 * SECOND_NS, NULL);
    struct store_item item, there = {0};
    void *r;

    if (spec->n_nodes < 2)
        return 0;
    r = session(STORE_REPLICA);
    CHECK(ops->add(s, 1, 1, &item) == STORE_OK);
    while (ops->read(r, 1, false, &there) != STORE_OK || there.version < item.version)
        CHECK(deadline_sleep(&deadline, 10 * MS_NS) == 0);
    CHECK(there.value == item.value);
    CHECK(ops->put(r, 1, 5, &item) == STORE_ERROR);
    done(r);
    return 0;
}

static int next_is(void *feed, uint32_t key, uint64_t version, uint64_t *position)
{
    struct store_change change = {0};

    CHECK_OK(ops->feed_next(feed, clock_now_ns() + 5 * SECOND_NS, &change, &err) == 1);
    CHECK(change.item.key == key && change.item.version == version);
    *position = change.position;
    return 0;
}

static int feed(void *s)
{
    struct store_change change;
    struct store_item item;
    uint64_t position, first;
    void *f;

    if (!ops->feed_open)
        return 0;
    f = calloc(1, ops->feed_size);
    CHECK_OK(ops->feed_open(f, plan_case, spec, 0, &err) == 0);
    CHECK_OK(ops->feed_next(f, clock_now_ns() + 50 * MS_NS, &change, &err) == 0);
    CHECK(ops->put(s, 30, 1, &item) == STORE_OK && ops->put(s, 30, 2, &item) == STORE_OK);
    CHECK(ops->remove(s, 30, &item) == STORE_OK && item.version == 3);
    CHECK(next_is(f, 30, 1, &first) == 0 && next_is(f, 30, 2, &position) == 0);
    ops->feed_close(f);
    /* opened again where it was: nothing that was not confirmed is missing */
    CHECK_OK(ops->feed_open(f, plan_case, spec, position, &err) == 0);
    do {
        CHECK_OK(ops->feed_next(f, clock_now_ns() + 5 * SECOND_NS, &change, &err) == 1);
    } while (change.item.version < 3);
    CHECK(change.item.removed && change.item.key == 30);
    ops->feed_close(f);
    free(f);
    return 0;
}

static int contract(void)
{
    void *s = session(STORE_PRIMARY);
    int status = items(s) || tokens(s) || outbox(s) || journal(s) || unknown_commit(s) ||
                 conflict(s) || audit(s) || replica(s) || feed(s);

    done(s);
    return status;
}

static int on_cluster(const char *alias)
{
    char folder[300];
    int status;

    for (size_t i = 0; i < plan_case->n_clusters; i++)
        if (strcmp(plan_case->clusters[i].alias, alias) == 0)
            spec = &plan_case->clusters[i];
    ops = spec->system->store;
    snprintf(folder, sizeof(folder), "%s", in_run(alias));
    mkdir(folder, 0755);
    slot = cluster_bring_up(sandbox_here(), plan_case, spec, folder, folder, NULL,
                            deadline_in(60 * SECOND_NS, NULL), &err);
    if (!slot) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    status = contract();
    cluster_close(slot);
    return status;
}

static int on_sqlite(void *unused)
{
    (void)unused;
    return on_cluster("lite");
}

static int on_postgres(void *unused)
{
    (void)unused;
    return on_cluster("pg");
}

static int on_mariadb(void *unused)
{
    (void)unused;
    return on_cluster("maria");
}

/* From root folders, which ci/roots makes. */
static int on_postgres_17(void *unused)
{
    (void)unused;
    return on_cluster("pg17");
}

static int on_mariadb_11(void *unused)
{
    (void)unused;
    return on_cluster("maria11");
}

#define INSIDE(name, what)                                                                         \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        assert_int_equal(run_inside(what), 0);                                                     \
    }
INSIDE(sqlite_keeps_the_contract, on_sqlite)
INSIDE(postgres_keeps_the_contract, on_postgres)
INSIDE(mariadb_keeps_the_contract, on_mariadb)
INSIDE(postgres_17_keeps_the_contract, on_postgres_17)
INSIDE(mariadb_11_8_keeps_the_contract, on_mariadb_11)

/* The checkout, and the root folders in its cache, may lie below a folder that only root may enter.
 * Then a mount in a namespace of this test's own shows the cache to the ordinary user too. */
static char shown_cache[] = "/tmp/assay-cache-XXXXXX";
static bool is_shown;

static void show_cache(void)
{
    char cache[400];
    cache_folder(cache, sizeof(cache));
    is_shown = mkdtemp(shown_cache) && chmod(shown_cache, 0755) == 0 && unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount(cache, shown_cache, NULL, MS_BIND | MS_REC, NULL) == 0;
    if (is_shown)
        setenv("ASSAY_CACHE", shown_cache, 1);
    else
        fprintf(stderr, "# the cache folder is not shown elsewhere: %s\n", strerror(errno));
}

static void hide_cache(void)
{
    if (is_shown)
        umount2(shown_cache, MNT_DETACH);
    rmdir(shown_cache);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(sqlite_keeps_the_contract),
        cmocka_unit_test(postgres_keeps_the_contract),
        cmocka_unit_test(mariadb_keeps_the_contract),
        cmocka_unit_test(postgres_17_keeps_the_contract),
        cmocka_unit_test(mariadb_11_8_keeps_the_contract),
    };

    plan = plan_load_text(suite, sizeof(suite) - 1, "stores.yaml", ".", 1, &err);
    if (!plan) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    plan_case = plan->cases[0];
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
    bool is_first = argc == 1 && geteuid() == 0;
    if (is_first)
        show_cache();
    int status = verbs_test_main(argc, argv, tests);
    if (is_first)
        hide_cache();
    return status;
}
