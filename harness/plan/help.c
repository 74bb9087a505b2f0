/*
 * Help as text: every topic is a table that somebody reads for its own purpose already.
 */
#include "plan/help.h"

#include "api/broker.h"
#include "api/checker.h"
#include "api/fault.h"
#include "api/registry.h"
#include "api/system.h"
#include "api/workload.h"
#include "plan/build.h"
#include "plan/tables.h"
#include "suite/params.h"
#include "suite/suite.h"
#include "suite/units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEY_COLUMN 26
#define LEVELS_MAX 6

/* ---- one table */

static void print_bound(const struct param *p, int64_t bound, FILE *out)
{
    char text[40];

    if (p->type == PARAM_DURATION)
        units_print_duration(bound, text, sizeof(text));
    else
        snprintf(text, sizeof(text), "%" PRId64 "%s", bound, p->type == PARAM_SIZE ? "B" : "");
    fputs(text, out);
}

static void print_type(const struct param *p, FILE *out)
{
    if (p->type == PARAM_CHOICE) {
        for (int i = 0; p->choices[i]; i++)
            fprintf(out, "%s%s", i ? " | " : "", p->choices[i]);
    } else {
        fputs(param_type_text(p->type == PARAM_TREE && p->sub ? PARAM_STRUCT : p->type), out);
    }
    bool bounded = p->max && p->max != INT64_MAX;

    if (p->min || bounded) {
        fputs(bounded ? ", " : ", at least ", out);
        print_bound(p, p->min, out);
        if (bounded) {
            fputs(" … ", out);
            print_bound(p, p->max, out);
        }
    }
    if (p->unit && p->type != PARAM_SIZE)
        fprintf(out, " (%s)", p->unit);
}

static void print_params(const struct param *params, int level, FILE *out)
{
    for (const struct param *p = params; p && p->type != PARAM_END; p++) {
        const char *key = strcmp(p->key, "*") == 0 ? "NAME" : p->key;
        int width = KEY_COLUMN - 2 * level;

        fprintf(out, "%*s%-*s %s", 2 * level + 2, "", width > 0 ? width : 1, key,
                p->help ? p->help : "");
        if (p->required)
            fputs("; required", out);
        if (p->fallback && *p->fallback)
            fprintf(out, "; default %s", p->fallback);
        if (p->only)
            fprintf(out, "; only with %s", p->only);
        fprintf(out, "\n%*s ", KEY_COLUMN + 2, "");
        print_type(p, out);
        if (p->shorthand)
            fprintf(out, "; a bare value stands for %s", p->shorthand);
        fputc('\n', out);
        if (p->sub && level < LEVELS_MAX)
            print_params(p->sub, level + 1, out);
    }
}

static void print_words(const char *what, const char *const *words, FILE *out)
{
    if (!words || !*words)
        return;
    fprintf(out, "%s:", what);
    for (; *words; words++)
        fprintf(out, " %s", *words);
    fputc('\n', out);
}

/* ---- plugins */

static void print_rules(const struct system_ops *system, FILE *out)
{
    static const char *const verdicts[] = {"kept", "replaced", "refused"};
    const struct config_rule *rule = system->config_rules;

    if (!rule || !rule->pattern)
        return;
    fprintf(out, "\nyour config files: every key is kept but these\n");
    for (; rule->pattern; rule++)
        fprintf(out, "  %-18s %-34s %s: %s\n", rule->file, rule->pattern, verdicts[rule->verdict],
                rule->why);
}

static void print_system(const struct system_ops *system, FILE *out)
{
    fprintf(out, "system %s: %s\n\nin clusters:\n", system->name,
            system->about ? system->about : "");
    print_params(system->params, 0, out);
    if (system->broker) {
        fprintf(out, "\nin clients:\n");
        print_params(system->broker->params, 0, out);
    }
    for (const struct system_command *c = system->commands; c && c->name; c++) {
        fprintf(out, "\nstep %s: %s\n", c->name, c->help ? c->help : "");
        print_params(c->params, 0, out);
    }
    for (const struct plane *plane = system->planes; plane && plane->name; plane++)
        fprintf(out, "%s%s", plane == system->planes ? "\nplanes: " : ", ", plane->name);
    fputc('\n', out);
    print_words("roles", system->roles, out);
    print_rules(system, out);
}

static void print_workload(const struct workload_ops *workload, FILE *out)
{
    fprintf(out, "workload %s: %s\n\n", workload->name, workload->about ? workload->about : "");
    print_params(workload->params, 0, out);
    fprintf(out, "\nin clients:\n");
    print_params(workload->client_params, 0, out);
    fputc('\n', out);
    print_words("roles", workload->roles, out);
    print_words("steps", workload->steps, out);
}

