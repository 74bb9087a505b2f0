/*
 * Reading, printing, typing: YAML as trees, units, expressions, config files, inputs. What a suite
 * is refused for is tested in plan/refuse_test.c, with the whole reader.
 */
#include "suite/config_file.h"
#include "suite/expr.h"
#include "suite/nearest.h"
#include "suite/params.h"
#include "suite/suite.h"
#include "suite/tree.h"
#include "suite/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena arena;
static struct err err;

static int teardown(void **state)
{
    (void)state;
    arena_release(&arena);
    err = (struct err){0};
    return 0;
}

static struct tree *read_text(const char *text)
{
    return tree_read(text, strlen(text), "x", &arena, &err);
}

/* ---- trees */

static void trees_remember_where_they_stood(void **state)
{
    const struct tree *t = read_text("a: 1\nb:\n  - {c: \"x y\"}\n");
    const struct tree *c = tree_get(tree_get(t, "b")->items[0], "c");

    (void)state;
    assert_string_equal(tree_text(t, "a", ""), "1");
    assert_int_equal(c->mark.line, 3);
    assert_int_equal(c->mark.column, 9);
    assert_string_equal(c->text, "x y");
    assert_string_equal(tree_text(t, "none", "fallback"), "fallback");
}

static void same_again(const char *text)
{
    const struct tree *t = read_text(text);
    char *once, *twice;

    if (!t)
        fail_msg("%s: %s", text, err.text);
    once = tree_print(t, NULL);
    t = read_text(once);
    if (!t)
        fail_msg("%s: %s", once, err.text);
    twice = tree_print(t, NULL);
    assert_string_equal(once, twice);
    free(once);
    free(twice);
}

static void what_is_printed_reads_the_same(void **state)
{
    (void)state;
    same_again("a: 1");
    same_again("- [a, [b, {c: d}], [], {}]\n- {}\n- x");
    same_again("{a: {b: {c: {}}, d: []}, \"k: #\": \"v: #\", \"\": \"\"}");
    same_again("\"\\u2028\\u0085\\ufeff\\t\\n\\x01\\\"\\\\ä€😀\"");
    same_again("[~, null, yes, 1e3, -5, '- x', '? y', '@z', '*', '&', '!', '%', '`', \"'\"]");
    same_again("a: |\n  many\n  lines\n");
}

static void wrong_documents_are_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "a: [",
                                        "a: b: c",
                                        "? [a]\n: b",
                                        "\tx: 1",
                                        "a: 1\n...\n---\nb",
                                        "\xff\xfe\xfd",
                                        "a: \"\\0\"",
                                        "# nothing"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        err = (struct err){0};
        if (read_text(wrong[i]))
            fail_msg("taken: %s", wrong[i]);
        assert_int_equal(err.status, ERR_INPUT);
        assert_int_equal(strncmp(err.text, "suite x:", 8), 0);
    }
}

static void depth_is_bounded(void **state)
{
    char deep[200];

    (void)state;
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    assert_null(tree_read(deep, sizeof(deep), "x", &arena, &err));
    assert_string_equal(err.text, "suite x:1:33: nested deeper than 32 levels");
}

static void maps_merge_and_lists_replace(void **state)
{
    const struct tree *a = read_text("{m: {x: 1, y: 2}, l: [1, 2], s: a}");
    const struct tree *b = read_text("{m: {y: 3, z: 4}, l: [9], t: b}");
    char line[200];

    (void)state;
    tree_line(tree_merge(&arena, a, b), line, sizeof(line));
    assert_string_equal(line, "m: {x: 1, y: 3, z: 4}, l: [9], s: a, t: b");
    tree_line(tree_merge(&arena, a, read_text("{m: {x: ~, z: 4}, s: ~}")), line, sizeof(line));
    assert_string_equal(line, "m: {y: 2, z: 4}, l: [1, 2]");
}

/* ---- words and units */

static void nearest_words_are_near(void **state)
{
    struct nearest near = nearest_to("ack");

    (void)state;
    nearest_offer(&near, "linger");
    nearest_offer(&near, "acks");
    assert_string_equal(nearest_hint(&near), " (did you mean \"acks\"?)");
    near = nearest_to("zzz");
    nearest_offer(&near, "acks");
    assert_string_equal(nearest_hint(&near), "");
    assert_int_equal(edit_distance("form", "from"), 1);
    assert_int_equal(edit_distance("", "abc"), 3);
}

