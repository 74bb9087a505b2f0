/*
 * The liar on a mock broker: what it says it did to a message is what happened to it, one by one,
 * and nothing happened to the others. That checkers find the lies is shown on live clusters.
 */
#include "client/liar.h"
#include "client/testing/client_fixture.h"
#include "client/testing/mock_broker.h"
#include "client/testing/raw_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MESSAGES 20000

static struct client_fixture fixture;

/* by seq: how often it reached the broker, at which place first; what was confessed */
static unsigned char reached[MESSAGES], confessed[LIES][MESSAGES];
static uint64_t place[MESSAGES], swapped_with[MESSAGES];

static int read_confessions(void)
{
    char path[128], line[300], name[16];
    unsigned long long seq, with;
    int n = 0;
    FILE *file;

    memset(confessed, 0, sizeof(confessed));
    snprintf(path, sizeof(path), "%s/lies.jsonl", fixture.folder);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        int fields =
            sscanf(line,
                   "{\"lie\":\"%15[a-z]\",\"client\":%*u,\"incarnation\":%*u,\"worker\":%*u,"
                   "\"seq\":%llu,\"with\":%llu",
                   name, &seq, &with);

        assert_true(fields >= 2 && seq < MESSAGES);
        for (int i = 0; i < LIES; i++)
            if (strcmp(lie_names[i], name) == 0)
                confessed[i][seq]++;
        if (fields == 3)
            swapped_with[seq] = with;
        n++;
    }
    if (file)
        fclose(file);
    return n;
}

static void look_at_what_arrived(void)
{
    memset(reached, 0, sizeof(reached));
    for (uint64_t i = 0; i < mock_seen.sends; i++) {
        uint64_t seq = mock_seen.log[i].id.seq;

        if (reached[seq]++ == 0)
            place[seq] = i;
    }
}

static int send_with(const char *asked)
{
    struct client_fixture *f = &fixture;
    struct liar_options lies = {.seed = 5};
    struct err err = {0};
    int64_t denied = 0;
    int told;

    mock_script = (struct mock_script){.complete_per_poll = 100, .first = OUTCOME_OK};
    client_fixture_open(f, "", "{outstanding: 200}", "produce", 1);
    lies.folder = f->folder;
    assert_int_equal(liar_asked(asked, "test", &lies, &err), asked ? 1 : 0);
    f->client->lies = asked ? &lies : NULL;
    client_fixture_start(f);
    client_fixture_ask(f, CLIENT_BURST, 1, MESSAGES);
    client_fixture_done(f, 1);
    client_fixture_quit(f);
    look_at_what_arrived();
    told = read_confessions();
    for (uint64_t i = 0; i < MESSAGES; i++)
        denied += confessed[LIE_DENY][i];
    assert_int_equal(atomic_load(&f->board->bursts[1].ok) + denied, MESSAGES);
    return told;
}

static void off_it_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(send_with(NULL), 0);
    assert_int_equal(mock_seen.sends, MESSAGES);
    client_fixture_release(&fixture);
}

static void sends_are_lied_about_as_told(void **state)
{
    int lies = send_with("lose:200,double:210,corrupt:220,swap:230,deny:240");
    unsigned told[LIES] = {0};

    (void)state;
    for (uint64_t i = 0; i < MESSAGES; i++) {
        for (int k = 0; k < LIES; k++)
            told[k] += confessed[k][i];
        assert_int_equal(reached[i], confessed[LIE_LOSE][i] ? 0 : confessed[LIE_DOUBLE][i] ? 2 : 1);
        if (confessed[LIE_SWAP][i])
            assert_true(place[swapped_with[i]] < place[i]);
    }
    for (uint64_t i = 0; i < mock_seen.sends; i++)
        assert_int_equal(mock_seen.corrupt[i] != PAYLOAD_OK,
                         confessed[LIE_CORRUPT][mock_seen.log[i].id.seq]);
    assert_true(lies > 200);
    for (int k = LIE_LOSE; k <= LIE_DENY; k++)
        assert_true(told[k] >= 20);
    client_fixture_release(&fixture);
}

