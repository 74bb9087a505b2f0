/*
 * Databases and caches of a client: a role without a broker works on orders, on the script's key;
 * what goes through a store and a cache is in the log before it takes effect, with versions only
 * where they are asked for.
 */
#include "client/record_cache.h"
#include "client/record_store.h"
#include "client/testing/client_fixture.h"
#include "client/testing/raw_log.h"

#include "api/system.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct system_ops sqlite_system;

/* ---- a store under the recorder */

static struct recorded {
    char folder[64];
    struct history_writer *log;
    struct worker_clock clock;
    uint64_t writes, loads, fills, locks;
    int64_t effects, unknown;
} with;
static const struct plan_cluster ledger = {.alias = "ledger", .system = &sqlite_system};

static int open_log(void **state)
{
    struct err err = {0};

    (void)state;
    with = (struct recorded){0};
    snprintf(with.folder, sizeof(with.folder), "/tmp/assay-stores-XXXXXX");
    if (!mkdtemp(with.folder))
        return -1;
    with.log = history_writer_open(with.folder, "app-0.0.0", 4, &err);
    return with.log ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", with.folder);
    return system(command);
}

static struct store open_store(bool versions)
{
    struct store_recorder_options options = {.log = with.log,
                                             .clock = &with.clock,
                                             .me = {.client = 4},
                                             .cluster = 1,
                                             .source = 3,
                                             .versions = versions,
                                             .where = SOURCE_STORE,
                                             .writes = &with.writes,
                                             .loads = &with.loads,
                                             .effects = &with.effects,
                                             .unknown_commits = &with.unknown};
    struct store store = {sqlite_system.store, calloc(1, sqlite_system.store->size)};
    struct err err = {0};

    assert_int_equal(store.ops->open(store.self, NULL, &ledger, with.folder, STORE_PRIMARY, &err),
                     0);
    return store_recorder_wrap(store, &options);
}

static struct raw_log close_store(struct store *store)
{
    store->ops->close(store->self);
    free(store->self);
    history_writer_close(with.log);
    return raw_log_read(with.folder);
}

static struct journal_row row(uint64_t seq, uint32_t key, int64_t amount)
{
    return (struct journal_row){
        .message = {.seq = seq, .client = 9}, .key = key, .amount = amount, .by = 4};
}

static void transfer(struct store *s, uint64_t seq)
{
    struct journal_row from = row(seq, 1, -5), to = row(seq, 2, 5);
    struct store_item item;
    struct err err = {0};

    assert_int_equal(s->ops->begin(s->self, &err), 0);
    assert_int_equal(s->ops->add(s->self, 1, -5, &item), STORE_OK);
    assert_int_equal(s->ops->append(s->self, &from, &err), 0);
    assert_int_equal(s->ops->add(s->self, 2, 5, NULL), STORE_OK);
    assert_int_equal(s->ops->append(s->self, &to, &err), 0);
}

static void make_accounts(struct store *s)
{
    for (uint32_t key = 1; key <= 2; key++)
        assert_int_equal(s->ops->put_if(s->self, key, 100, 0, NULL), STORE_OK);
}

static void a_transfer_is_one_effect(void **state)
{
    struct store s = open_store(false);
    struct raw_log log;
    int16_t code;

    (void)state;
    make_accounts(&s);
    transfer(&s, 7);
    s.ops->rollback(s.self); /* leaves no event */
    transfer(&s, 8);
    assert_int_equal(s.ops->commit(s.self, &code), OUTCOME_OK);
    assert_int_equal(with.effects, 1);
    log = close_store(&s);
    assert_int_equal(log.n, 2);
    assert_int_equal(log.events[0].type, EV_EFFECT_INVOKE);
    assert_int_equal(log.events[0].seq, 8);
    assert_int_equal(log.events[0].client, 9);
    assert_int_equal(log.events[0].ref, 3);
    assert_int_equal(log.events[1].type, EV_EFFECT_COMPLETE);
    assert_int_equal(event_outcome(&log.events[1]), OUTCOME_OK);
    raw_log_release(&log);
}