static void units_are_read(void **state)
{
    int64_t n = 0;
    double rate = 1;
    char text[40];

    (void)state;
    assert_int_equal(units_duration("1.5s", &n), 0);
    assert_int_equal(n, 1500000000);
    assert_int_equal(units_duration("10", &n), -1);
    assert_int_equal(units_duration("1.0000000001s", &n), -1);
    assert_int_equal(units_duration("99999999999h", &n), -1);
    assert_int_equal(units_size("64KiB", &n), 0);
    assert_int_equal(n, 65536);
    assert_int_equal(units_int("-10k", &n), 0);
    assert_int_equal(n, -10000);
    assert_int_equal(units_rate("5k/s", &rate), 0);
    assert_true(rate > 4999.9 && rate < 5000.1);
    assert_int_equal(units_rate("flat_out", &rate), 0);
    assert_true(rate < 0.1);
    assert_int_equal(units_rate("5k", &rate), -1);
    units_print_duration(90000000000, text, sizeof(text));
    assert_string_equal(text, "90s");
    units_print_duration(1500000000, text, sizeof(text));
    assert_string_equal(text, "1500ms");
}

/* ---- expressions */

static int lookup(void *context, const struct expr *e, struct value *out, struct err *why)
{
    (void)context;
    if (e->kind == EXPR_VARIABLE)
        *out = (struct value){.kind = VALUE_NODES, .n = 1, .nodes = {1}};
    else if (strcmp(e->name, "leader") == 0)
        *out = (struct value){.kind = VALUE_NODES, .n = 1, .nodes = {2}};
    else if (strcmp(e->name, "isr") == 0)
        *out = (struct value){.kind = VALUE_NODES, .n = 2, .nodes = {2, 1}};
    else if (strcmp(e->name, "role") == 0)
        *out = (struct value){.kind = VALUE_WORD, .word = "replica"};
    else if (strcmp(e->name, "acked") == 0)
        *out = (struct value){.kind = VALUE_NUMBER, .number = 10};
    else if (e->kind == EXPR_WORD)
        *out = (struct value){.kind = VALUE_WORD, .word = e->name};
    else
        return err_set(why, "unknown %s", e->name);
    return 0;
}

static void expressions_have_values(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        {"1 + 2 - 4", -1},
        {"acked(a) - 10", 0},
        {"acked(a)-10 == 0", 1},
        {"acked(a) >= 10", 1},
        {"acked(a) != 10", 0},
        {"leader(orders/0) not in [$old, none]", 1},
        {"leader(orders/0) in [$old, leader(x)]", 1},
        {"$old in [none]", 0},
        {"$old in isr(x)", 1},
        {"$old not in leader(x)", 1},
        {"$old in [isr(x)]", 0}, /* a list holds sets, and that is another set */
        {"isr(x) in leader(x)", 0},
        {"leader(x) == leader(y)", 1},
        {"role($old) == replica", 1},
        {"role($old) != primary", 1},
        {"3 in [1, 2, 3]", 1},
        {"9 < 10", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct tree_mark mark = {"x", 1, 1};
        struct expr *e = expr_parse(rows[i].text, &arena, &mark, &err);
        struct value v;

        if (!e || expr_eval(e, lookup, NULL, &v, &err) < 0)
            fail_msg("%s: %s", rows[i].text, err.text);
        assert_string_equal(e->text, rows[i].text);
        if (v.number != rows[i].value)
            fail_msg("%s is %ld", rows[i].text, (long)v.number);
    }
}

static void words_hold_dots_slashes_and_dashes(void **state)
{
    const struct tree_mark mark = {"x", 1, 1};
    struct expr *e = expr_parse("unknown(teller.db_commit) + lag(a-b/0)", &arena, &mark, &err);

    (void)state;
    assert_non_null(e);
    assert_string_equal(e->args[0]->args[0]->text, "teller.db_commit");
    assert_string_equal(e->args[1]->args[0]->name, "a-b/0");
}