static void deliveries_are_lied_about_as_told(void **state)
{
    struct client_fixture *f = &fixture;
    struct liar_options lies = {.seed = 5};
    struct err err = {0};
    struct raw_log log;

    (void)state;
    mock_script = (struct mock_script){
        .complete_per_poll = 1000, .to_deliver = MESSAGES, .deliver_per_poll = 500};
    client_fixture_open(f, "", "", "consume", 1);
    lies.folder = f->folder;
    assert_int_equal(liar_asked("skip:300,twice:310,swallow:320", "test", &lies, &err), 1);
    f->client->lies = &lies;
    client_fixture_start(f);
    client_fixture_until((_Atomic int64_t *)&mock_seen.delivered, MESSAGES);
    client_fixture_quit(f);
    assert_true(read_confessions() > 100);
    memset(reached, 0, sizeof(reached));
    log = raw_log_read(f->folder);
    for (size_t i = 0; i < log.n; i++)
        if (log.events[i].type == EV_DELIVER)
            reached[log.events[i].seq]++;
    for (uint64_t i = 0; i < MESSAGES; i++)
        assert_int_equal(reached[i], confessed[LIE_SKIP][i] || confessed[LIE_SWALLOW][i] ? 0
                                     : confessed[LIE_TWICE][i]                           ? 2
                                                                                         : 1);
    for (uint64_t i = 0; i < MESSAGES; i++)
        if (confessed[LIE_SKIP][i] || confessed[LIE_SWALLOW][i])
            assert_int_equal(mock_seen.settled_of[i], confessed[LIE_SWALLOW][i]);
    raw_log_release(&log);
    client_fixture_release(f);
}

/* ---- layers by themselves: no client, a folder for what is confessed */

static void lies_begin(const char *asked, struct liar_options *lies)
{
    struct err err = {0};

    snprintf(fixture.folder, sizeof(fixture.folder), "/tmp/assay-liar-XXXXXX");
    assert_non_null(mkdtemp(fixture.folder));
    *lies = (struct liar_options){.seed = 5, .folder = fixture.folder};
    assert_int_equal(liar_asked(asked, "test", lies, &err), 1);
}

static void lies_end(void)
{
    snprintf(fixture.folder + strlen(fixture.folder), 16, "/lies.jsonl");
    unlink(fixture.folder);
    *strrchr(fixture.folder, '/') = '\0';
    rmdir(fixture.folder);
}

/* ---- effects: a store that counts rows */

struct rows {
    unsigned char of[MESSAGES], open[MESSAGES];
};
static struct rows rows;

static int rows_begin(void *self, struct err *err)
{
    (void)self;
    (void)err;
    memset(rows.open, 0, sizeof(rows.open));
    return 0;
}

static int rows_append(void *self, const struct journal_row *row, struct err *err)
{
    (void)self;
    (void)err;
    rows.open[row->message.seq]++;
    return 0;
}

static enum outcome rows_commit(void *self, int16_t *code)
{
    (void)self;
    (void)code;
    for (int i = 0; i < MESSAGES; i++)
        rows.of[i] = (unsigned char)(rows.of[i] + rows.open[i]);
    return OUTCOME_OK;
}

static void rows_rollback(void *self)
{
    (void)self;
    memset(rows.open, 0, sizeof(rows.open));
}

static void rows_close(void *self)
{
    (void)self;
}

static const struct store_ops rows_ops = {.begin = rows_begin,
                                          .append = rows_append,
                                          .commit = rows_commit,
                                          .rollback = rows_rollback,
                                          .close = rows_close};

static void effects_are_lied_about_as_told(void **state)
{
    struct client_spec spec = {.run = 1};
    struct store store = {.ops = &rows_ops};
    struct liar_options lies;
    struct err err = {0};

    (void)state;
    lies_begin("forget:50,repeat:60", &lies);
    store = liar_wrap_store(store, &lies, &spec);
    for (uint64_t i = 0; i < 2000; i++) {
        struct journal_row row = {.message = {.seq = i}};
        int16_t code = 0;

        assert_int_equal(store.ops->begin(store.self, &err), 0);
        assert_int_equal(store.ops->append(store.self, &row, &err), 0);
        assert_int_equal(store.ops->commit(store.self, &code), OUTCOME_OK);
    }
    store.ops->close(store.self);
    free(store.self);
    assert_true(read_confessions() > 40);
    for (uint64_t i = 0; i < 2000; i++)
        assert_int_equal(rows.of[i], confessed[LIE_FORGET][i]   ? 0
                                     : confessed[LIE_REPEAT][i] ? 2
                                                                : 1);
    lies_end();
}

/* ---- values, versions, tokens and locks: a store of one row a key, and a cache */

#define ROWS 1000

static struct {
    int64_t value[ROWS];
    uint64_t version[ROWS], taken[ROWS]; /* the token taken last */
} items;