static void versions_are_written_and_loaded(void **state)
{
    struct store s = open_store(true);
    struct store_item item;
    struct raw_log log;
    struct err err = {0};
    int16_t code;

    (void)state;
    assert_int_equal(s.ops->put(s.self, 5, 1, &item), STORE_OK); /* alone */
    assert_int_equal(item.version, 1);
    assert_int_equal(s.ops->begin(s.self, &err), 0);
    assert_int_equal(s.ops->put(s.self, 5, 2, NULL), STORE_OK);
    assert_int_equal(s.ops->put(s.self, 5, 3, NULL), STORE_OK);
    assert_int_equal(s.ops->read(s.self, 5, true, &item), STORE_OK); /* inside: not a load */
    assert_int_equal(s.ops->commit(s.self, &code), OUTCOME_OK);
    assert_int_equal(s.ops->put_if(s.self, 5, 4, 1, NULL), STORE_NONE); /* changes nothing */
    assert_int_equal(s.ops->read(s.self, 5, false, &item), STORE_OK);
    assert_int_equal(s.ops->read(s.self, 6, false, NULL), STORE_NONE);
    log = close_store(&s);
    assert_int_equal(raw_log_count(&log, EV_WRITE_INVOKE), 2);
    assert_int_equal(raw_log_count(&log, EV_LOAD_INVOKE), 2);
    assert_int_equal(log.n, 8);
    assert_int_equal(log.events[0].type, EV_WRITE_INVOKE);
    assert_int_equal(log.events[0].value, 1);
    assert_int_equal(log.events[0].ref, 1);
    assert_int_equal(log.events[3].type, EV_WRITE_COMPLETE);
    assert_int_equal(log.events[3].value, 3); /* only the last one becomes visible */
    assert_int_equal(log.events[3].seq, 1);
    assert_int_equal(log.events[5].value, 3);
    assert_int_equal(log.events[5].code, SOURCE_STORE);
    assert_int_equal(log.events[7].value, 0); /* absent is a version */
    assert_int_equal(event_outcome(&log.events[7]), OUTCOME_OK);
    raw_log_release(&log);
}

/* A COMMIT that asks the log what is in it. */
static unsigned invoked_at_commit;

static enum outcome looking_commit(void *self, int16_t *code)
{
    struct raw_log log = raw_log_read(with.folder);

    (void)self;
    *code = 77;
    invoked_at_commit =
        (unsigned)(raw_log_count(&log, EV_EFFECT_INVOKE) + raw_log_count(&log, EV_WRITE_INVOKE));
    raw_log_release(&log);
    return OUTCOME_UNKNOWN;
}

static void invokes_are_there_before_commit(void **state)
{
    struct store_ops ops = *sqlite_system.store;
    struct store_recorder_options options = {.log = with.log,
                                             .clock = &with.clock,
                                             .versions = true,
                                             .writes = &with.writes,
                                             .loads = &with.loads,
                                             .effects = &with.effects,
                                             .unknown_commits = &with.unknown};
    struct store store = {&ops, calloc(1, ops.size)};
    struct raw_log log;
    struct err err = {0};
    int16_t code;

    (void)state;
    assert_int_equal(ops.open(store.self, NULL, &ledger, with.folder, STORE_PRIMARY, &err), 0);
    store = store_recorder_wrap(store, &options);
    make_accounts(&store);
    ops.commit = looking_commit;
    transfer(&store, 1);
    assert_int_equal(store.ops->commit(store.self, &code), OUTCOME_UNKNOWN);
    assert_int_equal(code, 77);
    assert_int_equal(invoked_at_commit, 1 + 2 + 2); /* two accounts made, two changed */
    assert_int_equal(with.unknown, 1);
    assert_int_equal(with.effects, 0);
    log = close_store(&store);
    for (size_t i = 0; i < log.n; i++)
        if (log.events[i].type == EV_EFFECT_COMPLETE) {
            assert_int_equal(event_outcome(&log.events[i]), OUTCOME_UNKNOWN);
            assert_int_equal(log.events[i].code, 77);
        }
    raw_log_release(&log);
}

