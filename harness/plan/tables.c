/*
 * The verbs of scripts and their arguments. What a verb does is run/'s; faults and systems'
 * commands are verbs too and bring tables of their own.
 */
#include "plan/tables.h"

#include <string.h>

#define HOLD_WITHIN "30s" /* a held worker, an armed trigger: when the suite says nothing */

static const char *const untils[] = {"script_end", NULL};
static bool is_until(const char *text, const char **expected)
{
    *expected = "script_end";
    return strcmp(text, untils[0]) == 0;
}

static bool is_next(const char *text, const char **expected)
{
    *expected = "next";
    return strcmp(text, *expected) == 0;
}

static const struct param send_params[] = {
    {"from", PARAM_STRING, offsetof(struct send_args, from), .required = true,
     .help = "client that sends"},
    {"count", PARAM_INT, offsetof(struct send_args, count), .min = 1, .max = INT64_C(1) << 40,
     .unit = "messages", .required = true, .help = "how many, over all its instances"},
    {"name", PARAM_STRING, offsetof(struct send_args, name),
     .help = "what expressions call it: acked(name)"},
    {"via", PARAM_STRING, offsetof(struct send_args, via), .help = "node to talk to: $old"},
    {"rate", PARAM_RATE, offsetof(struct send_args, rate),
     .help = "open loop; without it flat out"},
    {"poisson", PARAM_BOOL, offsetof(struct send_args, poisson), .fallback = "false",
     .only = "rate", .help = "arrivals of that rate are drawn, not evenly spaced"},
    {"again", PARAM_BOOL, offsetof(struct send_args, again), .fallback = "false",
     .help = "one more round of the send of that name, as in a repeat"},
    {0}};

static const struct param background_params[] = {
    {"from", PARAM_STRING, offsetof(struct send_args, from), .required = true,
     .help = "client that sends while the script goes on"},
    {"count", PARAM_INT, offsetof(struct send_args, count), .min = 1, .max = INT64_C(1) << 40,
     .unit = "messages", .help = "how many; or until:"},
    {"name", PARAM_STRING, offsetof(struct send_args, name),
     .help = "what expressions call it: acked(name)"},
    {"via", PARAM_STRING, offsetof(struct send_args, via), .help = "node to talk to: $old"},
    {"rate", PARAM_RATE, offsetof(struct send_args, rate),
     .help = "open loop; without it flat out"},
    {"poisson", PARAM_BOOL, offsetof(struct send_args, poisson), .fallback = "false",
     .only = "rate", .help = "arrivals of that rate are drawn, not evenly spaced"},
    {"until", PARAM_STRING, offsetof(struct send_args, until), .check = is_until,
     .help = "script_end: goes on until the script is over"},
    {"again", PARAM_BOOL, offsetof(struct send_args, again), .fallback = "false",
     .help = "one more round of the send of that name, as in a repeat"},
    {0}};

static const struct param quiesce_params[] = {
    {"units", PARAM_STRINGS, offsetof(struct quiesce_args, units), .required = true,
     .help = "topics, queues or lists that must be quiet and fully replicated"},
    {0}};

static const struct param names_params[] = {
    {"*", PARAM_VERBATIM, offsetof(struct names_raw, names), .help = "name: expression"}, {0}};

static const struct param start_params[] = {
    {"target", PARAM_STRING, offsetof(struct start_raw, what), .required = true,
     .help = "a client, a node, or: dead nodes"},
    {"version", PARAM_STRING, offsetof(struct start_raw, args.version),
     .help = "version the node comes back with, on its data: an upgrade"},
    {0}};

static const struct param heal_params[] = {{"name", PARAM_STRING, offsetof(struct target_raw, what),
                                            .required = true,
                                            .help = "the name its fault was given, or all"},
                                           {0}};
static const struct param resume_params[] = {{"target", PARAM_STRING,
                                              offsetof(struct target_raw, what), .required = true,
                                              .help = "the paused node, role or client"},
                                             {0}};
static const struct param release_params[] = {{"client", PARAM_STRING,
                                               offsetof(struct target_raw, what), .required = true,
                                               .help = "the client that is held"},
                                              {0}};

static const char *const otherwises[] = {"inconclusive", "continue", NULL};
static const struct param wait_params[] = {
    {"until", PARAM_EXPR, offsetof(struct wait_raw, args.until),
     .help = "a condition; or settled:"},
    {"settled", PARAM_EXPR, offsetof(struct wait_raw, args.settled),
     .help = "a number that must stop changing"},
    {"for", PARAM_DURATION, offsetof(struct wait_raw, args.for_ns), .min = 1,
     .help = "how long settled: must stay the same"},
    {"within", PARAM_DURATION, offsetof(struct wait_raw, args.within_ns), .min = 1,
     .required = true, .help = "how long to wait at most"},
    {"else", PARAM_CHOICE, offsetof(struct wait_raw, otherwise), .fallback = "inconclusive",
     .choices = otherwises, .help = "what it means when the time is over"},
    {"name", PARAM_STRING, offsetof(struct wait_raw, args.name),
     .help = "waited(name) is 1 when it held"},
    {0}};

