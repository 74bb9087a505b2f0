/*
 * Promises, and how a case is expected to end: promise:, require:, expect:.
 */
#include "plan/build.h"

#include "api/checker.h"
#include "api/registry.h"
#include "suite/nearest.h"
#include "suite/params.h"
#include "suite/tree.h"

#include <string.h>

#define CHECKERS_MAX 64

const char *const verdict_names[] = {"pass",   "vacuous", "inconclusive",
                                     "broken", "fail",    "not_applicable"};

static size_t count_checkers(void)
{
    size_t n = 0;

    while (all_checkers[n])
        n++;
    return n;
}

static int unknown_property(struct build *b, const struct tree *promise, size_t i)
{
    struct nearest near = nearest_to(promise->keys[i]);

    for (size_t k = 0; all_checkers[k]; k++)
        if (all_checkers[k]->property)
            nearest_offer(&near, all_checkers[k]->property);
    return mark_err(b->err, &promise->marks[i], "unknown promise \"%s\"%s", promise->keys[i],
                    nearest_hint(&near));
}

/* `loss: 0` stands for the key the property's checker names, by default its first. */
static const struct tree *as_promise(struct build *b, const char *property,
                                     const struct tree *value)
{
    const char *key = NULL;

    for (size_t i = 0; !key && all_checkers[i]; i++) {
        const struct checker_ops *checker = all_checkers[i];

        if (!checker->property || strcmp(checker->property, property) != 0)
            continue;
        key = checker->shorthand;
        if (!key && checker->params && checker->params->type != PARAM_END)
            key = checker->params->key;
    }
    return param_as_map(value, key, property, b->arena);
}

/* All checkers of one property share its value; every key must be known to one of them. */
static int build_property(struct build *b, const char *property, const struct tree_mark *mark,
                          const struct tree *value)
{
    struct param_into into[CHECKERS_MAX];
    size_t n = 0;

    value = as_promise(b, property, value);
    if (value->kind != TREE_MAP)
        return mark_err(b->err, mark, "promise %s takes a map", property);
    for (size_t i = 0; all_checkers[i] && n < CHECKERS_MAX; i++) {
        const struct checker_ops *checker = all_checkers[i];
        void *args;

        if (!checker->property || strcmp(checker->property, property) != 0)
            continue;
        args = arena_alloc(b->arena, checker->args_size + 1);
        into[n++] = (struct param_into){checker->params, args};
        b->c->promises[b->c->n_promises++] =
            (struct plan_promise){.checker = checker, .args = args};
    }
    return param_fill_all(into, n, value, b->arena, b->err);
}

static bool is_property(const char *name)
{
    for (size_t i = 0; all_checkers[i]; i++)
        if (all_checkers[i]->property && strcmp(all_checkers[i]->property, name) == 0)
            return true;
    return false;
}

static int add_always(struct build *b)
{
    for (size_t i = 0; all_checkers[i]; i++) {
        const struct checker_ops *checker = all_checkers[i];
        void *args;

        if (checker->property)
            continue;
        args = arena_alloc(b->arena, checker->args_size + 1);
        if (param_fill(checker->params, NULL, args, b->arena, b->err) < 0)
            return -1;
        b->c->promises[b->c->n_promises++] =
            (struct plan_promise){.checker = checker, .args = args, .always = true};
    }
    return 0;
}

/* What only the whole plan can tell of a promise. */
static int validate_promises(struct build *b, const struct tree *promise)
{
    for (size_t i = 0; i < b->c->n_promises; i++) {
        const struct plan_promise *p = &b->c->promises[i];

        if (!p->checker->validate || p->checker->validate(b->c, p->args, b->err) == 0)
            continue;
        err_prefix(b->err, "promise %s", p->checker->name);
        for (size_t k = 0; k < promise->n; k++)
            if (p->checker->property && strcmp(promise->keys[k], p->checker->property) == 0)
                return err_prefix(b->err, "suite %s:%d:%d", promise->marks[k].file,
                                  promise->marks[k].line, promise->marks[k].column);
        return -1;
    }
    return 0;
}