static enum store_answer items_add(void *self, uint32_t key, int64_t amount, struct store_item *out)
{
    (void)self;
    items.value[key] += amount;
    *out =
        (struct store_item){.key = key, .value = items.value[key], .version = ++items.version[key]};
    return STORE_OK;
}

static enum store_answer items_put(void *self, uint32_t key, int64_t value, struct store_item *out)
{
    return items_add(self, key, value - items.value[key], out);
}

static enum store_answer items_take(void *self, uint32_t key, uint64_t token,
                                    const struct msg_id *by)
{
    (void)self;
    (void)by;
    items.taken[key] = token;
    return STORE_OK;
}

static int items_begin(void *self, struct err *err)
{
    (void)self;
    (void)err;
    return 0;
}

static enum outcome items_commit(void *self, int16_t *code)
{
    (void)self;
    (void)code;
    return OUTCOME_OK;
}

static const struct store_ops items_ops = {.begin = items_begin,
                                           .commit = items_commit,
                                           .rollback = rows_rollback,
                                           .close = rows_close,
                                           .add = items_add,
                                           .put = items_put,
                                           .fence = items_take,
                                           .take = items_take};

static struct store lying_store(const char *asked)
{
    struct client_spec spec = {.run = 1};
    struct liar_options lies;

    lies_begin(asked, &lies);
    memset(&items, 0, sizeof(items));
    return liar_wrap_store((struct store){.ops = &items_ops}, &lies, &spec);
}

static void close_lying(struct store *store)
{
    store->ops->close(store->self);
    free(store->self);
}

static void amounts_are_lied_about_as_told(void **state)
{
    struct store store = lying_store("skew:20");
    struct store_item item;
    int16_t code;

    (void)state;
    for (uint32_t i = 0; i < 3 * ROWS; i++) {
        assert_int_equal(store.ops->begin(store.self, NULL), 0);
        assert_int_equal(store.ops->add(store.self, i % ROWS, 5, &item), STORE_OK);
        assert_int_equal(store.ops->commit(store.self, &code), OUTCOME_OK);
        assert_int_equal(item.version, i / ROWS + 1);
    }
    close_lying(&store);
    assert_true(read_confessions() > 50);
    for (uint32_t key = 0; key < ROWS; key++)
        assert_int_equal(items.value[key], confessed[LIE_SKEW][key] ? 10 : 15);
    lies_end();
}

static void versions_are_lied_about_as_told(void **state)
{
    struct store store = lying_store("again:20");
    unsigned lied[ROWS] = {0};
    struct store_item item;
    int16_t code;

    (void)state;
    for (uint32_t i = 0; i < 6 * ROWS; i++) {
        assert_int_equal(store.ops->begin(store.self, NULL), 0);
        assert_int_equal(store.ops->put(store.self, i % ROWS, i, &item), STORE_OK);
        assert_int_equal(store.ops->commit(store.self, &code), OUTCOME_OK);
        lied[i % ROWS] += item.version == i / ROWS;
        assert_true(item.version == i / ROWS || item.version == i / ROWS + 1);
    }
    close_lying(&store);
    assert_true(read_confessions() > 50);
    for (uint32_t key = 0; key < ROWS; key++)
        assert_int_equal(confessed[LIE_AGAIN][key], lied[key]);
    lies_end();
}

static void tokens_are_lied_about_as_told(void **state)
{
    struct store store = lying_store("bypass:20");
    int16_t code;

    (void)state;
    for (uint32_t key = 0; key < ROWS; key++) {
        assert_int_equal(store.ops->begin(store.self, NULL), 0);
        assert_int_equal(store.ops->fence(store.self, key, 7, NULL), STORE_OK);
        assert_int_equal(store.ops->commit(store.self, &code), OUTCOME_OK);
    }
    close_lying(&store);
    assert_true(read_confessions() > 20);
    for (uint32_t key = 0; key < ROWS; key++)
        assert_int_equal(items.taken[key], confessed[LIE_BYPASS][key] ? 6 : 7);
    lies_end();
}

#define REFUSED 7 /* a time to live of which EXEC does nothing */

static enum outcome five_get(void *self, uint32_t key, struct cache_value *out)
{
    (void)self;
    (void)key;
    *out = (struct cache_value){.version = 5};
    return OUTCOME_OK;
}

