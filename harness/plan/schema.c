/*
 * The suite language as JSON Schema (draft 2020-12), for editors: the same tables as the parser's.
 * It says less than the parser where words depend on the case (roles, client names, twins' `with:`
 * before it is merged); what it refuses, the parser refuses too.
 */
#include "plan/help.h"

#include "api/broker.h"
#include "api/checker.h"
#include "api/fault.h"
#include "api/registry.h"
#include "api/system.h"
#include "api/workload.h"
#include "plan/tables.h"
#include "suite/params.h"
#include "suite/suite.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *def(const char *name)
{
    return json_pack("{s:s+}", "$ref", "#/$defs/", name);
}

static json_t *any_of(json_t *a, json_t *b)
{
    return json_pack("{s:[o,o]}", "anyOf", a, b);
}

static json_t *pattern(const char *type, const char *expression)
{
    json_t *text = json_pack("{s:s,s:s}", "type", "string", "pattern", expression);

    /* ${name} may stand in place of any value; plain YAML numbers and booleans are texts to us */
    return json_pack("{s:[{s:s},o,o]}", "anyOf", "type", type, text, def("replaced"));
}

static json_t *definitions(void)
{
    json_t *defs = json_object();

    json_object_set_new(defs, "replaced",
                        json_pack("{s:s,s:s}", "type", "string", "pattern", "\\$\\{[^}]+\\}"));
    json_object_set_new(defs, "text",
                        json_pack("{s:[s,s,s,s]}", "type", "string", "number", "boolean", "null"));
    json_object_set_new(defs, "bool", pattern("boolean", "^(true|false)$"));
    json_object_set_new(defs, "int", pattern("integer", "^-?[0-9]+(\\.[0-9]+)?[kM]?$"));
    json_object_set_new(defs, "duration",
                        json_pack("{s:s,s:s}", "type", "string", "pattern",
                                  "^[0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h)$|\\$\\{"));
    json_object_set_new(defs, "size",
                        json_pack("{s:s,s:s}", "type", "string", "pattern",
                                  "^[0-9]+(\\.[0-9]+)?(B|kB|MB|GB|KiB|MiB|GiB)$|\\$\\{"));
    json_object_set_new(defs, "rate",
                        json_pack("{s:s,s:s}", "type", "string", "pattern",
                                  "^(flat_out|[0-9]+(\\.[0-9]+)?[kM]?/[sm])$|\\$\\{"));
    json_object_set_new(
        defs, "texts",
        any_of(def("text"), json_pack("{s:s,s:o}", "type", "array", "items", def("text"))));
    json_object_set_new(
        defs, "expression",
        any_of(def("text"), json_pack("{s:s,s:o}", "type", "array", "items", def("expression"))));
    json_object_set_new(
        defs, "verbatim",
        json_pack("{s:[s,s],s:o}", "type", "object", "null", "additionalProperties", def("texts")));
    return defs;
}

static json_t *object_of(const struct param *params, bool complete);

static json_t *choice(const struct param *p)
{
    json_t *words = json_array();

    for (int i = 0; p->choices[i]; i++)
        json_array_append_new(words, json_string(p->choices[i]));
    for (int i = 0; p->choices[i];
         i++) /* plain true and false are booleans to other readers of YAML */
        if (strcmp(p->choices[i], "true") == 0 || strcmp(p->choices[i], "false") == 0)
            json_array_append_new(words, json_boolean(p->choices[i][0] == 't'));
    return any_of(json_pack("{s:o}", "enum", words), def("replaced"));
}

/* A map, an empty value, or the bare value it is short for. */
static json_t *struct_of(const struct param *p, bool complete)
{
    json_t *object = object_of(p->sub, complete);

    return p->shorthand ? any_of(object, def("texts"))
                        : any_of(object, json_pack("{s:s}", "type", "null"));
}

