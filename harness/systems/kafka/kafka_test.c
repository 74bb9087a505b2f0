/*
 * What needs no broker: the outcome table, the layout of a node, the wire's encoding, the checks of
 * a cluster entry.
 */
#include "systems/kafka/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ---- outcomes */

static void test_status_decides(void **state)
{
    (void)state;
    assert_int_equal(kafka_outcome(0, RD_KAFKA_MSG_STATUS_PERSISTED), OUTCOME_OK);
    /* acks=0: no error, and the library does not claim that anybody has it */
    assert_int_equal(kafka_outcome(0, RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED), OUTCOME_OK);
    assert_int_equal(
        kafka_outcome(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_MSG_STATUS_NOT_PERSISTED),
        OUTCOME_FAIL);
    assert_int_equal(
        kafka_outcome(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED),
        OUTCOME_UNKNOWN);
    /* the counter-example of outcome.c: refused at last, but an earlier try may lie in a log */
    assert_int_equal(kafka_outcome(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                   RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED),
                     OUTCOME_UNKNOWN);
}

static void test_every_rule_has_a_source(void **state)
{
    (void)state;
    for (const struct outcome_rule *r = kafka_outcomes; r->name; r++) {
        assert_non_null(r->source);
        assert_int_not_equal(r->outcome, OUTCOME_NONE);
        assert_int_equal(kafka_outcome_of_code((rd_kafka_resp_err_t)r->code), r->outcome);
        for (const struct outcome_rule *other = r + 1; other->name; other++)
            assert_int_not_equal(r->code, other->code);
    }
    assert_int_equal(kafka_outcome_of_code((rd_kafka_resp_err_t)9999), OUTCOME_UNKNOWN);
}

/* ---- config rules */

static void test_whose_key_it_is(void **state)
{
    (void)state;
    assert_false(config_is_kept(&kafka_system, "server.properties", "listeners"));
    assert_false(config_is_kept(&kafka_system, "server.properties", "advertised.listeners"));
    assert_false(config_is_kept(&kafka_system, "server.properties", "ssl.keystore.location"));
    assert_false(config_is_kept(&kafka_system, "server.properties", "log.dirs"));
    assert_true(config_is_kept(&kafka_system, "server.properties", "log.retention.ms"));
    assert_true(config_is_kept(&kafka_system, "server.properties", "min.insync.replicas"));
    assert_true(
        config_is_kept(&kafka_system, "server.properties", "unclean.leader.election.enable"));
    assert_false(config_is_kept(&kafka_system, "librdkafka", "bootstrap.servers"));
    assert_false(config_is_kept(&kafka_system, "librdkafka", "sasl.password"));
    assert_true(config_is_kept(&kafka_system, "librdkafka", "acks"));
}

/* ---- wire */

static void test_wire_round_trip(void **state)
{
    struct wire_body b = {0};
    struct wire_view v;
    char text[8];

    (void)state;
    put_i8(&b, -2);
    put_i16(&b, -300);
    put_i32(&b, 70000);
    put_i64(&b, INT64_C(-5000000000));
    put_string(&b, "orders");
    put_string(&b, NULL);
    put_compact_string(&b, "a rather long one");
    put_uvarint(&b, 300);
    put_tags(&b);
    v = (struct wire_view){.bytes = b.bytes, .n = b.n};
    assert_int_equal(get_i8(&v), -2);
    assert_int_equal(get_i16(&v), -300);
    assert_int_equal(get_i32(&v), 70000);
    assert_int_equal(get_i64(&v), INT64_C(-5000000000));
    get_string(&v, text, sizeof(text));
    assert_string_equal(text, "orders");
    get_string(&v, text, sizeof(text));
    assert_string_equal(text, "");
    get_compact_string(&v, text, sizeof(text)); /* cut at its size, all of it skipped */
    assert_string_equal(text, "a rathe");
    assert_int_equal(get_uvarint(&v), 300);
    get_tags(&v);
    assert_false(v.bad);
    assert_int_equal(v.at, v.n);
}

static void test_wire_short_answers_are_bad_not_read(void **state)
{
    const uint8_t bytes[] = {0, 0, 0, 9, 1};
    struct wire_view v = {.bytes = bytes, .n = sizeof(bytes)};
    char text[8];

    (void)state;
    assert_int_equal(get_array(&v), 0); /* nine elements cannot be in one byte */
    assert_true(v.bad);
    v = (struct wire_view){.bytes = bytes, .n = 3};
    assert_int_equal(get_i32(&v), 0);
    assert_true(v.bad);
    v = (struct wire_view){.bytes = bytes + 3, .n = 2};
    get_compact_string(&v, text, sizeof(text)); /* eight bytes of text, one there */
    assert_string_equal(text, "");
    assert_true(v.bad);
}

