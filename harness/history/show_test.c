/* What people and other judges see of a history. */
#include "history/explain.h"
#include "history/show.h"

#include "history/testing/folder.h"
#include "history/words.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

static struct err err;
static const char *story;

static const char names[] = "node 0 redis-1\nnode 1 redis-2\nunit 0 jobs\ndest 0 jobs\n"
                            "client 0 app.0\nclient 1 app.1\nburst 1 alone\nstep 2 after_effect\n";

static void at(struct history_writer *w, int64_t ms, struct event e)
{
    e.at_ns = 1000 * MS + ms * MS;
    history_record(w, &e);
}

/* A primary is cut off, acknowledges message 7 of instance 1, and loses it at the heal. */
static void tell_story(const char *folder)
{
    struct sealer *s = sealer_open(folder, &err);
    struct history_writer *c = history_writer_open(folder, "coordinator", BY_COORDINATOR, &err);
    struct history_writer *a = history_writer_open(folder, "app-1.0.0", 1, &err);
    struct history_writer *audit = history_writer_open(folder, "audit", BY_AUDIT, &err);
    struct event fault = {.type = EV_FAULT, .epoch = 1, .node = NO_NODE};

    assert_int_equal(sealer_document(s, "names", names, sizeof(names) - 1, &err), 0);
    assert_int_equal(sealer_document(s, "plan", "case: \"story\"\n", 14, &err), 0);
    at(c, 0, (struct event){.type = EV_SCRIPT, .code = 3, .ref = history_text(c, "cut: …")});
    fault.code = STAMP_DECIDED;
    fault.ref = history_text(c, "cut|split|redis-1,redis-2");
    at(c, 1, fault);
    fault.code = STAMP_EFFECTIVE;
    fault.ref = history_text(c, "2 directed links cut");
    fault.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
    at(c, 2, fault);
    at(a, 3,
       (struct event){
           .type = EV_SEND_INVOKE, .client = 1, .seq = 7, .key = 4, .unit = 0, .ref = 1});
    at(a, 4,
       (struct event){.type = EV_SEND_COMPLETE,
                      .client = 1,
                      .seq = 7,
                      .position = 70,
                      .ref = 1,
                      .outcome_level = event_result(OUTCOME_OK, LEVEL_LEADER)});
    at(a, 5,
       (struct event){
           .type = EV_STEP, .client = 1, .seq = 7, .ref = 2, .value = 1, .flags = EV_KILLED});
    at(c, 6, (struct event){.type = EV_CLIENT_DEATH, .code = 9, .ref = 1});
    fault.code = STAMP_HEAL_EFFECTIVE;
    fault.ref = NO_REF;
    at(c, 9, fault);
    at(audit, 20, (struct event){.type = EV_AUDIT_LOG, .client = 0, .seq = 1, .position = 3});
    at(c, 21,
       (struct event){.type = EV_DRAIN,
                      .position = 80,
                      .outcome_level = event_result(OUTCOME_OK, (enum level)1)});
    history_writer_close(a);
    history_writer_close(c);
    history_writer_close(audit);
    assert_int_equal(sealer_finish(s, &err), 0);
    sealer_close(s);
}

static char *printed(int (*show)(const char *, FILE *, struct err *))
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    assert_int_equal(show(story, out, &err), 0);
    fclose(out);
    return text;
}

static int explain(const char *folder, FILE *out, struct err *e)
{
    return show_message(folder, "app.1.0.0/7", out, e);
}

static void test_explain(void **state)
{
    char *text = printed(explain);

    (void)state;
    assert_string_equal(
        text,
        "    0.002000    -- cut split redis-1,redis-2 is effective (window 1): 2 directed links "
        "cut\n"
        "    0.003000  app.1 sends it, key 4, to jobs, in burst alone\n"
        "    0.004000  app.1 was told ok (leader) by redis-1: it is in jobs at position 70\n"
        "    0.005000  app.1 was killed at after_effect (passage 1)\n"
        "    0.006000    -- app.1 (incarnation 0) is dead, signal 9\n"
        "    0.009000    -- cut split redis-1,redis-2 is healed (window 1)\n"
        "    0.021000    -- jobs is drained to D1 at position 80\n"
        "\n"
        "sent 1 time: 1 ok, 0 refused, 0 unknown; handed over 0, settled 0, effects committed 0\n"
        "the final audit finds it 0 times\n"
        "stage: acknowledged but not in the log\n"
        "says the owner of jobs: still counts 0\n");
    free(text);
}