static json_t *value_of(const struct param *p, bool complete)
{
    switch (p->type) {
    case PARAM_BOOL:
        return def("bool");
    case PARAM_INT:
        return def("int");
    case PARAM_SIZE:
        return def("size");
    case PARAM_DURATION:
        return def("duration");
    case PARAM_RATE:
        return def("rate");
    case PARAM_STRING:
        return any_of(def("text"),
                      json_pack("{s:s,s:{s:o},s:[s],s:b}", "type", "object", "properties", "file",
                                def("text"), "required", "file", "additionalProperties", 0));
    case PARAM_CHOICE:
        return choice(p);
    case PARAM_EXPR:
        return def("expression");
    case PARAM_STRINGS:
        return def("texts");
    case PARAM_VERBATIM:
        return def("verbatim");
    case PARAM_STRUCT:
        return struct_of(p, complete);
    case PARAM_STRUCTS:
        return json_pack("{s:s,s:o}", "type", "array", "items", struct_of(p, complete));
    case PARAM_MAP:
        return json_pack("{s:[s,s],s:o}", "type", "object", "null", "additionalProperties",
                         struct_of(p, complete));
    default:
        break;
    }
    if (strcmp(p->key, "do") == 0)
        return def("script");
    return p->sub ? object_of(p->sub, complete) : json_object();
}

static void describe(json_t *value, const struct param *params, const struct param *p)
{
    assert(!p->only || param_company(params, p)); /* the schema walks every table there is */
    if (p->help)
        json_object_set_new(
            value, "description",
            json_sprintf("%s%s%s", p->help, p->only ? "; only with " : "", p->only ? p->only : ""));
    if (p->fallback && *p->fallback)
        json_object_set_new(value, "default", json_string(p->fallback));
}

/* Adds the keys of one table; a key that is there already takes either form. */
static void add_keys(json_t *properties, const struct param *params, bool complete)
{
    for (const struct param *p = params; p && p->type != PARAM_END; p++) {
        json_t *old = json_object_get(properties, p->key);
        json_t *value;

        if (strcmp(p->key, "*") == 0)
            continue;
        value = value_of(p, complete);
        describe(value, params, p);
        if (old)
            value = any_of(json_incref(old), value);
        json_object_set_new(properties, p->key, value);
    }
}

static bool takes_any_key(const struct param *params)
{
    for (const struct param *p = params; p && p->type != PARAM_END; p++)
        if (strcmp(p->key, "*") == 0)
            return true;
    return false;
}

static json_t *required_of(const struct param *params)
{
    json_t *required = json_array();

    for (const struct param *p = params; p && p->type != PARAM_END; p++)
        if (p->required)
            json_array_append_new(required, json_string(p->key));
    return required;
}

static json_t *object_of(const struct param *params, bool complete)
{
    json_t *object = json_pack("{s:s}", "type", "object");
    json_t *properties = json_object();

    add_keys(properties, params, complete);
    json_object_set_new(object, "properties", properties);
    if (takes_any_key(params))
        json_object_set_new(object, "additionalProperties", def("expression"));
    else
        json_object_set_new(object, "additionalProperties", json_false());
    if (complete)
        json_object_set_new(object, "required", required_of(params));
    return object;
}

/* What the frame says of its keys, for those this object has. */
static json_t *described(json_t *object, const struct frame_key *frame)
{
    for (const struct frame_key *f = frame; f->key; f++) {
        json_t *value = json_object_get(json_object_get(object, "properties"), f->key);

        if (value)
            json_object_set_new(value, "description", json_string(f->help));
    }
    return object;
}

/* ---- clusters, clients, workloads */

static json_t *clusters(void)
{
    json_t *kinds = json_array();

    for (size_t i = 0; all_systems[i]; i++) {
        json_t *entry = object_of(all_systems[i]->params, true);

        json_object_set_new(entry, "required", json_pack("[s]", all_systems[i]->name));
        json_array_append_new(kinds, entry);
    }
    json_array_append_new(kinds, def("text"));
    return json_pack("{s:o}", "anyOf", kinds);
}