int build_promises(struct build *b)
{
    const struct tree *promise = tree_get(b->tree, "promise");

    if (!promise || promise->kind != TREE_MAP || promise->n == 0)
        return mark_err(b->err, promise ? &promise->mark : &b->tree->mark,
                        "case \"%s\" promises nothing: add promise: {loss: 0}", b->c->name);
    b->c->promises = arena_alloc(b->arena, (count_checkers() + 1) * sizeof(*b->c->promises));
    for (size_t i = 0; i < promise->n; i++) {
        if (!is_property(promise->keys[i]))
            return unknown_property(b, promise, i);
        if (build_property(b, promise->keys[i], &promise->marks[i], promise->items[i]) < 0)
            return -1;
    }
    return add_always(b) < 0 ? -1 : validate_promises(b, promise);
}

/* ---- require */

static int build_require(struct build *b)
{
    const struct tree *require = tree_get(b->tree, "require");
    size_t n;

    if (!require)
        return 0;
    if (require->kind == TREE_MAP)
        return mark_err(b->err, &require->mark, "require: expected a list of conditions");
    n = require->kind == TREE_LIST ? require->n : 1;
    b->c->require = arena_alloc(b->arena, n * sizeof(*b->c->require));
    for (size_t i = 0; i < n; i++) {
        const struct tree *one = require->kind == TREE_LIST ? require->items[i] : require;
        struct expr *e;

        if (one->kind != TREE_SCALAR)
            return mark_err(b->err, &one->mark,
                            "require: expected a condition such as acked(x) == 10");
        e = expr_parse(one->text, b->arena, &one->mark, b->err);
        if (!e || check_words(b, e) < 0)
            return -1;
        b->c->require[b->c->n_require++].expr = e;
    }
    return 0;
}

/* ---- expect */

static bool reports(const struct checker_ops *checker, const char *kind)
{
    for (const char *const *k = checker->kinds; k && *k; k++)
        if (strcmp(*k, kind) == 0)
            return true;
    return false;
}

/* A kind of finding some checker of this case may report. */
static int check_kind(struct build *b, const struct tree_mark *mark, const char *kind)
{
    struct nearest near = nearest_to(kind);

    for (size_t i = 0; i < b->c->n_promises; i++) {
        if (reports(b->c->promises[i].checker, kind))
            return 0;
        for (const char *const *k = b->c->promises[i].checker->kinds; k && *k; k++)
            nearest_offer(&near, *k);
    }
    for (size_t i = 0; all_checkers[i]; i++)
        if (reports(all_checkers[i], kind) && all_checkers[i]->property)
            return mark_err(b->err, mark, "\"%s\" is only looked for where promise: says %s", kind,
                            all_checkers[i]->property);
    return mark_err(b->err, mark, "no checker reports \"%s\"%s", kind, nearest_hint(&near));
}

static int build_kind(struct build *b, const struct tree *fail, size_t i, struct expect_kind *out)
{
    const struct tree *value = fail->items[i];

    if (check_kind(b, &fail->marks[i], fail->keys[i]) < 0)
        return -1;
    if (value->kind != TREE_SCALAR)
        return mark_err(b->err, &value->mark, "%s: expected a number or an expression",
                        fail->keys[i]);
    out->kind = fail->keys[i];
    out->op = OP_GT;
    if (tree_is_empty(value) || strcmp(value->text, "any") == 0)
        return 0;
    out->bound = expr_parse_bound(value->text, &out->op, b->arena, &value->mark, b->err);
    return out->bound ? check_words(b, out->bound) : -1;
}