const struct param at_params[] = {
    {"client", PARAM_STRING, offsetof(struct at_raw, client),
     .help = "worker, one(worker), each(worker)"},
    {"step", PARAM_STRING, offsetof(struct at_raw, step), .required = true,
     .help = "named point of the workload: after_effect"},
    {"nth", PARAM_TREE, offsetof(struct at_raw, nth),
     .help = "passage that fires, counted from arming; default 1; {random: [a, b]} is drawn"},
    {0}};

static const struct param hold_params[] = {
    {"at", PARAM_TREE, offsetof(struct hold_raw, at), .required = true, .sub = at_params,
     .help = "where the client stops"},
    {"within", PARAM_DURATION, offsetof(struct hold_raw, args.within_ns), .fallback = HOLD_WITHIN,
     .min = 1, .help = "it is released by itself after that, and the case is inconclusive"},
    {0}};

static const char *const thens[] = {"kill", "hold", NULL};
static const struct param arm_params[] = {
    {"at", PARAM_TREE, offsetof(struct arm_raw, at), .required = true, .sub = at_params,
     .help = "the passage that triggers"},
    {"then", PARAM_CHOICE, offsetof(struct arm_raw, then), .choices = thens, .required = true,
     .help = "what happens to the client there"},
    {"within", PARAM_DURATION, offsetof(struct arm_raw, args.within_ns), .fallback = HOLD_WITHIN,
     .min = 1, .help = "a trigger that has not fired by then makes the case vacuous"},
    {0}};

static const struct param observe_params[] = {
    {"client", PARAM_STRING, offsetof(struct observe_args, client), .required = true,
     .help = "client that looks"},
    {"for", PARAM_DURATION, offsetof(struct observe_args, for_ns), .min = 1, .required = true,
     .help = "how long"},
    {"name", PARAM_STRING, offsetof(struct observe_args, name), .help = "reads(name), hits(name)"},
    {0}};

static const struct param repeat_params[] = {
    {"times", PARAM_INT, offsetof(struct repeat_raw, args.times), .min = 1, .max = 10000,
     .required = true, .help = "how often"},
    {"key", PARAM_STRING, offsetof(struct repeat_raw, args.key), .check = is_next,
     .help = "next: each time on a fresh key"},
    {"do", PARAM_TREE, offsetof(struct repeat_raw, body), .required = true, .help = "the steps"},
    {0}};

static const struct param quiet_params[] = {
    {"for", PARAM_DURATION, offsetof(struct quiet_args, for_ns), .min = 1,
     .help = "how long nothing is done; or until:"},
    {"until", PARAM_DURATION, offsetof(struct quiet_args, until_ns), .min = 1,
     .help = "until so long after the script's start: how a recorded timeline keeps its times"},
    {"why", PARAM_STRING, offsetof(struct quiet_args, why), .required = true,
     .help = "why no state can be waited for"},
    {0}};

static const struct param interleave_params[] = {
    {"within", PARAM_DURATION, offsetof(struct interleave_args, within_ns), .min = 1,
     .required = true, .help = "how long each point may take"},
    {"points", PARAM_STRINGS, offsetof(struct interleave_args, points), .required = true,
     .help = "client.step, each passed only after the one before it"},
    {0}};

const struct param chaos_params[] = {
    {"faults", PARAM_STRINGS, offsetof(struct chaos_raw, faults), .required = true,
     .help = "kinds that are drawn"},
    {"every", PARAM_DURATION, offsetof(struct chaos_raw, every_ns), .min = 1000000,
     .required = true, .help = "one fault begins in every stretch of this length"},
    {"for", PARAM_STRING, offsetof(struct chaos_raw, for_range), .required = true,
     .help = "how long each lasts: 2s, or a range 1s..4s"},
    {"at_most", PARAM_STRING, offsetof(struct chaos_raw, at_most), .fallback = "1 node",
     .help = "how many at the same time: 1 node"},
    {"within_budget", PARAM_STRING, offsetof(struct chaos_raw, at_most), .help = "same as at_most"},
    {"duration", PARAM_DURATION, offsetof(struct chaos_raw, args.duration_ns), .min = 1,
     .required = true, .help = "of the whole"},
    {"settle", PARAM_DURATION, offsetof(struct chaos_raw, args.settle_ns), .fallback = "10s",
     .help = "the load goes on at least this long after the last fault was healed"},
    {"targets", PARAM_STRINGS, offsetof(struct chaos_raw, targets), .fallback = "any node",
     .help = "whom it may hit: any node, leader(orders/0) …"},
    {"seed", PARAM_STRING, offsetof(struct chaos_raw, seed),
     .help = "a seed of its own instead of the run's"},
    {"events", PARAM_TREE, offsetof(struct chaos_raw, events),
     .help = "the schedule as drawn: written by the plan"},
    {0}};