/* ---- cluster entries */

struct seen {
    unsigned nodes, units;
    char names[200];
};

static void see_node(void *context, const char *name, const char *kind)
{
    struct seen *s = context;

    (void)kind;
    s->nodes++;
    strcat(strcat(s->names, name), " ");
}

static void see_dest(void *context, const char *name, int kind, unsigned units)
{
    (void)name, (void)kind;
    ((struct seen *)context)->units += units;
}

static struct tree *scalar(struct tree *t, const char *text)
{
    *t = (struct tree){.kind = TREE_SCALAR, .mark = {"suite.yaml", 3, 7}, .text = text};
    return t;
}

static void test_describe(void **state)
{
    struct tree ids[3], inner, outer;
    struct tree *in[] = {scalar(&ids[0], "1"), scalar(&ids[1], "2"), scalar(&ids[2], "3")},
                *out[] = {&inner};
    struct kafka_topic topic = {.name = "orders", .replicas = &outer};
    struct kafka_config config = {.kafka = {.brokers = 3, .controllers = 1},
                                  .topics = {.items = &topic, .n = 1}};
    struct seen seen = {0};
    struct layout_sink sink = {.context = &seen, .node = see_node, .dest = see_dest};
    struct err err = {0};

    (void)state;
    inner = (struct tree){.kind = TREE_LIST, .mark = {"suite.yaml", 3, 6}, .items = in, .n = 3};
    outer = (struct tree){.kind = TREE_LIST, .mark = {"suite.yaml", 3, 5}, .items = out, .n = 1};
    assert_int_equal(kafka_system.describe(&config, &sink, &err), 0);
    assert_string_equal(seen.names, "kafka-1 kafka-2 kafka-3 controller-10 ");
    assert_int_equal(seen.units, 1);
    scalar(&ids[2], "4");
    assert_int_equal(kafka_system.describe(&config, &sink, &err), -1);
    assert_int_equal(err.status, ERR_INPUT);
    assert_string_equal(err.text,
                        "suite.yaml:3:7: topic orders: replicas: no broker \"4\" among 1 … 3");
}

/* ---- clients */

static const char *refused(const struct kafka_args *args)
{
    const char *why = kafka_client_senseless(args, 2);

    return why ? why : "";
}

static void test_senseless_clients(void **state)
{
    struct pair manual[] = {{.key = "enable.auto.commit", .value = "false"}};
    struct pair id[] = {{.key = "group.instance.id", .value = "one"}};
    const char *zero[] = {"0"};
    struct kafka_args good = {.consume = {.topic = "t", .group = "g"}};
    struct kafka_args both = {.consume = {.topic = "t", .group = "g", .partitions = {zero, 1}}};
    struct kafka_args neither = {.consume = {.topic = "t"}};
    struct kafka_args no_period = {
        .consume = {.topic = "t", .group = "g", .commit = COMMIT_PERIODIC},
        .librdkafka = {manual, 1}};
    struct kafka_args twins = {.consume = {.topic = "t", .group = "g"}, .librdkafka = {id, 1}};
    struct kafka_args late = {.produce = {.topic = "t", .at_exit = EXIT_DROP}};
    struct kafka_args behind = {
        .consume = {.topic = "t", .group = "g", .commit = COMMIT_TRANSACTION},
        .produce = {.topic = "u"},
        .librdkafka = {manual, 1}};

    (void)state;
    assert_string_equal(refused(&good), "");
    assert_non_null(strstr(refused(&both), "exclude each other"));
    assert_non_null(strstr(refused(&neither), "needs group"));
    assert_non_null(strstr(refused(&no_period), "commit: periodic needs every:"));
    no_period.consume.every_ns = SECOND_NS;
    assert_string_equal(refused(&no_period), "");
    no_period.librdkafka.n = 0;
    assert_non_null(strstr(refused(&no_period), "would commit too"));
    assert_non_null(strstr(refused(&twins), "membership: static"));
    assert_non_null(strstr(refused(&late), "leaves nothing behind"));
    assert_non_null(strstr(refused(&behind), "needs produce"));
    behind.produce.transactions = TXN_STABLE;
    assert_string_equal(refused(&behind), "");
    behind.produce.reports = REPORTS_IGNORED;
    assert_non_null(strstr(refused(&behind), "waits for every report"));
    late.produce.reports = REPORTS_IGNORED;
    assert_string_equal(refused(&late), "");
}