/* What the owner of the data said of its unit, and only of that. */
static void test_explain_end(void **state)
{
    struct life life = {
        .id = {.seq = 7, .client = 1}, .invoked = 1, .ok = 1, .position = 70, .n_units = 1};
    struct history_reader *r = history_open(story, BY_TIME, UINT64_MAX, &err);
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    (void)state;
    assert_non_null(r);
    life_evidence(&life, &(struct event){.type = EV_EXPIRED,
                                         .by = BY_COORDINATOR,
                                         .unit = 0,
                                         .code = EXPIRY_RETENTION,
                                         .value = 71,
                                         .position = 71});
    life_evidence(
        &life,
        &(struct event){
            .type = EV_EXPIRED, .by = BY_COORDINATOR, .unit = 1, .code = EXPIRY_TTL, .value = 5});
    life_evidence(&life, &(struct event){.type = EV_AUDIT_SETTLED, .by = BY_AUDIT, .position = 40});
    print_end(r, &life, out);
    fclose(out);
    assert_string_equal(
        text,
        "\nsent 1 time: 1 ok, 0 refused, 0 unknown; handed over 0, settled 0, effects committed 0\n"
        "the history holds no audit of the final log or queue\n"
        "stage: expired(retention)\n"
        "says the owner of jobs: 71 are gone (retention), the log starts at 71\n"
        "says the owner of jobs: jobs has settled up to 40\n");
    free(text);
    history_close(r);
}

/* A list without positions, evicted with all there was in it. */
static void test_explain_whole(void **state)
{
    struct event gone = {.type = EV_EXPIRED,
                         .by = BY_COORDINATOR,
                         .unit = 0,
                         .code = EXPIRY_EVICTED,
                         .value = EXPIRED_WHOLE};
    struct life life = {.id = {.seq = 0, .client = 0}, .invoked = 1, .position = -1, .n_units = 1};
    struct history_reader *r = history_open(story, BY_TIME, UINT64_MAX, &err);

    (void)state;
    assert_non_null(r);
    assert_false(names_message(&gone));
    life_evidence(&life, &gone);
    for (life.ok = 0; life.ok < 2; life.ok++) {
        char *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);

        print_end(r, &life, out);
        fclose(out);
        assert_non_null(strstr(text, life.ok ? "stage: expired(evicted)\n"
                                             : "stage: unknown, not in the log\n"));
        assert_non_null(
            strstr(text, "says the owner of jobs: all of it that is missing is gone (evicted)\n"));
        free(text);
    }
    history_close(r);
}

static void test_text(void **state)
{
    char *text = printed(show_text);
    const char *body = strchr(text, '\n') + 1;

    (void)state;
    assert_int_equal(strncmp(text, "# history of 10 events, format 1, ", 34), 0);
    assert_string_equal(
        body,
        "     0.000000  coordinator  script          code=3 \"cut: …\"\n"
        "     0.001000  coordinator  fault           none decided window=1 "
        "\"cut|split|redis-1,redis-2\"\n"
        "     0.002000  coordinator  fault           ok effective window=1 \"2 directed links "
        "cut\"\n"
        "     0.003000  app.1        send_invoke     app.1.0.0/7 unit=jobs key=4 burst=alone\n"
        "     0.004000  app.1        send_complete   app.1.0.0/7 ok(leader) node=redis-1 unit=jobs "
        "position=70 burst=alone\n"
        "     0.005000  app.1        step            app.1.0.0/7 value=1 step=after_effect killed\n"
        "     0.006000  coordinator  client_death    code=9 client=app.1\n"
        "     0.009000  coordinator  fault           ok heal_effective window=1\n"
        "     0.020000  audit        audit_log       app/1 unit=jobs position=3 key=0 value=0\n"
        "     0.021000  coordinator  drain           ok D1 unit=jobs position=80 value=0\n");
    free(text);
}

