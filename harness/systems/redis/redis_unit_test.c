/* Redis without servers: config files of a node, refused keys, the outcome table, stream positions,
 * what follows from INFO's counters of keys that are gone.
 */
#include "plan/plan.h"
#include "systems/redis/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const script =
    "cases:\n"
    "  one:\n"
    "    clusters: {kv: r}\n"
    "    workload: {queue: {}}\n"
    "    clients: {app: {push: jobs, confirm: {wait: 2, every: 100}}, w: {consume: {stream: s}}}\n"
    "    script: [{send: {from: app, count: 1, name: b}}]\n"
    "    promise: {loss: 0}\n"
    "    expect: pass\n";

static struct plan *load_case(const char *cluster, const char *text, struct err *err)
{
    char path[] = "/tmp/redis-unit-XXXXXX";
    const char *suites[1] = {path};
    struct plan_options options = {.suites = suites, .n_suites = 1, .seed = 1, .repeats = 1};
    int fd = mkstemp(path);
    struct plan *plan;

    assert_true(fd >= 0);
    dprintf(fd, "assay: 1\nclusters:\n  r: %s\n%s", cluster, text);
    close(fd);
    plan = plan_load(&options, NULL, err);
    unlink(path);
    return plan;
}

static struct plan *load(const char *cluster, struct err *err)
{
    return load_case(cluster, script, err);
}

/* The config file of node `index`, in the plan's arena. */
static const char *conf_of(struct plan *plan, unsigned index)
{
    struct plan_case *c = plan->cases[0];
    struct node nodes[16] = {0};
    struct cluster cluster = {.ops = &redis_system,
                              .plan = c,
                              .spec = &c->clusters[0],
                              .nodes = nodes,
                              .arena = &plan->arena};
    struct err err = {0};

    for (unsigned i = 0; i < c->clusters[0].n_nodes; i++)
        nodes[i].plan = &c->nodes[i];
    snprintf(nodes[index].data, sizeof(nodes[index].data), "/data");
    assert_int_equal(redis_system.layout(&cluster, &nodes[index], &err), 0);
    return nodes[index].spec.files[0].text;
}

static void the_users_keys_are_laid_over_ours(void **state)
{
    struct err err = {0};
    struct plan *plan =
        load("{redis: {topology: replication, replicas: 1}, redis.conf: {save: \"900 1\", "
             "appendonly: \"yes\", port: \"7000\", requirepass: secret, hz: \"10\"}}",
             &err);
    const char *conf;

    (void)state;
    if (!plan)
        fail_msg("%s", err.text);
    conf = conf_of(plan, 1);
    assert_non_null(strstr(conf, "\nsave 900 1\n"));
    assert_null(strstr(conf, "save \"\""));
    assert_non_null(strstr(conf, "\nappendonly yes\n"));
    assert_non_null(strstr(conf, "\nhz 10\n"));
    assert_null(strstr(conf, "\nhz 50\n"));
    assert_non_null(strstr(conf, "\nport 6379\n"));
    assert_null(strstr(conf, "7000"));
    assert_null(strstr(conf, "secret"));
    assert_non_null(strstr(conf, "\nreplicaof 10.77.1.1 6379\n"));
    assert_null(strstr(conf_of(plan, 0), "replicaof"));
    plan_free(plan);
}

static void a_sentinel_conf_comes_short_or_as_the_file_has_it(void **state)
{
    struct err err = {0};
    struct plan *plan =
        load("{redis: {topology: sentinel, replicas: 2, sentinels: 3}, sentinel.conf: {quorum: "
             "\"3\", parallel-syncs: \"2\", acllog-max-len: \"128\", sentinel: "
             "[\"down-after-milliseconds prod 700\", "
             "\"monitor prod 10.0.0.1 6379 1\", \"deny-scripts-reconfig yes\"]}}",
             &err);
    const char *conf;

    (void)state;
    if (!plan)
        fail_msg("%s", err.text);
    conf = conf_of(plan, 3);
    assert_non_null(strstr(conf, "\nsentinel monitor mymaster 10.77.1.1 6379 3\n"));
    assert_non_null(strstr(conf, "\nsentinel down-after-milliseconds mymaster 700\n"));
    assert_null(strstr(conf, " 500\n"));
    assert_non_null(strstr(conf, "\nacllog-max-len 128\n"));
    assert_non_null(strstr(conf, "\nsentinel parallel-syncs mymaster 2\n"));
    assert_non_null(strstr(conf, "\nsentinel deny-scripts-reconfig yes\n"));
    assert_non_null(strstr(conf, "\nsentinel known-replica mymaster 10.77.1.3 6379\n"));
    assert_non_null(strstr(conf, "\nsentinel known-sentinel mymaster 10.77.1.6 26379 a55a"));
    assert_null(strstr(conf, "prod"));
    plan_free(plan);
}

