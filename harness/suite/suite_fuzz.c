/*
 * Fuzzing what reads suites: YAML → tree → printed → the same tree; suite → cases; plan text → plan
 * → the same text. Built alone (a folder's library leaves x_fuzz.c out):
 *
 *     clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER … suite_fuzz.c      libFuzzer drives it
 *     clang -fsanitize=address … suite_fuzz.c; ./suite_fuzz 1000000 [SEED] CORPUS…
 *           mutates the corpus itself: bytes, lines and words of the language, from one seed
 *
 * A finding is a crash, a sanitizer's report, an assert or an input that takes longer than a
 * second.
 */
#include "base/clock.h"
#include "base/draw.h"
#include "plan/plan.h"
#include "suite/config_file.h"
#include "suite/suite.h"
#include "suite/tree.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 65536
/* where `file:` of the corpus is looked up; run from the top folder */
#define CONFIGS "harness/suite/testdata"
#define SLOW_NS (10 * SECOND_NS) /* under sanitizers on a busy machine */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void tree_survives(const char *text, size_t n)
{
    struct arena arena = {0};
    struct err err = {0};
    const struct tree *tree = tree_read(text, n, "x", &arena, &err);

    if (tree) {
        size_t once_n, twice_n;
        char *once = tree_print(tree, &once_n);
        const struct tree *same = tree_read(once, once_n, "x", &arena, &err);
        char *twice;

        assert(same);
        twice = tree_print(same, &twice_n);
        assert(once_n == twice_n && memcmp(once, twice, once_n) == 0);
        free(once);
        free(twice);
    } else {
        assert(err.status == ERR_INPUT && strncmp(err.text, "suite ", 6) == 0);
    }
    arena_release(&arena);
}

static void plan_survives(const char *text, size_t n)
{
    struct arena arena = {0};
    struct err err = {0};
    const struct plan_case *c = plan_case_read(text, n, &arena, &err);

    if (c) {
        size_t once_n, twice_n;
        char *once = plan_case_text(c, &once_n);
        const struct plan_case *same = plan_case_read(once, once_n, &arena, &err);
        char *twice;

        assert(same);
        twice = plan_case_text(same, &twice_n);
        assert(once_n == twice_n && memcmp(once, twice, once_n) == 0);
        free(once);
        free(twice);
    } else {
        assert(err.text[0]);
    }
    arena_release(&arena);
}

/* Words answer by their length: nodes, numbers, words, nothing. */
static int lookup(void *context, const struct expr *e, struct value *out, struct err *err)
{
    size_t n = strlen(e->text);

    (void)context;
    if (n % 7 == 0)
        return err_set(err, "%s: unknown", e->text);
    if (e->kind == EXPR_CALL && n % 2)
        *out = (struct value){.kind = VALUE_NUMBER, .number = INT64_MAX - (int64_t)n};
    else if (e->kind == EXPR_WORD)
        *out = (struct value){.kind = VALUE_WORD, .word = e->name};
    else
        *out = (struct value){.kind = VALUE_NODES, .n = n % 4, .nodes = {1, 2, 3}};
    return 0;
}

static void expression_survives(const struct expr *e)
{
    struct err err = {0};
    struct value value;

    if (expr_eval(e, lookup, NULL, &value, &err) == 0)
        value_true(&value);
    else
        assert(err.text[0]);
}

/* What is required at the end, and what is waited for: nodes stand only in the second. */
static void expressions_survive(const struct plan_case *c)
{
    struct script_walk walk = script_walk(&c->script);
    const struct step *step;

    for (size_t i = 0; i < c->n_require; i++)
        expression_survives(c->require[i].expr);
    while ((step = script_next(&walk)))
        if (step->kind == STEP_WAIT && ((const struct wait_args *)step->args)->until)
            expression_survives(((const struct wait_args *)step->args)->until);
}