/* ---- a cache under the recorder */

static enum outcome says;

static enum outcome mock_set(void *self, uint32_t key, const struct cache_value *value)
{
    (void)self;
    (void)key;
    (void)value;
    return says;
}

static enum outcome mock_remove(void *self, uint32_t key, uint64_t version)
{
    (void)self;
    (void)key;
    (void)version;
    return OUTCOME_OK;
}

static enum outcome mock_acquire(void *self, uint32_t key, uint64_t token, int64_t ttl_ns,
                                 uint64_t *fence, uint16_t *node)
{
    (void)self;
    (void)key;
    (void)ttl_ns;
    *fence = token + 1;
    *node = 2;
    return says;
}

static enum outcome mock_renew(void *self, uint32_t key, uint64_t token, int64_t ttl_ns)
{
    (void)self;
    (void)key;
    (void)token;
    (void)ttl_ns;
    return says;
}

static enum outcome mock_unlock(void *self, uint32_t key, uint64_t token)
{
    (void)self;
    (void)key;
    (void)token;
    return OUTCOME_OK;
}

static void mock_close(void *self)
{
    (void)self;
}

static const struct cache_ops mock_cache = {.name = "mock",
                                            .set = mock_set,
                                            .remove = mock_remove,
                                            .exec = mock_set,
                                            .acquire = mock_acquire,
                                            .renew = mock_renew,
                                            .unlock = mock_unlock,
                                            .close = mock_close};

static struct cache open_cache(void)
{
    struct cache_recorder_options options = {
        .log = with.log, .clock = &with.clock, .fills = &with.fills, .locks = &with.locks};

    return cache_recorder_wrap((struct cache){&mock_cache, calloc(1, 1)}, &options);
}

static struct raw_log close_cache(struct cache *cache)
{
    cache->ops->close(cache->self);
    free(cache->self);
    history_writer_close(with.log);
    return raw_log_read(with.folder);
}

static void fills_and_invalidations(void **state)
{
    struct cache c = open_cache();
    struct cache_value value = {.version = 12};
    struct raw_log log;

    (void)state;
    says = OUTCOME_FAIL; /* its guard refused */
    assert_int_equal(c.ops->set(c.self, 4, &value), OUTCOME_FAIL);
    assert_int_equal(c.ops->remove(c.self, 4, 13), OUTCOME_OK);
    assert_int_equal(c.ops->exec(c.self, 5, &value), OUTCOME_FAIL); /* changed since WATCH */
    log = close_cache(&c);
    assert_int_equal(log.n, 6);
    assert_int_equal(log.events[0].type, EV_FILL_INVOKE);
    assert_int_equal(log.events[0].value, 12);
    assert_int_equal(log.events[0].code, SOURCE_CACHE);
    assert_int_equal(event_outcome(&log.events[1]), OUTCOME_FAIL);
    assert_int_equal(log.events[3].value, -1 - 13);
    assert_int_equal(log.events[3].seq, 1);
    assert_int_equal(log.events[4].key, 5);
    assert_int_equal(event_outcome(&log.events[5]), OUTCOME_FAIL);
    raw_log_release(&log);
}