static void modules_and_includes_are_refused(void **state)
{
    struct err err = {0};
    struct plan *plan = load("{redis: {}, redis.conf: {loadmodule: /x.so}}", &err);

    (void)state;
    assert_null(plan);
    assert_int_equal(err.status, ERR_INPUT);
    assert_non_null(strstr(err.text, "loadmodule"));
    assert_non_null(strstr(err.text, "modules are not supported"));
}

static void naming_a_key_makes_its_destination(void **state)
{
    struct err err = {0};
    struct plan *plan = load("{redis: {topology: standalone}}", &err);
    const struct plan_case *c;

    (void)state;
    if (!plan)
        fail_msg("%s", err.text);
    c = plan->cases[0];
    assert_int_equal(c->n_nodes, 1);
    assert_int_equal(c->dests[plan_dest_named(c, "jobs")].kind, UNIT_LIST);
    assert_int_equal(c->dests[plan_dest_named(c, "s")].kind, UNIT_STREAM);
    assert_true(c->dests[plan_dest_named(c, "workers")].group);
    plan_free(plan);
}

static void every_code_has_its_line_and_its_source(void **state)
{
    (void)state;
    for (int code = 0; code <= REDIS_CODE_EXECABORT; code++) {
        assert_int_equal(redis_outcomes[code].code, code);
        assert_non_null(redis_outcomes[code].source);
    }
    assert_null(redis_outcomes[REDIS_CODE_EXECABORT + 1].name);
    assert_int_equal(redis_code_of("READONLY You can't write against a read only replica."),
                     REDIS_CODE_READONLY);
    assert_int_equal(redis_code_of("ERR unknown command"), REDIS_CODE_ERR);
    assert_int_equal(redis_code_of("ERRATIC"), REDIS_CODE_OTHER);
    assert_int_equal(redis_code_of("EXECABORT Transaction discarded because of previous errors."),
                     REDIS_CODE_EXECABORT);
    assert_int_equal(redis_outcome_of(REDIS_CODE_READONLY), OUTCOME_FAIL);
    assert_int_equal(redis_outcome_of(REDIS_CODE_OTHER), OUTCOME_UNKNOWN);
    assert_int_equal(redis_outcome_of(REDIS_CODE_TIMEOUT), OUTCOME_UNKNOWN);
    assert_int_equal(redis_outcome_of(REDIS_CODE_WAIT_SHORT), OUTCOME_UNKNOWN);
}

static void stream_ids_rise_as_positions(void **state)
{
    (void)state;
    assert_true(redis_stream_position("1700000000000-0") <
                redis_stream_position("1700000000000-1"));
    assert_true(redis_stream_position("1700000000000-999999") <
                redis_stream_position("1700000000001-0"));
    assert_true(redis_stream_position("4102444800000-1") > 0); /* the year 2100 */
}