static void print_fault(const struct fault_ops *fault, FILE *out)
{
    fprintf(out, "step %s: %s", fault->name, fault->about ? fault->about : "");
    if (fault->inverse)
        fprintf(out, "; ended by %s", fault->inverse);
    fprintf(out, "\n\n");
    print_params(fault->params, 0, out);
    fprintf(out, "\nas every fault:\n");
    print_params(common_params, 0, out);
}

static void print_checker(const struct checker_ops *checker, FILE *out)
{
    if (checker->property)
        fprintf(out, "promise %s: %s\n", checker->property, checker->about ? checker->about : "");
    else
        fprintf(out, "always on, %s: %s\n", checker->name, checker->about ? checker->about : "");
    print_words("findings", checker->kinds, out);
    print_params(checker->params, 0, out);
}

static void print_verb(const struct verb *verb, FILE *out)
{
    fprintf(out, "step %s: %s\n\n", verb->name, verb->help);
    print_params(verb->params, 0, out);
    if (verb->shorthand)
        fprintf(out, "\na bare value stands for %s\n", verb->shorthand);
}

/* ---- topics */

static void list_systems(FILE *out)
{
    for (size_t i = 0; all_systems[i]; i++)
        fprintf(out, "  %-12s %s\n", all_systems[i]->name,
                all_systems[i]->about ? all_systems[i]->about : "");
}

static void list_workloads(FILE *out)
{
    for (size_t i = 0; all_workloads[i]; i++)
        fprintf(out, "  %-12s %s\n", all_workloads[i]->name,
                all_workloads[i]->about ? all_workloads[i]->about : "");
}

static void list_faults(FILE *out)
{
    for (size_t i = 0; all_faults[i]; i++)
        fprintf(out, "  %-12s %s\n", all_faults[i]->name,
                all_faults[i]->about ? all_faults[i]->about : "");
}

static void list_checkers(FILE *out)
{
    for (size_t i = 0; all_checkers[i]; i++)
        print_checker(all_checkers[i], out);
}

static void list_script(FILE *out)
{
    for (const struct verb *v = verb_table; v->name; v++)
        fprintf(out, "  %-12s %s\n", v->name, v->help);
    list_faults(out);
    for (size_t i = 0; all_systems[i]; i++)
        for (const struct system_command *c = all_systems[i]->commands; c && c->name; c++)
            fprintf(out, "  %-12s %s (%s)\n", c->name, c->help ? c->help : "",
                    all_systems[i]->name);
}

static void list_clients(FILE *out)
{
    print_params(client_params, 0, out);
    fprintf(
        out,
        "\nand the keys of its system (assay help SYSTEM) and workload (assay help WORKLOAD)\n");
}

static void list_words(FILE *out)
{
    static const char *const whens[] = {"", "while the case runs", "when the case is over",
                                        "in applies"};

    for (const struct word_help *w = word_table; w->name; w++) {
        char call[60];

        snprintf(call, sizeof(call), "%s%s%s%s", w->name, *w->arguments ? "(" : "", w->arguments,
                 *w->arguments ? ")" : "");
        fprintf(out, "  %-38s %s%s%s%s\n", call, w->help, *whens[w->when] ? " (" : "",
                whens[w->when], *whens[w->when] ? ")" : "");
    }
    fprintf(out, "\n  numbers, $names of bind, names of note, lists [a, b], + - == != >= <= > < "
                 "in, not in\n");
}

static void print_frame_key(const struct frame_key *f, FILE *out)
{
    int line = (int)strcspn(f->help, "\n");

    fprintf(out, "  %-*s %.*s\n", KEY_COLUMN, f->key, line, f->help);
    if (f->help[line])
        fprintf(out, "%*s %s\n", KEY_COLUMN + 2, "", &f->help[line + 1]);
}

static void print_frame(const struct frame_key *frame, FILE *out)
{
    for (; frame->key; frame++)
        print_frame_key(frame, out);
}

static void list_suite(FILE *out)
{
    print_frame(suite_frame, out);
}

static void list_twins(FILE *out)
{
    print_frame(twin_frame, out);
    fprintf(out, "with:\n");
    print_frame(with_frame, out);
}

static void list_case(FILE *out)
{
    print_frame(case_frame, out);
    fprintf(out,
            "applies:\n"
            "  CONDITION                  over what the servers say they run with, and why the "
            "case has nothing to say where\n                             it does not hold: "
            "{\"setting(kv, maxmemory) > 0\": without a limit nothing is evicted}; then it\n"
            "                             is not run: not_applicable, no failure and no pass\n");
    fprintf(out, "drain:\n");
    print_params(drain_params, 0, out);
    fprintf(out, "final:\n");
    print_params(final_params, 0, out);
    fprintf(out, "chaos:\n");
    print_params(chaos_params, 0, out);
}