static void bounds_may_begin_with_their_operator(void **state)
{
    const struct tree_mark mark = {"x", 1, 1};
    enum expr_op op;

    (void)state;
    assert_string_equal(expr_parse_bound(">= kills(teller)", &op, &arena, &mark, &err)->text,
                        "kills(teller)");
    assert_int_equal(op, OP_GE);
    assert_non_null(expr_parse_bound("acked(x) - 10", &op, &arena, &mark, &err));
    assert_int_equal(op, OP_EQ);
}

static void wrong_expressions_are_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "(",
                                        "a(",
                                        "a(b",
                                        "[1, 2",
                                        "1 ==",
                                        "a b",
                                        "1 = 2",
                                        "$",
                                        "f(,)",
                                        "a && b",
                                        "\"x\"",
                                        "99999999999999999999"};
    const struct tree_mark mark = {"x", 3, 4};
    char deep[200];

    (void)state;
    memset(deep, '[', sizeof(deep));
    deep[sizeof(deep) - 1] = '\0';
    assert_null(expr_parse(deep, &arena, &mark, &err));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        err = (struct err){0};
        if (expr_parse(wrong[i], &arena, &mark, &err))
            fail_msg("taken: %s", wrong[i]);
        assert_int_equal(strncmp(err.text, "suite x:3:4: ", 13), 0);
    }
}

/* ---- tables */

struct inner {
    int64_t size_bytes;
};
struct outer {
    bool flag, given;
    struct inner inner;
    struct pairs words;
    struct strings names;
    struct items many;
    struct expr *e;
};
struct named {
    const char *name;
    int64_t count;
};
static const struct param inner_params[] = {
    {"size", PARAM_SIZE, offsetof(struct inner, size_bytes), .fallback = "1KiB", .help = "size"},
    {0}};
static const struct param named_params[] = {
    {"count", PARAM_INT, offsetof(struct named, count), .fallback = "3", .help = "count"}, {0}};
static const struct param outer_params[] = {
    {"flag", PARAM_BOOL, offsetof(struct outer, flag), .fallback = "true", .help = "flag"},
    {"inner", PARAM_STRUCT, offsetof(struct outer, inner), .sub = inner_params,
     .sub_size = sizeof(struct inner), .shorthand = "size",
     .present = offsetof(struct outer, given), .help = "inner"},
    {"words", PARAM_VERBATIM, offsetof(struct outer, words), .help = "words"},
    {"names", PARAM_STRINGS, offsetof(struct outer, names), .fallback = "[a, b]", .help = "names"},
    {"many", PARAM_MAP, offsetof(struct outer, many), .sub = named_params,
     .sub_size = sizeof(struct named), .shorthand = "count", .help = "many"},
    {"e", PARAM_EXPR, offsetof(struct outer, e), .help = "expression"},
    {0}};

static void defaults_are_filled(void **state)
{
    struct outer out = {0};

    (void)state;
    assert_int_equal(param_fill(outer_params, NULL, &out, &arena, &err), 0);
    assert_true(out.flag);
    assert_false(out.given);
    assert_int_equal(out.inner.size_bytes, 1024);
    assert_int_equal(out.names.n, 2);
}

static void tables_fill_structs(void **state)
{
    const struct tree *t =
        read_text("{flag: false, inner: 2KiB, words: {save: [\"900 1\", \"300 10\"], a: b},\n"
                  " names: x, many: {p: 7, q: {}}, e: [$old, $rest]}");
    struct outer out = {0};
    const struct named *many;

    (void)state;
    if (param_fill(outer_params, t, &out, &arena, &err) < 0)
        fail_msg("%s", err.text);
    many = out.many.items;
    assert_false(out.flag);
    assert_true(out.given);
    assert_int_equal(out.inner.size_bytes, 2048);
    assert_int_equal(out.words.n, 3);
    assert_string_equal(pairs_get(&out.words, "save", ""),
                        "300 10"); /* the last, as in redis.conf */
    assert_string_equal(out.names.items[0], "x");
    assert_string_equal(many[1].name, "q");
    assert_int_equal(many[0].count, 7);
    assert_int_equal(many[1].count, 3);
    assert_string_equal(out.e->text, "[$old, $rest]");
}

