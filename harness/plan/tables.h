/*
 * The tables of the language itself: clients' common keys, the verbs of scripts, chaos. Parser,
 * help and schema read them (faults, commands, workloads … bring their own).
 */
#ifndef ASSAY_PLAN_TABLES_H
#define ASSAY_PLAN_TABLES_H

#include "api/param.h"
#include "plan/script.h"

struct client_common {
    const char *on;
    int64_t instances, workers;
    bool autostart;
    int libraries; /* which of its words, 0: the machine's own */
    int64_t restart_after_ns;
    bool restarts;
    struct strings meant_for;
};
extern const struct param client_params[];

/* One verb of scripts. `args` of a step is the first member of what `size` bytes hold. */
struct verb {
    const char *name;
    enum step_kind kind;
    const struct param *params;
    const char *shorthand; /* key a bare value stands for; NULL: takes a map only */
    size_t size;
    const char *help;
};
extern const struct verb verb_table[]; /* ends with a NULL name */
const struct verb *verb_named(const char *name);

/* What the parser needs beside a verb's public arguments. */
struct start_raw {
    struct start_args args;
    const char *what;
};
struct target_raw {
    struct target_args args;
    const char *what;
};
struct hold_raw {
    struct hold_args args;
    const struct tree *at;
};
struct arm_raw {
    struct arm_args args;
    const struct tree *at;
    int then;
};
struct wait_raw {
    struct wait_args args;
    int otherwise;
};
struct names_raw {
    struct named_exprs args;
    struct pairs names;
};
struct repeat_raw {
    struct repeat_args args;
    const struct tree *body;
};

/* Beside the table of a fault or command. */
struct common_raw {
    struct fault_common args;
    const struct tree *at;
};
extern const struct param common_params[];

struct at_raw {
    const char *client, *step;
    const struct tree *nth;
};
extern const struct param at_params[];

struct chaos_raw {
    struct chaos_args args;
    struct strings faults, targets;
    int64_t every_ns;
    const char *for_range, *at_most, *seed;
    const struct tree *events;
};
extern const struct param chaos_params[];
struct chaos_event_raw {
    int64_t at_ns, for_ns, index;
    const char *fault, *target;
};
extern const struct param chaos_event_params[];

/* drain:, final: of a case */
struct case_rest {
    int64_t drain_within_ns, deadline_ns;
    struct strings down;
};
extern const struct param drain_params[], final_params[];

#endif