static void a_holder_exits_once(void **state)
{
    struct cache c = open_cache();
    uint64_t fence = 0;
    uint16_t node = 0;
    struct raw_log log;

    (void)state;
    says = OUTCOME_OK;
    assert_int_equal(c.ops->acquire(c.self, 1, 40, SECOND_NS, &fence, &node), OUTCOME_OK);
    assert_int_equal(fence, 41);
    assert_int_equal(node, 2);
    says = OUTCOME_FAIL; /* the renewal is told that it is lost */
    assert_int_equal(c.ops->renew(c.self, 1, 40, SECOND_NS), OUTCOME_FAIL);
    assert_int_equal(c.ops->unlock(c.self, 1, 40), OUTCOME_OK);
    says = OUTCOME_UNKNOWN; /* perhaps held: never certainly inside */
    assert_int_equal(c.ops->acquire(c.self, 1, 50, SECOND_NS, &fence, &node), OUTCOME_UNKNOWN);
    assert_int_equal(c.ops->unlock(c.self, 1, 50), OUTCOME_OK);
    says = OUTCOME_OK; /* held when it leaves */
    assert_int_equal(c.ops->acquire(c.self, 1, 60, SECOND_NS, NULL, NULL), OUTCOME_OK);
    log = close_cache(&c);
    assert_int_equal(raw_log_count(&log, EV_LOCK_EXIT), 2);
    assert_int_equal(log.events[1].value, 41);
    assert_int_equal(log.events[1].node, 2);
    assert_int_equal(log.events[2].type, EV_LOCK_EXIT);
    assert_int_equal(log.events[2].seq, 0);
    assert_int_equal(log.events[log.n - 1].type, EV_LOCK_EXIT);
    assert_int_equal(log.events[log.n - 1].seq, 2);
    raw_log_release(&log);
}

/* ---- a role without a broker */

enum { BEFORE_READ };
static const char *const steps[] = {"before_read", NULL};
static const char *const roles[] = {"reader", NULL};
static _Atomic uint32_t last_key;

static void needs(const void *args, const void *role_args, struct worker_needs *out)
{
    (void)args;
    (void)role_args;
    out->store = "ledger";
    out->rate_per_s = 2000;
}

static int read_one(struct worker *w, const struct work_order *order)
{
    const struct store *store = worker_store(w);
    struct store_item item = {0};

    worker_step(w, BEFORE_READ, NULL);
    worker_read_invoke(w, order, order->key);
    (void)store->ops->read(store->self, order->key, false, &item);
    worker_read_complete(w, order, order->key, item.version, SOURCE_STORE, OUTCOME_OK);
    if (order->key == 6) {
        worker_write_invoke(w, 6, 7);
        worker_write_complete(w, 6, 7, OUTCOME_UNKNOWN);
    }
    worker_did(w, order, OUTCOME_OK, order->key == 6);
    last_key = order->key;
    return 0;
}

static int run(struct worker *w, struct err *err)
{
    struct work_order order;
    int64_t until_ns;

    (void)err;
    while (!worker_stopping(w)) {
        const struct delivery *none;

        while (worker_next_send(w, &order, 8, &until_ns))
            for (uint32_t i = 0; i < order.n; i++)
                read_one(w, &order);
        assert_int_equal(worker_poll(w, until_ns, &none), 0);
    }
    return 0;
}

static const struct workload_ops reading = {
    .name = "reading", .roles = roles, .steps = steps, .needs = needs, .run = run};

static struct client_fixture fixture;

static struct client_fixture *open_reader(struct step_list script)
{
    struct client_fixture *f = &fixture;

    client_fixture_open(f, "", "", "reader", 1);
    f->spec.broker = NULL;
    f->spec.broker_args = NULL;
    f->plan.workload = &reading;
    f->plan.clusters = (struct plan_cluster *)&ledger;
    f->plan.n_clusters = 1;
    f->plan.script = script;
    return f;
}

static void ask(struct client_fixture *f, int64_t count, double rate, uint32_t key)
{
    struct client_command c = {.verb = CLIENT_BURST,
                               .burst = 2,
                               .count = count,
                               .rate_per_s = rate,
                               .via = NO_NODE,
                               .key = key};

    atomic_store(&f->board->bursts[2].done, 0);
    assert_int_equal(send(f->control, &c, sizeof(c), 0), sizeof(c));
}

