/*
 * Scripts: a list of one-key maps → steps with typed arguments. Verbs of the language, then faults,
 * then the commands of the case's systems; what no step may be (sleep, shell) gets its own
 * sentence.
 */
#include "plan/build.h"

#include "api/fault.h"
#include "api/registry.h"
#include "api/system.h"
#include "plan/tables.h"
#include "suite/nearest.h"
#include "suite/params.h"
#include "suite/tree.h"

#include <string.h>

#define SCRIPT_STEPS_MAX 1000

static int build_steps(struct build *b, const struct tree *list, struct step_list *out, int depth);

/* ---- one step */

static int build_verb(struct build *b, const struct verb *verb, const struct tree *value,
                      struct step *step, int depth)
{
    void *args = arena_alloc(b->arena, verb->size);
    struct repeat_raw *repeat = args;

    step->kind = verb->kind;
    step->args = args;
    if (!verb->shorthand && value->kind != TREE_MAP)
        return mark_err(b->err, &value->mark, "%s takes a map: assay help %s", verb->name,
                        verb->name);
    if (param_fill_short(verb->params, verb->shorthand, verb->name, value, args, b->arena, b->err) <
        0)
        return -1;
    if (verb->kind == STEP_REPEAT)
        return build_steps(b, repeat->body, &repeat->args.body, depth + 1);
    return finish_verb(b, value, step, args);
}

/* Expressions inside a fault's or command's arguments name targets. */
static int check_targets(struct build *b, const struct param *params, const void *args)
{
    for (const struct param *p = params; p && p->type != PARAM_END; p++) {
        const struct expr *e;

        if (p->type != PARAM_EXPR)
            continue;
        e = *(struct expr *const *)((const char *)args + p->offset);
        if (e && check_target(b, e) < 0)
            return -1;
    }
    return 0;
}

/* `kill: $old`: a bare value stands for the first parameter. */
static int fill_common(struct build *b, const struct param *params, const struct tree *value,
                       struct step *step, void *args)
{
    struct common_raw *common = arena_alloc(b->arena, sizeof(*common));
    const struct param_into into[] = {{params, args}, {common_params, common}};
    const char *first = params && params->type != PARAM_END ? params->key : NULL;

    if (value->kind != TREE_MAP && !first && !tree_is_empty(value))
        return mark_err(b->err, &value->mark, "%s takes no value", step->verb);
    value = param_as_map(value, first, step->verb, b->arena);
    if (param_fill_all(into, 2, value, b->arena, b->err) < 0)
        return -1;
    if (check_targets(b, params, args) < 0)
        return -1;
    if (common->at && read_trigger(b, common->at, false, &common->args.at) < 0)
        return -1;
    step->common = common->args;
    step->args = args;
    return 0;
}

static int build_fault(struct build *b, const struct fault_ops *fault, const struct tree *value,
                       struct step *step)
{
    void *args = arena_alloc(b->arena, fault->args_size + 1);

    step->kind = STEP_FAULT;
    step->fault = fault;
    if (fill_common(b, fault->params, value, step, args) < 0)
        return -1;
    if (fault->validate && fault->validate(args, b->c, b->err) < 0)
        return place_err(b->err, &step->mark);
    return 0;
}

static const struct system_command *command_named(const struct plan_case *c, const char *name)
{
    for (size_t i = 0; i < c->n_clusters; i++)
        for (const struct system_command *command = c->clusters[i].system->commands;
             command && command->name; command++)
            if (strcmp(command->name, name) == 0)
                return command;
    return NULL;
}

static int build_command(struct build *b, const struct system_command *command,
                         const struct tree *value, struct step *step)
{
    step->kind = STEP_COMMAND;
    step->command = command;
    return fill_common(b, command->params, value, step, arena_alloc(b->arena, command->size + 1));
}

static int unknown_verb(struct build *b, const struct tree_mark *mark, const char *verb)
{
    static const char *const sleeps[] = {"sleep", "pause_for", "delay", "usleep", NULL};
    static const char *const shells[] = {"shell", "sh",      "bash", "exec",
                                         "run",   "command", "cmd",  NULL};
    struct nearest near = nearest_to(verb);

    for (const char *const *word = sleeps; *word; word++)
        if (strcmp(*word, verb) == 0)
            return mark_err(
                b->err, mark,
                "a bare %s proves nothing: wait for a state (wait: {until: …, within: …}), "
                "or say why time must pass (quiet: {for: …, why: …})",
                verb);
    for (const char *const *word = shells; *word; word++)
        if (strcmp(*word, verb) == 0)
            return mark_err(
                b->err, mark,
                "%s: scripts run no shell: what is done to a system must be seen and undone "
                "(faults and commands: assay help faults)",
                verb);
    if (strcmp(verb, "partition") == 0)
        return mark_err(
            b->err, mark,
            "partition is called `cut` here, because a partition is also part of a topic");
    for (const struct verb *v = verb_table; v->name; v++)
        nearest_offer(&near, v->name);
    for (size_t i = 0; all_faults[i]; i++)
        nearest_offer(&near, all_faults[i]->name);
    for (size_t i = 0; i < b->c->n_clusters; i++)
        for (const struct system_command *command = b->c->clusters[i].system->commands;
             command && command->name; command++)
            nearest_offer(&near, command->name);
    return mark_err(b->err, mark, "unknown step \"%s\"%s", verb, nearest_hint(&near));
}

static int build_step(struct build *b, const struct tree *item, struct step *step, int depth)
{
    const struct system_command *command;
    const struct fault_ops *fault;
    const struct verb *verb;
    char line[400];

    if (item->kind != TREE_MAP || item->n != 1)
        return mark_err(b->err, &item->mark, "a step is one verb with its value: - kill: $old");
    tree_line(item, line, sizeof(line));
    step->verb = item->keys[0];
    step->mark = item->marks[0];
    step->text = arena_strdup(b->arena, line);
    step->index = b->steps++;
    if (b->steps > SCRIPT_STEPS_MAX)
        return mark_err(b->err, &step->mark, "more than %d steps", SCRIPT_STEPS_MAX);
    verb = verb_named(step->verb);
    fault = verb ? NULL : fault_named(step->verb);
    command = verb || fault ? NULL : command_named(b->c, step->verb);
    if (verb)
        return build_verb(b, verb, item->items[0], step, depth);
    if (fault)
        return build_fault(b, fault, item->items[0], step);
    if (command)
        return build_command(b, command, item->items[0], step);
    return unknown_verb(b, &step->mark, step->verb);
}

static int build_steps(struct build *b, const struct tree *list, struct step_list *out, int depth)
{
    if (list->kind != TREE_LIST)
        return mark_err(b->err, &list->mark, "a script is a list of steps");
    if (depth > SCRIPT_DEPTH_MAX)
        return mark_err(b->err, &list->mark, "repeats nested deeper than %d", SCRIPT_DEPTH_MAX);
    out->items = arena_alloc(b->arena, (list->n + 1) * sizeof(*out->items));
    for (size_t i = 0; i < list->n; i++) {
        out->n = i + 1;
        if (build_step(b, list->items[i], &out->items[i], depth) < 0)
            return -1;
    }
    return 0;
}

int build_script(struct build *b)
{
    const struct tree *script = tree_get(b->tree, "script");

    b->c->bursts = arena_alloc(b->arena, BURST_NUMBERS_MAX * sizeof(*b->c->bursts));
    if (!script)
        return mark_err(b->err, &b->tree->mark, "the case has no script: add script: or chaos:");
    return build_steps(b, script, &b->c->script, 1);
}
