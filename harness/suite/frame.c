/*
 * The keys of a suite, a case and a twin: what the parser takes, what help says, what editors are
 * told. What stands in them is the tables' of plan/.
 */
#include "suite/suite.h"

#include <stddef.h>

const struct frame_key suite_frame[] = {
    {"assay", "version of the language: 1"},
    {"about", "what the suite is for"},
    {"inputs",
     "what --set NAME=VALUE replaces, ${NAME} in the suite: {rate: {value: 200/s, help: …}, "
     "conf: {file: redis.conf}}"},
    {"clusters",
     "systems by names of your own: {kafka3: {kafka: {brokers: 3}}} (assay help systems)"},
    {"cases", "by name (assay help case)"},
    {0},
};

const struct frame_key case_frame[] = {
    {"about", "what the case shows, in a sentence"},
    {"clusters", "by alias, as steps and clients name them: {bus: kafka3}, or written out here"},
    {"workload", "what the clients do (assay help workloads)"},
    {"clients", "processes by name: {app: {produce: orders}} (assay help clients)"},
    {"matrix", "the case once for each combination, ${NAME} replaced: {n: [1, 1000]}"},
    {"script", "what is done, one step after the other (assay help script)"},
    {"chaos", "instead of a script: a schedule of faults drawn by the seed"},
    {"drain", "how it is proven that nothing is on its way any more"},
    {"final", "nodes that stay dead on purpose"},
    {"deadline", "how long the whole case may take; default 10m"},
    {"applies", "where the case has something to say"},
    {"promise", "what must hold (assay help promises)"},
    {"require",
     "what must be true for the run to prove anything: [acked(x) >= 1000], else inconclusive"},
    {"expect", "how it must end, every finding not named being forbidden; default pass\n"
               "pass | {vacuous: not_exercised(loss)} | {fail: {lost: acked(x), phantom: \"> 0\"}, "
               "may: [offset_conflict]}; may: stands beside pass, too: {pass: \"\", may: […]}"},
    {"twins", "the same script and seed with another configuration, by name (assay help twins)"},
    {0},
};

const struct frame_key twin_frame[] = {
    {"about", "what it shows"},
    {"with", "laid over the case: of a map only the keys that differ, ~ takes one away"},
    {"require", "instead of the case's"},
    {"require+", "as well as the case's"},
    {"expect", "how the twin must end; required"},
    {0},
};

const struct frame_key with_frame[] = {
    {"clusters", "aliases that stand for another cluster, or what differs in theirs"},
    {"workload", "keys that differ"},
    {"clients", "keys that differ, by client"},
    {"promise", "promises that differ"},
    {"drain", "as of a case"},
    {"final", "as of a case"},
    {"deadline", "as of a case"},
    {0},
};