static int build_fail(struct build *b, const struct tree *fail)
{
    struct plan_expect *expect = &b->c->expect;

    if (fail->kind != TREE_MAP || fail->n == 0)
        return mark_err(b->err, &fail->mark, "expect fail: say which: {fail: {lost: acked(x)}}");
    expect->verdict = VERDICT_FAIL;
    expect->kinds = arena_alloc(b->arena, fail->n * sizeof(*expect->kinds));
    for (size_t i = 0; i < fail->n; i++) {
        if (build_kind(b, fail, i, &expect->kinds[i]) < 0)
            return -1;
        expect->n_kinds++;
    }
    return 0;
}

static int build_vacuous(struct build *b, const struct tree *vacuous)
{
    static const char head[] = "not_exercised(";
    const char *reason = vacuous->kind == TREE_SCALAR ? vacuous->text : "";
    size_t n = strlen(reason);

    if (!*reason)
        return mark_err(b->err, &vacuous->mark,
                        "expect vacuous: say why: {vacuous: not_exercised(loss)}");
    if (strncmp(reason, head, strlen(head)) == 0 && reason[n - 1] == ')') {
        const char *property = arena_strndup(b->arena, reason + strlen(head), n - strlen(head) - 1);

        if (!tree_get(tree_get(b->tree, "promise"), property))
            return mark_err(b->err, &vacuous->mark, "\"%s\" is no promise of this case", property);
    }
    b->c->expect.verdict = VERDICT_VACUOUS;
    b->c->expect.reason = reason;
    return 0;
}

static int build_may(struct build *b, const struct tree *may)
{
    static const struct param p = {.key = "may", .type = PARAM_STRINGS};

    if (param_scalar(&p, may, &b->c->expect.may, b->arena, b->err) < 0)
        return -1;
    for (size_t i = 0; i < b->c->expect.may.n; i++)
        if (check_kind(b, &may->mark, b->c->expect.may.items[i]) < 0)
            return -1;
    return 0;
}

static bool is_kind(const char *word)
{
    for (size_t i = 0; all_checkers[i]; i++)
        if (reports(all_checkers[i], word))
            return true;
    return false;
}

static int unknown_expect(struct build *b, const struct tree *expect, size_t i)
{
    static const char *const keys[] = {"pass", "fail", "vacuous", "may", NULL};
    struct nearest near = nearest_to(expect->keys[i]);

    if (is_kind(expect->keys[i]))
        return mark_err(b->err, &expect->marks[i], "\"%s\" stands under fail: {fail: {%s: …}}",
                        expect->keys[i], expect->keys[i]);
    for (const char *const *key = keys; *key; key++)
        nearest_offer(&near, *key);
    return mark_err(b->err, &expect->marks[i], "unknown key \"%s\" of expect%s", expect->keys[i],
                    nearest_hint(&near));
}

static int build_expect(struct build *b)
{
    const struct tree *expect = tree_get(b->tree, "expect");

    b->c->expect.verdict = VERDICT_PASS;
    if (!expect || (expect->kind == TREE_SCALAR && strcmp(expect->text, "pass") == 0))
        return 0;
    if (expect->kind != TREE_MAP)
        return mark_err(b->err, &expect->mark,
                        "expect: pass, {fail: {lost: …}} or {vacuous: not_exercised(…)}");
    for (size_t i = 0; i < expect->n; i++) {
        int status = 0;

        if (strcmp(expect->keys[i], "fail") == 0)
            status = build_fail(b, expect->items[i]);
        else if (strcmp(expect->keys[i], "vacuous") == 0)
            status = build_vacuous(b, expect->items[i]);
        else if (strcmp(expect->keys[i], "may") == 0)
            status = build_may(b, expect->items[i]);
        else if (strcmp(expect->keys[i], "pass") != 0)
            status = unknown_expect(b, expect, i);
        if (status < 0)
            return -1;
    }
    if (tree_get(expect, "fail") && tree_get(expect, "vacuous"))
        return mark_err(b->err, &expect->mark, "expect: fail or vacuous, not both");
    return 0;
}

int build_verdict(struct build *b)
{
    b->judging = true;
    if (build_require(b) < 0 || build_expect(b) < 0)
        return -1;
    b->judging = false; /* final: names nodes as they are while it runs */
    return 0;
}