static void senseless_clients_are_refused(void **state)
{
    static const struct {
        const char *client, *why;
    } refused[] = {
        {"{push: jobs, publish: news}", "a client sends to one place"},
        {"{publish: news, confirm: {wait: 1}}", "a PUBLISH stores nothing"},
        {"{publish: news, confirm: {aof: true}}", "a PUBLISH stores nothing"},
        {"{push: jobs, confirm: {receivers: 1}}", "the answer of PUBLISH"},
        {"{consume: {list: jobs, stream: s}}", "one of list, stream and channel"},
        {"{consume: {list: jobs, noack: true}}", "needs a stream"},
        {"{consume: {stream: s, noack: true, claim: 1s}}", "nothing is ever left pending"},
        {"{reap: jobs, consume: jobs}", "a client of its own"},
        {"{add: s, multi: script}", "it needs push:"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        struct err err = {0};
        char text[600];

        snprintf(text, sizeof(text),
                 "cases:\n  one:\n    clusters: {kv: r}\n    workload: {queue: {}}\n"
                 "    clients: {app: {push: jobs}, w: %s}\n"
                 "    script: [{send: {from: app, count: 1, name: b}}]\n"
                 "    promise: {loss: 0}\n    expect: pass\n",
                 refused[i].client);
        assert_null(load_case("{redis: {topology: standalone}}", text, &err));
        if (!strstr(err.text, refused[i].why))
            fail_msg("%s: %s", refused[i].client, err.text);
    }
}

static void slots_are_those_of_the_specification(void **state)
{
    (void)state;
    assert_int_equal(redis_slot_of("123456789"), 0x31c3);
    assert_int_equal(redis_slot_of("foo"), 12182);
    assert_int_equal(redis_slot_of("{user1000}.following"), redis_slot_of("user1000"));
    assert_int_not_equal(redis_slot_of("{}jobs"), redis_slot_of(""));
}

static void a_cluster_starts_knowing_itself(void **state)
{
    struct err err = {0};
    struct plan *plan = load("{redis: {topology: cluster, primaries: 3, replicas: 1}, redis.conf: "
                             "{cluster-node-timeout: \"1500\", cluster-enabled: \"no\"}}",
                             &err);
    const char *conf;

    (void)state;
    if (!plan)
        fail_msg("%s", err.text);
    assert_int_equal(plan->cases[0]->n_nodes, 6);
    conf = conf_of(plan, 4);
    assert_non_null(strstr(conf, "\ncluster-enabled yes\n"));
    assert_non_null(strstr(conf, "\ncluster-node-timeout 1500\n"));
    assert_null(strstr(conf, "replicaof"));
    plan_free(plan);
}

/* As hiredis makes them: what is asked of them is their type first. */
static void replies_are_of_the_type_the_server_sent(void **state)
{
    static const char wire[] = "$-1\r\n*-1\r\n:5\r\n*2\r\n$1\r\nl\r\n$3\r\na\0c\r\n"
                               "*2\r\n:7\r\n*1\r\n$-1\r\n-ERR no\r\n+OK\r\n";
    static const int types[] = {REDIS_REPLY_NIL,   REDIS_REPLY_NIL,   REDIS_REPLY_INTEGER,
                                REDIS_REPLY_ARRAY, REDIS_REPLY_ARRAY, REDIS_REPLY_ERROR,
                                REDIS_REPLY_STATUS};
    static struct lane lane;
    redisContext context = {.reader = redisReaderCreate()};
    size_t n = 0;

    (void)state;
    lane.c = &context;
    redis_lane_make_replies(&lane);
    for (size_t at = 0; at < sizeof(wire) - 1; at++) { /* none is whole at once */
        void *any = NULL;
        redisReply *reply;

        assert_int_equal(redisReaderFeed(context.reader, wire + at, 1), REDIS_OK);
        assert_int_equal(redisReaderGetReply(context.reader, &any), REDIS_OK);
        reply = any;
        if (!reply)
            continue;
        assert_true(n < sizeof(types) / sizeof(*types));
        assert_int_equal(reply->type, types[n]);
        if (n == 2)
            assert_int_equal(reply->integer, 5);
        if (n == 3)
            assert_memory_equal(reply->element[1]->str, "a\0c", 4);
        if (n == 4) {
            assert_int_equal(reply->element[0]->integer, 7);
            assert_int_equal(reply->element[1]->element[0]->type, REDIS_REPLY_NIL);
        }
        redis_lane_free(&lane, reply);
        n++;
    }
    assert_int_equal(n, sizeof(types) / sizeof(*types));
    redisReaderFree(context.reader);
    arena_release(&lane.replies);
}

/* ---- keys that are gone */

#define JOBS "app: {push: jobs, confirm: reply}"
#define JOBS_1H "app: {push: {list: jobs, expire: 1h}, confirm: reply}"
#define PAGES "cache: {set: page, confirm: reply, meant_for: []}"
#define PAGES_1H "cache: {set: {keys: page, ttl: 1h}, confirm: reply}"

static struct plan *plan_of_clients(const char *clients)
{
    struct err err = {0};
    struct plan *plan;
    char text[600];

    snprintf(text, sizeof(text),
             "cases:\n"
             "  one:\n"
             "    clusters: {kv: r}\n"
             "    workload: {queue: {}}\n"
             "    clients: {%s}\n"
             "    script: [{send: {from: %.*s, count: 1, name: b}}]\n"
             "    promise: {loss: 0}\n"
             "    expect: pass\n",
             clients, (int)strcspn(clients, ":"), clients);
    plan = load_case("{redis: {topology: standalone}}", text, &err);
    if (!plan)
        fail_msg("%s: %s", clients, err.text);
    return plan;
}

struct info {
    const char *run_id, *replid, *policy;
    int evicted, expired, syncs, sets, psetexs, keys;
};

static struct redis_counts counts_of(struct info i)
{
    struct redis_counts counts;
    char text[800];

    snprintf(text, sizeof(text),
             "# Server\r\nrun_id:%s\r\n# Memory\r\nmaxmemory:8388608\r\nmaxmemory_human:8.00M\r\n"
             "maxmemory_policy:%s\r\n# Stats\r\nsync_full:%d\r\nexpired_keys:%d\r\n"
             "evicted_keys:%d\r\n# Replication\r\nmaster_replid:%s\r\nmaster_replid2:0\r\n"
             "# Commandstats\r\ncmdstat_set:calls=%d,usec=1,usec_per_call=1.00\r\n"
             "cmdstat_psetex:calls=%d,usec=1\r\n# Keyspace\r\ndb0:keys=%d,expires=0\r\n",
             i.run_id ? i.run_id : "4f", i.policy ? i.policy : "allkeys-lru", i.syncs, i.expired,
             i.evicted, i.replid ? i.replid : "a0", i.sets, i.psetexs, i.keys);
    redis_counts_read(text, &counts);
    return counts;
}

static void what_is_gone_follows_from_the_counters(void **state)
{
    static const struct {
        const char *about, *clients, *unit;
        struct info before, after;
        int64_t n;
        enum expiry why;
    } cases[] = {
        {"the others account for all but one",
         JOBS ", " PAGES,
         "jobs",
         {.evicted = 7, .sets = 50},
         {.evicted = 1007, .sets = 1050, .keys = 2},
         1,
         EXPIRY_EVICTED},
        {"the others may be all",
         JOBS ", " PAGES,
         "jobs",
         {0},
         {.evicted = 1000, .sets = 1000, .keys = 1},
         0,
         0},
        {"other keys went unseen before",
         JOBS ", " PAGES,
         "jobs",
         {.keys = 1},
         {.evicted = 1000, .sets = 1000, .keys = 2},
         0,
         0},
        {"nothing was evicted", JOBS, "jobs", {.evicted = 3}, {.evicted = 3, .keys = 1}, 0, 0},
        {"the only key", JOBS, "jobs", {0}, {.evicted = 1, .keys = 1}, 1, EXPIRY_EVICTED},
        {"the only key with a time to live",
         JOBS_1H ", " PAGES,
         "jobs",
         {.policy = "volatile-lru"},
         {.policy = "volatile-lru", .evicted = 1, .sets = 1000, .keys = 1001},
         1,
         EXPIRY_EVICTED},
        {"one without it is not touched",
         JOBS ", " PAGES_1H,
         "jobs",
         {.policy = "volatile-lru"},
         {.policy = "volatile-lru", .evicted = 5, .psetexs = 9, .keys = 5},
         0,
         0},
        {"nor does it expire",
         JOBS ", " PAGES_1H,
         "jobs",
         {0},
         {.expired = 5, .psetexs = 9, .keys = 5},
         0,
         0},
        {"the keys that do are as many",
         JOBS ", " PAGES_1H,
         "page",
         {0},
         {.expired = 5, .psetexs = 9, .keys = 5},
         5,
         EXPIRY_TTL},
        {"any of list and keys",
         JOBS ", " PAGES,
         "page",
         {0},
         {.evicted = 5, .sets = 9, .keys = 5},
         0,
         0},
        {"a list expired",
         JOBS_1H ", " PAGES,
         "jobs",
         {0},
         {.expired = 1, .sets = 9, .keys = 10},
         1,
         EXPIRY_TTL},
        {"a list and keys expired, all of them",
         JOBS_1H ", " PAGES_1H,
         "jobs",
         {0},
         {.expired = 10, .psetexs = 9, .keys = 1},
         1,
         EXPIRY_TTL},
        {"evicted or expired", JOBS_1H, "jobs", {0}, {.evicted = 1, .expired = 1, .keys = 1}, 0, 0},
        {"restarted", JOBS, "jobs", {.run_id = "4e"}, {.evicted = 1, .keys = 1}, 0, 0},
        {"another history", JOBS, "jobs", {.replid = "a1"}, {.evicted = 1, .keys = 1}, 0, 0},
        {"somebody got it all anew",
         JOBS,
         "jobs",
         {.syncs = 1},
         {.syncs = 2, .evicted = 1, .keys = 1},
         0,
         0},
        {"two lists",
         JOBS ", b: {push: other, confirm: reply}",
         "jobs",
         {0},
         {.evicted = 1, .keys = 2},
         0,
         0},
        {"consumed", JOBS ", w: {consume: jobs}", "jobs", {0}, {.evicted = 1, .keys = 1}, 0, 0},
        {"leases beside",
         JOBS ", w: {consume: {list: other, mode: blmove}}",
         "jobs",
         {0},
         {.evicted = 9, .sets = 1, .keys = 1},
         0,
         0},
        {"marks beside",
         "app: {push: {list: jobs, once: true}, confirm: reply}",
         "jobs",
         {0},
         {.evicted = 9, .sets = 1, .keys = 1},
         0,
         0},
        {"a stream",
         "app: {add: s, confirm: reply}",
         "s",
         {0},
         {.evicted = 1, .keys = 1},
         1,
         EXPIRY_EVICTED},
        {"a stream that is trimmed",
         "app: {add: {stream: s, trim: maxlen, maxlen: 9}}",
         "s",
         {0},
         {.evicted = 1, .keys = 1},
         0,
         0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct plan *plan = plan_of_clients(cases[i].clients);
        const struct plan_case *c = plan->cases[0];
        struct redis_counts before = counts_of(cases[i].before), after = counts_of(cases[i].after);
        enum expiry why = EXPIRY_NONE;
        uint32_t unit = c->dests[plan_dest_named(c, cases[i].unit)].first_unit;
        int64_t n = redis_keys_gone(c, unit, &before, &after, &why);

        if ((n > 0 ? n : 0) != cases[i].n || (n > 0 && why != cases[i].why))
            fail_msg("%s: %lld by %s", cases[i].about, (long long)n, expiry_name((int)why));
        plan_free(plan);
    }
}

/* The tellers' marks are keys in the same server, and any of them may be the one that was evicted. */
static void nothing_is_told_beside_a_cache(void **state)
{
    static const char text[] = "cases:\n"
                               "  one:\n"
                               "    clusters: {kv: r, db: s}\n"
                               "    workload: {transfer: {dedupe: %s}}\n"
                               "    clients: {bank: {add: jobs, confirm: reply}, teller: {consume: "
                               "{stream: jobs, group: g}}}\n"
                               "    script: [{send: {from: bank, count: 1, name: b}}]\n"
                               "    promise: {loss: 0}\n"
                               "    expect: pass\n";
    static const struct {
        const char *dedupe;
        int64_t gone;
    } cases[] = {{"none", 1}, {"redis_after, marks: kv", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct redis_counts before = counts_of((struct info){0});
        struct redis_counts after =
            counts_of((struct info){.evicted = 1, .sets = 300, .keys = 300});
        enum expiry why = EXPIRY_NONE;
        struct err err = {0};
        struct plan *plan;
        char suite[600];

        snprintf(suite, sizeof(suite), text, cases[i].dedupe);
        plan = load_case("{redis: {topology: standalone}}\n  s: {sqlite: {}}", suite, &err);
        if (!plan)
            fail_msg("%s: %s", cases[i].dedupe, err.text);
        assert_int_equal(
            redis_keys_gone(
                plan->cases[0],
                plan->cases[0]->dests[plan_dest_named(plan->cases[0], "jobs")].first_unit, &before,
                &after, &why),
            cases[i].gone);
        plan_free(plan);
    }
}

/* A counter nobody could read is not 0. */
static void counters_are_read_or_not_known(void **state)
{
    struct redis_counts counts = counts_of(
        (struct info){.evicted = 1, .expired = 2, .syncs = 3, .sets = 4, .psetexs = 5, .keys = 6});

    (void)state;
    assert_true(counts.known);
    assert_int_equal(counts.gone[EXPIRY_EVICTED], 1);
    assert_int_equal(counts.gone[EXPIRY_TTL], 2);
    assert_int_equal(counts.full_syncs, 3);
    assert_int_equal(counts.sets, 9);
    assert_int_equal(counts.keys, 6);
    assert_int_equal(counts.maxmemory, 8388608);
    assert_string_equal(counts.policy, "allkeys-lru");
    assert_string_equal(counts.replid, "a0");
    redis_counts_read("run_id:4f\r\nmaster_replid:a0\r\nevicted_keys:1\r\n", &counts);
    assert_false(counts.known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_users_keys_are_laid_over_ours),
        cmocka_unit_test(a_sentinel_conf_comes_short_or_as_the_file_has_it),
        cmocka_unit_test(modules_and_includes_are_refused),
        cmocka_unit_test(naming_a_key_makes_its_destination),
        cmocka_unit_test(every_code_has_its_line_and_its_source),
        cmocka_unit_test(stream_ids_rise_as_positions),
        cmocka_unit_test(senseless_clients_are_refused),
        cmocka_unit_test(slots_are_those_of_the_specification),
        cmocka_unit_test(a_cluster_starts_knowing_itself),
        cmocka_unit_test(replies_are_of_the_type_the_server_sent),
        cmocka_unit_test(what_is_gone_follows_from_the_counters),
        cmocka_unit_test(nothing_is_told_beside_a_cache),
        cmocka_unit_test(counters_are_read_or_not_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