static enum outcome set_exec(void *self, uint32_t key, const struct cache_value *value)
{
    (void)self;
    (void)key;
    return value->ttl_ns == REFUSED ? OUTCOME_FAIL : OUTCOME_OK;
}

static enum outcome held_acquire(void *self, uint32_t key, uint64_t token, int64_t ttl_ns,
                                 uint64_t *fence, uint16_t *node)
{
    (void)self;
    (void)key;
    (void)token;
    (void)ttl_ns;
    (void)fence;
    (void)node;
    return OUTCOME_FAIL;
}

static const struct cache_ops five_ops = {.get = five_get,
                                          .watch = five_get,
                                          .exec = set_exec,
                                          .acquire = held_acquire,
                                          .close = rows_close};

static void caches_are_lied_about_as_told(void **state)
{
    struct client_spec spec = {.run = 1};
    struct cache cache = {.ops = &five_ops};
    struct liar_options lies;
    struct cache_value value;
    uint64_t fence;
    uint16_t node;

    (void)state;
    lies_begin("old:20,grant:20", &lies);
    cache = liar_wrap_cache(cache, &lies, &spec);
    for (uint64_t i = 0; i < 2000; i++) {
        assert_int_equal(cache.ops->get(cache.self, (uint32_t)i % 10, &value), OUTCOME_OK);
        place[i] = value.version;
        reached[i] = cache.ops->acquire(cache.self, 1, i, 1, &fence, &node) == OUTCOME_OK;
        if (i == 999)
            usleep(1100000); /* what was served is old enough from here on */
    }
    cache.ops->close(cache.self);
    free(cache.self);
    assert_true(read_confessions() > 50);
    for (uint64_t i = 0; i < 2000; i++) {
        assert_int_equal(place[i], confessed[LIE_OLD][i] ? 4 : 5);
        assert_true(i >= 1000 || !confessed[LIE_OLD][i]);
        assert_int_equal(reached[i], confessed[LIE_GRANT][i]);
    }
    lies_end();
}

/* What EXEC refused was no lie: nobody saw it. */
static void watches_are_lied_about_as_told(void **state)
{
    struct client_spec spec = {.run = 1};
    struct cache cache = {.ops = &five_ops};
    struct liar_options lies;
    struct cache_value value;

    (void)state;
    lies_begin("again:20", &lies);
    cache = liar_wrap_cache(cache, &lies, &spec);
    for (uint64_t i = 1; i <= 2000; i++) {
        assert_int_equal(cache.ops->watch(cache.self, 1, &value), OUTCOME_OK);
        place[i] = value.version;
        value.ttl_ns = i % 4 ? 0 : REFUSED;
        reached[i] = cache.ops->exec(cache.self, 1, &value) == OUTCOME_OK;
        assert_int_equal(reached[i], i % 4 != 0);
    }
    cache.ops->close(cache.self);
    free(cache.self);
    assert_true(read_confessions() > 40);
    for (uint64_t i = 1; i <= 2000; i++) {
        assert_true(place[i] == 4 || place[i] == 5);
        assert_int_equal(reached[i] && place[i] == 4, confessed[LIE_AGAIN][i]);
    }
    lies_end();
}

static void what_cannot_be_read_is_refused(void **state)
{
    struct liar_options lies = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(liar_asked("lose:0", "test", &lies, &err), -1);
    assert_int_equal(liar_asked("fib:10", "test", &lies, &err), -1);
    assert_string_equal(err.text, "ASSAY_LIAR: cannot read \"fib:10\"");
    assert_int_equal(liar_asked("", "test", &lies, &err), 0);
    assert_int_equal(liar_asked("other=lose:5;test=swap:7", "test", &lies, &err), 1);
    assert_int_equal(lies.one_in[LIE_LOSE], 0);
    assert_int_equal(lies.one_in[LIE_SWAP], 7);
    assert_int_equal(liar_asked("other=lose:5", "test", &lies, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_it_changes_nothing),
        cmocka_unit_test(sends_are_lied_about_as_told),
        cmocka_unit_test(deliveries_are_lied_about_as_told),
        cmocka_unit_test(effects_are_lied_about_as_told),
        cmocka_unit_test(amounts_are_lied_about_as_told),
        cmocka_unit_test(versions_are_lied_about_as_told),
        cmocka_unit_test(tokens_are_lied_about_as_told),
        cmocka_unit_test(caches_are_lied_about_as_told),
        cmocka_unit_test(watches_are_lied_about_as_told),
        cmocka_unit_test(what_cannot_be_read_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