static const struct topic {
    const char *name, *help;
    void (*print)(FILE *out);
} topics[] = {
    {"systems", "what can be started and broken", list_systems},
    {"workloads", "what clients do", list_workloads},
    {"clients", "keys every client takes", list_clients},
    {"script", "steps, faults and commands", list_script},
    {"faults", "what goes wrong", list_faults},
    {"promises", "what is judged, and the findings", list_checkers},
    {"checkers", "the same", list_checkers},
    {"expressions", "words of wait, bind, note, require and expect", list_words},
    {"suite", "the keys of a suite", list_suite},
    {"case", "the keys of a case; of its applies, drain, final and chaos", list_case},
    {"twins", "the keys of a twin", list_twins},
    {0},
};

static void list_topics(FILE *out)
{
    for (const struct topic *t = topics; t->name; t++)
        fprintf(out, "  %-12s %s\n", t->name, t->help);
    fprintf(out,
            "\nor the name of one of them: assay help cut\nassay help --json-schema prints the "
            "language for editors\n");
}

/* Everything of that name in the four registries; how many. */
static size_t print_plugins(const char *name, FILE *out, struct nearest *near)
{
    size_t found = 0;

#define LOOK(kind)                                                                                 \
    for (size_t i = 0; all_##kind##s[i]; i++) {                                                    \
        nearest_offer(near, all_##kind##s[i]->name);                                               \
        if (strcmp(all_##kind##s[i]->name, name) == 0 && found++ < 1)                              \
            print_##kind(all_##kind##s[i], out);                                                   \
    }
    LOOK(system)
    LOOK(workload)
    LOOK(fault)
#undef LOOK
    for (size_t i = 0; all_checkers[i]; i++) {
        const struct checker_ops *checker = all_checkers[i];

        nearest_offer(near, checker->property ? checker->property : checker->name);
        if (strcmp(checker->property ? checker->property : checker->name, name) == 0) {
            print_checker(checker, out);
            found++;
        }
    }
    return found;
}

static size_t print_command(const char *name, FILE *out, struct nearest *near)
{
    size_t found = 0;

    for (size_t i = 0; all_systems[i]; i++)
        for (const struct system_command *c = all_systems[i]->commands; c && c->name; c++) {
            nearest_offer(near, c->name);
            if (strcmp(c->name, name) != 0)
                continue;
            fprintf(out, "step %s (%s): %s\n\n", c->name, all_systems[i]->name,
                    c->help ? c->help : "");
            print_params(c->params, 0, out);
            found++;
        }
    return found;
}

/* A key of the frame, told where it stands. */
static size_t print_in_frames(const char *name, FILE *out, struct nearest *near)
{
    static const struct {
        const char *of;
        const struct frame_key *keys;
    } frames[] = {{"a suite", suite_frame},
                  {"a case (assay help case)", case_frame},
                  {"a twin (assay help twins)", twin_frame}};
    size_t found = 0;

    for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++)
        for (const struct frame_key *f = frames[i].keys; f->key; f++) {
            nearest_offer(near, f->key);
            if (strcmp(f->key, name) == 0) {
                fprintf(out, "of %s:\n", frames[i].of);
                print_frame_key(f, out);
                found++;
            }
        }
    return found;
}

int help_print(const char *topic, FILE *out, struct nearest *near)
{
    const struct verb *verb = verb_named(topic);
    size_t found;

    *near = nearest_to(topic);
    for (const struct topic *t = topics; t->name; t++) {
        nearest_offer(near, t->name);
        if (strcmp(t->name, topic) == 0) {
            t->print(out);
            return 0;
        }
    }
    for (const struct verb *v = verb_table; v->name; v++)
        nearest_offer(near, v->name);
    if (verb) {
        print_verb(verb, out);
        return 0;
    }
    found = print_plugins(topic, out, near);
    found += print_command(topic, out, near);
    found += print_in_frames(topic, out, near);
    return found > 0 ? 0 : -1;
}

int help_main(int argc, char **argv)
{
    struct nearest near;

    if (argc < 2) {
        list_topics(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--json-schema") == 0) {
        char *schema = help_schema();

        puts(schema);
        free(schema);
        return 0;
    }
    if (help_print(argv[1], stdout, &near) == 0)
        return 0;
    fprintf(stderr, "assay: no help about \"%s\"%s; topics:\n", argv[1], nearest_hint(&near));
    list_topics(stderr);
    return 2;
}