static const struct observe_args watched = {.client = "app"};
static struct step observe_step = {.kind = STEP_OBSERVE, .args = &watched};

static void a_role_works_on_orders(void **state)
{
    struct client_fixture *f = open_reader((struct step_list){&observe_step, 1});
    struct raw_log log;

    (void)state;
    client_fixture_start(f);
    ask(f, 30, 0, 5);
    client_fixture_done(f, 2);
    assert_int_equal(atomic_load(&last_key), 5);
    ask(f, 1, 0, 6);
    client_fixture_done(f, 2);
    assert_int_equal(atomic_load(&last_key), 6);
    assert_int_equal(atomic_load(&f->board->bursts[2].ok), 31);
    assert_int_equal(atomic_load(&f->board->bursts[2].reads), 31);
    assert_int_equal(atomic_load(&f->board->bursts[2].hits), 1);
    assert_int_equal(atomic_load(&f->board->bursts[0].sent), 0); /* observed: no steady load */
    assert_int_equal(atomic_load(&f->board->outstanding), 0);
    client_fixture_quit(f);
    log = raw_log_read(f->folder);
    assert_int_equal(raw_log_count(&log, EV_READ_INVOKE), 31);
    assert_int_equal(raw_log_count(&log, EV_READ_COMPLETE), 31);
    assert_int_equal(raw_log_count(&log, EV_LOAD_INVOKE), 0); /* no versions asked for */
    assert_int_equal(raw_log_count(&log, EV_WRITE_INVOKE), 1);
    assert_int_equal(raw_log_count(&log, EV_WRITE_COMPLETE), 1);
    raw_log_release(&log);
    client_fixture_release(f);
}

static void the_own_rate_is_kept_while_observed(void **state)
{
    struct client_fixture *f = open_reader((struct step_list){&observe_step, 1});
    int64_t began_ns = clock_now_ns();

    (void)state;
    client_fixture_start(f);
    ask(f, -1, -1, 5);
    client_fixture_until(&f->board->bursts[2].ok, 200);
    assert_true(clock_now_ns() - began_ns >= 99 * MS_NS); /* 2000 a second */
    client_fixture_ask(f, CLIENT_END, 2, 0);
    client_fixture_done(f, 2);
    client_fixture_quit(f);
    client_fixture_release(f);
}

static void what_it_does_is_told_while_it_is_never_idle(void **state)
{
    struct client_fixture *f = open_reader((struct step_list){&observe_step, 1});

    (void)state;
    client_fixture_start(f);
    ask(f, -1, 0, 5); /* flat out, until it is told to end */
    client_fixture_until(&f->board->bursts[2].ok, 10);
    client_fixture_ask(f, CLIENT_END, 2, 0);
    client_fixture_done(f, 2);
    client_fixture_quit(f);
    client_fixture_release(f);
}

static void unobserved_it_works_from_the_start(void **state)
{
    struct client_fixture *f = open_reader((struct step_list){NULL, 0});

    (void)state;
    client_fixture_start(f);
    client_fixture_until(&f->board->bursts[0].ok, 20);
    client_fixture_quit(f);
    client_fixture_release(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_transfer_is_one_effect, open_log, remove_folder),
        cmocka_unit_test_setup_teardown(versions_are_written_and_loaded, open_log, remove_folder),
        cmocka_unit_test_setup_teardown(invokes_are_there_before_commit, open_log, remove_folder),
        cmocka_unit_test_setup_teardown(fills_and_invalidations, open_log, remove_folder),
        cmocka_unit_test_setup_teardown(a_holder_exits_once, open_log, remove_folder),
        cmocka_unit_test(a_role_works_on_orders),
        cmocka_unit_test(the_own_rate_is_kept_while_observed),
        cmocka_unit_test(what_it_does_is_told_while_it_is_never_idle),
        cmocka_unit_test(unobserved_it_works_from_the_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