/* Every line is JSON by itself, and an event's line has all its members: enough to judge by. */
static void test_json(void **state)
{
    char *text = printed(show_json), *rest = text;
    unsigned lines = 0, events = 0, documents = 0;

    (void)state;
    for (char *line; (line = strsep(&rest, "\n")) && *line; lines++) {
        json_error_t error;
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);

        if (!object)
            fail_msg("%s: %s", error.text, line);
        events += json_object_get(object, "event") != NULL;
        documents += json_object_get(object, "document") != NULL;
        if (lines == 0)
            assert_true(
                json_is_true(json_object_get(json_object_get(object, "history"), "complete")));
        if (strcmp(json_string_value(json_object_get(object, "event"))
                       ? json_string_value(json_object_get(object, "event"))
                       : "",
                   "send_complete") == 0) {
            assert_int_equal(json_integer_value(json_object_get(object, "at_ns")), 1004 * MS);
            assert_int_equal(json_integer_value(json_object_get(object, "seq")), 7);
            assert_int_equal(json_integer_value(json_object_get(object, "position")), 70);
            assert_string_equal(json_string_value(json_object_get(object, "message")),
                                "app.1.0.0/7");
            assert_string_equal(json_string_value(json_object_get(object, "outcome")), "ok");
            assert_string_equal(json_string_value(json_object_get(object, "level")), "leader");
            assert_string_equal(json_string_value(json_object_get(object, "unit_name")), "jobs");
            assert_string_equal(json_string_value(json_object_get(object, "node_name")), "redis-1");
            assert_string_equal(json_string_value(json_object_get(object, "burst")), "alone");
        }
        json_decref(object);
    }
    assert_int_equal(lines, 13);
    assert_int_equal(events, 10);
    assert_int_equal(documents, 2);
    free(text);
}

/* An event of every type with every member drawn still prints and parses. */
static void test_any_event(void **state)
{
    struct history_reader *r = history_open(story, PER_WRITER, 0, &err);
    struct draw draw = draw_stream(3, "show");
    char line[1000];

    (void)state;
    for (uint64_t i = 0; i < 5000; i++) {
        struct event e = event_draw(&draw, i, (uint16_t)draw_below(&draw, i, 65536), (int64_t)i);
        char *json = event_json(r, &e);
        json_t *object = json_loads(json, JSON_REJECT_DUPLICATES, NULL);

        assert_non_null(object);
        assert_string_equal(json_string_value(json_object_get(object, "event")),
                            event_kinds[e.type].name);
        json_decref(object);
        free(json);
        event_print(r, &e, 0, line, sizeof(line));
        assert_true(strlen(line) > 20);
    }
    history_close(r);
}

static void test_message_names(void **state)
{
    static const struct {
        const char *text;
        uint16_t client, incarnation, worker;
        uint64_t seq;
    } good[] = {
        {"app/7", 0, 0, 0, 7},       {"app.1.0.0/7", 1, 0, 0, 7}, {"app.1.2.3/7", 1, 2, 3, 7},
        {"app.0.4.5/0", 0, 4, 5, 0}, {"app.1/4/5/9", 1, 4, 5, 9}, {"1/0/0/7", 1, 0, 0, 7},
        {"client1/7", 1, 0, 0, 7},   {"app/2/3/4", 0, 2, 3, 4},   {"client9.0.1.2/3", 9, 1, 2, 3}};
    static const char *const bad[] = {"",
                                      "7",
                                      "app",
                                      "app/",
                                      "app/x",
                                      "app/7x",
                                      "nobody/7",
                                      "app/1/7",
                                      "app.7.0.0/1",
                                      "app/-1",
                                      "app/99999999999999999"};
    struct history_reader *r = history_open(story, PER_WRITER, 0, &err);
    struct msg_id id;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (message_parse(r, good[i].text, &id, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(id.client, good[i].client);
        assert_int_equal(id.incarnation, good[i].incarnation);
        assert_int_equal(id.worker, good[i].worker);
        assert_int_equal(id.seq, good[i].seq);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (message_parse(r, bad[i], &id, &err) == 0)
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.status, ERR_INPUT);
    }
    assert_int_equal(message_parse(r, "nobody/7", &id, &err), -1);
    assert_string_equal(err.text, "message nobody/7: no client is called nobody; there are app");
    history_close(r);
    assert_int_equal(show_message(story, "app/999", stdout, &err), -1);
    assert_string_equal(err.text, "message app/999: the history holds no event that names it");
}

static int set_up(void **state)
{
    (void)state;
    story = folder_make();
    tell_story(story);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove(story);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explain),       cmocka_unit_test(test_explain_end),
        cmocka_unit_test(test_explain_whole), cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),          cmocka_unit_test(test_any_event),
        cmocka_unit_test(test_message_names),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