static void test_leader_epochs_are_left_out_of_own_commits_only(void **state)
{
    struct pair manual[] = {{.key = "enable.auto.commit", .value = "false"}};
    const char *zero[] = {"0"};
    struct kafka_args own = {
        .consume = {.topic = "t", .group = "g", .leader_epoch = EPOCH_LEFT_OUT},
        .librdkafka = {manual, 1}};
    struct kafka_args by_library = own, by_hand = own, none = own;

    (void)state;
    assert_string_equal(refused(&own), "");
    by_library.librdkafka.n = 0;
    assert_non_null(strstr(refused(&by_library), "left_out: here the application commits nothing"));
    by_hand.consume.group = NULL;
    by_hand.consume.partitions = (struct strings){zero, 1};
    assert_non_null(strstr(refused(&by_hand), "commits nothing"));
    none.consume.commit = COMMIT_NONE;
    assert_non_null(strstr(refused(&none), "commits nothing"));
}

/* Release notes of librdkafka 2.1.0: "Added partition leader epoch APIs". */
static void test_leader_epochs_are_carried_where_the_library_can(void **state)
{
    struct leader_epoch_calls calls = kafka_leader_epoch_calls();
    bool can = rd_kafka_version() >= 0x020100ff;

    (void)state;
    assert_int_equal(calls.of_message != NULL, can);
    assert_int_equal(calls.carry != NULL, can);
}

static void test_words_of_the_library(void **state)
{
    struct pair keys[] = {{.key = "acks", .value = "all", .mark = {"suite.yaml", 7, 3}},
                          {.key = "linger.ms", .value = "5", .mark = {"suite.yaml", 8, 3}}};
    struct kafka_args args = {.librdkafka = {keys, 2}};
    struct err err = {0};

    (void)state;
    assert_int_equal(kafka_client_check(&args, &err), 0);
    keys[1].key = "lingr.ms";
    assert_int_equal(kafka_client_check(&args, &err), -1);
    assert_int_equal(err.status, ERR_INPUT);
    assert_non_null(strstr(err.text, "suite.yaml:8:3: librdkafka "));
    assert_non_null(strstr(err.text, " has no \"lingr.ms\" (did you mean \"linger.ms\"?)"));
    keys[0].value = "most";
    assert_int_equal(kafka_client_check(&args, &err), -1);
    assert_non_null(strstr(err.text, "suite.yaml:7:3: acks: librdkafka: Invalid value"));
}

static const char *setting_of(struct pair *keys, size_t n, const char *key)
{
    static char value[100];
    const struct kafka_args args = {.librdkafka = {keys, n}};

    return kafka_client_setting(&args, key, value, sizeof(value)) ? value : NULL;
}

static void test_what_the_library_makes_of_them(void **state)
{
    struct pair none[] = {{.key = "acks", .value = "0"}};
    struct pair other[] = {{.key = "request.required.acks", .value = "0"}};
    struct pair all[] = {{.key = "acks", .value = "all"}};

    (void)state;
    assert_string_equal(setting_of(none, 1, "acks"), "0");
    assert_string_equal(setting_of(other, 1, "acks"), "0");
    assert_string_equal(setting_of(all, 1, "acks"), "all");
    assert_string_equal(setting_of(NULL, 0, "acks"), "all");
    assert_null(setting_of(NULL, 0, "payload"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_decides),
        cmocka_unit_test(test_every_rule_has_a_source),
        cmocka_unit_test(test_whose_key_it_is),
        cmocka_unit_test(test_wire_round_trip),
        cmocka_unit_test(test_wire_short_answers_are_bad_not_read),
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_senseless_clients),
        cmocka_unit_test(test_leader_epochs_are_left_out_of_own_commits_only),
        cmocka_unit_test(test_leader_epochs_are_carried_where_the_library_can),
        cmocka_unit_test(test_words_of_the_library),
        cmocka_unit_test(test_what_the_library_makes_of_them),
    };

    return cmocka_run_group_tests_name("kafka", tests, NULL, NULL);
}