static void a_bare_value_is_told_of_the_key_that_was_written(void **state)
{
    struct outer out = {0};

    (void)state;
    assert_int_equal(param_fill(outer_params, read_text("{inner: big}"), &out, &arena, &err), -1);
    assert_non_null(strstr(err.text, ": inner: \"big\" is not a size"));
    assert_int_equal(param_fill(outer_params, read_text("{many: {p: few}}"), &out, &arena, &err),
                     -1);
    assert_non_null(strstr(err.text, ": p: \"few\" is not a whole number"));
    assert_int_equal(
        param_fill(outer_params, read_text("{inner: {size: big}}"), &out, &arena, &err), -1);
    assert_non_null(strstr(err.text, ": size: \"big\" is not a size"));
}

static void a_key_that_means_nothing_here_is_refused(void **state)
{
    struct kept {
        int how, word;
        int64_t times;
    } out;
    static const char *const hows[] = {"never", "once", "often", NULL};
    static const struct param params[] = {
        {"how", PARAM_CHOICE, offsetof(struct kept, how), .choices = hows, .fallback = "never"},
        {"times", PARAM_INT, offsetof(struct kept, times), .max = 9, .only = "how: once | often"},
        {"word", PARAM_CHOICE, offsetof(struct kept, word), .choices = hows, .only = "times"},
        {0}};

    (void)state;
    assert_int_equal(
        param_fill(params, read_text("{times: 3, how: often, word: once}"), &out, &arena, &err), 0);
    assert_int_equal(out.times, 3);
    assert_int_equal(param_fill(params, read_text("{times: 3}"), &out, &arena, &err), -1);
    assert_string_equal(err.text,
                        "suite x:1:2: \"times\" means nothing with how: never: it belongs "
                        "to how: once | often (a twin takes it away with times: ~)");
    assert_int_equal(param_fill(params, read_text("{word: once}"), &out, &arena, &err), -1);
    assert_string_equal(err.text, "suite x:1:2: \"word\" means nothing without \"times\"");
}

/* ---- config files */

static const char *config_line(const char *section, const char *text)
{
    const struct tree_mark mark = {"x", 1, 1};
    static char line[400];

    tree_line(config_parse(section, text, &mark, &arena, &err), line, sizeof(line));
    return line;
}

static void config_files_read_as_their_products_do(void **state)
{
    (void)state;
    assert_string_equal(
        config_line("server.properties",
                    "# c\n! c\n\n a=b \nc : d\ne f\nlist=x,\\\n  y\nurl=a=b\nempty=\na=again\n"),
        "a: again, c: d, e: f, list: x,y, url: a=b, empty: ");
    assert_string_equal(config_line("rabbitmq.conf", "a.b = c d\n# x\nkey.1 = http://h:1/\r\n"),
                        "a.b: c d, key.1: http://h:1/");
    assert_string_equal(
        config_line("redis.conf", "save 900 1\nsave 300 10\nmaxmemory 1gb\nsave 60 1000\n"),
        "save: [900 1, 300 10, 60 1000], maxmemory: 1gb");
    assert_string_equal(config_line("definitions.json", "{\"a\": 1}"), "text: {\"a\": 1}");
}