/* A whole suite as `assay plan` loads it; refused ones must say where. */
static void suite_survives(const char *text, size_t n)
{
    struct err err = {0};
    struct plan *plan = plan_load_text(text, n, "x", CONFIGS, 1, &err);

    if (!plan)
        assert(err.status == ERR_INPUT && err.text[0]);
    else
        for (size_t i = 0; i < plan->n && i < 2; i++) {
            size_t size;
            char *one = plan_case_text(plan->cases[i], &size);

            plan_survives(one, size);
            free(one);
            expressions_survive(plan->cases[i]);
        }
    plan_free(plan);
}

/* A config file of a team may hold anything; which kind of file this is goes by its size. */
static void config_survives(const char *bytes, size_t n)
{
    static const char *const sections[] = {"server.properties", "rabbitmq.conf", "redis.conf",
                                           "a.json"};
    const struct tree_mark mark = {"x", 1, 1};
    struct arena arena = {0};
    const char *section = sections[n % (sizeof(sections) / sizeof(*sections))];
    struct err err = {0};
    const struct tree *map =
        config_parse(section, arena_strndup(&arena, bytes, n), &mark, &arena, &err);

    assert(map ? map->kind == TREE_MAP : err.status == ERR_INPUT);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *text = (const char *)bytes;
    int64_t began_ns = clock_now_ns();

    if (n < 4096)
        config_survives(text, n);

    tree_survives(text, n);
    if (n > 11 && memcmp(text, "assay_plan:", 11) == 0)
        plan_survives(text, n);
    else
        suite_survives(text, n);
    assert(clock_now_ns() - began_ns < SLOW_NS);
    return 0;
}

#ifndef FUZZ_LIBFUZZER

/* ---- the same without libFuzzer: mutations of a corpus, all from one seed */

struct input {
    char bytes[INPUT_MAX];
    size_t n;
};

static struct input *corpus;
static size_t n_corpus;
static struct draw draws;
static uint64_t next_draw;

static uint64_t below(uint64_t n)
{
    return n ? draw_below(&draws, next_draw++, n) : 0;
}

static void add(const char *bytes, size_t n)
{
    if (n == 0 || n > INPUT_MAX)
        return;
    corpus = realloc(corpus, (n_corpus + 1) * sizeof(*corpus));
    if (!corpus)
        abort();
    memcpy(corpus[n_corpus].bytes, bytes, n);
    corpus[n_corpus++].n = n;
}

/* A suite, and the plans it makes. */
static void add_file(const char *path)
{
    struct arena arena = {0};
    struct err err = {0};
    size_t n;
    char *text = file_text(path, &n, &arena, &err);
    struct plan *plan;

    if (!text) {
        fprintf(stderr, "%s\n", err.text);
        exit(2);
    }
    add(text, n);
    plan = plan_load_text(text, n, path, CONFIGS, 1, &err);
    for (size_t i = 0; plan && i < plan->n; i++) {
        char *one = plan_case_text(plan->cases[i], &n);

        add(one, n);
        free(one);
    }
    plan_free(plan);
    arena_release(&arena);
}

static void replace(struct input *in, size_t at, size_t old, const char *bytes, size_t n)
{
    if (at > in->n || old > in->n - at || in->n - old + n > INPUT_MAX)
        return;
    memmove(in->bytes + at + n, in->bytes + at + old, in->n - at - old);
    memcpy(in->bytes + at, bytes, n);
    in->n = in->n - old + n;
}

/* From `at` the rest of the line it is in, its end included. */
static size_t line_at(const struct input *in, size_t *at)
{
    size_t end = *at;

    while (*at > 0 && in->bytes[*at - 1] != '\n')
        --*at;
    while (end < in->n && in->bytes[end] != '\n')
        end++;
    return end + (end < in->n) - *at;
}