static json_t *client(void)
{
    json_t *properties = json_object();

    add_keys(properties, client_params, true);
    for (size_t i = 0; all_systems[i]; i++)
        if (all_systems[i]->broker)
            add_keys(properties, all_systems[i]->broker->params, true);
    for (size_t i = 0; all_workloads[i]; i++)
        add_keys(properties, all_workloads[i]->client_params, true);
    return json_pack("{s:s,s:o,s:b}", "type", "object", "properties", properties,
                     "additionalProperties", 0);
}

static json_t *workload(void)
{
    json_t *properties = json_object();
    json_t *names = json_array();

    for (size_t i = 0; all_workloads[i]; i++) {
        json_object_set_new(
            properties, all_workloads[i]->name,
            any_of(object_of(all_workloads[i]->params, true), json_pack("{s:s}", "type", "null")));
        json_array_append_new(names, json_string(all_workloads[i]->name));
    }
    return any_of(json_pack("{s:s,s:o,s:b,s:i,s:i}", "type", "object", "properties", properties,
                            "additionalProperties", 0, "minProperties", 1, "maxProperties", 1),
                  json_pack("{s:o}", "enum", names));
}

/* ---- script */

static json_t *with_common(const struct param *params)
{
    json_t *object = object_of(params, true);
    const char *first = params && params->type != PARAM_END ? params->key : NULL;

    add_keys(json_object_get(object, "properties"), common_params, true);
    return first ? any_of(object, def("expression"))
                 : any_of(object, json_pack("{s:s}", "type", "null"));
}

static void add_step(json_t *steps, const char *name, json_t *value)
{
    json_t *old = json_object_get(steps, name);

    json_object_set_new(steps, name, old ? any_of(json_incref(old), value) : value);
}

static json_t *script(void)
{
    json_t *steps = json_object();
    json_t *step;

    for (const struct verb *v = verb_table; v->name; v++) {
        json_t *object = object_of(v->params, true);

        add_step(steps, v->name, v->shorthand ? any_of(object, def("texts")) : object);
    }
    for (size_t i = 0; all_faults[i]; i++)
        add_step(steps, all_faults[i]->name, with_common(all_faults[i]->params));
    for (size_t i = 0; all_systems[i]; i++)
        for (const struct system_command *c = all_systems[i]->commands; c && c->name; c++)
            add_step(steps, c->name, with_common(c->params));
    step = json_pack("{s:s,s:o,s:b,s:i,s:i}", "type", "object", "properties", steps,
                     "additionalProperties", 0, "minProperties", 1, "maxProperties", 1);
    return json_pack("{s:s,s:o}", "type", "array", "items", step);
}

/* ---- promise, expect */

static json_t *promise(void)
{
    json_t *properties = json_object();

    for (size_t i = 0; all_checkers[i]; i++) {
        const struct checker_ops *checker = all_checkers[i];
        json_t *object;

        if (!checker->property)
            continue;
        object = object_of(checker->params, true);
        if (takes_any_key(checker->params))
            json_object_set_new(object, "additionalProperties", def("texts"));
        add_step(properties, checker->property, any_of(object, def("texts")));
    }
    return json_pack("{s:s,s:o,s:b,s:i}", "type", "object", "properties", properties,
                     "additionalProperties", 0, "minProperties", 1);
}

static json_t *expect(void)
{
    json_t *kinds = json_object();
    json_t *names = json_array();
    json_t *fail;

    for (size_t i = 0; all_checkers[i]; i++)
        for (const char *const *k = all_checkers[i]->kinds; k && *k; k++) {
            if (json_object_get(kinds, *k))
                continue;
            json_object_set_new(kinds, *k, def("text"));
            json_array_append_new(names, json_string(*k));
        }
    fail = json_pack("{s:s,s:o,s:b,s:i}", "type", "object", "properties", kinds,
                     "additionalProperties", 0, "minProperties", 1);
    return any_of(json_pack("{s:s}", "const", "pass"),
                  json_pack("{s:s,s:{s:o,s:o,s:o,s:{s:s,s:{s:o}}},s:b}", "type", "object",
                            "properties", "fail", fail, "vacuous", def("text"), "pass", def("text"),
                            "may", "type", "array", "items", "enum", names, "additionalProperties",
                            0));
}