/* The server would refuse such a key word for word, with the value in it. */
static void a_key_is_not_told_with_its_value(void **state)
{
    const struct tree_mark mark = {"x", 1, 1};

    (void)state;
    assert_null(config_parse("redis.conf", "save 1 1\nrequirepass=h2\n", &mark, &arena, &err));
    assert_string_equal(err.text,
                        "suite x:2:1: redis.conf: behind \"requirepass\" a blank was expected");
    assert_null(config_parse("rabbitmq.conf", "default_pass h2\n", &mark, &arena, &err));
    assert_string_equal(err.text,
                        "suite x:1:1: rabbitmq.conf: behind \"default_pass\" \"=\" was expected");
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void the_suites_keys_win_over_the_files(void **state)
{
    char folder[] = "/tmp/assay-suite-test-XXXXXX";
    static const struct param table[] = {{.key = "server.properties", .type = PARAM_VERBATIM},
                                         {.key = "definitions.json", .type = PARAM_STRING},
                                         {.key = NULL}};
    const struct tree *t =
        read_text("{server.properties: {c: d, file: p, a: 1}, definitions.json: {file: j}}");
    char line[200];

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    write_file("p", "a=2\nb=3\n");
    write_file("j", "{}");
    t = config_files_merge(table, t, folder, &arena, &err);
    assert_int_equal(chdir("/"), 0);
    if (!t)
        fail_msg("%s", err.text);
    tree_line(t, line, sizeof(line));
    assert_string_equal(line, "server.properties: {a: 1, b: 3, c: d}, definitions.json: {}");
    unlink(arena_printf(&arena, "%s/p", folder));
    unlink(arena_printf(&arena, "%s/j", folder));
    rmdir(folder);
}

/* ---- inputs */

#define SUITE(inputs, value)                                                                       \
    "assay: 1\ninputs: " inputs                                                                    \
    "\ncases:\n  C: {clusters: {a: b}, matrix: {n: [1, 2]}, deadline: '" value "'}\n"

static const char *deadline_with(const char *text, const char *input, const char *value)
{
    const struct pair set = {input, value, {0}};
    const struct suite *suite =
        suite_read(text, strlen(text), "x", ".", &set, input ? 1 : 0, &arena, &err);

    if (!suite)
        return err.text;
    assert_int_equal(suite->n, 2);
    if (input)
        assert_true(suite->set_used[0]);
    return tree_text(suite->cases[1].tree, "deadline", "");
}

static void inputs_and_matrix_names_are_replaced_literally(void **state)
{
    (void)state;
    assert_string_equal(deadline_with(SUITE("{i: {value: v}}", "<${i}${n}>"), NULL, NULL), "<v2>");
    assert_string_equal(deadline_with(SUITE("{i: {value: v}}", "<${i}>"), "i", "${n}"), "<${n}>");
    assert_string_equal(deadline_with(SUITE("{i: {value: v}}", "$${i} $old ${"), NULL, NULL),
                        "${i} $old ${");
    assert_string_equal(deadline_with(SUITE("{i: {file: none}}", "${i}"), "i", "/etc/p"), "/etc/p");
    assert_string_equal(deadline_with(SUITE("{i: {help: h}}", "${i}"), NULL, NULL),
                        "suite x:2:13: input \"i\" has no default: give --set i=…");
    assert_string_equal(
        deadline_with(SUITE("{in: {value: v}}", "${im}"), NULL, NULL),
        "suite x:4:56: ${im} is no input and no matrix name (did you mean \"in\"?)");
}

static void keys_below_a_case_take_inputs_too(void **state)
{
    static const char head[] = "assay: 1\ninputs: {i: {value: app}}\ncases:\n"
                               "  C: {clusters: {a: b}, clients: {";
    const struct suite *suite;
    const char *text;

    (void)state;
    text = arena_printf(&arena, "%s'${i}-1': {push: '${i}'}}}\n", head);
    suite = suite_read(text, strlen(text), "x", ".", NULL, 0, &arena, &err);
    if (!suite)
        fail_msg("%s", err.text);
    assert_string_equal(
        tree_text(tree_get(tree_get(suite->cases[0].tree, "clients"), "app-1"), "push", ""), "app");
    text = arena_printf(&arena, "%sapp: {}, '${i}': {}}}\n", head);
    assert_null(suite_read(text, strlen(text), "x", ".", NULL, 0, &arena, &err));
    assert_string_equal(err.text, "suite x:4:44: key \"app\" is there twice");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(trees_remember_where_they_stood),
        TEST(what_is_printed_reads_the_same),
        TEST(wrong_documents_are_refused),
        TEST(depth_is_bounded),
        TEST(maps_merge_and_lists_replace),
        TEST(nearest_words_are_near),
        TEST(units_are_read),
        TEST(expressions_have_values),
        TEST(words_hold_dots_slashes_and_dashes),
        TEST(bounds_may_begin_with_their_operator),
        TEST(wrong_expressions_are_refused),
        TEST(defaults_are_filled),
        TEST(tables_fill_structs),
        TEST(a_bare_value_is_told_of_the_key_that_was_written),
        TEST(a_key_that_means_nothing_here_is_refused),
        TEST(config_files_read_as_their_products_do),
        TEST(a_key_is_not_told_with_its_value),
        TEST(the_suites_keys_win_over_the_files),
        TEST(inputs_and_matrix_names_are_replaced_literally),
        TEST(keys_below_a_case_take_inputs_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