static void splice_word(struct input *in)
{
    static const char *const words[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        ": ",
                                        ", ",
                                        "- ",
                                        "\n",
                                        "\"",
                                        "'",
                                        "#",
                                        "&a",
                                        "*a",
                                        "!t",
                                        "<<: ",
                                        "---\n",
                                        "|",
                                        ">",
                                        "${n}",
                                        "${",
                                        "$old",
                                        "0",
                                        "-1",
                                        "9223372036854775808",
                                        "30",
                                        "1s..4s",
                                        "250ms",
                                        "5k/s",
                                        "64KiB",
                                        "none",
                                        "leader(orders/0)",
                                        "one(app)",
                                        "in",
                                        "not in",
                                        " == ",
                                        " >= ",
                                        "(",
                                        ")",
                                        "{random: [5, 1]}",
                                        "file: ",
                                        "/dev/null",
                                        "within: 1s",
                                        "at: {step: after_effect}",
                                        "chaos: {}",
                                        "with:",
                                        "require+:",
                                        "expect: pass",
                                        "repeat: {times: 3, do: []}",
                                        "\xff",
                                        "\xe2\x80\xa8",
                                        "\t",
                                        "\r",
                                        "kafka",
                                        "redis",
                                        "quiet",
                                        "sleep: 1s"};
    const char *word = words[below(sizeof(words) / sizeof(*words))];

    replace(in, below(in->n + 1), below(4) ? 0 : below(8), word, strlen(word));
}

static void splice_line(struct input *in)
{
    const struct input *other = &corpus[below(n_corpus)];
    size_t from = below(other->n);
    size_t n = line_at(other, &from);
    size_t at = below(in->n + 1);
    size_t old;

    if (at == in->n && at > 0)
        at--;
    old = line_at(in, &at);
    replace(in, at, below(2) ? old : 0, other->bytes + from, n);
}

static void mutate(struct input *in)
{
    size_t at = below(in->n);
    char byte = (char)below(256);
    size_t n;

    switch (below(7)) {
    case 0: /* a bit */
        in->bytes[at] = (char)(in->bytes[at] ^ (1 << below(8)));
        break;
    case 1:
        replace(in, at, 1, &byte, 1);
        break;
    case 2:
        replace(in, at, below(16) + 1, "", 0);
        break;
    case 3: /* a line goes */
        n = line_at(in, &at);
        replace(in, at, n, "", 0);
        break;
    case 4:
        splice_line(in);
        break;
    default:
        splice_word(in);
        break;
    }
    if (in->n == 0)
        replace(in, 0, 0, "a", 1);
}

/* The smaller of two: it is read faster, and a mutation changes more of it. */
static const struct input *pick(void)
{
    const struct input *a = &corpus[below(n_corpus)];
    const struct input *b = &corpus[below(n_corpus)];

    return a->n < b->n ? a : b;
}

int main(int argc, char **argv)
{
    static struct input in;
    uint64_t inputs = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    if (argc < 4 || inputs == 0) {
        fprintf(stderr, "usage: suite_fuzz INPUTS SEED CORPUS…\n");
        return 2;
    }
    draws = draw_stream(seed, "fuzz");
    for (int i = 3; i < argc; i++)
        add_file(argv[i]);
    for (size_t i = 0; i < n_corpus; i++)
        LLVMFuzzerTestOneInput((const uint8_t *)corpus[i].bytes, corpus[i].n);
    for (uint64_t i = 0; i < inputs; i++) {
        const struct input *chosen = pick();
        char *exact;

        in.n = chosen->n;
        memcpy(in.bytes, chosen->bytes, chosen->n);
        for (uint64_t k = below(6) + 1; k > 0; k--)
            mutate(&in);
        exact = malloc(in.n); /* so that a byte too far is seen */
        if (!exact)
            abort();
        memcpy(exact, in.bytes, in.n);
        LLVMFuzzerTestOneInput((const uint8_t *)exact, in.n);
        free(exact);
    }
    printf("%" PRIu64 " inputs from %zu, seed %" PRIu64 ": no crash, no hang\n", inputs, n_corpus,
           seed);
    free(corpus);
    return 0;
}
#endif