const struct param chaos_event_params[] = {
    {"at", PARAM_DURATION, offsetof(struct chaos_event_raw, at_ns), .required = true,
     .help = "from the start of the chaos"},
    {"for", PARAM_DURATION, offsetof(struct chaos_event_raw, for_ns), .required = true,
     .help = "how long"},
    {"fault", PARAM_STRING, offsetof(struct chaos_event_raw, fault), .required = true,
     .help = "kind"},
    {"target", PARAM_STRING, offsetof(struct chaos_event_raw, target), .required = true,
     .help = "whom, resolved when it fires"},
    {"index", PARAM_INT, offsetof(struct chaos_event_raw, index), .required = true,
     .help = "number of the draw that resolves it"},
    {0}};

const struct param common_params[] = {
    {"name", PARAM_STRING, offsetof(struct common_raw, args.name), .help = "what heal: calls it"},
    {"for", PARAM_DURATION, offsetof(struct common_raw, args.for_ns), .min = 1,
     .help = "heals itself after"},
    {"at", PARAM_TREE, offsetof(struct common_raw, at), .sub = at_params,
     .help = "fires when a client passes a step; at once without it"},
    {"within", PARAM_DURATION, offsetof(struct common_raw, args.within_ns), .fallback = HOLD_WITHIN,
     .min = 1, .help = "the trigger must fire by then"},
    {0}};

const struct param drain_params[] = {
    {"within", PARAM_DURATION, offsetof(struct case_rest, drain_within_ns), .fallback = "60s",
     .min = 1, .help = "how long the proof that nothing is on its way may take"},
    {0}};
const struct param final_params[] = {{"down", PARAM_STRINGS, offsetof(struct case_rest, down),
                                      .help = "nodes that stay dead on purpose: $old"},
                                     {0}};

#define RAW(type) sizeof(struct type)
const struct verb verb_table[] = {
    {"send", STEP_SEND, send_params, NULL, RAW(send_args),
     "sends a burst and returns when every message is completed: ok, fail or unknown"},
    {"background", STEP_BACKGROUND, background_params, NULL, RAW(send_args),
     "sends while the script goes on"},
    {"quiesce", STEP_QUIESCE, quiesce_params, "units", RAW(quiesce_args),
     "waits until nothing is under way and everything is fully replicated"},
    {"bind", STEP_BIND, names_params, NULL, RAW(names_raw),
     "freezes roles to nodes: {old: leader(orders/0)}, then $old"},
    {"start", STEP_START, start_params, "target", RAW(start_raw),
     "starts a client or a dead node, and waits until the system says it is back"},
    {"heal", STEP_HEAL, heal_params, "name", RAW(target_raw), "ends a named fault"},
    {"resume", STEP_RESUME, resume_params, "target", RAW(target_raw), "ends a pause"},
    {"wait", STEP_WAIT, wait_params, NULL, RAW(wait_raw),
     "waits for a state; one that holds already is passed at once"},
    {"hold", STEP_HOLD, hold_params, NULL, RAW(hold_raw), "stops a client at a named step"},
    {"release", STEP_RELEASE, release_params, "client", RAW(target_raw),
     "lets a held client go on"},
    {"arm", STEP_ARM, arm_params, NULL, RAW(arm_raw),
     "lets a client be killed or held at a step; the script goes on"},
    {"note", STEP_NOTE, names_params, NULL, RAW(names_raw),
     "keeps a number for require and expect: {left: ready(jobs)}"},
    {"observe", STEP_OBSERVE, observe_params, NULL, RAW(observe_args),
     "lets a client look for a while"},
    {"repeat", STEP_REPEAT, repeat_params, NULL, RAW(repeat_raw), "the same steps several times"},
    {"quiet", STEP_QUIET, quiet_params, NULL, RAW(quiet_args),
     "does nothing for a while, and says why that is needed"},
    {"interleave", STEP_INTERLEAVE, interleave_params, NULL, RAW(interleave_args),
     "passes named points of several clients in exactly this order"},
    {"chaos", STEP_CHAOS, chaos_params, NULL, RAW(chaos_raw),
     "a schedule of faults drawn by the seed"},
    {0}};

const struct verb *verb_named(const char *name)
{
    for (const struct verb *v = verb_table; v->name; v++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}