/* ---- a case and a suite */

static json_t *names_of(const char *item)
{
    return json_pack("{s:s,s:o}", "type", "object", "additionalProperties", def(item));
}

static json_t *twin(void)
{
    json_t *with = described(
        json_pack("{s:s,s:{s:o,s:o,s:o,s:o,s:o,s:o,s:o},s:b}", "type", "object", "properties",
                  "clusters", json_object(), "workload", json_object(), "clients", json_object(),
                  "promise", json_object(), "drain", json_object(), "final", json_object(),
                  "deadline", def("duration"), "additionalProperties", 0),
        with_frame);

    return described(json_pack("{s:s,s:{s:o,s:o,s:o,s:o,s:o},s:[s],s:b}", "type", "object",
                               "properties", "about", def("text"), "with", with, "require",
                               def("texts"), "require+", def("texts"), "expect", def("expect"),
                               "required", "expect", "additionalProperties", 0),
                     twin_frame);
}

static json_t *case_schema(void)
{
    json_t *properties = json_object();

    json_object_set_new(properties, "about", def("text"));
    json_object_set_new(properties, "clusters", names_of("cluster"));
    json_object_set_new(properties, "workload", def("workload"));
    json_object_set_new(properties, "clients", names_of("client"));
    json_object_set_new(properties, "matrix",
                        json_pack("{s:s,s:{s:s,s:o,s:i}}", "type", "object", "additionalProperties",
                                  "type", "array", "items", def("text"), "minItems", 1));
    json_object_set_new(properties, "script", def("script"));
    json_object_set_new(properties, "chaos", object_of(chaos_params, true));
    json_object_set_new(properties, "drain", any_of(object_of(drain_params, true), def("text")));
    json_object_set_new(properties, "final", any_of(object_of(final_params, true), def("texts")));
    json_object_set_new(properties, "deadline", def("duration"));
    json_object_set_new(properties, "applies", names_of("text"));
    json_object_set_new(properties, "promise", def("promise"));
    json_object_set_new(properties, "require", def("texts"));
    json_object_set_new(properties, "expect", def("expect"));
    json_object_set_new(properties, "twins", names_of("twin"));
    return described(json_pack("{s:s,s:o,s:[s,s,s,s],s:b}", "type", "object", "properties",
                               properties, "required", "clusters", "workload", "clients", "promise",
                               "additionalProperties", 0),
                     case_frame);
}

static json_t *input(void)
{
    return any_of(def("text"), json_pack("{s:s,s:{s:o,s:o,s:o},s:b}", "type", "object",
                                         "properties", "file", def("text"), "value", def("text"),
                                         "help", def("text"), "additionalProperties", 0));
}

char *help_schema(void)
{
    json_t *defs = definitions();
    json_t *root;
    char *text;

    json_object_set_new(defs, "cluster", clusters());
    json_object_set_new(defs, "client", client());
    json_object_set_new(defs, "workload", workload());
    json_object_set_new(defs, "script", script());
    json_object_set_new(defs, "promise", promise());
    json_object_set_new(defs, "expect", expect());
    json_object_set_new(defs, "twin", twin());
    json_object_set_new(defs, "case", case_schema());
    json_object_set_new(defs, "input", input());
    root =
        json_pack("{s:s,s:s,s:s,s:{s:{s:[i,s]},s:o,s:o,s:o,s:o},s:[s,s],s:b,s:o}", "$schema",
                  "https://json-schema.org/draft/2020-12/schema", "title", "Assay suite", "type",
                  "object", "properties", "assay", "enum", 1, "1", "about", def("text"), "inputs",
                  names_of("input"), "clusters", names_of("cluster"), "cases", names_of("case"),
                  "required", "assay", "cases", "additionalProperties", 0, "$defs", defs);
    if (!root)
        abort(); /* our own table is wrong, or out of memory */
    described(root, suite_frame);
    text = json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    json_decref(root);
    return text;
}
